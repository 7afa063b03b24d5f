# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What xmpp-updates remembers from one turn to the next, and tells the operator of."""

from __future__ import annotations

import sys
import time
from typing import Any

from .. import alarm, files

STATE = "/var/lib/xmpp-updates/state.json"
PROBLEMS = {
    "lists": "the package lists are stale",
    "upgrade": "an upgrade has failed",
    "restart": "services could not be restarted",
    "reboot": "the reboot has failed",
    "survived": "a reboot has not helped",
    "overdue": "no window is found",
}
# A dictionary as it is kept: the self-test and the graphs read its keys.
State = dict[str, Any]


def load() -> State:
    """Return what was kept; of what is not there or broken, a state that knows nothing."""
    try:
        kept = files.read_json(STATE, {})
    except ValueError:
        kept = {}
    return {
        **{"begun": int(time.time()), "tried": 0, "refreshed": 0, "upgraded": 0, "turn": 0},
        **{"upgrade": None, "reboot": None, "profile": None, "problems": {}, "alarmed": []},
        **{"restarts": [], "deferred": [], "rebooted": 0, "attempts": {}, "failed": {}},
        **kept,
    }


def save(state: State) -> None:
    """Keep it. Everybody may read it: the graphs and the self-test do."""
    files.write_json(STATE, state, mode=0o644)


def tell(state: State) -> None:
    """Give an alarm for each problem, and end those that are over. How often an alarm is told is not decided here."""
    over = sorted(set(state["alarmed"]) - set(state["problems"]))
    state["alarmed"] = sorted(state["problems"])
    for kind, text in state["problems"].items():
        print(f"Problem: {text}", file=sys.stderr)
        alarm.give(f"updates: {PROBLEMS[kind]}", text)
    for kind in over:
        alarm.end(f"updates: {PROBLEMS[kind]}")
