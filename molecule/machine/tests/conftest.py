# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine, and what the tests ask of it from the lab's side of its network."""

from __future__ import annotations

import subprocess
import time

import pytest
import yaml
from hosts import TOP, Host

HOSTS = yaml.safe_load((TOP / "molecule/machine/inventory/hosts.yml").read_text())["all"]["hosts"]
(HOSTNAME,) = HOSTS
ADDRESS = HOSTS[HOSTNAME]["ansible_host"]


class Machine(Host):
    """The machine, by ssh, and its switch."""

    def reboot(self) -> None:
        """Reboot by its own boot loader, and print how long it took."""
        done = subprocess.run(
            [TOP / "tests/lab/machine", "reboot", f"machine-{HOSTNAME}"], capture_output=True, text=True, check=False
        )
        print(done.stdout + done.stderr)
        assert done.returncode == 0

    def wait_for(self, command: str, seconds: float = 120) -> str:
        """Wait until a command succeeds, and return what it prints."""
        end = time.monotonic() + seconds
        while (result := self.run(command)).rc:
            assert time.monotonic() < end, f"{command}: not within {seconds} s: {result.stdout}{result.stderr}"
            time.sleep(1)
        return result.stdout.strip()


@pytest.fixture(scope="session")
def machine() -> Machine:
    return Machine(ADDRESS)
