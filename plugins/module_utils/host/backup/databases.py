# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy databases that are in use, each as it was at one moment, with the rights of its owner."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import sqlite3
import stat
import sys
import urllib.parse
from collections.abc import Iterator
from typing import Any

from .. import words
from ..commands import as_user
from . import base, places
from .base import Failed

# A disk is never filled to its end: daemons write there, too.
RESERVE_SHARE, RESERVE_BYTES = 0.05, 2**30
SIDECARS = ("-wal", "-shm", "-journal")
# How many accounts each host has, and how many messages are archived; empty where it is not Prosody's store.
Contents = dict[str, Any]
# Calls xmpp-backup as another user, from the folder in which this package is.
CALL = """\
import importlib, sys
sys.dont_write_bytecode = True
sys.path.append(sys.argv.pop(1))
sys.exit(importlib.import_module(sys.argv.pop(1) + ".backup.main").main())
"""


def require_room(folder: str, needed: int, what: str) -> None:
    """Refuses what would fill the disk."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    reserve = min(disk.f_blocks * disk.f_frsize * RESERVE_SHARE, RESERVE_BYTES)
    if needed + reserve > free:
        raise Failed(
            f"{folder}: there is no space for {what}: it needs {words.size(needed)}, {words.size(free)} are free, and "
            f"{words.size(reserve)} of them are left to others"
        )


def as_postgres(*command: str) -> list[str]:
    return as_user("postgres", "postgres", *command)


def psql(database: str, query: str, owner: str | None = None) -> str:
    """Asks as the database's owner, with whose rights its views and functions run; or as the administrator, for whom the
    owner's functions have no names."""
    user = owner or "postgres"
    options = [] if owner else ["env", "PGOPTIONS=-c search_path=pg_catalog"]
    command = [*options, "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", query]
    return base.run(as_user(user, user, *command), cwd="/")


def ask_postgresql(what: str, database: str) -> str:
    """Something that PostgreSQL itself knows of a database."""
    name = database.replace("'", "''")
    return psql("postgres", f"SELECT {what} FROM pg_database WHERE datname = '{name}'").strip()


def owner_of(path: str) -> tuple[int, int, os.stat_result]:
    """The user and the group as whom an SQLite database is read, and the state of its file.

    What is in it is a daemon's, and may be made to break who reads it. The owner of the folder is asked, since a daemon can
    put another's file in its own folder.
    """
    status, folder = os.lstat(path), os.stat(os.path.dirname(path))
    if not stat.S_ISREG(status.st_mode):
        raise Failed(f"{path}: it is no regular file")
    found = status if folder.st_uid == 0 else folder
    return found.st_uid, found.st_gid, status


@contextlib.contextmanager
def lent_folder(user: int, group: int) -> Iterator[str]:
    """A folder in which a user's program finds and leaves files. What it has left may be anything."""
    folder = f"{places.FOLDER}/lent"
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder, 0o700)
    os.chown(folder, user, group)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def take(path: str, place: str, user: int) -> None:
    """Moves a file out of a lent folder to where only root reaches it."""
    os.rename(path, place)
    status = os.lstat(place)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid != user:
        os.unlink(place)
        raise Failed(f"{path}: it is not what was to be written there")
    os.chown(place, os.geteuid(), os.getegid())
    os.chmod(place, 0o600)


