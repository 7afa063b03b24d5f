# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wrong inventories are refused by check_inventory alone, and right ones that look odd are not."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from variables import ASKED, TOP

HERE = Path(__file__).parent
WRONG = yaml.safe_load((HERE / "wrong_inventories.yml").read_text())
RIGHT = yaml.safe_load((HERE / "right_inventories.yml").read_text())
# What says what would be right.
REMEDY = re.compile(
    r"; (write|give|leave|set|put|add|set|and|keep|name)\b|did you mean '|must be one (or more )?of: |missing required|, or (add|name)\b"
)


def identity(entry) -> str:
    given = entry[0] if isinstance(entry, list) else entry
    return yaml.safe_dump(given, default_flow_style=True, allow_unicode=True, width=1000).strip()[:100]


@pytest.fixture(scope="module")
def said() -> dict:
    """What check_inventory says of every inventory of both tables, in one process."""
    given = [*(entry[0] for entry in WRONG), *RIGHT]
    begun = time.monotonic()
    program = [sys.executable, TOP / "tests/unit/check_inventories.py"]
    done = subprocess.run(program, input=json.dumps(given), capture_output=True, text=True, check=False)
    print(f"{len(given)} inventories in {time.monotonic() - begun:.1f} s")
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(zip(map(identity, given), json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("entry", WRONG, ids=identity)
def test_a_wrong_inventory_is_refused(said, entry):
    """The first line names the variable; none names one that the inventory does not set, but for what it has to."""
    given, expected = entry[0], entry[1]
    variable, found = entry[2] if len(entry) > 2 else next(iter(given)), said[identity(entry)]
    print("\n".join(found))
    assert found and found[0].startswith(f"{variable}: ")
    assert expected in found[0]
    assert REMEDY.search(found[0]) or "not shown" in found[0], "it says what would be right"
    assert "hunter2" not in "".join(found)
    assert {line.partition(":")[0] for line in found} <= {*given, variable}


@pytest.mark.parametrize("given", RIGHT, ids=identity)
def test_a_right_inventory_that_looks_odd_is_accepted(said, given):
    assert said[identity(given)] == []


def test_the_tables_are_long_and_of_every_role():
    roles = {next(iter(entry[0])).partition("_")[0] for entry in WRONG}
    print(f"{len(WRONG)} wrong inventories of {len(roles)} roles, {len(RIGHT)} right ones")
    assert len(WRONG) >= 150 and len(RIGHT) >= 30 and roles >= set(ASKED)
    assert len(set(map(identity, [*WRONG, *RIGHT]))) == len(WRONG) + len(RIGHT)
