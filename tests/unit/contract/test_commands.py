# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What README.md, the roles' own and docs/first-day.md ask their readers to write and type is what there is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(TOP / "tests/lab"), str(TOP / "molecule/roles")]

from commands import ELSEWHERE, HOW  # noqa: E402
from documents import blocks, commands, plays  # noqa: E402

PAGES = [TOP / "README.md", TOP / "docs/first-day.md"]
# Role website is of no use without XMPP.
ROLES = {path.name for path in (TOP / "roles").iterdir()} - {"xmpp", "website"}


def options(role: str) -> set[str]:
    specs = yaml.safe_load((TOP / "roles" / role / "meta/argument_specs.yml").read_text())
    return set(specs["argument_specs"]["main"]["options"] if "main" in specs["argument_specs"] else {})


def test_every_command_is_run():
    """Each has an entry in the table by which scenario roles runs it, and each entry is of a command that is there."""
    found = [command for page in PAGES for command in commands(page)]
    print("\n".join(found))
    assert len(found) > 15
    assert set(found) == set(HOW) | set(ELSEWHERE)
    for test in ELSEWHERE.values():
        assert (TOP / test).exists()


@pytest.mark.parametrize("role", sorted(ROLES))
def test_variables_in_documents_are_there(role):
    """In plays, the variables of their roles; in other blocks of a role's page, those of the role or of the site model."""
    checked = 0
    for page, text in plays():
        (play,) = yaml.safe_load(text)
        names = [name.removeprefix("magicbroccoli.xmpp.") for name in play["roles"]]
        if names[-1] == role:
            assert set(play.get("vars", {})) <= set().union(*map(options, names)), page
            checked += 1
    model = yaml.safe_load((TOP / "playbooks/site.meta.yml").read_text())["argument_specs"]["site"]["options"]
    for text in blocks(TOP / "roles" / role / "README.md"):
        content = yaml.safe_load(text)
        if isinstance(content, dict):
            assert set(content) <= options(role) | set(model)
            checked += 1
    assert checked
