# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows signatures of DNSSEC from a zone up to the root, and says where they end (RFC 4035), by python3-dnspython."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset

from . import words
from .dns import PORT, DnsError

ROOT_DS = "/usr/share/dns/root.ds"
# A chain of more zones than this goes round in a circle.
MOST_ZONES = 12


class Insecure(Exception):
    """A zone is not signed, or nothing leads to its signatures; the message says which zone, and what is missing."""


class Bogus(Exception):
    """Signatures are there, and wrong; the message says whose, and why."""


class Signed(NamedTuple):
    """Records of a name, and their signatures."""

    records: dns.rrset.RRset | None
    signatures: dns.rrset.RRset | None


Fetch = Callable[[dns.name.Name, str], Signed]


def fetcher(server: str, end: float, recurse: bool = True) -> Fetch:
    """Return what asks a server, or the host's resolver, for records and their signatures until a moment. Raises DnsError."""
    try:
        places = [server] if server else [str(one) for one in dns.resolver.Resolver().nameservers]
    except dns.exception.DNSException as error:
        raise DnsError(f"/etc/resolv.conf names no resolver: {error}") from error

    def fetch(name: dns.name.Name, kind: str) -> Signed:
        question = dns.message.make_query(name, kind, want_dnssec=True)
        # What is wrong is for us to say, and not for the resolver to keep from us.
        question.flags |= dns.flags.CD
        if not recurse:
            question.flags &= ~dns.flags.RD
        reason = "no answer"
        for place in places:
            seconds = min(2.0, end - time.monotonic())
            if seconds <= 0:
                break
            try:
                message, _tcp = dns.query.udp_with_fallback(question, place, timeout=seconds, port=PORT)
            except (dns.exception.DNSException, OSError, ValueError) as error:
                reason = "no answer" if isinstance(error, dns.exception.Timeout) else f"no answer ({error})"
                continue
            if message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                reason = dns.rcode.to_text(message.rcode())
                continue
            wanted = dns.rdatatype.from_text(kind)
            records = message.get_rrset(message.answer, name, dns.rdataclass.IN, wanted)
            signatures = message.get_rrset(message.answer, name, dns.rdataclass.IN, dns.rdatatype.RRSIG, wanted)
            return Signed(records, signatures)
        raise DnsError(f"{server or 'the resolver'} does not tell the {kind} records of {name}: {reason}")

    return fetch


def _validate(found: Signed, keys: dns.rrset.RRset, zone: dns.name.Name, what: str) -> None:
    if found.records is None or found.signatures is None:
        raise Bogus(f"{what} of {zone} are not signed")
    try:
        dns.dnssec.validate(found.records, found.signatures, {zone: keys})
    except dns.exception.DNSException as error:
        now = time.time()
        ends = [signature.expiration for signature in found.signatures]
        if ends and max(ends) < now:
            raise Bogus(f"the signatures of {what} of {zone} have expired") from error
        if all(signature.inception > now for signature in found.signatures):
            raise Bogus(
                f"the signatures of {what} of {zone} are not valid yet: see whether the clock is right"
            ) from error
        raise Bogus(f"the signatures of {what} of {zone} fit no key of it: {error}") from error


def zone_of(fetch: Fetch, name: dns.name.Name) -> dns.name.Name:
    """Return the zone in which a name is. Raises DnsError."""
    while fetch(name, "SOA").records is None and name != dns.name.root:
        name = name.parent()
    return name


def zone_keys(fetch: Fetch, zone: dns.name.Name) -> Signed:
    """Return the keys of a zone, which have signed themselves. Raises Insecure, Bogus and DnsError."""
    keys = fetch(zone, "DNSKEY")
    if keys.records is None:
        raise Insecure(f"{zone} has no keys: it is not signed")
    _validate(keys, keys.records, zone, "the keys")
    return keys


def check_records(fetch: Fetch, zone: dns.name.Name, name: dns.name.Name, kind: str, keys: Signed) -> None:
    """See that records of a zone are signed by its keys. Raises Bogus and DnsError."""
    found = fetch(name, kind)
    if found.records is not None and keys.records is not None:
        _validate(found, keys.records, zone, f"{kind} of {name}")


