# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bin/setup installs, and that bin/demo keeps what its operator has changed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[3]
PINNED = re.compile(r"^([\w.-]+)==(\S+?)(?: ; .*)?(?: \\)?$")


def requirements(name: str) -> list[list[str]]:
    """The requirements of a file, each as its lines without comments: name and version first, then hashes."""
    lines = [line for line in (TOP / name).read_text().splitlines() if line and not line.lstrip().startswith("#")]
    found: list[list[str]] = []
    for line in lines:
        found.append([line]) if not line.startswith(" ") else found[-1].append(line.strip())
    return found


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-collections.txt"])
def test_every_package_has_one_version_and_its_hashes(name):
    found = requirements(name)
    print(f"{name}: {len(found)} packages, {sum(len(lines) - 1 for lines in found)} hashes")
    assert found
    assert [lines[0] for lines in found if not PINNED.match(lines[0])] == []
    assert [lines[0] for lines in found if len(lines) < 2 or "--hash=sha256:" not in lines[1]] == []


def test_the_locked_packages_are_those_that_the_project_asks_for():
    locked = {PINNED.match(lines[0]).groups() for lines in requirements("requirements.txt")}
    asked = {re.match(r"([\w.-]+)==([^;\s]+)", lines[0]).groups() for lines in requirements("requirements.in")}
    print(f"{len(asked)} asked for, {len(locked)} locked")
    assert asked - locked == set()
    assert len(locked) > len(asked)


@pytest.mark.parametrize("name", ["bin/setup", "bin/demo", "bin/test", "bin/bench", "bin/docs", "tests/lab/lab"])
def test_no_program_writes_a_guessable_file_where_everybody_may(name):
    assert re.findall(r".*(?<![\w$}])/(?:var/)?tmp/.*", (TOP / name).read_text()) == []


def test_bin_demo_keeps_an_inventory_that_its_operator_has_changed(tmp_path):
    for name in ("bin/demo", "inventory/demo/hosts.yml", "inventory/demo/group_vars/all.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / name, tmp_path / name)
    # The playbook leaves the authority's certificate beside the inventory; everything else succeeds at once.
    programs = {
        "bin/setup": "",
        "tests/lab/lab": "",
        ".venv/bin/python": "echo nobody",
        ".venv/bin/ansible-playbook": "mkdir -p .demo/inventory/.private_ca && touch .demo/inventory/.private_ca/ca.pem",
    }
    for name, text in programs.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo/accounts.json").write_text("{}")

    def demo():
        subprocess.run([tmp_path / "bin/demo"], check=True, capture_output=True, timeout=60)

    demo()
    inventory = tmp_path / ".demo/inventory/hosts.yml"
    assert inventory.read_text() == (TOP / "inventory/demo/hosts.yml").read_text()
    inventory.write_text(inventory.read_text() + "      xmpp_registration: open\n")
    demo()
    assert inventory.read_text().endswith("      xmpp_registration: open\n")
