# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two name servers, and Ansible as their operator runs it."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable

import pytest
import yaml
from hosts import TOP, Host, ansible

SCENARIO = TOP / "molecule/two_hosts"
HOSTS = SCENARIO / "inventory"
INVENTORY = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]
PRIMARY, SECONDARY = "ns1.oak.grove.test", "ns2.oak.grove.test"
ADDRESS = {name: host["ansible_host"] for name, host in INVENTORY["hosts"].items()}
ZONE = "oak.grove.test"
SECRET = INVENTORY["vars"]["bind_transfer_secret"]


@pytest.fixture(scope="session")
def primary() -> Host:
    return Host(ADDRESS[PRIMARY])


@pytest.fixture(scope="session")
def secondary() -> Host:
    return Host(ADDRESS[SECONDARY])


@pytest.fixture(scope="session")
def stranger() -> Host:
    return Host(ADDRESS["stranger.test"])


@pytest.fixture(scope="session")
def play() -> Callable[..., subprocess.CompletedProcess]:
    """Run the scenario's playbook, or one of the collection, with other variables."""

    def run(host: str, *options: str, playbook: str = "", **variables: object) -> subprocess.CompletedProcess:
        limits = ["--limit", host, "--extra-vars", json.dumps(variables), *options]
        what = f"magicbroccoli.xmpp.{playbook}" if playbook else str(SCENARIO / "converge.yml")
        return ansible("ansible-playbook", what, *limits, inventory=HOSTS)

    return run


@pytest.fixture(scope="session")
def dnssec() -> Callable[[], dict]:
    """What the module says of the zone on the primary."""

    def ask() -> dict:
        arguments = json.dumps({"zones": [ZONE]})
        done = ansible(
            "ansible", PRIMARY, "--one-line", "-m", "magicbroccoli.xmpp.dnssec_info", "-a", arguments, inventory=HOSTS
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.partition("=> ")[2])["zones"][ZONE]

    return ask


@pytest.fixture(scope="session")
def delv(primary: Host) -> Callable[..., str]:
    """Ask a server by delv, which trusts nothing but the zone's own key, from the other host."""
    key = primary.out(f"bind-ds-records {ZONE}").split()
    anchor = f'trust-anchors {{ {key[0]} static-ds {key[3]} {key[4]} {key[5]} "{key[6]}"; }};'
    hosts = {PRIMARY: Host(ADDRESS[SECONDARY]), SECONDARY: primary}

    def ask(server: str, name: str, kind: str, anchor: str = anchor) -> str:
        host = hosts[server]
        host.out(f"echo {shlex.quote(anchor)} > /tmp/anchors")
        return host.out(f"delv -a /tmp/anchors +root={ZONE} @{ADDRESS[server]} {name} {kind} 2>&1 || true")

    return ask
