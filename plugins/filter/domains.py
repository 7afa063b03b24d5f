# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import names

DOCUMENTATION = r"""
name: domains
short_description: Tell the XMPP domains of a site with all that belongs to them
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns the main domain, and after it the others of the same host, each with its components and administrators.
  - A domain without components of its own has those of the main one, below its own name. One without administrators has
    those of the main one.
  - A name that is there twice, and components of the main domain that have no name below another, are errors.
positional: components, admins, extra_domains, web
options:
  _input:
    description: The main XMPP domain.
    type: str
    required: true
  components:
    description: Kind of component to its domain name, for the main domain.
    type: dict
    required: true
  admins:
    description: Accounts of its administrators, who have all rights on the server.
    type: list
    elements: str
    required: true
  extra_domains:
    description: The other domains.
    type: list
    elements: dict
    default: []
    suboptions:
      domain:
        description: The domain.
        type: str
        required: true
      components:
        description: Kind of component to its domain name. An empty dictionary stands for none.
        type: dict
      admins:
        description: Accounts of those who administer this domain besides.
        type: list
        elements: str
      web:
        description: The name of its web front, where its website is another server's.
        type: str
  web:
    description: The name of the main domain's web front. The default is the domain.
    type: str
"""

EXAMPLES = r"""
- name: Show the domains
  ansible.builtin.debug:
    msg: "{{ 'example.org' | magicbroccoli.xmpp.domains(components={'muc': 'conference.example.org'},
      admins=['juliet@example.org'], extra_domains=[{'domain': 'example.net'}]) }}"
  # => [{"domain": "example.org", "components": {"muc": "conference.example.org"}, "admins": ["juliet@example.org"]},
  #     {"domain": "example.net", "components": {"muc": "conference.example.net"}, "admins": ["juliet@example.org"]}]
"""

RETURN = r"""
_value:
  description: The domains, the main one first.
  type: list
  elements: dict
  contains:
    domain:
      description: The domain.
      type: str
    components:
      description: Kind of component to its domain name.
      type: dict
    admins:
      description: Accounts of the administrators, who are contacts, too (XEP-0157).
      type: list
      elements: str
    web:
      description: The name of its web front, where that is not the domain.
      type: str
"""


def domains(domain, components, admins, extra_domains=(), web=None):
    try:
        return names.domains(domain, components, admins, extra_domains, web)
    except ValueError as error:
        raise AnsibleFilterError(f"domains: {error}") from error


class FilterModule:
    def filters(self):
        return {"domains": domains}
