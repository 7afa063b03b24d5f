# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From Debian 12 to 13 on the host itself: what must hold before, the steps, and how far they are.

Debian's own tools do each step. What is done is noted, since in the middle of an upgrade the host says 13 of itself already.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Collection, Iterable

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import debian_postgresql
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.debian_sources import (
    NEW,
    NUMBERS,
    OLD,
    is_debian,
    targets,
    upgraded_list,
    upgraded_stanzas,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import files
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import (
    CommandError,
    Finished,
    attempt,
    run,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.upgrade_notes import FOLDER, STATE, STEPS

POSTGRESQL = {OLD: "15", NEW: "17"}

LOCK = f"{FOLDER}/lock"
SOURCES = "/etc/apt/sources.list"
SOURCES_PARTS = "/etc/apt/sources.list.d"
PREFERENCES = ("/etc/apt/preferences", "/etc/apt/preferences.d")
POLICY = "/usr/sbin/policy-rc.d"
STATUS = "/usr/local/sbin/xmpp-status"
AGAIN = "mend that, and run the same command again: it goes on from there"

# Nobody is asked. A file of the configuration that somebody has changed stays as it is.
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "APT_LISTCHANGES_FRONTEND": "none", "NEEDRESTART_SUSPEND": "1"}
RECOMMENDS = "--option=APT::Install-Recommends=false"
# So long another user of apt may take.
LOCK_SECONDS = 900
APT = (
    "apt-get",
    "--yes",
    RECOMMENDS,
    "--option=Dpkg::Options::=--force-confdef",
    "--option=Dpkg::Options::=--force-confold",
    f"--option=DPkg::Lock::Timeout={LOCK_SECONDS}",
)
# These two change nothing, whatever the host's own apt.conf says. The second one says how much room is needed.
SIMULATE = ("apt-get", "--simulate", RECOMMENDS, "full-upgrade")
MEASURE = ("apt-get", "--print-uris", "--yes", RECOMMENDS, "full-upgrade")
# What is free must be more: logs, the initial ramdisks, and what apt does not count.
SPARE = 1 << 30
BOOT = 250 << 20
UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}

# Says of each service whether a package may start or restart it (invoke-rc.d(8)): no other than those that ran.
POLICY_TEXT = """#!/bin/sh
# Of playbook upgrade_debian, which removes it at its end.
case ${1%.service} in
RUNNING) exit 0 ;;
esac
case $2 in
stop) exit 0 ;;
esac
exit 101
"""


class UpgradeError(Exception):
    """What keeps the host from being upgraded, and what to do about it."""


# --- sources of packages ------------------------------------------------------------------------------------------


def source_files() -> list[str]:
    """Return the files that apt reads sources from."""
    names = sorted(os.listdir(SOURCES_PARTS)) if os.path.isdir(SOURCES_PARTS) else []
    paths = [SOURCES, *(f"{SOURCES_PARTS}/{name}" for name in names if name.endswith((".list", ".sources")))]
    return [path for path in paths if os.path.isfile(path)]


