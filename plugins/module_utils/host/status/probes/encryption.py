# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of encryption: streams before TLS, versions and suites, certificates, and peers without a good one."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ... import hello, tls, words
from .base import Broken, Subject, Unknown, Weakened, probe

PORTS = {"jabber:client": "xmpp-client", "jabber:server": "xmpp-server"}
DIRECT = {"jabber:client": "xmpps-client", "jabber:server": "xmpps-server"}
SECONDS = 4.0
# How long a hello is waited for that a server may leave without an answer.
REFUSAL_SECONDS = 1.0
# A name that nobody has (RFC 2606), of the server that we claim to be.
STRANGER = "stranger.invalid"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
CLOSED = [b"</stream:stream>", b"<stream:error", b"</stream:error>"]
# What is to be tried by a login that has no encryption: the answer says nothing about any account.
LOGIN = f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>biwsbj1zdGF0dXMscj1zdGF0dXM=</auth>"

Port = Mapping[str, Any]


def address_of(subject: Subject, port: Port | None = None) -> str:
    """Return the address at which a port is."""
    return str((port or {}).get("address") or subject.config["address"])


@contextlib.contextmanager
def opened(subject: Subject, address: str, number: int) -> Iterator[socket.socket]:
    """Yield a connection. That there is none is no fault of the promise: the port's own check says so."""
    try:
        stream = socket.create_connection((address, number), timeout=subject.seconds(SECONDS))
    except OSError as error:
        raise Unknown(f"port {number} does not answer: {error}") from error
    with stream:
        yield stream


@probe("encrypted")
def encrypted(subject: Subject, protocol: str) -> str:
    """Open a stream without TLS, see what it offers, and try to get in all the same."""
    number = subject.port(PORTS[protocol])
    address = subject.promises.get("addresses", {}).get(PORTS[protocol]) or address_of(subject)
    try:
        with opened(subject, address, number) as stream:
            offered = tls.features(stream, subject.name, protocol)
            if why := tls.refusal(offered):
                raise Unknown(f"port {number}: {why}")
            if b"<starttls" not in offered:
                raise Broken(f"port {number} offers no STARTTLS")
            if b"<required" not in offered:
                raise Broken(f"port {number} does not require STARTTLS")
            # A server that offers a dialback there, as many do, need not answer it.
            if any(text in offered for text in (b"<mechanism", b"<auth", b"<register")):
                raise Broken(f"port {number} offers a login before encryption")
            attempt = LOGIN
            if protocol == "jabber:server":
                attempt = f"<db:result from='{STRANGER}' to='{subject.name.encode().decode('idna')}'>x</db:result>"
            stream.sendall(attempt.encode())
            with contextlib.suppress(tls.TlsError, TimeoutError, ConnectionError):
                answer = tls.receive(stream, [b"<challenge", b"<success", b"<failure", b"</db:result>", *CLOSED])
                refused = any(text in answer for text in (*CLOSED, b"policy-violation", b"not-authorized"))
                if b"<challenge" in answer or b"<success" in answer or (b"<db:result" in answer and not refused):
                    raise Broken(f"port {number} goes on with a login that is not encrypted")
    except (tls.TlsError, OSError) as error:
        raise Unknown(f"port {number}: {error}") from error
    return f"port {number} requires STARTTLS, and refuses a login without it"


def ready(subject: Subject, port: Port) -> socket.socket:
    """Return a connection to a port that is ready for TLS."""
    stream = socket.create_connection((address_of(subject, port), port["port"]), timeout=subject.seconds(SECONDS))
    try:
        if protocol := port.get("protocol"):
            tls.start_tls(stream, port["name"], protocol, insist=False)
    except BaseException:
        stream.close()
        raise
    return stream


def enumerate_port(subject: Subject, port: Port) -> dict[int, list[int]]:
    """Return the versions of TLS that a port speaks, and the suites of each; SSL 2 has others, which are none of ours."""
    number, name, connect = port["port"], port["name"], partial(ready, subject, port)
    found: dict[int, list[int]] = {}
    failed: list[Exception] = []

    def take(version: int, seconds: float) -> None:
        try:
            if suites := hello.accepted(connect, name, version, subject.seconds(seconds)):
                found[version] = suites
        except (hello.HelloError, tls.TlsError, OSError) as error:
            failed.append(error)

    def take_ssl2(seconds: float) -> None:
        with contextlib.suppress(tls.TlsError, OSError):
            if hello.speaks_ssl2(connect, subject.seconds(seconds)):
                found[hello.SSL2] = []

    begun = time.monotonic()
    take(hello.TLS13, SECONDS)
    take(hello.TLS12, SECONDS)
    # A slow machine is slow to answer these, too.
    patience = max(REFUSAL_SECONDS, time.monotonic() - begun)
    outdated = [
        threading.Thread(target=take, args=(version, patience), daemon=True)
        for version in hello.VERSIONS
        if version < hello.TLS12
    ]
    outdated.append(threading.Thread(target=take_ssl2, args=(patience,), daemon=True))
    for thread in outdated:
        thread.start()
    for thread in outdated:
        thread.join(subject.evidence.left())
    if failed:
        raise Unknown(f"port {number}: {failed[0]}") from failed[0]
    if not found:
        raise Unknown(f"port {number} takes no handshake at all")
    return {version: found[version] for version in sorted(found)}


