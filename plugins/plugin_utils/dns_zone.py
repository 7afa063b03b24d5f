# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Zones: their records, what a name server would refuse of them, and their files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns_data import (
    PIN,
    SERIAL,
    caa_data,
    check_labels,
    fields_of,
    file_of,
    owner_name,
    presentation,
    record_type,
)
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import is_inside, named

RECORD_KEYS = ("name", "type", "data", "ttl", "certificate")


def items_of(label, value, shape):
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise ValueError(f"{label}: {value!r} is not a list; write dictionaries with {shape}")
    return enumerate(value, 1)


def check_keys(value, known, what):
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not {what}; write a dictionary with {', '.join(known)}")
    for key in value:
        if key not in known:
            raise ValueError(f"{key!r} is not a key of {what}; {checks.nearest(key, known)}")


def check_record(record, zone):
    """Returns a record with its keys checked, its name relative, and its data as given."""
    if not isinstance(record, Mapping):
        raise ValueError(f"{record!r} is not a record; write a dictionary with name, type and data")
    for key in record:
        if key not in RECORD_KEYS:
            raise ValueError(f"{key!r} is not a key of a record; {checks.nearest(key, RECORD_KEYS)}")
    name = owner_name(record.get("name"), zone)
    kind = named(name, record_type, record.get("type"))
    if kind in ("A", "AAAA", "MX") and re.search("[_/]", name):
        raise ValueError(
            f"{name} {kind}: {name!r} is not the name of a host; write letters, digits and hyphens (RFC 1123)"
        )
    if kind in ("NS", "DNAME") and name.startswith("*"):
        raise ValueError(
            f"{name} {kind}: a wildcard neither delegates nor redirects; write each name (RFC 4592, section 4)"
        )
    data = record.get("data")
    if not isinstance(data, str) or (not data and kind != "TXT"):
        raise ValueError(f"{name} {kind}: {data!r} is not a record's data; write it as text, in quotes")
    named(f"{name} {kind}", lambda text: presentation(kind, text, zone), str(data))
    checked = {"name": name, "type": str(kind), "data": str(data)}
    if record.get("ttl") is not None:
        checked["ttl"] = named(f"{name} {kind}: ttl", checks.ttl, record["ttl"])
    certificate = record.get("certificate")
    if certificate is not None:
        checked["certificate"] = checks.text(certificate, "the path of a certificate", "/etc/ssl/fullchain.pem")
    if kind == "TLSA" and (PIN in data) != (certificate is not None):
        raise ValueError(f"{name} TLSA: {PIN} and a certificate belong together; write both or none")
    if kind not in ("TLSA", "CAA") and certificate is not None:
        raise ValueError(f"{name} {kind}: no certificate belongs to it; leave it out")
    return checked


class Owners:
    """Which types a name of a zone is answered with; names are relative to the zone, @ for the zone itself."""

    def __init__(self, records):
        self.types = {"@": {"SOA"}}
        for record in records:
            self.types.setdefault(record["name"], set()).add(record["type"])
        # A name exists when one below it does (empty non-terminals, RFC 4592, section 2.2.2).
        self.existing = {above for name in self.types for above in _upwards(name)}

    def leads_to(self, name):
        """The delegation (NS) or redirection (DNAME) that hides what this zone has at a name, or None."""
        for above in reversed(list(_upwards(name))):
            types = self.types.get(above, ())
            if above != "@" and "NS" in types:
                return above
            if above != name and "DNAME" in types:
                return above
        return None

    def at(self, name):
        """The types at a name: its own, or those of the wildcard of its closest encloser (RFC 4592, section 3.3.1)."""
        if name in self.existing:
            return self.types.get(name, set())
        encloser = next(above for above in _upwards(name) if above in self.existing)
        return self.types.get("*" if encloser == "@" else f"*.{encloser}", set())


def _upwards(name):
    """A relative name and every name above it, up to the zone itself."""
    while name != "@":
        yield name
        name = name.partition(".")[2] or "@"
    yield "@"


