# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses as coturn's configuration has them. Each filter is documented beside this file; Ansible names it where it fails."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import turn


class FilterModule:
    def filters(self):
        return {
            "turn_addresses": turn.turn_addresses,
            "turn_ranges": turn.turn_ranges,
        }
