# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns

DOCUMENTATION = r"""
name: dns_zone_files
short_description: Write DNS zones as files for config_tree
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Turns zones like those of P(magicbroccoli.xmpp.dns_zones#filter) into entries of the option C(files) of
    M(magicbroccoli.xmpp.config_tree), one C(NAME.zone) a zone, each checked by C(named-checkzone) on the host.
  - All records are checked and quoted here, with the errors of P(magicbroccoli.xmpp.dns_zones#filter).
positional: directory, certificates, group
options:
  _input:
    description: The zones.
    type: list
    elements: dict
    required: true
  directory:
    description: Folder on the host for the files.
    type: str
    required: true
  certificates:
    description:
      - Path to what M(magicbroccoli.xmpp.certificate_facts) says of the certificate there, for TLSA and CAA records.
      - A TLSA record whose certificate is not there is left out.
    type: dict
    default: {}
  group:
    description: The group of the name server, which may read the files.
    type: str
    default: bind
seealso:
  - plugin: magicbroccoli.xmpp.dns_zone_file
    plugin_type: filter
  - module: magicbroccoli.xmpp.config_tree
"""

EXAMPLES = r"""
- name: Place the zones
  magicbroccoli.xmpp.config_tree:
    files: "{{ bind_zones | magicbroccoli.xmpp.dns_zone_files('/var/lib/bind', read.certificates) }}"
"""

RETURN = r"""
_value:
  description: Path of a zone file to its C(content), C(serial), C(group), C(mode) and C(validate).
  type: dict
"""


def dns_zone_files(zones, directory, certificates=None, group="bind"):
    try:
        return dns.dns_zone_files(zones, directory, certificates, group)
    except ValueError as error:
        raise AnsibleFilterError(f"dns_zone_files: {error}") from error


class FilterModule:
    def filters(self):
        return {"dns_zone_files": dns_zone_files}
