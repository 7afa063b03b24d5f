# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import turn

DOCUMENTATION = r"""
name: turn_addresses
short_description: Find the host's own addresses behind its public ones
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - A TURN server relays from an address of its own, and tells clients the address at which others reach it (RFC 8656).
    The two differ where the network translates addresses (NAT).
  - A public address that the host has is its own. One that it has not leads to the address of the host's default route
    of the same family.
  - A public address that leads nowhere, two that lead to the same address of the host, and what is not an address, are
    errors.
positional: local, routed
options:
  _input:
    description: The public addresses, IPv4 and IPv6.
    type: list
    elements: str
    required: true
  local:
    description: All addresses that the host has.
    type: list
    elements: str
    required: true
  routed:
    description: The addresses of its default routes, at most one of each family.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
# [{'address': '10.0.0.5', 'public': '198.51.100.10'}, {'address': '2001:db8::10', 'public': '2001:db8::10'}]
- name: Show what a host behind NAT makes of its addresses
  ansible.builtin.debug:
    msg: >-
      {{ ['198.51.100.10', '2001:db8::10']
         | magicbroccoli.xmpp.turn_addresses(['127.0.0.1', '10.0.0.5', '2001:db8::10'], ['10.0.0.5', '2001:db8::10']) }}
"""

RETURN = r"""
_value:
  description: One entry for each public address.
  type: list
  elements: dict
  contains:
    address:
      description: The host's own address.
      returned: success
      type: str
    public:
      description: The address at which others reach it.
      returned: success
      type: str
"""


def turn_addresses(public, local, routed=()):
    try:
        return turn.turn_addresses(public, local, routed)
    except ValueError as error:
        raise AnsibleFilterError(f"turn_addresses: {error}") from error


class FilterModule:
    def filters(self):
        return {"turn_addresses": turn_addresses}
