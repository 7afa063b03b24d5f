# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import names

DOCUMENTATION = r"""
name: dns_name
short_description: Tell the name by which DNS knows an XMPP domain
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns a domain with A-labels, as DNS, certificates, the web and paths have it (RFC 5890), whichever form is given.
  - What is not a domain name, and what IDNA2003 and IDNA2008 read otherwise, such as C(ß), is an error, as is a label that
    mixes scripts.
options:
  _input:
    description: The domain, with U-labels or A-labels.
    type: str
    required: true
seealso:
  - plugin: magicbroccoli.xmpp.jid
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the name
  ansible.builtin.debug:
    msg: "{{ 'bücher.example' | magicbroccoli.xmpp.dns_name }}"
  # => xn--bcher-kva.example
"""

RETURN = r"""
_value:
  description: The domain with A-labels.
  type: str
"""


def dns_name(domain):
    try:
        return names.dns_name(domain)
    except ValueError as error:
        raise AnsibleFilterError(f"dns_name: {error}") from error


class FilterModule:
    def filters(self):
        return {"dns_name": dns_name}
