# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to name servers, by python3-dnspython (2.3 on Debian 12, 2.7 on Debian 13)."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

PORT = 53
SECONDS = 3
TRIES = 2


class DnsError(Exception):
    """A name server gives no answer that says whether there are records; the message says why."""


@dataclass(frozen=True)
class Answer:
    """The records of a type at a name: each as TTL and text, and when the last of their signatures expires."""

    status: str
    records: list[tuple[int, str]]
    # Seconds since 1970; None where nothing is signed, or signatures were not asked for.
    signed_until: int | None = None
    validated: bool = False

    @property
    def texts(self) -> list[str]:
        return [text for _ttl, text in self.records]


def _servers(server: str) -> list[str]:
    if server:
        return [server]
    try:
        return [str(one) for one in dns.resolver.Resolver().nameservers]
    except dns.exception.DNSException as error:
        raise DnsError(f"/etc/resolv.conf names no resolver: {error}") from error


def _connected(server: str) -> socket.socket:
    """Return a socket that is told at once when a server's port is closed; one that is not connected waits in vain."""
    datagrams = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.setblocking(False)
    try:
        datagrams.connect((server, PORT))
    except OSError:
        datagrams.close()
        raise
    return datagrams


def ask(
    server: str,
    name: str,
    kind: str,
    *,
    signatures: bool = False,
    recurse: bool = True,
    seconds: float = SECONDS,
    tries: int = TRIES,
) -> Answer:
    """Return the records of a name as a server has them; without a server, the host's resolver is asked.

    `signatures` asks for those, too (RFC 4035); `recurse` is off for a server that is to say what it knows itself. A name
    that does not exist has no records. Raises DnsError when no server answers, or answers neither.
    """
    question = dns.message.make_query(name, kind, want_dnssec=signatures)
    question.flags |= dns.flags.AD
    if not recurse:
        question.flags &= ~dns.flags.RD
    reason = "no answer"
    for _try in range(tries):
        for place in _servers(server):
            try:
                with _connected(place) as datagrams:
                    message, _tcp = dns.query.udp_with_fallback(
                        question, place, timeout=seconds, port=PORT, udp_sock=datagrams
                    )
            except (dns.exception.DNSException, OSError, ValueError) as error:
                detail = getattr(error, "strerror", None) or str(error)
                reason = "no answer" if isinstance(error, dns.exception.Timeout) else f"no answer ({detail})"
                continue
            status = dns.rcode.to_text(message.rcode())
            if status in ("NOERROR", "NXDOMAIN"):
                return _answer(message, status, kind)
            reason = status
    raise DnsError(f"{server or 'the resolver'} does not tell the {kind} records of {name}: {reason}")


def _answer(message: dns.message.Message, status: str, kind: str) -> Answer:
    wanted = dns.rdatatype.from_text(kind)
    records: list[tuple[int, str]] = []
    ends: list[int] = []
    for records_of_name in message.answer:
        if records_of_name.rdtype == wanted:
            records += [(records_of_name.ttl, record.to_text()) for record in records_of_name]
        elif records_of_name.rdtype == dns.rdatatype.RRSIG:
            ends += [record.expiration for record in records_of_name if record.type_covered == wanted]
    return Answer(status, records, max(ends, default=None), bool(message.flags & dns.flags.AD))