def enumerated_port(subject: Subject, port: Port) -> dict[int, list[int]]:
    """Return what one TLS port takes, once for all that ask."""
    key = ("suites", address_of(subject, port), port["port"], port["name"])
    found: dict[int, list[int]] = subject.evidence.once(key, partial(enumerate_port, subject, port))
    return found


def enumerated(subject: Subject) -> dict[int, dict[int, list[int]]]:
    """Return what each TLS port takes, once for all that ask; ports that do not answer are left out."""
    found, silent = {}, []
    for port in subject.config["ports"]:
        try:
            found[port["port"]] = enumerated_port(subject, port)
        except Unknown as error:
            silent.append(str(error))
    if not found:
        raise Unknown(silent[0] if silent else "there is no TLS port")
    return found


def _among(numbers: list[int]) -> str:
    return f"port{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"


@probe("tls_versions", whole=True)
def tls_versions(subject: Subject, _argument: str) -> str:
    """See which versions of TLS are taken."""
    found = enumerated(subject)
    modern = subject.promises.get("tls_policy") == "modern"
    right = {hello.TLS13} if modern else {hello.TLS12, hello.TLS13}
    for number, versions in found.items():
        if wrong := [hello.NAMES[version] for version in versions if version not in right]:
            raise Broken(f"port {number} speaks {', '.join(wrong)}")
    spoken = sorted({version for versions in found.values() for version in versions})
    return f"{', '.join(hello.NAMES[version] for version in spoken)} on {_among(sorted(found))}"


def _suites_outside(subject: Subject, right: set[int], lack: str) -> str:
    found = enumerated(subject)
    for number, versions in found.items():
        taken = dict.fromkeys(suite for suites in versions.values() for suite in suites)
        if wrong := [hello.suite_name(suite) for suite in taken if suite not in right]:
            raise Broken(f"port {number} accepts, without {lack}: {', '.join(wrong[:4])}")
    suites = {suite for versions in found.values() for taken in versions.values() for suite in taken}
    return f"{words.count(len(suites), 'suite')} on {_among(sorted(found))}, each with {lack}"


@probe("forward_secrecy", whole=True)
def forward_secrecy(subject: Subject, _argument: str) -> str:
    """See that each suite has forward secrecy."""
    return _suites_outside(subject, hello.FORWARD_SECRET, "forward secrecy")


@probe("strong_ciphers", whole=True)
def strong_ciphers(subject: Subject, _argument: str) -> str:
    """See that each suite has authenticated encryption."""
    return _suites_outside(subject, hello.AUTHENTICATED, "authenticated encryption")


def presented(subject: Subject, port: Port, name: str, context: ssl.SSLContext) -> tuple[bytes, int]:
    """Return the certificate that a port presents for a name, and the seconds that it has left where `context` verifies.

    What a client says against it is the message of TlsError.
    """
    with tls.connected(
        address_of(subject, port),
        port["port"],
        name,
        context,
        port.get("protocol"),
        subject.seconds(SECONDS),
        insist=False,
    ) as inside:
        shown = inside.getpeercert() or {}
        end = str(shown.get("notAfter", ""))
        return tls.presented(inside), int(ssl.cert_time_to_seconds(end) - time.time()) if end else 0


def port_name(subject: Subject, port: Port) -> str:
    """Return the name that a client asks a port for: the domain of a stream, or that of the web."""
    known = subject.promises["ports"]
    if port["port"] in [known.get(name) for name in (*PORTS.values(), *DIRECT.values())]:
        return subject.name
    return subject.web if port["port"] == known.get("https") else str(port["name"])


def verifying(subject: Subject, port: Port) -> ssl.SSLContext:
    """Return the context of a client that trusts the system's authorities; on the host, a private one by its chain."""
    ca = str(subject.config.get("ca") or "")
    elsewhere = subject.outside and subject.config.get("verify")
    if subject.promises.get("authority") == "private" and not ca and not elsewhere:
        ca = str(port.get("certificate") or "")
    try:
        context = tls.verifying(ca)
    except (OSError, ssl.SSLError) as error:
        raise Unknown(f"{ca}: {error}") from error
    if ca:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def verified(subject: Subject, port: Port) -> int:
    """Return the seconds that the certificate of a port has left, as a client sees it, once for all that ask. Raises TlsError."""
    name = port_name(subject, port)

    def ask() -> int:
        return presented(subject, port, name, verifying(subject, port))[1]

    left: int = subject.evidence.once(("verified", name, address_of(subject, port), port["port"]), ask)
    return left


