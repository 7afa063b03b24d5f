# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of zones one by one: to be typed in elsewhere, and to be looked for wherever they are."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns_zone, services
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns_data import owner_name


def _absent(apex, records):
    """What must not be there, since it would lead peers elsewhere, or let somebody else issue a certificate."""
    there = {(record["name"], record["type"]) for record in records}
    owners = dns_zone.Owners({**record, "name": owner_name(f"{record['name']}.", apex)} for record in records)

    def expected(name, kind):
        """Whether the zone answers: by a wildcard, too, and below a delegation another server does."""
        relative = owner_name(f"{name}.", apex)
        return kind in owners.at(relative) or owners.leads_to(relative)

    labels = [f"_{port.name}._tcp" for port in services.XMPP]
    hosts = sorted({name for name, kind in there if kind in ("A", "AAAA") and not name.startswith("*.")})
    xmpp = [name for name in hosts if any((f"{label}.{name}", "SRV") in there for label in labels)]
    wanted = [(name, kind) for name in hosts for kind in ("A", "AAAA", "CAA")]
    ports = [*(port.number for port in services.XMPP), services.port("https")]
    wanted += [(f"_{port}._tcp.{name}", "TLSA") for name in hosts for port in ports]
    wanted += [(f"{label}.{name}", "SRV") for name in xmpp for label in labels]
    # XEP-0156 has withdrawn it as unsafe.
    wanted += [(f"_xmppconnect.{name}", "TXT") for name in xmpp]
    return [{"name": name, "type": kind} for name, kind in wanted if not expected(name, kind)]


def dns_records(zones, certificates=None, nameservers=True):
    """Returns each zone's records with absolute names, as a text to paste, and what must not be beside them."""
    pins, accounts = dns_zone.of_certificates(certificates)
    made = []
    for zone in zones:
        apex, ttl, rows = dns_zone.zone_records(zone, pins, accounts)
        records = [
            {
                "name": apex if owner == "@" else f"{owner}.{apex}",
                "ttl": ttl if own_ttl is None else own_ttl,
                "type": kind,
                "data": data,
            }
            for owner, own_ttl, kind, data in rows
            if nameservers or (owner, kind) != ("@", "NS")
        ]
        # Every line is complete, whatever a provider's form makes of $ORIGIN, $TTL and blanks.
        lines = [f"{record['name']}. {record['ttl']} IN {record['type']} {record['data']}" for record in records]
        made.append({"name": apex, "records": records, "absent": _absent(apex, records), "lines": lines})
    return made
