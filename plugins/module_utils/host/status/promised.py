# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks whether promises are kept: all at once, each within its time, and the whole within seconds."""

from __future__ import annotations

import datetime
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import files, words
from ..promises import TESTERS, Domain, Promise, applying, graded
from ..promises.kinds import BROKEN, KEPT, STATES, UNKNOWN, WEAKENED
from . import probes, states
from .checks import FAIL, OK, WARN, Config, Finding

STATE = "/var/lib/xmpp-status/promises.json"
SECONDS = 10.0
# A host of very many domains needs more: so many seconds for each beyond the first ones.
SECONDS_OF_DOMAIN, DOMAINS = 0.25, 10
THREADS = 24
LEVELS = {KEPT: OK, WEAKENED: OK, UNKNOWN: WARN, BROKEN: FAIL}


@dataclass(frozen=True)
class Result:
    """What a look has found of a promise of a domain: its state, why, and what was answered."""

    domain: str
    promise: Promise
    state: str
    reason: str
    seconds: float = 0.0


def _ask(subject: probes.Subject, promise: Promise, waived: Sequence[str]) -> tuple[str, str]:
    try:
        return KEPT, probes.answer(subject, promise.probe, promise.argument)
    except probes.Broken as error:
        return (WEAKENED if promise.id in waived else BROKEN), str(error)
    except probes.Weakened as error:
        return WEAKENED, str(error)
    except probes.Unknown as error:
        return UNKNOWN, str(error)
    except Exception as error:
        return UNKNOWN, f"it could not be asked: {error!r}"


def _jobs(config: Config, outside: bool, testers: bool) -> list[tuple[Domain, Promise]]:
    """Return what is to be asked: each promise of each domain, and what testers say; from outside, what can be asked from there."""
    section = config.get("promises")
    if not section:
        return []
    return [
        (domain, promise)
        for domain in section["domains"]
        for promise in [*applying(section, domain), *(graded(section, domain) if testers else [])]
        if (probes.PROBES[promise.probe].outside or not outside) and promise.topic not in section.get("left_out", ())
    ]


def look(
    config: Config, outside: bool, only: str = "", seconds: float | None = None, *, testers: bool = False
) -> list[Result]:
    """Ask for all promises, or for one; with `testers`, what those would say comes after them.

    What has not answered in time is unknown, and is not waited for.
    """
    jobs = [job for job in _jobs(config, outside, testers or bool(only)) if only in ("", job[1].id)]
    if seconds is None:
        number = len({domain["domain"] for domain, _promise in jobs})
        seconds = SECONDS + SECONDS_OF_DOMAIN * max(0, number - DOMAINS)
    evidence = probes.Evidence(seconds)
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    found: dict[int, Result] = {}
    done = threading.Semaphore(0)
    for number in range(len(jobs)):
        todo.put(number)

    def work() -> None:
        while True:
            try:
                number = todo.get_nowait()
            except queue.Empty:
                return
            domain, promise = jobs[number]
            begun = time.monotonic()
            subject = probes.Subject(config, domain, evidence, outside)
            state, reason = _ask(subject, promise, config["promises"].get("waived", ()))
            found[number] = Result(domain["domain"], promise, state, words.plain(reason), time.monotonic() - begun)
            done.release()

    # Not those of concurrent.futures, which are waited for at the end of the program.
    for _thread in range(min(THREADS, len(jobs))):
        threading.Thread(target=work, daemon=True).start()
    for _job in jobs:
        if not done.acquire(timeout=max(0.0, evidence.end - time.monotonic())):
            break
    late = f"no answer within {seconds:g} s"
    return [
        found.get(number) or Result(domain["domain"], promise, UNKNOWN, late, seconds)
        for number, (domain, promise) in enumerate(jobs)
    ]


def _remedy(promise: Promise, foreign: str) -> str:
    look = f"xmpp-status {foreign} --explain {promise.id}" if foreign else f"xmpp-status --explain {promise.id}"
    return look if foreign else f"{look}; {promise.mend}"


def _grade(promise: Promise, results: Sequence[Result]) -> Finding:
    said: dict[str, list[str]] = {}
    for result in results:
        text = result.reason if result.state == KEPT else f"cannot be told: {result.reason}"
        said.setdefault(text, []).append(result.domain)
    texts = [text if len(said) == 1 else f"{', '.join(names)}: {text}" for text, names in said.items()]
    return Finding(f"tester {promise.id}", OK, "; ".join(texts))


def findings(results: Sequence[Result], outside: bool = False, foreign: str = "") -> list[Finding]:
    """Return one finding for each promise, whatever the number of domains.

    From outside, it is no fault of the host that we cannot tell. A `foreign` domain is not for us to mend. What testers would
    say is told as it is.
    """
    levels = {**LEVELS, UNKNOWN: OK} if outside else LEVELS
    by_promise: dict[str, list[Result]] = {}
    for result in results:
        by_promise.setdefault(result.promise.id, []).append(result)
    domains = {result.domain for result in results}
    found = []
    for identity, those in by_promise.items():
        promise = those[0].promise
        if promise in TESTERS:
            found.append(_grade(promise, those))
            continue
        state = max((item.state for item in those), key=(KEPT, WEAKENED, UNKNOWN, BROKEN).index)
        reasons: dict[str, list[str]] = {}
        for item in those:
            if item.state == state:
                reasons.setdefault(item.reason, []).append(item.domain)
        parts = [
            reason if state == KEPT or len(names) == len(domains) else f"{', '.join(names)}: {reason}"
            for reason, names in reasons.items()
        ]
        text = parts[0] if state == KEPT else "; ".join(parts)
        if state in (UNKNOWN, WEAKENED):
            text = f"{state}: {text}"
        do = "" if levels[state] == OK else _remedy(promise, foreign)
        found.append(Finding(f"promise {identity}", levels[state], text, do))
    return found


def iso(moment: float) -> str:
    """Return a moment as ISO 8601 has it, in UTC."""
    return f"{datetime.datetime.fromtimestamp(int(moment), datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def noted() -> dict[str, Any]:
    """Return what was noted last, or nothing."""
    return states.noted(STATE)


def states_of(state: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, str]]:
    """Return what is noted, by domain and promise."""
    found = {}
    for domain, entry in state.get("domains", {}).items():
        for item in entry.get("promises", []):
            found[domain, item["id"]] = item
    return found


def state_of(results: Sequence[Result], now: float) -> dict[str, Any]:
    """Return what is noted of promises, each with the moment since which its state is what it is.

    What testers would say is there as it is, for the public page alone, and where it can be told.
    """
    before = states_of(noted())
    domains: dict[str, Any] = {}
    for result in results:
        of_domain = domains.setdefault(result.domain, {"promises": [], "testers": []})
        if result.promise in TESTERS:
            if result.state == KEPT:
                of_domain["testers"].append({"id": result.promise.id, "answer": result.reason})
            continue
        old = before.get((result.domain, result.promise.id), {})
        since = old.get("since") if old.get("state") == result.state else None
        entry = {"id": result.promise.id, "state": result.state, "since": since or iso(now), "reason": result.reason}
        of_domain["promises"].append(entry)
    return {"checked": iso(now), "domains": domains}


def counts(results: Sequence[Result]) -> dict[str, int]:
    """Return how many promises are in which state, each domain's counted, for graphs."""
    found = [result.state for result in results if result.promise not in TESTERS]
    return {state: found.count(state) for state in STATES}


def note(results: Sequence[Result], now: float) -> None:
    """Write what was found into the state, from which the public page is made. Raises OSError."""
    files.write_json(STATE, state_of(results, now), mode=0o640, durable=False)
