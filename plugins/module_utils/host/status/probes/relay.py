# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of the relay for calls: STUN (RFC 8489) and TURN (RFC 8656)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import socket
import struct
import time
from collections.abc import Iterator

from ... import files
from .. import network
from ..checks import Wrong
from . import encryption
from .base import Broken, Subject, Unknown, probe

ALLOCATE, REFRESH = 0x0003, 0x0004
SUCCESS, ERROR = 0x0100, 0x0110
USERNAME, INTEGRITY, ERROR_CODE, LIFETIME, REALM, NONCE = 0x0006, 0x0008, 0x0009, 0x000D, 0x0014, 0x0015
RELAYED, FAMILY, TRANSPORT, IPV6, UDP = 0x0016, 0x0017, 0x0019, 2, 17
SECONDS = 3.0
# The credentials are for this look alone.
CREDENTIALS_SECONDS = 60


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute of STUN."""
    return struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)


def message(kind: int, identity: bytes, attributes: bytes, key: bytes = b"") -> bytes:
    """Return a message of STUN, with its integrity where there is a key."""
    more = 24 if key else 0
    text = struct.pack("!HHI", kind, len(attributes) + more, network.STUN_COOKIE) + identity + attributes
    if key:
        text += attribute(INTEGRITY, hmac.digest(key, text, "sha1"))
    return text


def attributes_of(answer: bytes) -> dict[int, bytes]:
    """Return the attributes of an answer, each one's first."""
    found: dict[int, bytes] = {}
    at = 20
    while at + 4 <= len(answer):
        kind, length = struct.unpack("!HH", answer[at : at + 4])
        found.setdefault(kind, answer[at + 4 : at + 4 + length])
        at += 4 + length + (-length % 4)
    return found


class Relay:
    """A conversation with a relay by UDP."""

    def __init__(self, datagrams: socket.socket) -> None:
        self.datagrams = datagrams

    def ask(self, kind: int, attributes: bytes, key: bytes = b"") -> tuple[int, dict[int, bytes]]:
        """Send a request, and return the kind of the answer with its attributes. Raises OSError."""
        identity = os.urandom(12)
        self.datagrams.send(message(kind, identity, attributes, key))
        end = time.monotonic() + (self.datagrams.gettimeout() or SECONDS)
        while time.monotonic() < end:
            answer = self.datagrams.recv(2048)
            if len(answer) >= 20 and answer[8:20] == identity:
                return int.from_bytes(answer[:2], "big"), attributes_of(answer)
        raise TimeoutError("no answer")


@contextlib.contextmanager
def opened(subject: Subject, address: str, number: int) -> Iterator[Relay]:
    """Yield a conversation with a relay. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(subject.seconds(SECONDS))
        datagrams.connect((address, number))
        yield Relay(datagrams)


@probe("stun", whole=True)
def stun(subject: Subject, _argument: str) -> str:
    """Ask for a binding; where there is none, see whether the server answers at all."""
    number, address = subject.port("stun"), encryption.address_of(subject)
    try:
        network.check_stun(address, number)
    except Wrong as error:
        with contextlib.suppress(OSError), opened(subject, address, number) as relay:
            relay.ask(ALLOCATE, attribute(TRANSPORT, struct.pack("!B3x", UDP)))
            raise Broken(f"port {number} answers those who want a relay, and no binding") from error
        raise Unknown(f"port {number}: {error}") from error
    return f"port {number} answers"


@probe("turn", whole=True)
def turn(subject: Subject, _argument: str) -> str:
    """Ask for a relay without credentials; on the host, with some that are made for this, and give it back."""
    number, address = subject.port("turn"), encryption.address_of(subject)
    # Without a word, an address of IPv4 is meant, which a host may not have (RFC 8656, section 7.1).
    wanted = attribute(TRANSPORT, struct.pack("!B3x", UDP))
    wanted += attribute(FAMILY, struct.pack("!B3x", IPV6)) if ":" in address else b""
    secret = "" if subject.outside else files.read_text(str(subject.promises.get("relay_secret") or "/")).strip()
    try:
        with opened(subject, address, number) as relay:
            kind, found = relay.ask(ALLOCATE, wanted)
            if kind == ALLOCATE | SUCCESS:
                relay.ask(REFRESH, attribute(LIFETIME, struct.pack("!I", 0)))
                raise Broken(f"port {number} relays for everybody")
            code = found.get(ERROR_CODE, b"\0\0\0\0")
            if kind != ALLOCATE | ERROR or code[2] * 100 + code[3] != 401:
                raise Broken(f"port {number} does not ask for credentials: error {code[2] * 100 + code[3]}")
            if not secret:
                return f"port {number} asks for credentials"
            name = f"{int(time.time()) + CREDENTIALS_SECONDS}:xmpp-status"
            password = base64.b64encode(hmac.digest(secret.encode(), name.encode(), "sha1")).decode()
            realm = found.get(REALM, b"")
            key = hashlib.md5(f"{name}:{realm.decode()}:{password}".encode(), usedforsecurity=False).digest()
            who = attribute(USERNAME, name.encode()) + attribute(REALM, realm) + attribute(NONCE, found.get(NONCE, b""))
            kind, found = relay.ask(ALLOCATE, wanted + who, key)
            if kind != ALLOCATE | SUCCESS or RELAYED not in found:
                code = found.get(ERROR_CODE, b"\0\0\0\0")
                raise Broken(f"port {number} relays nothing for its own credentials: error {code[2] * 100 + code[3]}")
            relay.ask(REFRESH, attribute(LIFETIME, struct.pack("!I", 0)) + who, key)
    except OSError as error:
        raise Unknown(f"port {number} does not answer: {error}") from error
    return f"port {number} relays with credentials only"
