# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who keeps apt busy on this host."""

from __future__ import annotations

import fcntl
import os
import struct

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, attempt

LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
)
CLOUD_INIT = "/usr/bin/cloud-init"
# struct flock, as F_GETLK takes it: type, whence, start, length, process.
FLOCK = "hhqqi"


def name_of(pid):
    """Returns the command of a process in words."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            words = stream.read().decode("utf-8", "replace").split("\0")
    except OSError:
        return f"process {pid}"
    # A script is known by its own name, and not by that of its interpreter.
    script = os.path.basename(words[0])
    if script.startswith(("python", "perl", "sh", "bash", "dash")):
        script = next((os.path.basename(word) for word in words[1:] if word and not word.startswith("-")), script)
    return f"{script} (process {pid})"


def holder(path):
    """Returns the process that holds a lock, 0 where it is one that cannot be seen from here, or nothing."""
    try:
        with open(path, "rb") as stream:
            answer = fcntl.fcntl(stream, fcntl.F_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError:
        # There is no such file yet, or no such question here: apt itself will tell.
        return None
    kind, _whence, _start, _length, pid = struct.unpack(FLOCK, answer)
    return None if kind == fcntl.F_UNLCK else max(pid, 0)


def started_by_cloud_init():
    """Tells whether this is itself a part of what cloud-init does, which then cannot be waited for."""
    pid = os.getpid()
    while pid > 1:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                # An interpreter, and its script.
                words = [os.path.basename(word) for word in stream.read().split(b"\0")[:2]]
            if b"cloud-init" in words:
                return True
            with open(f"/proc/{pid}/stat", "rb") as stream:
                pid = int(stream.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
    return False


def cloud_init_runs():
    """Tells whether cloud-init, which installs packages at the first boot, has not ended yet."""
    if not os.path.exists(CLOUD_INIT):
        return False
    try:
        done = attempt([CLOUD_INIT, "status"], seconds=30)
    except CommandError:
        return False
    return "status: running" in done.stdout and not started_by_cloud_init()


def busy():
    """Returns who keeps apt from working now, in words, or nothing."""
    for path in LOCKS:
        pid = holder(path)
        if pid is not None:
            return f"{name_of(pid) if pid else 'a process'} holds {path}"
    return "cloud-init has not ended yet" if cloud_init_runs() else ""
