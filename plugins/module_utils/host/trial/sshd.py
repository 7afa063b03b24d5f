# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new configuration of the ssh server on trial."""

from __future__ import annotations

import glob
import os
import re
import time

from .. import commands, files
from .base import Trial


def reload() -> None:
    """Have sshd read its configuration, and wait for it: systemd does not. sshd writes its number when it has."""
    found = re.search(r"^pidfile (.+)$", commands.run(["/usr/sbin/sshd", "-T"]), re.MULTILINE)
    number = found[1] if found else ""
    if number:
        files.remove(number)
    commands.run(["systemctl", "reload-or-restart", "ssh.service"], seconds=600)
    end = time.monotonic() + 60
    while number and not os.path.exists(number) and time.monotonic() < end:
        time.sleep(0.1)


class Sshd(Trial):
    """The file of role hardening. It holds the new text for the moment in which sshd reads it."""

    name = "sshd-trial"
    live = "/etc/ssh/sshd_config.d/00-hardening.conf"
    mode = 0o600
    begun = "sshd has its new configuration; unless it is kept within {seconds} s, the former one comes back"
    kept = "the new configuration stays"
    gone = "there is no trial: the former configuration has come back already"
    undone = "the new configuration was not kept in time; the former one is back, the refused one in {refused}"

    def prepare(self) -> bool:
        # config_tree keeps the former file beside a new one, or a second name of it where there was none before.
        folder, name = os.path.split(self.live)
        beside = sorted(glob.glob(f"{folder}/.{name}.*~"))
        if not beside:
            return False
        files.remove(self.path("former"))
        if beside[0].endswith(".old~"):
            self.put(beside[0], self.path("former"))
        return True

    def _put_former(self) -> None:
        if os.path.exists(self.path("former")):
            self.put(self.path("former"), self.live)
        else:
            files.remove(self.live)

    def apply(self) -> None:
        reload()
        self._put_former()

    def go_back(self) -> str:
        # It is there already, unless the start was killed.
        self._put_former()
        reload()
        return self.undone
