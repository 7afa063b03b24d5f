# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in plugins/modules/config_tree.py.

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleError, AnsibleUndefinedVariable
from ansible.module_utils.common.text.converters import to_bytes
from ansible.plugins.action import ActionBase
from ansible.template import generate_ansible_template_vars, trust_as_template
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import pack
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import host_package
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import plan as plans
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.config_tree import (
    SUFFIX,
    check_apart,
    check_serial,
    command,
    destinations,
    leaves,
    masked,
    plan,
)
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.variables import Variables

MODULE = "magicbroccoli.xmpp.config_tree"
COLLECTION = "magicbroccoli.xmpp"
# Among the trees of several roles, the one that is no role's.
SHARED = "package on the host"
VAULT = b"$ANSIBLE_VAULT;"
# The package of the programs on a host, which is of the collection and not of one role.
PACKAGE = pathlib.Path(__file__).parents[1] / "module_utils" / "host"
ROLES = pathlib.Path(__file__).parents[2] / "roles"


class Renderer(ActionBase):
    """What config_tree and the site's plan have in common: a role's table of files and its templates become entries."""

    def payload(self, src, args, variables, package=True):
        """What the host needs to compare, validate and show a role's files. Raises ValueError.

        `package` says whether the programs bring the package that they call.
        """
        return {
            "files": self.rendered(src, args, variables, package),
            "validate_tree": command(args.get("validate_tree"), "validate_tree", placeholder=True),
            "diff_limit": C.MAX_FILE_SIZE_FOR_DIFF,
        }

    def rendered(self, src, args, variables, package=True):
        """The entries for the host, with their contents."""
        sources = destinations(self._walk(src))
        entries = plan(self._files(args, package), sources)
        self._render(src, sources, entries, variables)
        return entries

    @staticmethod
    def role_path(role):
        """Where a role of the collection is. Raises ValueError."""
        path = str(ROLES / str(role))
        if not os.path.isdir(path):
            raise ValueError(f"roles: {role!r} is not a role of {COLLECTION}; correct its name")
        return path

    @staticmethod
    def role_plan(role, variables):
        """The role's plan, which it has in `__<role>_plan`. Raises ValueError, and AnsibleError if it cannot be computed."""
        name = f"__{role}_plan"
        if name not in variables:
            raise ValueError(f"roles: {role!r} has no {name}; import the role in this play")
        found = variables.value(name)
        if not isinstance(found, Mapping) or set(found) - set(plans.KEYS):
            raise ValueError(f"{name}: it has to be a dictionary of {', '.join(plans.KEYS)}; correct it")
        return found

    def role_payload(self, role, found, variables):
        """The payload of a role's plan, without the package that all programs share. Raises ValueError."""
        src, own = self.templates(self.role_path(role)), self.own_variables(role)
        return self.payload(src, found, variables.below(own), package=False)

    @staticmethod
    def templates(path):
        """The directory of templates below a role or a playbook, or None when it has none."""
        src = os.path.join(path, "templates")
        return src if os.path.isdir(src) else None

    def own_variables(self, role):
        """What Ansible tells the templates of a role of it. Raises ValueError."""
        path = self.role_path(role)
        return {"role_path": path, "role_name": role, "ansible_search_path": [path]}

    def shared(self, found, variables):
        """The package, as a payload by its name, where a plan of these has programs."""
        if not any(one.get("files") is not None and one.get("programs") is not None for one in found):
            return {}
        return {SHARED: self.payload(None, {"programs": {}}, variables)}

    @staticmethod
    def _files(args, package=True):
        """The table of files, with those of the programs that are asked for."""
        files = {} if args.get("files") is None else args["files"]
        if args.get("programs") is None:
            return files
        paths = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}
        added = host_package.stubs(paths, args["programs"])
        if package:
            added |= host_package.package({name: path.read_text("utf-8") for name, path in paths.items()})
        if isinstance(files, Mapping) and (twice := sorted(set(files) & set(added))):
            raise ValueError(f"files[{twice[0]!r}]: programs has it already; remove it here")
        return {**added, **files} if isinstance(files, Mapping) else files

    @staticmethod
    def _walk(src):
        relatives: list[str] = []
        for directory, names, files in os.walk(src) if src else ():
            for name in names:
                if os.path.islink(os.path.join(directory, name)):
                    raise ValueError(
                        f"src: {os.path.join(directory, name)!r} is a symbolic link to a directory; use a directory"
                    )
            relatives.extend(os.path.relpath(os.path.join(directory, name), src) for name in files)
        return relatives

    def _render(self, src, sources, entries, variables):
        """Give each file its content, and each secret one what in it is public: its template."""
        templars: dict = {}
        for entry in entries:
            if entry["state"] != "file":
                continue
            if "content" not in entry:
                relative = sources[entry["path"]]
                path = os.path.join(src, relative)
                with open(path, "rb") as f:
                    data = f.read()
                if data.startswith(VAULT):
                    entry["secret"] = True
                if relative.endswith(SUFFIX):
                    if entry["secret"] and not data.startswith(VAULT):
                        entry["public"] = data.decode("utf-8", "replace")
                    if "conceals" in entry:
                        self._conceal(entry, relative, path, templars, variables)
                    data = self._render_template(relative, path, entry, templars, variables)
                elif data.startswith(VAULT):
                    with open(self._loader.get_real_file(path), "rb") as f:
                        data = f.read()
                entry["content"] = data.decode("utf-8", "surrogateescape")
            check_serial(entry)

    def _conceal(self, entry, relative, path, templars, variables):
        """Give a file with secret values in it these, for what validators say, and for diffs its text without them."""
        values = {}
        for name in entry.pop("conceals"):
            if name not in variables:
                raise ValueError(f"files[{entry['path']!r}]: conceals: there is no variable {name!r}; correct its name")
            values[name] = variables.value(name)
        entry["concealed"] = leaves(list(values.values()))
        if self._task.diff:
            public = variables.changed({name: masked(value) for name, value in values.items()})
            entry["public"] = self._render_template(relative, path, entry, templars, public).decode("utf-8", "replace")

    def _render_template(self, relative, path, entry, templars, variables):
        """A template's bytes, rendered as ansible.builtin.template does."""
        directory = os.path.dirname(path)
        if directory not in templars:
            # One templar for each directory: Jinja remembers an included template by its name alone.
            search = [*variables.get("ansible_search_path", []), self._loader.get_basedir(), directory]
            search = [path for base in search for path in (os.path.join(base, "templates"), base)]
            templars[directory] = self._templar.copy_with_new_env(searchpath=search, available_variables={})
        templar = templars[directory]
        template_vars = generate_ansible_template_vars(path=relative, fullpath=path, dest_path=entry["path"])
        # A variable of the operator wins over the configuration's default, as with the template action.
        if "ansible_managed" in variables:
            del template_vars["ansible_managed"]
        templar.available_variables = variables.with_own(template_vars)
        try:
            text = templar.template(
                trust_as_template(self._loader.get_text_file_contents(path)),
                escape_backslashes=False,
                overrides={"trim_blocks": True, "lstrip_blocks": False, "newline_sequence": "\n"},
            )
        except AnsibleUndefinedVariable as e:
            raise AnsibleActionFail(f"The template {relative!r} of {entry['path']} failed: {e}") from e
        except AnsibleError as e:
            if entry["secret"]:
                # A message may quote the value that a filter did not like.
                raise AnsibleActionFail(
                    f"The template {relative!r} of {entry['path']} failed with {type(e).__name__}; "
                    "the message is withheld because the file is secret."
                ) from None
            raise AnsibleActionFail(f"The template {relative!r} of {entry['path']} failed: {e}") from e
        return to_bytes("" if text is None else text, errors="surrogate_or_strict")


