# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns

DOCUMENTATION = r"""
name: tsig_key
short_description: Write a TSIG key for BIND
version_added: 1.0.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns the C(key) statement for BIND of a key for HMAC-SHA256 (RFC 8945), or nothing when there is neither a secret
    nor a need of one.
  - A secret that is not Base64 or has a wrong length, a wrong name, and a secret that is missing are errors. No message
    shows the secret.
positional: name, needed_by
options:
  _input:
    description: The secret, 32 to 64 bytes in Base64.
    type: str
    required: true
  name:
    description: Name of the key; both ends must agree on it.
    type: str
    required: true
  needed_by:
    description: Who can only be reached with the key; with one of them, there must be a secret.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Write the key
  ansible.builtin.copy:
    content: "{{ vault_transfer_secret | magicbroccoli.xmpp.tsig_key('transfer') }}"
    dest: /etc/bind/transfer.key
    group: bind
    mode: "0640"
  no_log: true
"""

RETURN = r"""
_value:
  description: The statement.
  type: str
"""


def tsig_key(secret, name, needed_by=()):
    try:
        return dns.tsig_key(secret, name, needed_by)
    except ValueError as error:
        raise AnsibleFilterError(f"tsig_key: {error}") from error


class FilterModule:
    def filters(self):
        return {"tsig_key": tsig_key}