def upgraded_sources(uris: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return each file of sources with its text and the one that it gets."""
    found = {}
    for path in source_files():
        text = files.read_text(path)
        change = upgraded_stanzas if path.endswith(".sources") else upgraded_list
        found[path] = (text, change(text, uris))
    return found


# --- what apt and dpkg say ------------------------------------------------------------------------------------------


def parse_simulation(text: str) -> dict[str, list[str]]:
    """Turn the output of `apt-get --simulate` into the packages that are new, upgraded and removed."""
    found: dict[str, list[str]] = {"new": [], "upgraded": [], "removed": []}
    for line in text.splitlines():
        if words := re.match(r"(Inst|Remv) (\S+)( \[)?", line):
            kind = "removed" if words[1] == "Remv" else "upgraded" if words[3] else "new"
            found[kind].append(words[2])
    return found


def parse_room(text: str) -> tuple[int, int]:
    """Return how many bytes apt wants to download, and how many more the packages take then."""

    def size(pattern: str) -> int:
        found = re.search(pattern, text)
        return int(float(found[1].replace(",", "")) * UNITS[found[2]]) if found else 0

    number = r"([\d,.]+) ([kMG]?B)"
    download = size(rf"Need to get (?:[\d,.]+ [kMG]?B/)?{number} of archives")
    return download, size(rf"After this operation, {number} of additional disk space")


def missing_room(needed: Iterable[tuple[str, int]]) -> list[str]:
    """Return what is wrong with the room on disks, for paths and bytes; those of one file system add up."""
    sums: dict[int, int] = {}
    names: dict[int, str] = {}
    for path, size in needed:
        device = os.stat(path).st_dev
        sums[device] = sums.get(device, 0) + size
        names.setdefault(device, path)
    found = []
    for device, size in sums.items():
        free = shutil.disk_usage(names[device]).free
        if free < size:
            found.append(
                f"{names[device]}: {free >> 20} MiB are free, and the upgrade needs {size >> 20} MiB; make room"
            )
    return found


# --- before anything changes ----------------------------------------------------------------------------------------


def release() -> str:
    """Return the code name of the release that the host says to run, or an empty text."""
    found = re.search(r'^VERSION_CODENAME="?([^"\n]+)', files.read_text("/etc/os-release"), re.M)
    return found[1] if found else ""


def noted() -> dict:
    """Return how far an upgrade is that has begun; nothing where none has."""
    state: dict = files.read_json(STATE, {})
    return state


class Upgrade:
    """An upgrade of this host."""

    def __init__(self, services: list[str], foreign: bool) -> None:
        self.services, self.foreign = services, foreign

    # What is asked before the first change.

    def problems(self) -> list[str]:
        """Return all that keeps the host from being upgraded, and note in `plan` what would be done."""
        self.plan: list[str] = []
        if release() != OLD:
            return [
                f"it runs {release() or 'an unknown release'}, and this upgrades Debian {NUMBERS[OLD]} ({OLD}) only"
            ]
        found = [*self._own(), *self._packages()]
        # By lists in a folder of its own; apt's own user writes there.
        folder = tempfile.mkdtemp(prefix="xmpp-upgrade-", dir="/var/tmp")
        try:
            os.chmod(folder, 0o755)
            lists, parts = f"{folder}/lists", f"{folder}/parts"
            os.mkdir(lists)
            os.mkdir(parts)
            apart = (
                f"--option=Dir::State::Lists={lists}",
                "--option=Dir::Cache::pkgcache=",
                "--option=Dir::Cache::srcpkgcache=",
            )
            # What cannot be fetched is a foreign source then.
            attempt(["apt-get", "update", *apart], seconds=1800, environment=QUIET)
            known = targets(*apart)
            found += self._sources(known)
            if found:
                return found
            # Only with sources that fit, apt can tell what it would do.
            uris = {one["uri"] for one in known if is_debian(one)}
            for path, (_old, new) in upgraded_sources(uris).items():
                files.replace(f"{parts}/{'main.list' if path == SOURCES else os.path.basename(path)}", new)
            return self._simulated(
                uris, *apart, f"--option=Dir::Etc::SourceList={folder}/none", f"--option=Dir::Etc::SourceParts={parts}"
            )
        except UpgradeError as error:
            return [f"packages of Debian {NUMBERS[NEW]}: {error}"]
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _own(self) -> list[str]:
        if not os.path.exists(STATUS):
            return [f"{STATUS} is not there, so this collection has not set the host up; run playbook site first"]
        done = attempt([STATUS, "--json"], seconds=600)
        if done.status < 2:
            return []
        try:
            failures = [one for one in json.loads(done.stdout) if one["level"] == "fails"]
            return [f"the self-test fails: {one['subject']}: {one['text']}; mend it first" for one in failures]
        except (ValueError, KeyError, TypeError):
            return [f"{STATUS}: {tail(done.said)}"]

    @staticmethod
    def _packages() -> list[str]:
        found = []
        if audit := run(["dpkg", "--audit"]).strip():
            broken = sorted(set(re.findall(r"^ (\S+)", audit, re.M)))
            found.append(
                f"not whole: {' '.join(broken) or audit}; type dpkg --configure -a and apt-get --fix-broken install"
            )
        if held := run(["apt-mark", "showhold"]).split():
            found.append(f"on hold: {' '.join(held)}; type apt-mark unhold {' '.join(held)}")
        if os.path.exists(POLICY):
            found.append(f"{POLICY}: it decides which services packages start; move it away until the upgrade is over")
        found += [f"{path}: it chooses versions of packages; move it away until the upgrade is over" for path in pins()]
        return found

    def _sources(self, known: list[dict[str, str]]) -> list[str]:
        debian = [one for one in known if is_debian(one)]
        foreign = [f"{one['uri']} {one['suite']}" for one in known if not is_debian(one)]
        found = []
        if not any(one["codename"] in NUMBERS for one in debian):
            found.append(
                f"no source of apt is Debian's {OLD}; write it into {SOURCES}, and see what apt-get update says"
            )
        if self.foreign:
            self.plan += [f"stays as it is: the source {one}" for one in foreign]
        else:
            found += [
                f"foreign source of packages: {one}; remove it, or set upgrade_foreign_sources=true if its packages fit "
                f"Debian {NUMBERS[NEW]}, too"
                for one in foreign
            ]
        return found

    def _simulated(self, uris: Collection[str], *apart: str) -> list[str]:
        """Return what is wrong with that which apt would do."""
        self._checked(["apt-get", "update", "--error-on=any", *apart])
        actions = parse_simulation(self._checked([*SIMULATE, *apart]).stdout)
        download, added = parse_room(self._checked([*MEASURE, *apart]).stdout)
        self.plan += [
            f"in {path}: {OLD} becomes {NEW}" for path, (old, new) in upgraded_sources(uris).items() if old != new
        ]
        self.plan.append(
            f"packages: {len(actions['upgraded'])} are upgraded, {len(actions['new'])} are new, "
            f"{len(actions['removed'])} are removed; {download // 10**6} MB are downloaded"
        )
        if actions["removed"]:
            self.plan.append(f"removed: {' '.join(actions['removed'])}")
        room = [("/var/cache/apt/archives", download), ("/usr", added), ("/var", SPARE)]
        if os.path.ismount("/boot"):
            room.append(("/boot", BOOT))
        if cluster := debian_postgresql.clusters().get((POSTGRESQL[OLD], debian_postgresql.NAME)):
            room.append((cluster["data"], size_of(cluster["data"])))
            self.plan.append(
                f"PostgreSQL: the data of version {POSTGRESQL[OLD]} is copied to version {POSTGRESQL[NEW]}"
            )
        # Libraries give way to those of the new release, whoever has asked for them.
        sections = run(["dpkg-query", "--show", "--showformat", "${Package}\t${Section}\n"]).splitlines()
        libraries = {line.split("\t")[0] for line in sections if re.search(r"\t(?:.*/)?(?:old)?libs$", line)}
        manual = set(run(["apt-mark", "showmanual"]).split())
        gone = sorted(manual & set(actions["removed"]) - libraries)
        return missing_room(room) + [
            f"{name}: Debian {NUMBERS[NEW]} would remove this package; remove it first, or type apt-mark auto {name} if you "
            "do not need it"
            for name in gone
        ]

    # The upgrade itself.

    def run(self) -> bool:
        """Go on until all of it is done, wherever it was; tell whether anything was to do."""
        os.makedirs(FOLDER, mode=0o700, exist_ok=True)
        # What works on for a run that was killed is waited for.
        with files.locked(LOCK, inherited=True):
            state = noted()
            if not state and release() != OLD:
                return False
            if "running" not in state:
                state["running"] = running()
                self._note(state)
            # Neither updates nor alarms of their own meanwhile.
            self._stop(state, ".timer")
            if "uris" not in state:
                # All updates of the old release first: its sshd then takes connections all along.
                self._update()
                self._apt("upgrade")
                state["uris"] = sorted({one["uri"] for one in targets() if is_debian(one)})
                self._note(state)
            steps = (self._step_sources, self._step_packages, self._step_postgresql)
            changed = False
            for name, step in zip(STEPS, steps, strict=True):
                if name in state.get("done", []):
                    continue
                step(state)
                state["done"] = [*state.get("done", []), name]
                self._note(state)
                changed = True
            files.remove(POLICY)
            return changed

    @staticmethod
    def _note(state: dict) -> None:
        files.write_json(STATE, state, mode=0o600)

    def _stop(self, state: dict, kind: str = "") -> None:
        if stop := [name for name in self.services if name in state["running"] and name.endswith(kind)]:
            run(["systemctl", "stop", *stop], seconds=1200)

    def _step_sources(self, state: dict) -> None:
        for path, (old, new) in upgraded_sources(state["uris"]).items():
            if old != new:
                status = os.stat(path)
                files.replace(path, new, mode=stat.S_IMODE(status.st_mode), user=status.st_uid, group=status.st_gid)
        self._update("--error-on=any")
        # As much as can be before the services stop.
        self._apt("full-upgrade", "--download-only")

    def _step_packages(self, state: dict) -> None:
        # Our services run with their configuration of the new release only, which comes after the packages.
        self._stop(state)
        allowed = [name.removesuffix(".service") for name in state["running"] if name.endswith(".service")]
        allowed = [name for name in allowed if f"{name}.service" not in self.services]
        files.replace(POLICY, POLICY_TEXT.replace("RUNNING", " | ".join(map(quoted, allowed))), mode=0o755)
        # What a killed run has left.
        self._dpkg()
        self._apt("install", "--fix-broken")
        self._apt("upgrade", "--without-new-pkgs")
        self._apt("full-upgrade")
        self._apt("clean")

    def _step_postgresql(self, state: dict) -> None:
        # After a loss of power they run again, with half a configuration, and write to the data that is to move.
        self._stop(state)
        try:
            debian_postgresql.move(POSTGRESQL[OLD], POSTGRESQL[NEW])
        except debian_postgresql.ClusterError as error:
            raise UpgradeError(f"pg_upgradecluster: {tail(str(error))}; {AGAIN}") from error
        except CommandError as error:
            raise UpgradeError(f"{tail(str(error))}; {AGAIN}") from error

    def _update(self, *options: str) -> None:
        """For the lists' lock, which munin's cron job takes every five minutes, apt-get itself does not wait."""
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                self._apt("update", *options)
                return
            except UpgradeError as error:
                if "/lists/lock" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(1)

    def _apt(self, *words: str) -> Finished:
        return self._checked([*APT, *words])

    def _dpkg(self) -> None:
        self._checked(["dpkg", "--configure", "--pending", "--force-confdef", "--force-confold"])

    @staticmethod
    def _checked(command: list[str]) -> Finished:
        # It holds the lock, too: whoever comes after a kill waits for it.
        done = attempt(command, seconds=None, environment=QUIET, inherit=True)
        if done.status:
            what = " ".join(word for word in command if not word.startswith("--option="))
            raise UpgradeError(f"{what}: {tail(done.said)}; {AGAIN}")
        return done


def finish() -> bool:
    """Note that all of it is over."""
    there = os.path.exists(STATE)
    if there:
        shutil.rmtree(FOLDER)
    return there


def running() -> list[str]:
    """Return the units that are active."""
    text = run(["systemctl", "list-units", "--state=active", "--no-legend", "--plain", "--type=service,timer,socket"])
    return [line.split()[0] for line in text.splitlines() if line.strip()]


def progress(state: dict) -> list[str]:
    """Return how far an upgrade is that has begun, one thing a line."""
    done = state.get("done", [])
    found = [f"goes on: of its steps, done: {', '.join(done) or 'nothing'}"]
    if "packages" in done and "postgresql" not in done:
        found += filter(None, [debian_postgresql.standing(POSTGRESQL[OLD], POSTGRESQL[NEW])])
    return found


def pins() -> list[str]:
    """Return the files that choose versions of packages (apt_preferences(5))."""
    one, folder = PREFERENCES
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    paths = [one, *(f"{folder}/{name}" for name in names)]
    return [path for path in paths if re.search(r"^Package:", files.read_text(path), re.M)]


def size_of(folder: str) -> int:
    return int(run(["du", "--summarize", "--bytes", folder], seconds=600).split()[0])


def quoted(name: str) -> str:
    """A unit's name as a pattern of the shell that matches nothing else."""
    return "'" + name.replace("'", "'\\''") + "'"


def tail(text: str, lines: int = 12) -> str:
    """Return the end of what a program has printed, without progress."""
    return "\n".join([line for line in text.strip().splitlines() if "(Reading database" not in line][-lines:])
