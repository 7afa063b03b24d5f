# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Groups of key files on the host: what there is of each, and how it is put back."""

from __future__ import annotations

import base64
import fnmatch
import glob
import grp
import hashlib
import json
import os
import pwd
import stat
import tempfile


class BackupError(Exception):
    """Files that cannot be read or written."""


def find(patterns):
    """The files of a group, as regular files or links to them."""
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return sorted({path for one in patterns for path in glob.glob(one, recursive=True) if os.path.isfile(path)})


def _read(path):
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}; run as root") from error


def _name(lookup, number):
    try:
        return lookup(number)[0]
    except KeyError:
        return str(number)


def read(groups):
    """Returns the files of each group with their content, owner, group and mode."""
    found: dict[str, dict] = {}
    for name, patterns in groups.items():
        found[name] = {}
        for path in find(patterns):
            status = os.stat(path)
            found[name][path] = {
                "content": base64.b64encode(_read(path)).decode("ascii"),
                "owner": _name(pwd.getpwuid, status.st_uid),
                "group": _name(grp.getgrgid, status.st_gid),
                "mode": f"{stat.S_IMODE(status.st_mode):04o}",
            }
    return found


def digest(data):
    return hashlib.sha256(data).hexdigest()


def look(groups):
    """Returns the files of each group with the digests of their content."""
    return {name: {path: digest(_read(path)) for path in find(patterns)} for name, patterns in groups.items()}


def _veil(data, secret):
    """XOR with a key stream that is used once."""
    stream = hashlib.shake_256(base64.b64decode(secret)).digest(len(data))
    return bytes(left ^ right for left, right in zip(data, stream, strict=True))


def seal(found, secret):
    """Makes text of what was read, of no use without the secret: a result is shown where a run is watched closely (-vvv)."""
    return base64.b64encode(_veil(json.dumps(found).encode("ascii"), secret)).decode("ascii")


def unseal(text, secret):
    return json.loads(_veil(base64.b64decode(text), secret))


def _make_folders(path, owner, group):
    """Makes the folders that are not there, for the owner of the file alone."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        os.mkdir(folder, 0o700)
        os.chown(folder, owner, group)


def write(files):
    """Puts files back. Those that are there stay as they are."""
    written = []
    for path, entry in files.items():
        if os.path.lexists(path):
            continue
        try:
            owner, group = pwd.getpwnam(entry["owner"]).pw_uid, grp.getgrnam(entry["group"]).gr_gid
        except KeyError as error:
            raise BackupError(f"{path}: {error.args[0]}; install the daemon that reads it first") from error
        try:
            _make_folders(os.path.dirname(path), owner, group)
            handle, draft = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".key-backup-")
            try:
                with os.fdopen(handle, "wb") as stream:
                    os.fchown(handle, owner, group)
                    os.fchmod(handle, int(entry["mode"], 8))
                    stream.write(base64.b64decode(entry["content"]))
                    stream.flush()
                    os.fsync(handle)
                os.rename(draft, path)
            except BaseException:
                os.unlink(draft)
                raise
        except OSError as error:
            raise BackupError(f"{path}: {error.strerror}") from error
        written.append(path)
    return written


def lasting(files, volatile):
    """The files without those that change by themselves."""
    return {
        path: value
        for path, value in files.items()
        if not any(fnmatch.fnmatchcase(os.path.basename(path), pattern) for pattern in volatile)
    }
