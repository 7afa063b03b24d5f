# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replace all files of a config_tree, or none.

How it survives being killed:

1. Before anything is touched, a journal names every step with the paths that it will use. It is on disk first.
2. New content is written next to its target under the name that the journal has, and synced.
3. A file that exists gets a second name (a hard link), then the new one is renamed over it. A file that is new is
   linked to its place. A file that goes is renamed. So a target is at every moment the old file or the new one, and
   what the journal's names point to tells how far a step came.
4. After the live validation the journal is marked done. Until then a later run undoes its steps; after it, a later
   run only removes what is left over.
5. The journal goes once the result is out. When a run dies before that, its paths are kept in "unreported", and the
   next run that manages one of them says changed, so that its handlers run.
"""

from __future__ import annotations

import errno
import json
import os
import stat

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_change import (
    ConfigTreeError,
    NotRestored,
    private_directory,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_files import (
    lstat,
    read,
    remove_any,
    same_file,
    set_directory,
    sync_directory,
    write_new,
)


class Journal:
    """What runs on this host have done, and have not reported yet. Whoever calls has the lock."""

    def __init__(self, state_dir):
        self.state_dir = state_dir
        self.path = os.path.join(state_dir, "journal")
        self.token = os.urandom(6).hex()
        self.warnings = []
        self._unreported = os.path.join(state_dir, "unreported")

    def is_open(self):
        """Whether a run was killed, or has not reported its result yet."""
        return lstat(self.path) is not None

    def unreported(self):
        """The paths that a killed run has replaced, which no result has said."""
        data = read(self._unreported)
        return set(json.loads(data)) if data else set()

    def reported(self, paths):
        """A result with these paths is out."""
        if self.is_open():
            self._close()
        unreported = self.unreported()
        if unreported & paths:
            self._write(self._unreported, sorted(unreported - paths))

    def apply(self, changes, validate=None):
        """Make all changes; if one cannot be made or `validate` raises, none."""
        steps = [self._step(change) for change in changes]
        self._write(self.path, {"done": False, "steps": steps})
        try:
            for change, step in zip(changes, steps, strict=True):
                _stage(change, step)
            for change, step in zip(changes, steps, strict=True):
                _swap(change, step)
            _sync(steps)
            if validate:
                validate()
            self._write(self.path, {"done": True, "steps": steps})
        except BaseException as e:
            try:
                self._undo(steps)
            except NotRestored as worse:
                raise NotRestored(f"{e}\n{worse}") from e
            self._close()
            if isinstance(e, OSError):
                raise ConfigTreeError(f"{e.filename2 or e.filename or 'config_tree'}: {e.strerror}.") from e
            raise
        self._clean(steps)

    def recover(self):
        """Bring a run that was killed to an end: back when it was not done, forward when it was."""
        data = read(self.path)
        if data is None:
            return
        journal = json.loads(data)
        steps = journal["steps"]
        paths = [step["path"] for step in steps if journal["done"] or _was_swapped(step)]
        if paths:
            self._write(self._unreported, sorted({*self.unreported(), *paths}))
        if journal["done"]:
            self._clean(steps)
        else:
            self._undo(steps)
        self._close()

    def _write(self, path, value):
        private_directory(self.state_dir, 0o700)
        new = path + ".new"
        remove_any(new)
        write_new(new, json.dumps(value).encode("ascii"), None, None, 0o600)
        os.rename(new, path)
        sync_directory(self.state_dir)

    def _close(self):
        os.unlink(self.path)
        sync_directory(self.state_dir)

    def _beside(self, path, what):
        """A name next to `path` that programs which read whole directories pass over: a dot before, a tilde after.

        All but logrotate, to which such a file is one more until the next run has removed it.
        """
        return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{self.token}.{what}~")

    def _step(self, change):
        step = {"do": change.do, "path": change.path}
        if change.do in ("create", "replace"):
            step["new"] = self._beside(change.path, "new")
        if change.do in ("replace", "remove"):
            step["old"] = self._beside(change.path, "old")
        if change.do == "attributes":
            step["was"] = [change.st.st_uid, change.st.st_gid, stat.S_IMODE(change.st.st_mode)]
        return step

    def _clean(self, steps):
        """The new files are in place: remove the second names and the old files."""
        for step in steps:
            for name in step.keys() & {"new", "old"}:
                try:
                    remove_any(step[name])
                except OSError as e:
                    self.warnings.append(f"{step[name]} is left over and could not be removed: {e.strerror}")

    def _undo(self, steps):
        """Restore everything, in reverse. Each step can be undone again when this is killed, too."""
        wrong = []
        for step in reversed(steps):
            try:
                _undo_step(step)
            except OSError as e:
                wrong.append(f"{step['path']}: {e.strerror}")
        if wrong:
            raise NotRestored(
                f"The old configuration could not be restored ({'; '.join(wrong)}). {self.path} says where "
                "the old files are. Remove the cause and run again: the next run restores them first."
            )
        _sync(steps)


def _stage(change, step):
    uid, gid = change.ids
    if change.do == "mkdir":
        os.mkdir(change.path, 0o700)
        set_directory(change.path, uid, gid, int(change.entry["mode"], 8))
    elif change.data is not None:
        write_new(step["new"], change.data, uid, gid, int(change.entry["mode"], 8))
    elif change.do in ("create", "replace"):
        os.symlink(change.entry["target"], step["new"])
        os.lchown(step["new"], *(-1 if one is None else one for one in (uid, gid)))


def _swap(change, step):
    if change.do == "attributes":
        uid, gid = change.ids
        set_directory(change.path, uid, gid, int(change.entry["mode"], 8))
    elif change.do == "create":
        os.link(step["new"], change.path, follow_symlinks=False)
    elif change.do == "replace":
        os.link(change.path, step["old"], follow_symlinks=False)
        os.rename(step["new"], change.path)
    elif change.do == "remove":
        os.rename(change.path, step["old"])


def _sync(steps):
    for parent in sorted({os.path.dirname(step["path"]) for step in steps}):
        if os.path.isdir(parent):
            sync_directory(parent)


def _was_swapped(step):
    if step["do"] == "create":
        return same_file(step["new"], step["path"])
    if step["do"] in ("replace", "remove"):
        return lstat(step["old"]) is not None and not same_file(step["old"], step["path"])
    if step["do"] == "attributes":
        st = lstat(step["path"])
        return st is not None and [st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)] != step["was"]
    return False


def _undo_step(step):
    path = step["path"]
    if step["do"] == "mkdir":
        try:
            os.rmdir(path)
        except OSError as e:
            # Gone already, or somebody else has put something there: theirs to keep.
            if e.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY):
                raise
    elif step["do"] == "attributes":
        set_directory(path, *step["was"])
    elif step["do"] == "create":
        if same_file(step["new"], path):
            os.unlink(path)
        remove_any(step["new"])
    else:
        if same_file(step["old"], path):
            os.unlink(step["old"])  # rename() would leave both names
        elif lstat(step["old"]):
            os.rename(step["old"], path)
        if "new" in step:
            remove_any(step["new"])
