# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import dns_check

DOCUMENTATION = r"""
module: dns_check
short_description: Compare the records that there shall be with those that the DNS has
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Asks every authoritative name server of a zone, at every address to which there is a route, for each record, by TCP, and
    sees that it answers by UDP, too. Whose name server that is makes no difference.
  - Asks a validating resolver where the zone is, whether the chain of trust reaches it, and whether the signature of each
    record fits.
  - Fails if a record is missing, wrong or surplus. The message has one line for each finding.
  - A zone that is not one by itself, but names within somebody else's zone, is looked for there.
  - It changes nothing.
options:
  zones:
    description: The zones, as P(magicbroccoli.xmpp.dns_records#filter) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The zone's name, without a dot at its end.
        type: str
        required: true
      records:
        description: The records that there shall be.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: The absolute name.
            type: str
            required: true
          type:
            description: The type.
            type: str
            required: true
          data:
            description: The data, as in a zone file, with absolute names.
            type: str
            required: true
          ttl:
            description: The TTL in seconds, which is not compared, since answers may be made up of others.
            type: int
      absent:
        description: Names and types that must have no record.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: The absolute name.
            type: str
            required: true
          type:
            description: The type.
            type: str
            required: true
      lines:
        description: The same as O(zones[].records), for people. Not used.
        type: list
        elements: str
        default: []
  resolver:
    description: Address of a resolver that validates. By default those of C(/etc/resolv.conf).
    type: str
  unsigned:
    description:
      - Whether a zone without a chain of trust will do. Its TLSA and SSHFP records are of no use then (RFC 6698, RFC 4255).
    type: bool
    default: false
  timeout:
    description: Seconds that a server has for an answer. It is asked twice.
    type: int
    default: 2
attributes:
  check_mode:
    support: full
    description: Does the same in check mode.
  diff_mode:
    support: none
    description: It changes nothing, so there is no difference to show.
notes:
  - Beside a TXT record of ours may be others, but no second SPF record. CAA records that allow nobody anything may be there.
    Of all other types, what is not among the records must not be at their names.
  - The TTL is not compared.
requirements:
  - dig, of the Debian package bind9-dnsutils
seealso:
  - plugin: magicbroccoli.xmpp.dns_records
    plugin_type: filter
  - module: magicbroccoli.xmpp.dnssec_info
"""

EXAMPLES = r"""
- name: See that the provider has all records
  magicbroccoli.xmpp.dns_check:
    zones: "{{ zones | magicbroccoli.xmpp.dns_records(nameservers=false) }}"
  vars:
    zones: "{{ [{'domain': 'example.org'}] | magicbroccoli.xmpp.dns_zones('rosewood.example.org', ['198.51.100.10']) }}"
"""

RETURN = r"""
msg:
  description: One line for each thing that is not as it should be, or that all is.
  returned: always
  type: str
  sample: "_5222._tcp.rosewood.example.org TLSA: missing; add 3 1 1 28bc…"
zones:
  description: Name of each zone to what was found.
  returned: success
  type: dict
  contains:
    zone:
      description: The zone that really holds the records, or V(null) when there is none.
      type: str
    servers:
      description: The name servers that were asked, with their addresses.
      type: list
      elements: str
    right:
      description: How many of the records are right at each of them.
      type: int
    dnssec:
      description: C(status) and, as a sentence, C(reason).
      type: dict
      contains:
        status:
          description:
            - V(secure) when the resolver has validated the zone, V(unsigned) when the chain of trust does not reach it, V(bogus)
              when validation fails, V(unknown) when the resolver does not validate, V(absent) when there is no such zone.
          type: str
        reason:
          description: The same as a sentence.
          type: str
    findings:
      description: The faults that were found.
      type: list
      elements: dict
      contains:
        name:
          description: The absolute name.
          type: str
        type:
          description: The record type.
          type: str
        status:
          description:
            - V(missing), V(wrong), V(surplus), V(bogus), V(unanswered) or, of a name server, V(unreachable).
          type: str
        expected:
          description: The data that is not there.
          type: list
          elements: str
        found:
          description: The data that must not be there, or what was answered instead.
          type: list
          elements: str
        servers:
          description: The servers where it is so; none when it is so at all of them.
          type: list
          elements: str
"""


def main():
    names = {"name": {"type": "str", "required": True}, "type": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "zones": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "records": {
                        "type": "list",
                        "elements": "dict",
                        "required": True,
                        "options": {**names, "data": {"type": "str", "required": True}, "ttl": {"type": "int"}},
                    },
                    "absent": {"type": "list", "elements": "dict", "default": [], "options": names},
                    "lines": {"type": "list", "elements": "str", "default": []},
                },
            },
            "resolver": {"type": "str"},
            "unsigned": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 2},
        },
        supports_check_mode=True,
    )
    params = module.params
    check = dns_check.Check(params["resolver"], params["timeout"])
    zones, lines = {}, []
    try:
        for zone in params["zones"]:
            found = check.zone(dns_check.name(zone["name"]), zone["records"], zone["absent"])
            zones[zone["name"]] = found
            lines += dns_check.sentences(zone["name"], found, params["unsigned"])
    except dns_check.DnsError as error:
        module.fail_json(msg=str(error))
    if lines:
        module.fail_json(msg="\n".join(["The DNS is not as it should be:", *lines]))
    count = sum(found["right"] for found in zones.values())
    servers = sorted({server for found in zones.values() for server in found["servers"]})
    module.exit_json(
        changed=False,
        zones=zones,
        msg=f"{count} {'record is' if count == 1 else 'records are'} right at {', '.join(servers) or 'nobody'}",
    )


if __name__ == "__main__":
    main()
