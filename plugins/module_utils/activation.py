# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from the place of a file: accounts, directories, units, profiles of AppArmor and PAM, kernel settings."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
from collections.abc import Iterable, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import apparmor
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import commands

SYSUSERS = re.compile(r"/etc/sysusers\.d/[^/]+\.conf")
TMPFILES = re.compile(r"/etc/tmpfiles\.d/[^/]+\.conf")
UNITS = re.compile(r"/etc/systemd/system/.")
SETTINGS = re.compile(r"/etc/sysctl\.d/[^/]+\.conf")
PAM = re.compile(r"/usr/share/pam-configs/[^/]+")
PROFILES = re.compile(r"/etc/apparmor\.d/(?:disable/)?([^/]+)")
SYSCTL = "/usr/lib/systemd/systemd-sysctl"
SECONDS = 120


def _there(words: Sequence[str]) -> bool:
    """Whether what one line of sysusers.d(5) asks for is there; what a line of another kind asks for always is."""
    kind, name = words[0].rstrip("!"), words[1]
    if kind == "g":
        grp.getgrnam(name)
    elif kind == "u":
        pwd.getpwnam(name)
    elif kind == "m":
        group = grp.getgrnam(words[2])
        return name in group.gr_mem or pwd.getpwnam(name).pw_gid == group.gr_gid
    return True


def accounts_missing(text: str) -> bool:
    """Whether a host lacks a user, a group or a membership that a file for systemd-sysusers asks for."""
    try:
        lines = [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]
        return not all(map(_there, lines))
    except (KeyError, IndexError, ValueError):
        # Of a line that cannot be read, systemd-sysusers says what is wrong.
        return True


def make_accounts(text: str, run=commands.run) -> None:
    """Makes what is missing. The file need not be in its place yet: other files of its role may belong to its groups.

    Raises CommandError.
    """
    run(("systemd-sysusers", "-"), stdin=text, seconds=SECONDS)


def activate(
    placed: Iterable[str],
    removed: Iterable[str],
    run=commands.run,
    running: str = "/run/systemd/system",
    load=apparmor.apply,
    contained=apparmor.in_container,
) -> None:
    """Has the host use the files that were placed and forget those that were removed. Raises CommandError."""
    placed, removed = [*placed], [*removed]
    # A daemon that runs is confined from its next start on, so that profiles come before any.
    for name in sorted({found[1] for path in placed + removed if (found := PROFILES.fullmatch(path))}):
        load(name)
    if directories := sorted(filter(TMPFILES.fullmatch, placed)):
        run(("systemd-tmpfiles", "--create", *directories), seconds=SECONDS)
    # A host that is not booted has no units.
    if any(map(UNITS.match, placed + removed)) and os.path.isdir(running):
        run(("systemctl", "daemon-reload"), seconds=SECONDS)
    # All of them, since a file that comes later in their order has the last word.
    if any(map(SETTINGS.fullmatch, placed)):
        run((SYSCTL, *(["--prefix=net"] if contained() else [])), seconds=SECONDS)
    # It keeps its hands off files that were changed by hand, and says so.
    if any(map(PAM.fullmatch, placed + removed)):
        run(("pam-auth-update", "--package"), seconds=SECONDS)