def read_as(user: int, group: int, *arguments: str) -> Contents:
    """Runs a part of this program as the owner of what it reads, and returns the counts that it prints."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    command = [sys.executable, "-I", "-c", CALL, *os.path.split(package), "read", *arguments]
    if user != os.geteuid():
        try:
            name = pwd.getpwuid(user).pw_name
        except KeyError:
            raise Failed(f"{arguments[-1]}: its owner, {user}, is no user of this host") from None
        command = as_user(name, str(group), *command)
    done = base.attempt(command, cwd="/")
    if done.status:
        raise Failed(" ".join(done.stderr.split())[-600:] or f"{arguments[-1]}: its reader ended with {done.status}")
    try:
        found = json.loads(done.stdout)
        return found and {
            "accounts": {str(host): int(number) for host, number in found["accounts"].items()},
            "messages": int(found["messages"]),
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Failed(f"{arguments[-1]}: what was read of it is no answer: {error!r}") from error


def read_sqlite(path: str | None, copy: str, name: str) -> None:
    """What runs as the owner: copies the database if asked to, checks the copy, and counts what is in it."""
    if path:
        copy_as_owner(path, copy)
    try:
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            check_sqlite(connection, name)
    except sqlite3.Error as error:
        raise Failed(f"{name}: {error}") from error
    print(json.dumps(count("sqlite", copy)))


def copy_as_owner(path: str, copy: str) -> None:
    """The database as it is at one moment, by SQLite's own means."""
    try:
        address = f"file:{urllib.parse.quote(path)}?mode=rw"
        with (
            contextlib.closing(sqlite3.connect(address, uri=True, timeout=60, isolation_level=None)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            # In any other mode, who reads keeps others from writing, and Prosody does not wait: it loses what it would
            # write. The mode is a property of the file, and stays; role prosody has set it already.
            source.execute("PRAGMA journal_mode=WAL")
            source.backup(target)
    except sqlite3.Error as error:
        raise Failed(f"{path}: {error}") from error


def copy_sqlite(path: str, copy: str) -> dict[str, Any]:
    """The database as it is at one moment, and whole; its owner copies it."""
    user, group, status = owner_of(path)
    require_room(places.FOLDER, status.st_size, f"a copy of {path}")
    with lent_folder(user, group) as folder:
        contents = read_as(user, group, "--copy-of", path, f"{folder}/copy", path)
        take(f"{folder}/copy", copy, user)
    return {"owner": status.st_uid, "group": status.st_gid, "mode": stat.S_IMODE(status.st_mode), "contents": contents}


def check_sqlite(connection: sqlite3.Connection, path: str) -> None:
    try:
        answers = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    except sqlite3.DatabaseError as error:
        answers = [str(error)]
    if answers != ["ok"]:
        raise Failed(f"{path}: the database is damaged: {'; '.join(answers)}")


def dump_postgresql(name: str, copy: str) -> dict[str, Any]:
    """The database as it is at one moment."""
    require_room(places.FOLDER, int(ask_postgresql("pg_database_size(oid)", name)), f"a copy of database {name}")
    # Without compression, what has not changed is known again.
    command = as_postgres("pg_dump", "--format=custom", "--compress=0", name)
    with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        done = base.attempt(command, target=stream, cwd="/")
    if done.status:
        raise Failed(f"pg_dump {name}: {done.said}")
    owner = ask_postgresql("pg_get_userbyid(datdba)", name)
    return {"owner": owner, "contents": count("postgresql", name, owner)}


def restore_postgresql(name: str, owner: str, copy: str) -> None:
    """All of it or nothing."""
    command = as_postgres(
        *("pg_restore", "--single-transaction", "--exit-on-error", "--clean", "--if-exists"),
        *("--no-owner", f"--role={owner}", f"--dbname={name}"),
    )
    with open(copy, "rb") as stream:
        # It holds the lock, too, as restic does.
        done = base.attempt(command, source=stream, cwd="/", inherit=True)
    if done.status:
        raise Failed(f"pg_restore {name}: {done.stderr.strip()[-600:]}")


def has_rows(database: str) -> bool:
    """Whether anything is in a database of PostgreSQL, which does not tell when it has changed."""
    names = psql(
        database,
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
        "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    ).splitlines()
    query = " OR ".join(f"EXISTS (SELECT FROM {name})" for name in names)
    return bool(names) and psql(database, f"SELECT {query}").strip() == "t"


ACCOUNTS = """SELECT "host", COUNT(DISTINCT "user") FROM "prosody" WHERE "store" = 'accounts' GROUP BY "host" """
MESSAGES = 'SELECT COUNT(*) FROM "prosodyarchive"'


def count(kind: str, where: str, owner: str | None = None) -> Contents:
    """How many accounts and archived messages are in a copy of Prosody's store; nothing where it is another's."""
    try:
        if kind == "postgresql":
            rows = [line.split("|") for line in psql(where, ACCOUNTS, owner).splitlines()]
            messages = int(psql(where, MESSAGES, owner))
        else:
            with contextlib.closing(sqlite3.connect(where)) as connection:
                rows = connection.execute(ACCOUNTS).fetchall()
                messages = int(connection.execute(MESSAGES).fetchone()[0])
    except (Failed, sqlite3.Error):
        return {}
    return {"accounts": {host: int(number) for host, number in rows}, "messages": messages}
