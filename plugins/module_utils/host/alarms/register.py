# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alarms that are not over, and the decision what is told of them and when. It reads no clock and no file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from .give import Request

MOST_ALARMS = 500
# Of one user who is not root: alarms that are not over, and what it gives in an hour.
MOST_OF_ONE = 50
MOST_AN_HOUR = 200


class Notice(NamedTuple):
    """What is to be told."""

    subject: str
    text: str


@dataclass
class Alarm:
    """An alarm that is not over: when it began, was last told and last given, in seconds since 1970, and how often."""

    since: float
    told: float
    last: float
    count: int = 1
    unit: str | None = None


def span(seconds: float) -> str:
    """Return a span of time in words."""
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {name}"
    return "a minute"


class Register:
    """The alarms that are not over, by their subjects. Each is told anew every `repeat` seconds."""

    def __init__(self, alarms: dict[str, Alarm], repeat: float) -> None:
        self.alarms = alarms
        self.repeat = repeat

    @classmethod
    def from_json(cls, kept: dict[str, Any], repeat: float = 86400) -> Register:
        """Read what was kept, without what is broken: an alarm must not fail because of a former one."""
        names = set(Alarm.__dataclass_fields__)
        whole = {subject: known for subject, known in kept.items() if isinstance(known, dict) and names <= set(known)}
        return cls(
            {subject: Alarm(**{name: known[name] for name in names}) for subject, known in whole.items()}, repeat
        )

    def as_json(self) -> dict[str, Any]:
        return {subject: asdict(alarm) for subject, alarm in self.alarms.items()}

    @property
    def has_units(self) -> bool:
        """Whether some alarm is of a unit, which is looked after until it runs again."""
        return any(alarm.unit for alarm in self.alarms.values())

    def take(self, request: Request, now: float) -> Notice | None:
        """Take what is given; return what is to be told, if anything."""
        subject, known = request.subject, self.alarms.get(request.subject)
        if request.over:
            if not known:
                return None
            del self.alarms[subject]
            return Notice(f"Over: {subject}", f"It went on for {span(now - known.since)}{self._times(known)}.")
        if not known:
            while len(self.alarms) >= MOST_ALARMS:
                del self.alarms[min(self.alarms, key=lambda name: self.alarms[name].last)]
            self.alarms[subject] = Alarm(now, now, now, unit=request.unit)
            return Notice(subject, request.text)
        known.count, known.last = known.count + 1, now
        return self.again(subject, request.text, now)

    def again(self, subject: str, text: str, now: float) -> Notice | None:
        """Return what is to be told of an alarm that goes on, when it is time to."""
        known = self.alarms[subject]
        # A clock that was set back must not silence it.
        if 0 <= now - known.told < self.repeat:
            return None
        known.told = now
        said = f"It goes on for {span(now - known.since)}{self._times(known)}.\n\n{text}".rstrip()
        return Notice(f"Still: {subject}", said)

    @staticmethod
    def _times(known: Alarm) -> str:
        return f", and was reported {known.count} times" if known.count > 1 else ""

    def forget(self, now: float) -> list[str]:
        """Drop alarms that nobody gives any more and nobody has called over; return their subjects."""
        gone = [
            subject for subject, known in self.alarms.items() if not known.unit and now - known.last > 2 * self.repeat
        ]
        for subject in gone:
            del self.alarms[subject]
        return gone

    def look_after(self, now: float, failed: Callable[[str], bool]) -> Iterator[Notice]:
        """Yield what is to be told of units: those that run again, and, daily, those that do not."""
        for subject, known in list(self.alarms.items()):
            if known.unit:
                over = not failed(known.unit)
                told = self.take(Request(subject, over=True), now) if over else self.again(subject, "", now)
                if told:
                    yield told


def objection(
    request: Request, giver: str, register: Register, given: dict[str, list[float]], now: float
) -> str | None:
    """Return why a user who is not root may not give this.

    A user that was taken over ends no alarm but its own, and hides none. `given` has, by user, when it gave alarms.
    """
    prefix = f"{giver}: "
    given[giver] = [moment for moment in given.get(giver, []) if 0 <= now - moment < 3600]
    if not request.subject.startswith(prefix) or request.unit:
        return f"it may give alarms only whose subject begins with {prefix!r}"
    if len(given[giver]) >= MOST_AN_HOUR:
        return f"it has given {MOST_AN_HOUR} within an hour"
    mine = sum(name.startswith(prefix) for name in register.alarms)
    if not request.over and request.subject not in register.alarms and mine >= MOST_OF_ONE:
        return f"it has {mine} alarms that are not over"
    given[giver].append(now)
    return None
