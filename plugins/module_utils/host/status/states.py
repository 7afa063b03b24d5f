# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs have noted as JSON, this one's own state included, and what that says."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import alarm, files, words
from .checks import FAIL, WARN, Doubtful, Finding, Wrong

STATE = "/var/lib/xmpp-status/status.json"
# In memory: what was told while the disk takes nothing.
MEMORY = "/run/xmpp-status/told.json"
NOTES = "notes of this test"


def noted(path: str = "") -> dict[str, Any]:
    """Return what was noted last, of this test as a whole or in another file; or nothing."""
    try:
        state = files.read_json(path or STATE, {})
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def load(path: str, hours: float) -> dict[str, Any]:
    """Return a state that another program has noted, not longer ago than some hours."""
    try:
        with open(path, encoding="utf-8") as stream:
            old = time.time() - os.fstat(stream.fileno()).st_mtime
            state: dict[str, Any] = json.load(stream)
    except FileNotFoundError as error:
        raise Doubtful("it has not run yet") from error
    except ValueError as error:
        raise Wrong(f"{path} is not readable: {error}") from error
    if old > hours * 3600:
        raise Wrong(f"it last ran {words.age(old)} ago")
    return state


def check_updates(path: str) -> str:
    """Read what xmpp-updates has noted."""
    state = load(path, 2)
    if problems := list(state["problems"].values()):
        raise Wrong("; ".join(text.splitlines()[0] for text in problems))
    said = []
    if upgrade := state["upgrade"]:
        said.append(
            f"{words.count(len(upgrade['packages']), 'package', 'wait')} ({len(upgrade['security'])} for security)"
        )
    if state["restarts"]:
        said.append(f"{words.count(len(state['restarts']), 'service', 'wait')} for a restart")
    if state["reboot"]:
        said.append("a reboot is needed")
    refreshed = state["refreshed"]
    return "; ".join([*said, f"lists of {words.age(time.time() - refreshed)} ago" if refreshed else "no lists yet"])


def check_state(state: dict[str, Any]) -> str:
    """Read a state with the moment of the last success, in seconds since 1970, and perhaps of a run that has not ended."""
    # In this order: a run that ends meanwhile has noted that.
    working = "lock" in state and files.is_locked(state["lock"])
    found = load(state["path"], 24 * 365)
    if "lock" in state and not working and found.get("begun"):
        since = words.age(time.time() - found["begun"])
        raise Wrong(f"the run that began {since} ago was killed, or the machine went down")
    moment = found.get(state["key"])
    if not moment:
        raise Doubtful(f"no {state['key']} yet")
    old = time.time() - float(moment)
    if old > state["hours"] * 3600:
        raise Wrong(f"the last success was {words.age(old)} ago")
    return f"{words.age(old)} ago"


def told_before() -> list[str]:
    """Return the subjects of which the operator was told by the last run, and by those that could not note it."""
    told: list[str] = []
    for path in (STATE, MEMORY):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told += files.read_json(path)["failing"]
    return list(dict.fromkeys(told))


def note(findings: Sequence[Finding], now: float, disks: Sequence[str], counts: Mapping[str, int]) -> None:
    """Write into the state what was found, how many promises are in which state, and how much is free on each disk."""
    failing = sorted(item.subject for item in findings if item.level == FAIL)
    warning = sorted(item.subject for item in findings if item.level == WARN)
    before, samples = noted().get("disks", {}), {}
    for path in disks:
        shape = os.statvfs(path)
        old = [sample for sample in before.get(path, []) if sample[0] > now - 86400]
        samples[path] = [*old, [now, shape.f_bavail * shape.f_frsize]]
    state = {"time": now, "ok": not failing, "failing": failing, "warning": warning, "promises": dict(counts)}
    checks = [item.as_dict() for item in findings]
    files.write_json(STATE, {**state, "checks": checks, "disks": samples}, durable=False)


def record(
    findings: Sequence[Finding],
    now: float,
    disks: Sequence[str] = (),
    more: Callable[[], None] | None = None,
    counts: Mapping[str, int] | None = None,
) -> list[Finding]:
    """Note what was found for others to read, and tell the operator what fails, and what no longer does.

    `counts` are those of promises by their states; `more` notes what else was found. That something cannot be noted is a failure like others, and keeps none of them from
    being told. Returns the findings, with that.
    """
    before, found = told_before(), list(findings)
    try:
        note(found, now, disks, counts or {})
        if more:
            more()
    except OSError as error:
        do = f"df -h {STATE}; df -i {STATE}; findmnt --target {STATE}"
        found.append(Finding(NOTES, FAIL, f"{STATE}: {error.strerror or error}", do))
    failing = {item.subject: item for item in found if item.level == FAIL}
    for subject, item in failing.items():
        alarm.give(f"status: {subject}", f"{item.text}\nWhat to type: {item.do}")
    for subject in before:
        if subject not in failing:
            alarm.end(f"status: {subject}")
    with contextlib.suppress(OSError):
        if NOTES in failing:
            files.write_json(MEMORY, {"failing": sorted(failing)}, durable=False)
        else:
            os.unlink(MEMORY)
    return found
