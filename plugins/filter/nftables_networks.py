# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import firewall

DOCUMENTATION = r"""
name: nftables_networks
short_description: Write networks as the elements of sets of nftables
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Checks networks, joins those that touch each other, since nftables refuses sets whose members overlap, and parts IPv4 from
    IPv6.
options:
  _input:
    description: Networks in CIDR form, or addresses.
    type: list
    elements: str
    required: true
seealso:
  - plugin: magicbroccoli.xmpp.nftables_rules
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the elements of the set for IPv4
  ansible.builtin.debug:
    msg: "{{ (['198.51.100.0/25', '198.51.100.128/25'] | magicbroccoli.xmpp.nftables_networks).v4 }}"
  # 198.51.100.0/24
"""

RETURN = r"""
_value:
  description: The networks.
  type: dict
  contains:
    v4:
      description: Those of IPv4.
      type: list
      elements: str
    v6:
      description: Those of IPv6.
      type: list
      elements: str
"""


def nftables_networks(networks):
    try:
        return firewall.blocked_sets(networks)
    except ValueError as error:
        raise AnsibleFilterError(f"nftables_networks: {error}") from error


class FilterModule:
    def filters(self):
        return {"nftables_networks": nftables_networks}
