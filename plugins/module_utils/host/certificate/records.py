# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the DNS says of the site: TLSA records, and the name servers that serve them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .. import dns
from .errors import Refused


class Served(NamedTuple):
    """The TLSA records of a name as one name server has them."""

    server: str
    name: str
    pins: set[str]
    ttl: int


def pins(records: Iterable[str]) -> set[str]:
    """Return the digests of keys (3 1 1) that TLSA records name."""
    joined = ("".join(record.split()).lower() for record in records)
    return {text[3:] for text in joined if text.startswith("311")}


class Records:
    """Records as the site's own name server has them, and for what it does not know, as the host's resolver has them."""

    def __init__(self, server: str) -> None:
        self.server = server

    def look_up(self, name: str, kind: str) -> list[str]:
        """Return the texts of a name's records."""
        errors = []
        for server in dict.fromkeys([self.server, ""]):
            try:
                return dns.ask(server, name, kind).texts
            except dns.DnsError as error:
                errors.append(str(error))
        raise Refused("; ".join(errors))

    def has(self, name: str, kind: str) -> bool:
        """Tell whether the site's own name server has a record."""
        try:
            return bool(dns.ask(self.server, name, kind).records)
        except dns.DnsError:
            return False

    def name_servers(self, name: str) -> dict[str, list[str]]:
        """Return the name servers of the zone that a name is in, each with its addresses."""
        labels = name.split(".")
        for first in range(len(labels)):
            if servers := self.look_up(".".join(labels[first:]), "NS"):
                return {
                    server: [address for kind in ("A", "AAAA") for address in self.look_up(server, kind)]
                    for server in sorted(servers)
                }
        raise Refused(f"no zone of {name} is found in the DNS")

    def published(self, names: Sequence[str]) -> Iterator[Served]:
        """Yield what each address of each name server serves as TLSA records of each name."""
        for name in names:
            for server, addresses in self.name_servers(name).items():
                answers, errors = [], []
                for address in addresses:
                    try:
                        answers.append(dns.ask(address, name, "TLSA"))
                    except dns.DnsError as error:
                        errors.append(str(error))
                # One that has an address of a family that this host cannot reach is asked at its other one.
                if not answers:
                    reasons = "; ".join(errors) or "it has no address"
                    raise Refused(f"the name server {server} does not answer: {reasons}")
                for answer in answers:
                    ttl = max([ttl for ttl, _text in answer.records], default=0)
                    yield Served(server, name, pins(answer.texts), ttl)
