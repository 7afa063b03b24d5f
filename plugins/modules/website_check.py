# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import website_check

DOCUMENTATION = r"""
module: website_check
short_description: See that the website of an XMPP domain has what web clients look for there
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Asks the website of each domain by HTTPS for its files, as a web client of another site does, and compares their content,
    their type, and the header by which such a client may read them (CORS).
  - Where an ACME authority asks for challenges, sees that the website leads it to the host.
  - Fails when anything is not as it should be. The message has one line for each finding.
  - It changes nothing.
options:
  sites:
    description: The domains, as P(magicbroccoli.xmpp.website_files#filter) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      domain:
        description: The domain.
        type: str
        required: true
      web:
        description: The name of its web front.
        type: str
        required: true
      challenges:
        description: Whether challenges are asked for.
        type: bool
        default: false
      files:
        description: The files.
        type: list
        elements: dict
        required: true
        suboptions:
          path:
            description: Where it is, relative to the website's root.
            type: str
            required: true
          content:
            description: The text, which is compared as XML or JSON.
            type: str
            required: true
          type:
            description: Its media type. A file without one is not served.
            type: str
            required: true
  timeout:
    description: Seconds that the website has for an answer.
    type: int
    default: 10
attributes:
  check_mode:
    support: full
    description: Does the same in check mode.
  diff_mode:
    support: none
    description: It changes nothing, so there is no difference to show.
seealso:
  - plugin: magicbroccoli.xmpp.website_files
    plugin_type: filter
"""

EXAMPLES = r"""
- name: See that the website leads web clients to the host
  magicbroccoli.xmpp.website_check:
    sites: "{{ [{'domain': 'example.org', 'web': 'rosewood.example.org'}] | magicbroccoli.xmpp.website_files }}"
"""

RETURN = r"""
msg:
  description: One line for each thing that is not as it should be, or that all is.
  returned: always
  type: str
  sample: "https://example.org/.well-known/host-meta: the answer is 404; put the file there"
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "sites": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "domain": {"type": "str", "required": True},
                    "web": {"type": "str", "required": True},
                    "challenges": {"type": "bool", "default": False},
                    "files": {
                        "type": "list",
                        "elements": "dict",
                        "required": True,
                        "options": {key: {"type": "str", "required": True} for key in ("path", "content", "type")},
                    },
                },
            },
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    sites = module.params["sites"]
    lines = [line for site in sites for line in website_check.check(site, module.params["timeout"])]
    if lines:
        module.fail_json(msg="The website is not as it should be:\n" + "\n".join(lines))
    where = ", ".join(site["domain"] for site in sites)
    module.exit_json(msg=f"All is right at {where}" if where else "No other web server needs anything")


if __name__ == "__main__":
    main()
