# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host that is set up still needs of others, as lines that name what is open, why, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import is_inside

UNKNOWN_ZONE = "the parent does not know the zone"


def name_servers(zone: Mapping) -> list[str]:
    """The name servers of a zone as a registrar wants them: with the addresses (glue) of those inside the zone."""
    apex, records = zone["name"], zone["records"]
    found = []
    for server in (record["data"].rstrip(".") for record in records if (record["name"], record["type"]) == ("@", "NS")):
        owner = server.removesuffix(f".{apex}") if server != apex else "@"
        glue = [item["data"] for item in records if item["name"] == owner and item["type"] in ("A", "AAAA")]
        found.append(f"{server} ({', '.join(glue)})" if glue and is_inside(server, apex) else server)
    return found


def of_zones(zones: Sequence[Mapping], dnssec: Mapping[str, Mapping]) -> list[str]:
    """Delegations and DS records that the registrar has to enter."""
    items = []
    for zone in zones:
        name, found = zone["name"], dnssec.get(zone["name"])
        if found is None or found["parent"]["status"] == "right":
            continue
        reason = found["parent"]["reason"]
        records = ", ".join(f"{name}. IN DS {record}" for record in found["ds"])
        if found["parent"]["status"] == "unknown":
            items.append(
                f"delegation of {name}: it could not be checked, because {reason}; to check it: playbook dns_records"
            )
            continue
        if reason == UNKNOWN_ZONE:
            servers = ", ".join(name_servers(zone)) or "the name servers of the zone"
            items.append(f"delegation of {name}: {reason}; give the registrar these name servers: {servers}")
            reason = "it can be entered with the name servers, or later"
        items.append(f"DS of {name}: {reason}; give the registrar: {records}")
    return items


def of_certificate(path: str, facts: Mapping, why: str) -> list[str]:
    """A certificate that nobody trusts yet, and an order that failed, with the authority's words."""
    reason = f", because {' '.join(why.split())}" if why else ""
    again = "the host tries again by itself; at once: xmpp-certificate"
    if not facts.get("present"):
        return [f"certificate: {path} does not exist{reason}; {again}"]
    if facts["self_signed"]:
        return [f"certificate: {path} is self-signed, which no stranger accepts{reason}; {again}"]
    if why:
        return [f"certificate: {path} is valid until {facts['not_after']} and was not renewed{reason}; {again}"]
    return []


def of_ports(refused: Mapping[str, Sequence[int]], unreachable: Sequence[str]) -> list[str]:
    """Ports that did not answer, by address, and addresses to which the asking machine has no route."""
    items = [
        f"ports of {address}: {', '.join(map(str, ports))} did not answer this machine; "
        "let them in at the provider's firewall, or in front of the host"
        for address, ports in refused.items()
        if ports
    ]
    return items + [
        f"ports of {address}: not checked, because this machine has no route there; to check them: playbook verify"
        for address in unreachable
    ]