@probe("certificate")
def certificate(subject: Subject, _argument: str) -> str:
    """Shake hands with each TLS port as a client does that verifies."""
    least: list[int] = []
    silent = []
    for port in subject.config["ports"]:
        try:
            least.append(verified(subject, port))
        except tls.TlsError as error:
            if "certificate is not good" in str(error):
                raise Broken(f"port {port['port']}, {port_name(subject, port)}: {error}") from error
            silent.append(f"port {port['port']}: {error}")
    if not least:
        raise Unknown(silent[0] if silent else "there is no TLS port")
    text = f"valid for {words.age(min(least))} more at least, on {words.count(len(least), 'port')}"
    if subject.promises.get("authority") == "private":
        raise Weakened(f"of a private authority, which clients have to be told to trust; {text}")
    return text


@contextlib.contextmanager
def self_signed() -> Iterator[ssl.SSLContext]:
    """Yield the context of a server that has signed its own certificate."""
    from ... import x509

    key = x509.new_key("ecdsa-p256")
    context = tls.trusting()
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as stream:
        stream.write(key + x509.self_signed(key, [STRANGER], STRANGER, 1))
        stream.flush()
        context.load_cert_chain(stream.name)
    yield context


def come_as_stranger(inside: ssl.SSLSocket, name: str, number: int, way: str) -> str:
    """Ask to be let in as another server, and return how that is refused; nothing where that way is not offered.

    By EXTERNAL (XEP-0178) many servers offer what they refuse who comes then, and by dialback (XEP-0220) they need not offer
    what they take.
    """
    offered = tls.features(inside, name, "jabber:server", STRANGER)
    if any(text in offered for text in CLOSED):
        return "closes the stream"
    if way == "EXTERNAL":
        if b"EXTERNAL" not in offered:
            return ""
        who = base64.b64encode(STRANGER.encode()).decode()
        inside.sendall(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{who}</auth>".encode())
        answer = tls.receive(inside, [b"<success", b"</failure>", b"<failure/>", *CLOSED])
        if b"<success" in answer:
            raise Broken(f"port {number} lets in a server with a self-signed certificate, by EXTERNAL")
        return "refuses EXTERNAL"
    domain = name.encode().decode("idna")
    inside.sendall(f"<db:result from='{STRANGER}' to='{domain}'>x</db:result>".encode())
    try:
        answer = tls.receive(inside, [b"</db:result>", *CLOSED])
    except TimeoutError:
        # It looks for us in the DNS.
        answer = b""
    if any(text in answer for text in CLOSED):
        return "closes the stream"
    if b"policy-violation" in answer or b"not-authorized" in answer:
        return "refuses a dialback"
    raise Broken(f"port {number} takes a dialback of a server with a self-signed certificate")


@probe("self_signed_peer")
def self_signed_peer(subject: Subject, _argument: str) -> str:
    """Come as a server with a self-signed certificate by either way, and see that nothing is to be had."""
    number = subject.port("xmpp-server")
    address = subject.promises.get("addresses", {}).get("xmpp-server") or address_of(subject)
    said = []
    try:
        with self_signed() as context:
            for way in ("EXTERNAL", "dialback"):
                with opened(subject, address, number) as stream:
                    tls.start_tls(stream, subject.name, "jabber:server", insist=False)
                    with context.wrap_socket(stream, server_hostname=subject.name) as inside:
                        try:
                            said.append(come_as_stranger(inside, subject.name, number, way))
                        except (tls.TlsError, ConnectionError, ssl.SSLError):
                            said.append("hangs up")
                if said[-1] in ("closes the stream", "hangs up"):
                    break
    except ImportError as error:
        raise Unknown(f"this machine lacks a library: {error}") from error
    except (tls.TlsError, OSError) as error:
        raise Unknown(f"port {number}: {error}") from error
    return f"port {number} {' and '.join(filter(None, said))}"


@probe("direct_tls")
def direct_tls(subject: Subject, protocol: str) -> str:
    """Open a stream within TLS."""
    label = DIRECT[protocol]
    number = subject.port(label)
    address = subject.promises.get("addresses", {}).get(label) or address_of(subject)
    try:
        with tls.connected(address, number, subject.name, tls.trusting(), None, subject.seconds(SECONDS)) as inside:
            # A server wants to know who comes, and need not let that one in.
            offered = tls.features(inside, subject.name, protocol, STRANGER if protocol == "jabber:server" else "")
    except tls.TlsError as error:
        if isinstance(error.__cause__, ConnectionRefusedError):
            # That no port of the server is open is the affair of the unit's check.
            with opened(subject, address, subject.port(PORTS[protocol])):
                raise Broken(f"port {number} is closed, while port {subject.port(PORTS[protocol])} is open") from error
        raise Unknown(f"port {number}: {error}") from error
    except OSError as error:
        raise Unknown(f"port {number}: {error}") from error
    if b"<stream:stream" not in offered:
        raise Broken(f"port {number} speaks TLS, and no stream of {protocol} in it")
    return f"port {number} opens a stream within TLS"
