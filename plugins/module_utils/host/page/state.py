# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the self-test has found of a domain's promises, in the form of the pages."""

from __future__ import annotations

import datetime
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import files, words
from ..promises import PROMISES, STATES, TESTERS, TOPICS, Promise

KNOWN: Mapping[str, Promise] = {promise.id: promise for promise in PROMISES}
KNOWN_TESTERS: Mapping[str, Promise] = {tester.id: tester for tester in TESTERS}
# The worst first.
RANKS = tuple(state for state in ("broken", "weakened", "unknown", "kept") if state in STATES)


@dataclass(frozen=True)
class Found:
    """A promise, and what the last check found of it."""

    promise: Promise
    state: str
    since: str
    reason: str


@dataclass(frozen=True)
class Told:
    """A public tester, and what it would say."""

    promise: Promise
    answer: str


@dataclass(frozen=True)
class Checked:
    """The promises of a domain, what testers would say of it, and when that was checked."""

    moment: str
    found: Sequence[Found]
    told: Sequence[Told] = ()

    @property
    def topics(self) -> list[tuple[str, list[Found]]]:
        """Return the topics that have a promise, in their order."""
        all_of = {topic: [one for one in self.found if one.promise.topic == topic] for topic in TOPICS}
        return [(topic, found) for topic, found in all_of.items() if found]

    @property
    def counts(self) -> Counter[str]:
        return Counter(one.state for one in self.found)

    @property
    def worst(self) -> str:
        return next((state for state in RANKS if self.counts[state]), "unknown")


def _when(text: Any) -> str:
    """Return a moment of ISO 8601 as people read it, and nothing for what is none."""
    try:
        moment = datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return ""
    return words.utc(moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC))


def _entries(value: Any) -> Iterable[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def read(path: str) -> Mapping[str, Any]:
    """Return what the last check has recorded; nothing where there was none yet, or what it has left is none."""
    try:
        found = files.read_json(path, {})
    except (OSError, ValueError) as error:
        print(f"{path}: {error}; the pages say that nothing was checked", file=sys.stderr)
        return {}
    return found if isinstance(found, dict) else {}


def of_domain(recorded: Mapping[str, Any], domain: str) -> Checked:
    """Return what was recorded of a domain. Promises and testers that this version does not know are left out."""
    domains = recorded.get("domains")
    entry = domains.get(domain) if isinstance(domains, dict) else None
    found = [
        Found(
            promise=KNOWN[one["id"]],
            state=one["state"] if one.get("state") in STATES else "unknown",
            since=_when(one.get("since")),
            reason=str(one.get("reason") or ""),
        )
        for one in _entries(entry.get("promises") if isinstance(entry, dict) else None)
        if one.get("id") in KNOWN
    ]
    told = [
        Told(KNOWN_TESTERS[one["id"]], str(one["answer"]))
        for one in _entries(entry.get("testers") if isinstance(entry, dict) else None)
        if one.get("id") in KNOWN_TESTERS and one.get("answer")
    ]
    return Checked(_when(recorded.get("checked")), found, told)
