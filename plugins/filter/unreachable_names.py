# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns

DOCUMENTATION = r"""
name: unreachable_names
short_description: Tell which names of a site others could not find or not trust
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Compares the served names with the published ones. Each domain and component needs an address and SRV records (RFC 6120,
    section 3.2) in one of the zones, and its name in the certificate (RFC 7590).
  - Roles do not know of each other, and each takes its own variables, so only the site can see this.
  - A wildcard in a zone stands for the names below its closest encloser (RFC 4592) and not for a name that exists, even if
    only because there is one below it, as C(_443._tcp.upload) makes C(upload) exist. One in the certificate stands for one
    label. What is below a delegation or a DNAME record is not judged.
positional: zones, certificate_names, services, challenges
options:
  _input:
    description: The XMPP domains, as P(magicbroccoli.xmpp.domains#filter) returns them.
    type: list
    elements: dict
    required: true
  zones:
    description: The zones that are published, as P(magicbroccoli.xmpp.dns_zones#filter) returns them.
    type: list
    elements: dict
    required: true
  certificate_names:
    description: The names of the certificate.
    type: list
    elements: str
    required: true
  services:
    description: What the outside may reach. SRV records are needed for V(client) and V(server); others do not matter.
    type: list
    elements: str
    default: [client, server]
  challenges:
    description: Names whose ACME challenges are delegated in these zones, which makes these names exist.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Refuse a site with names that nobody finds
  ansible.builtin.assert:
    that: gaps | length == 0
    fail_msg: "{{ gaps }}"
  vars:
    gaps: "{{ prosody_domains | magicbroccoli.xmpp.unreachable_names(bind_zones, certificates_names) }}"
"""

RETURN = r"""
_value:
  description: A sentence for each thing that is missing; an empty list where there is none.
  type: list
  elements: str
"""


def unreachable_names(domains, zones, certificate_names, services=("client", "server"), challenges=()):
    try:
        return dns.unreachable_names(domains, zones, certificate_names, services, challenges)
    except ValueError as error:
        raise AnsibleFilterError(f"unreachable_names: {error}") from error


class FilterModule:
    def filters(self):
        return {"unreachable_names": unreachable_names}
