# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules for Prosody's community module mod_firewall: what its parser refuses, with all of the file's rules."""

from __future__ import annotations

import re

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks

CHAINS = {"deliver", "deliver_remote", "preroute"}
DEFINITIONS = {"LIST", "PATTERN", "RATE", "SEARCH", "ZONE"}
# Those of Debian 13; Debian 12 lacks FROM COUNTRY, FROM FULL JID and REPORT TO.
CONDITIONS = {
    *(
        "CHECK LIST",
        "COUNT",
        "CROSSING GROUPS",
        "DAY",
        "ENTERING",
        "FROM",
        "FROM ADMIN",
        "FROM ADMIN OF",
        "FROM COUNTRY",
    ),
    *("FROM EXACTLY", "FROM FULL JID", "FROM GROUP", "FROM ROLE", "IN ROSTER", "IN ROSTER GROUP", "INSPECT", "KIND"),
    *("LEAVING", "LIMIT", "MAY", "ORIGIN MARKED", "PAYLOAD", "PENDING SUBSCRIPTION FROM SENDER", "SCAN"),
    *("SENT DIRECTED PRESENCE TO SENDER", "SUBSCRIBED", "TIME", "TO", "TO ADMIN", "TO ADMIN OF", "TO EXACTLY"),
    *("TO FULL JID", "TO GROUP", "TO ROLE", "TO SELF", "TYPE", "USER MARKED"),
}
ACTIONS = {
    *("ADD TO", "BOUNCE", "COPY", "DEFAULT", "DROP", "EVENT", "FORWARD", "INJECT", "JUMP CHAIN", "JUMP EVENT", "LOG"),
    *(
        "MARK ORIGIN",
        "MARK USER",
        "PASS",
        "REDIRECT",
        "REPLY",
        "REPORT TO",
        "RETURN",
        "RULEDEP",
        "STRIP",
        "UNMARK ORIGIN",
    ),
    *("UNMARK USER", "UNSUBSCRIBE SENDER"),
}
_DEFINITION = re.compile(r"%\s*([A-Za-z0-9_]+) +([A-Za-z][A-Za-z0-9_]*) *:.*")


def _known(what, name, names):
    if name not in names:
        raise ValueError(f"{name!r} is not {what}; {checks.nearest(name, names)}")


def _line(line, conditions, chains):
    """Checks a line after some conditions that wait for their action; returns how many wait after it."""
    if not line:
        if conditions:
            raise ValueError("the conditions above have no action; write one below them, for example DROP.")
        return 0
    if not conditions and line.startswith("::"):
        chain = line[2:].strip()
        if not chain.startswith("user/"):
            _known("a chain", chain, chains)
    elif not conditions and line.startswith("%"):
        found = _DEFINITION.fullmatch(line)
        if not found:
            raise ValueError(f"{line!r} is not a definition; write for example '%RATE normal: 2 (burst 10)'")
        _known("a kind of definition", found[1], DEFINITIONS)
    elif not conditions and line.startswith("@@"):
        if not re.fullmatch(r"@@\s*[^\s=]+\s*=\s*.+", line):
            raise ValueError(f"{line!r} is not an assignment; write for example '@@ name = value'")
    elif found := re.match(r"([A-Za-z0-9_ ]+)[.=]", line):
        _known("an action", found[1].upper().replace("_", " "), ACTIONS)
        return 0
    else:
        condition = re.split(r"[:=.?]", line, maxsplit=1)[0]
        _known("a condition", re.sub(r"\bNOT\b", "", condition).strip().replace("_", " "), CONDITIONS)
        return conditions + 1
    return conditions


def script(value, chains=()):
    """A text of rules, whose lines mod_firewall understands."""
    if not isinstance(value, str):
        raise ValueError(
            f"{value!r} is not a text of rules; write for example 'FROM: example.com' and 'DROP.' below it"
        )
    conditions, held, number = 0, "", 0
    for number, given in enumerate(value.split("\n"), 1):
        line = given.strip()
        if any(not character.isprintable() and character != "\t" for character in line):
            raise ValueError(f"line {number}: {line!r} has a control character; write text")
        if line.endswith("\\"):
            held += line[:-1]
            continue
        line, held = held + line, ""
        if line.startswith(("#", ";")):
            continue
        try:
            conditions = _line(line, conditions, CHAINS | set(chains))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    if conditions:
        raise ValueError(f"line {number}: the conditions above have no action; write one below them, for example DROP.")
    return str(value)
