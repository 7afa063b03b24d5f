# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give an alarm: leave it in the journal and at the service's socket. It neither waits nor fails."""

from __future__ import annotations

import json
import socket
import syslog
from dataclasses import dataclass
from typing import Any

from ..commands import CommandError, attempt

SOCKET = "/run/xmpp-alarm.socket"
SUBJECT_LENGTH = 200
TEXT_BYTES = 65536
JOURNAL_LINES = 50


@dataclass(frozen=True)
class Request:
    """What is given: an alarm, or that it is over.

    `unit` is the unit of systemd that has failed, if it is one; `giver` the user who gives it, None for root.
    """

    subject: str
    text: str = ""
    over: bool = False
    unit: str | None = None
    giver: str | None = None

    def as_json(self) -> bytes:
        """Return it as the socket takes it, without the giver, whom the kernel names."""
        return json.dumps({"subject": self.subject, "text": self.text, "over": self.over, "unit": self.unit}).encode()

    @classmethod
    def from_json(cls, data: bytes, giver: str | None) -> Request:
        """Read what somebody has sent. Raises ValueError, KeyError, TypeError or AttributeError."""
        given: Any = json.loads(data)
        unit = given.get("unit")
        return cls(
            subject_of(str(given["subject"])),
            clean(str(given.get("text", ""))),
            bool(given["over"]),
            subject_of(str(unit)) if unit else None,
            giver,
        )


def clean(text: str) -> str:
    """Return what a journal, a mail and XML can hold: no control characters."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def subject_of(text: str) -> str:
    """Return a subject in one line of limited length."""
    return " ".join(clean(text).split())[:SUBJECT_LENGTH] or "something is wrong"


def text_of(data: bytes) -> str:
    """Return the text that was given; of a longer one the end, where programs say why they ended."""
    text = clean(data.decode("utf-8", "replace").replace("\r\n", "\n")).strip("\n")
    if len(data) > TEXT_BYTES:
        text = "…\n" + text.encode()[-TEXT_BYTES:].decode("utf-8", "ignore")
    return text


def note(text: str, level: int = syslog.LOG_INFO) -> None:
    """Write lines to the journal."""
    syslog.openlog("xmpp-alarm")
    for line in text.splitlines():
        syslog.syslog(level, line)


def give(request: Request) -> None:
    """Leave an alarm in the journal, and at the service's socket."""
    if request.over:
        note(f"over, if it was told: {request.subject}")
    else:
        note("\n".join([request.subject, *request.text.splitlines()[-JOURNAL_LINES:]]), syslog.LOG_ERR)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(SOCKET)
            connection.sendall(request.as_json())
    except OSError as error:
        note(f"this is in the journal only: {SOCKET}: {error.strerror or error}", syslog.LOG_ERR)


def failed_unit(unit: str) -> Request:
    """Return the alarm of a unit that has failed, with its last lines in the journal."""
    command = ["journalctl", f"--unit={unit}", "--lines=30", "--no-pager", "--output=short-iso"]
    try:
        text = text_of(attempt(command, seconds=30).stdout.encode())
    except CommandError as error:
        text = f"The journal cannot be read: {error}"
    return Request(f"{unit} has failed", text, unit=unit)
