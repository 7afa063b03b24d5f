#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.take_over import (
    TakeOverError,
    is_done,
    keep_packaged,
    take_over,
)

DOCUMENTATION = r"""
module: take_over
short_description: Keep what somebody else has set up on a host, and switch it off
version_added: 0.2.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Copies the files of the findings of M(magicbroccoli.xmpp.survey), and the files that the collection replaces, with owner and
    mode, to the folder C(/var/backups/xmpp/taken-over-DATE). Its C(manifest.json) says what was done.
  - Then stops, disables or moves away what is in the way of the collection's daemons.
  - The folder is whole or not there. It is made once in a host's life - C(/var/backups/xmpp/take-over.json) says so, and which
    packages and units the host had. M(magicbroccoli.xmpp.remove) brings all of it back.
attributes:
  check_mode:
    support: full
    description: Says what it would do.
  diff_mode:
    support: none
    description: The list of what is kept says it.
options:
  findings:
    description: The findings, as RV(magicbroccoli.xmpp.survey#module:findings).
    type: list
    elements: dict
    default: []
  replaced:
    description: The files that the collection installs; those that are there are copied.
    type: list
    elements: str
    default: []
  packaged:
    description:
      - The files that the collection installs, once its packages are there. Those that came with a package since the host was
        taken over are copied to the same folder, and nothing else is done.
    type: list
    elements: str
seealso:
  - module: magicbroccoli.xmpp.survey
  - module: magicbroccoli.xmpp.remove
"""

EXAMPLES = r"""
- name: Copy what is replaced
  magicbroccoli.xmpp.take_over:
    findings: "{{ found.findings }}"
    replaced: "{{ found.replaced }}"
"""

RETURN = r"""
done:
  description: What was done, as C(manifest.json) has it; empty where it was done before.
  returned: success
  type: dict
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "findings": {"type": "list", "elements": "dict", "default": []},
            "replaced": {"type": "list", "elements": "str", "default": []},
            "packaged": {"type": "list", "elements": "str"},
        },
        supports_check_mode=True,
    )
    if module.params["packaged"] is not None:
        try:
            kept = keep_packaged(module.params["packaged"], check=module.check_mode)
        except (OSError, ValueError) as error:
            module.fail_json(msg=f"the packages' own configuration cannot be copied: {error}")
        module.exit_json(changed=bool(kept), done={"paths": kept} if kept else {})
    if is_done():
        module.exit_json(changed=False, done={})
    try:
        done = take_over(module.params["findings"], module.params["replaced"], check=module.check_mode)
    except (TakeOverError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, done=done)


if __name__ == "__main__":
    main()
