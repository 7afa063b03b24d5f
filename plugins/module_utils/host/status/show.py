# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator asks of promises: why one is as it is, and what has changed since the last look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import words
from ..promises import Promise
from . import promised
from .probes import PROBES


def explain(promise: Promise, results: Sequence[promised.Result], outside: bool) -> list[str]:
    """Return in lines what was asked and answered, what is right, and how to mend it."""
    lines = [f"{promise.id}: {promise.en}", f"{'Source:':10}{promise.source}", f"{'Asked:':10}{promise.asked}"]
    for result in results:
        text = words.plain(result.reason)
        lines.append(f"{'Answered:':10}{result.domain}: {result.state}: {text} ({result.seconds:.1f} s)")
    if not results:
        why = (
            "it is asked on the host alone"
            if outside and not PROBES[promise.probe].outside
            else "it is not promised here"
        )
        lines.append(f"{'Answered:':10}nothing: {why}")
    return [*lines, f"{'Right:':10}{promise.right}", f"{'To mend:':10}{promise.mend}"]


def explained(promise: Promise, results: Sequence[promised.Result]) -> dict[str, Any]:
    """Return the same for programs."""
    answers = [
        {"domain": result.domain, "state": result.state, "reason": result.reason, "seconds": round(result.seconds, 3)}
        for result in results
    ]
    texts = {"texts": promise.texts, "source": promise.source, "asked": promise.asked, "answered": answers}
    return {"id": promise.id, **texts, "right": promise.right, "mend": promise.mend}


def changes(before: Mapping[str, Any], results: Sequence[promised.Result]) -> list[dict[str, str]]:
    """Return which promises are in another state than was noted last; new ones and those that are gone among them."""
    old = promised.states_of(before)
    new = {(result.domain, result.promise.id): result for result in results}
    found = []
    for key in dict.fromkeys([*new, *old]):
        was = old[key]["state"] if key in old else ""
        now = new[key].state if key in new else ""
        if was != now:
            reason = words.plain(new[key].reason) if key in new else ""
            found.append({"domain": key[0], "id": key[1], "before": was, "after": now, "reason": reason})
    return found


def shown(changed: Sequence[Mapping[str, str]], before: Mapping[str, Any]) -> list[str]:
    """Return changes in lines."""
    since = before.get("checked")
    if not since:
        return ["nothing was noted before"]
    if not changed:
        return [f"no promise has changed since {since}"]
    lines = [f"since {since}:"]
    for one in changed:
        text = f": {one['reason']}" if one["reason"] else ""
        lines.append(
            f"{one['domain']} {one['id']}: {one['before'] or 'not promised'} → {one['after'] or 'not promised'}{text}"
        )
    return lines
