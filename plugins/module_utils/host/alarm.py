# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give an alarm, or say that it is over."""

from __future__ import annotations

import os
import sys

from .commands import CommandError, run

PROGRAM = "/usr/local/sbin/xmpp-alarm"


def _tell(words: list[str], text: str) -> None:
    # A host without role alarms has nobody to tell.
    if os.path.exists(PROGRAM):
        try:
            run([PROGRAM, *words], stdin=text)
        except CommandError as error:
            print(error, file=sys.stderr)


def give(subject: str, text: str) -> None:
    """Give an alarm. It never fails: what keeps it from being given is on standard error."""
    _tell([subject], text.rstrip("\n") + "\n")


def end(subject: str) -> None:
    """Say that an alarm is over; nothing happens where there was none of this subject."""
    _tell(["--over", subject], "")
