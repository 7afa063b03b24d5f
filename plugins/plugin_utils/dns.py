# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DNS zones from the site model."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns_data import PIN, owner_name
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns_zone import (
    Owners,
    check_keys,
    check_record,
    check_records,
    items_of,
)
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.formats.dns import ca_domain
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import is_inside, named, names_of, web_of
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.services import SERVICES, TURN, XMPP
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.services import port as number_of

ZONE_KEYS = ("name", "records", "nameservers", "hostmaster", "ttl")
# The numbers of RFC 4255, RFC 6594 and RFC 7479.
SSH_ALGORITHMS = {
    "ssh-rsa": 1,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-ed25519": 4,
}
SOA_TIMES = {"refresh": 7200, "retry": 3600, "expire": 1209600}


def _soa_values(nameservers, hostmaster, ttl):
    """Returns the SOA record's values but the serial, which the host counts."""
    hostmaster = named("hostmaster", checks.bare_jid, hostmaster)
    local, _at, mail_domain = hostmaster.rpartition("@")
    if not re.fullmatch(r"[A-Za-z0-9._+-]{1,63}", local):
        raise ValueError(f"hostmaster: {hostmaster!r} is not a mailbox; write for example 'hostmaster@example.org'")
    return {
        "mname": f"{nameservers[0]}.",
        "rname": local.replace(".", "\\.") + f".{checks.xmpp_domain(mail_domain)}.",
        **SOA_TIMES,
        "minimum": min(ttl, 3600),
    }


_nameservers = checks.list_of(checks.host_name, "name servers", "['ns1.example.org']", False)


def ssh_fingerprint(key):
    """Returns the data of the SSHFP record of an OpenSSH public key (RFC 4255, RFC 6594, RFC 7479)."""
    hint = "write what is in /etc/ssh/ssh_host_ed25519_key.pub, for example 'ssh-ed25519 AAAA…'"
    checks.text(key, "an SSH public key", "ssh-ed25519 AAAA…")
    encoded = next((part for part in key.split() if part.startswith("AAAA")), "")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except ValueError:
        blob = b""
    length = int.from_bytes(blob[:4], "big")
    kind = blob[4 : 4 + length].decode("ascii", "replace")
    if len(blob) <= 4 + length or kind not in SSH_ALGORITHMS:
        raise ValueError(f"{str(key)[:60]!r} is not an SSH public key of a known kind; {hint}")
    return f"{SSH_ALGORITHMS[kind]} 2 {hashlib.sha256(blob).hexdigest()}"


