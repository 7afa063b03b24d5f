#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import glob
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree import (
    RUN_DIR,
    STATE_DIR,
    ConfigTree,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_change import ConfigTreeError
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import unpack

DOCUMENTATION = r"""
module: plan
short_description: Find the roles that have something to do on a host
version_added: 0.2.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Renders the files of all given roles on the controller, compares them with the host in one call, and says which roles
    have something to do and why. It changes nothing.
  - Each role describes what it brings in its variable C(__ROLE_plan), a dictionary of C(packages); C(files), C(programs) and
    C(validate_tree) as M(magicbroccoli.xmpp.config_tree) takes them; C(exists) (paths or patterns of which one must exist on the
    host), C(units) (enabled and running), C(units_off) (stopped), C(due) (further reasons to run the role), C(after) (roles
    after whose run its files may differ), and C(notes) (what is left for the operator to do).
  - Roles that are not due would change nothing. Where packages are missing, all roles are due, and no file is compared.
  - The state of the host comes from M(magicbroccoli.xmpp.host_facts).
attributes:
  check_mode:
    support: full
    description:
      - Roles whose changes are all known then are in RV(changes) and not in RV(due), and the task counts as changed. What
        else a role may have to do, only the role itself can say in check mode.
      - The validators of files run, as M(magicbroccoli.xmpp.config_tree) runs them in check mode.
  diff_mode:
    support: partial
    description: In check mode, it shows what M(magicbroccoli.xmpp.config_tree) would. Otherwise, the roles do.
options:
  roles:
    description: Names of roles of this collection, which the play imports, in the order in which they run.
    type: list
    elements: str
    required: true
  compare:
    description: Whether anything is compared. Otherwise, all roles are due.
    type: bool
    default: true
  complete:
    description: Whether each line of RV(summary) has all names. Otherwise, it has three of a kind.
    type: bool
    default: false
seealso:
  - module: magicbroccoli.xmpp.host_facts
  - module: magicbroccoli.xmpp.config_tree
"""

EXAMPLES = r"""
- name: Compare two roles with the host
  magicbroccoli.xmpp.plan:
    roles: [certificates, nginx]
  register: plan

- name: Show what they have to change
  ansible.builtin.debug:
    msg: "{{ plan.summary }}"
"""

RETURN = r"""
due:
  description: The roles that have something to do, in their order.
  returned: success
  type: list
  elements: str
  sample: [nginx]
skipped_validators:
  description: The commands that check mode could not run, each with the reason.
  type: list
  elements: str
  returned: success
  sample: ["nginx -t: nginx is not installed"]
changes:
  description: What each of them has to change.
  returned: success
  type: dict
  sample: {"nginx": ["1 file to change: /etc/nginx/nginx.conf"]}
summary:
  description: The same as lines to read, the sums in the last one.
  returned: success
  type: list
  elements: str
  sample: ["nginx: 1 file to change: /etc/nginx/nginx.conf", "1 file to change on rosewood.example.org"]
preflights:
  description: The roles of RV(due) that have checks of their own in C(tasks/preflight.yml).
  returned: success
  type: list
  elements: str
  sample: []
notes:
  description: What is left for the operator to do. Empty where packages are to be installed first.
  returned: success
  type: list
  elements: str
  sample: []
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "roles": {"type": "list", "elements": "str"},
            "compare": {"type": "bool", "default": True},
            "complete": {"type": "bool", "default": False},
            "_payload": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    if not module.params["_payload"]:
        module.fail_json(msg="plan works through its action plugin only; call it as magicbroccoli.xmpp.plan.")
    payload = unpack(module.params["_payload"])
    prefix = os.environ.get("CONFIG_TREE_PREFIX", "")  # where the collection's own tests keep the state
    try:
        # The differences of another run than one in check mode are shown by the roles.
        diff = module.check_mode and module._diff
        with ConfigTree(prefix + STATE_DIR, prefix + RUN_DIR, check=True, diff=diff) as tree:
            differ, diffs = tree.compare(payload["trees"], validate=module.check_mode)
    except ConfigTreeError as error:
        module.fail_json(msg=str(error), **error.details)
    missing = {role: [path for path in paths if not glob.glob(path)] for role, paths in payload["exists"].items()}
    skipped = tree.validators.skipped
    module.exit_json(changed=False, differ=differ, missing=missing, skipped_validators=skipped, diff=diffs)


if __name__ == "__main__":
    main()
