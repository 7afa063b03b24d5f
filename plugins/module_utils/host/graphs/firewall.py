# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Graphs of the firewall's named counters: firewall_accepted, firewall_dropped and firewall_outgoing.

It asks nftables for them, which root alone may.
"""

from __future__ import annotations

import functools
import json

from .munin import Family, Field, Graph, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NFT = "/usr/sbin/nft"


@functools.cache
def asked() -> Mapping[str, int]:
    """Return the packets of each counter: nftables is asked once for all graphs. Raises Unknown."""
    said = output(NFT, "-j", "list", "counters", "table", "inet", "filter", seconds=30)
    counters = [item["counter"] for item in json.loads(said)["nftables"] if "counter" in item]
    return {counter["name"]: counter["packets"] for counter in counters}


def counters(prefix: str) -> Mapping[str, int]:
    """Return the packets of the counters whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): packets for name, packets in asked().items() if name.startswith(prefix)}


def graph(title: str, vlabel: str, info: str, prefix: str) -> Graph:
    return Graph(
        title=title,
        vlabel=f"{vlabel} per ${{graph_period}}",
        info=info,
        category="network",
        fields=lambda _: [Field(name, name.replace("_", " "), type="DERIVE") for name in counters(prefix)],
        values=lambda _: counters(prefix),
    )


FAMILY = Family(
    {
        "accepted": graph(
            "Connections let in", "connections", "New connections that the firewall has accepted.", "accept_"
        ),
        "dropped": graph(
            "Connections kept out", "packets", "What the firewall has dropped, and by which rule.", "drop_"
        ),
        "outgoing": graph(
            "Connections going out",
            "connections",
            "New connections of this host, by who opens them, and what was not let out.",
            "egress_",
        ),
    }
)
