# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions about what a host has. Each test is documented beside this file; Ansible names it where it fails."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import host_state


class TestModule:
    def tests(self):
        return {
            "missing_on": host_state.missing_on,
            "running_on": host_state.running_on,
            "stopped_on": host_state.stopped_on,
        }
