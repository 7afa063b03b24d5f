# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import apt_first, apt_locks

DOCUMENTATION = r"""
module: packages
short_description: Install packages, once whoever uses apt has ended
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Installs or removes packages by M(ansible.builtin.apt), without recommended ones and without starting a daemon, which is not
    configured yet. Package lists that are older than an hour are refreshed.
  - First it waits until no other process holds a lock of apt or dpkg, and cloud-init has ended. A fresh machine upgrades itself
    in its first minutes. It says which process it waits for.
  - What begins to use apt in between is waited for, too.
  - On a host without C(python3-apt), which M(ansible.builtin.apt) needs, C(apt-get) installs it in one transaction with the
    packages.
options:
  name:
    description: The packages.
    type: list
    elements: str
    required: true
  state:
    description: Whether they are there or not.
    type: str
    choices: [present, absent]
    default: present
  wait_seconds:
    description: How long it waits at most, in seconds.
    type: int
    default: 900
attributes:
  check_mode:
    support: full
    description: Says what would change, and waits for nobody.
  diff_mode:
    support: full
    description: Shows what apt says of it.
"""

EXAMPLES = r"""
- name: Install the web server
  magicbroccoli.xmpp.packages:
    name: [nginx]
"""

RETURN = r"""
waited_for:
  description: The processes that kept apt busy, one after the other.
  returned: always
  type: list
  elements: str
  sample: ["unattended-upgr (process 812) holds /var/lib/dpkg/lock-frontend"]
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "wait_seconds": {"type": "int", "default": 900},
            # Of the action plugin, which does the rest: who was told of already, and how long is waited this time.
            "_told": {"type": "str"},
            "_seconds": {"type": "int"},
            # Whether to install them here and now, where they are the host's first ones.
            "_first": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if module.params["_seconds"] is None:
        module.fail_json(msg="packages needs its action plugin; run it as a task of Ansible")
    end = time.monotonic() + module.params["_seconds"]
    while (found := apt_locks.busy()) and found == module.params["_told"] and time.monotonic() < end:
        time.sleep(1)
    answer = {"changed": False, "busy": found}
    if not found and module.params["_first"] and apt_first.applies(module.params["name"]):
        answer["installed"] = apt_first.install(module.params["name"])
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
