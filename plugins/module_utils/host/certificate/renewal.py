# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renew the certificates that are due: why, with which names, and when it is tried again."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Callable, Sequence

from .. import files, words, x509
from . import clock, deploy, records
from .authority import Authorities
from .deploy import Deployment, said
from .errors import Incomplete, Refused
from .pairs import CHAINS, Content, Pair, Store, digest, look
from .settings import Settings

OFFERED = "/var/lib/xmpp-certificate/offered"
# What was ordered and could not be deployed, and when and why something last failed.
ORDERED = "/var/lib/xmpp-certificate/ordered"
FAILED = "/var/lib/xmpp-certificate/failed.json"
# A certificate is valid for months or for hours, so times are shares of its life. One with a short life is renewed when
# half of it is left, since there is little time to mend what fails.
SHORT = datetime.timedelta(days=10)
SHORT_PERCENT = 50
# With so little left, one that lacks a name is better than one that ends for all of them.
URGENT_PERCENT = 10
# The timer tries again what has failed after this share of the certificate's life, and at the latest after this time:
# authorities count failures, and a deploy that is taken back has the daemons reload.
PAUSE_PERCENT = 8
LONGEST_PAUSE = datetime.timedelta(hours=12)
LACKS = "it lacks"


class Renewal:
    """The host's certificates of an ACME authority, and what is done about those that are due.

    `force` orders in any case; `patient` does not try again yet what has failed a short time ago.
    """

    def __init__(self, settings: Settings, *, force: bool = False, patient: bool = False) -> None:
        self.settings = settings
        self.force = force
        self.patient = patient
        self.store = Store(settings)
        self.authorities = Authorities(settings)
        self.deployment = Deployment(settings, self.store)

    def due(self, pair: Pair, now: datetime.datetime) -> str | None:
        """Return why a certificate has to be ordered, or None."""
        chain, found = pair.chain, pair.certificate
        if not found:
            return "there is none"
        if found.pin != pair.pin:
            return f"that in {pair.path} does not belong to the key {pair.key_path}"
        if digest(chain) not in self.store.issued():
            return f"that in {pair.path} is not of {self.settings.directory}"
        percent = self.settings.renew_percent
        if found.percent_left(now) < (max(percent, SHORT_PERCENT) if found.life < SHORT else percent):
            return f"it expires at {words.utc(found.end)}"
        if missing := [name for name in self.settings.names if name not in found.names]:
            return f"{LACKS} {', '.join(missing)}"
        return None

    def _in_use(self, pair: Pair) -> x509.Certificate | None:
        """Return the certificate of a pair, if it is of the authority."""
        found = pair.certificate
        return found if found and digest(pair.chain) in self.store.issued() else None

    def may_lack(self, pair: Pair, now: datetime.datetime) -> Callable[[set[str]], bool]:
        """Return what tells whether a new certificate may do without some names.

        A name that cannot be proven must not take the certificate from the others, nor be taken from those who use it,
        unless the present one ends soon; and an order has to bring something.
        """
        found = self._in_use(pair)
        if not found or found.percent_left(now) < URGENT_PERCENT:
            return lambda _names: True
        names = set(self.settings.names)
        here = names & found.names
        if not self.force and (self.due(pair, now) or "").startswith(LACKS):
            return lambda missing: not missing & here and not missing.issuperset(names - here)
        return lambda missing: not missing & here

    def ordered(self, pair: Pair, place: int) -> str | None:
        """Return a chain that was ordered and could not be deployed, if it is still worth it."""
        chain = files.read_text(os.path.join(ORDERED, CHAINS[place]))
        if not x509.chain(chain):
            return None
        with contextlib.suppress(Refused):
            now = clock.now()
            pair.check(chain, self.settings.names, now)
            # Of a certificate that has not begun its last third, so that it is not due at once.
            good = look(chain).percent_left(now) > max(self.settings.renew_percent, SHORT_PERCENT)
            return chain if good else None
        return None

    def patience(self, now: datetime.datetime) -> str | None:
        """Return why the timer does not try again yet, if something has failed a short time ago."""
        failed = files.read_json(FAILED)
        if not failed:
            return None
        pause = LONGEST_PAUSE
        if found := self._in_use(self.store.first):
            pause = min(pause, (found.end - found.begin) * PAUSE_PERCENT / 100)
        again = datetime.datetime.fromtimestamp(failed["at"], datetime.UTC) + pause
        # A clock that was set back must not make it wait for ever.
        if now < again <= now + pause:
            return f"{failed['why']} (it is tried again at {words.utc(again)}, or at once by xmpp-certificate)"
        return None

    def check_tlsa(self, pair: Pair, pin: str) -> None:
        """Refuse a key of which the TLSA records in the DNS do not know: validating peers would turn away (RFC 7671)."""
        for name in self.settings.tlsa_names:
            found = self.authorities.records.look_up(name, "TLSA")
            if found and pin not in records.pins(found):
                raise Refused(
                    f"the TLSA records of {name} know another key than {pair.key_path}; run the playbook, which publishes "
                    "this one"
                )

    def keep(self) -> str:
        """Order and deploy what is due; return what was done."""
        now = clock.now()
        reasons = [self.due(pair, now) or ("it was asked for" if self.force else None) for pair in self.store.pairs()]
        if self.patient and any(reasons) and (why := self.patience(now)):
            raise Refused(why)
        try:
            done = self.renew(reasons)
        except Refused as error:
            files.write_json(FAILED, {"at": int(now.timestamp()), "why": str(error)}, mode=0o600)
            raise
        files.remove(FAILED)
        return done

    def _obtain(self, pair: Pair, place: int, why: str) -> tuple[str, dict[str, str]]:
        """Return a checked chain for a pair, and the names that it lacks, with the reasons; keep it until it is deployed."""
        # Authorities count orders: what one has brought is not thrown away because a daemon did not reload.
        chain = None if self.force else self.ordered(pair, place)
        missing: dict[str, str] = {}
        if chain:
            print(f"The certificate that was ordered before is deployed: {why}.", flush=True)
        else:
            print(f"A certificate for {', '.join(self.settings.names)} is ordered: {why}.", flush=True)
            chain, missing = self.authorities.issue(pair, self.may_lack(pair, clock.now()))
        pair.check(chain, self.settings.names, clock.now(), missing)
        self.check_tlsa(pair, look(chain).pin)
        os.makedirs(ORDERED, mode=0o700, exist_ok=True)
        files.replace(os.path.join(ORDERED, CHAINS[place]), chain, mode=0o600)
        return chain, missing

    def renew(self, reasons: Sequence[str | None]) -> str:
        """Order and deploy the certificates for which there is a reason."""
        new: list[Content] = []
        made: list[int] = []
        failed: list[str] = []
        missing: dict[str, str] = {}
        for place, (pair, why) in enumerate(zip(self.store.pairs(), reasons, strict=True)):
            content = pair.read()
            if why:
                try:
                    chain, without = self._obtain(pair, place, why)
                    missing |= without
                    content = content._replace(chain=chain)
                    made.append(place)
                except Refused as error:
                    failed.append(str(error))
            new.append(content)
        # What was ordered for one key is deployed though the other one has to wait: authorities count orders.
        ports = self.deployment.deploy(new) if made else []
        for place in made:
            os.unlink(os.path.join(ORDERED, CHAINS[place]))
        if failed:
            # Mostly one reason for both.
            raise Refused("; ".join(dict.fromkeys(failed)))
        until = f"valid until {words.utc(min(look(content.chain).end for content in new))}"
        said_so = f"issued: {until}, served by {said(ports)}" if made else f"unchanged: the certificate is {until}"
        if missing:
            print(said_so, flush=True)
            raise Incomplete(f"it lacks {', '.join(missing)}: {'; '.join(dict.fromkeys(missing.values()))}")
        return said_so


def requests(settings: Settings) -> list[dict[str, str]]:
    """Make the keys, and return of each pair the request for a certificate, and where that is expected."""
    store = Store(settings)
    store.make_keys()
    return [
        {"path": os.path.join(OFFERED, name), "request": pair.request(settings.names, settings)}
        for name, pair in zip(CHAINS, store.pairs(), strict=False)
    ]


def offered(settings: Settings) -> str:
    """Deploy chains for the host's keys that come from elsewhere, and say by which ports they are served."""
    store, new = Store(settings), []
    for name, pair in zip(CHAINS, store.pairs(), strict=False):
        chain = files.read_text(os.path.join(OFFERED, name))
        pair.check(chain, settings.names, clock.now())
        new.append(pair.read()._replace(chain=chain))
    if x509.chain(store.first.chain):
        return f"deployed: served by {said(Deployment(settings, store).deploy(new))}"
    for pair, content in zip(store.pairs(), new, strict=True):
        pair.write_chain(content.chain)
    deploy.hooks()
    return "deployed: the first one"
