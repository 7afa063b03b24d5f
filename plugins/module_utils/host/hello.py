# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions of TLS and which suites a server takes: it is asked for each by a message of ours.

No library of TLS knows all that a server could still take, from SSL 2 to suites of export. We send the first message of
a handshake, read the first one of the answer, and hang up.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

SSL2 = 0x0002
SSL3, TLS10, TLS11, TLS12, TLS13 = VERSIONS = (0x0300, 0x0301, 0x0302, 0x0303, 0x0304)
NAMES = {SSL2: "SSL 2", SSL3: "SSL 3", TLS10: "TLS 1.0", TLS11: "TLS 1.1", TLS12: "TLS 1.2", TLS13: "TLS 1.3"}
SUITES13 = (0x1301, 0x1302, 0x1303, 0x1304, 0x1305)
# Suites of TLS 1.2 with authenticated encryption: by ECDHE, and by DHE.
ECDHE_AEAD = {
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384",
    0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
    0xC030: "ECDHE-RSA-AES256-GCM-SHA384",
    0xCCA8: "ECDHE-RSA-CHACHA20-POLY1305",
    0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
    0xC0AC: "ECDHE-ECDSA-AES128-CCM",
    0xC0AD: "ECDHE-ECDSA-AES256-CCM",
    0xC0AE: "ECDHE-ECDSA-AES128-CCM8",
    0xC0AF: "ECDHE-ECDSA-AES256-CCM8",
    0xC05C: "ECDHE-ECDSA-ARIA128-GCM-SHA256",
    0xC05D: "ECDHE-ECDSA-ARIA256-GCM-SHA384",
    0xC060: "ECDHE-ARIA128-GCM-SHA256",
    0xC061: "ECDHE-ARIA256-GCM-SHA384",
}
DHE_AEAD = {
    0x009E: "DHE-RSA-AES128-GCM-SHA256",
    0x009F: "DHE-RSA-AES256-GCM-SHA384",
    0xCCAA: "DHE-RSA-CHACHA20-POLY1305",
    0xC09E: "DHE-RSA-AES128-CCM",
    0xC09F: "DHE-RSA-AES256-CCM",
    0xC0A2: "DHE-RSA-AES128-CCM8",
    0xC0A3: "DHE-RSA-AES256-CCM8",
    0xC052: "DHE-RSA-ARIA128-GCM-SHA256",
    0xC053: "DHE-RSA-ARIA256-GCM-SHA384",
    0x00A2: "DHE-DSS-AES128-GCM-SHA256",
    0x00A3: "DHE-DSS-AES256-GCM-SHA384",
    0xC056: "DHE-DSS-ARIA128-GCM-SHA256",
    0xC057: "DHE-DSS-ARIA256-GCM-SHA384",
}
# Suites of other kinds with forward secrecy.
ECDHE_OTHER = {
    0xC006: "ECDHE-ECDSA-NULL-SHA",
    0xC007: "ECDHE-ECDSA-RC4-SHA",
    0xC008: "ECDHE-ECDSA-DES-CBC3-SHA",
    0xC009: "ECDHE-ECDSA-AES128-SHA",
    0xC00A: "ECDHE-ECDSA-AES256-SHA",
    0xC010: "ECDHE-RSA-NULL-SHA",
    0xC011: "ECDHE-RSA-RC4-SHA",
    0xC012: "ECDHE-RSA-DES-CBC3-SHA",
    0xC013: "ECDHE-RSA-AES128-SHA",
    0xC014: "ECDHE-RSA-AES256-SHA",
    0xC023: "ECDHE-ECDSA-AES128-SHA256",
    0xC024: "ECDHE-ECDSA-AES256-SHA384",
    0xC027: "ECDHE-RSA-AES128-SHA256",
    0xC028: "ECDHE-RSA-AES256-SHA384",
    0xC072: "ECDHE-ECDSA-CAMELLIA128-SHA256",
    0xC073: "ECDHE-ECDSA-CAMELLIA256-SHA384",
    0xC076: "ECDHE-RSA-CAMELLIA128-SHA256",
    0xC077: "ECDHE-RSA-CAMELLIA256-SHA384",
}
DHE_OTHER = {
    0x0014: "EXP-DHE-RSA-DES-CBC-SHA",
    0x0015: "DHE-RSA-DES-CBC-SHA",
    0x0016: "DHE-RSA-DES-CBC3-SHA",
    0x0032: "DHE-DSS-AES128-SHA",
    0x0033: "DHE-RSA-AES128-SHA",
    0x0038: "DHE-DSS-AES256-SHA",
    0x0039: "DHE-RSA-AES256-SHA",
    0x0040: "DHE-DSS-AES128-SHA256",
    0x0044: "DHE-DSS-CAMELLIA128-SHA",
    0x0045: "DHE-RSA-CAMELLIA128-SHA",
    0x0067: "DHE-RSA-AES128-SHA256",
    0x006A: "DHE-DSS-AES256-SHA256",
    0x006B: "DHE-RSA-AES256-SHA256",
    0x0087: "DHE-DSS-CAMELLIA256-SHA",
    0x0088: "DHE-RSA-CAMELLIA256-SHA",
    0x009A: "DHE-RSA-SEED-SHA",
    0x00BD: "DHE-DSS-CAMELLIA128-SHA256",
    0x00BE: "DHE-RSA-CAMELLIA128-SHA256",
    0x00C3: "DHE-DSS-CAMELLIA256-SHA256",
    0x00C4: "DHE-RSA-CAMELLIA256-SHA256",
}
# The known ones among those without forward secrecy.
STATIC_AEAD = {
    0x009C: "AES128-GCM-SHA256",
    0x009D: "AES256-GCM-SHA384",
    0xC09C: "AES128-CCM",
    0xC09D: "AES256-CCM",
    0xC0A0: "AES128-CCM8",
    0xC0A1: "AES256-CCM8",
    0xC050: "ARIA128-GCM-SHA256",
    0xC051: "ARIA256-GCM-SHA384",
}
# And those that show no certificate: whoever is in between reads all of it.
STATIC = {
    0x0001: "NULL-MD5",
    0x0002: "NULL-SHA",
    0x0003: "EXP-RC4-MD5",
    0x0004: "RC4-MD5",
    0x0005: "RC4-SHA",
    0x0009: "DES-CBC-SHA",
    0x000A: "DES-CBC3-SHA",
    0x0018: "ADH-RC4-MD5",
    0x0034: "ADH-AES128-SHA",
    0x003A: "ADH-AES256-SHA",
    0x002F: "AES128-SHA",
    0x0035: "AES256-SHA",
    0x003B: "NULL-SHA256",
    0x003C: "AES128-SHA256",
    0x003D: "AES256-SHA256",
    0x0041: "CAMELLIA128-SHA",
    0x0046: "ADH-CAMELLIA128-SHA",
    0x006C: "ADH-AES128-SHA256",
    0x006D: "ADH-AES256-SHA256",
    0x0084: "CAMELLIA256-SHA",
    0x0089: "ADH-CAMELLIA256-SHA",
    0x0096: "SEED-SHA",
    0x00A6: "ADH-AES128-GCM-SHA256",
    0x00A7: "ADH-AES256-GCM-SHA384",
    0x00BA: "CAMELLIA128-SHA256",
    0x00BF: "ADH-CAMELLIA128-SHA256",
    0x00C0: "CAMELLIA256-SHA256",
    0x00C5: "ADH-CAMELLIA256-SHA256",
    0xC015: "AECDH-NULL-SHA",
    0xC018: "AECDH-AES128-SHA",
    0xC019: "AECDH-AES256-SHA",
}
NAMES13 = dict(
    zip(
        SUITES13,
        (
            "AES_128_GCM_SHA256",
            "AES_256_GCM_SHA384",
            "CHACHA20_POLY1305_SHA256",
            "AES_128_CCM_SHA256",
            "AES_128_CCM_8_SHA256",
        ),
        strict=True,
    )
)
KNOWN = {**ECDHE_AEAD, **DHE_AEAD, **ECDHE_OTHER, **DHE_OTHER, **STATIC_AEAD, **STATIC, **NAMES13}
FORWARD_SECRET = {*ECDHE_AEAD, *DHE_AEAD, *ECDHE_OTHER, *DHE_OTHER, *SUITES13}
AUTHENTICATED = {*ECDHE_AEAD, *DHE_AEAD, *STATIC_AEAD, *SUITES13}
# All that IANA has given out for TLS 1.2 and before, those that we have no name for included.
SUITES = tuple(dict.fromkeys([*KNOWN, *range(0x0001, 0x00C6), *range(0xC001, 0xC0B4), *range(0xCCA8, 0xCCAF)]))
SUITES12 = tuple(suite for suite in SUITES if suite not in SUITES13)