class ActionModule(Renderer):
    """Renders a directory of templates and has the module put all of it in place."""

    _VALID_ARGS = frozenset(("src", *plans.FILES, "roles", "installed"))
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = self._task.args
        if args.get("installed"):
            # By a task that has installed the files of several roles.
            return {**args["installed"], "skipped_validators": []}
        variables = Variables(self._templar, task_vars)
        try:
            if args.get("roles") is not None:
                return self._of_roles(args, variables, task_vars)
            payload = self._with_live(self.payload(self._source(args.get("src")), args, variables), args)
        except ValueError as e:
            raise AnsibleActionFail(str(e)) from None
        if not payload["files"]:
            return {"changed": False, "paths": [], "skipped_validators": []}
        return self._sent(payload, task_vars)

    def _of_roles(self, args, variables, task_vars):
        """Installs what the plans of several roles have, in one transaction. Raises ValueError."""
        if others := sorted(set(args) - {"roles"}):
            raise ValueError(f"roles: it excludes {', '.join(others)}, which the roles' plans have; remove one of them")
        found = {role: self.role_plan(role, variables) for role in args["roles"]}
        state: Any = (task_vars.get("ansible_facts") or {}).get("host_state")
        together = plans.only_files(found, state)
        trees = self.shared([found[role] for role in together], variables)
        for role in together:
            trees[role] = self._with_live(self.role_payload(role, found[role], variables), found[role])
        check_apart({name: payload["files"] for name, payload in trees.items()})
        if not trees:
            return {"changed": False, "paths": [], "roles": {}, "skipped_validators": []}
        result = self._sent({"trees": trees}, task_vars)
        if not result.get("failed"):
            paths = result.pop("trees")
            package = paths.pop(SHARED, [])
            result["roles"] = {}
            for role, own in paths.items():
                of_role = sorted(own + (package if found[role].get("programs") is not None else []))
                result["roles"][role] = {"changed": bool(of_role), "paths": of_role}
        return result

    @staticmethod
    def _with_live(payload, args):
        return {**payload, "validate_live": command(args.get("validate_live"), "validate_live")}

    def _sent(self, payload, task_vars):
        return self._execute_module(module_name=MODULE, module_args={"_payload": pack(payload)}, task_vars=task_vars)

    def _source(self, src):
        """The directory of templates, or None when the role has none."""
        if src is None:
            role = self._task._role
            return self.templates(role._role_path if role else self._loader.get_basedir())
        if not isinstance(src, str) or not src:
            raise ValueError(f"src: {src!r} is not a path; write one of a directory")
        try:
            found = self._find_needle("templates", src)
        except AnsibleError as e:
            raise AnsibleActionFail(f"src: {src!r} does not exist; write the path of a directory") from e
        if not os.path.isdir(found):
            raise ValueError(f"src: {found!r} is not a directory; write the path of one")
        return found