def dns_zones(
    domains,
    hostname,
    addresses,
    certificate_authorities=None,
    certificates=(),
    nameservers=None,
    hostmaster=None,
    ttl=3600,
    records=(),
    services=("client", "server", "web"),
    host_keys=(),
    private_addresses=False,
):
    """Returns the zones that a host with these domains must publish."""
    entries = named("domains", checks.domains, domains)
    hostname = named("hostname", checks.host_name, hostname)
    addresses = named("addresses", lambda value: checks.public_addresses(value, private_addresses), addresses)
    services = named("services", checks.list_of(_service, "services", "['client', 'server', 'web']"), services)
    names = [entry["domain"] for entry in entries]
    # A domain below another one is in the zone of that one.
    apexes = [name for name in names if not any(name != other and is_inside(name, other) for other in names)]
    zones: dict[str, list[dict]] = {apex: [] for apex in apexes}
    for entry in entries:
        for kind, name in entry.get("components", {}).items():
            if not any(name.endswith(f".{zone}") for zone in apexes):
                raise ValueError(
                    f"{entry['domain']}: components.{kind}: {name!r} is not inside the zone {entry['domain']}; write a "
                    f"name that ends in '.{entry['domain']}'"
                )
    nameservers = named("nameservers", _nameservers, [hostname] if nameservers is None else nameservers)
    ttl = named("ttl", checks.ttl, ttl)

    def zone_of(name):
        return next((apex for apex in apexes if is_inside(name, apex)), None)

    def add(name, kind, data, prefix="", **rest):
        zone = zone_of(name)
        if zone is not None:
            relative = owner_name(f"{name}.", zone)
            owner = f"{prefix}.{relative}" if prefix and relative != "@" else prefix or relative
            zones[zone].append({"name": owner, "type": kind, "data": data, **rest})

    for apex in apexes:
        for name in nameservers:
            add(apex, "NS", f"{name}.")
    xmpp = names_of(entries)
    uploads = [entry["components"]["upload"] for entry in entries if "upload" in entry.get("components", {})]
    fronts = [web_of(entry) for entry in entries]
    web = [*fronts, *uploads] if "web" in services else []
    # Another server has the address of a domain whose website is there.
    elsewhere = set(names) - set(fronts)
    hosts = list(dict.fromkeys([*fronts, hostname, *(name for name in xmpp if name not in elsewhere)]))
    for name in hosts:
        for address in addresses:
            add(name, "AAAA" if ":" in address else "A", address)
    for name in xmpp:
        for port in XMPP:
            if port.service in services:
                add(name, "SRV", f"0 5 {port.number} {hostname}.", f"_{port.name}._tcp")
    for name in names:
        for port in TURN:
            for transport in port.transports:
                if port.service in services:
                    add(name, "SRV", f"0 5 {port.number} {hostname}.", f"_{port.name}._{transport}")
    for name in web:
        add(name, "HTTPS", "1 .")
    certificates = named("certificates", checks.list_of(str, "paths", "['/etc/ssl/fullchain.pem']"), certificates)
    if certificates:
        # RFC 7673: at the SRV target for XMPP; RFC 6698: at the name itself for HTTPS.
        ends = [(hostname, port.number) for port in XMPP if port.service in services]
        ends += [(name, number_of("https")) for name in ([hostname, *web] if web else [])]
        ends += [(hostname, number_of("turns"))] if "turns" in services else []
        for name, number in dict.fromkeys(ends):
            for certificate in certificates:
                add(name, "TLSA", f"3 1 1 {PIN}", f"_{number}._tcp", certificate=certificate)
    for key in checks.list_of(lambda item: named("host_keys", ssh_fingerprint, item), "keys", "['ssh-ed25519 AAAA…']")(
        host_keys
    ):
        add(hostname, "SSHFP", key)
    if certificate_authorities is not None:
        issuers = named(
            "certificate_authorities",
            checks.list_of(ca_domain, "certificate authorities", "['letsencrypt.org']"),
            certificate_authorities,
        )
        for apex in apexes:
            for issuer in issuers or [";"]:
                # An issuer with parameters of its own is the operator's decision.
                bound = {"certificate": certificates[0]} if certificates and ";" not in issuer else {}
                add(apex, "CAA", f'0 issue "{issuer}"', **bound)
            add(apex, "CAA", '0 issuewild ";"')
    mail = set()
    for number, item in items_of("records", records, "name, type and data"):
        given = item.get("name") if isinstance(item, Mapping) else None
        absolute = given if isinstance(given, str) and given.endswith(".") else None
        zone = (zone_of(absolute[:-1].lower()) if absolute else None) or apexes[0]
        own = named(f"records: number {number}", lambda value, apex=zone: check_record(value, apex), item)
        zones[zone].append(own)
        if own["type"] == "MX" or (own["type"] == "TXT" and own["data"].lower().startswith("v=spf1")):
            mail.add((zone, own["name"]))
    # Who has an address and no MX would be sent mail to that address (RFC 5321): say that there is none.
    for name in [*hosts, *sorted(elsewhere)]:
        zone = zone_of(name)
        if zone is not None and (zone, owner_name(f"{name}.", zone)) not in mail:
            add(name, "MX", "0 .")
            add(name, "TXT", "v=spf1 -all")
    return [
        {
            "name": apex,
            "ttl": ttl,
            "soa": _soa_values(nameservers, f"hostmaster@{apex}" if hostmaster is None else hostmaster, ttl),
            "records": named("records", lambda value, zone=apex: check_records(value, zone), zones[apex]),
        }
        for apex in apexes
    ]


