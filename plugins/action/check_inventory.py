# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import glob
import importlib
import os
import re
from collections.abc import Mapping

from ansible.errors import AnsibleActionFail, AnsibleUndefinedVariable
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.yaml import yaml_load
from ansible.plugins.action import ActionBase
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks, inventory, misspelt, role_checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.variables import Variables

COLLECTION = "magicbroccoli.xmpp"
# The variables of a role by its defaults, and those of playbooks.
_KEY = re.compile(r"^([a-z][a-z0-9_]*):", re.MULTILINE)
_OF_PLAYBOOKS = re.compile(r"\b(site_[a-z_]+)\b(?!\.)")
_NOT_THERE = re.compile(r"is undefined|has no (attribute|element)")
HIDDEN = "its value is wrong, and not shown because it is secret"


def _cause(error):
    """The message of a chain of errors that says what is wrong: what a check of ours says, or the innermost one."""
    text = str(error)
    while error is not None:
        text = str(error) or text
        if type(error) is ValueError:
            break
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
                "model": {"type": "path"},
                "roles": {"type": "list", "elements": "str", "default": []},
                "rules": {"type": "dict", "default": {}},
                "only": {"type": "list", "elements": "str"},
            }
        )
        self._roles: dict[str, dict] = {}
        for role in arguments["roles"]:
            self._load_role(role, wanted=True)
        defaults, self._formats, self._rules = {}, {}, {}
        for role in self._roles.values():
            defaults.update(role["defaults"])
            self._formats.update(role["formats"])
            self._rules.update(role["rules"])
        self._defaults = defaults
        self._variables = {**defaults, **(task_vars or {})}
        self._gathered = "host_state" in (self._variables.get("ansible_facts") or {})
        # What several variables refer to is computed once.
        self._computed = Variables(self._templar, self._variables)
        self._errors: list[str] = []
        self._bad: set[str] = set()
        self._unknown: list[str] = []
        self._seen: set[str] = set()
        self._values: dict = {}
        self._asked: set[str] = set()

        model = self._load_model(arguments["model"]) if arguments["model"] else {}
        self._play_rules = {name: role_checks.rule_of(one) for name, one in arguments["rules"].items()}
        self._rules.update(self._play_rules)
        self._check_names(model, task_vars or {})
        wanted = [model, *(role["options"] for role in self._roles.values() if role["wanted"])]
        # What the inventory sets comes first, so that what is derived from a wrong variable repeats no error.
        self._options = {name: one for options in wanted for name, one in inventory.without_defaults(options).items()}
        asked = self._asked_for(arguments["only"])
        self._check(asked, derived=False)
        for names in ([name for name in model if name in asked], asked):
            self._check_related()
            self._check(names, derived=True)
        self._check_related()
        self._checked = len(self._seen)
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

    def _read(self, path, templates=False):
        """Returns what a file of YAML holds. Only templates need Ansible's loader, which notes the origin of each value."""
        try:
            if templates:
                return self._loader.load_from_file(path, unsafe=True, trusted_as_template=True) or {}
            with open(path, encoding="utf-8") as file:
                return yaml_load(file) or {}
        except Exception as error:
            # Loaders raise what they like.
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

        def part(place, templates=False):
            file = os.path.join(path, place)
            return self._read(file, templates) if os.path.isfile(file) else {}

        specs = part("meta/argument_specs.yml").get("argument_specs") or {}
        asked = part("meta/checks.yml")
        self._roles[full] = {
            "options": (specs.get("main") or {}).get("options") or {},
            "defaults": part("defaults/main.yml", templates=True),
            "formats": {name: role_checks.check_of(one) for name, one in asked.get("formats", {}).items()},
            "rules": {name: role_checks.rule_of(one) for name, one in asked.get("rules", {}).items()},
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

    def _check_names(self, model, variables):
        """Refuses misspelt variables of the inventory and the command line; results and facts may have any name."""
        root = importlib.import_module(f"ansible_collections.{COLLECTION}").__path__[0]
        known = {*model, *self._defaults, *(name for role in self._roles.values() for name in role["options"])}
        for pattern, expression in (("roles/*/defaults/main.yml", _KEY), ("playbooks/*.yml", _OF_PLAYBOOKS)):
            for path in glob.glob(os.path.join(root, pattern)):
                with open(path, encoding="utf-8") as file:
                    known.update(expression.findall(file.read()))
        manager, host = self._task.get_variable_manager(), variables.get("inventory_hostname")
        found = set(getattr(manager, "_nonpersistent_fact_cache", {}).get(host) or ())
        found |= set(variables.get("ansible_facts") or ())
        given = set(variables) - (found - set(manager.extra_vars))
        allowed = variables.get(misspelt.ALLOWED)
        for message in misspelt.misspelt(given, known, model, allowed if isinstance(allowed, list) else ()):
            self._fail(message.partition(":")[0], message)

    def _asked_for(self, only):
        """Returns all options, or those of some variables and of what is held against them; no other rule is looked at."""
        if only is None:
            return self._options
        self._rules = {name: rule for name, rule in self._rules.items() if {name, *rule[1]} & set(only)}
        related = {other for name, (_check, others) in self._rules.items() for other in (name, *others)}
        return {name: one for name, one in self._options.items() if name in related or name in only}

    def _is_default(self, name):
        return name in self._defaults and self._variables[name] == self._defaults[name]

    def _check(self, names, derived):
        """Checks those of some variables that the inventory sets, or those that have their defaults."""
        for name in names:
            if self._is_default(name) is derived and name not in self._seen:
                self._check_one(name, self._options[name])

    def _check_one(self, name, option):
        by_default = self._is_default(name)
        if self._variables.get(name) is None:
            if option.get("required"):
                self._fail(name, inventory.missing(name, option, self._formats.get(name)))
            elif name not in self._variables:
                return
        if name in self._bad:
            return
        self._seen.add(name)
        message = self._wrong(name, option)
        if not message:
            return
        causes = inventory.references(name, self._variables, {"ansible_facts", *self._bad})
        # A default that is wrong because of a variable already named would only repeat its error, and what needs facts
        # cannot be judged before they are gathered.
        if (by_default and causes & self._bad) or ("ansible_facts" in causes and not self._gathered):
            self._unknown.append(name)
        else:
            # The checks of secrets speak of `this secret`, and show nothing of it; nor do defaults that ask for one.
            asks = by_default and message in self._asked
            hidden = inventory.is_secret(option) and not message.startswith("this secret ") and not asks
            said = f"{name}: {HIDDEN if hidden else message}"
            if by_default and not asks:
                said = inventory.blamed(name, said, str(self._variables[name]), self._set(causes))
            self._fail(name, said)

    def _set(self, names):
        """Those of some variables that the inventory sets, and need not have set."""
        return [name for name in sorted(names) if name in self._defaults and not self._is_default(name)]

    def _check_related(self):
        """Holds variables against others, once all of them are right by themselves."""
        for name, (check, others) in self._rules.items():
            names = (name, *others)
            for other in others if name in self._values else ():
                if other in self._options and other not in self._seen:
                    self._check_one(other, self._options[other])
            if not self._values.keys() >= set(names) or name in self._bad:
                continue
            try:
                check(*(self._values[one] for one in names))
            except ValueError as error:
                # The play's own are about variables of several roles, and say which one to set.
                for line in str(error).splitlines():
                    self._fail(name, line if name in self._play_rules else f"{name}: {line}")

    def _wrong(self, name, option):
        """Returns what is wrong with a variable, or nothing."""
        try:
            value = self._computed.value(name)
        except Exception as error:
            # Filters and lookups raise what they like.
            cause = _cause(error)
            # What `undef` gives as a hint says by itself what would be right.
            if _undefined(error) and _NOT_THERE.search(cause):
                return f"cannot be evaluated: {cause}; set what is undefined, or correct its name"
            if _undefined(error):
                self._asked.add(cause)
            return cause
        messages = ArgumentSpecValidator({name: option}).validate({name: value}).error_messages
        if messages:
            return inventory.wrong_types(value, option, messages)
        if name in self._formats:
            try:
                self._formats[name](value)
            except ValueError as error:
                return str(error)
        self._values[name] = value
        return None
