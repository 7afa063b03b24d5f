# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Delegation of the names of ACME's DNS challenge (RFC 8555, section 8.4) to zones of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import is_inside, named

LABEL = "_acme-challenge"


def dns_challenges(zones, names, nameserver):
    """Returns the zones with a delegation for the challenge of each name, in the zone that the name is in."""
    if isinstance(zones, (str, Mapping)) or not isinstance(zones, Sequence):
        raise ValueError(f"zones: {zones!r} is not a list of zones; give what dns_zones returns")
    for zone in zones:
        if not isinstance(zone, Mapping) or not {"name", "records"} <= set(zone):
            raise ValueError(f"zones: {zone!r} is not a zone; give what dns_zones returns")
    names = named("names", checks.list_of(checks.domain_name, "names", "['example.org']"), names)
    nameserver = named("nameserver", checks.host_name, nameserver)
    made: dict[str, list[dict]] = {zone["name"]: [] for zone in zones}
    for name in names:
        around = [zone for zone in made if is_inside(name, zone)]
        if not around:
            raise ValueError(
                f"names: {name!r} is in none of the zones {', '.join(made) or '(there are none)'}, so that its challenge "
                "cannot be answered here; add its zone, or prove the names by http-01"
            )
        made[max(around, key=len)].append({"name": f"{LABEL}.{name}.", "type": "NS", "data": f"{nameserver}."})
    return [{**zone, "records": [*zone["records"], *made[zone["name"]]]} for zone in zones]
