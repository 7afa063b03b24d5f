# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host and its provider, and the playbook that lists and checks the records."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import testinfra
import yaml

TOP = Path(__file__).resolve().parents[3]
LAB = TOP / ".cache/lab"
SCENARIO = TOP / "molecule/external_dns"
INVENTORY = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]
HOST, PROVIDER = "rowan.fern.test", "provider.test"
ADDRESS = {name: host["ansible_host"] for name, host in INVENTORY["hosts"].items()}


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
def host() -> Host:
    return Host(HOST)


@pytest.fixture(scope="session")
def provider() -> Host:
    return Host(PROVIDER)


@pytest.fixture(scope="session")
def lists(tmp_path_factory) -> Path:
    """Where the lists of records are written."""
    return tmp_path_factory.mktemp("dns")


@pytest.fixture(scope="session")
def check(lists: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run the playbook as an operator does."""

    def run(**variables: object) -> subprocess.CompletedProcess:
        variables = {"dns_records_hosts": HOST, "dns_records_path": str(lists), **variables}
        return subprocess.run(
            [
                "ansible-playbook",
                f"--inventory={SCENARIO / 'inventory'}",
                f"--inventory={TOP / 'molecule/shared/inventory'}",
                "magicbroccoli.xmpp.dns_records",
                *("--extra-vars", json.dumps(variables)),
            ],
            cwd=TOP,
            # molecule has it write in colours.
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run
