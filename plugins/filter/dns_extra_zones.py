# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns

DOCUMENTATION = r"""
name: dns_extra_zones
short_description: Add DNS zones that have nothing to do with XMPP
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Adds zones of the operator's own to others, completed by the SOA record's values and the NS records, and checks all
    their records as P(magicbroccoli.xmpp.dns_zones#filter) does.
  - A key that is not known, a zone or a name that is wrong, and a zone that is there twice are errors. The message names
    the zone and the record.
positional: extra, nameservers
options:
  _input:
    description: Zones as P(magicbroccoli.xmpp.dns_zones#filter) returns them, perhaps none.
    type: list
    elements: dict
    required: true
  extra:
    description: The zones to add.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The zone's name, without a dot at its end.
        type: str
        required: true
      records:
        description: Its records, like the option C(records) of P(magicbroccoli.xmpp.dns_zones#filter).
        type: list
        elements: dict
        default: []
      nameservers:
        description: Full names of its name servers, the primary one first. By default O(nameservers).
        type: list
        elements: str
      hostmaster:
        description: Mail address for the SOA record. By default C(hostmaster@) and the zone's name.
        type: str
      ttl:
        description: TTL of all records without their own, in seconds.
        type: int
        default: 3600
  nameservers:
    description: Full names of the name servers of the zones without their own, the primary one first.
    type: list
    elements: str
    required: true
seealso:
  - plugin: magicbroccoli.xmpp.dns_zones
    plugin_type: filter
  - plugin: magicbroccoli.xmpp.dns_zone_files
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show a zone
  ansible.builtin.debug:
    msg: "{{ [] | magicbroccoli.xmpp.dns_extra_zones(
      [{'name': 'example.net', 'records': [{'name': 'www', 'type': 'A', 'data': '198.51.100.20'}]}],
      ['ns1.example.org']) }}"
"""

RETURN = r"""
_value:
  description: All the zones, as P(magicbroccoli.xmpp.dns_zones#filter) returns them.
  type: list
  elements: dict
"""


def dns_extra_zones(zones, extra, nameservers):
    try:
        return dns.dns_extra_zones(zones, extra, nameservers)
    except ValueError as error:
        raise AnsibleFilterError(f"dns_extra_zones: {error}") from error


class FilterModule:
    def filters(self):
        return {"dns_extra_zones": dns_extra_zones}
