# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers, times and sizes in sentences."""

from __future__ import annotations

import datetime
import time


def count(number: int, noun: str, verb: str = "") -> str:
    """Return a number with what it counts, and does: 1 check fails, 2 checks fail."""
    counted = f"{number} {noun}{'' if number == 1 else 's'}"
    return f"{counted} {verb}{'s' if number == 1 else ''}" if verb else counted


def age(seconds: float) -> str:
    """Return a span of time in the largest unit of which it has two: 90 minutes, 3 days."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return count(round(seconds / length), unit)
    return count(round(seconds), "second")


def size(number: float) -> str:
    """Return a number of bytes in the unit that suits: 512 B, 1.5 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def utc(moment: float | datetime.datetime) -> str:
    """Return a moment, in seconds since 1970 or as a datetime with a zone, as 2026-01-31 23:59 UTC."""
    if not isinstance(moment, datetime.datetime):
        moment = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"


def local(moment: float) -> str:
    """Return a moment, in seconds since 1970, as the host's clock shows it: Mon 2026-01-26 02:00 CET."""
    return time.strftime("%a %Y-%m-%d %H:%M %Z", time.localtime(moment))


def plain(text: str, most: int = 400) -> str:
    """Return a text of a stranger on one line: a terminal or a log reads nothing else in it."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= most else f"{line[: most - 1]}…"
