# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One path that config_tree has to change, how a diff shows it; the errors of a run, and its folders."""

from __future__ import annotations

import os
import stat

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_files import account_names
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import conceal

NEEDS_ROOT = "config_tree needs root: set `become: true`."


class ConfigTreeError(Exception):
    """What stopped the run. `details` are for the task's result."""

    def __init__(self, message, **details):
        super().__init__(message)
        self.details = details


class NotRestored(ConfigTreeError):
    """The one error after which the host is not as it was before."""


class Change:
    """One path that is not as it should be."""

    def __init__(
        self,
        do,
        entry,
        st,
        ids: tuple[int | None, int | None] = (None, None),
        data=None,
        old=None,
        attributes_only=False,
    ):
        self.do = do  # mkdir, attributes, create, replace, remove
        self.entry = entry
        self.ids = ids  # the UID and GID that it is to have; None in check mode, if there is no such account yet
        self.path = entry["path"]
        self.st = st  # what is there now, or None
        self.data = data  # the new content of a file
        self.old = old  # the content that is there now
        self.attributes_only = attributes_only
        self.target = os.readlink(self.path) if st is not None and stat.S_ISLNK(st.st_mode) else None


def private_directory(path, mode):
    """Make a folder of config_tree's own, or see that it is one that nobody else can write to."""
    try:
        os.makedirs(path, mode)
    except FileExistsError:
        pass
    except PermissionError as e:
        raise ConfigTreeError(f"{path}: {e.strerror}. {NEEDS_ROOT}") from e
    st = os.lstat(path)
    if st.st_uid != os.geteuid() != 0:
        raise ConfigTreeError(f"{path} belongs to UID {st.st_uid}. {NEEDS_ROOT}")
    if not stat.S_ISDIR(st.st_mode) or st.st_uid != os.geteuid() or st.st_mode & 0o022:
        raise ConfigTreeError(f"{path} has to be a directory that only its owner, UID {os.geteuid()}, can write to.")


def differences(changes, limit):
    """The changes as Ansible's callbacks show them. Texts above `limit` bytes are named only; 0: none."""
    return [part for change in changes for part in _of(change, limit)]


def _of(change, limit):
    entry, parts = change.entry, []
    header = {"before_header": change.path, "after_header": change.path}
    if change.data is not None and not change.attributes_only:
        if entry.get("secret"):
            before = "" if change.st is None else "[secret]\n"
            parts.append({**header, "before": before, "after": "[secret: new content]\n"})
        else:
            part = dict(header)
            for side, end, data in (("before", "dst", change.old or b""), ("after", "src", change.data)):
                if b"\0" in data:
                    part[end + "_binary"] = 1
                elif 0 < limit < len(data):
                    part[end + "_larger"] = limit
                else:
                    part[side] = data.decode("utf-8", "replace")
            if "concealed" in entry:
                shown = [side for side in ("before", "after") if side in part]
                part |= {side: conceal(part[side], entry.get("public", "")) for side in shown}
                if len(shown) == 2 and part["before"] == part["after"]:
                    part["after"] += "[secret: another value]\n"
            parts.append(part)
    before, after = _attributes_now(change), _attributes_then(entry)
    if before != after and not (change.st is None and change.data is not None):
        parts.append({**header, "before": before, "after": after})
    return parts


def _attributes_now(change):
    st = change.st
    if st is None:
        return "state: absent\n"
    owner, group = account_names(st)
    if stat.S_ISLNK(st.st_mode):
        return f"state: link\nowner: {owner}\ngroup: {group}\ntarget: {change.target}\n"
    state = "directory" if stat.S_ISDIR(st.st_mode) else "file"
    return f"state: {state}\nowner: {owner}\ngroup: {group}\nmode: {stat.S_IMODE(st.st_mode):04o}\n"


def _attributes_then(entry):
    if entry["state"] == "absent":
        return "state: absent\n"
    last = f"target: {entry['target']}" if entry["state"] == "link" else f"mode: {int(entry['mode'], 8):04o}"
    return f"state: {entry['state']}\nowner: {entry['owner']}\ngroup: {entry['group']}\n{last}\n"
