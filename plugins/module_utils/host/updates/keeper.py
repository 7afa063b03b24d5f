# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done in a turn: refresh package lists, upgrade, restart services, reboot, each after a last look at the clock."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..words import count, local
from . import machine, state
from .machine import tail
from .schedule import LEAD, TURN, Need, Schedule, week_profile

ANNOUNCE = "/etc/xmpp/announce.d"
REFRESH = 12 * 3600
# So long after it has failed, or was made without need, nothing is done once more: in the next night, that is.
AGAIN = 20 * 3600
# A reason for a reboot that is back within this time has survived it.
SETTLED = 24 * 3600


def announced_by(names: Sequence[str]) -> list[str]:
    """Return the programs that tell users of some of these services or packages: they have their names."""
    known = {name.removesuffix(".service") for name in names}
    return sorted(known & set(os.listdir(ANNOUNCE))) if os.path.isdir(ANNOUNCE) else []


class Keeper:
    """Keeps one host up to date, by its configuration and what is remembered."""

    def __init__(self, config: dict[str, Any], remembered: state.State) -> None:
        self.config, self.state = config, remembered
        # How long who is connected is told before a reboot.
        self.lead: int = config["announce_minutes"] * 60

    @property
    def schedule(self) -> Schedule:
        """The schedule by what is known now of how busy each hour is."""
        return Schedule(self.config, self.state["profile"])

    # --- what is needed

    def refresh(self, now: float) -> None:
        """Read the package lists anew, and note what follows, and when they have been stale for too long."""
        self.state["tried"] = int(now)
        # Without the mode, apt takes the old lists and says that all is well.
        status, said = machine.run(["apt-get", "update", "-qq", "-o", "APT::Update::Error-Mode=any"], 900)
        if status:
            print(f"The package lists are not to be had:\n{tail(said)}", file=sys.stderr)
            since = self.state["refreshed"] or self.state["begun"]
            if now - since > self.config["stale_days"] * 86400:
                self.state["problems"]["lists"] = (
                    f"the package lists have not been refreshed since {local(since)}; see whether "
                    f"the mirror is there:\n{tail(said)}"
                )
            return
        self.state["refreshed"] = int(now)
        self.state["problems"].pop("lists", None)
        self.look(now)

    def look(self, now: float) -> None:
        """Note what is to be installed, with the time when it was first seen."""
        try:
            names, security = machine.pending()
        except OSError as error:
            self.state["problems"]["upgrade"] = str(error)
            return
        known = self.state["upgrade"]
        since = known["since"] if known and (known["important"] or not security) else int(now)
        found = {"packages": names, "security": security, "important": bool(security), "since": since}
        self.state["upgrade"] = found if names else None

    def note_restarts(self) -> None:
        """Note the services that use something replaced; apart from them those that are left to the next reboot."""
        found = machine.services()
        self.state["deferred"] = sorted(found & set(self.state["deferred"]))
        self.state["restarts"] = sorted(found - set(self.state["deferred"]))

    def note_reboot(self, now: float) -> None:
        """Note whether a reboot is needed, with what was known of it before.

        A reason that is there after a reboot for it is a problem for the operator: another one would not help either.
        """
        known, attempts, this = self.state["reboot"], self.state["attempts"], machine.boot()
        reasons, since = machine.reboot_reasons()
        found = {reason.key: reason for reason in reasons}
        for key, attempt in list(attempts.items()):
            if key not in found and now - attempt["at"] > SETTLED:
                del attempts[key]
        stubborn = [
            key
            for key in found
            if key in attempts and (attempts[key]["boot"] != this or now - attempts[key]["at"] < AGAIN)
        ]
        problems = self.state["problems"]
        if survived := [key for key in stubborn if attempts[key]["boot"] != this]:
            problems["survived"] = "\n".join(
                f"{found[key].text}, though the machine was rebooted for that at {local(attempts[key]['at'])}. It is not "
                f"rebooted for it again.\n{found[key].look}."
                for key in survived
            )
        else:
            problems.pop("survived", None)
        if any(attempts[key]["boot"] == this for key in stubborn):
            problems.setdefault(
                "reboot",
                "the machine was told to reboot, and has not; it is tried again in "
                "a day. Look what holds it: systemctl list-jobs; systemd-inhibit --list",
            )
        else:
            problems.pop("reboot", None)
        self.state["reboot"] = self._need(
            [reason for reason in reasons if reason.key not in stubborn], known, since, now
        )

    @staticmethod
    def _need(reasons: Sequence[machine.Reason], known: Need | None, since: float | None, now: float) -> Need | None:
        """Return the need of a reboot for some reasons, with the time of a known one."""
        if not reasons:
            return None
        why = "; ".join(reason.text for reason in reasons)
        keys = [reason.key for reason in reasons]
        if known and known["why"] == why:
            return known | {"keys": keys}
        important = bool(machine.of_security([name for reason in reasons for name in reason.packages]))
        # What has become important now has not waited as such before.
        kept = known["since"] if known and (known["important"] or not important) else int(since or now)
        return {"why": why, "since": kept, "important": important, "keys": keys}

    def note_overdue(self, now: float) -> None:
        """Note an important matter that has found no moment for twice its deadline."""
        self.state["problems"].pop("overdue", None)
        for what in ("upgrade", "reboot"):
            need = self.state[what]
            if need and need["important"] and now - need["since"] > 2 * self.schedule.deadline + 86400:
                self.state["problems"]["overdue"] = (
                    f"an important {what} has been waiting since {local(need['since'])}; see "
                    "xmpp-updates --explain, and make the windows longer"
                )

    # --- what is done

    def in_vain(self, what: str, names: Sequence[str], now: float) -> bool:
        """Tell whether the same has failed in this window: users are not disturbed for it in every turn."""
        failed = self.state["failed"].get(what)
        return bool(failed) and failed["names"] == names and 0 <= now - failed["at"] < AGAIN

    def note_outcome(self, what: str, names: Sequence[str], error: str | None, now: float) -> None:
        """Note that an upgrade or a restart has failed, or no longer does."""
        if error:
            self.state["problems"][what] = error
            self.state["failed"][what] = {"at": int(now), "names": names}
        else:
            self.state["problems"].pop(what, None)
            self.state["failed"].pop(what, None)

    def maintain(self, now: float) -> None:
        """Install and restart, once in an own turn."""
        need = self.state["upgrade"]
        names = (need or {}).get("packages", [])
        overdue = self.schedule.is_overdue(need, now)

        def still_open() -> bool:
            return self.schedule.is_open(time.time(), overdue)

        self.state["turn"] = int(now // TURN)
        state.save(self.state)
        if machine.dpkg_is_busy():
            print("Packages are being installed by somebody else; nothing is begun in this turn.")
            return
        if (need or now - self.state["upgraded"] > AGAIN) and not self.in_vain("upgrade", names, now):
            self.refresh(now)
            packages = (self.state["upgrade"] or {}).get("packages", [])
            if not self.warned(need, packages, still_open):
                return
            error = machine.upgrade(still_open)
            self.note_outcome("upgrade", packages, error, now)
            if not error:
                self.state["upgraded"] = int(now)
                machine.run(["apt-get", "autoclean", "-qq"], 300)
                self.look(now)
        self.note_restarts()
        services = self.state["restarts"]
        if announced_by(services):
            self.note_reboot(time.time())
            if self.may_reboot() and not machine.backup_runs():
                print(f"The reboot restarts {', '.join(services)}, too.", flush=True)
                return
        if self.in_vain("restart", services, now):
            return
        if services and still_open() and self.warned(need, services, still_open):
            print(f"Restarting what uses something replaced: {', '.join(services)}", flush=True)
            error = machine.restart()
            self.note_outcome("restart", services, error, now)
            if not error:
                self.state["deferred"] = sorted({*services, *self.state["deferred"]})
                self.note_restarts()

    def warned(self, need: Need | None, names: Sequence[str], still_open: Callable[[], bool]) -> bool:
        """Tell users of what is about to be restarted, and give them time; return whether it may still be done then.

        The time is that of the configuration, or what the window and the turn have room for.
        """
        programs, now = announced_by(names), time.time()
        if not programs or not self.lead:
            return True
        leads = range(min(self.lead, LEAD), 0, -60)
        lead = next((lead for lead in leads if self.schedule.permits(need, now + lead)), None)
        if lead is None:
            print(
                f"{', '.join(programs)}: too little of the window or the turn is left to announce a restart.",
                flush=True,
            )
            return False
        print(f"{', '.join(programs)}: a restart comes in {count(lead // 60, 'minute')}.", flush=True)
        self.announce(lead, programs)
        time.sleep(lead)
        if machine.dpkg_is_busy() or not still_open():
            print("Not restarting: meanwhile packages are being installed, or the window is over.", flush=True)
            return False
        return True

    def announce(self, lead: int, programs: Sequence[str] | None = None) -> None:
        """Tell users, by what the roles have left in a folder for it: all of it, or some."""
        if not os.path.isdir(ANNOUNCE):
            return
        minutes = lead // 60
        # So that a text in English, as most are, says "1 minute".
        text = self.config["announcement"].replace("{minutes} minutes", count(minutes, "minute"))
        machine.announce(ANNOUNCE, text.replace("{minutes}", str(minutes)), programs)

    def may_reboot(self) -> bool:
        """Tell whether a reboot is needed, and permitted once the announcement has had its time."""
        need = self.state["reboot"]
        return bool(need) and self.schedule.permits(need, time.time() + self.lead)

    def reboot(self, dry_run: bool) -> None:
        """Reboot, if it is needed and permitted, and nothing is under way that it would end."""
        if not self.may_reboot():
            return
        # Once more, of the machine itself: what was noted may be over.
        self.note_reboot(time.time())
        need = self.state["reboot"]
        if not need:
            return
        if machine.backup_runs():
            print("A reboot is needed, but a backup is being made.")
            return
        if machine.dpkg_is_busy():
            print("A reboot is needed, but packages are being installed.")
            return
        minutes = count(self.config["announce_minutes"], "minute")
        print(f"A reboot is needed: {need['why']}. It comes in {minutes}.", flush=True)
        if dry_run:
            return
        if self.lead:
            self.announce(self.lead)
            time.sleep(self.lead)
        busy = machine.dpkg_is_busy() or machine.backup_runs()
        if busy or not self.schedule.permits(need, time.time()):
            print(
                "Not rebooting: meanwhile packages are being installed or a backup is being made, or the window or the turn "
                "is over.",
                flush=True,
            )
            return
        # The boot that follows looks whether the reasons are gone.
        attempt = {"at": int(time.time()), "boot": machine.boot()}
        attempts = self.state["attempts"] | dict.fromkeys(need["keys"], attempt)
        self.state |= {"rebooted": attempt["at"], "reboot": None, "attempts": attempts}
        # Without that memory, it would come in every turn.
        state.save(self.state)
        print(f"Rebooting: {need['why']}", flush=True)
        status, said = machine.run(["/usr/bin/systemctl", "reboot"])
        if status:
            self.state["problems"]["reboot"] = f"systemctl reboot ended with {status}: {tail(said)}"

    def tick(self, dry_run: bool = False) -> None:
        """Do what the timer asks for."""
        now = time.time()
        turn = self.schedule.permits(self.state["upgrade"], now) and self.state["turn"] != now // TURN
        if now - self.state["tried"] >= REFRESH:
            self.refresh(now)
            self.state["profile"] = week_profile(machine.sessions(now))
            self.note_reboot(now)
            self.note_restarts()
        if turn and not dry_run:
            self.maintain(now)
        if turn or os.path.exists(machine.REQUIRED) or self.state["reboot"] or self.state["attempts"]:
            self.note_reboot(now)
        late = any(self.schedule.is_overdue(self.state[what], now) for what in ("upgrade", "reboot"))
        self.state["window"] = self.schedule.next_window(late, now)
        self.note_overdue(now)
        state.tell(self.state)
        self.state["checked"] = int(now)
        state.save(self.state)
        self.reboot(dry_run)
        state.save(self.state)
