# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in plugins/modules/plan.py.

from __future__ import annotations

import os
import sys
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible_collections.magicbroccoli.xmpp.plugins.action.config_tree import SHARED, Renderer
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import pack
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import answers, plan
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.variables import Variables

MODULE = "magicbroccoli.xmpp.plan"


class ActionModule(Renderer):
    """Renders what each role brings, and has the module compare all of it with the host in one call."""

    _VALID_ARGS = frozenset(("roles", "compare", "complete"))
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            {
                "roles": {"type": "list", "elements": "str", "required": True},
                "compare": {"type": "bool", "default": True},
                "complete": {"type": "bool", "default": False},
            }
        )
        task_vars = task_vars or {}
        # Tests of its parts say what is wrong where there is none.
        state: Any = (task_vars.get("ansible_facts") or {}).get("host_state")
        variables = Variables(self._templar, task_vars)
        try:
            wanted = {role: self.role_path(role) for role in args["roles"]}
            changes = {role: plan.Changes() for role in wanted}
            plans = {role: self._plan_of(role, changes[role], variables) for role in wanted}
            for role in wanted:
                plan.compare_packages(plans[role], state, changes[role])
            # Packages bring users and programs that other roles' files depend on: none of these is worth a look yet.
            compare = args["compare"] and not any(changes.values())
            told = self._compare(plans, changes, state, variables, task_vars) if compare else {}
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None
        due = plan.due(changes, plans) if compare else [*wanted]
        run = plan.untold(changes, due) if compare and self._task.check_mode else due
        result.update(
            changed=run != due,
            due=run,
            changes={role: what.lines() for role, what in changes.items() if what},
            **{"notes": [], "skipped_validators": [], **told},
            preflights=[role for role in due if os.path.isfile(os.path.join(wanted[role], "tasks", "preflight.yml"))],
            summary=plan.summary(
                changes, due, task_vars.get("inventory_hostname"), sys.maxsize if args["complete"] else plan.SHOWN
            ),
        )
        return result

    def _compare(self, plans, changes, state, variables, task_vars):
        """Adds to each role's changes what is to be changed; returns what else the result has of it."""
        exists, notes = {}, []
        # What all programs share is compared once, and not with each role that has some.
        trees = self.shared(plans.values(), variables)
        for role, found in plans.items():
            plan.compare_state(found, state, changes[role])
            notes += found.get("notes", [])
            exists[role] = found.get("exists", [])
            if found.get("files") is None:
                continue
            try:
                trees[role] = self.role_payload(role, found, variables)
            except (ValueError, AnsibleError) as error:
                # The role's own checks, which come next, say it better.
                changes[role].reasons.append(f"its files cannot be rendered ({type(error).__name__})")
        answer = self._execute_module(
            module_name=MODULE,
            module_args={"_payload": pack({"trees": trees, "exists": exists})},
            task_vars=task_vars,
        )
        if answer.get("failed"):
            raise AnsibleActionFail(answers.problem(answer), result=answer)
        package = answer["differ"].pop(SHARED, [])
        for role, paths in answer["differ"].items():
            changes[role].add("file", "to change", paths + (package if plans[role].get("programs") is not None else []))
        for role, paths in answer["missing"].items():
            changes[role].add("path", "missing", paths)
        diff = {"diff": answer["diff"]} if answer["diff"] else {}
        return {"notes": notes, "skipped_validators": answer["skipped_validators"], **diff}

    def _plan_of(self, role, changes, variables):
        """The role's plan. One that cannot be computed is a reason to run the role. Raises ValueError."""
        try:
            return self.role_plan(role, variables)
        except AnsibleError as error:
            changes.reasons.append(f"its plan cannot be made ({type(error).__name__})")
            return {}
