# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workflows run what a contributor runs: the verbs of bin/test, and nothing that only a runner knows."""

import itertools
import re
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[3]
VERBS = set(re.findall(r"^    ([a-z]+)\)", (TOP / "bin/test").read_text(), re.MULTILINE)) - {"all"}
SCENARIOS = {path.parent.name for path in TOP.glob("molecule/*/molecule.yml")}


def lines(value) -> list[str]:
    """Every command of a workflow, with each value of its matrix."""
    return [line for text in value for line in text.splitlines() if line.strip()]


def github() -> list[str]:
    found = []
    for path in TOP.glob(".github/workflows/*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            values = job.get("strategy", {}).get("matrix", {}).get("command", [""])
            steps = lines(step["run"] for step in job["steps"] if "run" in step)
            found += [step.replace("${{ matrix.command }}", value) for step, value in itertools.product(steps, values)]
    return found


def gitlab() -> list[str]:
    found = []
    for name, job in yaml.safe_load((TOP / ".gitlab-ci.yml").read_text()).items():
        if name != "default":
            values = [value for entry in job.get("parallel", {}).get("matrix", []) for value in entry["COMMAND"]]
            found += [
                step.replace("$COMMAND", value)
                for step, value in itertools.product(lines(job["script"]), values or [""])
            ]
    return found


def test_they_run_verbs_of_bin_test():
    for commands in (github(), gitlab()):
        ours = [command for command in commands if command.startswith("bin/test")]
        print(*ours, sep="\n")
        assert {"bin/test", "bin/test lint", "bin/test unit", "bin/test molecule default"} <= set(ours)
        for words in (command.split() for command in ours):
            assert len(words) == 1 or words[1] in VERBS
            assert words[1:2] != ["molecule"] or set(words[2:]) <= SCENARIOS
        assert any(command.startswith("bin/test release ") for command in ours)
