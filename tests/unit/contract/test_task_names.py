# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of plays, tasks, blocks and handlers: a verb of the list in CONTRIBUTING.md first, one name for one act."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (TOP / "roles").iterdir())
FOLDERS = ("roles/*/tasks/*.yml", "roles/*/handlers/*.yml", "playbooks/*.yml", "molecule/*/*.yml")
LISTS = ("block", "rescue", "always", "pre_tasks", "tasks", "post_tasks", "handlers")
# What a call does depends on when it is made: bind is called both to publish records and to remove them.
CALLS = re.compile(r"(ansible\.builtin\.)?(include|import)_(role|tasks|playbook)$")


def entries(items: list) -> Iterator[dict]:
    """Plays, tasks and blocks, with all that they contain."""
    for item in items:
        yield item
        for part in LISTS:
            yield from entries(item.get(part, []))


def named() -> dict[Path, list[dict]]:
    paths = [path for folder in FOLDERS for path in sorted(TOP.glob(folder))]
    found = {
        path.relative_to(TOP): list(entries(yaml.safe_load(path.read_text())))
        for path in paths
        if path.name not in ("molecule.yml", "site.meta.yml")
    }
    print(f"{sum(map(len, found.values()))} names in {len(found)} files")
    return found


def verbs() -> set[str]:
    """First words of the table of verbs."""
    section = (TOP / "CONTRIBUTING.md").read_text().split("\n## Names of tasks\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([A-Z][^|]*?) \|", section, re.M)
    return {verb for row in rows for verb in row.split(", ")}


def act(task: dict) -> str | None:
    """A task's module and arguments, without names of roles."""
    for key, arguments in task.items():
        if "." in key and not CALLS.match(key):
            text = json.dumps([key, arguments], sort_keys=True)
            return re.sub(rf"\b(__)?({'|'.join(ROLES)})_", r"\1ROLE_", text)
    return None


def test_every_name_begins_with_a_verb_of_the_list():
    known = verbs()
    print(f"{len(known)} verbs: {' '.join(sorted(known))}")
    wrong = [
        f"{path}: {entry.get('name')}"
        for path, found in named().items()
        for entry in found
        if entry.get("name", "").split(" ")[0] not in known
    ]
    assert wrong == []


def test_every_verb_of_the_list_is_used():
    used = {entry["name"].split(" ")[0] for found in named().values() for entry in found}
    assert verbs() - used == set()


def test_the_same_act_has_the_same_name():
    names = defaultdict(lambda: defaultdict(list))
    for path, found in named().items():
        if path.parent.name == "handlers":
            continue
        for task in found:
            if act(task):
                names[act(task)][task["name"]].append(str(path))
    print(f"{len(names)} acts")
    assert {what: dict(several) for what, several in names.items() if len(several) > 1} == {}


def test_handlers_of_roles_have_names_of_their_own():
    """A play has one list of handlers: of two with one name, it would run one."""
    names = defaultdict(list)
    for path in sorted(TOP.glob("roles/*/handlers/*.yml")):
        for handler in yaml.safe_load(path.read_text()):
            names[handler["name"]].append(path.parents[1].name)
    assert {name: roles for name, roles in names.items() if len(roles) > 1} == {}
