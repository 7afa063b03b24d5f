# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses in the words of coturn."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.formats.prosody import peer_network
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import named

_public_addresses = checks.list_of(checks.ip_address, "addresses", "['198.51.100.10', '2001:db8::10']", empty=False)
_local_addresses = checks.list_of(checks.local_address, "addresses", "['10.0.0.5']")


def turn_addresses(public, local, routed=()):
    """Returns each public address with the host's own one that it leads to."""
    public = named("public", _public_addresses, public)
    local = named("local", _local_addresses, local)
    routed = named("routed", _local_addresses, routed)
    found = []
    used: dict[str, str] = {}
    for address in public:
        version = ipaddress.ip_address(address).version
        own = address
        if address not in local:
            own = next((item for item in routed if ipaddress.ip_address(item).version == version), None)
            if own is None:
                raise ValueError(
                    f"{address!r} is not an address of this host, which has no default route for IPv{version} either, so "
                    "that none of its own can be meant; write each as {'address': …, 'public': …}, or leave it out"
                )
        if own in used:
            raise ValueError(
                f"{address!r} and {used[own]!r} both lead to {own}, and a relayed packet can come from one only; write "
                "one of them"
            )
        used[own] = address
        found.append({"address": own, "public": address})
    return found


def turn_ranges(networks):
    """Returns networks as their first and last addresses."""
    if isinstance(networks, (str, Mapping)) or not isinstance(networks, Sequence):
        raise ValueError(f"{networks!r} is not a list of networks; write for example ['10.0.0.0/8', 'fc00::/7']")
    ranges = []
    for number, item in enumerate(networks, 1):
        network = named(f"number {number}", peer_network, item)
        ranges.append(f"{checks.canonical(network[0])}-{checks.canonical(network[-1])}")
    return ranges
