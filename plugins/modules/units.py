#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.units import UnitError, apply

DOCUMENTATION = r"""
module: units
short_description: Start and stop units, now and at boot
version_added: 0.2.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Has some systemd units run and others not, now and at the next boot, in one call.
  - Systemd reads its unit files anew first where any of these units has changed. Units are started together, so that systemd orders them.
  - When one does not start, the message has the last lines of its journal.
  - Where the facts of M(magicbroccoli.xmpp.host_facts) say that all is so, the host is not asked.
attributes:
  check_mode:
    support: full
    description: Says what would change. Units that are not there yet are left out.
  diff_mode:
    support: none
    description: RV(units) names what has changed.
options:
  started:
    description: Full names of units that have to run and to be enabled.
    type: list
    elements: str
    default: []
  stopped:
    description: Full names of units that must neither run nor be enabled. One that does not exist is right.
    type: list
    elements: str
    default: []
seealso:
  - module: ansible.builtin.systemd_service
  - module: magicbroccoli.xmpp.host_facts
"""

EXAMPLES = r"""
- name: Enable and start the services
  magicbroccoli.xmpp.units:
    started: [nginx.service, logrotate.timer]
    stopped: [apache2.service]
"""

RETURN = r"""
units:
  description: The units that were changed.
  returned: success
  type: list
  elements: str
  sample: [nginx.service]
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "started": {"type": "list", "elements": "str", "default": []},
            "stopped": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        units = apply(module.params["started"], module.params["stopped"], module.check_mode)
    except UnitError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(units), units=units)


if __name__ == "__main__":
    main()
