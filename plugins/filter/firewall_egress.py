# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import firewall

DOCUMENTATION = r"""
name: firewall_egress
short_description: Tell which connections a host has to open
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Turns the services of a host into rules of what its daemons may reach, and as whom.
  - Apt's user may fetch packages, the clock may be set, mail may be handed on. V(server) lets Prosody reach other servers at 5269,
    5270 and 443, and V(turn) coturn every called client, from the relay's ports.
  - The DNS may be asked by these users, but for coturn's, by resolvers, and by O(users).
  - An unknown service is an error.
positional: users
options:
  _input:
    description: Services, as for P(magicbroccoli.xmpp.firewall_rules#filter).
    type: list
    elements: str
    required: true
  users:
    description: Other users who may send DNS queries.
    type: list
    elements: str
    default: []
seealso:
  - plugin: magicbroccoli.xmpp.nftables_rules
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the rules
  ansible.builtin.debug:
    msg: "{{ ['server', 'turn'] | magicbroccoli.xmpp.firewall_egress }}"
"""

RETURN = r"""
_value:
  description: The rules, in order, as P(magicbroccoli.xmpp.nftables_egress#filter) takes them.
  type: list
  elements: dict
"""


def firewall_egress(services, users=()):
    try:
        return firewall.egress_rules(services, users)
    except ValueError as error:
        raise AnsibleFilterError(f"firewall_egress: {error}") from error


class FilterModule:
    def filters(self):
        return {"firewall_egress": firewall_egress}
