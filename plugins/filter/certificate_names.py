# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import names

DOCUMENTATION = r"""
name: certificate_names
short_description: Tell which names the host's certificate must have
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns each XMPP domain and the names of its components, each once (RFC 6120, section 13.7; RFC 7590).
  - The name of the machine is not among them - XMPP verifies the domain that a user typed, not the SRV target.
  - What is not a list of domains, or a name that is not a domain name, is an error.
options:
  _input:
    description: The XMPP domains, as P(magicbroccoli.xmpp.domains#filter) returns them.
    type: list
    elements: dict
    required: true
seealso:
  - plugin: magicbroccoli.xmpp.domains
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the names
  ansible.builtin.debug:
    msg: "{{ [{'domain': 'example.org', 'components': {'muc': 'conference.example.org'}}]
      | magicbroccoli.xmpp.certificate_names }}"
  # => ["example.org", "conference.example.org"]
"""

RETURN = r"""
_value:
  description: The names, the first of which is the subject's.
  type: list
  elements: str
"""


def certificate_names(domains):
    try:
        return names.certificate_names(domains)
    except ValueError as error:
        raise AnsibleFilterError(f"certificate_names: {error}") from error


class FilterModule:
    def filters(self):
        return {"certificate_names": certificate_names}
