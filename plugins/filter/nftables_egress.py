# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import firewall

DOCUMENTATION = r"""
name: nftables_egress
short_description: Write rules of what goes out for nftables
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Turns rules like those of P(magicbroccoli.xmpp.firewall_egress#filter) into lines for a table of the family C(inet).
  - Users that are not there are left out, and a rule of which no user is left, too, since nftables would refuse it.
  - Every value is checked, so that none can add a statement. The message of an error names the rule and the key.
positional: users
options:
  _input:
    description:
      - The rules, with unique names - C(name), C(users) (empty for any), C(protocol), C(ports), C(source_ports) (empty for any)
        and C(destinations), networks in CIDR form (empty for any).
    type: list
    elements: dict
    required: true
  users:
    description: The users that are there.
    type: list
    elements: str
    required: true
seealso:
  - plugin: magicbroccoli.xmpp.nftables_rules
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the lines of the output chain
  ansible.builtin.debug:
    msg: "{{ (['server'] | magicbroccoli.xmpp.firewall_egress | magicbroccoli.xmpp.nftables_egress(['prosody'])).rules | last }}"
  # meta skuid { "prosody" } tcp dport { 443, 5269-5270 } counter name egress_prosody accept
"""

RETURN = r"""
_value:
  description: Two lists of lines.
  type: dict
  contains:
    counters:
      description: Declarations of the counters, C(egress_NAME) of each rule.
      type: list
      elements: str
    rules:
      description: The rules, to stand in the chain of the hook C(output).
      type: list
      elements: str
"""


def nftables_egress(rules, users):
    try:
        return firewall.nftables_egress(rules, users)
    except ValueError as error:
        raise AnsibleFilterError(f"nftables_egress: {error}") from error


class FilterModule:
    def filters(self):
        return {"nftables_egress": nftables_egress}
