# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies for a trial what could lock the operator out. Unless it is kept in time, the former state comes back.

  firewall-trial, sshd-trial
    start SECONDS   load /etc/nftables.conf, or have sshd read its new configuration; go back after SECONDS
    keep            end the trial: what is new stays, now and at boot
    rollback        end the trial: go back
  firewall-trial
    status          tell whether all rules are loaded, and would be at the next boot

The files hold what is former during the trial: a host that reboots meanwhile boots with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .. import commands
from . import firewall, sshd
from .base import Refused, Trial

TRIALS: dict[str, type[Trial]] = {kind.name: kind for kind in (firewall.Firewall, sshd.Sshd)}


def main(arguments: Sequence[str] | None = None, program: str | None = None) -> int:
    """Run a trial's program, which is called by the trial's name, and return its exit status."""
    program = os.path.abspath(sys.argv[0] if program is None else program)
    given = list(sys.argv[1:] if arguments is None else arguments)
    trial = TRIALS[os.path.basename(program)](program)
    try:
        if given[:1] == ["start"] and len(given) == 2 and given[1].isascii() and given[1].isdigit():
            trial.start(int(given[1]))
        elif given == ["keep"]:
            trial.keep()
        elif given == ["rollback"]:
            trial.rollback()
        elif given == ["status"] and isinstance(trial, firewall.Firewall):
            if wrong := firewall.status():
                print(wrong, file=sys.stderr)
                return 1
            print("all rules are loaded")
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except Refused:
        return 1
    except (commands.CommandError, OSError) as error:
        trial.say(str(error))
        return 1
    return 0
