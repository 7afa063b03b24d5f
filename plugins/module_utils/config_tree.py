# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's side of config_tree: compare, validate, and replace all files or none.

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
import fcntl
import grp
import json
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import time

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import activation
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_files import (
    account_names,
    lstat,
    read,
    remove_any,
    same_file,
    set_directory,
    strangers,
    sync_directory,
    write_new,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import (
    conceal,
    locate,
    redact,
    to_bytes,
    with_serial,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError

STATE_DIR = "/var/lib/config_tree"
RUN_DIR = "/run/config_tree"
LOCK_SECONDS = 60
VALIDATOR_SECONDS = 300
OUTPUT_CHARACTERS = 8000
NEEDS_ROOT = "config_tree needs root: set `become: true`."
PARENT = {"state": "directory", "owner": "root", "group": "root", "mode": "0755"}
SBIN = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]


class ConfigTreeError(Exception):
    """What stopped the run. `details` are for the task's result."""

    def __init__(self, message, **details):
        super().__init__(message)
        self.details = details


class NotRestored(ConfigTreeError):
    """The one error after which the host is not as it was before."""


class Change:
    """One path that is not as it should be."""

    def __init__(self, do, entry, st, data=None, old=None, attributes_only=False):
        self.do = do  # mkdir, attributes, create, replace, remove
        self.entry = entry
        self.path = entry["path"]
        self.st = st  # what is there now, or None
        self.data = data  # the new content of a file
        self.old = old  # the content that is there now
        self.attributes_only = attributes_only
        self.target = os.readlink(self.path) if st is not None and stat.S_ISLNK(st.st_mode) else None


class ConfigTree:
    """One run on this host. The lock is held until close()."""

    def __init__(self, state_dir=STATE_DIR, run_dir=RUN_DIR, check=False, diff=False, now=None):
        self.state_dir = state_dir
        self.run_dir = run_dir
        self.check = check
        self.diff = diff
        self.now = now or int(time.time())
        self.lock = None
        self.token = os.urandom(6).hex()
        self.warnings = []
        self.skipped = []
        self._told = set()  # the paths in the result
        self._paths = []  # all that the task manages
        self._secrets = []  # the texts of secret files, each with what in it is public
        self.journal_file = os.path.join(state_dir, "journal")
        self.unreported_file = os.path.join(state_dir, "unreported")
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
        os.umask(0o022)
        try:
            self._take_lock()
            self._clean_run_dir()
            if not self.check:
                self._recover()
            elif lstat(self.journal_file):
                self.warnings.append(
                    "An earlier run of config_tree was killed half-way. The next run that is not in check mode first "
                    "restores the files that it had replaced."
                )
            entries = payload["files"]  # plan() has sorted them: a directory comes before what is in it
            self._know(entries)
            lacking = self._make_accounts(entries)
            changes = self._compare(entries)
            if changes:
                self._validate_staged(entries, changes, payload.get("validate_tree"))
                live = payload.get("validate_live")
                if not self.check:
                    self._apply(changes, live)
                elif live:
                    self.skipped.append(f"{shlex.join(live)}: it checks the live files, which check mode leaves alone")
        except NotRestored:
            raise
        except ConfigTreeError as e:
            raise ConfigTreeError(f"{e}\nNothing was changed.", **e.details) from None
        except OSError as e:
            raise ConfigTreeError(f"{e.filename or 'config_tree'}: {e.strerror}.\nNothing was changed.") from e
        known = set(self._paths)
        for path in self._paths:
            while path != "/":
                path = os.path.dirname(path)
                known.add(path)
        paths = {change.path for change in changes} | (set(self._unreported()) & known) | lacking
        self._told = paths
        if not self.check:
            self._activate(entries, paths)
        result = {"changed": bool(paths), "paths": sorted(paths), "skipped_validators": self.skipped}
        if self.diff:
            result["diff"] = self._diffs(changes, payload)
        return result

    def compare(self, trees, validate=False):
        """Say what run() would change or report of each of several trees, and change nothing. Needs check mode.

        `trees` are payloads as run() takes them, by name. Returns the paths by name, and with `diff` the differences.
        `validate` runs the validators on the staged files, as run() does in check mode.
        """
        try:
            self._take_lock()
            if lstat(self.journal_file):
                # A run was killed, and the next one restores first, whatever its files are.
                return {name: [self.journal_file] for name in trees}, []
            unreported, found, diffs = set(self._unreported()), {}, []
            for name, payload in trees.items():
                entries = payload["files"]
                self._know(entries)
                changes = self._compare(entries)
                if changes and validate:
                    self._validate_staged(entries, changes, payload.get("validate_tree"))
                if self.diff:
                    diffs += self._diffs(changes, payload)
                paths = {change.path for change in changes} | self._make_accounts(entries)
                found[name] = sorted(paths | (unreported & set(self._paths)))
            return found, diffs
        except OSError as e:
            raise ConfigTreeError(f"{e.filename or 'config_tree'}: {e.strerror}.") from e

    def _know(self, entries):
        """Remember of one tree what messages may show, and what not."""
        self._paths = [entry["path"] for entry in entries]
        self._secrets = [(entry["content"], entry.get("public", "")) for entry in entries if entry.get("secret")]
        self._secrets += [("\n".join(entry["concealed"]), "") for entry in entries if entry.get("concealed")]

    def reported(self):
        """The result is out: nothing of it has to be said again."""
        if self.check:
            return
        if lstat(self.journal_file):
            os.unlink(self.journal_file)
            sync_directory(self.state_dir)
        unreported = set(self._unreported())
        if unreported & self._told:
            self._write_state(self.unreported_file, sorted(unreported - self._told))

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

    def _private_directory(self, path, mode):
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
            raise ConfigTreeError(
                f"{path} has to be a directory that only its owner, UID {os.geteuid()}, can write to."
            )

    def _take_lock(self):
        self._private_directory(self.run_dir, 0o711)
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

    def _write_state(self, path, value):
        self._private_directory(self.state_dir, 0o700)
        new = path + ".new"
        remove_any(new)
        write_new(new, json.dumps(value).encode("ascii"), None, None, 0o600)
        os.rename(new, path)
        sync_directory(self.state_dir)

    def _unreported(self):
        data = read(self.unreported_file)
        return json.loads(data) if data else []

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

    def _compare(self, entries):
        changes = []
        coming = set()  # directories that this run makes
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
                        changes.append(Change("mkdir", {**PARENT, "path": parent}, None))
                change = getattr(self, "_compare_" + entry["state"])(entry)
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
            self._ids(entry)
            return Change("mkdir", entry, st)
        if not stat.S_ISDIR(st.st_mode):
            raise ConfigTreeError(
                f"{entry['path']} should be a directory, and is {self._kind(st)}. Remove it, or choose another path."
            )
        if (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (*self._ids(entry), int(entry["mode"], 8)):
            return None
        return Change("attributes", entry, st, attributes_only=True)

    def _compare_link(self, entry):
        path = entry["path"]
        st = lstat(path)
        ids = self._ids(entry)
        if st is None:
            return Change("create", entry, st)
        self._refuse_special(path, st)
        same = stat.S_ISLNK(st.st_mode) and os.readlink(path) == entry["target"]
        if same and (st.st_uid, st.st_gid) == ids:
            return None
        return Change("replace", entry, st, attributes_only=same)

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
            return Change("create", entry, st, data)
        same = old == data and stat.S_ISREG(st.st_mode)
        if same and (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (*ids, int(entry["mode"], 8)):
            return None
        return Change("replace", entry, st, data, old, attributes_only=same)

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
        root = os.path.join(self.run_dir, self.token)
        try:
            self._stage_tree(root, entries, {change.path: change for change in changes})
            for change in single:
                self._validate(change.entry["validate"], f"{change.path} is not valid", root + change.path, root)
            if validate_tree and changed:
                self._validate(validate_tree, "The new configuration is not valid", root, root)
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

    def _program(self, command):
        """The environment to run a command in, or None when check mode has to do without the command."""
        search = os.pathsep.join([os.environ.get("PATH", ""), *SBIN]).strip(os.pathsep)
        if shutil.which(command[0], path=search) is not None:
            return {**os.environ, "PATH": search, "LC_ALL": "C.UTF-8"}
        if not self.check:
            raise ConfigTreeError(
                f"The validator `{shlex.join(command)}` cannot run: {command[0]} is not installed on this host. "
                "Install it before its configuration, or correct the command."
            )
        self.skipped.append(f"{shlex.join(command)}: {command[0]} is not installed")
        return None

    def _validate(self, command, what, place, root):
        """Run one validator with `place` for %s; `root` is what its messages must not show."""
        env = self._program(command)
        if env is None:
            return
        words = [word.replace("%s", place) for word in command] if place else command
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=env,
                timeout=VALIDATOR_SECONDS,
                check=False,
            )
            output, end = done.stdout, f"exit status {done.returncode}"
            if done.returncode == 0:
                return
        except subprocess.TimeoutExpired as e:
            output, end = e.stdout or b"", f"no answer for {VALIDATOR_SECONDS} s"
        said = output.decode("utf-8", "replace").strip()
        if root:
            for name in sorted({root, os.path.realpath(root)}, key=len, reverse=True):
                said = said.replace(name + "/", "/").replace(name, "/")
        if len(said) > OUTPUT_CHARACTERS:
            said = said[:OUTPUT_CHARACTERS] + "\n[more]"
        # Here, and not on the controller: Ansible keeps copies of a message that leaves the host.
        said = redact(said, self._secrets, self._paths)
        path, line = locate(said, self._paths)
        if root and place != root:
            path = place[len(root) :]
        raise ConfigTreeError(
            f"{what}: `{shlex.join(command)}` says ({end}):\n{said}",
            output=said,
            path=path,
            line=line,
        )

    # -- apply ------------------------------------------------------------------------------------------------------

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

    def _apply(self, changes, live):
        if live:
            self._program(live)  # before anything is replaced
        steps = [self._step(change) for change in changes]
        self._write_state(self.journal_file, {"done": False, "steps": steps})
        try:
            for change, step in zip(changes, steps, strict=True):
                self._stage(change, step)
            for change, step in zip(changes, steps, strict=True):
                self._swap(change, step)
            self._sync(steps)
            if live:
                self._validate(live, "The new configuration is not valid", None, None)
            self._write_state(self.journal_file, {"done": True, "steps": steps})
        except BaseException as e:
            try:
                self._undo(steps)
            except NotRestored as worse:
                raise NotRestored(f"{e}\n{worse}") from e
            self._drop_journal()
            if isinstance(e, OSError):
                raise ConfigTreeError(f"{e.filename2 or e.filename or 'config_tree'}: {e.strerror}.") from e
            raise
        self._clean(steps)

    def _stage(self, change, step):
        if change.do == "mkdir":
            os.mkdir(change.path, 0o700)
            set_directory(change.path, *self._ids(change.entry), int(change.entry["mode"], 8))
        elif change.data is not None:
            write_new(step["new"], change.data, *self._ids(change.entry), int(change.entry["mode"], 8))
        elif change.do in ("create", "replace"):
            os.symlink(change.entry["target"], step["new"])
            os.lchown(step["new"], *(-1 if one is None else one for one in self._ids(change.entry)))

    def _swap(self, change, step):
        if change.do == "attributes":
            set_directory(change.path, *self._ids(change.entry), int(change.entry["mode"], 8))
        elif change.do == "create":
            os.link(step["new"], change.path, follow_symlinks=False)
        elif change.do == "replace":
            os.link(change.path, step["old"], follow_symlinks=False)
            os.rename(step["new"], change.path)
        elif change.do == "remove":
            os.rename(change.path, step["old"])

    @staticmethod
    def _sync(steps):
        for parent in sorted({os.path.dirname(step["path"]) for step in steps}):
            if os.path.isdir(parent):
                sync_directory(parent)

    def _clean(self, steps):
        """The new files are in place: remove the second names and the old files."""
        for step in steps:
            for name in step.keys() & {"new", "old"}:
                try:
                    remove_any(step[name])
                except OSError as e:
                    self.warnings.append(f"{step[name]} is left over and could not be removed: {e.strerror}")

    # -- undo -------------------------------------------------------------------------------------------------------

    def _drop_journal(self):
        os.unlink(self.journal_file)
        sync_directory(self.state_dir)

    def _recover(self):
        """Bring a run that was killed to an end: back when it was not done, forward when it was."""
        data = read(self.journal_file)
        if data is None:
            return
        journal = json.loads(data)
        steps = journal["steps"]
        paths = [step["path"] for step in steps if journal["done"] or self._was_swapped(step)]
        if paths:
            self._write_state(self.unreported_file, sorted({*self._unreported(), *paths}))
        if journal["done"]:
            self._clean(steps)
        else:
            self._undo(steps)
        self._drop_journal()

    @staticmethod
    def _was_swapped(step):
        if step["do"] == "create":
            return same_file(step["new"], step["path"])
        if step["do"] in ("replace", "remove"):
            return lstat(step["old"]) is not None and not same_file(step["old"], step["path"])
        if step["do"] == "attributes":
            st = lstat(step["path"])
            return st is not None and [st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)] != step["was"]
        return False

    def _undo(self, steps):
        """Restore everything, in reverse. Each step can be undone again when this is killed, too."""
        wrong = []
        for step in reversed(steps):
            try:
                self._undo_step(step)
            except OSError as e:
                wrong.append(f"{step['path']}: {e.strerror}")
        if wrong:
            raise NotRestored(
                f"The old configuration could not be restored ({'; '.join(wrong)}). {self.journal_file} says where "
                "the old files are. Remove the cause and run again: the next run restores them first."
            )
        self._sync(steps)

    @staticmethod
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

    # -- diff -------------------------------------------------------------------------------------------------------

    def _diffs(self, changes, payload):
        return [part for change in changes for part in self._diff(change, payload.get("diff_limit") or 0)]

    def _diff(self, change, limit):
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
        before, after = self._attributes_now(change), self._attributes_then(entry)
        if before != after and not (change.st is None and change.data is not None):
            parts.append({**header, "before": before, "after": after})
        return parts

    @staticmethod
    def _attributes_now(change):
        st = change.st
        if st is None:
            return "state: absent\n"
        owner, group = account_names(st)
        if stat.S_ISLNK(st.st_mode):
            return f"state: link\nowner: {owner}\ngroup: {group}\ntarget: {change.target}\n"
        state = "directory" if stat.S_ISDIR(st.st_mode) else "file"
        return f"state: {state}\nowner: {owner}\ngroup: {group}\nmode: {stat.S_IMODE(st.st_mode):04o}\n"

    @staticmethod
    def _attributes_then(entry):
        if entry["state"] == "absent":
            return "state: absent\n"
        last = f"target: {entry['target']}" if entry["state"] == "link" else f"mode: {int(entry['mode'], 8):04o}"
        return f"state: {entry['state']}\nowner: {entry['owner']}\ngroup: {entry['group']}\n{last}\n"
