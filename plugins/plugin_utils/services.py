# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services of a host and their ports: the only table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Port(NamedTuple):
    """A port of a service."""

    name: str  # IANA's name of the protocol where it has one
    service: str  # the model's
    number: int
    transports: tuple[str, ...] = ("tcp",)
    # A connection begins with TLS, or asks for it by STARTTLS in an XMPP stream of this namespace.
    tls: bool = False
    stream: str = ""
    # Of a range.
    last: int = 0


PORTS = (
    # RFC 6120; XEP-0368 for direct TLS.
    Port("xmpp-client", "client", 5222, stream="jabber:client"),
    Port("xmpps-client", "client", 5223, tls=True),
    Port("xmpp-server", "server", 5269, stream="jabber:server"),
    Port("xmpps-server", "server", 5270, tls=True),
    Port("http", "web", 80),
    Port("https", "web", 443, tls=True),
    Port("domain", "dns", 53, ("tcp", "udp")),
    # XEP-0065.
    Port("proxy65", "proxy", 5000),
    # RFC 8489, section 8.1, and RFC 5928.
    Port("stun", "turn", 3478, ("udp", "tcp")),
    Port("stuns", "turns", 5349, tls=True),
    Port("turn", "turn", 3478, ("udp", "tcp")),
    Port("turns", "turns", 5349, tls=True),
    # RFC 8656: relayed packets come in at the dynamic ports, and from anybody.
    Port("turn-relay", "turn", 49152, ("udp",), last=65535),
)
# Prosody's HTTP, on the loopback, for nginx.
INTERNAL = (Port("prosody-http", "web", 5280),)
SERVICES = tuple(dict.fromkeys(port.service for port in PORTS))
# XMPP's own, which have SRV records at each domain and component.
XMPP = tuple(port for port in PORTS if port.service in ("client", "server"))
TURN = tuple(port for port in PORTS if port.service in ("turn", "turns") and not port.last)


def numbers(service: str, transport: str) -> list[int | str]:
    """Returns the ports of a service as firewall rules have them."""
    found = [port for port in PORTS if port.service == service and transport in port.transports and not port.last]
    return list(dict.fromkeys(port.number for port in found))


def span(name: str) -> str:
    """Returns a range of ports as firewall rules have it."""
    return next(f"{port.number}-{port.last}" for port in PORTS if port.name == name)


def port(name: str, last: bool = False) -> int:
    """Returns the number of a port, or the last one of its range."""
    found = next((item for item in (*PORTS, *INTERNAL) if item.name == name), None)
    if found is None:
        known = ", ".join(dict.fromkeys(item.name for item in (*PORTS, *INTERNAL)))
        raise ValueError(f"{name!r} is not a port; write one of {known}")
    if last and not found.last:
        raise ValueError(f"{name!r} is one port and not a range; leave last out")
    return found.last if last else found.number


def tls_ports(services: Sequence[str], names: Mapping[str, str] | None = None, certificate: str = "") -> list[dict]:
    """Returns the ports of services that have a certificate: port, protocol where there is STARTTLS, and what else is given."""
    if isinstance(services, str) or not isinstance(services, Sequence):
        raise ValueError(f"services: {services!r} is not a list; write for example ['client', 'server']")
    names = {} if names is None else names
    if not isinstance(names, Mapping):
        raise ValueError(f"names: {names!r} is not a dictionary; write for example {{'web': 'www.example.org'}}")
    found: dict[int, dict] = {}
    for item in PORTS:
        if item.service in services and (item.tls or item.stream):
            own = {"protocol": item.stream, "name": names.get(item.service, ""), "certificate": certificate}
            found[item.number] = {"port": item.number, **{key: value for key, value in own.items() if value}}
    return list(found.values())
