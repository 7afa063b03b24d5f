#!/usr/bin/env python3
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everybody else: until it is stopped, asks acme.test every second whether it is still what its records say.

    handshakes   each second, at each port: resolve with validation, shake hands, verify the certificate by its authority,
                 and its key by the TLSA records. Not only by those that the resolver gives, but by each set that any
                 resolver may have that asked at any second before.
    rsa          the same by somebody who knows RSA only, as long as the port serves it
    messages     there and back between two servers, each time by a new stream, which the other server authenticates by
                 DANE alone
    idle         a client that says nothing, and at the end is still on the same stream

Prints one JSON object at its end: what was counted, and every failure with its time and its reason.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

sys.path.insert(0, "/usr/local/lib/world")
import xmpp_client

DOMAIN, TARGET, ADDRESS = "acme.test", "maple.acme.test", "198.51.100.80"
PASSWORD = "a password"
SERVICES = {
    5222: ("_xmpp-client._tcp.acme.test", "jabber:client"),
    5223: ("_xmpps-client._tcp.acme.test", None),
    5269: ("_xmpp-server._tcp.acme.test", "jabber:server"),
    5270: ("_xmpps-server._tcp.acme.test", None),
    443: (None, None),
}
STOP = threading.Event()
RESULT: dict = {"handshakes": {}, "rsa": {}, "sets": 0, "messages": 0, "streams": 0, "idle": None, "failures": []}


def fail(what: str, why: object) -> None:
    moment = datetime.datetime.now(datetime.UTC).strftime("%H:%M:%S.%f")[:-3]
    RESULT["failures"].append(f"{moment} {what}: {type(why).__name__ if isinstance(why, Exception) else ''} {why}")
    print(RESULT["failures"][-1], file=sys.stderr, flush=True)


def dig(server: list[str], questions: list[tuple[str, str]], flag: str) -> list[list[tuple[int, str]]]:
    """The answer to each question, with TTLs. Each answer must bear the flag: ad (validated) or aa (authoritative)."""
    command = ["dig", "-r", *server, "+noall", "+comments", "+answer", "+tries=2", "+time=4"]
    output = subprocess.run(
        [*command, *(word for question in questions for word in question)], capture_output=True, text=True, check=True
    ).stdout
    answers = output.split("->>HEADER<<-")[1:]
    if len(answers) != len(questions):
        raise ValueError(f"{len(questions)} questions and {len(answers)} answers: {output}")
    found = []
    for (name, kind), answer in zip(questions, answers, strict=True):
        flags = re.search(r"flags: ([a-z ]*);", answer)
        if "status: NOERROR" not in answer or flags is None or flag not in flags[1].split():
            raise ValueError(f"{name} {kind}: {answer.strip()}")
        records = re.findall(rf"^\S+\s+(\d+)\s+IN\s+{kind}\s+(.+?)\s*$", answer, re.MULTILINE)
        if not records:
            raise ValueError(f"{name} {kind}: no record: {answer.strip()}")
        found.append([(int(ttl), data) for ttl, data in records])
    return found


def pins(records: list[tuple[int, str]]) -> frozenset[str]:
    return frozenset("".join(data.split()).lower().removeprefix("311") for _ttl, data in records)


def served(port: int, namespace: str | None, rsa: bool) -> str:
    """The digest of the key that a port serves, in a certificate that is valid for the domain."""
    context = ssl.create_default_context()
    if rsa:
        # TLS 1.3 chooses by the algorithms of signatures, which Python cannot.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE+aRSA+AESGCM")
    with socket.create_connection((ADDRESS, port), timeout=10) as stream:
        if namespace:
            stream.sendall(
                f"<stream:stream to='{DOMAIN}' version='1.0' xmlns='{namespace}' "
                "xmlns:stream='http://etherx.jabber.org/streams'>".encode()
            )
            wait_for(stream, b"</stream:features>")
            stream.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            wait_for(stream, b"<proceed")
        with context.wrap_socket(stream, server_hostname=DOMAIN) as encrypted:
            der = encrypted.getpeercert(binary_form=True)
    key = x509.load_der_x509_certificate(der).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def wait_for(stream: socket.socket, text: bytes) -> None:
    got = b""
    while text not in got:
        more = stream.recv(4096)
        if not more:
            raise ConnectionError(f"closed after {got!r}")
        got += more


