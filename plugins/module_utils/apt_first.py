# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first packages of a host that lacks python3-apt.

ansible.builtin.apt would install python3-apt by itself, in a transaction of its own, read all lists again and begin anew.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, attempt

BINDINGS = "/usr/lib/python3/dist-packages/apt"
POLICY = "/usr/sbin/policy-rc.d"
# After apt it restarts what uses an old library.
NEEDRESTART = "/usr/lib/needrestart"
RUNNING = "/run/systemd/system"
# apt-get takes other names for versions, architectures, patterns or packages to remove.
PLAIN = re.compile(r"[a-z0-9][a-z0-9-]*[a-z0-9]")
SPEAK = {"DEBIAN_FRONTEND": "noninteractive", "DEBIAN_PRIORITY": "critical", "LANG": "C.UTF-8", "LANGUAGE": "C.UTF-8"}
APT_GET = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=60")
# Scripts of packages have systemd read all units anew, some 30 times, though none may start yet.
QUIET = {"SYSTEMD_OFFLINE": "1"}
# As ansible.builtin.apt has it: the operator's files stay, and what is installed is not upgraded.
INSTALL = (
    *(*APT_GET, "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
    *("-o", "APT::Install-Recommends=no", "--no-upgrade", "install"),
)


def applies(names: Sequence[str], bindings: str = BINDINGS, policy: str = POLICY) -> bool:
    """Tells whether these packages are the host's first ones. A policy of somebody else is for ansible.builtin.apt to keep."""
    return not os.path.exists(bindings) and not os.path.lexists(policy) and all(map(PLAIN.fullmatch, names))


@contextlib.contextmanager
def no_starts(policy: str = POLICY):
    """Has packages start no daemon, which has not been configured yet."""
    fd = os.open(policy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755)
    try:
        with open(fd, "w", encoding="ascii") as stream:
            stream.write("#!/bin/sh\nexit 101\n")
            os.fchmod(fd, 0o755)
        yield
    finally:
        os.unlink(policy)


def _reload(runner, running: str, exe: str) -> tuple[str, ...]:
    """Has systemd read all units once, or start anew where apt has replaced it; returns the command that failed."""
    if not os.path.isdir(running):
        return ()
    command = ("systemctl", "daemon-reexec" if os.readlink(exe).endswith(" (deleted)") else "daemon-reload")
    return command if runner(command, seconds=120).status else ()


def install(
    names: Sequence[str],
    policy: str = POLICY,
    runner=attempt,
    needrestart: str = NEEDRESTART,
    running: str = RUNNING,
    exe: str = "/proc/1/exe",
) -> dict:
    """Installs the packages and python3-apt with new lists, in one transaction; returns a task's result."""
    quiet = {} if os.path.exists(needrestart) else QUIET
    commands: list[tuple[tuple[str, ...], dict[str, str]]] = [
        ((*APT_GET, "update"), {}),
        ((*INSTALL, *names, "python3-apt"), quiet),
    ]
    try:
        with no_starts(policy):
            for command, more in commands:
                done = runner(command, seconds=None, environment={**SPEAK, **more})
                if done.status:
                    break
        # Whatever came of it.
        failed = _reload(runner, running, exe) if more else ()
    except CommandError as error:
        return {"failed": True, "msg": str(error)}
    if done.status:
        msg = f"'{shlex.join(command)}' failed: {done.stderr}"
        return {"failed": True, "msg": msg, "stdout": done.stdout, "stderr": done.stderr, "rc": done.status}
    if failed:
        return {"failed": True, "msg": f"{shlex.join(failed)} failed after the packages were installed; run it by hand"}
    return {"changed": True, "stdout": done.stdout}
