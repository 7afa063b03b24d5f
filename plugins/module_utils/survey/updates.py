# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Automatic updates that somebody has configured."""

from __future__ import annotations

import re

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding

# What a file sets of it. Debian's images have files that set other things of apt.
SETTING = re.compile(r"^\s*(?:#clear\s+)?(Unattended-Upgrade|APT::Periodic)\b", re.M)
# Debian's own, by debconf: it is as the answer was.
SWITCH = "/etc/apt/apt.conf.d/20auto-upgrades"
OWN = "/etc/apt/apt.conf.d/90updates"


def find(host):
    """Yields one finding where a file was changed or added."""
    paths = [
        path
        for path in host.glob("/etc/apt/apt.conf.d/*")
        if path not in (SWITCH, OWN) and not host.shipped(path) and SETTING.search(host.read(path))
    ]
    if paths:
        yield Finding(
            id="updates",
            found=f"{', '.join(paths)} configure automatic updates",
            effect="Updates would be installed as updates_* of the inventory say: Debian's timers do nothing, and the lists "
            "of origins and of excluded packages in these files are cleared.",
            choice="take over: the files are copied, and stay. Write into updates_origins_extra and updates_blacklist what "
            "still has to hold.",
            keep=paths,
        )
