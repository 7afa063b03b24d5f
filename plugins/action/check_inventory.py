# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping

from ansible.errors import AnsibleActionFail, AnsibleError, AnsibleUndefinedVariable
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks, firewall, inventory

FORMATS = {**checks.FORMATS, **firewall.FORMATS}
COLLECTION = "magicbroccoli.xmpp"
_NOT_THERE = re.compile(r"is undefined|has no (attribute|element)")
HIDDEN = "its value is wrong, and not shown because it is secret"


def _cause(error):
    """The innermost message of a chain of errors, which is the one that says what is wrong."""
    text = str(error)
    while error is not None:
        text = str(error) or text
        error = error.__cause__
    return " ".join(text.split())


def _undefined(error):
    while error is not None:
        if isinstance(error, AnsibleUndefinedVariable):
            return True
        error = error.__cause__
    return False


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            {
                "model": {"type": "path", "required": True},
                "roles": {"type": "list", "elements": "str", "default": []},
            }
        )
        self._roles = {}
        for role in arguments["roles"]:
            self._load_role(role, wanted=True)
        defaults = {}
        for role in self._roles.values():
            defaults.update(role["defaults"])
        self._defaults = defaults
        self._variables = {**defaults, **(task_vars or {})}
        self._gathered = "module_setup" in (self._variables.get("ansible_facts") or {})
        # Only what is asked for is templated; the copy keeps the caller's own variables as they are.
        self._engine = self._templar.copy_with_new_env(available_variables=self._variables)
        self._errors, self._bad, self._unknown, self._checked = [], set(), [], 0
        self._values = {}

        model = self._load_model(arguments["model"])
        for message in inventory.misspelt(self._variables, model):
            self._fail(message.partition(":")[0], message)
        self._check(model)
        # Before the roles' defaults, so that what is derived from a wrong one repeats no error.
        self._check_related()
        for role in self._roles.values():
            if role["wanted"]:
                self._check(role["options"])
        self._check_related()
        result.update(changed=False, checked=self._checked, unknown=sorted(set(self._unknown)), errors=self._errors)
        if self._errors:
            count = len(self._errors)
            head = "The inventory has an error:" if count == 1 else f"The inventory has {count} errors:"
            result.update(failed=True, msg="\n".join([head, *self._errors]))
        else:
            result["msg"] = f"{self._checked} variables are as they should be"
        return result

    def _fail(self, name, message):
        self._bad.add(name)
        if message not in self._errors:
            self._errors.append(message)

    def _read(self, path, **how):
        try:
            return self._loader.load_from_file(path, **how) or {}
        except AnsibleError as error:
            raise AnsibleActionFail(f"{path}: {_cause(error)}; it must be a file of YAML") from error

    def _load_model(self, path):
        path = self._loader.path_dwim(path)
        if not os.path.isfile(path):
            raise AnsibleActionFail(f"model: {path} is no file; write its path relative to the playbook's directory")
        specs = self._read(path).get("argument_specs")
        if not isinstance(specs, Mapping) or len(specs) != 1:
            raise AnsibleActionFail(f"model: {path} does not hold 'argument_specs' with one entry; write one")
        return next(iter(specs.values())).get("options") or {}

    def _load_role(self, name, wanted):
        full = name if name.count(".") >= 2 else f"{COLLECTION}.{name}"
        if full in self._roles:
            self._roles[full]["wanted"] |= wanted
            return
        collection, _dot, short = full.rpartition(".")
        try:
            root = importlib.import_module(f"ansible_collections.{collection}").__path__[0]
        except ImportError as error:
            raise AnsibleActionFail(
                f"roles: {name!r}: the collection {collection} is not installed; write an installed one"
            ) from error
        path = os.path.join(root, "roles", short)
        if not os.path.isdir(path):
            raise AnsibleActionFail(f"roles: {name!r} is not a role of {collection}; {self._nearest_role(root, short)}")

        def part(place, **how):
            file = os.path.join(path, place)
            return self._read(file, **how) if os.path.isfile(file) else {}

        specs = part("meta/argument_specs.yml").get("argument_specs") or {}
        self._roles[full] = {
            "options": (specs.get("main") or {}).get("options") or {},
            "defaults": part("defaults/main.yml", trusted_as_template=True),
            "wanted": wanted,
        }
        for dependency in part("meta/main.yml").get("dependencies") or []:
            self._load_role(dependency if isinstance(dependency, str) else dependency["role"], wanted=False)

    @staticmethod
    def _nearest_role(root, short):
        try:
            return checks.nearest(short, os.listdir(os.path.join(root, "roles")))
        except OSError:
            return "it has none"

    def _check(self, options):
        for name, option in inventory.without_defaults(options).items():
            if self._variables.get(name) is None:
                if option.get("required"):
                    self._fail(name, inventory.missing(name, option))
                elif name not in self._variables:
                    continue
            if name in self._bad:
                continue
            self._checked += 1
            message = self._wrong(name, option)
            if not message:
                continue
            by_default = name in self._defaults and self._variables[name] == self._defaults[name]
            causes = inventory.references(name, self._variables, {"ansible_facts", *self._bad}) if by_default else set()
            # A default that is wrong because of a variable already named would only repeat its error, and one that
            # needs facts cannot be judged before they are gathered.
            if causes & self._bad or ("ansible_facts" in causes and not self._gathered):
                self._unknown.append(name)
            else:
                # The checks of secrets speak of `this secret`, and show nothing of it.
                hidden = inventory.is_secret(option) and not message.startswith("this secret ")
                self._fail(name, f"{name}: {HIDDEN if hidden else message}")

    def _check_related(self):
        """Holds variables against others, once all of them are right by themselves."""
        for name, (others, check) in inventory.RELATED.items():
            names = (name, *others)
            if not self._values.keys() >= set(names) or name in self._bad:
                continue
            try:
                check(*(self._values[one] for one in names))
            except ValueError as error:
                self._fail(name, f"{name}: {error}")

    def _wrong(self, name, option):
        """Returns what is wrong with a variable, or nothing."""
        try:
            value = self._engine.template(self._variables[name])
        except Exception as error:
            # Filters and lookups raise what they like.
            cause = _cause(error)
            # What `undef` gives as a hint says by itself what would be right.
            if _undefined(error) and _NOT_THERE.search(cause):
                return f"cannot be evaluated: {cause}; set what is undefined, or correct its name"
            return cause
        messages = ArgumentSpecValidator({name: option}).validate({name: value}).error_messages
        if messages:
            return "; ".join(inventory.wrong_type(value, option, message) for message in messages)
        if name in FORMATS:
            try:
                FORMATS[name](value)
            except ValueError as error:
                return str(error)
        self._values[name] = value
        return None
