# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalog of a name server's zones, from which its secondaries learn of them (RFC 9432)."""

from __future__ import annotations

import hashlib

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks, dns, dns_zone
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import named

TTL = 3600


def dns_catalog(zones, name):
    """Returns the catalog of these zones as a zone itself."""
    name = named("name", checks.domain_name, name)
    zones = named("zones", checks.list_of(checks.zone_name, "zones", "['example.org']"), zones)
    if name in zones:
        raise ValueError(
            f"name: {name!r} is one of the zones; write a name that nothing else has, as 'catalog.invalid'"
        )
    records = [{"name": "@", "type": "NS", "data": "invalid."}, {"name": "version", "type": "TXT", "data": "2"}]
    for zone in sorted(zones):
        # The label may be any, and stays with its zone: another one would have the secondary make the zone anew.
        label = hashlib.sha256(zone.encode()).hexdigest()[:40]
        records.append({"name": f"{label}.zones", "type": "PTR", "data": f"{zone}."})
    soa = {"mname": "invalid.", "rname": "invalid.", **dns.SOA_TIMES, "minimum": TTL}
    return {"name": name, "ttl": TTL, "soa": soa, "records": dns_zone.check_records(records, name)}