def check_records(records, zone):
    """Returns checked records, each once; refuses what a name server would refuse."""
    if isinstance(records, (str, Mapping)) or not isinstance(records, Sequence):
        raise ValueError(f"records: {records!r} is not a list; write dictionaries with name, type and data")
    checked, seen = [], {}
    for number, given in enumerate(records, 1):
        record = named(f"record {number}", lambda item: check_record(item, zone), given)
        key = (
            record["name"],
            record["type"],
            presentation(record["type"], record["data"], zone),
            record.get("certificate"),
        )
        if key not in seen:
            seen[key] = record
            checked.append(record)
    owners = Owners(checked)
    times: dict[tuple[str, str], int] = {}
    for record in checked:
        ttl = times.setdefault((record["name"], record["type"]), record.get("ttl"))
        if ttl != record.get("ttl"):
            raise ValueError(
                f"{record['name']} {record['type']}: its records have different TTLs; give all the same (RFC 2181)"
            )
    aliases = [record["name"] for record in checked if record["type"] == "CNAME"]
    for name in aliases:
        others = sorted(owners.types[name] - {"CNAME"})
        if others or aliases.count(name) > 1:
            raise ValueError(
                f"{name} CNAME: an alias allows no other record at its name, and there is "
                f"{', '.join(others) or 'another'}; leave out the one or the other (RFC 1034, section 3.6.2)"
            )
    for record in checked:
        above = owners.leads_to(record["name"])
        if above and "DNAME" in owners.types[above] and above != record["name"]:
            raise ValueError(
                f"{record['name']} {record['type']}: {above} DNAME leads everything below it elsewhere; leave out the one or the "
                "other (RFC 6672, section 2.4)"
            )
        if (
            record["type"] == "DNAME"
            and sum(other["type"] == "DNAME" and other["name"] == record["name"] for other in checked) > 1
        ):
            raise ValueError(
                f"{record['name']} DNAME: there is another; a name leads to one place (RFC 6672, section 2.4)"
            )
        if record["type"] in ("NS", "MX", "SRV"):
            target = presentation(record["type"], record["data"], zone).split()[-1]
            if is_inside(target[:-1], zone):
                name = owner_name(target, zone)
                cut = owners.leads_to(name)
                # Another server has the addresses below a delegation; only its own name needs one here (glue), and a
                # wildcard gives none.
                if cut and "NS" in owners.types[cut] and record["type"] != "NS":
                    continue
                types = owners.types.get(name, set()) if cut else owners.at(name)
                if not types & {"A", "AAAA"}:
                    raise ValueError(
                        f"{record['name']} {record['type']}: its target {target} has no address in the zone; add an A "
                        "or AAAA record for it, or name another host"
                    )
    return checked


def _soa(soa):
    if not isinstance(soa, Mapping):
        raise ValueError(f"soa: {soa!r} is not a dictionary; write mname, rname, refresh, retry, expire and minimum")
    names = []
    for key in ("mname", "rname"):
        value = soa.get(key)
        if not isinstance(value, str) or not value.endswith("."):
            raise ValueError(f"soa.{key}: {value!r} is not an absolute name; write for example 'ns1.example.org.'")
        # A dot within the mailbox's local part is escaped (RFC 1035, section 8).
        named(f"soa.{key}", check_labels, re.sub(r"[+]", "-", value[:-1].replace("\\.", "-")))
        names.append(str(value))
    times = [str(named(f"soa.{key}", checks.ttl, soa.get(key))) for key in ("refresh", "retry", "expire", "minimum")]
    return " ".join([*names, SERIAL, *times])


def _pins(pins):
    """Returns the digests that are to be published of each certificate."""
    pins = {} if pins is None else pins
    if not isinstance(pins, Mapping):
        raise ValueError(f"pins: {pins!r} is not a dictionary; write the path of a certificate and its digests")
    checked = {}
    for path, given in pins.items():
        several = isinstance(given, Sequence) and not isinstance(given, str)
        checked[path] = list(given) if several else [given]
        for pin in checked[path]:
            if not isinstance(pin, str) or not re.fullmatch("[0-9a-f]{64}", pin):
                raise ValueError(f"pins: {pin!r} for {path!r} is not a digest; write 64 lower-case hexadecimal digits")
    return checked


