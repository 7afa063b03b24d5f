# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two hosts, by their releases."""

from __future__ import annotations

import pytest
import yaml
from hosts import TOP, Host

SCENARIO = TOP / "molecule/hardening"
HOSTS = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]["hosts"]
NAMES = {host["lab_release"]: name for name, host in HOSTS.items()}


@pytest.fixture(scope="session")
def hosts() -> dict[str, Host]:
    return {release: Host(HOSTS[name]["ansible_host"]) for release, name in NAMES.items()}


@pytest.fixture(params=sorted(NAMES))
def release(request) -> str:
    return request.param


@pytest.fixture
def host(hosts, release) -> Host:
    return hosts[release]
