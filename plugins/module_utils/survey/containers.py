# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker and its like, whose containers need this host as a router."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding

UNITS = ("docker.service", "containerd.service", "lxd.service", "incus.service", "libvirtd.service")


def find(host):
    """Yields one finding where one of them is started at boot or runs."""
    found = [unit.removesuffix(".service") for unit in UNITS if host.enabled(unit) or host.active(unit)]
    if found:
        yield Finding(
            id="containers",
            found=f"{', '.join(found)} runs containers or machines",
            effect="They lose their network: this host would forward no packets (net.ipv4.ip_forward, chain forward).",
            choice="move them to another host, or accept that.",
        )
