# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import firewall

DOCUMENTATION = r"""
name: nftables_rules
short_description: Write firewall rules for nftables
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Turns rules like those of P(magicbroccoli.xmpp.firewall_rules#filter) into lines for a table of the family C(inet).
  - A rule for TCP limits the new connections of every source by itself - an IPv4 address, or an IPv6 network of 64 bits. Only
    completed handshakes count, since anybody can send a SYN in the name of anybody else.
  - A source beyond the rate of a rule is held off at the ports of this rule. A SYN of it is let in when it is repeated, as a
    client's kernel does after a second, and no faster than the rate, so that others behind the same address still connect.
  - The table's own chain must accept established connections before these rules, and drop what they do not accept.
  - Every value is checked, so that none can add a statement. The message of an error names the rule and the key.
  - See nft(8), "dynamic sets" and "limit".
positional: seconds
options:
  _input:
    description: The rules, with unique names.
    type: list
    elements: dict
    required: true
  seconds:
    description: For how long a source beyond a rate is held off. V(0) does not hold off anybody.
    type: int
    default: 60
seealso:
  - plugin: magicbroccoli.xmpp.firewall_rules
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the lines of the input chain
  ansible.builtin.debug:
    msg: "{{ (['web'] | magicbroccoli.xmpp.firewall_rules | magicbroccoli.xmpp.nftables_rules).rules }}"
  # tcp dport { 80, 443 } ct state new counter name accept_web accept
"""

RETURN = r"""
_value:
  description: Lists of lines, and a set of ports.
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
    untracked:
      description:
        - The ports at which conntrack must leave out the first two packets of a handshake (C(notrack) at the priority C(raw)), so
          that the third one begins the connection. Empty without a rule for TCP.
      type: str
    minimal:
      description: What lets in ssh and depends on nothing, to stand in rules for when these cannot be loaded.
      type: list
      elements: str
    count:
      description: What counts handshakes, for packets of established connections from these ports in the hook C(output).
      type: list
      elements: str
"""


def nftables_rules(rules, seconds=60):
    try:
        return firewall.nftables_rules(rules, seconds)
    except ValueError as error:
        raise AnsibleFilterError(f"nftables_rules: {error}") from error


class FilterModule:
    def filters(self):
        return {"nftables_rules": nftables_rules}
