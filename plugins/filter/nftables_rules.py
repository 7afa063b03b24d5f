# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import firewall

DOCUMENTATION = r"""
name: nftables_rules
short_description: Write firewall rules for nftables
version_added: 1.0.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Turns rules like those of P(magicbroccoli.xmpp.firewall_rules#filter) into lines for a table of the family C(inet).
  - Each rule limits the new connections of every source by itself - an IPv4 address, or an IPv6 network of 64 bits.
    What is beyond the limit is dropped and counted, the rest is accepted.
  - The table's own chain must accept established connections before these rules, and drop what they do not accept.
  - Every value is checked, so that none can add a statement. The message of an error names the rule and the key.
  - See nft(8), "dynamic sets" and "limit".
positional: abuse
options:
  _input:
    description: The rules, with unique names.
    type: list
    elements: dict
    required: true
  abuse:
    description:
      - Whether a source that is beyond the limit of a TCP rule, but that of the name V(ssh), is noted in the sets C(abuse_v4) and
        C(abuse_v6), which the table has to have.
    type: bool
    default: false
seealso:
  - plugin: magicbroccoli.xmpp.firewall_rules
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the lines of the input chain
  ansible.builtin.debug:
    msg: "{{ (['web'] | magicbroccoli.xmpp.firewall_rules | magicbroccoli.xmpp.nftables_rules).rules }}"
  # tcp dport { 80, 443 } ct state new update @web_v4 { ip saddr limit rate over 50/second … } counter name drop_web drop
  # tcp dport { 80, 443 } ct state new counter name accept_web accept
"""

RETURN = r"""
_value:
  description: Four lists of lines.
  type: dict
  contains:
    counters:
      description: Declarations of the counters, C(accept_NAME) and C(drop_NAME) of each rule.
      type: list
      elements: str
    sets:
      description: Declarations of the sets in which sources are counted, to stand in the table before its chains.
      type: list
      elements: str
    ssh:
      description: The rule of the name C(ssh), to stand in the chain of the hook C(input), before what shuts sources out.
      type: list
      elements: str
    rules:
      description: The others, to stand after it.
      type: list
      elements: str
"""


def nftables_rules(rules, abuse=False):
    try:
        return firewall.nftables_rules(rules, abuse)
    except ValueError as error:
        raise AnsibleFilterError(f"nftables_rules: {error}") from error


class FilterModule:
    def filters(self):
        return {"nftables_rules": nftables_rules}
