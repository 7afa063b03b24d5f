# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what somebody else has set up in one dated folder, and switches it off, before anything of ours comes.

The folder is whole or not there. What was begun and killed is begun again; RECORD says that it was done, and what the host
was like before: playbook `remove` brings that back.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import time

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_files import account_names
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import commands, files

BASE = "/var/backups/xmpp"
RECORD = "take-over.json"
# What the host was like, from before the first unit was stopped until RECORD has it.
BEFORE = "before.json"
# Beside the copies, for what comes while they are made.
SPARE = 256 * 1024 * 1024


class TakeOverError(Exception):
    """It could not be taken over; the message says why, and what the host is like."""


def is_done(base=BASE):
    """Whether a run has taken this host over before, be it one that has not come to its end."""
    return os.path.exists(os.path.join(base, RECORD))


def _names(text):
    """The first word of each line of a list of systemd's."""
    return sorted({line.split()[0] for line in text.splitlines() if line.split()})


def before(run):
    """What of a host no folder keeps: its packages, and the units that are enabled and that run."""
    plain = ["--plain", "--no-legend", "--no-pager"]
    packages = run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"]).splitlines()
    return {
        "packages": sorted(line.split()[1] for line in packages if line.startswith("installed ")),
        "enabled": _names(run(["systemctl", "list-unit-files", "--state=enabled", *plain])),
        "active": _names(run(["systemctl", "list-units", "--state=active", *plain])),
    }


def existing(paths, root="/"):
    """The paths with something at them, without those within another of them, sorted."""
    found: list[str] = []
    for path in sorted({os.path.normpath(path) for path in paths}):
        if os.path.lexists(os.path.join(root, path.lstrip("/"))) and not any(
            path.startswith(f"{top}/") for top in found
        ):
            found.append(path)
    return found


def size(paths, root="/"):
    """The bytes that copies of the paths take."""
    total = 0
    for path in paths:
        top = os.path.join(root, path.lstrip("/"))
        total += os.lstat(top).st_blocks * 512
        for folder, _folders, names in os.walk(top):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


def _attributes(source, target, owners):
    """Gives a copy the owner, the mode and the time of what it is a copy of."""
    st = os.lstat(source)
    os.chown(target, st.st_uid, st.st_gid, follow_symlinks=False)
    owners["users"][str(st.st_uid)], owners["groups"][str(st.st_gid)] = account_names(st)
    if not stat.S_ISLNK(st.st_mode):
        os.chmod(target, stat.S_IMODE(st.st_mode))
    os.utime(target, ns=(st.st_atime_ns, st.st_mtime_ns), follow_symlinks=False)


def copy(path, target, root, owners):
    """Copies a file, a link or a folder to its path below `target`, with the folders above it. Sockets and pipes are left."""
    above = ""
    for part in path.strip("/").split("/")[:-1]:
        above += f"/{part}"
        if not os.path.isdir(target + above):
            os.mkdir(target + above, 0o700)
            _attributes(root.rstrip("/") + above, target + above, owners)
    _copy(root.rstrip("/") + path, target + path, owners)


def copy_one(source, target):
    """Copies a file or a link with its attributes."""
    _copy(source, target, {"users": {}, "groups": {}})


