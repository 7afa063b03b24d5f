# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import munin

DOCUMENTATION = r"""
name: munin_pictures
short_description: Give pictures of graphs stable addresses
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - munin draws each graph into a folder of the host's domain and name. This filter makes links to the pictures of a week, at
    addresses that know neither, as M(magicbroccoli.xmpp.config_tree) takes them.
  - What is not a list, what munin would not take for a plugin's name, and a host without a full name are errors.
positional: hostname
options:
  _input:
    description: Names of graphs.
    type: list
    elements: str
    required: true
  hostname:
    description: The name under which munin draws the host.
    type: str
    required: true
seealso:
  - plugin: magicbroccoli.xmpp.munin_links
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Have the week of Prosody's clients at /munin/embed/prosody_c2s.png
  magicbroccoli.xmpp.config_tree:
    files: "{{ ['prosody_c2s'] | magicbroccoli.xmpp.munin_pictures('host.example.org') }}"
"""

RETURN = r"""
_value:
  description: The path of each link, to its C(state) and C(target).
  type: dict
"""


def munin_pictures(graphs, hostname):
    try:
        return munin.munin_pictures(graphs, hostname)
    except ValueError as error:
        raise AnsibleFilterError(f"munin_pictures: {error}") from error


class FilterModule:
    def filters(self):
        return {"munin_pictures": munin_pictures}