# Of a DS record; a digest by SHA-1 is followed by nobody any more (RFC 8624).
DIGESTS = {2: "SHA256", 4: "SHA384"}


def _fits(key: object, digest: object, zone: dns.name.Name) -> bool:
    algorithm = DIGESTS.get(digest.digest_type)  # type: ignore[attr-defined]
    if not algorithm:
        return False
    own = dns.dnssec.make_ds(zone, key, algorithm)  # type: ignore[arg-type]
    return all(
        getattr(own, name) == getattr(digest, name) for name in ("key_tag", "algorithm", "digest_type", "digest")
    )


def _is(key: object, other: object, _zone: dns.name.Name) -> bool:
    return all(getattr(key, name) == getattr(other, name) for name in ("flags", "protocol", "algorithm", "key"))


def named_keys(fetch: Fetch, zone: dns.name.Name, keys: Signed) -> list[int]:
    """Return the tags of the keys that a zone asks the zone above to trust, by CDS and CDNSKEY (RFC 7344, RFC 8078).

    Raises Insecure where it asks for none, Bogus where it asks for others than it has and signs with, and DnsError.
    """
    assert keys.records is not None and keys.signatures is not None
    named: dict[str, set[int]] = {}
    for kind in ("CDS", "CDNSKEY"):
        found = fetch(zone, kind)
        if found.records is None:
            continue
        _validate(found, keys.records, zone, kind)
        named[kind] = set()
        for record in found.records:
            if record.algorithm == 0:
                raise Bogus(f"the zone above {zone} is asked by {kind} to give up the signatures")
            fitting = [key for key in keys.records if (_fits if kind == "CDS" else _is)(key, record, zone)]
            if not fitting:
                raise Bogus(f"a key in {kind} of {zone} is none of its keys")
            named[kind].update(dns.dnssec.key_id(key) for key in fitting)
    if not named:
        raise Insecure(f"{zone} has neither CDS nor CDNSKEY")
    if len(named) == 2 and named["CDS"] != named["CDNSKEY"]:
        raise Bogus(f"CDS and CDNSKEY of {zone} name different keys")
    tags = set.union(*named.values())
    if not tags & {signature.key_tag for signature in keys.signatures}:
        raise Bogus(f"{' and '.join(named)} of {zone} name no key that signs its keys")
    return sorted(tags)


def climb(fetch: Fetch, zone: dns.name.Name, keys: Signed) -> list[str]:
    """Follow the signatures of a zone's keys to the root, and return the zones on the way.

    Raises Insecure where a zone above does not vouch for the next, Bogus where it vouches for other keys, and DnsError.
    """
    way = [zone.to_text()]
    while zone != dns.name.root:
        if len(way) > MOST_ZONES:
            raise Bogus(f"the way to the root is longer than {words.count(MOST_ZONES, 'zone')}")
        digests = fetch(zone, "DS")
        if digests.records is None:
            raise Insecure(f"the zone above {zone} has no DS record for it, so that nobody follows its signatures")
        assert keys.records is not None
        if all(digest.digest_type not in DIGESTS for digest in digests.records):
            raise Insecure(f"the DS record of {zone} has no digest that is followed, of SHA-256 or SHA-384")
        fitting = [key for key in keys.records if any(_fits(key, digest, zone) for digest in digests.records)]
        if not fitting:
            raise Bogus(f"the DS record of {zone} fits none of its keys")
        if digests.signatures is None:
            raise Bogus(f"the DS record of {zone} is not signed")
        parent = digests.signatures[0].signer
        if not zone.is_subdomain(parent) or parent == zone:
            raise Bogus(f"the DS record of {zone} is signed by {parent}, which is not above it")
        above = zone_keys(fetch, parent)
        assert above.records is not None
        _validate(digests, above.records, parent, f"the DS record of {zone}")
        zone, keys = parent, above
        way.append(zone.to_text())
    return way


def root_is_known(keys: Signed) -> bool:
    """Tell whether the keys of the root are those that Debian knows (package dns-root-data)."""
    try:
        with open(ROOT_DS, encoding="ascii") as stream:
            known = stream.read().upper().split()
    except OSError:
        return False
    return any(
        dns.dnssec.make_ds(dns.name.root, key, "SHA256").digest.hex().upper() in known for key in keys.records or ()
    )