GROUPS = (0x001D, 0x0017, 0x0018, 0x0019, 0x001E, 0x0100, 0x0101)
SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)
NO_RENEGOTIATION, FALLBACK = 0x00FF, 0x5600
HANDSHAKE, ALERT, SERVER_HELLO, SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE = 22, 21, 2, 12, 14
# The kinds of cipher of SSL 2 (RFC 6101, appendix E), and its messages.
SUITES2 = (0x010080, 0x020080, 0x030080, 0x040080, 0x050080, 0x060040, 0x0700C0)
CLIENT_HELLO2, SERVER_HELLO2 = 1, 4
SUPPORTED_VERSIONS = 43
MOST_SUITES = 40
# A chain of certificates comes before the message that we want.
MOST_HANDSHAKE = 65536
NO_COMPRESSION, DEFLATE = 0, 1
NO_TLS = "it answers with something that is no TLS"

Connect = Callable[[], socket.socket]


class HelloError(Exception):
    """A server answers neither a hello nor an alert; the message says what it does."""


@dataclass(frozen=True)
class Hello:
    """What a server has chosen."""

    version: int
    suite: int
    compression: int = NO_COMPRESSION


def suite_name(suite: int) -> str:
    """Return a suite as OpenSSL names it, or its number."""
    return KNOWN.get(suite, f"0x{suite:04X}")


