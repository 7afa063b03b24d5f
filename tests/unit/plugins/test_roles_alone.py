# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A role on a host without XMPP: no variable of the model is set, and every default has a value all the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from facts import FACTS, MAGIC

TOP = Path(__file__).resolve().parents[3]
NAMES = sorted(path.name for path in (TOP / "roles").iterdir() if path.name != "xmpp")
# What would be there for a domain: ports, units, sites, zones.
OF_XMPP = {
    "backup": ["backup_paths", "backup_sqlite", "backup_postgresql", "backup_exclude"],
    "bind": ["bind_zones"],
    "certificates": ["certificates_names"],
    "munin": ["munin_graphs", "munin_certificate_ports", "munin_embedded"],
    "nginx": ["nginx_domains"],
    "postgresql": ["postgresql_databases"],
    "prosody": ["prosody_domains"],
    "status": [
        f"status_{name}" for name in ("certificates", "commands", "pages", "ports", "stun_ports", "units", "zones")
    ],
}


def evaluate(given: dict) -> None:
    """Prints the value of each default of each role, or what is wrong with it. In a process of its own: it loads plugins."""
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import Templar

    init_plugin_loader()
    loader = DataLoader()

    def load(role: str) -> dict:
        return loader.load_from_file(str(TOP / "roles" / role / "defaults" / "main.yml"), trusted_as_template=True)

    found: dict[str, dict] = {}
    for role in NAMES:
        templar = Templar(loader, variables={"ansible_facts": FACTS, **MAGIC, **load("xmpp"), **load(role), **given})
        found[role] = {}
        for name, value in load(role).items():
            try:
                found[role][name] = [templar.template(value), ""]
            except Exception as error:
                found[role][name] = [None, str(error)]
    print(json.dumps(found, default=str))


def evaluated(**given) -> dict[str, dict]:
    places = {"PYTHONPATH": str(TOP / "tests/unit"), "ANSIBLE_COLLECTIONS_PATH": str(TOP / ".venv" / "collections")}
    environment = os.environ | places
    command = [sys.executable, __file__, json.dumps(given)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def defaults() -> dict[str, dict]:
    return evaluated()


@pytest.mark.parametrize("role", NAMES)
def test_every_default_has_a_value_without_the_model(defaults, role):
    print(f"{len(defaults[role])} variables")
    assert {name: error for name, (_value, error) in defaults[role].items() if error} == {}
    # Nothing is named after a domain that is not there.
    assert [
        name for name, (value, _error) in defaults[role].items() if re.search(r"[./@]None", json.dumps(value))
    ] == []


def test_a_site_without_ipv6_is_not_asked_by_it():
    """A host may have an IPv6 address that is not in the DNS; coturn listens at the site's addresses alone."""
    facts = {**FACTS, "default_ipv6": {"address": "2001:db8::10"}}
    assert evaluated(ansible_facts=facts)["status"]["status_address6"] == ["2001:db8::10", ""]
    given = evaluated(ansible_facts=facts, xmpp_addresses=["198.51.100.10"])
    assert given["status"]["status_address6"] == ["", ""]


def test_a_host_with_ipv6_alone_is_asked_by_it():
    """coturn listens at the site's addresses alone, and not on the loopback."""
    facts = {**FACTS, "default_ipv4": {}, "all_ipv4_addresses": [], "default_ipv6": {"address": "2001:db8::10"}}
    found = evaluated(ansible_facts=facts)["status"]
    assert [found[name] for name in ("status_address", "status_address6")] == [["2001:db8::10", ""], ["", ""]]


def test_the_ssh_port_alone_is_open(defaults):
    assert [rule["name"] for rule in defaults["firewall"]["firewall_rules"][0]] == ["ssh"]


@pytest.mark.parametrize("role", OF_XMPP)
def test_nothing_of_xmpp_is_derived(defaults, role):
    assert {name: defaults[role][name][0] for name in OF_XMPP[role]} == {name: [] for name in OF_XMPP[role]}


if __name__ == "__main__":
    evaluate(json.loads(sys.argv[1]))
