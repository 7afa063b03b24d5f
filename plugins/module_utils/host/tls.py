# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TLS handshake with a port, after STARTTLS where it speaks XMPP, and what it shows."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
import time
import warnings
from collections.abc import Iterator, Sequence

from .commands import CommandError, attempt

SECONDS = 5
STARTTLS = "urn:ietf:params:xml:ns:xmpp-tls"
DIALBACK = "jabber:server:dialback"
STREAM = "http://etherx.jabber.org/streams"
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
# What a client offers that understands the signatures of one family of keys only.
SIGNATURES = {
    "ECDSA": "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448",
    "RSA": "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512",
}
OPENSSL_STARTTLS = {"jabber:client": "xmpp", "jabber:server": "xmpp-server"}
HANG_UP = "it hangs up before TLS"


class TlsError(Exception):
    """A port does not speak TLS as it has to; the message says what is wrong."""


def verifying(ca: str = "") -> ssl.SSLContext:
    """Return the context of a client that trusts the system's authorities, or those of a file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        context.load_verify_locations(ca)
    else:
        context.load_default_certs()
    return context


def trusting() -> ssl.SSLContext:
    """Return the context of a client that looks at any certificate and trusts none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def outdated() -> ssl.SSLContext:
    """Return the context of a client that speaks nothing newer than TLS 1.1, as far as this machine's OpenSSL can."""
    context = trusting()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def receive(stream: socket.socket, wanted: Sequence[bytes], most: int = 100000) -> bytes:
    """Read until one of some texts has come, within the time limit of the socket for all of it.

    A peer that sends a byte now and then, or without end, is given up, too. Raises TlsError and OSError.
    """
    limit = stream.gettimeout()
    end = time.monotonic() + (SECONDS if limit is None else limit)
    got = b""
    try:
        while not any(text in got for text in wanted):
            stream.settimeout(max(0.001, end - time.monotonic()))
            more = stream.recv(4096)
            if not more or len(got) > most:
                raise TlsError(HANG_UP)
            got += more
    finally:
        stream.settimeout(limit)
    return got


def opening(name: str, protocol: str, origin: str = "") -> bytes:
    """Return what opens a stream with a domain: with U-labels, which XMPP has, and not the A-labels of TLS."""
    domain = name.encode().decode("idna")
    sender = f" from='{origin}'" if origin else ""
    return (
        f"<stream:stream to='{domain}'{sender} version='1.0' xmlns='{protocol}' xmlns:stream='{STREAM}'"
        f"{' xmlns:db=' + repr(DIALBACK) if protocol == 'jabber:server' else ''}>"
    ).encode()


def features(stream: socket.socket, name: str, protocol: str, origin: str = "") -> bytes:
    """Open a stream, and return what the other end says up to the end of its features. Raises TlsError and OSError."""
    stream.sendall(opening(name, protocol, origin))
    return receive(stream, [b"</stream:features>", b"<stream:features/>", b"</stream:stream>"])


def start_tls(stream: socket.socket, name: str, protocol: str, *, insist: bool = True) -> None:
    """Ask for STARTTLS (RFC 6120, section 5), which has to be the only thing on offer where we insist on that.

    `protocol` is the namespace of the stream, jabber:client or jabber:server. Raises TlsError.
    """
    offered = features(stream, name, protocol)
    if b"<starttls" not in offered:
        raise TlsError(refusal(offered) or "it offers no STARTTLS")
    if insist and not is_strict(offered):
        raise TlsError("it does not insist on encryption")
    stream.sendall(f"<starttls xmlns='{STARTTLS}'/>".encode())
    if b"<proceed" not in receive(stream, [b"<proceed", b"<failure", b"</stream:stream>"]):
        raise TlsError("it refuses STARTTLS")


def refusal(offered: bytes) -> str:
    """Return in words why a server closes a stream before it says what it offers; nothing where it does not."""
    found = re.search(rb"<stream:error[^>]*>\s*<([a-z-]{1,40})[\s/>]", offered)
    return f"it closes the stream: {found[1].decode()}" if found and b"</stream:features>" not in offered else ""


def is_strict(offered: bytes) -> bool:
    """Tell whether the features of a stream offer nothing but STARTTLS, and require that."""
    return b"<required" in offered and not any(
        text in offered
        for text in (b"<mechanism", b"<auth", b"<register", b"dialback'/>", b'dialback"/>', b"<dialback")
    )


@contextlib.contextmanager
def connected(
    address: str,
    port: int,
    name: str,
    context: ssl.SSLContext,
    protocol: str | None = None,
    seconds: float = SECONDS,
    *,
    insist: bool = True,
) -> Iterator[ssl.SSLSocket]:
    """Yield an encrypted connection to a port of an address, by the name for which it has a certificate.

    With `protocol`, a stream of XMPP asks for STARTTLS first, and insists that nothing else is offered unless said
    otherwise. Raises TlsError.
    """
    try:
        with socket.create_connection((address, port), timeout=seconds) as stream:
            if protocol:
                start_tls(stream, name, protocol, insist=insist)
            with context.wrap_socket(stream, server_hostname=name) as encrypted:
                yield encrypted
    except ssl.SSLCertVerificationError as error:
        raise TlsError(f"its certificate is not good: {error.verify_message}") from error
    except OSError as error:
        raise TlsError(f"no TLS: {getattr(error, 'reason', None) or error}") from error


def presented(encrypted: ssl.SSLSocket) -> bytes:
    """Return the certificate, in DER, that the other end has presented."""
    certificate = encrypted.getpeercert(binary_form=True)
    if not certificate:
        raise TlsError("it presents no certificate")
    return certificate


def leaf_of_family(
    address: str, port: int, name: str, protocol: str | None = None, family: str | None = None, seconds: float = SECONDS
) -> str:
    """Return the SHA-256 of the certificate that a port presents to a client that knows one family of keys.

    openssl shakes hands, since Python's ssl cannot restrict signatures; a server that closes after the handshake has
    still presented a certificate. `family` is ECDSA, RSA, or None for both. Raises TlsError.
    """
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    command = ["openssl", "s_client", "-connect", place, "-servername", name]
    if protocol:
        command += ["-starttls", OPENSSL_STARTTLS[protocol], "-xmpphost", name.encode().decode("idna")]
    if family:
        command += ["-sigalgs", SIGNATURES[family]]
    try:
        done = attempt(command, seconds=seconds)
    except CommandError as error:
        raise TlsError(f"no TLS: {error.reason}") from error
    found = PEM.search(done.stdout)
    if not re.search("^New, TLS", done.stdout, re.MULTILINE) or not found:
        said = re.findall(r":error:[^:]*:[^:]*:[^:]*:([^:]+):", done.stderr)
        raise TlsError(f"no TLS{f' ({said[0]})' if said else ''}")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest()
