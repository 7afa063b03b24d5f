# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New rules of the firewall on trial."""

from __future__ import annotations

import os
import sys

from .. import commands, files
from .base import Refused, Trial

MINIMAL = "/etc/nftables-minimal.conf"
STATE = "/var/lib/firewall-trial"


def nft(*words: str) -> bool:
    """Run nft, and tell whoever called us what it says; returns whether it did what it was asked for."""
    done = commands.attempt(["nft", *words])
    if done.said:
        print(done.said, file=sys.stderr)
    return not done.status


class Firewall(Trial):
    """The rules in /etc/nftables.conf."""

    name = "firewall-trial"
    live = "/etc/nftables.conf"
    begun = "new rules are loaded; unless they are kept within {seconds} s, the old ones come back"
    kept = "the new rules stay"
    gone = "there is no trial: the old rules have come back already"
    undone = "the new rules were not kept in time; the old ones are back, the refused ones in {refused}"
    old = f"{STATE}/old"

    def prepare(self) -> bool:
        os.makedirs(STATE, 0o700, exist_ok=True)
        # A trial that is still going on has the rules to go back to.
        if os.path.exists(self.path("trial")):
            return True
        if os.path.exists(f"{STATE}/kept"):
            self.put(f"{STATE}/kept", self.old)
        else:
            listed = commands.attempt(["nft", "-s", "list", "table", "inet", "filter"]).stdout
            head = "#!/usr/sbin/nft -f\ntable inet filter\ndelete table inet filter\n"
            files.replace(self.old, head + listed, mode=self.mode)
        # A user in them may be gone, for example.
        if not nft("-c", "-f", self.old):
            self.say(
                f"the rules in force cannot be loaded again; unless the new ones are kept, those of {MINIMAL} come"
            )
            self.put(MINIMAL, self.old)
            if not nft("-c", "-f", self.old):
                self.say(f"{MINIMAL} cannot be loaded either, so no trial begins")
                raise Refused
        return True

    def apply(self) -> None:
        self.put(self.old, self.live)
        if not nft("-f", self.path("trial")):
            self.give_up()
            raise Refused

    def keep(self) -> None:
        super().keep()
        self.put(self.path("kept"), f"{STATE}/kept")

    def go_back(self) -> str:
        # What the old ones name may have gone meanwhile.
        if nft("-f", self.old):
            return self.undone
        nft("-f", MINIMAL)
        return f"the new rules were not kept in time, and the old ones are refused; those of {MINIMAL} are loaded"


def status() -> str:
    """Return what is wrong with the rules that are loaded, and with those of the next boot; nothing where all is well."""
    if commands.attempt(["nft", "list", "table", "inet", "filter"]).status:
        return "no rules are loaded: the firewall is open"
    if not nft("-c", "-f", Firewall.live):
        return f"{Firewall.live} is refused: after the next boot only the rules of {MINIMAL} are loaded"
    # Only the full rules count what they drop.
    if commands.attempt(["nft", "list", "counter", "inet", "filter", "drop_rest"]).status:
        return f"only the rules of {MINIMAL} are loaded: nothing but ssh is let in; systemctl restart nftables"
    return ""
