# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host, the mail server, and the administrator who reads mails and messages."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage

import pytest
import slixmpp
import yaml
from hosts import CA, TOP, Host

SCENARIO = TOP / "molecule/alarms"
HOSTS = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]["hosts"]
NAME = "hazel.nut.test"
ADMIN = HOSTS[NAME]["xmpp_admins"][0]
SECONDS = 120
# An alarm that was told is not told again: each run has its own.
RUN = secrets.token_hex(3)
LOOP = asyncio.new_event_loop()
asyncio.set_event_loop(LOOP)


class Reader(slixmpp.ClientXMPP):
    """A client that logs in, takes what was kept for it, and leaves."""

    def __init__(self, password: str):
        super().__init__(ADMIN, password, sasl_mech="SCRAM-SHA-1")
        self.ca_certs = CA
        self.enable_direct_tls = False
        self.bodies: list[str] = []
        self.add_event_handler("message", lambda message: self.bodies.append(message["body"]))
        self.add_event_handler("session_start", self.start)

    async def start(self, _event) -> None:
        self.send_presence()
        await self.get_roster()
        self.disconnect(wait=2)


async def read_messages(password: str) -> list[str]:
    reader = Reader(password)
    reader.connect(HOSTS[NAME]["ansible_host"], 5222)
    # Where Prosody is away, there is nobody to be disconnected by.
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(reader.disconnected, 10)
    reader.abort()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return reader.bodies


@dataclass
class Administrator:
    """Reads what has come by mail and by XMPP since the last look."""

    sink: Host
    password: str
    mails: list[EmailMessage] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def look(self) -> None:
        kept = self.sink.out(
            "sh -c 'cd /var/lib/mail-sink && for f in *.json; do [ -e $f ] && cat $f && echo && rm $f; done; true'"
        )
        for line in kept.splitlines():
            mail = json.loads(line)
            message = email.message_from_string(mail["data"], policy=email.policy.default)
            message["X-To"], message["X-Port"] = ", ".join(mail["to"]), str(mail["port"])
            self.mails.append(message)
        self.messages += LOOP.run_until_complete(read_messages(self.password))

    def subjects(self) -> list[str]:
        return [mail["Subject"].removeprefix(f"{NAME}: ") for mail in self.mails]

    def heads(self) -> list[str]:
        return [body.partition("\n")[0].removeprefix(f"{NAME}: ") for body in self.messages]

    def forget(self) -> None:
        self.look()
        self.mails.clear()
        self.messages.clear()

    def wait(self, subject: str, *, mail: bool = True, message: bool = True, seconds: float = SECONDS) -> str:
        """Wait until an alarm has come by all ways that are asked for, and return its text."""
        end = time.monotonic() + seconds
        while True:
            self.look()
            if (not mail or subject in self.subjects()) and (not message or subject in self.heads()):
                break
            assert time.monotonic() < end, (
                f"{subject!r} has not come: {self.subjects()} by mail, {self.heads()} by XMPP"
            )
            time.sleep(1)
        print(f"{subject!r}: {self.subjects().count(subject)} mails, {self.heads().count(subject)} messages")
        if mail:
            return self.mails[self.subjects().index(subject)].get_content()
        return self.messages[self.heads().index(subject)]


@pytest.fixture(scope="session")
def hazel() -> Host:
    return Host(HOSTS[NAME]["ansible_host"])


@pytest.fixture(scope="session")
def sink() -> Host:
    return Host(HOSTS["mail.test"]["ansible_host"])


@pytest.fixture(scope="session")
def inbox(hazel: Host, sink: Host) -> Administrator:
    password = secrets.token_urlsafe(18)
    # What a former run has left is not told again.
    hazel.run(f"prosodyctl deluser {ADMIN}; systemctl stop xmpp-alarm.service; rm -f /var/lib/xmpp-alarm/*.json")
    hazel.out(f"prosodyctl adduser {ADMIN}", stdin=f"{password}\n" * 2)
    return Administrator(sink, password)


@pytest.fixture
def admin(inbox: Administrator) -> Administrator:
    inbox.forget()
    return inbox


@pytest.fixture(scope="session")
def give(hazel: Host) -> Callable[..., None]:
    def run(*arguments: str, text: str = "") -> None:
        words = " ".join(f"'{word}'" for word in arguments)
        hazel.out(f"xmpp-alarm {words}", stdin=text)

    return run
