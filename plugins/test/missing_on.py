# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.host_state import missing

DOCUMENTATION = r"""
name: missing_on
short_description: Is one of these packages not installed?
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - True when the host lacks one of the packages, so that an C(apt) task has something to do.
  - In check mode on a host without C(python3-apt) it is always false, because M(ansible.builtin.apt) cannot be asked
    there.
  - It fails when the input is no list of strings, or the host state is not that of
    M(magicbroccoli.xmpp.host_facts).
positional: host_state
options:
  _input:
    description: Names of Debian packages, without an architecture or a version.
    type: list
    elements: str
    required: true
  host_state:
    description: RV(magicbroccoli.xmpp.host_facts#module:ansible_facts.host_state) of the host.
    type: dict
    required: true
seealso:
  - module: magicbroccoli.xmpp.host_facts
"""

EXAMPLES = r"""
- name: Install nginx
  ansible.builtin.apt:
    name: [nginx, libnginx-mod-stream]
  when: "['nginx', 'libnginx-mod-stream'] is magicbroccoli.xmpp.missing_on(ansible_facts['host_state'])"
"""

RETURN = r"""
_value:
  description: Whether one of the packages is missing.
  type: bool
"""


def missing_on(packages, host_state):
    try:
        return missing(packages, host_state)
    except ValueError as error:
        raise AnsibleFilterError(f"missing_on: {error}") from error


class TestModule:
    def tests(self):
        return {"missing_on": missing_on}
