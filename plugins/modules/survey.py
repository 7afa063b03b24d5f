#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import take_over
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey import refused, report, survey, unknown
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Host

DOCUMENTATION = r"""
module: survey
short_description: Report what somebody else has set up on a host, and refuse to replace it
version_added: 0.2.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Looks at a Debian host before anything on it changes, and reports in one list what would be lost or get in the way - Prosody
    with domains or accounts, ejabberd, sites of nginx, zones of BIND, other programs at the ports, other firewalls, users of sshd
    with passwords only, and what the machine lacks.
  - Debian's own files, as its packages installed them, are no finding - dpkg's and ucf's checksums tell them apart.
  - It changes and starts nothing. Configurations are read, and not run; databases of SQLite are opened read-only.
  - It fails when O(take_over) does not name every finding. A host that M(magicbroccoli.xmpp.take_over) has taken over has none.
attributes:
  check_mode:
    support: full
    description: It changes nothing, and fails in check mode, too.
  diff_mode:
    support: none
    description: It changes nothing, so there is no difference to show.
options:
  take_over:
    description:
      - The findings that may be taken over or are accepted, by their identifiers, for example V(prosody) or V(nginx:shop.conf).
      - The part before the colon stands for all findings of the kind, for example V(nginx).
    type: list
    elements: str
    default: []
  refuse:
    description: Whether to fail when O(take_over) does not name every finding. If V(false), they are reported only.
    type: bool
    default: true
  rules:
    description: The rules of the firewall, as C(firewall_rules). Each has C(protocol) and C(ports), which our daemons need.
    type: list
    elements: dict
    default: []
  rules_extra:
    description: The operator's rules of the firewall, as C(firewall_rules_extra). What they let in is no finding.
    type: list
    elements: dict
    default: []
  ssh_port:
    description: The port of sshd that the firewall opens.
    type: int
    default: 22
requirements:
  - iproute2
seealso:
  - module: magicbroccoli.xmpp.take_over
"""

EXAMPLES = r"""
- name: Check that the host is bare
  magicbroccoli.xmpp.survey:
    take_over: [prosody, nginx:shop.conf]
  register: found
"""

RETURN = r"""
findings:
  description: What somebody has set up. Module P(magicbroccoli.xmpp.take_over#module) takes them as they are.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The identifier, for O(take_over).
      returned: always
      type: str
      sample: prosody
    found:
      description: What is there.
      returned: always
      type: str
    effect:
      description: What would happen to it, or by it.
      returned: always
      type: str
    choice:
      description: What the operator can do.
      returned: always
      type: str
report:
  description: The findings as text.
  returned: success
  type: str
replaced:
  description: The files that are there and that the collection may replace.
  returned: success
  type: list
  elements: str
installed:
  description: All files that the collection may install or remove, be they there or not.
  returned: success
  type: list
  elements: str
"""


def message(host, found, open_, wanted):
    """What the operator reads: everything in one list, and what to write."""
    ids = sorted({*wanted, *(one.id for one in open_)})
    lines = [
        f"{host} is not bare: somebody has set up what this run would replace or what gets in its way. Nothing on the host has "
        f"changed. Everything that was found:",
        report(found),
        "Take care of each by its choice. To go on, name all of them in the inventory:",
        f"  site_take_over: [{', '.join(ids)}]",
    ]
    idle = [name for name in wanted if not any(name in (one.id, one.id.partition(":")[0]) for one in found)]
    if idle:
        lines.append(f"Named there, and not found: {', '.join(idle)}")
    return "\n".join(lines)


def ports(rules):
    """The ports that rules of the firewall name, as 443/tcp; ranges are those of relayed calls."""
    return [f"{port}/{rule['protocol']}" for rule in rules for port in rule.get("ports", [])]


def main():
    module = AnsibleModule(
        argument_spec={
            "take_over": {"type": "list", "elements": "str", "default": []},
            "refuse": {"type": "bool", "default": True},
            "rules": {"type": "list", "elements": "dict", "default": []},
            "rules_extra": {"type": "list", "elements": "dict", "default": []},
            "ssh_port": {"type": "int", "default": 22},
            # Of the action.
            "_host": {"type": "str", "default": "This host"},
            "_replaced": {"type": "list", "elements": "str", "default": []},
            "_seconds": {"type": "float"},
        },
        supports_check_mode=True,
    )
    wanted = module.params["take_over"]
    if wrong := unknown(wanted):
        module.fail_json(msg=f"site_take_over: {'; '.join(wrong)}")
    found = []
    if not take_over.is_done():
        host = Host(
            replaced=module.params["_replaced"],
            ports=ports(module.params["rules"]),
            opened=ports(module.params["rules_extra"]),
            ssh_port=module.params["ssh_port"],
            seconds=module.params["_seconds"],
        )
        found = survey(host)
    open_ = refused(found, wanted)
    if open_ and module.params["refuse"]:
        module.fail_json(msg=message(module.params["_host"], found, open_, wanted))
    module.exit_json(
        changed=False,
        findings=[dataclasses.asdict(one) for one in found],
        report=report(found),
        replaced=[path for path in module.params["_replaced"] if os.path.lexists(path)],
        installed=module.params["_replaced"],
    )


if __name__ == "__main__":
    main()
