# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of tasks: one for the role and one for the phase, so that --tags and --skip-tags choose what their names say.

Checks, and facts that tasks depend on, have `always`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).resolve().parents[3]
ROLES = sorted(path.parent.name for path in TOP.glob("roles/*/tasks"))
PHASES = {"packages", "configuration", "service"}
PHASE_OF = {"magicbroccoli.xmpp.packages": "packages", "magicbroccoli.xmpp.units": "service"}
PHASE_OF |= {"magicbroccoli.xmpp.config_tree": "configuration"}
INCLUDES = ("ansible.builtin.include_tasks", "ansible.builtin.import_tasks")


def load(role: str, name: str) -> list[dict]:
    return yaml.safe_load((TOP / "roles" / role / "tasks" / name).read_text())


def as_set(tags: str | list[str]) -> set[str]:
    return {tags} if isinstance(tags, str) else set(tags)


def flat(tasks: list[dict], inherited: frozenset[str] = frozenset()) -> Iterator[tuple[dict, set[str]]]:
    """Tasks that are no blocks, with their tags and those of the blocks around them."""
    for task in tasks:
        tags = as_set(task.get("tags", [])) | inherited
        parts = [part for part in ("block", "rescue", "always") if part in task]
        for part in parts:
            yield from flat(task[part], frozenset(tags))
        if not parts:
            yield task, tags


def called(task: dict) -> str | None:
    """The file of tasks that a task includes."""
    for key in INCLUDES:
        if key in task:
            return task[key] if isinstance(task[key], str) else task[key]["file"]
    return None


def reached(role: str, name: str = "main.yml", seen: tuple[str, ...] = ()) -> dict[str, list[tuple[dict, set[str]]]]:
    """The files of tasks that a run of the role may reach, with their tasks and tags."""
    found = {name: list(flat(load(role, name)))}
    for task, _tags in found[name]:
        file = called(task)
        if file and file not in (*seen, name):
            found |= reached(role, file, (*seen, name))
    return found


@pytest.mark.parametrize("role", ROLES)
def test_every_task_has_the_tags_of_its_role_and_phase(role):
    files = reached(role)
    # What the site runs at its end.
    for name in ("issue.yml", "loaded.yml", "delegation.yml"):
        if (TOP / "roles" / role / "tasks" / name).exists():
            files |= reached(role, name)
    print(f"{sum(map(len, files.values()))} tasks in {', '.join(files)}")
    wrong = []
    for name, tasks in files.items():
        for task, tags in tasks:
            file = called(task)
            if file and "ansible.builtin.import_tasks" in task and not tags:
                continue
            if file and "ansible.builtin.include_tasks" in task and tags != {"always"}:
                # What is included is reached by each tag that one of its tasks has.
                needed = set().union(*(inner - {"always"} for _task, inner in files[file])) or tags
                good = tags >= needed
            else:
                good = tags == {"always"} or (role in tags and tags - {role} <= PHASES and tags - {role})
            phase = next((PHASE_OF[key] for key in task if key in PHASE_OF), None)
            if phase and tags != {"always"}:
                good = good and phase in tags
            if not good:
                wrong.append(f"{name}: {task['name']}: {sorted(tags)}")
    assert wrong == []


@pytest.mark.parametrize("role", [role for role in ROLES if (TOP / "roles" / role / "tasks/preflight.yml").exists()])
def test_checks_always_run(role):
    tasks = [one for tasks in reached(role, "preflight.yml").values() for one in tasks]
    assert [task["name"] for task, tags in tasks if tags != {"always"}] == []


def test_the_site_checks_and_plans_with_any_tags():
    play = yaml.safe_load((TOP / "playbooks/site.yml").read_text())[0]
    tags = [(task["name"], as_set(task.get("tags", []))) for task in play["pre_tasks"]]
    print(tags)
    assert [one for one in tags if one[1] != {"always"}] == [("Install the packages of all roles", {"packages"})]
    for task in play["pre_tasks"]:
        # The tasks of an included role have tags of their own.
        if "ansible.builtin.include_role" in task and "preflight" not in str(task):
            assert task["ansible.builtin.include_role"]["apply"] == {"tags": "always"}, task["name"]
    assert [task["name"] for task in play["post_tasks"] if not task.get("tags")] == []
