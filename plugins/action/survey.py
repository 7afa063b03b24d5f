# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in plugins/modules/survey.py.

from __future__ import annotations

import contextlib
import time

from ansible.errors import AnsibleError
from ansible_collections.magicbroccoli.xmpp.plugins.action.config_tree import ROLES
from ansible_collections.magicbroccoli.xmpp.plugins.action.remove import Brought
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.config_tree import destinations

MODULE = "magicbroccoli.xmpp.survey"


class ActionModule(Brought):
    """Gives the module what only the controller knows: the paths of all roles' files, and the time."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        given = {
            **self._task.args,
            "_host": task_vars.get("inventory_hostname", "This host"),
            "_replaced": sorted(self._replaced(task_vars)),
            "_seconds": time.time(),
        }
        return result | self._execute_module(module_name=MODULE, module_args=given, task_vars=task_vars)

    def _replaced(self, task_vars):
        """The files of all roles: those of templates, and those that only a role's table names, to make or remove them."""
        roles = [role.name for role in ROLES.iterdir()]
        found = {path for role in roles for path in self._placed(ROLES / role / "templates")}
        variables = self.variables(roles, task_vars)
        for role in roles:
            # What is wrong with a variable, the checks of its role say better.
            with contextlib.suppress(AnsibleError, ValueError, KeyError):
                found |= {
                    path for path, state in self.of_role(role, variables)["files"].items() if state != "directory"
                }
        return found

    @staticmethod
    def _placed(templates):
        """The paths on the host of a role's templates."""
        return destinations([str(path.relative_to(templates)) for path in templates.rglob("*") if path.is_file()])
