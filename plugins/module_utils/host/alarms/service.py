# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service behind the socket: it takes alarms, remembers those that are not over, and tells the administrators."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import struct
import syslog
import time
from typing import Any

from .. import files
from ..commands import CommandError, run
from . import tell
from .give import TEXT_BYTES, Request, note
from .register import Notice, Register, objection

STATE = "/var/lib/xmpp-alarm/alarms.json"
QUEUE = "/var/lib/xmpp-alarm/queue.json"
# The alarm of the service itself.
KEEPING = "alarms cannot be kept on disk"
MOST_WAITING = 100
# Seconds between two attempts, and looks at units; seconds without work until the service ends.
PAUSE = 15.0
IDLE = 10.0
QUEUED = {"id", "time", "subject", "text", "mail", "jids"}


def read(path: str, empty: Any) -> Any:
    """Return what was kept, and of what is broken, nothing: an alarm must not fail because of a former one."""
    try:
        kept = files.read_json(path, empty)
    except (OSError, ValueError) as error:
        note(f"{path} is broken, and begun anew: {error}", syslog.LOG_ERR)
        return empty
    if type(kept) is not type(empty):
        note(f"{path} is broken, and begun anew: it holds no {type(empty).__name__}", syslog.LOG_ERR)
        return empty
    return kept


def has_failed(unit: str) -> bool:
    """Tell whether a unit has not come back: it is neither up nor, where it ends by itself, has ended well."""
    try:
        said = run(["systemctl", "show", "--property=ActiveState,Result", "--", unit], seconds=30)
    except CommandError:
        return True
    shown = dict(line.partition("=")[::2] for line in said.splitlines())
    return shown.get("ActiveState") in (None, "failed", "activating", "deactivating") or (
        shown.get("ActiveState") == "inactive" and shown.get("Result") != "success"
    )


def giver_of(connection: socket.socket) -> str | None:
    """Return the user who gives an alarm, by what the kernel says; None for root."""
    _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid in (0, os.geteuid()):
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


class Service:
    """Takes alarms at a socket and tells them, until there is nothing to do."""

    def __init__(self, listener: socket.socket, config: dict[str, Any]) -> None:
        self.listener, self.config = listener, config
        self.register = Register.from_json(read(STATE, {}), config["repeat_hours"] * 3600)
        self.queue = [item for item in read(QUEUE, []) if isinstance(item, dict) and set(item) >= QUEUED]
        # By user: when it gave alarms.
        self.given: dict[str, list[float]] = {}
        self.kept = True
        self.looked = 0.0

    @property
    def waiting(self) -> bool:
        """Whether there is something to come back to."""
        return bool(self.queue) or not self.kept or self.register.has_units

    def accept(self) -> tuple[bool, Request | None]:
        """Return whether somebody came before the time was over, and what was given, if that is an alarm."""
        self.listener.settimeout(PAUSE if self.waiting else IDLE)
        try:
            connection, _address = self.listener.accept()
        except TimeoutError:
            return False, None
        data = b""
        with connection:
            giver = giver_of(connection)
            connection.settimeout(5)
            with contextlib.suppress(OSError):
                while (more := connection.recv(65536)) and len(data) <= 16 * TEXT_BYTES:
                    data += more
        try:
            return True, Request.from_json(data, giver)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            note(f"what was given is no alarm: {error!r}", syslog.LOG_ERR)
            return True, None

    def tell(self, notice: Notice | None) -> None:
        """Queue what is to be told."""
        if notice is None:
            return
        item = {"id": f"alarm-{time.time_ns()}", "time": time.time(), **notice._asdict()}
        self.queue.append({**item, "mail": bool(self.config["mail_to"]), "jids": list(self.config["jids"])})
        del self.queue[:-MOST_WAITING]

    def keep(self) -> None:
        """Write all of it to the disk. Where that cannot be, this process is the memory, and that is an alarm, too."""
        now, known = time.time(), self.register.alarms.get(KEEPING)
        try:
            files.write_json(STATE, self.register.as_json(), mode=0o600)
            files.write_json(QUEUE, self.queue, mode=0o600)
        except OSError as error:
            self.kept = False
            text = (
                f"{STATE}: {error.strerror or error}. Until that is mended, what is not told yet is lost when the machine "
                f"goes down.\nWhat to type: df -h {STATE}; df -i {STATE}; findmnt --target {STATE}"
            )
            if known:
                known.last = now
                self.tell(self.register.again(KEEPING, text, now))
            else:
                note(f"{KEEPING}: {text}", syslog.LOG_ERR)
                self.tell(self.register.take(Request(KEEPING, text), now))
            return
        self.kept = True
        if known:
            self.tell(self.register.take(Request(KEEPING, over=True), now))
            self.keep()

    def take(self, request: Request, now: float) -> None:
        """Take what was given, unless its giver may not give it."""
        if request.giver and (why := objection(request, request.giver, self.register, self.given, now)):
            note(f"not taken of {request.giver}: {request.subject}: {why}", syslog.LOG_WARNING)
        else:
            self.tell(self.register.take(request, now))

    def serve(self) -> None:
        """Take alarms and tell them, until there is nothing to do."""
        said: list[str] = []
        while True:
            waiting = self.waiting
            came, request = self.accept()
            now = time.time()
            if request:
                self.take(request, now)
            if not came and not waiting:
                return
            # A unit that is started again by hand deserves a moment.
            if not came or not 0 <= now - self.looked < PAUSE:
                self.looked = now
                for notice in self.register.look_after(now, has_failed):
                    self.tell(notice)
                for subject in self.register.forget(now):
                    note(f"not given any more, and forgotten: {subject}")
            self.keep()
            problems = tell.deliver(self.config, self.queue)
            if problems and problems != said:
                note("\n".join(f"to be told later: {problem}" for problem in problems), syslog.LOG_WARNING)
            said = problems
            self.keep()
