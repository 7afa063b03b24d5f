#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_change import ConfigTreeError
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.removal import Removal, RemovalError

DOCUMENTATION = r"""
module: remove
short_description: Remove from a host what roles have brought, and bring back what they replaced
version_added: 0.2.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Stops and disables the units of roles, removes their files, users and groups, and brings back, with owner and mode, what
    M(magicbroccoli.xmpp.take_over) has kept. What was enabled or ran before the host was taken over is enabled or runs again.
  - What the roles have brought follows from their plans, so the inventory has to be the one that has set the host up.
  - Databases, accounts, backups, certificates and keys stay, and so do installed packages. RV(report) names them.
  - A file that a package owns and of which no copy was kept stays as it is, since its package would not work without it.
  - A killed removal is continued by the next one. On a host that was not set up, or whose removal is complete, it does nothing.
attributes:
  check_mode:
    support: full
    description: Says all that it would do.
  diff_mode:
    support: none
    description: RV(report) has each path.
options:
  roles:
    description: Names of roles of this collection. The play need not import them.
    type: list
    elements: str
    required: true
  list_only:
    description: Whether to say only what would be done, as in check mode.
    type: bool
    default: false
seealso:
  - module: magicbroccoli.xmpp.take_over
  - module: magicbroccoli.xmpp.plan
"""

EXAMPLES = r"""
- name: List what would be removed
  magicbroccoli.xmpp.remove:
    roles: [prosody, nginx]
    list_only: true
"""

RETURN = r"""
report:
  description: Everything that is done or would be, and what stays, one a line.
  returned: success
  type: list
  elements: str
  sample: ["stop: prosody.service", "remove: /etc/xmpp/status.json", "leave the data: /var/lib/prosody"]
set_up:
  description: Whether the host is or was set up by the collection, and not all of it was removed.
  returned: success
  type: bool
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "roles": {"type": "list", "elements": "str"},
            "list_only": {"type": "bool", "default": False},
            # Of the action.
            "_brought": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    if module.params["_brought"] is None:
        module.fail_json(msg="remove works through its action plugin only; call it as magicbroccoli.xmpp.remove.")
    try:
        removal = Removal(module.params["_brought"])
        report = removal.report()
        if removal.is_set_up and not module.check_mode and not module.params["list_only"]:
            removal.apply()
    except (RemovalError, ConfigTreeError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=removal.is_set_up and not module.params["list_only"], set_up=removal.is_set_up, report=report
    )


if __name__ == "__main__":
    main()
