# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roll the host's keys, as RFC 7671, section 8.4, has it.

TLSA records name the next key beside the current one until everybody must have seen it; then key and chain change
together; then the records of the former key go. Each call takes the next step, or says what it waits for, so that a roll
may be interrupted at any moment.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import glob
import os
import shutil
import time
from dataclasses import dataclass
from typing import Any

from .. import files, x509
from . import clock
from .authority import Authorities
from .deploy import Deployment, said
from .errors import Refused
from .pairs import CHAINS, KEYS, Content, Pair, Store
from .records import Records
from .settings import Settings

ROLL = "/var/lib/xmpp-certificate/roll"
PUBLISH_SECONDS = 300
PHASES = {
    "publish": "TLSA records have to name the next key beside the current one",
    "switched": "the next key is in use, and the former one still has its TLSA records",
    "withdraw": "TLSA records have to name the new key only",
}
# What a step reports, as JSON.
Status = dict[str, Any]


@dataclass
class State:
    """A roll that is under way: state.json, which role bind reads, too."""

    path: str
    phase: str
    old: list[str]
    next: list[str]
    # What TLSA records have to name in this phase.
    pins: list[str]
    names: list[str]
    # The longest time for which resolvers may keep the records of before.
    ttl: int
    # When all name servers served what this phase needs, in ISO 8601.
    since: str | None = None

    @classmethod
    def load(cls) -> State | None:
        """Return the roll that is under way, if there is one."""
        found = files.read_json(os.path.join(ROLL, "state.json"))
        return cls(**found) if found else None

    def save(self) -> None:
        """Write the state, durably."""
        files.write_json(os.path.join(ROLL, "state.json"), dataclasses.asdict(self), mode=0o600)

    def begin_wait(self) -> None:
        """Note that all name servers, or all ports, serve what this phase needs from now on."""
        self.since = clock.now().isoformat()

    def left(self) -> int:
        """Return the seconds until nobody can have the records any more that were served before this phase."""
        since = datetime.datetime.fromisoformat(self.since) if self.since else clock.now()
        # A second for each end's rounding.
        return max(0, int((since - clock.now()).total_seconds()) + self.ttl + 2)

    def waiting(self, what: str) -> Status:
        """Return the report of a step that has to wait."""
        seconds = self.left()
        end = clock.now() + datetime.timedelta(seconds=seconds)
        message = (
            f"{what} Resolvers may keep what they had for {self.ttl} s: {seconds} s more, until {end:%Y-%m-%d %H:%M:%S} "
            "UTC. This can be interrupted, and goes on when it is run again."
        )
        return {"step": "wait", "seconds": seconds, "message": message}


def next_pairs() -> list[Pair]:
    """Return the pairs that are being rolled to; a chain may be missing yet."""
    found = [
        Pair(os.path.join(ROLL, chain), os.path.join(ROLL, key), mode=0o600)
        for chain, key in zip(CHAINS, KEYS, strict=True)
    ]
    return [pair for pair in found if os.path.exists(pair.key_path)]


def former_pairs() -> list[Pair]:
    """Return the places where the pairs of before are kept for the time of a deploy."""
    return [
        Pair(os.path.join(ROLL, f"old-{chain}"), os.path.join(ROLL, f"old-{key}"), mode=0o600)
        for chain, key in zip(CHAINS, KEYS, strict=True)
    ]


