# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An internationalised domain in every role: whichever form the operator writes, the host gets the same, in the right form."""

import json
import os
import pathlib
import subprocess
import sys

import ansible_collections.magicbroccoli.xmpp as collection
import pytest
import yaml
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import inventory

HOME = pathlib.Path(collection.__path__[0])
DEFAULTS = {}
for path in sorted(HOME.glob("roles/*/defaults/main.yml")):
    DEFAULTS |= yaml.safe_load(path.read_text())
# What an operator writes, and all that roles make of it.
MODEL = ("xmpp_domain", "xmpp_admins", "xmpp_extra_domains")
DERIVED = sorted(
    name for name in DEFAULTS if set(MODEL) & inventory.references(name, DEFAULTS | dict.fromkeys(MODEL, ""), ())
)
# They are the model itself, or are turned into U-labels where they are written into a file.
AS_WRITTEN = {"xmpp_components", "xmpp_web_name", "prosody_admins", "alarms_jids", "alarms_domain"}
UNICODE, ASCII = "bücher.example", "xn--bcher-kva.example"


def evaluate(folder, domain, other):
    folder.mkdir()
    variables = {
        **DEFAULTS,
        "xmpp_domain": domain,
        "xmpp_admins": [f"jülîet@{other}"],
        "xmpp_extra_domains": [{"domain": f"zwei.{other}", "admins": [f"anna@{domain}"], "web": f"web.zwei.{domain}"}],
        "xmpp_hostname": "rosewood.example",
        "xmpp_addresses": ["198.51.100.10"],
        "xmpp_registration": "open",
        "prosody_registration_questions": [],
        "bind_host_keys": [],
        "ansible_facts": {"virtualization_tech_guest": [], "distribution_major_version": "13"},
        "bind_ttl": 3600,
    }
    wanted = "{{ {" + ", ".join(f"'{name}': {name}" for name in DERIVED) + "} | to_json }}"
    (folder / "vars.json").write_text(json.dumps(variables))
    tasks = [{"ansible.builtin.copy": {"content": wanted, "dest": str(folder / "values.json"), "mode": "0600"}}]
    play = [{"hosts": "localhost", "gather_facts": False, "vars_files": ["vars.json"], "tasks": tasks}]
    (folder / "play.json").write_text(json.dumps(play))
    done = subprocess.run(
        [
            pathlib.Path(sys.executable).parent / "ansible-playbook",
            "-i",
            "localhost,",
            "-c",
            "local",
            folder / "play.json",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(HOME.parents[2]), "ANSIBLE_INJECT_FACT_VARS": "false"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "values.json").read_text())


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    top = tmp_path_factory.mktemp("idn")
    return {
        "unicode": evaluate(top / "unicode", UNICODE, UNICODE),
        "mixed": evaluate(top / "mixed", ASCII, UNICODE),
    }


def without_jids(value):
    """What is not the address of an account."""
    if isinstance(value, dict):
        return {key: without_jids(item) for key, item in value.items() if key != "admins"}
    return [without_jids(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", [name for name in DERIVED if name not in AS_WRITTEN])
def test_roles_get_a_labels_whatever_is_written(values, name):
    value = values["unicode"][name]
    print(value)
    assert value == values["mixed"][name]
    assert "b\u00fccher" not in json.dumps(without_jids(value), ensure_ascii=False)


def test_there_is_something_to_look_at(values):
    assert len(DERIVED) > 15
    assert values["unicode"]["xmpp_certificate"] == f"/etc/ssl/xmpp/{ASCII}/fullchain.pem"
    assert {"turn_realm", "munin_certificate_name", "status_ports", "nginx_security_contacts", "bind_zones"} <= set(
        DERIVED
    )
