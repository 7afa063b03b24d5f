# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns

DOCUMENTATION = r"""
name: dns_zone_file
short_description: Write a DNS zone as a zone file
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Turns a zone like those of P(magicbroccoli.xmpp.dns_zones#filter) into a master file (RFC 1035, section 5).
  - The serial is the token V(@SERIAL@), for M(magicbroccoli.xmpp.config_tree) to replace on the host. No other text in
    the file can be taken for it.
  - A TLSA record whose certificate is not among the O(pins) is left out.
  - All records are checked and quoted here, with the errors of P(magicbroccoli.xmpp.dns_zones#filter).
positional: pins, accounts
options:
  _input:
    description: The zone, with C(name), C(ttl), C(soa) and C(records).
    type: dict
    required: true
  pins:
    description:
      - Path of a certificate to the SHA-256 of its public key, as 64 lower-case hexadecimal digits.
      - A list of several makes as many TLSA records, as while a key is rolled (RFC 7671, section 8.4).
    type: dict
    default: {}
  accounts:
    description:
      - Path of a certificate to the ACME accounts that order it, with C(identities), C(uri) and C(method), as
        M(magicbroccoli.xmpp.certificate_facts) returns them.
      - A CAA record of that certificate whose authority has one of the identities then lets these accounts alone issue, by
        this method (RFC 8657).
    type: dict
    default: {}
seealso:
  - plugin: magicbroccoli.xmpp.dns_zones
    plugin_type: filter
  - module: magicbroccoli.xmpp.certificate_facts
"""

EXAMPLES = r"""
- name: Show a zone file
  ansible.builtin.debug:
    msg: "{{ bind_zones[0] | magicbroccoli.xmpp.dns_zone_file(
      pins={'/etc/ssl/xmpp/fullchain.pem': read.certificates['/etc/ssl/xmpp/fullchain.pem'].pin}) }}"
"""

RETURN = r"""
_value:
  description: The text of the file.
  type: str
"""


def dns_zone_file(zone, pins=None, accounts=None):
    try:
        return dns.dns_zone_file(zone, pins, accounts)
    except ValueError as error:
        raise AnsibleFilterError(f"dns_zone_file: {error}") from error


class FilterModule:
    def filters(self):
        return {"dns_zone_file": dns_zone_file}
