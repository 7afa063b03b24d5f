# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When something may be begun. Pure, but for the clock's zone.

A window is of the local wall clock; a turn is of UTC, so that the clocks of a fleet, whatever their zones, agree on whose
it is.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

# A turn lasts 30 minutes and belongs to one host. What it begins in the first half is over when the next host's comes.
TURN = 1800
OUTAGE = 900
# Latest start in a turn for an announced restart; leaves 5 minutes to refresh package lists.
LEAD = OUTAGE - 300
TURNS_A_WEEK = 7 * 86400 // TURN
TICK = 300
HORIZON = 60 * 86400
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Of the 28 days of munin's data, these must be there: each hour of the week, and this share of all.
KNOWN = 0.5

Clock = Callable[[float], tuple[int, int]]
# Something that waits: `important`, and `since`, in seconds since 1970.
Need = dict[str, Any]


def wall(moment: float) -> tuple[int, int]:
    """Return the weekday, 0 for Monday, and the minute of the day that the local clock shows."""
    shown = time.localtime(moment)
    return shown.tm_wday, shown.tm_hour * 60 + shown.tm_min


class Window(NamedTuple):
    """Some days of the week, 0 for Monday, and from which minute to which. One past midnight belongs to its first day."""

    days: tuple[int, ...]
    start: int
    end: int

    def has(self, weekday: int, minute: int) -> bool:
        """Tell whether a minute of the week is in it."""
        if self.start < self.end:
            return weekday in self.days and self.start <= minute < self.end
        return (weekday in self.days and minute >= self.start) or ((weekday - 1) % 7 in self.days and minute < self.end)


def minute_of(text: object) -> int:
    """Turn 02:30 into 150. Raises ValueError."""
    found = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"{text!r} is not a time of day; write it from 00:00 to 23:59")
    return int(found[1]) * 60 + int(found[2])


def read_windows(given: Sequence[dict[str, Any]]) -> list[Window]:
    """Return the windows of the configuration. Raises ValueError."""
    windows = []
    for window in given:
        start, end = minute_of(window["start"]), minute_of(window["end"])
        if start == end:
            raise ValueError(f"the window {window['start']}-{window['end']} has no length; let it end later")
        if not window["days"] or not set(window["days"]) <= set(range(7)):
            raise ValueError(f"{window['days']!r} are no days of the week; write numbers from 0, Monday, to 6")
        windows.append(Window(tuple(sorted(set(window["days"]))), start, end))
    if not windows:
        raise ValueError("there is no window; write one")
    return windows


def in_windows(windows: Iterable[Window], weekday: int, minute: int) -> bool:
    """Tell whether a minute of the week is in one of some windows."""
    return any(window.has(weekday, minute) for window in windows)


def turns(fleet: Iterable[str]) -> int:
    """Return after how many turns the first host's comes again.

    As few as there are hosts, and without a common factor with those of a week, so that each host meets each moment of
    the week in the end, and no short window forever belongs to others.
    """
    number = len(set(fleet))
    while math.gcd(number, TURNS_A_WEEK) > 1:
        number += 1
    return number


