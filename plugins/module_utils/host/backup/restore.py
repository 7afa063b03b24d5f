# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a backup back, unless something on the host would be lost."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence

from .. import files, words
from . import base, databases, places, placing, staging
from .base import Failed, say
from .restic import Repository, Snapshot
from .staging import Config, Manifest


def newer_files(paths: Iterable[str], since: float) -> list[str]:
    """The files that have changed since a snapshot."""
    found = []
    for path in paths:
        for name in staging.files_below(path):
            with contextlib.suppress(FileNotFoundError):
                if os.lstat(name).st_mtime > since:
                    found.append(name)
    return found


def refuse_what_does_not_fit(manifest: Manifest, wanted: Iterable[tuple[str, str]]) -> None:
    if manifest["version"] != 1:
        raise Failed("a newer version of this program has made the backup; update the collection")
    if manifest["release"] > staging.release():
        raise Failed(
            f"the backup is of Debian {manifest['release']}, and this host runs {staging.release()}; set up the newer "
            "one"
        )
    there = sorted((one["kind"], one["name"]) for one in manifest["databases"])
    wanted = sorted(wanted)
    if there != wanted:
        raise Failed(
            f"the backup has the databases {there}, and the inventory wants {wanted}; have it want "
            "what it did, restore, and move the store afterwards"
        )


def started_since(units: Sequence[str], since: float) -> bool:
    """Whether one of these units has begun to run, by systemd's memory of this boot."""
    told = base.run(["systemctl", "show", "--property=ActiveEnterTimestamp", "--timestamp=unix", "--", *units])
    return any(int(start) >= since for start in re.findall(r"@(\d+)", told))


def is_half_done(snapshot: str, services: Sequence[str]) -> bool:
    """Whether a restore of this snapshot was ended half-way, and nothing has run since that could have written."""
    former = base.read_json(places.RESTORED)
    return bool(former.get("begun") == snapshot) and not started_since(services, former["time"])


def refuse_newer(manifest: Manifest, wanted: Iterable[str], half_done: bool = False) -> None:
    """Refuses where something on the host would be lost that the backup does not have."""
    paths = {*manifest["paths"], *wanted}
    paths |= {
        one["name"] + end
        for one in manifest["databases"]
        if one["kind"] == "sqlite"
        for end in ("", *databases.SIDECARS)
    }
    newer = newer_files(sorted(paths), manifest["time"])
    newer += [
        f"the database {one['name']}"
        for one in manifest["databases"]
        if one["kind"] == "postgresql" and not half_done and databases.has_rows(one["name"])
    ]
    if newer:
        some = ", ".join(newer[:3]) + (" and others" if len(newer) > 3 else "")
        raise Failed(
            f"this host has {len(newer)} things that are newer than the backup of {words.utc(manifest['time'])}, "
            f"and would be lost: {some}. If the backup is what you want, say so: -e backup_restore_overwrite=true"
        )


@contextlib.contextmanager
def services_stopped(units: Sequence[str]) -> Iterator[None]:
    """Stops what uses the data and runs, and starts it again whatever happens."""
    active = [unit for unit in units if base.attempt(["systemctl", "--quiet", "is-active", unit]).status == 0]
    if active:
        base.run(["systemctl", "stop", *active])
    try:
        yield
    finally:
        if active:
            base.run(["systemctl", "start", *active])


def choose(snapshots: Sequence[Snapshot], wanted: str, repository: Repository) -> Snapshot:
    found = [one for one in snapshots if wanted == "latest" or one["id"].startswith(wanted)]
    if not found:
        known = ", ".join(f"{one['short_id']} of {words.utc(one['seconds'])}" for one in snapshots) or "none"
        raise Failed(f"{repository.name}: there is no snapshot {wanted!r} of {repository.host}; there are: {known}")
    return found[-1]


def restore(repository: Repository, config: Config, wanted: str, overwrite: bool) -> None:
    begin = time.monotonic()
    snapshot = choose(repository.snapshots(), wanted, repository)
    name = f"snapshot {snapshot['short_id']} of {words.utc(snapshot['seconds'])}"
    if base.read_json(places.RESTORED).get("snapshot") == snapshot["id"] and not overwrite:
        say(f"unchanged: {name} has been put back already")
        return
    manifest = repository.manifest(snapshot["id"])
    refuse_what_does_not_fit(manifest, staging.databases_of(config))
    if not overwrite:
        # What the one that was ended half-way has left in a database is not newer.
        refuse_newer(manifest, config["paths"], is_half_done(snapshot["id"], config["services"]))
    staging.empty(places.DRAFT)
    try:
        needed = json.loads(repository.ask("stats", "--json", "--mode", "restore-size", snapshot["id"]))["total_size"]
        databases.require_room(places.DRAFT, needed, "the backup")
        repository.ask("restore", snapshot["id"], "--target", places.DRAFT)
        say(f"{name} is here: {words.size(needed)} in {time.monotonic() - begin:.1f} s")
        placing.give_back(places.DRAFT, manifest)
        for database in manifest["databases"]:
            if database["kind"] == "sqlite":
                placing.place_database(database, manifest)
        with services_stopped(config["services"]):
            files.write_json(places.RESTORED, {"begun": snapshot["id"], "time": int(time.time())}, mode=0o600)
            for path in placing.tops(manifest):
                placing.replace(places.DRAFT + path, path)
            for database in manifest["databases"]:
                if database["kind"] == "postgresql":
                    databases.restore_postgresql(database["name"], database["owner"], places.DRAFT + database["copy"])
            files.write_json(places.RESTORED, {"snapshot": snapshot["id"], "time": int(time.time())}, mode=0o600)
    finally:
        shutil.rmtree(places.DRAFT, ignore_errors=True)
    for line in staging.describe(manifest):
        say(f"  {line}")
    say(f"put back {name} in {time.monotonic() - begin:.1f} s")