def _accounts(accounts):
    """Returns the ACME accounts that order each certificate."""
    accounts = {} if accounts is None else accounts
    if not isinstance(accounts, Mapping):
        raise ValueError(
            f"accounts: {accounts!r} is not a dictionary; write the path of a certificate and its accounts"
        )
    for path, several in accounts.items():
        for _number, account in items_of(f"accounts: {path}", several, "identities, uri and method"):
            uri, method = account.get("uri"), account.get("method")
            if not isinstance(uri, str) or not re.fullmatch(r"[a-z]+:[!#-:<-\[\]-~]+", uri):
                raise ValueError(f"accounts: {uri!r} for {path!r} is not the URI of an ACME account")
            if method not in ("dns-01", "http-01"):
                raise ValueError(f"accounts: {method!r} for {path!r} is not a method; write dns-01 or http-01")
    return accounts


def _issuers(data, accounts):
    """Returns what a CAA record becomes that lets these accounts alone order (RFC 8657)."""
    flags, tag, value = fields_of(data, 3, '0 issue "ca.example.net"')
    issuer = value.strip('"')
    ours = [account for account in accounts if tag == "issue" and issuer in account["identities"]]
    return [
        caa_data(f'{flags} {tag} "{issuer}; accounturi={account["uri"]}; validationmethods={account["method"]}"')
        for account in ours
    ] or [data]


def zone_records(zone, pins=None, accounts=None):
    """Returns the zone's name, its TTL, and its records with their data as in a zone file: name, TTL or nothing, type, data."""
    if not isinstance(zone, Mapping):
        raise ValueError(f"{zone!r} is not a zone; write a dictionary with name, ttl, soa and records")
    name = named("name", checks.zone_name, zone.get("name"))
    pins, accounts = _pins(pins), _accounts(accounts)
    ttl = named("ttl", checks.ttl, zone.get("ttl"))
    rows = []
    for record in check_records(zone.get("records"), name):
        data = presentation(record["type"], record["data"], name)
        # While a key is rolled, its record and that of the next one are there, side by side (RFC 7671, section 8.4).
        several = [data]
        if "certificate" in record and record["type"] == "CAA":
            several = _issuers(data, accounts.get(record["certificate"], ()))
        elif "certificate" in record:
            several = [data.replace(PIN, pin) for pin in pins.get(record["certificate"], ())]
        rows += [(record["name"], record.get("ttl"), record["type"], one) for one in several]
    # Two certificates may have the same key.
    return name, ttl, list(dict.fromkeys(rows))


def of_certificates(certificates):
    """Returns what zones need of what certificate_facts says: the digests and the accounts of each certificate."""
    there = {path: facts for path, facts in (certificates or {}).items() if facts["present"]}
    return (
        {path: facts["pins"] for path, facts in there.items()},
        {path: facts.get("accounts", ()) for path, facts in there.items()},
    )


def dns_zone_file(zone, pins=None, accounts=None):
    """Returns the text of a zone's file."""
    name, ttl, rows = zone_records(zone, pins, accounts)
    lines = [f"$ORIGIN {name}.", f"$TTL {ttl}", f"@ IN SOA {_soa(zone.get('soa'))}"]
    for owner, own_ttl, kind, data in rows:
        lines.append(f"{owner} {'' if own_ttl is None else f'{own_ttl} '}IN {kind} {data}")
    return "\n".join(lines) + "\n"


def dns_zone_files(zones, directory, certificates=None, group="bind"):
    """Returns the zones as entries of config_tree's option files."""
    names = [zone["name"] for zone in zones]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is listed twice; put all records into one zone")
    pins, accounts = of_certificates(certificates)
    return {
        f"{directory}/{file_of(zone['name'])}.zone": {
            "content": dns_zone_file(zone, pins, accounts),
            "serial": SERIAL,
            "group": group,
            "mode": "0640",
            # Its default asks the resolver about names of others, and waits where that cannot answer: a blank name server
            # may be the one that it would have to ask.
            "validate": ["named-checkzone", "-i", "local", zone["name"], "%s"],
        }
        for zone in zones
    }