def _service(value):
    if value not in SERVICES:
        raise ValueError(f"{value!r} is not a service; {checks.nearest(value, SERVICES)}")
    return str(value)


def dns_extra_zones(zones, extra, nameservers):
    """Returns zones, and after them the operator's own, complete with NS and SOA records."""
    usual = named("nameservers", _nameservers, nameservers)
    made = [zone for _number, zone in items_of("the zones before", zones, ", ".join(ZONE_KEYS))]
    for number, given in items_of("extra", extra, ", ".join(ZONE_KEYS)):
        where = f"extra: number {number}"
        named(where, lambda value: check_keys(value, ZONE_KEYS, "a zone"), given)
        name = named(f"{where}: name", checks.zone_name, given.get("name"))
        if name in [zone["name"] for zone in made]:
            raise ValueError(f"{where}: {name!r} is listed twice; put all records into one zone")
        nameservers = named(f"{name}: nameservers", _nameservers, given.get("nameservers") or usual)
        ttl = named(f"{name}: ttl", checks.ttl, 3600 if given.get("ttl") is None else given["ttl"])
        records = [
            item for _number, item in items_of(f"{name}: records", given.get("records") or [], "name, type, data")
        ]
        records += [{"name": "@", "type": "NS", "data": f"{server}."} for server in nameservers]
        soa = named(
            name,
            lambda value, ns=nameservers, t=ttl: _soa_values(ns, value, t),
            # There is no mail at a name with a slash.
            given.get("hostmaster") or f"hostmaster@{nameservers[0] if '/' in name else name}",
        )
        checked = named(name, lambda value, apex=name: check_records(value, apex), records)
        made.append({"name": name, "ttl": ttl, "soa": soa, "records": checked})
    return made


def unreachable_names(domains, zones, certificate_names, services=("client", "server"), challenges=()):
    """Returns, for each domain and component, what keeps others from finding it or from trusting it."""
    entries = named("domains", checks.domains, domains)
    known = named("certificate_names", checks.list_of(str, "names", "['example.org']"), certificate_names)
    challenges = named("challenges", checks.list_of(str, "names", "['example.org']"), challenges)
    contents = {}
    for _number, zone in items_of("zones", zones, ", ".join(ZONE_KEYS)):
        apex = zone["name"]
        records = [{"name": owner_name(item["name"], apex), "type": item["type"]} for item in zone["records"]]
        # The delegations of ACME's challenges make the names above them exist, so that no wildcard covers these.
        records += [
            {"name": owner_name(f"_acme-challenge.{name}.", apex), "type": "NS"}
            for name in challenges
            if is_inside(name, apex)
        ]
        contents[apex] = Owners(records)
    apexes = list(contents)

    def lacks(name, wanted):
        """Whether the zone that the name is in answers with none of these types, and leads to no other one."""
        zone = max((apex for apex in apexes if is_inside(name, apex)), key=len)
        relative = owner_name(f"{name}.", zone)
        return not contents[zone].leads_to(relative) and not contents[zone].at(relative) & wanted

    wrong = []
    for entry in entries:
        for name in dict.fromkeys([*names_of([entry]), web_of(entry)]):
            if name not in known and "*." + name.partition(".")[2] not in known:
                wrong.append(f"{name} is not in the certificate: add it to certificates_names")
            if not any(is_inside(name, apex) for apex in apexes):
                wrong.append(f"{name} is in none of the zones {apexes}: add its zone to bind_zones")
                continue
            elsewhere = name == entry["domain"] != web_of(entry)
            if not elsewhere and lacks(name, {"A", "AAAA", "CNAME"}):
                wrong.append(f"{name} has no address in its zone: add an A or AAAA record to bind_zones")
            for service in ("client", "server"):
                # Clients log in to a domain; its components they reach by it.
                if name not in names_of([entry]) or service == "client" and name != entry["domain"]:
                    continue
                if service in services and lacks(f"_xmpp-{service}._tcp.{name}", {"SRV"}):
                    wrong.append(
                        f"{name} has no SRV record _xmpp-{service}._tcp in its zone (RFC 6120): add it to bind_zones"
                    )
    return wrong
