# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's side of config_tree: compare a tree with the host, validate it, and replace all files or none."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import shlex
import stat
import time

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import activation
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_change import (
    Change,
    ConfigTreeError,
    NotRestored,
    differences,
    private_directory,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_files import (
    lstat,
    read,
    remove_any,
    set_directory,
    strangers,
    write_new,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_journal import Journal
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import to_bytes, with_serial
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_validators import Validators
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError

STATE_DIR = "/var/lib/config_tree"
RUN_DIR = "/run/config_tree"
LOCK_SECONDS = 60
PARENT = {"state": "directory", "owner": "root", "group": "root", "mode": "0755"}


class ConfigTree:
    """One run on this host. The lock is held until close()."""

    def __init__(self, state_dir=STATE_DIR, run_dir=RUN_DIR, check=False, diff=False, now=None):
        self.run_dir = run_dir
        self.check = check
        self.diff = diff
        self.now = now or int(time.time())
        self.lock = None
        self.journal = Journal(state_dir)
        self.validators = Validators(check)
        self.warnings = self.journal.warnings
        self._told = set()  # the paths in the result
        self._uids = {}
        self._gids = {}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    def run(self, payload):
        """Bring the host to the payload's state and return the task's result; then call reported()."""
        result = self.run_all({"": payload})
        del result["trees"]
        return result

    def run_all(self, trees):
        """The same with several payloads by name, in one transaction. The result has the paths of each in `trees`."""
        os.umask(0o022)
        try:
            self._take_lock()
            self._clean_run_dir()
            if not self.check:
                self.journal.recover()
            elif self.journal.is_open():
                self.warnings.append(
                    "An earlier run of config_tree was killed half-way. The next run that is not in check mode first "
                    "restores the files that it had replaced."
                )
            entries = {name: payload["files"] for name, payload in trees.items()}
            lacking = {name: self._make_accounts(of_one) for name, of_one in entries.items()}
            changes = self._compare_all(entries)
            for name, payload in trees.items():
                self.validators.know(entries[name])
                self._validate_staged(entries[name], changes[name], payload.get("validate_tree"))
            self._apply(trees, changes)
        except NotRestored:
            raise
        except ConfigTreeError as e:
            raise ConfigTreeError(f"{e}\nNothing was changed.", **e.details) from None
        except OSError as e:
            raise ConfigTreeError(f"{e.filename or 'config_tree'}: {e.strerror}.\nNothing was changed.") from e
        unreported = self.journal.unreported()
        paths = {
            name: {change.path for change in changes[name]} | (unreported & _with_parents(of_one)) | lacking[name]
            for name, of_one in entries.items()
        }
        self._told = set().union(*paths.values())
        if not self.check:
            self._activate([entry for of_one in entries.values() for entry in of_one], self._told)
        result = {
            "changed": bool(self._told),
            "paths": sorted(self._told),
            "trees": {name: sorted(found) for name, found in paths.items()},
            "skipped_validators": self.validators.skipped,
        }
        if self.diff:
            result["diff"] = [
                difference
                for name, payload in trees.items()
                for difference in differences(changes[name], payload.get("diff_limit") or 0)
            ]
        return result

    def compare(self, trees, validate=False):
        """Say what run() would change or report of each of several trees, and change nothing. Needs check mode.

        `trees` are payloads as run() takes them, by name. Returns the paths by name, and with `diff` the differences.
        `validate` runs the validators on the staged files, as run() does in check mode.
        """
        try:
            self._take_lock()
            if self.journal.is_open():
                # A run was killed, and the next one restores first, whatever its files are.
                return {name: [self.journal.path] for name in trees}, []
            unreported, found, diffs = self.journal.unreported(), {}, []
            for name, payload in trees.items():
                entries = payload["files"]
                self.validators.know(entries)
                changes = self._compare(entries, set(), {})
                if changes and validate:
                    self._validate_staged(entries, changes, payload.get("validate_tree"))
                if self.diff:
                    diffs += differences(changes, payload.get("diff_limit") or 0)
                paths = {change.path for change in changes} | self._make_accounts(entries)
                found[name] = sorted(paths | (unreported & {entry["path"] for entry in entries}))
            return found, diffs
        except OSError as e:
            raise ConfigTreeError(f"{e.filename or 'config_tree'}: {e.strerror}.") from e

    def reported(self):
        """The result is out: nothing of it has to be said again."""
        if not self.check:
            self.journal.reported(self._told)

    # -- what follows from a place -----------------------------------------------------------------------------------

    def _make_accounts(self, entries):
        """The files of systemd-sysusers whose accounts are missing. They are made first: files may belong to them."""
        files = [one for one in entries if one["state"] == "file" and activation.SYSUSERS.fullmatch(one["path"])]
        lacking = [one for one in files if activation.accounts_missing(one["content"])]
        for one in [] if self.check else lacking:
            try:
                activation.make_accounts(one["content"])
            except CommandError as e:
                raise ConfigTreeError(f"{one['path']}: {e}") from e
        return {one["path"] for one in lacking}

    def _activate(self, entries, paths):
        there = {entry["path"] for entry in entries if entry["state"] in ("file", "link")}
        # Where something was missing or is new, so may be what these make.
        directories = {path for path in there if paths and activation.TMPFILES.fullmatch(path)}
        try:
            activation.activate(paths & there | directories, paths - there)
        except CommandError as e:
            # The journal stays, so that the next run says changed, too, and does this again.
            raise ConfigTreeError(f"{e}\nThe new files are in place. Remove the cause and run again.") from e

    # -- state ------------------------------------------------------------------------------------------------------

    def _take_lock(self):
        private_directory(self.run_dir, 0o711)
        path = os.path.join(self.run_dir, "lock")
        self.lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                return fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ConfigTreeError(
                        f"Another run of config_tree has held {path} for {LOCK_SECONDS} s. Run again when it is over."
                    ) from None
                time.sleep(0.05)

    def _clean_run_dir(self):
        """Remove the staged trees of runs that were killed: whoever has the lock is alone."""
        for name in os.listdir(self.run_dir):
            if name != "lock":
                remove_any(os.path.join(self.run_dir, name))

    # -- compare ----------------------------------------------------------------------------------------------------

    def _id(self, cache, lookup, kind, name, path):
        if name not in cache:
            try:
                cache[name] = int(name) if name.isdecimal() else lookup(name)[2]
            except KeyError:
                cache[name] = None
        if cache[name] is None and not self.check:
            raise ConfigTreeError(
                f"{path}: {kind} {name!r} does not exist on this host. Create it first, or name one that exists."
            )
        return cache[name]

    def _ids(self, entry: dict) -> tuple[int | None, int | None]:
        return (
            self._id(self._uids, pwd.getpwnam, "owner", entry["owner"], entry["path"]),
            self._id(self._gids, grp.getgrnam, "group", entry["group"], entry["path"]),
        )

    def _missing_parents(self, path):
        """The directories above `path` that do not exist, the outermost first."""
        missing = []
        parent = os.path.dirname(path)
        while parent != "/":
            st = lstat(parent)
            if st is None:
                missing.append(parent)
            elif stat.S_ISLNK(st.st_mode) and st.st_uid not in (0, os.geteuid()):
                raise ConfigTreeError(
                    f"{path}: {parent} is a symbolic link of UID {st.st_uid}, who could point it anywhere. "
                    "Use a directory, or a link of root."
                )
            elif not os.path.isdir(parent):
                raise ConfigTreeError(f"{path}: {parent} is not a directory.")
            parent = os.path.dirname(parent)
        return missing[::-1]

    def _compare_all(self, trees):
        """The changes by the name of a tree. A directory of several is made once, by the first that needs it."""
        coming: set[str] = set()
        directories = {
            entry["path"]: entry for entries in trees.values() for entry in entries if entry["state"] == "directory"
        }
        return {name: self._compare(entries, coming, directories) for name, entries in trees.items()}

    def _compare(self, entries, coming, directories):
        """`coming` are directories that this run makes, `directories` those that have attributes of their own."""
        changes = []
        for entry in entries:
            if entry["state"] == "absent" and lstat(entry["path"]) is None:
                continue
            missing = self._missing_parents(entry["path"])
            if entry["state"] == "absent":
                change = Change("remove", entry, lstat(entry["path"]))
            else:
                for parent in missing:
                    if parent not in coming:
                        coming.add(parent)
                        above = directories.get(parent, {**PARENT, "path": parent})
                        changes.append(Change("mkdir", above, None, self._ids(above)))
                change = getattr(self, "_compare_" + entry["state"])(entry)
                if change and change.do == "mkdir" and change.path in coming:
                    continue
            if change:
                changes.append(change)
                if change.do == "mkdir":
                    coming.add(change.path)
            if entry.get("exclusive") and lstat(entry["path"]):
                kept = {entry["path"] for entry in entries if entry["state"] != "absent"}
                gone = {entry["path"] for entry in entries if entry["state"] == "absent"}
                changes += [
                    Change("remove", {**PARENT, "path": path, "state": "absent"}, lstat(path))
                    for path in strangers(entry["path"], kept)
                    if path not in gone
                ]
        return changes

    def _compare_directory(self, entry):
        st = lstat(entry["path"])
        if st is None:
            return Change("mkdir", entry, st, self._ids(entry))
        if not stat.S_ISDIR(st.st_mode):
            raise ConfigTreeError(
                f"{entry['path']} should be a directory, and is {self._kind(st)}. Remove it, or choose another path."
            )
        ids = self._ids(entry)
        if (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (*ids, int(entry["mode"], 8)):
            return None
        return Change("attributes", entry, st, ids, attributes_only=True)

    def _compare_link(self, entry):
        path = entry["path"]
        st = lstat(path)
        ids = self._ids(entry)
        if st is None:
            return Change("create", entry, st, ids)
        self._refuse_special(path, st)
        same = stat.S_ISLNK(st.st_mode) and os.readlink(path) == entry["target"]
        if same and (st.st_uid, st.st_gid) == ids:
            return None
        return Change("replace", entry, st, ids, attributes_only=same)

    def _compare_file(self, entry):
        path = entry["path"]
        st = lstat(path)
        ids = self._ids(entry)
        data = to_bytes(entry["content"])
        old = None
        if st is not None:
            self._refuse_special(path, st)
            if entry.get("serial") or st.st_size == len(data) or self.diff:
                old = read(path)
        if entry.get("serial"):
            data = with_serial(data, to_bytes(entry["serial"]), old, self.now)
        if st is None:
            return Change("create", entry, st, ids, data)
        same = old == data and stat.S_ISREG(st.st_mode)
        if same and (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (*ids, int(entry["mode"], 8)):
            return None
        return Change("replace", entry, st, ids, data, old, attributes_only=same)

    @staticmethod
    def _kind(st):
        kinds = ((stat.S_ISREG, "a file"), (stat.S_ISLNK, "a symbolic link"), (stat.S_ISDIR, "a directory"))
        return next((name for is_kind, name in kinds if is_kind(st.st_mode)), "a socket, a pipe or a device")

    def _refuse_special(self, path, st):
        if not (stat.S_ISREG(st.st_mode) or stat.S_ISLNK(st.st_mode)):
            raise ConfigTreeError(
                f"{path} should be a file or a link, and is {self._kind(st)}. Remove it, or choose another path."
            )

    # -- validate ---------------------------------------------------------------------------------------------------

    def _validate_staged(self, entries, changes, validate_tree):
        changed = [change for change in changes if not change.attributes_only]
        single = [change for change in changed if change.data is not None and change.entry.get("validate")]
        if not single and not (validate_tree and changed):
            return
        root = os.path.join(self.run_dir, self.journal.token)
        try:
            self._stage_tree(root, entries, {change.path: change for change in changes})
            for change in single:
                self.validators.run(change.entry["validate"], f"{change.path} is not valid", root + change.path, root)
            if validate_tree and changed:
                self.validators.run(validate_tree, "The new configuration is not valid", root, root)
        finally:
            remove_any(root)

    def _stage_tree(self, root, entries, changes):
        """Every file of the set at its path below `root`. The changes have the content of files with a serial."""
        os.mkdir(root)
        os.chmod(root, 0o711)
        for entry in entries:
            if entry["state"] == "absent":
                continue
            staged = root + entry["path"]
            uid, gid = self._ids(entry)
            if entry["state"] == "directory":
                os.makedirs(staged, exist_ok=True)
                set_directory(staged, uid, gid, int(entry["mode"], 8))
                continue
            os.makedirs(os.path.dirname(staged), exist_ok=True)
            if entry["state"] == "link":
                os.symlink(entry["target"], staged)
                continue
            change = changes.get(entry["path"])
            if change is not None:
                data = change.data
            elif entry.get("serial"):
                data = read(entry["path"])
            else:
                data = to_bytes(entry["content"])
            write_new(staged, data, uid, gid, int(entry["mode"], 8))

    # -- apply ------------------------------------------------------------------------------------------------------

    def _apply(self, trees, changes):
        """Make the changes of all trees, and those whose files have changed say whether they are valid where they are."""
        live = {
            name: command
            for name, payload in trees.items()
            if changes[name] and (command := payload.get("validate_live"))
        }
        if self.check:
            for command in live.values():
                said = f"{shlex.join(command)}: it checks the live files, which check mode leaves alone"
                self.validators.skipped.append(said)
            return
        for command in live.values():
            self.validators.environment(command)  # before anything is replaced

        def validate():
            for name, command in live.items():
                self.validators.know(trees[name]["files"])
                self.validators.run(command, "The new configuration is not valid")

        if every := [change for of_one in changes.values() for change in of_one]:
            self.journal.apply(every, validate if live else None)


def _with_parents(entries):
    """The paths of a tree, and those of all directories above them."""
    known = {entry["path"] for entry in entries}
    for path in list(known):
        while path != "/":
            path = os.path.dirname(path)
            known.add(path)
    return known
