# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs check_inventory over inventories in one process: reads a list of them as JSON, and prints what is said of each.

A program of its own, because Ansible finds plugins of collections by a loader that a process has or has not.
"""

import json
import sys
import types
from pathlib import Path

import jinja2
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template
from facts import FACTS, MAGIC

TOP = Path(__file__).resolve().parents[2]
ROLES = sorted({path.name for path in (TOP / "roles").iterdir()} - {"xmpp"})
GOOD = {
    **MAGIC,
    "inventory_dir": "/inventory",
    "ansible_facts": {**FACTS, "host_state": {}},
    "xmpp_domain": "example.org",
    "xmpp_admins": ["admin@example.org"],
    "xmpp_hostname": "host.example.org",
    "xmpp_addresses": ["198.51.100.10"],
}


def trusted(value):
    """A value as Ansible reads it from an inventory."""
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return {key: trusted(item) for key, item in value.items()} if isinstance(value, dict) else value


def compile_once():
    """Has Jinja compile each default once for all inventories, which is most of what evaluating it takes."""
    compiled, slow = {}, jinja2.Environment.compile

    def compile_(self, source, *arguments, **options):
        key = (str(source), arguments, tuple(options.items()))
        if key not in compiled:
            compiled[key] = slow(self, source, *arguments, **options)
        return compiled[key]

    jinja2.Environment.compile = compile_


def main():
    compile_once()
    init_plugin_loader([str(TOP / ".venv" / "collections")])
    from ansible_collections.magicbroccoli.xmpp.plugins.action.check_inventory import ActionModule

    files = {}

    class Quick(ActionModule):
        """Reads each file once for all inventories."""

        def _read(self, path, templates=False):
            if (path, templates) not in files:
                files[path, templates] = super()._read(path, templates)
            return files[path, templates]

    said = []
    for given in json.load(sys.stdin):
        variables = {**GOOD, **trusted(given)}
        # The roles whose variables are set, and those whose defaults are made of the model's.
        named = {name.partition("_")[0] for name in given}
        named |= {"backup", "bind"} if "xmpp" in named else set()
        task = Task()
        task.args = {"model": str(TOP / "playbooks/site.meta.yml"), "roles": [role for role in ROLES if role in named]}
        task._variable_manager = types.SimpleNamespace(extra_vars={}, _nonpersistent_fact_cache={})
        connection = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/none"))
        context = types.SimpleNamespace(check_mode=False)
        action = Quick(task, connection, context, DataLoader(), Templar(variables=variables), None)
        said.append(action.run(task_vars=variables)["errors"])
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
