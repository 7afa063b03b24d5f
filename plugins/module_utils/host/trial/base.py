# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One trial: apply, wait for the operator's confirmation, or go back."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod

from .. import commands, files


class Refused(Exception):
    """No trial has begun, or there is none."""


class Trial(ABC):
    """A file that a daemon or the kernel reads, whose new text could lock the operator out.

    The live file holds the former text during the trial, so that a host which reboots meanwhile boots with it. Of a trial
    nothing is left after a reboot: its folder is in /run. There, the new text is trial, and kept or refused afterwards.
    """

    name: str
    live: str
    mode = 0o644
    # What the journal says at each step; {seconds}, and {refused} for the file with the refused text.
    begun: str
    kept: str
    gone: str
    undone: str

    def __init__(self, program: str) -> None:
        self.program = program
        self.folder = f"/run/{self.name}"
        self.timer = f"{self.name}-rollback"

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def say(self, text: str) -> None:
        """Tell whoever called us, and the journal. Where standard error is the journal, systemd has set JOURNAL_STREAM."""
        print(text, file=sys.stderr, flush=True)
        if not os.environ.get("JOURNAL_STREAM"):
            commands.attempt(["logger", "-t", self.name, "--", text])

    def put(self, source: str, target: str) -> None:
        """Copy a file: its target has the old text or the new one."""
        with open(source, "rb") as stream:
            files.replace(target, stream.read(), mode=self.mode)

    @abstractmethod
    def prepare(self) -> bool:
        """Note what to go back to. False: nothing has changed, so there is nothing to try. Raises Refused."""

    @abstractmethod
    def apply(self) -> None:
        """Bring the new text into force, and the former one back into the live file. Raises Refused."""

    @abstractmethod
    def go_back(self) -> str:
        """Bring the former text into force; returns what is to be said of it."""

    def _disarm(self) -> None:
        commands.attempt(["systemctl", "stop", f"{self.timer}.timer"])
        commands.attempt(["systemctl", "reset-failed", f"{self.timer}.service"])

    def _arm(self, seconds: int) -> None:
        self._disarm()
        options = ["--quiet", "--collect", f"--unit={self.timer}", f"--on-active={seconds}"]
        commands.run(["systemd-run", *options, "--timer-property=AccuracySec=100ms", self.program, "rollback"])

    def _end(self, name: str) -> bool:
        """End the trial, if there is one: of two that end it at the same moment, whoever moves the file has won."""
        try:
            os.rename(self.path("trial"), self.path(name))
        except FileNotFoundError:
            return False
        return True

    def start(self, seconds: int) -> None:
        """Apply the new text; go back after so many seconds."""
        os.makedirs(self.folder, 0o700, exist_ok=True)
        if not self.prepare():
            return
        self._arm(seconds)
        self.put(self.live, self.path("trial"))
        self.apply()
        self.say(self.begun.format(seconds=seconds))

    def keep(self) -> None:
        """End the trial: the new text stays, now and at boot."""
        if not self._end("kept"):
            self.say(self.gone)
            raise Refused
        self._disarm()
        self.put(self.path("kept"), self.live)
        self.say(self.kept)

    def rollback(self) -> None:
        """End the trial: go back. Nothing happens where there is none."""
        if self._end("refused"):
            self.say(self.go_back().format(refused=self.path("refused")))

    def give_up(self) -> None:
        """The new text cannot be applied: there is nothing to wait for."""
        self._disarm()
        files.remove(self.path("trial"))
