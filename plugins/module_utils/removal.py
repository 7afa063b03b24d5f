# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a host back to what it was before the collection: what came goes, what was replaced returns, data stays.

What the roles bring comes from their plans. What was there before is in take_over's record and its folder. Each step does
nothing where it was done, and MARK says that a removal has begun, so that the next run continues a killed one.
"""

from __future__ import annotations

import contextlib
import glob
import grp
import os
import pwd
import re
import stat

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import take_over
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree import STATE_DIR
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_files import lstat, read, remove_any
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import commands, files

MARK = "removing.json"
# What a role says of its removal: further paths that go, data that stays, commands before the files go and after it, units that
# go on, files that a package's own scripts have made, and what the operator has to know.
KEYS = ("paths", "data", "before", "after", "stays", "made", "notes")
UNITS = "/etc/systemd/system"
# The last role's timer: where it is, the host was set up.
TIMER = f"{UNITS}/xmpp-status.timer"
UNIT_NAME = re.compile(r".+\.(service|timer|socket|path|mount)")
PROFILES = "/etc/apparmor.d"
# A profile that is not in the kernel is an error to the parser.
UNLOAD = '! aa-enabled --quiet 2>/dev/null || apparmor_parser --remove "$0" 2>/dev/null || true'
# Its stop flushes the rules of other programs, too.
LOADS_RULES = "nftables.service"
# A Debian host has these folders, and no package owns them.
STANDARD = frozenset({f"/usr/local/{name}" for name in ("bin", "lib", "libexec", "sbin", "share")} | {"/var/www"})
SYSUSERS = "/etc/sysusers.d/"
ACCOUNT = re.compile(r"^([ug])!?\s+([a-z_][a-z0-9_-]*)\s", re.M)


class RemovalError(Exception):
    """It could not be removed; the message says why, and what to do."""


def run(command, check=True):
    """Runs a program and returns what it printed; with `check`, it has to succeed."""
    try:
        done = commands.attempt(command, seconds=300)
    except commands.CommandError as error:
        raise RemovalError(f"{error}; the removal is not complete. Run the playbook again") from error
    if done.status and check:
        raise RemovalError(
            f"`{' '.join(command)}` failed: {done.said or done.status}. The removal is not complete: correct the cause, and "
            "run the playbook again"
        )
    return done.stdout


def same(one, other):
    """Whether two files or links have the same content, owner and mode."""
    a, b = lstat(one), lstat(other)
    if (
        a is None
        or b is None
        or (stat.S_IFMT(a.st_mode), a.st_uid, a.st_gid) != (stat.S_IFMT(b.st_mode), b.st_uid, b.st_gid)
    ):
        return False
    if stat.S_ISLNK(a.st_mode):
        return os.readlink(one) == os.readlink(other)
    return a.st_mode == b.st_mode and read(one) == read(other)


class Removal:
    """What there is to do on a host, and doing it. `brought` is what the action plugin `remove` says of each role."""

    def __init__(self, brought, *, base=take_over.BASE, root="/", run=run):
        self.base, self.root, self.run = base, root.rstrip("/"), run
        self.brought = list(brought.values())
        self.record = files.read_json(os.path.join(base, take_over.RECORD), {})
        self.begun = files.read_json(os.path.join(base, MARK), {})
        self.before = self.record.get("before", {"packages": [], "enabled": [], "active": []})
        self.kept = os.path.join(self.record["folder"], "files") if self.record.get("folder") else ""
        self.is_set_up = bool(self.record or self.begun) or lstat(self.root + TIMER) is not None
        if self.is_set_up:
            self._find_files()
            self._find_units()
            self._find_accounts()
            self._find_rest()

    # -- what there is to do ----------------------------------------------------------------------------------------

    def _of(self, key):
        """What the roles have at a key, each once."""
        lists = [role["removal"][key] if key in KEYS else role[key] for role in self.brought]
        found = []
        for values in lists:
            found += [value for value in values if value not in found]
        return found

    def _copy(self, path):
        """The copy of a file or a link from before, or nothing. Copies of folders have data, which stays as it is."""
        st = lstat(self.kept + path) if self.kept else None
        return self.kept + path if st is not None and not stat.S_ISDIR(st.st_mode) else ""

    def _find_files(self):
        states: dict[str, str] = {}
        for role in self.brought:
            for path, state in role["files"].items():
                if states.get(path, "absent") == "absent":
                    states[path] = state
        theirs = {path for path, state in states.items() if state != "directory"} | {*self.record.get("removed", [])}
        self.restore = sorted(
            path for path in theirs if self._copy(path) and not same(self._copy(path), self.root + path)
        )
        new = [
            path
            for path, state in states.items()
            if state in ("file", "link") and lstat(self.root + path) is not None and not self._copy(path)
        ]
        # Without its configuration, a package would not work.
        self.left = sorted(self._packaged(new) | ({*self._of("made")} & {*new}))
        further = [
            path[len(self.root) :]
            for pattern in [*self._of("paths"), STATE_DIR]
            for path in glob.glob(self.root + pattern)
        ]
        self.remove = take_over.existing([*({*new} - {*self.left}), *further], self.root or "/")
        self.folders = {path for path, state in states.items() if state == "directory"}
        self.folders |= {os.path.dirname(path) for path in self.remove} | {*self.begun.get("folders", [])}

    def _packaged(self, paths):
        """Those of some paths that a package owns."""
        if not paths:
            return set()
        told = self.run(["dpkg-query", "-S", *paths], check=False)
        return {line.partition(": ")[2] for line in told.splitlines()} & {*paths}

    def _is_mask(self, path):
        return os.path.islink(self.root + path) and os.readlink(self.root + path) == "/dev/null"

    def _find_units(self):
        self.now = take_over.before(self.run)
        wanted = {os.path.basename(path) for path in glob.glob(f"{self.root}{UNITS}/*.*[sS]/*")}
        active, enabled = {*self.now["active"]}, {*self.now["enabled"]} | wanted
        was_active, was_enabled = {*self.before["active"]}, {*self.before["enabled"]}
        units = [path for path in self.remove if os.path.dirname(path) == UNITS and UNIT_NAME.fullmatch(path)]
        masks = {os.path.basename(path) for path in units if self._is_mask(path)} | {*self.begun.get("masks", [])}
        self.masks = sorted(masks)
        own_files = {os.path.basename(path) for path in units} - masks
        own = {
            name
            for name in active | enabled | {*self._of("units")}
            if {name, re.sub(r"@[^.]*\.", "@.", name)} & own_files
        }
        packaged = {*self._of("units")} - own - {*self._of("stays")}
        changes = bool(self.remove or self.restore)
        self.stop = sorted((own | packaged - {LOADS_RULES} - (set() if changes else was_active)) & active)
        # All of ours, with each instance of a template: also those that start or fail meanwhile.
        self.ours = sorted({name.replace("@.", "@*.") for name in own_files} | {*self.begun.get("ours", [])})
        # What starts others stops first, or it would start them again.
        self.quiet = sorted({*self.ours, *self.stop}, key=lambda name: (name.endswith(".service"), name))
        self.disable = sorted((own | packaged - was_enabled) & enabled)
        theirs = packaged | masks | {*self.record.get("stopped", []), *self.record.get("disabled", [])}
        self.enable = sorted(theirs & was_enabled - enabled - masks)
        self.start = sorted(theirs & was_active - (active - {*self.stop}))
        # Of one that was made for a time, or whose package was removed, nothing is there to start.
        self.lost = [
            name
            for name in dict.fromkeys(self.enable + self.start)
            if self.run(["systemctl", "show", "-P", "LoadState", name]).strip() == "not-found"
        ]
        self.enable = [name for name in self.enable if name not in self.lost]
        self.start = [name for name in self.start if name not in self.lost]
        self.reload = [LOADS_RULES] if (changes or self.begun) and LOADS_RULES in was_active & active else []

    def _find_accounts(self):
        """The users and groups that our files of sysusers.d make."""
        made = [
            match
            for path in self.remove
            if path.startswith(SYSUSERS)
            for match in ACCOUNT.findall(files.read_text(self.root + path))
        ]
        users = {name for kind, name in made if kind == "u"} | {*self.begun.get("users", [])}
        groups = {name for kind, name in made if kind == "g"} | {*self.begun.get("groups", [])}
        uids, gids = self._owners_of_data()
        # Another account would get the number, and the data with it.
        self.kept_groups = sorted(name for name in groups if _gid(name) in gids)
        self.users = sorted(name for name in users if _uid(name) is not None and _uid(name) not in uids)
        self.groups = sorted(name for name in groups if _gid(name) is not None and _gid(name) not in gids)

    def _owners_of_data(self):
        """The numbers of the users and groups to which something of the data belongs."""
        uids, gids = set(), set()
        for pattern in self._of("data"):
            for top in glob.glob(self.root + pattern):
                for folder, folders, names in os.walk(top):
                    for path in [folder, *(os.path.join(folder, name) for name in folders + names)]:
                        with contextlib.suppress(FileNotFoundError):
                            st = os.lstat(path)
                            uids.add(st.st_uid)
                            gids.add(st.st_gid)
        return uids, gids

    def _find_rest(self):
        installed = {*self.now["packages"]}
        known = {*self.before["packages"]}
        self.came = sorted({*self._of("packages")} & installed - known) if known else []
        self.gone = sorted(known - installed)
        self.data = sorted({path for path in [*self._of("data"), self.base] if glob.glob(self.root + path)})
        self.undo = self.record.get("undo", [])

    def report(self):
        """All of it as lines to read."""
        if not self.is_set_up:
            return ["Nothing of the collection is on this host"]
        parts = (
            ("stop", self.stop),
            ("disable", self.disable),
            ("bring back as it was before", self.restore),
            ("remove", self.remove),
            ("delete the user", self.users),
            ("delete the group", self.groups),
            ("leave the group, without members, to which keys belong", self.kept_groups),
            ("enable again", self.enable),
            ("start again", self.start),
            ("not there any more", self.lost),
            ("run", [" ".join(command[:2] + command[3:] if command[0] == "sh" else command) for command in self.undo]),
            ("leave, as no copy of the package's own was kept", self.left),
            ("leave the data", self.data),
        )
        lines = [f"{act}: {name}" for act, names in parts for name in names]
        if self.came:
            lines.append(f"leave the packages that came with the collection: {' '.join(self.came)}")
        if self.gone:
            lines.append(f"not there any more: the packages {' '.join(self.gone)}")
        return lines + [f"note: {note}" for note in self._of("notes")]

    # -- doing it ---------------------------------------------------------------------------------------------------

    def apply(self):
        """Does all of it. Run again after a kill, it goes on."""
        os.makedirs(self.base, 0o700, exist_ok=True)
        files.write_json(
            os.path.join(self.base, MARK),
            {
                "users": self.users,
                "groups": self.groups,
                "folders": sorted(self.folders),
                "masks": self.masks,
                "ours": self.ours,
            },
            mode=0o600,
        )
        for unit in self.quiet:
            self.run(["systemctl", "stop", unit], check=unit in self.stop)
        for unit in self.disable:
            self.run(["systemctl", "disable", "--quiet", unit])
        for command in self._of("before"):
            self.run(command)
        for path in self.remove:
            if os.path.dirname(path) == PROFILES:
                self.run(["sh", "-c", UNLOAD, path])
        for path in self.restore:
            self._bring_back(path)
        # The timer that says that the host was set up goes last.
        for path in sorted(self.remove, key=lambda path: (path == TIMER, path)):
            remove_any(self.root + path)
        self._remove_folders()
        self.run(["systemctl", "daemon-reload"])
        for unit in self.quiet:
            self.run(["systemctl", "reset-failed", unit], check=False)
        self._delete_accounts()
        for command in self._of("after"):
            self.run(command)
        for unit in self.reload:
            self.run(["systemctl", "reload", unit])
        for command in self.undo:
            self.run(command)
        for unit in self.enable:
            self.run(["systemctl", "enable", "--quiet", unit])
        for unit in self.start:
            self.run(["systemctl", "start", unit])
        self._close()

    def _bring_back(self, path):
        """Puts the copy of before at its place at one go, with the folders above it."""
        above = ""
        for part in path.strip("/").split("/")[:-1]:
            above += f"/{part}"
            if not os.path.isdir(self.root + above):
                st = os.lstat(self.kept + above)
                os.mkdir(self.root + above, 0o700)
                os.chown(self.root + above, st.st_uid, st.st_gid)
                os.chmod(self.root + above, stat.S_IMODE(st.st_mode))
        place = self.root + path
        draft = os.path.join(os.path.dirname(place), f".{os.path.basename(place)}.removal~")
        remove_any(draft)
        take_over.copy_one(self._copy(path), draft)
        os.rename(draft, place)

    def _remove_folders(self):
        """Removes folders of ours that are empty, the deepest first, and those above them; no package's."""
        found = set()
        for path in self.folders:
            while path.count("/") > 1:
                found.add(path)
                path = os.path.dirname(path)
        found = {path for path in found if os.path.isdir(self.root + path)} - STANDARD
        found -= self._packaged(sorted(found))
        for path in sorted(found, key=lambda path: -path.count("/")):
            with contextlib.suppress(OSError):
                os.rmdir(self.root + path)

    def _delete_accounts(self):
        """Deletes users and groups. Of groups that stay, nobody is a member."""
        for name in self.kept_groups:
            self.run(["gpasswd", "--members", "", name])
        for name in self.users:
            self.run(["userdel", name])
        for name in self.groups:
            if _gid(name) is not None:
                self.run(["groupdel", name])

    def _close(self):
        """The record goes to the folder of the copies: for the collection, this host is one of somebody else again."""
        place = os.path.join(self.base, take_over.RECORD)
        if os.path.exists(place):
            folder = self.record.get("folder") or self.base
            os.rename(place, os.path.join(folder, f"removed-{self.record['date']}.json"))
        files.remove(os.path.join(self.base, MARK))


def _uid(name):
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _gid(name):
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None
