# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import firewall

DOCUMENTATION = r"""
name: firewall_rules
short_description: Tell which connections a host must accept
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Turns the services of a host into firewall rules, always with one for SSH first.
  - V(client) opens 5222 and 5223, V(server) 5269 and 5270 (RFC 6120, XEP-0368), V(web) 80 and 443, V(dns) 53 by TCP and
    UDP, V(proxy) 5000 (XEP-0065), V(turn) 3478 by TCP and UDP and the relay's ports 49152 to 65535 by UDP (RFC 8656),
    V(turns) 5349.
  - An unknown service, port, network or limit is an error.
positional: ssh_port, ssh_sources, limits
options:
  _input:
    description: Services, out of V(client), V(server), V(web), V(dns), V(proxy), V(turn) and V(turns).
    type: list
    elements: str
    required: true
  ssh_port:
    description: The TCP port of SSH.
    type: int
    default: 22
  ssh_sources:
    description: Networks in CIDR form that may use SSH. Empty for any.
    type: list
    elements: str
    default: []
  limits:
    description:
      - Rule's name (V(ssh), V(client), V(server), V(web), V(dns_tcp), V(dns_udp), V(proxy), V(turn_tcp), V(turn_udp),
        V(turn_relay), V(turns)) to its C(rate) (new connections per second and source), C(burst) and C(connections) (at
        the same time, of one source), in place of the default ones.
    type: dict
    default: {}
seealso:
  - plugin: magicbroccoli.xmpp.nftables_rules
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the rules
  ansible.builtin.debug:
    msg: "{{ ['client', 'server'] | magicbroccoli.xmpp.firewall_rules(limits={'client': {'rate': 50}}) }}"
"""

RETURN = r"""
_value:
  description: The rules, in order.
  type: list
  elements: dict
  contains:
    name:
      description: A lower-case name, unique in the list.
      type: str
    protocol:
      description: V(tcp) or V(udp).
      type: str
    ports:
      description: Destination ports; ranges as V(49152-65535).
      type: list
      elements: raw
    rate:
      description: New connections per second that one source may open for long.
      type: int
    burst:
      description: New connections that one source may open at once.
      type: int
    connections:
      description: Connections that one source may have at the same time; 0 for any number.
      type: int
    sources:
      description: Networks in CIDR form that may connect. Empty for any.
      type: list
      elements: str
"""


def firewall_rules(services, ssh_port=22, ssh_sources=(), limits=None):
    try:
        return firewall.firewall_rules(services, ssh_port, ssh_sources, limits)
    except ValueError as error:
        raise AnsibleFilterError(f"firewall_rules: {error}") from error


class FilterModule:
    def filters(self):
        return {"firewall_rules": firewall_rules}