def handshakes() -> None:
    # What resolvers may have: port → set of digests → until when.
    kept: dict[int, dict[frozenset[str], float]] = {port: {} for port in SERVICES}
    while not STOP.is_set():
        begin = time.monotonic()
        try:
            named = [(port, name) for port, (name, _namespace) in SERVICES.items() if name]
            answers = dig(["@127.0.0.1", "-p", "5353"], [(name, "SRV") for _port, name in named], "ad")
            for (port, name), answer in zip(named, answers, strict=True):
                if [data for _ttl, data in answer] != [f"0 5 {port} {TARGET}."]:
                    raise ValueError(f"{name} SRV: {answer}")
            names = [(f"_{port}._tcp.{TARGET if SERVICES[port][0] else DOMAIN}", "TLSA") for port in SERVICES]
            for answer, port in zip(dig([f"@{ADDRESS}"], names, "aa"), SERVICES, strict=True):
                kept[port][pins(answer)] = time.monotonic() + answer[0][0]
            resolved = dig(["@127.0.0.1", "-p", "5353"], names, "ad")
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            fail("resolve", error)
            STOP.wait(1)
            continue
        for answer, (port, (_name, namespace)) in zip(resolved, SERVICES.items(), strict=True):
            now = time.monotonic()
            kept[port] = {digests: until for digests, until in kept[port].items() if until > now}
            known = [pins(answer), *kept[port]]
            RESULT["sets"] += len(known)
            for kind, rsa in (("handshakes", False), ("rsa", True)):
                try:
                    key = served(port, namespace, rsa)
                except (OSError, ValueError) as error:
                    # Whether it should serve RSA, the tests know best.
                    if not rsa or "HANDSHAKE_FAILURE" not in str(error):
                        fail(f"port {port}", error)
                    continue
                RESULT[kind][port] = RESULT[kind].get(port, 0) + 1
                for digests in known:
                    if key not in digests:
                        fail(
                            f"port {port}",
                            f"serves the key {key}, and a resolver may have {', '.join(sorted(digests))}",
                        )
        STOP.wait(max(0, begin + 1 - time.monotonic()))


def messages() -> None:
    here, there = (
        xmpp_client.Session({"jid": jid, "password": PASSWORD}) for jid in ("romeo@peer.test", "nurse@acme.test")
    )
    while not STOP.is_set():
        try:
            closed = subprocess.run(
                ["prosodyctl", "--config", "/etc/peer/dane.cfg.lua", "shell", f"s2s:closeall('{DOMAIN}')"],
                capture_output=True,
                text=True,
                check=False,
            )
            if "No sessions to close" not in closed.stdout + closed.stderr:
                RESULT["streams"] += int(re.search(r"Closed (\d+) s2s", closed.stdout)[1])
            time.sleep(0.5)
            for sender, receiver in ((here, there), (there, here)):
                body = f"number {RESULT['messages']}"
                sender.stream.send(
                    f"<message xmlns='jabber:client' type='chat' to='{receiver.jid}'><body>{body}</body></message>"
                )
                deliver(sender, receiver, body)
                RESULT["messages"] += 1
        except (OSError, ValueError, TypeError) as error:
            fail("message", error)
        STOP.wait(2)


def deliver(sender, receiver, body: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        # In turn: the message at the receiver, or its error at the sender.
        for session in (receiver, sender):
            try:
                message = session.wait_for("message", 0.2)
            except TimeoutError:
                continue
            text = message.findtext("{jabber:client}body")
            if message.get("type") == "error":
                raise ValueError(f"{text!r} came back: {message.findtext('.//{*}text')}")
            if session is receiver and text == body:
                return
    raise ValueError(f"{body!r} has not arrived")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    idle = xmpp_client.Session({"jid": "juliet@acme.test", "password": PASSWORD})
    idle.stream.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    stream = idle.wait_for("enabled").get("id")
    begin = time.monotonic()
    threads = [threading.Thread(target=work) for work in (handshakes, messages)]
    for thread in threads:
        thread.start()
    print("READY", file=sys.stderr, flush=True)
    STOP.wait()
    for thread in threads:
        thread.join()
    try:
        idle.stream.send("<r xmlns='urn:xmpp:sm:3'/>")
        RESULT["idle"] = {
            "stream": stream,
            "seconds": round(time.monotonic() - begin),
            "handled": idle.wait_for("a").get("h"),
        }
    except OSError as error:
        fail("idle", error)
    print(json.dumps(RESULT))


if __name__ == "__main__":
    main()