def _vector(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "big") + data


def _extension(number: int, data: bytes) -> bytes:
    return struct.pack("!H", number) + _vector(data, 2)


def _words(numbers: Iterable[int]) -> bytes:
    return b"".join(struct.pack("!H", number) for number in numbers)


def client_hello(
    name: str, version: int, suites: Sequence[int], compressions: Sequence[int] = (NO_COMPRESSION,)
) -> bytes:
    """Return the record of a ClientHello (RFC 5246, RFC 8446) that offers one version and some suites."""
    extensions = b""
    if version > SSL3:
        extensions += _extension(0, _vector(b"\0" + _vector(name.encode("ascii"), 2), 2))
        extensions += _extension(10, _vector(_words(GROUPS), 2)) + _extension(11, b"\x01\x00")
    if version >= TLS12:
        extensions += _extension(13, _vector(_words(SIGNATURES), 2))
    if version == TLS13:
        # Without a key of ours, the server asks for one, and names its suite in that.
        extensions += _extension(SUPPORTED_VERSIONS, _vector(_words([TLS13]), 1)) + _extension(51, _vector(b"", 2))
    legacy = min(version, TLS12)
    session = os.urandom(32) if version == TLS13 else b""
    ciphers = [*suites, *([] if version == TLS13 else [NO_RENEGOTIATION])]
    body = struct.pack("!H", legacy) + os.urandom(32) + _vector(session, 1)
    body += (
        _vector(_words(ciphers), 2) + _vector(bytes(compressions), 1) + (_vector(extensions, 2) if extensions else b"")
    )
    handshake = b"\x01" + _vector(body, 3)
    return struct.pack("!BHH", HANDSHAKE, min(legacy, TLS10), len(handshake)) + handshake


def _read(stream: socket.socket, number: int, end: float) -> bytes:
    got = b""
    while len(got) < number:
        stream.settimeout(max(0.001, end - time.monotonic()))
        more = stream.recv(number - len(got))
        if not more:
            raise HelloError("it hangs up")
        got += more
    return got


def _record(stream: socket.socket, end: float) -> bytes:
    """Return what is in a record of the handshake, and nothing of an alert."""
    kind, _record, length = struct.unpack("!BHH", _read(stream, 5, end))
    if kind == ALERT:
        return b""
    if kind != HANDSHAKE or not 0 < length <= 16640:
        raise HelloError(NO_TLS)
    return _read(stream, length, end)


def _parse(body: bytes) -> Hello:
    version = int.from_bytes(body[0:2], "big")
    at = 34 + 1 + body[34]
    suite, compression = int.from_bytes(body[at : at + 2], "big"), body[at + 2]
    at += 5
    while at + 4 <= len(body):
        number, length = struct.unpack("!HH", body[at : at + 4])
        if number == SUPPORTED_VERSIONS:
            version = int.from_bytes(body[at + 4 : at + 6], "big")
        at += 4 + length
    return Hello(version, suite, compression)


