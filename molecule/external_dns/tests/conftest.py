# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host and its provider, and the playbook that lists and checks the records."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hosts import TOP, Host, ansible

SCENARIO = TOP / "molecule/external_dns"
INVENTORY = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]
HOST, PROVIDER = "rowan.fern.test", "provider.test"
ADDRESS = {name: host["ansible_host"] for name, host in INVENTORY["hosts"].items()}


@pytest.fixture(scope="session")
def host() -> Host:
    return Host(ADDRESS[HOST])


@pytest.fixture(scope="session")
def provider() -> Host:
    return Host(ADDRESS[PROVIDER])


@pytest.fixture(scope="session")
def lists(tmp_path_factory) -> Path:
    """Where the lists of records are written."""
    return tmp_path_factory.mktemp("dns")


@pytest.fixture(scope="session")
def check(lists: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run the playbook, or another one, as an operator does."""

    def run(playbook: str = "dns_records", **variables: object) -> subprocess.CompletedProcess:
        variables = {"dns_records_hosts": HOST, "dns_records_path": str(lists), **variables}
        return ansible(
            "ansible-playbook",
            f"magicbroccoli.xmpp.{playbook}",
            *("--extra-vars", json.dumps(variables)),
            inventory=SCENARIO / "inventory",
        )

    return run
