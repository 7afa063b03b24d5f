# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive that ansible-galaxy builds installs and runs from elsewhere, by its full name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).resolve().parents[3]
TOOLS = Path(sys.executable).parent


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(TOOLS / command[0]), *command[1:]], cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    run("ansible-galaxy", "collection", "build", "--output-path", str(elsewhere), cwd=TOP)
    (archive,) = elsewhere.glob("magicbroccoli-xmpp-*.tar.gz")
    print(f"{archive.name}: {archive.stat().st_size} bytes")
    # Its dependencies are where bin/setup put them; no server is asked.
    collections = elsewhere / "collections"
    run(
        "ansible-galaxy",
        "collection",
        "install",
        "--force",
        "--no-deps",
        "-p",
        str(collections),
        str(archive),
        cwd=elsewhere,
    )
    return collections


def test_it_holds_the_collection_and_nothing_else(installed):
    top = installed / "ansible_collections" / "magicbroccoli" / "xmpp"
    names = {path.name for path in top.iterdir()}
    print(sorted(names))
    assert {"plugins", "roles", "playbooks", "meta", "docs", "inventory", "README.md", "LICENSE"} <= names
    assert not names & {
        "tests",
        "molecule",
        "bin",
        "ansible.cfg",
        ".venv",
        ".cache",
        ".demo",
        ".git",
        ".ci",
        ".github",
        ".gitlab-ci.yml",
    }
    assert not list(top.rglob("__pycache__"))


def test_the_site_runs_by_its_full_name(installed):
    dependencies = TOP / ".venv" / "collections"
    elsewhere = installed.parent
    crypto = elsewhere / "dependencies" / "ansible_collections"
    crypto.mkdir(parents=True)
    (crypto / "community").symlink_to(dependencies / "ansible_collections" / "community")
    where = {"ANSIBLE_COLLECTIONS_PATH": f"{installed}:{crypto.parent}", "ANSIBLE_CONFIG": str(elsewhere / "none.cfg")}
    example = installed / "ansible_collections/magicbroccoli/xmpp/inventory/example"
    tasks = run(
        "ansible-playbook", "-i", str(example), "magicbroccoli.xmpp.site", "--list-tasks", cwd=elsewhere, **where
    )
    roles = yaml.safe_load((TOP / "playbooks" / "site.yml").read_text())[0]["vars"]["__site_roles"]
    assert [role for role in roles if f"magicbroccoli.xmpp.{role} : " not in tasks] == []
    shown = run("ansible-doc", "-t", "role", "magicbroccoli.xmpp.prosody", cwd=elsewhere, **where)
    assert "prosody_password_hash" in shown
    model = run("ansible-doc", "-t", "role", "magicbroccoli.xmpp.xmpp", cwd=elsewhere, **where)
    options = yaml.safe_load((TOP / "playbooks" / "site.meta.yml").read_text())["argument_specs"]["site"]["options"]
    print(f"{len(options)} variables of the model")
    assert [name for name in options if name not in model] == []


def test_an_execution_environment_finds_its_lists(installed):
    """What ansible-builder reads of an installed collection, and what our code on the controller imports and runs."""
    top = installed / "ansible_collections" / "magicbroccoli" / "xmpp"
    lists = yaml.safe_load((top / "meta" / "execution-environment.yml").read_text())["dependencies"]
    python, system = (
        re.findall(r"^([A-Za-z0-9_-]+)", (top / lists[kind]).read_text(), re.M) for kind in ("python", "system")
    )
    print(f"Python: {python}; system: {system}")
    imported = {
        name.partition(".")[0]
        for path in (top / "plugins").rglob("*.py")
        # The package for programs on the host runs there, with Debian's packages.
        if "host" not in path.relative_to(top / "plugins").parts
        for name in re.findall(r"^\s*(?:import|from) ([A-Za-z_][\w.]*)", path.read_text(), re.M)
    }
    ours = set(sys.stdlib_module_names) | {"ansible", "ansible_collections"}
    assert imported - ours - set(python) == set()
    # The dependency community.crypto, ssh, the private authority, the questions of verify, and the web client's archive.
    assert python == ["cryptography"]
    assert {"openssh-client", "openssl", "bind9-dnsutils", "npm"} <= set(system)


def test_the_smallest_inventory_is_valid(installed):
    """The example that an operator copies passes the check that refuses wrong ones."""
    playbook = installed.parent / "check.yml"
    source = yaml.safe_load((TOP / "playbooks" / "site.yml").read_text())[0]
    task = source["pre_tasks"][0] | {"register": "checked"}
    task["magicbroccoli.xmpp.check_inventory"]["model"] = str(TOP / "playbooks" / "site.meta.yml")
    play = {"hosts": "all", "gather_facts": False, "connection": "local", "pre_tasks": [task], "vars": source["vars"]}
    play["pre_tasks"] += [{"ansible.builtin.debug": {"var": "checked"}}, {"ansible.builtin.meta": "end_play"}]
    play["tasks"] = source["tasks"]
    playbook.write_text(yaml.safe_dump([play]))
    output = run(
        "ansible-playbook",
        "-i",
        str(TOP / "inventory" / "example"),
        str(playbook),
        cwd=installed.parent,
        ANSIBLE_COLLECTIONS_PATH=str(TOP / ".venv" / "collections"),
    )
    assert "failed=0" in output
