# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns_catalog as catalogs

DOCUMENTATION = r"""
name: dns_catalog
short_description: Make the catalog of zones for secondary name servers
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns a catalog zone (RFC 9432, version 2) with these zones as its members. A secondary that transfers it serves them,
    too, and no longer those that left it.
  - The label of a member depends on its name alone, and their order on nothing. So the same zones are the same catalog.
  - A zone that is there twice, one with the name of the catalog, and a wrong name are errors.
positional: name
options:
  _input:
    description: Names of the zones, without a dot at their end.
    type: list
    elements: str
    required: true
  name:
    description:
      - Name of the catalog. Nobody asks for it but the secondaries, so that a name below V(invalid) does (RFC 2606).
    type: str
    required: true
seealso:
  - plugin: magicbroccoli.xmpp.dns_zone_files
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the catalog
  ansible.builtin.debug:
    msg: "{{ ['example.org', 'example.net'] | magicbroccoli.xmpp.dns_catalog('catalog.invalid')
      | magicbroccoli.xmpp.dns_zone_file }}"
"""

RETURN = r"""
_value:
  description: The catalog, as P(magicbroccoli.xmpp.dns_zone_file#filter) takes a zone.
  type: dict
"""


def dns_catalog(zones, name):
    try:
        return catalogs.dns_catalog(zones, name)
    except ValueError as error:
        raise AnsibleFilterError(f"dns_catalog: {error}") from error


class FilterModule:
    def filters(self):
        return {"dns_catalog": dns_catalog}
