# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import turn

DOCUMENTATION = r"""
name: turn_ranges
short_description: Write networks as coturn's ranges of addresses
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns the first and the last address of each network, with a hyphen between them, since coturn does not read prefix
    lengths (RFC 4632).
  - What is not a network, or has bits set behind its prefix, is an error. So is a network that begins with V(::), which
    coturn 4.6 takes for every IPv4 address, too.
options:
  _input:
    description: Networks or addresses, IPv4 and IPv6.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
# ['10.0.0.0-10.255.255.255', '2001:db8::1-2001:db8::1']
- name: Show two ranges
  ansible.builtin.debug:
    msg: "{{ ['10.0.0.0/8', '2001:db8::1'] | magicbroccoli.xmpp.turn_ranges }}"
"""

RETURN = r"""
_value:
  description: The ranges, in the order of the networks.
  type: list
  elements: str
"""


def turn_ranges(networks):
    try:
        return turn.turn_ranges(networks)
    except ValueError as error:
        raise AnsibleFilterError(f"turn_ranges: {error}") from error


class FilterModule:
    def filters(self):
        return {"turn_ranges": turn_ranges}
