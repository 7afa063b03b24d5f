# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any domain of XMPP, as it is found in the DNS: what xmpp-status looks at in place of the configuration."""

from __future__ import annotations

import socket
import time
from typing import Any

from .. import dns
from .checks import Config
from .probes.names import SRV

STREAMS = {"xmpp-client": "jabber:client", "xmpp-server": "jabber:server"}
SECONDS = 2.0


class NoDomain(Exception):
    """A name is no domain of XMPP; the message says why."""


def a_labels(name: str) -> str:
    """Return a domain as DNS has it. Raises NoDomain."""
    try:
        encoded = name.strip().rstrip(".").lower().encode("idna").decode("ascii")
    except UnicodeError as error:
        raise NoDomain(f"{name!r} is no domain: {error}; write one as example.org") from error
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    if "." not in encoded or len(encoded) > 253 or not set(encoded) <= allowed or encoded.startswith(("-", ".")):
        raise NoDomain(f"{name!r} is no domain; write one as example.org")
    return encoded


def _addresses(name: str, end: float) -> list[str]:
    found: list[str] = []
    for kind in ("A", "AAAA"):
        seconds = min(SECONDS, end - time.monotonic())
        if seconds > 0:
            try:
                found += dns.ask("", name, kind, seconds=seconds, tries=1).texts
            except dns.DnsError:
                continue
    # An alias leads to a name, whose addresses come with it.
    return [text for text in found if text.replace(".", "").isdigit() or ":" in text]


def _place(domain: str, label: str, end: float) -> tuple[str, int] | None:
    """Return where a service of a domain is: the first target of its SRV records, or the domain's own port."""
    answer = dns.ask("", f"_{label}._tcp.{domain}", "SRV", seconds=SECONDS, tries=1)
    fields = sorted((text.split() for text in answer.texts), key=lambda field: int(field[0]))
    if fields:
        target, port = fields[0][3].rstrip("."), int(fields[0][2])
        return (target, port) if target else None
    if label not in STREAMS:
        return None
    try:
        return domain, socket.getservbyname(label, "tcp")
    except OSError:
        return None


def config_of(name: str, seconds: float = 6.0) -> Config:
    """Return a configuration of the self-test for a domain that others run. Raises NoDomain."""
    domain, end = a_labels(name), time.monotonic() + seconds
    ports: list[dict[str, Any]] = []
    known: dict[str, int] = {}
    addresses: dict[str, str] = {}
    services = ["dns"]
    try:
        for service, labels in SRV.items():
            for label in labels:
                place = _place(domain, label, end)
                at = _addresses(place[0], end) if place else []
                if not place or not at:
                    continue
                services += [service] if service not in services else []
                known[label], addresses[label] = place[1], at[0]
                port = {"port": place[1], "name": domain, "target": place[0], "address": at[0]}
                ports.append({**port, "protocol": STREAMS[label]} if label in STREAMS else port)
    except dns.DnsError as error:
        raise NoDomain(f"{domain}: {error}") from error
    if not ports:
        raise NoDomain(f"{domain} has no XMPP server: neither SRV records nor an address of its own")
    promises = {
        "domains": [{"domain": domain, "web": domain, "components": {}}],
        **{"services": services, "ports": known, "addresses": addresses, "tls_policy": "strict"},
        **{"registration": "closed", "authority": "public", "authorities": None, "relay_secret": "", "waived": []},
    }
    empty: dict[str, list[object]] = {
        key: [] for key in ("units", "stun", "pages", "zones", "certificates", "commands", "disks", "states")
    }
    return {
        **empty,
        **{"host": domain, "address": ports[0]["address"], "address6": "", "dns_server": "", "verify": True},
        **{"ca": "", "updates": "", "ports": ports, "promises": promises},
    }
