# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A check, what it finds, and the levels of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

OK, WARN, FAIL = "ok", "warns", "fails"
Config = dict[str, Any]


class Wrong(Exception):
    """What is wrong with something that does not work. A second argument is what to type, in place of the check's own."""


class Doubtful(Exception):
    """What is to be looked at, and still works."""


@dataclass(frozen=True)
class Check:
    """One check: its subject, what makes it, and what the operator types to look closer.

    `ask` returns what it found in words, or raises Wrong or Doubtful.
    """

    subject: str
    ask: Callable[[], str]
    do: str


@dataclass(frozen=True)
class Finding:
    """What a check has found; `do` is empty where all is well."""

    subject: str
    level: str
    text: str
    do: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return it as other programs read it, in the state and by --json."""
        return asdict(self)


def make(check: Check) -> Finding:
    """Make a check. Whatever happens in it, the others are made."""
    try:
        return Finding(check.subject, OK, check.ask())
    except (Doubtful, Wrong) as error:
        text, do = (*error.args, check.do)[:2]
        return Finding(check.subject, WARN if isinstance(error, Doubtful) else FAIL, text, do)
    except Exception as error:
        return Finding(check.subject, FAIL, f"it could not be checked: {error!r}", check.do)


def worst(findings: Iterable[Finding]) -> str:
    """Return the worst level among findings."""
    levels = {finding.level for finding in findings}
    return FAIL if FAIL in levels else WARN if WARN in levels else OK