class Roll:
    """The way from the keys in use to the next ones."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings)
        self.records = Records(settings.dns_server)

    def report(self, how: str) -> Status:
        """Begin a roll (`begin`), take its next step (`advance`), or only look (`status`); return how it stands."""
        if not os.path.exists(self.store.first.key_path):
            raise Refused(f"{self.store.first.key_path} is not there yet; run the site playbook first")
        begun = how == "begin" and self._begin()
        state = State.load()
        if not state:
            return {"step": "done", "changed": False, "records": [], "message": "No key is being rolled."}
        if how == "advance":
            return self._advance(state)
        records = [f"{name}. TLSA 3 1 1 {pin}" for name in state.names for pin in state.pins]
        message = f"{'A roll is begun' if begun else 'A roll is under way'}: {PHASES[state.phase]}."
        return {"step": state.phase, "changed": begun, "records": records, "message": message}

    def _advance(self, state: State) -> Status:
        before = dataclasses.replace(state)
        status = {"publish": self._switch, "switched": self._withdraw, "withdraw": self._end}[state.phase](state)
        changed = state != before
        if status["step"] == "done":
            shutil.rmtree(ROLL)
            changed = True
        elif changed:
            state.save()
            for path in glob.glob(os.path.join(ROLL, "*.pem")) if state.phase == "withdraw" else ():
                os.unlink(path)
        return {**status, "changed": changed}

    def _begin(self) -> bool:
        """Have the next keys ready, unless a roll is under way. Return whether this began one."""
        state = State.load()
        following = [pair.pin for pair in next_pairs()]
        if state and (state.phase != "publish" or state.next == following):
            return False
        now = self.store.pins()
        if self.settings.provider == "files" and (not following or set(following) == set(now)):
            raise Refused("the key that is offered is the one in use; offer the next certificate and its key")
        names = [name for name in self.settings.tlsa_names if self.records.look_up(name, "TLSA")]
        ttl = 0
        for served in self.records.published(names):
            if served.pins and not served.pins.issuperset(now):
                raise Refused(
                    f"at {served.server}, the TLSA records of {served.name} do not know the current key; publish them first"
                )
            ttl = max(ttl, served.ttl)
        os.makedirs(ROLL, mode=0o700, exist_ok=True)
        if self.settings.provider != "files":
            self._make_next()
        following = [pair.pin for pair in next_pairs()]
        pins = list(dict.fromkeys([*now, *following]))
        State(self.settings.path, "publish", now, following, pins, names, ttl).save()
        return True

    def _make_next(self) -> None:
        """Make the next keys. Where a kind of key comes or goes, the others stay."""
        here = {content.family: content for content in self.store.contents()}
        kinds = self.settings.key_types
        wanted = [x509.family_of_kind(kind) for kind in kinds]
        for name in (*CHAINS, *KEYS):
            files.remove(os.path.join(ROLL, name))
        for kind, family, chain, key in zip(kinds, wanted, CHAINS, KEYS, strict=False):
            pair = Pair(os.path.join(ROLL, chain), os.path.join(ROLL, key), mode=0o600)
            if set(wanted) != set(here) and family in here:
                pair.write(here[family])
            else:
                pair.write_key(x509.new_key(kind))

    def _wait_for_servers(self, state: State) -> None:
        """Return once all name servers serve what this phase needs."""
        stop = time.monotonic() + PUBLISH_SECONDS
        while wrong := self._unseen(state):
            if time.monotonic() > stop:
                # What was waited for since then counts for nothing.
                state.since = None
                state.save()
                raise Refused(f"{wrong}; run it again when all name servers serve the same")
            time.sleep(2)

    def _unseen(self, state: State) -> str:
        """Return what the name servers do not serve as this phase needs it."""
        wanted, unwanted = set(state.pins), {*state.old, *state.next} - set(state.pins)
        wrong = []
        for served in self.records.published(state.names):
            for pin in sorted(wanted - served.pins):
                wrong.append(f"{served.server} does not serve {served.name}. TLSA 3 1 1 {pin}")
            for pin in sorted(unwanted & served.pins):
                wrong.append(f"{served.server} still serves {served.name}. TLSA 3 1 1 {pin}")
            state.ttl = max(state.ttl, served.ttl)
        return "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")

    def _next_chain(self, pair: Pair) -> str | None:
        """Return a good chain for one of the next keys; None where there is none and somebody else has to sign it."""
        chain, names = pair.chain, self.settings.names
        with contextlib.suppress(Refused):
            # Ordered before, by a run whose deploy failed: authorities count orders.
            pair.check(chain, names, clock.now())
            return chain
        if self.settings.is_acme:
            chain, _missing = Authorities(self.settings).issue(pair)
        elif not chain:
            return None
        try:
            pair.check(chain, names, clock.now())
        except Refused:
            # The next run has it signed again.
            files.remove(pair.path)
            raise
        pair.write_chain(chain)
        return chain

    def _switch(self, state: State) -> Status:
        """In phase `publish`: change keys and chains together, once everybody must know of all."""
        self._wait_for_servers(state)
        if not state.since:
            state.begin_wait()
        if state.left():
            return state.waiting(
                "All name servers serve the TLSA records of the next key beside those of the current one."
            )
        if self.store.pins() == state.next:
            # It was killed after the swap.
            new = self.store.contents()
        else:
            pairs = next_pairs()
            chains = [self._next_chain(pair) for pair in pairs]
            if requests := [
                {"path": pair.path, "request": pair.request(self.settings.names, self.settings)}
                for pair, chain in zip(pairs, chains, strict=True)
                if chain is None
            ]:
                message = "The certificate for the next key is to be signed."
                return {"step": "sign", "message": message, "requests": requests}
            new = [Content(chain or "", pair.read().key) for pair, chain in zip(pairs, chains, strict=True)]
            for place, content in zip(former_pairs(), self.store.contents(), strict=False):
                place.write(content)
        old = [place.read() for place, _pin in zip(former_pairs(), state.old, strict=False)]
        ports = Deployment(self.settings, self.store).deploy(new, old)
        state.phase = "switched"
        state.begin_wait()
        return state.waiting(f"The next key and its certificate are served by {said(ports)}.")

    def _withdraw(self, state: State) -> Status:
        """In phase `switched`: give the former key up, once nobody looks for it any more."""
        if self.store.pins() != state.next:
            raise Refused(
                f"{self.store.first.key_path} is not the key that was switched to; put it back, or remove {ROLL} to leave it "
                "at that"
            )
        if state.left():
            return state.waiting("The next key is served.")
        state.phase, state.pins = "withdraw", state.next
        return {"step": "withdraw", "message": "The TLSA records of the former key are to be withdrawn."}

    def _end(self, state: State) -> Status:
        """In phase `withdraw`: see that the former key is gone everywhere."""
        self._wait_for_servers(state)
        return {"step": "done", "message": "The key is rolled."}
