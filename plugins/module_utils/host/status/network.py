# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked by the network, the same from this host and from elsewhere: ports, STUN, pages."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import ssl
import struct
import time
import urllib.parse
from collections.abc import Iterator
from functools import partial
from typing import Any

from .. import tls
from .checks import Check, Config, Wrong

STUN_COOKIE = 0x2112A442
# How long an outdated handshake is waited for: at least so many seconds, and so many times what the good one took.
OUTDATED_SECONDS, OUTDATED_TIMES = 1.0, 5


def context_of(config: Config) -> ssl.SSLContext:
    """Return the context of a client elsewhere, which verifies; on the host itself the certificate is compared."""
    return tls.verifying(config["ca"]) if config["verify"] else tls.trusting()


@contextlib.contextmanager
def encrypted(
    address: str, port: int, name: str, protocol: str | None, context: ssl.SSLContext
) -> Iterator[ssl.SSLSocket]:
    """Yield a TLS connection as tls.connected does; what is wrong with it is a finding."""
    try:
        with tls.connected(address, port, name, context, protocol) as inside:
            yield inside
    except tls.TlsError as error:
        raise Wrong(str(error)) from error


def check_port(config: Config, port: dict[str, Any], address: str) -> str:
    """Shake hands with a port, compare its certificate, and see that it refuses TLS 1.1 and older."""
    number, name, protocol = port["port"], port["name"], port.get("protocol")
    begun = time.monotonic()
    with encrypted(address, number, name, protocol, context_of(config)) as inside:
        version, leaf = inside.version(), tls.presented(inside)
        taken = time.monotonic() - begun
    path = port.get("certificate")
    if path and not config["verify"]:
        with open(path, encoding="ascii") as stream:
            found = tls.PEM.search(stream.read())
        if not found or hashlib.sha256(leaf).digest() != hashlib.sha256(ssl.PEM_cert_to_DER_cert(found[0])).digest():
            raise Wrong(f"it serves another certificate than {path}")
    # coturn leaves an outdated client without an answer.
    patience = min(tls.SECONDS, max(OUTDATED_SECONDS, OUTDATED_TIMES * taken))
    with contextlib.suppress(tls.TlsError):
        with tls.connected(address, number, name, tls.outdated(), protocol, patience) as inside:
            old = inside.version()
        raise Wrong(f"it speaks {old}")
    return f"{version}" + (", after STARTTLS only" if protocol else "")


def check_stun(address: str, port: int) -> str:
    """Ask for a binding (RFC 8489)."""
    identity = os.urandom(12)
    request = struct.pack("!HHI", 1, 0, STUN_COOKIE) + identity
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(tls.SECONDS)
        try:
            datagrams.sendto(request, (address, port))
            answer = datagrams.recv(2048)
        except OSError as error:
            raise Wrong(f"no answer: {error}") from error
    if answer[8:20] != identity or answer[:2] != b"\x01\x01":
        raise Wrong("the reply is not a STUN binding response")
    return "answers"


def check_page(config: Config, page: str) -> str:
    """Fetch a page, its head alone."""
    host, path = urllib.parse.urlsplit(page)[1:3]
    with encrypted(config["address"], 443, host, None, context_of(config)) as inside:
        inside.sendall(f"GET {path or '/'} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head = inside.recv(4096).decode(errors="replace")
    found = re.match(r"HTTP/1\.1 (\d{3})", head)
    if not found or found[1] != "200":
        raise Wrong(f"it answers {head.splitlines()[0][:80] if head else 'nothing'}")
    return f"answers {found[1]}"


def checks(config: Config) -> Iterator[Check]:
    """Yield each port and STUN by both families of addresses, and each page."""
    for address, by in ((config["address"], ""), (config.get("address6"), " by IPv6")):
        if not address:
            continue
        place = f"[{address}]" if ":" in address else address
        for port in config["ports"]:
            number = port["port"]
            yield Check(
                f"port {number}{by}",
                partial(check_port, config, port, port.get("address", address)),
                f"ss -tlnp sport = :{number}; openssl s_client -connect {place}:{number}",
            )
        for number in config["stun"]:
            yield Check(
                f"STUN, port {number}{by}",
                partial(check_stun, address, number),
                "journalctl -u coturn -n 50",
            )
    for page in config["pages"]:
        yield Check(page, partial(check_page, config, page), "nginx -t; journalctl -t nginx -n 50")
