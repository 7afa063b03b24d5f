# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Formats of times of the day, spans of time and windows."""

from __future__ import annotations

import re

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


@checks.form()
def time_of_day(value):
    """A minute of the day."""
    checks.text(value, "a time of day", "00:30")
    if _TIME.fullmatch(value) is None:
        raise ValueError(f"{str(value)!r} is not a time from 00:00 to 23:59; write for example '00:30'")
    return str(value)


_UNITS = "seconds second sec s minutes minute min m hours hour hr h days day d weeks week w months month M years year y"


@checks.form()
def time_span(value):
    """A span of time (systemd.time(7))."""
    one = rf"[0-9]+ ?({_UNITS.replace(' ', '|')})"
    if not isinstance(value, str) or not re.fullmatch(rf"{one}( ?{one})*", value):
        raise ValueError(f"{value!r} is not a span of time; write for example '30day' or '2 weeks' (systemd.time(7))")
    return str(value)


@checks.form()
def times_of_day(value):
    """Times of the day (systemd.time(7))."""
    checks.text(value, "a time of day", "05:30")
    if not re.fullmatch(r"[0-9*][0-9*,./]*(:[0-9*][0-9*,./]*){1,2}", value) or (
        re.fullmatch("[0-9:]+", value) and not re.fullmatch(rf"{_TIME.pattern}(:[0-5][0-9])?", value)
    ):
        raise ValueError(
            f"{str(value)!r} is not a time of day; write for example '05:30', or '05,17:30' for two (systemd.time(7))"
        )
    return str(value)


def window(value):
    """A span of the day: its first and its last minute since midnight."""
    checks.text(value, "a window", "02:00-05:00")
    hint = "write its begin and its end as HH:MM-HH:MM, for example '02:00-05:00'"
    begin, dash, end = str(value).partition("-")
    if not dash:
        raise ValueError(f"{str(value)!r} is not a window: it has no '-'; {hint}")
    minutes = []
    for part in (begin, end):
        found = _TIME.fullmatch(part)
        if found is None:
            raise ValueError(f"{str(value)!r} is not a window: {part!r} is not a time from 00:00 to 23:59; {hint}")
        minutes.append(int(found[1]) * 60 + int(found[2]))
    if minutes[0] == minutes[1]:
        raise ValueError(f"{str(value)!r} is not a window: it begins and ends at the same minute; {hint}")
    return tuple(minutes)


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def days_of_week(value):
    """Days of the week, from 0 for Monday: one, a span, or several after commas."""
    found = []
    for part in value.split(","):
        first, dash, last = part.partition("-")
        for name in (first, last) if dash else (first,):
            if name not in DAYS:
                raise ValueError(
                    f"{name!r} is not a day of the week; write one of {', '.join(DAYS)}, or a span as 'mon-fri'"
                )
        count = (DAYS.index(last) - DAYS.index(first)) % 7 if dash else 0
        found += [(DAYS.index(first) + more) % 7 for more in range(count + 1)]
    return sorted(set(found))


@checks.form()
def update_windows(value):
    """The windows in which a host may be disturbed, and whether munin's data may place them."""
    example = "write for example ['02:00-05:00'], ['sat,sun 03:00-06:00', 'wed 23:30-01:00'] or ['auto', '02:00-05:00']"
    items = checks.list_of(
        lambda item: checks.text(item, "a window", "02:00-05:00"), "windows", "['02:00-05:00']", empty=False
    )(value)
    windows = []
    for item in items:
        if item == "auto":
            continue
        days, space, span = item.rpartition(" ")
        try:
            numbers = days_of_week(days) if space else list(range(7))
        except ValueError as error:
            raise ValueError(f"{str(item)!r} is not a window: {error}") from error
        window(span)
        windows.append({"days": numbers, "start": span[:5], "end": span[6:]})
    if not windows:
        raise ValueError(f"{list(value)!r} has no window to use while munin has no data; {example}")
    return {"auto": "auto" in items, "windows": windows}
