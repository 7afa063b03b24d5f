# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import acme

DOCUMENTATION = r"""
name: dns_challenges
short_description: Delegate the names of ACME's DNS challenge
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns the zones with an NS record for C(_acme-challenge) of each name (RFC 8555, section 8.4), in the zone that the
    name is in. So the challenge is written into a small zone of its own, and the signed zone stays a file.
  - There is no DS record with them, so that a validating resolver takes them as unsigned (RFC 4035, section 5.2).
  - A name that is in none of the zones is an error.
positional: names, nameserver
options:
  _input:
    description: Zones as P(magicbroccoli.xmpp.dns_zones#filter) returns them.
    type: list
    elements: dict
    required: true
  names:
    description: The names that a certificate is for.
    type: list
    elements: str
    required: true
  nameserver:
    description: The full name of the host that serves the challenges.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the zone with its delegations
  ansible.builtin.debug:
    msg: "{{ zones | magicbroccoli.xmpp.dns_challenges(['example.org'], 'rosewood.example.org') }}"
  vars:
    zones: "{{ [{'domain': 'example.org'}] | magicbroccoli.xmpp.dns_zones('rosewood.example.org', ['198.51.100.10']) }}"
"""

RETURN = r"""
_value:
  description: The zones, with the delegations at the end of their records.
  type: list
  elements: dict
"""


def dns_challenges(zones, names, nameserver):
    try:
        return acme.dns_challenges(zones, names, nameserver)
    except ValueError as error:
        raise AnsibleFilterError(f"dns_challenges: {error}") from error


class FilterModule:
    def filters(self):
        return {"dns_challenges": dns_challenges}
