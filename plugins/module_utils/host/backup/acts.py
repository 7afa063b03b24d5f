# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make backups in every repository, and check them."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping

from .. import words
from . import places
from .base import Failed, say
from .restic import TAG, Repository, shown
from .staging import Config, Manifest, databases_of, describe, stage
from .state import Entry, State

DAY = 86400


def make(repository: Repository, entry: Entry) -> None:
    """Makes a repository that has never been there. One that is gone is missed, and not made anew by itself."""
    identity = repository.identity()
    if identity is None:
        repository.ask("init")
        identity = repository.identity()
        say(f"made {repository.name}")
    entry["id"] = identity


def is_due(entry: Entry, key: str, seconds: float, now: float) -> bool:
    return not entry.get(key) or now - entry[key] >= seconds


def keep_options(keep: Mapping[str, int]) -> list[str]:
    return [word for period, number in sorted(keep.items()) for word in (f"--keep-{period}", str(number))]


class Backup:
    """The backup of this host in all its repositories."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.state = State(config["repositories"])

    def each_repository(
        self, act: Callable[[Repository, Entry], None], choose: Callable[[Entry], bool] = lambda entry: True
    ) -> None:
        """Does something with every repository, and fails when one of them has."""
        kept = self.state.load()
        kept.setdefault("repositories", {})
        failures = []
        for address in self.config["repositories"]:
            entry = kept["repositories"].setdefault(shown(address), {})
            if not choose(entry):
                continue
            try:
                act(Repository(address, self.config["host"]), entry)
                entry["last_error"] = None
            except Failed as failure:
                entry["last_error"] = str(failure)
                failures.append(str(failure))
        try:
            self.state.save(kept)
        except OSError as error:
            failures.append(f"{places.STATE}: {error.strerror}")
        if failures:
            raise Failed("\n".join(failures))

    def init(self) -> None:
        """Makes the repositories that have never been there."""
        self.each_repository(make, lambda entry: not entry.get("id"))

    def check_all(self) -> None:
        """Checks every repository now."""
        self.each_repository(self.check)

    def run(self) -> None:
        """Saves this host in every repository."""
        config, now = self.config, int(time.time())
        told = f"the backup that began at {words.utc(now)} has not ended: it is at work, or was killed"
        self.state.note(begun=now, run_error=told)
        error = None
        try:
            try:
                manifest = stage(config["host"], databases_of(config), config["paths"])
            except (Failed, OSError) as failure:
                error = str(failure)
                raise
            self.each_repository(lambda repository, entry: self.save(repository, entry, manifest))
        finally:
            shutil.rmtree(places.STAGE, ignore_errors=True)
            self.state.note(begun=None, run_error=error)

    def save(self, repository: Repository, entry: Entry, manifest: Manifest) -> None:
        """Saves what is staged in one repository, and checks it when its time has come."""
        if repository.identity() is None:
            raise Failed(
                f"{repository.name}: there is no repository any more; have its disk mounted, or, if it is lost, "
                f"remove {places.STATE} and run playbook site, which makes a new one"
            )
        repository.ask("unlock")
        begin = time.monotonic()
        summary = repository.save(manifest["paths"], self.config["exclude"])
        entry |= {"last_success": int(time.time()), "snapshot": summary["snapshot_id"]}
        say(
            f"{repository.name}: snapshot {summary['snapshot_id'][:8]}, files: {summary['total_files_processed']}, "
            f"{words.size(summary['total_bytes_processed'])}, {words.size(summary['data_added'])} of it new, in "
            f"{time.monotonic() - begin:.1f} s"
        )
        if keep := self.config["keep"]:
            options = ["--host", self.config["host"], "--tag", TAG, "--group-by", "host", *keep_options(keep)]
            repository.ask("forget", *options)
        if is_due(entry, "last_check", self.config["check_days"] * DAY - DAY // 2, time.time()):
            self.check(repository, entry)
        entry["size"] = json.loads(repository.ask("stats", "--json", "--mode", "raw-data"))["total_size"]

    def check(self, repository: Repository, entry: Entry) -> None:
        """Checks the whole structure, and reads a part of the data, each time the next one."""
        parts = self.config["check_parts"]
        part = entry.get("check_part", 0) % parts + 1
        begin = time.monotonic()
        repository.ask("check", f"--read-data-subset={part}/{parts}")
        entry |= {"last_check": int(time.time()), "check_part": part}
        say(
            f"{repository.name}: checked, and part {part} of {parts} of its data read, in {time.monotonic() - begin:.1f} s"
        )
        if self.config["keep"]:
            repository.ask("prune")


def show(repository: Repository) -> None:
    """Says what the newest backup has."""
    snapshots = repository.snapshots()
    if not snapshots:
        raise Failed(f"{repository.name}: there is no backup of {repository.host} in it")
    newest = snapshots[-1]
    say(
        f"{repository.name}: snapshots of {repository.host}: {len(snapshots)}, the newest {newest['short_id']} of "
        f"{words.utc(newest['seconds'])}, with"
    )
    for line in describe(repository.manifest(newest["id"])):
        say(f"  {line}")
