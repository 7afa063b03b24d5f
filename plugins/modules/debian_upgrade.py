#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import debian_upgrade
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.debian_sources import NEW
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.words import count

DOCUMENTATION = r"""
module: debian_upgrade
short_description: Upgrade a host from Debian 12 to 13 by Debian's own tools
version_added: 0.2.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Each step is one that the release notes of Debian 13 name. Sources of packages get the new release, packages are upgraded
    by C(apt-get), without a question and without a loss of changed configuration, and PostgreSQL's data moves to the new
    version by C(pg_upgradecluster).
  - Services that the collection has configured are stopped meanwhile, and no package starts them. Playbook site does, with
    their configuration for the new release.
  - What is done is noted in C(/var/lib/xmpp-upgrade). An upgrade that was interrupted is continued by the next call, which
    first has dpkg and apt mend what is half done. A step that still runs is waited for.
attributes:
  async:
    support: full
    description: An upgrade takes longer than some connections last.
  check_mode:
    support: full
    description: O(step=check) is the same; other steps do nothing.
  diff_mode:
    support: none
    description: RV(plan) says what is done.
  platform:
    support: full
    description: Debian.
    platforms: debian
options:
  step:
    description:
      - V(check) says what the upgrade would do, and fails with all that keeps it from being done. It changes nothing. Of
        an upgrade that has begun, it says how far that is.
      - V(upgrade) does it.
      - V(finish) is called when the host is well again, and ends it.
    type: str
    choices: [check, upgrade, finish]
    required: true
  services:
    description: The units to stop, if they run, as long as their configuration does not fit their packages.
    type: list
    elements: str
    default: []
  foreign_sources:
    description: Whether sources of packages may stay that are not those of Debian's release. They are left as they are.
    type: bool
    default: false
requirements:
  - apt
seealso:
  - name: Upgrades from Debian 12
    description: The release notes of Debian 13.
    link: https://www.debian.org/releases/trixie/release-notes/upgrading.en.html
"""

EXAMPLES = r"""
- name: Check that the host can be upgraded
  magicbroccoli.xmpp.debian_upgrade:
    step: check

- name: Upgrade the host
  magicbroccoli.xmpp.debian_upgrade:
    step: upgrade
    services: [prosody.service]
  async: 14400
"""

RETURN = r"""
needed:
  description: Whether the host has to be upgraded, or an upgrade of it is to be continued.
  returned: success
  type: bool
begun:
  description: Whether an upgrade has begun and is not over.
  returned: success
  type: bool
plan:
  description: What would be done, one a line.
  returned: success
  type: list
  elements: str
  sample: ["packages: 325 are upgraded, 65 are new, 22 are removed; 184 MB are downloaded"]
"""


def check(upgrade):
    """Returns what would be done, or fails with all that keeps it from being done."""
    state = debian_upgrade.noted()
    if state:
        return {"needed": True, "begun": True, "plan": debian_upgrade.progress(state)}
    if debian_upgrade.release() == NEW:
        return {"needed": False, "begun": False, "plan": ["runs Debian 13 already"]}
    if problems := upgrade.problems():
        raise debian_upgrade.UpgradeError("\n".join([f"{count(len(problems), 'problem')}:", *problems]))
    return {"needed": True, "begun": False, "plan": upgrade.plan}


def main():
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "choices": ["check", "upgrade", "finish"], "required": True},
            "services": {"type": "list", "elements": "str", "default": []},
            "foreign_sources": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    step = module.params["step"]
    upgrade = debian_upgrade.Upgrade(module.params["services"], module.params["foreign_sources"])
    changed, answer = False, {}
    try:
        if step == "check":
            answer = check(upgrade)
        elif not module.check_mode:
            changed = upgrade.run() if step == "upgrade" else debian_upgrade.finish()
    except (debian_upgrade.UpgradeError, CommandError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, **answer)


if __name__ == "__main__":
    main()
