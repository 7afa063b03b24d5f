# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe is, and what probes of one look share: the configuration, answers that are asked for once, and the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple


class Broken(Exception):
    """The promise is not kept; the message says why."""


class Unknown(Exception):
    """Nobody can tell whether the promise is kept; the message says why."""


class Weakened(Exception):
    """The promise is kept in part, as the operator has it; the message says how far."""


class Evidence:
    """Answers that several probes look at. Each is asked for once, and by the first who wants it; the others wait."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self._futures: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()

    def left(self) -> float:
        """Return how many seconds are left, at least a moment, so that it can be a time limit."""
        return max(0.05, self.end - time.monotonic())

    def once(self, key: Hashable, ask: Callable[[], Any]) -> Any:
        """Return what `ask` returns, or raise what it raises, by calling it once for a key."""
        with self._lock:
            future = self._futures.get(key)
            if mine := future is None:
                future = self._futures[key] = Future()
        if mine:
            try:
                future.set_result(ask())
            except BaseException as error:
                future.set_exception(error)
        try:
            return future.result(timeout=self.left())
        except TimeoutError as error:
            raise Unknown("no answer in time") from error


@dataclass(frozen=True)
class Subject:
    """What a probe looks at: a domain of the host, of whose self-test `config` is the configuration."""

    config: Mapping[str, Any]
    domain: Mapping[str, Any]
    evidence: Evidence
    # From elsewhere, nothing is asked but by the network.
    outside: bool = False

    @property
    def promises(self) -> Mapping[str, Any]:
        """What the promises depend on."""
        found: Mapping[str, Any] = self.config["promises"]
        return found

    @property
    def name(self) -> str:
        """The domain, as DNS has it."""
        return str(self.domain["domain"])

    @property
    def web(self) -> str:
        """The name under which its web front is."""
        return str(self.domain.get("web") or self.domain["domain"])

    def port(self, name: str) -> int:
        """Return a port by IANA's name of its protocol. Raises Unknown where nobody has said it."""
        number = self.promises["ports"].get(name)
        if number is None:
            raise Unknown(f"no port of {name} is known")
        return int(number)

    def seconds(self, most: float) -> float:
        """Return a time limit: what is left of all, and not more than `most`."""
        return min(most, self.evidence.left())


Ask = Callable[[Subject, str], str]


class Probe(NamedTuple):
    """What proves a promise: `ask` returns what was answered, or raises one of the above.

    `outside`: it can be made from elsewhere, too. `whole`: it is about the host, and so the same for each domain.
    """

    ask: Ask
    outside: bool
    whole: bool


PROBES: dict[str, Probe] = {}


def probe(name: str, *, outside: bool = True, whole: bool = False) -> Callable[[Ask], Ask]:
    """Register a function as the probe of a name."""

    def register(ask: Ask) -> Ask:
        PROBES[name] = Probe(ask, outside, whole)
        return ask

    return register


def answer(subject: Subject, name: str, argument: str = "") -> str:
    """Return what a probe answers, or raise what it raises; it is asked once for all promises and testers that want it."""
    known = PROBES[name]
    if subject.outside and not known.outside:
        raise Unknown("it is asked on the host alone")
    key = (name, argument, None if known.whole else subject.name)
    found: str = subject.evidence.once(key, lambda: known.ask(subject, argument))
    return found
