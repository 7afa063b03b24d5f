# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions to name servers by dig, for modules that run where Debian's dnspython is not: before packages are installed, and on
the machine that runs Ansible. Programs on the host ask by host/dns.py."""

from __future__ import annotations

import re

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, attempt

HEADER = re.compile(r"^;; ->>HEADER<<- .* status: (\w+),", re.MULTILINE)
FLAGS = re.compile(r"^;; flags: ([a-z ]*);", re.MULTILINE)
# CLASS1 is IN where dig was asked for the form of unknown types (RFC 3597).
QUESTION = re.compile(r"^;(\S+)\s+(?:IN|CLASS1)\s+(\w+)\s*$", re.MULTILINE)
RECORD = re.compile(r"^(\S+)\s+\d+\s+(?:IN|CLASS1)\s+(\w+)\s+(.*?)\s*$")


class DigError(Exception):
    """dig cannot be run."""


def name(text):
    """A name without its final dot, in lower case; the root is a dot."""
    return text.lower().rstrip(".") or "."


def read_answers(output):
    """Returns what dig printed: name and type that was asked for, to status, flags and records."""
    answers = {}
    for part in re.split(r"^;; Got answer:$", output, flags=re.MULTILINE)[1:]:
        status, flags, question = HEADER.search(part), FLAGS.search(part), QUESTION.search(part)
        if not status or not question:
            continue
        answers[name(question[1]), question[2]] = {
            "status": status[1],
            "flags": flags[1].split() if flags else [],
            "records": [
                (name(found[1]), found[2], found[3])
                for found in map(RECORD.match, part.splitlines())
                if found and not found[0].startswith(";")
            ],
        }
    return answers


def ask(questions, *options, server=None, timeout=2):
    """Asks by dig, one after the other; who does not answer is not in what is returned."""
    # -r, because ~/.digrc may say anything.
    command = ["dig", "-r", *([f"@{server}"] if server else [])]
    command += ["+noall", "+comments", "+question", "+answer", "+authority", f"+time={timeout}", "+tries=2", *options]
    lines = "".join(
        # dig may know a type by a name that we do not.
        f"{owner.rstrip('.')}. {kind}{' +unknownformat' if kind.startswith('TYPE') else ''}\n"
        for owner, kind in questions
    )
    try:
        done = attempt([*command, "-f", "/dev/stdin"], stdin=lines, seconds=None)
    except CommandError as error:
        raise DigError(f"{error}; install the package bind9-dnsutils") from error
    return read_answers(done.stdout)
