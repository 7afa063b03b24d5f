# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role has to change on a host, from the role's plan and what is known of the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.words import count
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.host_state import missing, running, stopped

FILES = ("files", "programs", "validate_tree", "validate_live")
KEYS = ("packages", *FILES, "exists", "units", "units_off", "due", "after", "notes")
SHOWN = 3
# A unit of Debian's, which no role restarts.
CRON = "cron.service"


def listed(noun: str, names: Sequence[str], act: str, shown: int = SHOWN) -> str:
    """A count and the first names: `2 files to change: /etc/a, /etc/b`."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{count(len(names), noun)} {act}: {', '.join(sorted(names)[:shown])}{more}"


@dataclass
class Changes:
    """What one role has to change: names by the noun and the act, and reasons of the role's own."""

    found: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def add(self, noun: str, act: str, names: Sequence[str]) -> None:
        if names:
            self.found[noun, act] = sorted(names)

    def __bool__(self) -> bool:
        return bool(self.found or self.reasons)

    def lines(self, shown: int = SHOWN) -> list[str]:
        return [listed(noun, names, act, shown) for (noun, act), names in self.found.items()] + self.reasons


def compare_packages(plan: Mapping, state: Mapping, changes: Changes) -> None:
    """Adds the packages that are to be installed. Raises ValueError."""
    changes.add("package", "to install", missing(plan.get("packages", []), state))


def compare_state(plan: Mapping, state: Mapping, changes: Changes) -> None:
    """Adds all else that the state of the host shows. Raises ValueError."""
    changes.add("unit", "to start", stopped(plan.get("units", []), state))
    changes.add("unit", "to stop", running(plan.get("units_off", []), state))
    changes.reasons += [str(reason) for reason in plan.get("due", [])]


def due(changes: Mapping[str, Changes], plans: Mapping[str, Mapping]) -> list[str]:
    """The roles that have something to do, and those whose files depend on what one of them may change."""
    found: list[str] = []
    for role, what in changes.items():
        if what or set(plans[role].get("after", [])) & set(found):
            found.append(role)
    return found


def only_files(plans: Mapping[str, Mapping], state: Mapping) -> list[str]:
    """The roles that can be given their files all together, before the first of them runs.

    Their files wait for no other step, and no service of theirs runs that a role restarts after its files: if the role before
    it failed, nobody would. Raises ValueError.
    """
    return [
        role
        for role, plan in plans.items()
        if plan.get("files") is not None
        and not plan.get("exists")
        and not plan.get("due")
        and all(name.endswith(".timer") or name == CRON for name in running(plan.get("units", []), state))
    ]


def untold(changes: Mapping[str, Changes], due: Sequence[str]) -> list[str]:
    """The roles that only themselves can say what they have to do, which check mode asks."""
    return [role for role in due if changes[role].reasons or not changes[role]]


def summary(changes: Mapping[str, Changes], due: Sequence[str], host: str, shown: int = SHOWN) -> list[str]:
    """The plan as people read it: a line for each role that has something to do, and the sums in the last one."""
    lines = [f"{role}: {'; '.join(changes[role].lines(shown)) or 'after a role before it'}" for role in due]
    # What several roles bring counts once.
    sums: dict[str, set[str]] = {}
    for what in changes.values():
        for (noun, _act), names in what.found.items():
            sums.setdefault(noun, set()).update(names)
    parts = [count(len(names), noun) for noun, names in sums.items()] or ([count(len(due), "role")] if due else [])
    return [*lines, f"{', '.join(parts) or 'nothing'} to change on {host}"]
