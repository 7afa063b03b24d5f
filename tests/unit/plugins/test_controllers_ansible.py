# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oldest and the newest ansible-core render the configuration of every role alike, for both releases of Debian.

Each role has its defaults, its checks and the one task that installs its configuration; a module in place of config_tree's
keeps what a host would get.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from controllers import TOP, environments
from facts import FACTS

COLLECTIONS = TOP / ".venv/collections/ansible_collections"
OURS = "ansible_collections.magicbroccoli.xmpp.plugins.modules."
TREE = "magicbroccoli.xmpp.config_tree"
ROLES = sorted(path.parent.name for path in TOP.glob("roles/*/templates"))
KEEP = """\
#!/usr/bin/python
import json, os
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import unpack
module = AnsibleModule(argument_spec={"_payload": {"type": "str"}}, supports_check_mode=True)
with open(os.environ["RENDERED"], "w") as stream:
    json.dump(unpack(module.params["_payload"]), stream)
module.exit_json(changed=False)
"""


def sample(module: str, name: str) -> dict:
    """What a module returns, as a fact or a result of its own, as its documentation shows it."""
    documented = yaml.safe_load(importlib.import_module(OURS + module).RETURN)
    returned = documented.get("ansible_facts", {}).get("contains", documented)[name]
    return {key: value.get("sample") for key, value in returned["contains"].items()}


IPV6 = {
    "default_ipv6": {"address": "2001:db8::10", "interface": "eth0"},
    "all_ipv6_addresses": ["2001:db8::10", "fe80::1"],
}
MODEL = {"xmpp_domain": "example.org", "xmpp_admins": ["juliet@example.org"]}
SITES = {
    "trixie.example.org": {"release": "13"},
    "bookworm.example.org": {
        "release": "12",
        "xmpp_extra_domains": [{"domain": "bücher.test", "admins": ["jörg@bücher.test"]}],
        "xmpp_addresses": ["198.51.100.10", "2001:DB8:0:0::10"],
        "xmpp_storage": "postgresql",
        "xmpp_key_types": ["ecdsa-p256", "rsa-3072"],
        "xmpp_registration": "open",
        "prosody_registration_questions": [{"en": "Which colour?", "answers": ["green", "grün"]}],
        "prosody_registration_captcha": True,
        "prosody_settings_extra": {"odd": ["ß\n\t\u2028\U0001f966", 0.1, 1e300, True]},
    },
}


def trees(tasks: list[dict]) -> list[dict]:
    """The tasks that install a configuration, in blocks, too."""
    found = []
    for task in tasks:
        found += trees(task.get("block", [])) + ([task] if TREE in task else [])
    return found


def task_of(role: str) -> dict:
    """The first one of a role whose files are all that the role has."""
    files = sorted(
        (TOP / "roles" / role / "tasks").glob("*.yml"), key=lambda path: (path.name != "main.yml", path.name)
    )
    first = next(task for path in files for task in trees(yaml.safe_load(path.read_text()) or []))
    return {
        "name": first["name"],
        TREE: {key: value for key, value in first[TREE].items() if key in ("files", "programs")},
        "environment": {"RENDERED": "{{ rendered }}/{{ inventory_hostname }}-" + role},
    }


@pytest.fixture(scope="module")
def collections(tmp_path_factory):
    """The collection with nothing of its roles' tasks but those, and the others beside it."""
    top = tmp_path_factory.mktemp("collections")
    ours = top / "ansible_collections/magicbroccoli/xmpp"
    (ours / "plugins/modules").mkdir(parents=True)

    def link(place: Path, source: Path, without: str) -> None:
        for path in source.iterdir():
            if path.name not in (without, "__pycache__"):
                (place / path.name).symlink_to(path)

    link(top / "ansible_collections", COLLECTIONS, "magicbroccoli")
    for name in ("galaxy.yml", "meta"):
        (ours / name).symlink_to(TOP / name)
    link(ours / "plugins", TOP / "plugins", "modules")
    link(ours / "plugins/modules", TOP / "plugins/modules", "config_tree.py")
    (ours / "plugins/modules/config_tree.py").write_text(KEEP)
    for role in (TOP / "roles").iterdir():
        (ours / "roles" / role.name / "tasks").mkdir(parents=True)
        link(ours / "roles" / role.name, role, "tasks")
        tasks = [task_of(role.name)] if role.name in ROLES else []
        (ours / "roles" / role.name / "tasks/main.yml").write_text(json.dumps(tasks))
    return top


