# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two name servers, and Ansible as their operator runs it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import testinfra
import yaml

TOP = Path(__file__).resolve().parents[3]
LAB = TOP / ".cache/lab"
SCENARIO = TOP / "molecule/two_hosts"
INVENTORY = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]
PRIMARY, SECONDARY = "ns1.oak.grove.test", "ns2.oak.grove.test"
ADDRESS = {name: host["ansible_host"] for name, host in INVENTORY["hosts"].items()}
ZONE = "oak.grove.test"
SECRET = INVENTORY["vars"]["bind_transfer_secret"]


class Host:
    """A host of the lab, by ssh."""

    def __init__(self, name: str):
        # testinfra leaves the templates of an inventory as they are, so it cannot find the lab's key there.
        self.testinfra = testinfra.get_host(
            f"ssh://root@{ADDRESS[name]}",
            ssh_identity_file=str(LAB / "id_ed25519"),
            ssh_extra_args=f"-o UserKnownHostsFile={LAB / 'known_hosts'}",
            controlpersist=300,
        )

    def run(self, command: str):
        """Run a shell command; the result has rc, stdout and stderr."""
        return self.testinfra.run(f"sh -c {shlex.quote(command)}")

    def out(self, command: str) -> str:
        """Run a shell command that has to succeed, and return what it prints."""
        result = self.run(command)
        assert result.rc == 0, f"{command}\nended with {result.rc}:\n{result.stdout}{result.stderr}"
        return result.stdout.strip()


@pytest.fixture(scope="session")
def primary() -> Host:
    return Host(PRIMARY)


@pytest.fixture(scope="session")
def secondary() -> Host:
    return Host(SECONDARY)


def ansible(command: str, *arguments: str) -> subprocess.CompletedProcess:
    inventories = [SCENARIO / "inventory", TOP / "molecule/shared/inventory"]
    return subprocess.run(
        [command, *(f"--inventory={path}" for path in inventories), *arguments],
        cwd=TOP,
        # molecule has it write in colours.
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def stranger() -> Host:
    return Host("stranger.test")


@pytest.fixture(scope="session")
def play() -> Callable[..., subprocess.CompletedProcess]:
    """Run the scenario's playbook, or one of the collection, with other variables."""

    def run(host: str, *options: str, playbook: str = "", **variables: object) -> subprocess.CompletedProcess:
        limits = ["--limit", host, "--extra-vars", json.dumps(variables), *options]
        what = f"magicbroccoli.xmpp.{playbook}" if playbook else str(SCENARIO / "converge.yml")
        return ansible("ansible-playbook", what, *limits)

    return run


@pytest.fixture(scope="session")
def dnssec() -> Callable[[], dict]:
    """What the module says of the zone on the primary."""

    def ask() -> dict:
        arguments = json.dumps({"zones": [ZONE]})
        done = ansible("ansible", PRIMARY, "--one-line", "-m", "magicbroccoli.xmpp.dnssec_info", "-a", arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.partition("=> ")[2])["zones"][ZONE]

    return ask


@pytest.fixture(scope="session")
def delv(primary: Host) -> Callable[..., str]:
    """Ask a server by delv, which trusts nothing but the zone's own key, from the other host."""
    key = primary.out(f"bind-ds-records {ZONE}").split()
    anchor = f'trust-anchors {{ {key[0]} static-ds {key[3]} {key[4]} {key[5]} "{key[6]}"; }};'
    hosts = {PRIMARY: Host(SECONDARY), SECONDARY: primary}

    def ask(server: str, name: str, kind: str, anchor: str = anchor) -> str:
        host = hosts[server]
        host.out(f"echo {shlex.quote(anchor)} > /tmp/anchors")
        return host.out(f"delv -a /tmp/anchors +root={ZONE} @{ADDRESS[server]} {name} {kind} 2>&1 || true")

    return ask


def until(condition: Callable[[], bool], seconds: float = 10) -> float:
    """Wait until something holds, and return how long that took."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds, f"not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - begin
