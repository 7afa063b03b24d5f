# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load one profile of AppArmor into the kernel, or remove one that is switched off."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import files
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, Finished, attempt

FOLDER = "/etc/apparmor.d"
ENABLED = "/sys/module/apparmor/parameters/enabled"
LOADED = "/sys/kernel/security/apparmor/profiles"


def in_container(runner: Callable[[Sequence[str]], Finished] = attempt) -> bool:
    """Whether the kernel, and most of its settings, are those of the machine beneath this one."""
    return not runner(("systemd-detect-virt", "--container", "--quiet")).status


def apply(
    name: str,
    folder: str = FOLDER,
    enabled: str = ENABLED,
    loaded: str = LOADED,
    runner: Callable[[Sequence[str]], Finished] = attempt,
) -> bool:
    """Brings the kernel to what is in the folder; returns whether it did something. Raises CommandError.

    A kernel without AppArmor has nothing to load it into, and a container's is that of the machine beneath it.
    """
    if files.read_text(enabled).strip() != "Y" or in_container(runner):
        return False
    path = f"{folder}/{name}"
    act = ["--replace", "--write-cache"]
    if os.path.lexists(f"{folder}/disable/{name}"):
        there = set(re.findall(r"^(\S+) \(\w+\)$", files.read_text(loaded), re.MULTILINE))
        if not there.intersection(re.findall(r"^profile (\S+)", files.read_text(path), re.MULTILINE)):
            return False
        act = ["--remove"]
    done = runner(("apparmor_parser", *act, path))
    if done.status:
        raise CommandError(("apparmor_parser",), f"{act[0]} {path}: {done.said}", done)
    return True
