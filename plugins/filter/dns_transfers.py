# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns_transfers as transfers

DOCUMENTATION = r"""
name: dns_transfers
short_description: Write the items of BIND's statements for zone transfers
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns the C(key) statements of the keys for HMAC-SHA256 (RFC 8945), and the items of C(also-notify), C(allow-transfer) and
    C(primaries).
  - A secondary with a key may transfer by it from wherever it comes; one without may from its addresses.
  - A secret that is not Base64 or has a wrong length, a wrong name, and a key that is missing are errors. No message shows a secret.
positional: primaries, keys, secret, name, allowed
options:
  _input:
    description:
      - The secondaries. Each is an address, or a dictionary of its C(address), which is told of changes; C(key), the name of its key
        or an empty text for none, by default O(name); and, without a key, C(transfer_from), the addresses or networks that it
        transfers from, by default its address.
    type: list
    elements: raw
    required: true
  primaries:
    description: The primaries to ask, each an address or a dictionary of C(address) and C(key).
    type: list
    elements: raw
    default: []
  keys:
    description: Names of keys and their secrets, 32 to 64 bytes in Base64.
    type: dict
    default: {}
  secret:
    description: The secret of the key for those that name none, or an empty text.
    type: str
    default: ""
  name:
    description: The name of that key.
    type: str
    default: transfer
  allowed:
    description: Addresses and networks that may transfer without a key and are not told of changes.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show the hosts that may transfer
  ansible.builtin.debug:
    msg: "{{ (secondaries | magicbroccoli.xmpp.dns_transfers(keys=vault_keys)).may_transfer }}"
  vars:
    secondaries:
      - {address: 198.51.100.20, key: ns2}
      - {address: 198.51.100.30, key: "", transfer_from: [198.51.100.31]}
"""

RETURN = r"""
_value:
  description: Lists of texts for BIND's configuration.
  type: dict
  contains:
    keys:
      description: The statements of all keys. They hold the secrets.
      type: list
      elements: str
    notified:
      description: The name servers that are notified of changes.
      type: list
      elements: str
    may_transfer:
      description: The hosts that may transfer.
      type: list
      elements: str
    members:
      description: Those of them that are secondaries.
      type: list
      elements: str
    asked:
      description: The primaries that are asked for zones.
      type: list
      elements: str
"""


def dns_transfers(secondaries, primaries=(), keys=None, secret="", name="transfer", allowed=()):
    try:
        return transfers.dns_transfers(secondaries, primaries, keys, secret, name, allowed)
    except ValueError as error:
        raise AnsibleFilterError(f"dns_transfers: {error}") from error


class FilterModule:
    def filters(self):
        return {"dns_transfers": dns_transfers}
