# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done next, when, and why then, in words."""

from __future__ import annotations

from ..words import count, local
from . import machine
from .keeper import Keeper, announced_by
from .schedule import LEAD, TURN, Need, Schedule, spans, turns


def sentence(schedule: Schedule, need: Need | None, now: float, lead: float, what: str) -> str:
    """Return when a matter is next begun, and why not before."""
    moment = schedule.next_moment(need, now, lead)
    if moment is None:
        return f"{what} finds no moment within 60 days: make the windows longer."
    late = schedule.is_overdue(need, moment)
    why = "the first turn in a window"
    if late:
        why = "the deadline for important updates is over, so that any day will do"
    return f"{what} {local(moment)}: {why} ({spans(schedule.holding(late))})."


def explain(keeper: Keeper, now: float) -> list[str]:
    """Return lines that say what is to be done, when, and why then."""
    state, schedule, lead = keeper.state, keeper.schedule, keeper.lead
    told = keeper.config["announce_minutes"]
    place = "in" if schedule.is_open(now) else "outside"
    chosen = ""
    if schedule.auto:
        chosen = ", the quietest hours by munin" if schedule.profile else ", as given, since munin has too little data"
    lines = [f"It is {local(now)}, {place} the windows: {spans(schedule.holding(False))}{chosen}."]
    if len(schedule.hosts) > 1:
        lines.append(
            f"This host is number {schedule.place + 1} of {len(schedule.hosts)}: its turn comes each "
            f"{turns(schedule.hosts) * TURN / 3600:g} h."
        )
    if need := state["upgrade"]:
        security = f", for security: {' '.join(need['security'])}" if need["security"] else ""
        packages = f"{count(len(need['packages']), 'package')}, since {local(need['since'])}"
        lines.append(f"Updates: {packages} ({' '.join(need['packages'])}{security}).")
        lines.append(sentence(schedule, need, now, 0, "They are installed"))
    else:
        lines.append(
            f"Updates: nothing waits, by lists of {local(state['refreshed']) if state['refreshed'] else 'never'}."
        )
    if services := state["restarts"]:
        lines.append(f"Restarts: {', '.join(services)} use something replaced.")
        line = sentence(schedule, None, now, 0, "They are restarted")
        if (programs := announced_by(services)) and told:
            minutes = count(min(told, LEAD // 60), "minute")
            line += f" Who is connected to {', '.join(programs)} is told {minutes} before."
        lines.append(line)
    if state["deferred"]:
        lines.append(f"Not restarted, since only a reboot can do that safely: {', '.join(state['deferred'])}.")
    lines += _reboot(keeper, schedule, now, lead, told)
    return lines + [f"Problem: {text}" for text in state["problems"].values()]


def _reboot(keeper: Keeper, schedule: Schedule, now: float, lead: float, told: int) -> list[str]:
    need = keeper.state["reboot"]
    if not need:
        helped = "survived" not in keeper.state["problems"]
        return ["Reboot: none is needed." if helped else "Reboot: none is made, since the last one has not helped."]
    important = ", important" if need["important"] else ""
    line = sentence(schedule, need, now, lead, "It happens")
    if lead:
        line += f" Who is connected is told {count(told, 'minute')} before."
    lines = [f"Reboot: needed since {local(need['since'])}{important} ({need['why']}).", line]
    if machine.backup_runs():
        lines.append(
            "A backup is being made now. While one is, no reboot begins; if it lasts until the window's end, "
            "the reboot waits for the next one."
        )
    return lines
