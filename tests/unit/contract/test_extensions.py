# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/extensions.md names the tests that there are, and every module that it names is enabled."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).resolve().parents[3]
TESTS = TOP / "molecule" / "default" / "tests"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (TOP / "docs" / "extensions.md").read_text().splitlines()
    if re.match(r"\| ([0-9]{4}(, [0-9]{4})*)? ?\| ", line)
]


def functions(path: Path) -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    # Those of one release only are within a condition.
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


def test_there_are_rows():
    print(f"{len(ROWS)} rows")
    assert len(ROWS) >= 30
    assert {len(row) for row in ROWS} == {5}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0] or row[1])
def test_each_test_is_there(row):
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", row[4])
    assert named
    for file, function in named:
        assert (TESTS / file).is_file(), file
        assert not function or function in functions(TESTS / file), function


def test_each_extension_with_a_test_is_in_the_table():
    listed = {number for row in ROWS for number in row[0].split(", ")}
    tested = {
        number
        for path in TESTS.glob("test_extensions_*.py")
        for name in functions(path)
        if name.startswith("test_")
        for number in re.findall(r"_([0-9]{4})(?=_)", name)
    }
    print(f"{len(tested)} extensions in names of tests: {', '.join(sorted(tested))}")
    assert tested
    assert tested - listed == set()


def test_each_module_is_enabled():
    role = TOP / "roles" / "prosody"
    enabled = set(yaml.safe_load((role / "defaults/main.yml").read_text())["prosody_modules"])
    internal = (role / "vars/main.yml").read_text()
    named = {name for row in ROWS for cell in row[2:4] for name in re.findall(r"`(\w+)`", cell)}
    assert {name for name in named - enabled if not re.search(rf"\b{name}\b", internal)} == set()
