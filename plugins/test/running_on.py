# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.host_state import running

DOCUMENTATION = r"""
name: running_on
short_description: Did all of these units run when the host was asked?
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - True when all of the units are active, so that a handler has something to reload. A unit that did not run is started
    by a service task, and reads its new configuration then.
  - It fails when the input is no list of full unit names, or the host state is not that of
    M(magicbroccoli.xmpp.host_facts).
positional: host_state
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
seealso:
  - module: magicbroccoli.xmpp.host_facts
  - plugin: magicbroccoli.xmpp.stopped_on
    plugin_type: test
"""

EXAMPLES = r"""
- name: Reload nginx
  ansible.builtin.systemd_service:
    name: nginx.service
    state: reloaded
  when: "['nginx.service'] is magicbroccoli.xmpp.running_on(ansible_facts['host_state'])"
"""

RETURN = r"""
_value:
  description: Whether all of the units run.
  type: bool
"""


def running_on(units, host_state):
    try:
        return running(units, host_state)
    except ValueError as error:
        raise AnsibleFilterError(f"running_on: {error}") from error


class TestModule:
    def tests(self):
        return {"running_on": running_on}
