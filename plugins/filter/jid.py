# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import names

DOCUMENTATION = r"""
name: jid
short_description: Tell how Prosody writes a domain or an account
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns an XMPP address with U-labels, as XMPP compares it (RFC 7622), whichever form of the domain is given.
  - What is not an address, and an account that XMPP knows by another name than the one that is given, is an error.
positional: uri
options:
  _input:
    description: A domain or a bare JID. What follows a slash stays as it is.
    type: str
    required: true
  uri:
    description: Whether its URI is wanted (RFC 5122).
    type: bool
    default: false
seealso:
  - plugin: magicbroccoli.xmpp.dns_name
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the account, and its URI
  ansible.builtin.debug:
    msg: "{{ ['juliet@xn--bcher-kva.example' | magicbroccoli.xmpp.jid,
      'juliet@xn--bcher-kva.example' | magicbroccoli.xmpp.jid(uri=true)] }}"
  # => ["juliet@bücher.example", "xmpp:juliet@b%C3%BCcher.example"]
"""

RETURN = r"""
_value:
  description: The address with U-labels.
  type: str
"""


def jid(address, uri=False):
    try:
        return names.jid(address, bool(uri))
    except ValueError as error:
        raise AnsibleFilterError(f"jid: {error}") from error


class FilterModule:
    def filters(self):
        return {"jid": jid}
