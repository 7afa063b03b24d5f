# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts, and the router, on which those are who come from elsewhere."""

from __future__ import annotations

import pytest
import yaml
from hosts import TOP, Host

SCENARIO = TOP / "molecule/cloud"
HOSTS = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]["hosts"]
BEHIND_NAT, IPV6_ALONE, ROUTER = HOSTS


def connect(name: str) -> Host:
    values = HOSTS[name]
    return Host(values["ansible_host"], known_as=values.get("lab_address", ""))


@pytest.fixture(scope="session")
def lime() -> Host:
    """By its public address, as everybody."""
    return connect(BEHIND_NAT)


@pytest.fixture(scope="session")
def fig() -> Host:
    return connect(IPV6_ALONE)


@pytest.fixture(scope="session")
def router() -> Host:
    return connect(ROUTER)
