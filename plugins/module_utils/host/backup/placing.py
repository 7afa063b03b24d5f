# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put restored files in place, with their owners by name."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import shutil
import stat
from collections.abc import Callable, Mapping
from typing import Any

from . import base, places
from .base import Failed
from .databases import SIDECARS, lent_folder, read_as, take
from .staging import Manifest


def find_number(
    names: Mapping[str, str], lookup: Callable[[str], int], number: int, add: Callable[[str], int] | None = None
) -> int:
    """The number that an owner has on this host."""
    name = names.get(str(number))
    if name is None:
        return number
    try:
        return lookup(name)
    except KeyError:
        if add:
            return add(name)
        raise Failed(
            f"the account {name}, who owns a part of the backup, is not on this host; make it, or install its "
            "package, as playbook restore does"
        ) from None


def add_group(name: str) -> int:
    """A group of ours may be made by a role that comes later."""
    base.run(["groupadd", "--system", name])
    return grp.getgrnam(name).gr_gid


def give_back(folder: str, manifest: Manifest) -> None:
    """Gives what was restored to its owners, by their names."""
    users: dict[int, int] = {}
    groups: dict[int, int] = {}
    for place, subfolders, names in os.walk(folder):
        # Each once: a number that was given already may be another owner's in the backup.
        top = [folder] if place == folder else []
        for path in [*top, *(os.path.join(place, name) for name in subfolders + names)]:
            status = os.lstat(path)
            if status.st_uid not in users:
                users[status.st_uid] = find_number(
                    manifest["users"], lambda name: pwd.getpwnam(name).pw_uid, status.st_uid
                )
            if status.st_gid not in groups:
                groups[status.st_gid] = find_number(
                    manifest["groups"], lambda name: grp.getgrnam(name).gr_gid, status.st_gid, add_group
                )
            wanted = users[status.st_uid], groups[status.st_gid]
            if wanted != (status.st_uid, status.st_gid):
                os.lchown(path, *wanted)
                if not stat.S_ISLNK(status.st_mode):
                    os.chmod(path, stat.S_IMODE(status.st_mode))


def place_database(database: dict[str, Any], manifest: Manifest) -> None:
    """Puts the copy of an SQLite database among the restored files, as its own."""
    copy, path = places.DRAFT + database["copy"], places.DRAFT + database["name"]
    owner = find_number(manifest["users"], lambda name: pwd.getpwnam(name).pw_uid, database["owner"])
    group = find_number(manifest["groups"], lambda name: grp.getgrnam(name).gr_gid, database["group"], add_group)
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with lent_folder(owner, group) as folder:
        lent = f"{folder}/copy"
        os.rename(copy, lent)
        os.chown(lent, owner, group)
        read_as(owner, group, lent, database["name"])
        take(lent, path, owner)
    os.chown(path, owner, group)
    os.chmod(path, database["mode"])
    # As old as the backup, so that a repeated restore does not take it for new.
    os.utime(path, (manifest["time"], manifest["time"]))


def tops(manifest: Manifest) -> list[str]:
    """What is replaced as a whole: the paths of the backup, and databases outside of them."""
    found = list(manifest["paths"])
    for database in manifest["databases"]:
        name = database["name"]
        if database["kind"] == "sqlite" and not any(name == path or name.startswith(f"{path}/") for path in found):
            found.append(name)
    return found


def remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def make_parents(new: str, path: str) -> None:
    """Makes the folders above that are not there, as those of the backup are."""
    model, folder = os.path.dirname(new), os.path.dirname(path)
    if not os.path.isdir(folder):
        make_parents(model, folder)
        status = os.stat(model)
        os.mkdir(folder, 0o700)
        os.chown(folder, status.st_uid, status.st_gid)
        os.chmod(folder, stat.S_IMODE(status.st_mode))


def replace(new: str, path: str) -> None:
    """Puts a file or a folder where another one may be, by renames beside it."""
    beside, former = f"{path}.restoring", f"{path}.replaced"
    remove(beside)
    make_parents(new, path)
    try:
        os.rename(new, beside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        base.run(["cp", "--archive", "--no-target-directory", new, beside])
    # What belongs to a database that was there would spoil the new one.
    for end in SIDECARS:
        remove(path + end)
    if os.path.lexists(path):
        remove(former)
        os.rename(path, former)
    os.rename(beside, path)
    remove(former)
