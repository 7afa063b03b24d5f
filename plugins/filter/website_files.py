# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import website

DOCUMENTATION = r"""
name: website_files
short_description: Tell what the web server of an XMPP domain must have, where it is another one
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Browsers look for the connections of an XMPP domain at the domain itself (XEP-0156). Where its website is another server's,
    that one has to have a few files. Returns them, and the settings for nginx, Apache and Caddy.
  - Domains whose web front is under their own name need nothing, and are not returned.
positional: provider, challenges
options:
  _input:
    description: The XMPP domains, as P(magicbroccoli.xmpp.domains#filter) returns them.
    type: list
    elements: dict
    required: true
  provider:
    description: What P(magicbroccoli.xmpp.provider_file#filter) returns, if that is published.
    type: dict
    default: {}
  challenges:
    description: Whether an ACME authority asks for challenges by HTTP (RFC 8555, section 8.3), at the domain, too.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what nginx needs
  ansible.builtin.debug:
    msg: "{{ [{'domain': 'example.org', 'web': 'rosewood.example.org'}] | magicbroccoli.xmpp.website_files }}"
"""

RETURN = r"""
_value:
  description: One entry for each domain whose website is another server's.
  type: list
  elements: dict
  contains:
    domain:
      description: The domain.
      type: str
    web:
      description: The name of its web front.
      type: str
    challenges:
      description: Whether challenges are asked for.
      type: bool
    files:
      description: The files, and after them the settings of web servers, which are for people.
      type: list
      elements: dict
      contains:
        path:
          description: Where it belongs, relative to the website's root.
          type: str
        content:
          description: The text.
          type: str
        type:
          description: Its media type; empty for settings, which are not served.
          type: str
"""


def website_files(domains, provider=None, challenges=False):
    try:
        return website.website_files(domains, provider, challenges)
    except ValueError as error:
        raise AnsibleFilterError(f"website_files: {error}") from error


class FilterModule:
    def filters(self):
        return {"website_files": website_files}
