# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in plugins/modules/remove.py.

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible_collections.magicbroccoli.xmpp.plugins.action.config_tree import Renderer
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.removal import KEYS
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.config_tree import destinations, plan

MODULE = "magicbroccoli.xmpp.remove"
# What of a role's plan comes to the host.
PLAN = ("packages", "files", "programs", "units", "units_off")


def plain(value):
    """A value without what Ansible has attached to it."""
    return json.loads(json.dumps(value))


class Brought(Renderer):
    """What roles bring to a host, from their variables: the play need not import them."""

    def brought(self, roles, task_vars):
        """Role → its files with their states, units, packages, and what it says of its removal."""
        variables = self.variables(roles, task_vars)
        return {role: self.of_role(role, variables) for role in roles}

    def variables(self, roles, task_vars):
        """All that a template of a role may name: as Ansible has it, defaults below and a role's own variables above."""
        defaults: dict = {}
        own: dict = {}
        for role in ["xmpp", *roles]:
            for place, into in (("defaults", defaults), ("vars", own)):
                file = os.path.join(self.role_path(role), place, "main.yml")
                if os.path.isfile(file):
                    into |= self._loader.load_from_file(file, unsafe=True, trusted_as_template=True) or {}
        # Files have the same paths whatever a certificate says.
        facts = {"certificates": {}, "tls_ciphers": {}, "dnssec": {}, **(task_vars.get("ansible_facts") or {})}
        return {**defaults, **task_vars, **own, "ansible_facts": facts}

    def of_role(self, role, variables):
        """What one role brings, given the variables of all. Raises ValueError, KeyError and AnsibleError."""
        engine = self._templar.copy_with_new_env(available_variables={**variables, **self.own_variables(role)})
        # Its reasons to run are of no interest, and ask for more facts.
        written = variables.get(f"__{role}_plan", {})
        found = {key: plain(engine.template(written[key])) for key in PLAN if key in written}
        entries = []
        if found.get("files") is not None:
            sources = destinations(self._walk(self.templates(self.role_path(role))))
            entries = plan(self._files(found), sources)
        removal = plain(engine.template(variables.get(f"__{role}_removal", {})))
        if not isinstance(removal, Mapping) or set(removal) - set(KEYS):
            raise ValueError(f"__{role}_removal: it has to be a dictionary of {', '.join(KEYS)}; correct it")
        return {
            "files": {entry["path"]: entry["state"] for entry in entries},
            "units": [*found.get("units", []), *found.get("units_off", [])],
            "packages": found.get("packages", []),
            "removal": {key: removal.get(key, []) for key in KEYS},
        }


class ActionModule(Brought):
    """Tells the module what the roles have brought."""

    _VALID_ARGS = frozenset(("roles", "list_only"))
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            {
                "roles": {"type": "list", "elements": "str", "required": True},
                "list_only": {"type": "bool", "default": False},
            }
        )
        try:
            brought = self.brought(arguments["roles"], task_vars or {})
        except (ValueError, KeyError, AnsibleError) as error:
            raise AnsibleActionFail(
                f"what the roles have brought cannot be computed: {error}. Run this playbook with the inventory that has "
                "set the host up. Nothing on the host has changed"
            ) from error
        answer = self._execute_module(
            module_name=MODULE, module_args={**arguments, "_brought": brought}, task_vars=task_vars
        )
        return result | answer
