# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Zones and their records. Each filter is documented beside this file; Ansible names it where it fails."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import (
    acme,
    dns,
    dns_catalog,
    dns_records,
    dns_transfers,
    dns_zone,
)


class FilterModule:
    def filters(self):
        return {
            "dns_catalog": dns_catalog.dns_catalog,
            "dns_challenges": acme.dns_challenges,
            "dns_extra_zones": dns.dns_extra_zones,
            "dns_records": dns_records.dns_records,
            "dns_transfers": dns_transfers.dns_transfers,
            "dns_zone_files": dns_zone.dns_zone_files,
            "dns_zones": dns.dns_zones,
        }
