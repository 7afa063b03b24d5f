# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bin/setup installs, and that bin/demo keeps what its operator has changed."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
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


# As molecule shows it, in colours: a frame at the left, and lines of more than its width folded.
FAILED_CREATE = """\
\x1b[34mINFO    \x1b[0m default ➜ create: Executing
  │ TASK [Start a Debian host] *****************************************************
  │ changed: [internet.test]
  │ \x1b[31mfatal: [rosewood.test]: FAILED! =>\x1b[0m
  │ \x1b[31m    changed: false\x1b[0m
  │ \x1b[31m    cmd:\x1b[0m
  │ \x1b[31m    - tests/lab/lab\x1b[0m
  │ \x1b[31m    - up\x1b[0m
  │ \x1b[31m    delta: '0:00:02.019'\x1b[0m
  │ \x1b[31m    msg: non-zero return code\x1b[0m
  │ \x1b[31m    stderr: |-\x1b[0m
  │ \x1b[31m        Building the bare image of Debian trixie, which takes so long that the line is\x1b[0m
  │ \x1b[31m  folded\x1b[0m
  │ \x1b[31m        E: no space left\x1b[0m
  │ \x1b[31m    stdout: ''\x1b[0m
  │
  │ PLAY RECAP *********************************************************************
  │ rosewood.test : ok=0 changed=0 unreachable=0 failed=1
"""
FAILED_TEST = """\
  │ ============================ FAILURES ==============================
  │     def test_it():
  │ >       assert 1 == 2
  │ E       assert 1 == 2
  │ tests/test_a.py:3: AssertionError
  │ ============================ PASSES ================================
  │ fatal: [rosewood.test]: FAILED! =>
  │     msg: as it should be
  │ ===================== short test summary info ======================
  │ FAILED tests/test_a.py::test_it - assert 1 == 2
"""


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            FAILED_CREATE,
            """\
fatal: [rosewood.test]: FAILED! =>
    cmd:
    - tests/lab/lab
    - up
    msg: non-zero return code
    stderr: |-
        Building the bare image of Debian trixie, which takes so long that the line is
  folded
        E: no space left
    stdout: ''
rosewood.test : ok=0 changed=0 unreachable=0 failed=1
""",
        ),
        (
            FAILED_TEST,
            """\
E       assert 1 == 2
tests/test_a.py:3: AssertionError
FAILED tests/test_a.py::test_it - assert 1 == 2
""",
        ),
        ("bash: molecule: command not found\n", "bash: molecule: command not found\n"),
    ],
    ids=["task", "test", "neither"],
)
def test_the_summary_says_why_a_scenario_failed(tmp_path, output, said):
    log = tmp_path / "log"
    log.write_text(output)
    command = [sys.executable, TOP / "tests/lab/failures.py", log]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(shown)
    assert shown == "".join(f"    {line}\n" for line in said.splitlines())


def test_a_fresh_checkout_starts_the_longest_scenarios_first(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(TOP / "tests/lab"))
    timing = importlib.import_module("timing")
    command = [sys.executable, TOP / "tests/lab/timing.py", "order", tmp_path]

    def order() -> list[str]:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    scenarios = {path.parent.name for path in TOP.glob("molecule/*/molecule.yml")} - timing.APART
    assert set(timing.SECONDS) <= scenarios
    first = order()
    print(*first)
    assert sorted(first) == sorted(scenarios)
    # What nobody has measured yet, and then the longest.
    unknown = len(scenarios - set(timing.SECONDS))
    seconds = [timing.SECONDS[name] for name in first[unknown:]]
    assert seconds == sorted(seconds, reverse=True)
    # What was recorded here counts for more.
    (tmp_path / "config_tree.json").write_text('{"total": 9999}')
    assert order()[unknown] == "config_tree"
