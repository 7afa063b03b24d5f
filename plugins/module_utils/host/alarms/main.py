# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the administrators of this host what is wrong.

  xmpp-alarm SUBJECT          there is an alarm; what there is to say of it is read from standard input
  xmpp-alarm --over SUBJECT   it is over; nothing happens where there was no such alarm
  xmpp-alarm --unit UNIT      a unit of systemd has failed; it is looked after until it runs again
  xmpp-alarm --list           the alarms that are not over

Each is written to the journal. An alarm is told once, then daily while it goes on, and when it is over: by mail, and
by XMPP message. What cannot be told is told later. Whoever gives an alarm does not wait and never fails. A disk that is
full, or may only be read, is no reason not to tell: then alarms are kept in memory, and that is told, too.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Sequence

from . import service
from .give import Request, failed_unit, give, subject_of, text_of
from .register import Register

CONFIG = "/etc/xmpp/alarm.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run xmpp-alarm, and return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--deliver"]:
        with open(CONFIG, encoding="utf-8") as stream:
            config = json.load(stream)
        # The socket that systemd has opened (sd_listen_fds(3)).
        service.Service(socket.socket(fileno=3), config).serve()
        return 0
    if given == ["--list"]:
        register = Register.from_json(service.read(service.STATE, {}))
        for subject, known in sorted(register.alarms.items(), key=lambda item: item[1].since):
            begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(known.since))
            print(f"{begun}  {known.count:4}  {subject}")
        return 0
    if len(given) == 2 and given[0] == "--unit":
        give(failed_unit(given[1]))
        return 0
    over = given[:1] == ["--over"]
    words = given[1:] if over else given
    if len(words) != 1 or words[0] in ("-h", "--help"):
        print(__doc__, file=sys.stderr)
        return 2
    text = "" if over or sys.stdin.isatty() else text_of(sys.stdin.buffer.read())
    give(Request(subject_of(words[0]), text, over))
    return 0
