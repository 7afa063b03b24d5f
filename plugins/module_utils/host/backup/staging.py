# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy what is to be saved beside the manifest, which says what is in a backup.

The manifest names the owners of numbers, because a blank host may number its accounts otherwise.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .. import files, words
from . import places
from .base import Failed, say
from .databases import copy_sqlite, dump_postgresql

# A dictionary as it is kept in a snapshot; "version" tells its form.
Manifest = dict[str, Any]
# What the role has written into places.CONFIG.
Config = dict[str, Any]


def release() -> int:
    with open("/etc/os-release", encoding="utf-8") as stream:
        found = re.search(r'^VERSION_ID="?(\d+)', stream.read(), re.MULTILINE)
    return int(found[1]) if found else 0


def files_below(path: str) -> Iterator[str]:
    """Regular files and links, which one path may be itself."""
    if not os.path.isdir(path) or os.path.islink(path):
        if os.path.lexists(path):
            yield path
        return
    for folder, folders, names in os.walk(path):
        for name in names + [one for one in folders if os.path.islink(os.path.join(folder, one))]:
            yield os.path.join(folder, name)


def databases_of(config: Config) -> list[tuple[str, str]]:
    """Return the kind and the name of each database of this host."""
    return [("sqlite", path) for path in config["sqlite"]] + [("postgresql", name) for name in config["postgresql"]]


def empty(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700, exist_ok=True)


def stage(host: str, wanted: Sequence[tuple[str, str]], paths: Iterable[str]) -> Manifest:
    """Copies the databases, and says in the manifest what else is to be saved."""
    empty(places.STAGE)
    databases = []
    for number, (kind, name) in enumerate(wanted):
        copy = f"{places.STAGE}/{number}.{kind}"
        if kind == "sqlite" and not os.path.exists(name):
            raise Failed(f"{name}: the database is not there")
        begin = time.monotonic()
        more = copy_sqlite(name, copy) if kind == "sqlite" else dump_postgresql(name, copy)
        say(f"copied {name}: {words.size(os.stat(copy).st_size)} in {time.monotonic() - begin:.1f} s")
        databases.append({"kind": kind, "name": name, "copy": copy, **more})
    manifest: Manifest = {
        "version": 1,
        "host": host,
        "time": time.time(),
        "release": release(),
        "databases": databases,
        "paths": {path: sum(1 for _ in files_below(path)) for path in paths if os.path.lexists(path)},
        "users": {entry.pw_uid: entry.pw_name for entry in pwd.getpwall()},
        "groups": {entry.gr_gid: entry.gr_name for entry in grp.getgrall()},
    }
    files.write_json(places.MANIFEST, manifest, mode=0o600)
    return manifest


def describe(manifest: Manifest) -> list[str]:
    """What is in a backup, in lines."""
    lines = []
    for database in manifest["databases"]:
        contents = database["contents"]
        accounts = ", ".join(f"{number} at {host}" for host, number in sorted(contents.get("accounts", {}).items()))
        lines.append(
            f"{database['name']} ({database['kind']}): accounts: {accounts or 'none'}; "
            f"archived messages: {contents.get('messages', 0)}"
        )
    return lines + [f"{path}: files: {number}" for path, number in sorted(manifest["paths"].items())]
