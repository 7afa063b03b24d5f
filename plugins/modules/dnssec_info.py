#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import dnssec

DOCUMENTATION = r"""
module: dnssec_info
short_description: Tell how signed zones of this name server stand
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns the DS records for the parent, the state of each key and when the next one is rolled, from the files that BIND
    keeps by C(dnssec-policy).
  - Asks the host's resolver for the DS records in the parent zone and compares them.
  - No private key is read. What a file holds counts, not its name.
options:
  zones:
    description: Names of the zones, in lower case, without a dot at the end.
    type: list
    elements: str
    required: true
  key_directory:
    description: The zones' C(key-directory).
    type: path
    default: /var/lib/bind/keys
  wait:
    description: Seconds to wait for the keys of a zone, which BIND makes after its first start.
    type: int
    default: 0
  parent:
    description: Whether to ask for the parent's DS records.
    type: bool
    default: true
  resolver:
    description: Address of the resolver to ask. By default those of C(/etc/resolv.conf).
    type: str
  timeout:
    description: Seconds that the resolver has for its answer.
    type: int
    default: 2
attributes:
  check_mode:
    support: full
    description: Reads the same in check mode.
  diff_mode:
    support: none
    description: It changes nothing, so there is no difference to show.
notes:
  - A resolver that does not answer, or only refers to others, is no error. The status is V(unknown) then.
requirements:
  - BIND 9.18 or later
  - dig
seealso:
  - name: RFC 7583
    description: Timing of rolling keys; the meaning of the states.
    link: https://www.rfc-editor.org/rfc/rfc7583
"""

EXAMPLES = r"""
- name: Look at the zone
  magicbroccoli.xmpp.dnssec_info:
    zones: [example.org]
  register: dnssec

- name: See that strangers can validate it
  ansible.builtin.assert:
    that: dnssec.zones['example.org'].parent.status == 'right'
    fail_msg: "{{ dnssec.zones['example.org'].parent.reason }}: {{ dnssec.zones['example.org'].ds | join(', ') }}"
"""

RETURN = r"""
zones:
  description: The name of each zone, and its state.
  returned: success
  type: dict
  contains:
    ds:
      description:
        - The DS records that the parent shall have (RFC 4034, SHA-256) - key tag, algorithm, digest type and digest.
      type: list
      elements: str
      sample: ["49989 13 2 EF80515772C855F0884E6621F30D1EA1FCD6C05E931CC6DD02F2AECE3B2D425D"]
    keys:
      description: The keys, those of the parent's DS records first.
      type: list
      elements: dict
      contains:
        tag:
          description: Key tag.
          type: int
        algorithm:
          description: Algorithm number; 13 is ECDSA P-256 with SHA-256.
          type: int
        role:
          description: V(ksk) signs the keys, V(zsk) the other records, V(csk) both.
          type: str
        goal:
          description: V(omnipresent) for a key in use, V(hidden) for one that goes.
          type: str
        dnskey:
          description: State of its DNSKEY record in the world - V(hidden), V(rumoured), V(omnipresent) or V(unretentive).
          type: str
        ds:
          description: State of its DS record as BIND has been told; V(null) of a zone-signing key.
          type: str
        published:
          description: Since when it is in the zone, in UTC (ISO 8601), or V(null).
          type: str
        active:
          description: Since when it signs.
          type: str
        retired:
          description: When it no longer signs. V(null) when that is not planned.
          type: str
        removed:
          description: When it leaves the zone.
          type: str
    next_roll:
      description: The key in use that is rolled next, with C(at), C(tag) and C(role). V(null) when none is planned.
      type: dict
      sample: {at: "2027-02-20T16:49:19Z", tag: 34097, role: zsk}
    parent:
      description: What the parent says.
      returned: when O(parent) is true
      type: dict
      contains:
        status:
          description:
            - V(right) when a DS record fits each key-signing key in use.
            - V(missing) when there is none, or none for one of them. Without any the zone is valid but not protected.
            - V(wrong) when there are DS records and none fits, so that validating resolvers refuse the zone.
            - V(unknown) when the parent could not be asked.
          type: str
        reason:
          description: The same as a sentence.
          type: str
        advice:
          description: What to do about it, with the DS records for the registrar. Empty where the parent is right.
          type: list
          elements: str
        ds:
          description: The parent's DS records.
          type: list
          elements: str
        unmatched:
          description: Those of them that fit none of the zone's keys.
          type: list
          elements: str
        validated:
          description: Whether the resolver has validated the answer.
          type: bool
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "zones": {"type": "list", "elements": "str", "required": True},
            # A folder, not a key: nothing to hide.
            "key_directory": {"type": "path", "default": "/var/lib/bind/keys", "no_log": False},
            "wait": {"type": "int", "default": 0},
            "parent": {"type": "bool", "default": True},
            "resolver": {"type": "str"},
            "timeout": {"type": "int", "default": 2},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        keys = {zone: dnssec.wait_for_keys(zone, params["key_directory"], params["wait"]) for zone in params["zones"]}
        zones = dnssec.zones(keys, params["parent"], params["resolver"], params["timeout"])
    except dnssec.DnssecError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, zones=zones)


if __name__ == "__main__":
    main()