@pytest.fixture(scope="module")
def render(collections, tmp_path_factory):
    def run(programs: Path) -> dict[str, dict]:
        """What a host would get: by host and role, its files."""
        top = tmp_path_factory.mktemp("play")
        facts = FACTS | IPV6
        for module, name in (("tls_ciphers", "tls_ciphers"), ("host_facts", "host_state")):
            facts[name] = sample(module, name)
        facts["host_state"] |= {"packages": {}, "units": {}, "ipv6": True}
        certificate = {**sample("certificate_facts", "certificates"), "present": True}
        facts["certificates"] = {f"/etc/ssl/xmpp/example.org/fullchain{kind}.pem": certificate for kind in ("", "-rsa")}
        facts["distribution_major_version"] = facts["distribution_version"] = "{{ release }}"
        play = {
            "hosts": "all",
            "gather_facts": False,
            "pre_tasks": [{"ansible.builtin.set_fact": {**facts, "cacheable": True}}],
            "roles": [f"magicbroccoli.xmpp.{role}" for role in ROLES],
        }
        hosts = {"all": {"vars": {**MODEL, "rendered": str(top)}, "hosts": SITES}}
        (top / "play.json").write_text(json.dumps([play]))
        (top / "hosts.json").write_text(json.dumps(hosts))
        done = subprocess.run(
            [programs / "ansible-playbook", "-i", top / "hosts.json", "-c", "local", top / "play.json"],
            capture_output=True,
            text=True,
            check=False,
            cwd=top,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(collections),
                "ANSIBLE_PYTHON_INTERPRETER": str(programs / "python"),
                "ANSIBLE_INJECT_FACT_VARS": "false",
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return {path.name: json.loads(path.read_text()) for path in top.iterdir() if path.suffix != ".json"}

    return run


def core(programs: Path) -> str:
    done = subprocess.run([programs / "ansible", "--version"], capture_output=True, text=True, check=True)
    return re.search(r"core ([\d.]+)", done.stdout)[1]


@pytest.mark.slow
def test_every_ansible_core_renders_the_same(render):
    folders = [folder for _python, folder in environments().values()]
    for folder in folders:
        assert (folder / "complete").exists(), "python tests/unit/controllers.py builds it"
    # A machine with one Python has one of them, beside that of the tests.
    first, *others = [*(folder / "bin" for folder in folders), Path(sys.executable).parent][: max(2, len(folders))]
    wanted = render(first)
    assert set(wanted) == {f"{host}-{role}" for host in SITES for role in ROLES}
    for programs in others:
        found = render(programs)
        assert set(found) == set(wanted)
        count = 0
        for place, payload in wanted.items():
            files = {entry["path"]: entry for entry in payload["files"]}
            count += len(files)
            assert {**found[place], "files": None} == {**payload, "files": None}
            for entry in found[place]["files"]:
                assert entry == files.pop(entry["path"]), f"{place}: {entry['path']}"
            assert not files, place
        print(f"{core(first)} and {core(programs)}: {count} files of {len(wanted)} configurations, all the same")
        assert count > 200


def test_the_oldest_is_the_one_that_the_collection_says():
    required = yaml.safe_load((TOP / "meta/runtime.yml").read_text())["requires_ansible"].removeprefix(">=")
    asked = re.findall(r"^ansible-core==([\d.]+)", (TOP / "requirements-controllers.txt").read_text(), re.M)
    assert min(asked, key=lambda version: [int(part) for part in version.split(".")]) == required
    newest = re.findall(r"^ansible-core==([\d.]+)", (TOP / "requirements.txt").read_text(), re.M)
    assert max(asked) == max(newest)