def quietest(window: Window, profile: Sequence[float]) -> list[Window]:
    """Return as long windows in the quietest hours of the same days, by a profile of 168 numbers from Monday 00:00 on."""
    found, hours = [], min(23, max(1, (window.end - window.start) % 1440 // 60))
    for day in window.days:
        # Where hours are equally quiet, the nearest to the one given.
        def busy(hour: int, day: int = day) -> tuple[float, int]:
            sessions = sum(profile[(day * 24 + hour + more) % 168] for more in range(hours))
            return sessions, min((hour * 60 - window.start) % 1440, (window.start - hour * 60) % 1440)

        begin = min(range(24), key=busy)
        found.append(Window((day,), begin * 60, (begin + hours) % 24 * 60))
    return found


def week_profile(series: Iterable[tuple[float, float, float]], clock: Clock = wall) -> list[float] | None:
    """Return the mean of sessions in each hour of the week, from (begin, end, value) of four weeks.

    None where too little is known.
    """
    sums, counts = [0.0] * 168, [0] * 168
    for begin, end, value in series:
        # A step of two hours says as much of the one as of the other.
        for moment in range(int(begin), int(end), 3600):
            weekday, minute = clock(moment)
            hour = weekday * 24 + minute // 60
            sums[hour] += value
            counts[hour] += 1
    if not all(counts) or sum(counts) < KNOWN * 28 * 24:
        return None
    return [round(total / number, 3) for total, number in zip(sums, counts, strict=True)]


def days_of(days: Sequence[int]) -> str:
    """Return days in words, as a span where they are one."""
    if len(days) == 7:
        return "every day"
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{DAYS[days[0]]}-{DAYS[days[-1]]}"
    return ",".join(DAYS[day] for day in days)


def spans(windows: Iterable[Window]) -> str:
    """Return windows in words, days of the same hours together."""
    together: dict[tuple[int, int], set[int]] = {}
    for window in windows:
        together.setdefault((window.start, window.end), set()).update(window.days)
    return "; ".join(
        f"{days_of(sorted(days))} {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
        for (start, end), days in together.items()
    )


class Schedule:
    """The windows and turns of this host: what may be begun at which moment.

    `profile` is how busy each hour of the week is, as week_profile returns it, or None.
    """

    def __init__(self, config: dict[str, Any], profile: Sequence[float] | None = None, clock: Clock = wall) -> None:
        self.windows = read_windows(config["windows"])
        self.hosts = sorted(set(config["fleet"]))
        if config["host"] not in self.hosts:
            raise ValueError(f"{config['host']!r} is not in the fleet; add it")
        self.place = self.hosts.index(config["host"])
        self.auto: bool = config["auto"]
        self.deadline: float = config["deadline_days"] * 86400
        self.profile, self.clock = profile, clock
        self._holding: dict[bool, list[Window]] = {}

    def own_turn(self, moment: float) -> bool:
        """Tell whether this host may begin something in its own turn, early enough to be over before the next.

        A host alone need not take turns.
        """
        return len(self.hosts) == 1 or (
            moment // TURN % turns(self.hosts) == self.place and moment % TURN < TURN - OUTAGE
        )

    def is_overdue(self, need: Need | None, moment: float) -> bool:
        """Tell whether an important matter has waited beyond its deadline."""
        return bool(need and need["important"] and moment - need["since"] >= self.deadline)

    def holding(self, overdue: bool) -> list[Window]:
        """Return the windows that hold now. An overdue matter takes the least busy moment of any day."""
        if overdue not in self._holding:
            windows = [window._replace(days=tuple(range(7))) for window in self.windows] if overdue else self.windows
            if self.profile and (self.auto or overdue):
                windows = [found for window in windows for found in quietest(window, self.profile)]
            self._holding[overdue] = windows
        return self._holding[overdue]

    def is_open(self, moment: float, overdue: bool = False) -> bool:
        """Tell whether a window is open at a moment."""
        return in_windows(self.holding(overdue), *self.clock(moment))

    def permits(self, need: Need | None, moment: float) -> bool:
        """Tell whether a matter may be begun at a moment."""
        return self.own_turn(moment) and self.is_open(moment, self.is_overdue(need, moment))

    def next_moment(self, need: Need | None, now: float, lead: float) -> int | None:
        """Return the first moment at which a matter may begin, as the timer finds it, or nothing within 60 days.

        `lead` is how many seconds before that moment the timer has to fire.
        """
        windows = {late: self.holding(late) for late in (False, True)}
        for tick in range(int(-(-now // TICK)) * TICK, int(now) + HORIZON, TICK):
            moment = tick + int(lead)
            if self.own_turn(moment) and in_windows(windows[self.is_overdue(need, moment)], *self.clock(moment)):
                return moment
        return None

    def next_window(self, late: bool, now: float) -> dict[str, int | None]:
        """Return when a window is open next, or since now, and when it closes, to the minute."""
        windows, opens = self.holding(late), None
        # Any is there within a week, and within two if the clock skips it.
        for moment in (int(now), *range(int(now) // 60 * 60 + 60, int(now) + 15 * 86400, 60)):
            inside = in_windows(windows, *self.clock(moment))
            if opens is None and inside:
                opens = moment
            elif opens is not None and not inside:
                return {"opens": opens, "closes": moment}
        return {"opens": opens, "closes": None}
