# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put chains and keys in place, and prove that every port serves them; else the old ones go back."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from .. import commands, tls
from .errors import Refused
from .pairs import Content, Store, digest, look
from .settings import Settings

HOOKS = "/etc/xmpp/deploy.d"
HOOK_SECONDS = 120
PROVE_SECONDS = 20

# None stands for whatever key a port serves to a client that knows every family.
Family = str | None
# By port and family: the digest of the certificate that is served, or why none is.
Answers = dict[tuple[int, Family], str | tls.TlsError]


def hooks() -> None:
    """Have the daemons read their certificate again."""
    if os.path.isdir(HOOKS):
        try:
            commands.run(["run-parts", "--exit-on-error", "--report", HOOKS], seconds=HOOK_SECONDS)
        except commands.CommandError as error:
            raise Refused(str(error)) from error


def up(answers: Answers) -> list[int]:
    """Return the ports that serve a certificate."""
    return list(dict.fromkeys(port for (port, _family), answer in answers.items() if isinstance(answer, str)))


def said(ports: Sequence[int]) -> str:
    """Return ports in words."""
    return f"ports {', '.join(map(str, ports))}" if ports else "nobody yet"


class Deployment:
    """The pairs that daemons read, and the ports that have to serve them."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store

    def ask(self, families: Sequence[Family] = (None,)) -> Answers:
        """Return what each port serves to a client of each family of keys, or why it serves none."""
        answers: Answers = {}
        for port in self.settings.ports:
            for family in families:
                number, protocol = port["port"], port.get("protocol")
                address = port.get("address", self.settings.address)
                try:
                    # The certificate itself is compared, so nobody needs to vouch for it.
                    answer: str | tls.TlsError = tls.leaf_of_family(
                        address, number, self.settings.names[0], protocol, family
                    )
                except tls.TlsError as error:
                    answer = error
                answers[number, family] = answer
        return answers

    def prove(self, leaves: Mapping[Family, str], before: Answers) -> str:
        """Return what is wrong with the ports that served one before, once all serve these or the time is over.

        A port goes on with each family of keys that it served and the host still has. None has to begin with another one,
        but what it serves has to be the right one. A daemon with `one_key` may serve any of the host's.
        """
        families = list(dict.fromkeys(family for _port, family in before))
        one_key = {port["port"] for port in self.settings.ports if port.get("one_key")}
        end = time.monotonic() + PROVE_SECONDS
        while True:
            wrong, answers = [], self.ask(families)
            for port in up(before):
                needed = [family for family in leaves if isinstance(before[port, family], str)] or list(leaves)
                if port in one_key and any(isinstance(answers[port, family], str) for family in leaves):
                    needed = []
                for family in families:
                    answer, to = answers[port, family], f" for {family}" if family else ""
                    if isinstance(answer, str) and answer != leaves.get(family):
                        wrong.append(f"port {port} serves another one{to}")
                    elif not isinstance(answer, str) and family in needed:
                        wrong.append(f"port {port} serves none{to}: {answer}")
            if not wrong or time.monotonic() > end:
                return "; ".join(wrong)
            time.sleep(0.5)

    def _place(self, contents: Sequence[Content], same_keys: bool) -> None:
        if same_keys:
            for pair, content in zip(self.store.pairs(), contents, strict=True):
                pair.write_chain(content.chain)
        else:
            self.store.swap(contents)

    def deploy(self, new: Sequence[Content], old: Sequence[Content] = ()) -> list[int]:
        """Put all chains and keys in place, and have them served; else the old ones go back, and are served again.

        Returns the ports that serve them.
        """
        old = old or self.store.contents()
        same_keys = [content.key for content in old] == [content.key for content in new]
        leaves: dict[Family, str] = {content.family: look(content.chain).digest for content in new}
        families: list[Family] = list(dict.fromkeys([*(content.family for content in old), *leaves]))
        if len(families) == 1:
            families, leaves = [None], {None: look(new[0].chain).digest}
        # A daemon that is down has to be started by somebody who knows why it is down.
        before = self.ask(families)
        self._place(new, same_keys)
        try:
            hooks()
            if wrong := self.prove(leaves, before):
                raise Refused(f"after the reload {wrong}")
        except Refused as error:
            back = self._go_back(old, same_keys)
            raise Refused(f"the new one was not deployed, since {error}; {back}") from error
        if self.settings.is_acme:
            # One that stays as it was is not of the authority by that alone.
            known = self.store.issued()
            digests = [(content, digest(content.chain)) for content in new]
            self.store.note_issued([its for content, its in digests if content not in old or its in known])
        return up(before)

    def _go_back(self, old: Sequence[Content], same_keys: bool) -> str:
        """Put the old ones in place again, and return whether the daemons serve them."""
        self._place(old, same_keys)
        try:
            hooks()
        except Refused as error:
            return f"the old one is in place again, but the daemons do not reload: {error}"
        return "the old one is in place again"
