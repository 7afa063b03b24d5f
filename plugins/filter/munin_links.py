# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import munin

DOCUMENTATION = r"""
name: munin_links
short_description: Turn names of munin's plugins into links
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - A munin node runs what is linked in C(/etc/munin/plugins). This filter makes these links from names, as
    M(magicbroccoli.xmpp.config_tree) takes them.
  - What is not a list, what munin-node would not take for a plugin's name, an unknown graph of ours and a program
    without a full path are errors.
  - The names are those that munin-node accepts, see C(munin-node(1\)).
positional: interfaces, graphs, extra
options:
  _input:
    description: Names of Debian's plugins, which are in C(/usr/share/munin/plugins).
    type: list
    elements: str
    required: true
  interfaces:
    description: Network interfaces that are drawn.
    type: list
    elements: str
    default: []
  graphs:
    description:
      - Graphs of the collection's own plugins that are drawn. Those with the same beginning are one plugin - V(prosody_c2s), V(prosody_s2s), V(prosody_stanzas),
        V(prosody_accounts), V(prosody_memory), V(prosody_disk), V(prosody_uptime), V(bind_queries), V(bind_answers),
        V(bind_keys), V(bind_signatures), V(nginx_requests), V(nginx_statuses), V(tls_life), V(updates_pending),
        V(updates_age), V(updates_window), V(backup_age), V(backup_size), V(status_failing), V(firewall_accepted), V(firewall_dropped),
        V(firewall_outgoing).
    type: list
    elements: str
    default: []
  extra:
    description: Further plugins, the name of each to the path of its program. They replace others of the same name.
    type: dict
    default: {}
seealso:
  - module: magicbroccoli.xmpp.config_tree
"""

EXAMPLES = r"""
- name: Draw the load, and the clients of Prosody
  magicbroccoli.xmpp.config_tree:
    files: "{{ (['load'] | magicbroccoli.xmpp.munin_links(graphs=['prosody_c2s'])).files }}"
"""

RETURN = r"""
_value:
  description: The plugins.
  type: dict
  contains:
    names:
      description: The names of all plugins, sorted.
      type: list
      elements: str
    families:
      description:
        - The first part of the names of graphs of ours, to the rest of each name. One plugin answers for all of them, but for
          V(prosody_disk), which has rights of its own.
      type: dict
    files:
      description: The path of each link, to its C(state) and C(target).
      type: dict
"""


def munin_links(plugins, interfaces=(), graphs=(), extra=None):
    try:
        return munin.munin_links(plugins, interfaces, graphs, extra)
    except ValueError as error:
        raise AnsibleFilterError(f"munin_links: {error}") from error


class FilterModule:
    def filters(self):
        return {"munin_links": munin_links}
