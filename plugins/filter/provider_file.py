# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import provider

DOCUMENTATION = r"""
name: provider_file
short_description: Describe this server for lists of XMPP servers
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns the content of C(/.well-known/xmpp-provider-v2.json), by which lists of XMPP servers are made
    (U(https://providers.xmpp.net/faq/)).
  - What is not given is published as unknown, never as good. An empty input gives an empty result.
  - An unknown key, and a value of another form, are errors.
positional: archive_days, upload_days, upload_daily_quota
options:
  _input:
    description:
      - What only the operator knows. C(website), C(legal_notice) and C(password_reset) are dictionaries of a language
        (V(en)) and an HTTPS URL.
      - C(organization) is one of V(company), V(commercial person), V(private person), V(governmental) and
        V(non-governmental). C(locations) is a list of countries (ISO 3166-1, two small letters). C(since) is a date, as
        V(2024-05-01). C(people) is how many could go on with the server without the others.
      - C(free_of_charge), C(professional_hosting) and C(server_testing) are true or false.
    type: dict
    required: true
  archive_days:
    description: Days that archived messages are kept.
    type: int
    required: true
  upload_days:
    description: Days that uploads are kept.
    type: int
    required: true
  upload_daily_quota:
    description: What one account may upload in a day, in bytes.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Show the file
  ansible.builtin.debug:
    msg: "{{ {'organization': 'private person', 'locations': ['de'], 'free_of_charge': true}
      | magicbroccoli.xmpp.provider_file(archive_days=30, upload_days=30, upload_daily_quota=1000000000) }}"
"""

RETURN = r"""
_value:
  description: The file's content, with the names of its format.
  type: dict
"""


def provider_file(given, archive_days, upload_days, upload_daily_quota):
    try:
        return provider.provider_file(given, archive_days, upload_days, upload_daily_quota)
    except ValueError as error:
        raise AnsibleFilterError(f"provider_file: {error}") from error


class FilterModule:
    def filters(self):
        return {"provider_file": provider_file}
