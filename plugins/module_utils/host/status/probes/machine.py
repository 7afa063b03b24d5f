# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of the machine: its release, its updates, its reboots, and who reaches its database."""

from __future__ import annotations

import datetime
import glob
import os
import re
import socket
import stat
import time
from typing import Any

from ... import files, words
from .base import Broken, Subject, Unknown, Weakened, probe

OS_RELEASE = "/etc/os-release"
# The end of the long-term support of each release (https://wiki.debian.org/LTS).
SUPPORT = {"12": datetime.date(2028, 6, 30), "13": datetime.date(2030, 6, 30)}
UPDATES_CONFIG = "/etc/xmpp/updates.json"
UPDATES_DAYS = 2
LISTENING = ("/proc/net/tcp", "/proc/net/tcp6")
# By the kernel's number of a state.
LISTEN = "0A"
# What databases listen on.
DATABASES = {5432: "PostgreSQL", 3306: "MySQL", 6379: "Redis", 27017: "MongoDB"}
SQLITE = "/var/lib/prosody/*.sqlite"


def release() -> dict[str, str]:
    """Return what the system says of itself, as os-release(5) has it."""
    found = dict(line.partition("=")[::2] for line in files.read_text(OS_RELEASE).splitlines())
    return {key: value.strip('"') for key, value in found.items()}


@probe("debian", outside=False, whole=True)
def debian(_subject: Subject, _argument: str) -> str:
    """Read the release."""
    found = release()
    name = found.get("PRETTY_NAME") or found.get("ID") or "nothing"
    if found.get("ID") != "debian":
        raise Broken(f"{OS_RELEASE} says {name}")
    end = SUPPORT.get(found.get("VERSION_ID", ""))
    if end and datetime.datetime.now(datetime.UTC).date() > end:
        raise Broken(f"{name} has had no security updates since {end}")
    return name


def updates_state(subject: Subject) -> dict[str, Any]:
    """Return what xmpp-updates has noted."""
    path = subject.config.get("updates")
    if not path or not os.path.exists(path):
        raise Unknown("xmpp-updates has not run yet")
    state = files.read_json(path, {})
    return state if isinstance(state, dict) else {}


@probe("updates", outside=False, whole=True)
def updates(subject: Subject, _argument: str) -> str:
    """See that updates are looked for, and installed."""
    state = updates_state(subject)
    problems = state.get("problems", {})
    for kind in ("lists", "upgrade", "overdue"):
        if kind in problems:
            raise Broken(problems[kind].splitlines()[0])
    refreshed = state.get("refreshed") or 0
    if not refreshed:
        raise Unknown("no package lists have been fetched yet")
    old = time.time() - refreshed
    if old > UPDATES_DAYS * 86400:
        raise Broken(f"the package lists are of {words.age(old)} ago")
    waiting = (state.get("upgrade") or {}).get("security") or []
    if waiting:
        return f"{words.count(len(waiting), 'security update', 'wait')} for the next window"
    return f"none waits, by package lists of {words.age(old)} ago"


@probe("reboots", outside=False, whole=True)
def reboots(subject: Subject, _argument: str) -> str:
    """See that windows are set, and that no reboot has failed or was made outside of them."""
    state = updates_state(subject)
    config = files.read_json(UPDATES_CONFIG, {})
    if not config.get("windows"):
        raise Broken(f"{UPDATES_CONFIG} has no windows")
    problems = state.get("problems", {})
    for kind in ("reboot", "survived"):
        if kind in problems:
            raise Broken(problems[kind].splitlines()[0])
    if not config.get("announce_minutes"):
        raise Weakened("reboots are not announced")
    rebooted = state.get("rebooted")
    return f"in windows; the last one for an update was {words.utc(rebooted) if rebooted else 'never'}"


def listening() -> set[tuple[str, int]]:
    """Return addresses and TCP ports on which something listens."""
    found = set()
    for path in LISTENING:
        for line in files.read_text(path).splitlines()[1:]:
            fields = line.split()
            if fields[3] != LISTEN:
                continue
            packed, _, port = fields[1].partition(":")
            # Words of 32 bits, each in the order of the machine.
            raw = b"".join(bytes.fromhex(packed[at : at + 8])[::-1] for at in range(0, len(packed), 8))
            family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
            found.add((socket.inet_ntop(family, raw), int(port, 16)))
    return found


def is_loopback(address: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    return address == "::1" or bool(re.match(r"(::ffff:)?127\.", address))


@probe("private_database", outside=False, whole=True)
def private_database(_subject: Subject, _argument: str) -> str:
    """See that no database listens on an address that others reach, and that nobody else reads its files."""
    for address, port in sorted(listening()):
        if port in DATABASES and not is_loopback(address):
            raise Broken(f"{DATABASES[port]} listens on {address}, port {port}")
    for path in glob.glob(SQLITE):
        mode = os.stat(path).st_mode
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            raise Broken(f"{path} is for everybody: mode {stat.S_IMODE(mode):04o}")
    return "no database listens for others"
