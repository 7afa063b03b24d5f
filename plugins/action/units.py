# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in plugins/modules/units.py.

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.host_state import running, stopped

MODULE = "magicbroccoli.xmpp.units"


class ActionModule(ActionBase):
    """Leaves the host alone where its facts say that there is nothing to do."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        units = {"type": "list", "elements": "str", "default": []}
        _validation, args = self.validate_argument_spec({"started": units, "stopped": units})
        state = ((task_vars or {}).get("ansible_facts") or {}).get("host_state")
        try:
            start = args["started"] if state is None else stopped(args["started"], state)
            stop = args["stopped"] if state is None else running(args["stopped"], state)
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None
        if not start and not stop:
            return result | {"changed": False, "units": []}
        arguments = {"started": start, "stopped": stop}
        return result | self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
