# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.host_state import stopped

DOCUMENTATION = r"""
name: stopped_on
short_description: Is one of these units not running or not enabled?
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - True when one of the units is not both active and enabled, so that a service task has something to do.
  - In check mode, units that systemd does not know are left out, since the packages that bring them are not there yet.
  - It fails when the input is no list of full unit names, or the host state is not that of
    M(magicbroccoli.xmpp.host_facts).
positional: host_state, enabled_only
options:
  _input:
    description: Names of units with their types, for example V(nginx.service).
    type: list
    elements: str
    required: true
  host_state:
    description: RV(magicbroccoli.xmpp.host_facts#module:ansible_facts.host_state) of the host.
    type: dict
    required: true
  enabled_only:
    description: Ask only whether the units are enabled, for those that run and end, or that something else starts.
    type: bool
    default: false
seealso:
  - module: magicbroccoli.xmpp.host_facts
"""

EXAMPLES = r"""
- name: Start nginx, now and at boot
  ansible.builtin.systemd_service:
    name: nginx.service
    state: started
    enabled: true
  when: "['nginx.service'] is magicbroccoli.xmpp.stopped_on(ansible_facts['host_state'])"
"""

RETURN = r"""
_value:
  description: Whether one of the units is stopped or disabled.
  type: bool
"""


def stopped_on(units, host_state, enabled_only=False):
    try:
        return stopped(units, host_state, enabled_only)
    except ValueError as error:
        raise AnsibleFilterError(f"stopped_on: {error}") from error


class TestModule:
    def tests(self):
        return {"stopped_on": stopped_on}
