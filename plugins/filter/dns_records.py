# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns_records as records

DOCUMENTATION = r"""
name: dns_records
short_description: List the records of zones, to type them in elsewhere and to look for them
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns the records of zones like those of P(magicbroccoli.xmpp.dns_zones#filter) with absolute names, for
    M(magicbroccoli.xmpp.dns_check), and as lines of a zone file (RFC 1035, section 5) that depend on no line before them.
  - There is no SOA record among them. The name server that holds the zone has its own.
  - A TLSA record whose certificate is not there is left out.
  - All records are checked and quoted here, with the errors of P(magicbroccoli.xmpp.dns_zones#filter).
positional: certificates, nameservers
options:
  _input:
    description: The zones, with C(name), C(ttl), C(soa) and C(records).
    type: list
    elements: dict
    required: true
  certificates:
    description: Path to what M(magicbroccoli.xmpp.certificate_facts) says of the certificate there, for TLSA records.
    type: dict
    default: {}
  nameservers:
    description: Whether the NS records of the zones themselves are among them. Somebody else's name server has others.
    type: bool
    default: true
seealso:
  - module: magicbroccoli.xmpp.dns_check
  - plugin: magicbroccoli.xmpp.dns_zones
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what to type in at the provider
  ansible.builtin.debug:
    msg: "{{ zones | magicbroccoli.xmpp.dns_records(nameservers=false) | map(attribute='lines') | flatten }}"
  vars:
    zones: "{{ [{'domain': 'example.org'}] | magicbroccoli.xmpp.dns_zones('rosewood.example.org', ['198.51.100.10']) }}"
"""

RETURN = r"""
_value:
  description: The zones, in the same order.
  type: list
  elements: dict
  contains:
    name:
      description: The zone's name, without a dot at its end.
      type: str
    records:
      description: Its records, with C(name) (absolute, without a dot at its end), C(ttl) in seconds, C(type) and C(data).
      type: list
      elements: dict
    absent:
      description:
        - Names and types, with C(name) and C(type), that must have no record - addresses, SRV, TLSA and CAA records at the
          names of the zone that are not among the records, and C(_xmppconnect), which XEP-0156 has withdrawn as unsafe.
      type: list
      elements: dict
    lines:
      description: The records as lines of a zone file.
      type: list
      elements: str
"""


def dns_records(zones, certificates=None, nameservers=True):
    try:
        return records.dns_records(zones, certificates, nameservers)
    except ValueError as error:
        raise AnsibleFilterError(f"dns_records: {error}") from error


class FilterModule:
    def filters(self):
        return {"dns_records": dns_records}