def _copy(source, target, owners):
    mode = os.lstat(source).st_mode
    if stat.S_ISDIR(mode):
        os.mkdir(target, 0o700)
        for name in sorted(os.listdir(source)):
            _copy(os.path.join(source, name), os.path.join(target, name), owners)
    elif stat.S_ISLNK(mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISREG(mode):
        with open(source, "rb", opener=_no_link) as data, open(target, "xb", opener=_private) as to:
            shutil.copyfileobj(data, to)
    else:
        return
    _attributes(source, target, owners)


def _no_link(path, flags):
    """A file that has become a link meanwhile is not followed."""
    return os.open(path, flags | os.O_NOFOLLOW)


def _private(path, flags):
    return os.open(path, flags, 0o600)


def _run(command):
    """Runs a command that has to succeed."""
    try:
        return commands.run(command, seconds=120)
    except commands.CommandError as error:
        raise TakeOverError(
            f"`{' '.join(command)}` failed: {error.reason}. What was there is kept; run it by hand, and the playbook again"
        ) from error


def _together(findings, key):
    """A list of all findings, each entry once, in their order."""
    found = []
    for finding in findings:
        found += [one for one in finding[key] if one not in found]
    return found


def take_over(findings, replaced, *, base=BASE, root="/", run=_run, now=None, check=False):
    """Keeps the findings' files and the files that are replaced, switches off what is in the way, and returns what was done."""
    paths = existing(_together(findings, "keep") + list(replaced), root)
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    folder = os.path.join(base, f"taken-over-{date}")
    done = {
        "date": date,
        "taken_over": [finding["id"] for finding in findings],
        "paths": paths,
        "stopped": list(dict.fromkeys(_together(findings, "pause") + _together(findings, "stop"))),
        "disabled": _together(findings, "stop"),
        "removed": _together(findings, "move"),
        "commands": _together(findings, "run"),
    }
    need, there = size(paths, root) + SPARE, _free(base)
    if need > there:
        raise TakeOverError(
            f"{base}: copies of what would be replaced need {need // 1000000} MB, and {there // 1000000} MB are free; "
            "make room, or move away what the host no longer needs. Nothing on the host has changed"
        )
    if check:
        return done
    os.makedirs(base, 0o700, exist_ok=True)
    note = os.path.join(base, BEFORE)
    if not os.path.exists(note):
        files.write_json(note, before(run), mode=0o600)
    done["before"] = files.read_json(note)
    done["undo"] = _undo(findings, folder)
    for unit in _together(findings, "pause"):
        # Of a package that was removed, the data is left.
        if run(["systemctl", "show", "-P", "LoadState", unit]).strip() != "not-found":
            run(["systemctl", "stop", unit])
    if paths:
        _keep(folder, done, findings, root, run)
    for unit in done["disabled"]:
        run(["systemctl", "disable", "--now", unit])
    for path in done["removed"]:
        files.remove(root.rstrip("/") + path)
    for command in done["commands"]:
        run(command)
    files.write_json(os.path.join(base, RECORD), {**done, "folder": folder if paths else ""}, mode=0o600)
    files.remove(note)
    return done


def keep_packaged(paths, *, base=BASE, root="/", check=False):
    """Copies, once, those of the collection's files that packages have brought since the host was taken over.

    Without them, a package that stays when the collection goes would have no configuration. Returns the copied paths.
    """
    place = os.path.join(base, RECORD)
    record = files.read_json(place)
    # A host that an older version has taken over may have files of ours at these paths.
    if not record or "packaged" in record or "before" not in record:
        return []
    kept = record["paths"]
    new = [
        path
        for path in existing(paths, root)
        if path not in kept and not any(path.startswith(f"{top}/") for top in kept)
    ]
    if check:
        return new
    folder = record["folder"] or os.path.join(base, f"taken-over-{record['date']}")
    target = os.path.join(folder, "files")
    os.makedirs(target, 0o700, exist_ok=True)
    owners: dict[str, dict] = {"users": {}, "groups": {}}
    for path in new:
        # Of a copy that was killed.
        files.remove(target + path)
        copy(path, target, root, owners)
    os.sync()
    files.write_json(place, {**record, "folder": folder, "packaged": new}, mode=0o600)
    return new


def _undo(findings, folder):
    """The commands that bring the findings back; `{saved}` in one stands for the output of the finding's first program."""
    saved = [tuple(command) for command in _together(findings, "save")]
    found = []
    for finding in findings:
        place = os.path.join(folder, f"output-{saved.index(tuple(finding['save'][0])) + 1}") if finding["save"] else ""
        for command in finding.get("undo", []):
            words = [word.replace("{saved}", place) for word in command]
            found += [words] if words not in found else []
    return found


def _free(path):
    """The bytes that are free where a path is or would be."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def _keep(folder, done, findings, root, run):
    """Makes the dated folder: the files below `files`, the output of programs, and a manifest. It appears at once."""
    draft = os.path.join(os.path.dirname(folder), ".taking-over")
    shutil.rmtree(draft, ignore_errors=True)
    os.mkdir(draft, 0o700)
    os.mkdir(os.path.join(draft, "files"), 0o755)
    owners: dict[str, dict] = {"users": {}, "groups": {}}
    for path in done["paths"]:
        copy(path, os.path.join(draft, "files"), root, owners)
    for number, command in enumerate(_together(findings, "save"), 1):
        with open(os.path.join(draft, f"output-{number}"), "w", encoding="utf-8", opener=_private) as stream:
            stream.write(f"# {' '.join(command)}\n{run(command)}")
    manifest = os.path.join(draft, "manifest.json")
    with open(manifest, "w", encoding="utf-8", opener=_private) as stream:
        json.dump({**done, **owners}, stream, indent=1)
    os.sync()
    os.rename(draft, folder)
