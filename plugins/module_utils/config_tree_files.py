# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files as config_tree needs them: nothing is followed, and what is written is on the disk."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shutil
import stat


def lstat(path):
    """os.lstat, or None when there is nothing."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def read(path):
    """The content of a regular file that is not behind a symbolic link, else None."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
            return None
        raise
    with open(fd, "rb") as f:
        return f.read() if stat.S_ISREG(os.fstat(fd).st_mode) else None


def sync_directory(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_new(path, data, uid, gid, mode):
    """Create a file that did not exist, readable by nobody else until it has its owner and mode. None: leave it."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fchown(fd, -1 if uid is None else uid, -1 if gid is None else gid)
        os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)


def set_directory(path, uid, gid, mode):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchown(fd, -1 if uid is None else uid, -1 if gid is None else gid)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def same_file(one, other):
    a, b = lstat(one), lstat(other)
    return a is not None and b is not None and os.path.samestat(a, b)


def remove_any(path):
    """Remove a file, a link or a whole directory. What is not there is no error."""
    st = lstat(path)
    if st is None:
        return
    if stat.S_ISDIR(st.st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def strangers(folder, kept):
    """What is in a folder beside the paths to keep and what leads to them: each path, or a whole directory."""
    found = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if any(one.startswith(f"{path}/") for one in kept) and stat.S_ISDIR(os.lstat(path).st_mode):
            found += strangers(path, kept)
        elif path not in kept:
            found.append(path)
    return found


def account_names(st):
    try:
        owner = pwd.getpwuid(st.st_uid).pw_name
    except KeyError:
        owner = str(st.st_uid)
    try:
        group = grp.getgrgid(st.st_gid).gr_name
    except KeyError:
        group = str(st.st_gid)
    return owner, group
