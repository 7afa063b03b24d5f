# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role prosody makes of the model: its defaults and settings as Ansible evaluates them."""

import json
import os
import pathlib
import subprocess
import sys

import ansible_collections.magicbroccoli.xmpp as collection
import pytest
import yaml

TOP = pathlib.Path(__file__).resolve().parents[3]
GIB = 2**30
SITES = {
    "whole": {},
    "alone": {"xmpp_services": ["client", "web"]},
    "large": {"disk": 100 * GIB, "xmpp_extra_domains": [{"domain": "kale.test"}]},
    "unlimited": {"prosody_account_disk_percent": 0, "prosody_upload_disk_percent": "0"},
    "tiny": {"disk": 100_000_000},
}
SETTINGS = {
    "modules": "__prosody_settings.modules_enabled",
    "share": "__prosody_settings.storage_share",
    "uploads": "__prosody_component_types.upload.settings.http_file_share_global_quota",
}


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    top = tmp_path_factory.mktemp("play")
    facts = {"distribution_major_version": "13", "host_state": {"disk_size": "{{ disk }}"}}
    wanted = "{" + ", ".join(f"'{name}': {expression}" for name, expression in SETTINGS.items()) + "}"
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars_files": [str(TOP / "roles/prosody/vars/main.yml")],
        "tasks": [
            {"ansible.builtin.set_fact": {**facts, "cacheable": True}},
            {
                "ansible.builtin.copy": {
                    "content": "{{ " + wanted + " | to_json }}",
                    "dest": f"{top}/{{{{ inventory_hostname }}}}",
                }
            },
        ],
    }
    # The model wins over the defaults, which are the group's here.
    defaults = {}
    for role in ("xmpp", "prosody"):
        defaults |= yaml.safe_load((TOP / f"roles/{role}/defaults/main.yml").read_text())
    model = {"xmpp_domain": "example.org", "xmpp_admins": ["juliet@example.org"], "disk": 20 * GIB}
    hosts = {"all": {"vars": {**defaults, **model}, "hosts": SITES}}
    (top / "play.json").write_text(json.dumps([play]))
    (top / "hosts.json").write_text(json.dumps(hosts))
    home = pathlib.Path(collection.__path__[0]).parents[2]
    program = pathlib.Path(sys.executable).parent / "ansible-playbook"
    done = subprocess.run(
        [program, "-i", top / "hosts.json", "-c", "local", top / "play.json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=top,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(home), "ANSIBLE_PYTHON_INTERPRETER": sys.executable},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: json.loads((top / name).read_text()) for name in SITES}


def test_push_is_only_offered_where_a_service_can_be_reached(sites):
    """XEP-0357: the services are on other servers."""
    assert "cloud_notify" in sites["whole"]["modules"]
    assert "cloud_notify" not in sites["alone"]["modules"]
    assert len(sites["whole"]["modules"]) == len(sites["alone"]["modules"]) + 3


def test_quotas_are_shares_of_the_disk_in_whole_steps(sites):
    assert (sites["whole"]["share"], sites["whole"]["uploads"]) == (GIB, 10 * GIB)
    assert (sites["large"]["share"], sites["large"]["uploads"]) == (5 * GIB, 25 * GIB)
    # A disk that is a little smaller tomorrow changes no configuration; one that is tiny has a step of its own.
    assert (sites["tiny"]["share"], sites["tiny"]["uploads"]) == (2**26, 2**26)
    assert (sites["unlimited"]["share"], sites["unlimited"]["uploads"]) == (None, None)
