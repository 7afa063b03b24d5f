# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell the administrators, by mail and by XMPP message."""

from __future__ import annotations

import email.message
import email.utils
import json
import syslog
from typing import Any

from .. import prosody
from ..commands import CommandError, attempt
from .give import note

SENDMAIL = "/usr/sbin/sendmail"
# A message of XMPP is read on a telephone: it has the end, and the mail and the journal all of it.
# Prosody's shell hangs up on a command of 16 KiB, and each character takes four bytes there, or more.
MESSAGE_BYTES = 12000

# Prosody may not know the account of an administrator (yet): it is said, and not tried for ever.
PROGRAM = r"""
local a = require "util.json".decode(ARGUMENTS);
local st, jid = require "util.stanza", require "util.jid";
local host = prosody.hosts[a.domain];
if not host then return "absent"; end
local user, at = jid.split(a.jid);
local theirs = prosody.hosts[at];
if theirs and theirs.type == "local" and not require "core.usermanager".user_exists(user, at) then return "unknown"; end
prosody.core_post_stanza(host, st.message({ from = a.domain, to = a.jid, type = "chat", id = a.id }, a.body));
return "sent";
"""


class Failed(Exception):
    """Something cannot be told now, and why."""


def send_mail(config: dict[str, Any], item: dict[str, Any]) -> None:
    """Hand a mail to nullmailer's queue."""
    message = email.message.EmailMessage()
    message["From"] = config["mail_from"]
    message["To"] = ", ".join(config["mail_to"])
    message["Subject"] = f"{config['host']}: {item['subject']}"
    message["Date"] = email.utils.formatdate(item["time"], localtime=True)
    message["Message-ID"] = f"<{item['id']}@{config['host']}>"
    # So that no automatic answer comes (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(item["text"] + "\n", cte="quoted-printable")
    command = [SENDMAIL, "-f", config["mail_from"], "--", *config["mail_to"]]
    try:
        done = attempt(command, stdin=message.as_bytes().decode())
    except CommandError as error:
        raise Failed(f"mail: {error}") from error
    if done.status:
        raise Failed(f"mail: {(done.stderr or done.stdout).strip()}")


def send_message(config: dict[str, Any], item: dict[str, Any], jid: str) -> None:
    """Have Prosody send a message to one administrator."""
    text = item["text"]
    while len(prosody.literal(json.dumps(text, ensure_ascii=False))) > MESSAGE_BYTES:
        text = text[len(text) // 4 :]
    if text != item["text"]:
        text = f"(journalctl -t xmpp-alarm has all of it) …\n{text}"
    body = f"{config['host']}: {item['subject']}\n{text}".strip()
    arguments = {"jid": jid, "domain": config["domain"], "id": item["id"], "body": body}
    try:
        answer = prosody.shell(prosody.program(PROGRAM, arguments))
    except prosody.ProsodyError as error:
        raise Failed(f"XMPP: {error}") from error
    if answer == "unknown":
        note(f"{jid} has no account, so it is not told: {item['subject']}", syslog.LOG_ERR)
    elif answer == "absent":
        raise Failed(f"XMPP: {config['domain']} is no domain of this Prosody")
    elif answer != "sent":
        raise Failed(f"XMPP: {answer}")


def deliver(config: dict[str, Any], queue: list[dict[str, Any]]) -> list[str]:
    """Tell what waits; what cannot be told stays in the queue. Returns why."""
    problems = {}
    for item in list(queue):
        if item["mail"]:
            try:
                send_mail(config, item)
                item["mail"] = False
            except Failed as error:
                problems[str(error)] = True
        for jid in list(item["jids"]):
            try:
                send_message(config, item, jid)
                item["jids"].remove(jid)
            except Failed as error:
                problems[str(error)] = True
                break
        if not item["mail"] and not item["jids"]:
            queue.remove(item)
    return list(problems)