def ask(
    connect: Connect,
    name: str,
    version: int,
    suites: Sequence[int],
    seconds: float,
    compressions: Sequence[int] = (NO_COMPRESSION,),
) -> Hello | None:
    """Return what a server chooses of one version and some suites; nothing when it refuses all.

    `connect` returns a connection that is ready for TLS. A server that hangs up, or that says nothing for the given time,
    as coturn does, has refused. Raises HelloError when it answers something else, and what `connect` raises.
    """
    with connect() as stream:
        end = time.monotonic() + seconds
        try:
            stream.settimeout(seconds)
            stream.sendall(client_hello(name, version, suites, compressions))
            message = _record(stream, end)
            if not message:
                return None
            if len(message) < 42:
                raise HelloError(NO_TLS)
        except (HelloError, OSError) as error:
            if str(error) == NO_TLS:
                raise
            return None
    if message[0] != SERVER_HELLO:
        raise HelloError("it answers with something that is no hello")
    try:
        found = _parse(message[4:])
    except (IndexError, struct.error) as error:
        raise HelloError("its hello is broken") from error
    return found if found.version == version else None


def accepted(connect: Connect, name: str, version: int, seconds: float) -> list[int]:
    """Return the suites of a version that a server takes, in its order: it is asked until it takes none of the rest."""
    rest = list(SUITES13 if version == TLS13 else SUITES12)
    found: list[int] = []
    while rest and len(found) < MOST_SUITES:
        hello = ask(connect, name, version, rest, seconds)
        # One that chooses what was not offered would be asked for ever.
        if hello is None or hello.suite not in rest:
            break
        found.append(hello.suite)
        rest.remove(hello.suite)
    return found


def refuses_fallback(connect: Connect, name: str, versions: Iterable[int], seconds: float) -> bool | None:
    """Tell whether a server refuses a client that says it has fallen back to an older version (RFC 7507).

    `versions` are those that the server takes; with less than two, there is nothing to tell.
    """
    known = sorted(version for version in versions if version in VERSIONS)
    if len(known) < 2:
        return None
    suites = [suite for suite in SUITES12 if suite in KNOWN]
    return ask(connect, name, known[-2], [FALLBACK, *suites], seconds) is None


def compresses(connect: Connect, name: str, version: int, seconds: float) -> bool:
    """Tell whether a server compresses what it encrypts, by TLS 1.2 or older, where a client offers that (RFC 3749)."""
    hello = ask(connect, name, version, SUITES12, seconds, (DEFLATE, NO_COMPRESSION))
    return hello is not None and hello.compression != NO_COMPRESSION


def group_bits(connect: Connect, name: str, version: int, suites: Sequence[int], seconds: float) -> int:
    """Return the bits of the prime that a server has for suites of DHE (RFC 5246, section 7.4.3); 0 when it shows none.

    Raises HelloError when it answers something else, and what `connect` raises.
    """
    with connect() as stream:
        end = time.monotonic() + seconds
        got = b""
        try:
            stream.settimeout(seconds)
            stream.sendall(client_hello(name, version, suites))
            while len(got) < MOST_HANDSHAKE and (more := _record(stream, end)):
                got += more
                while len(got) >= 4 and len(got) >= 4 + (length := int.from_bytes(got[1:4], "big")):
                    kind, message, got = got[0], got[4 : 4 + length], got[4 + length :]
                    if kind == SERVER_KEY_EXCHANGE:
                        size = int.from_bytes(message[:2], "big")
                        return int.from_bytes(message[2 : 2 + size], "big").bit_length()
                    if kind == SERVER_HELLO_DONE:
                        return 0
        except (HelloError, OSError) as error:
            if str(error) == NO_TLS:
                raise
    return 0


def speaks_ssl2(connect: Connect, seconds: float) -> bool:
    """Tell whether a server answers a hello of SSL 2, whose messages are others than those of all that came later."""
    kinds = b"".join(suite.to_bytes(3, "big") for suite in SUITES2)
    body = struct.pack("!BHHHH", CLIENT_HELLO2, SSL2, len(kinds), 0, 16) + kinds + os.urandom(16)
    with connect() as stream:
        try:
            stream.settimeout(seconds)
            stream.sendall(struct.pack("!H", 0x8000 | len(body)) + body)
            head = _read(stream, 7, time.monotonic() + seconds)
        except (HelloError, OSError):
            return False
    # The length, the kind of message, whether a session is known, the kind of certificate, and the version.
    return bool(head[0] & 0x80) and head[2] == SERVER_HELLO2 and int.from_bytes(head[5:7], "big") == SSL2
