# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values as Prosody's configuration has them. Each filter is documented beside this file; Ansible names it where it fails."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import lua


class FilterModule:
    def filters(self):
        return {
            "to_lua": lua.to_lua,
            "to_lua_assignments": lua.to_lua_assignments,
        }
