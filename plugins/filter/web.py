# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What other web servers publish, and munin's graphs. Each filter is documented beside this file; Ansible names it where it fails."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import munin, provider, website


class FilterModule:
    def filters(self):
        return {
            "host_meta": website.host_meta,
            "munin_links": munin.munin_links,
            "provider_file": provider.provider_file,
            "website_files": website.website_files,
        }
