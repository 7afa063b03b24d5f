# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of a firewall, and nftables' statements for them. Each filter is documented beside this file; Ansible names it where it fails."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import firewall


class FilterModule:
    def filters(self):
        return {
            "firewall_egress": firewall.firewall_egress,
            "firewall_rules": firewall.firewall_rules,
            "nftables_rules": firewall.nftables_rules,
        }
