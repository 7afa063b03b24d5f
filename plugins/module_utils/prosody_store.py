# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prosody's store, copied table by table from SQLite to PostgreSQL.

What is in an SQLite file is a daemon's, and may be made to break who reads it: the module has this file run by the owner of
the store, who has nothing but its source. So it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import sqlite3
import subprocess
import sys
import tempfile

ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v"})
IN_USE = re.compile(r"""\bdriver\s*=\s*["']PostgreSQL["']""")


class StoreError(Exception):
    """What keeps the store from being copied."""


def field(value, kind):
    """A value in the text form of COPY (PostgreSQL's manual, COPY, File Formats)."""
    if value is None:
        return "\\N"
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if kind == "INTEGER":
        # SQLite keeps fractions where Prosody's PostgreSQL has whole seconds.
        value = math.floor(value)
    text = str(value)
    if "\0" in text:
        raise ValueError("it holds a NUL, which PostgreSQL cannot keep")
    return text.translate(ESCAPES)


def schema(statement):
    """A table's or index' definition by SQLite in PostgreSQL's words."""
    text = re.sub(r"\bINTEGER\s+PRIMARY\s+KEY\s+AUTOINCREMENT\b", "BIGSERIAL PRIMARY KEY", statement, flags=re.I)
    # By lua-lsqlite3, Prosody leaves MySQL's name of it to SQLite, which takes any.
    text = re.sub(r"\bMEDIUMTEXT\b", "TEXT", text)
    return text.replace("INDEX IF NOT EXISTS", "INDEX").rstrip("; \n") + ";"


class Digest:
    """Of lines in any order: two tables are the same when count and sum are."""

    def __init__(self):
        self.count, self.sum = 0, 0

    def add(self, line):
        self.count += 1
        self.sum += int.from_bytes(hashlib.sha256(line).digest(), "big")

    def __eq__(self, other):
        return (self.count, self.sum) == (other.count, other.sum)

    __hash__ = None  # type: ignore[assignment]


class Source:
    """The SQLite file."""

    def __init__(self, path):
        try:
            self.connection = sqlite3.connect(path)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error
        # Text is taken as it is: what is no UTF-8 is an error that names its row.
        self.connection.text_factory = bytes
        self.path = path

    def select(self, query):
        try:
            yield from self.connection.execute(query)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error

    def definitions(self):
        """Table → its definition and those of its indexes, and its columns with their types."""
        found = {}
        own = "name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql IS NOT NULL"
        for name, text in self.select(f"SELECT name, sql FROM sqlite_master WHERE type = 'table' AND {own}"):
            found[name.decode()] = {"create": [schema(text.decode())], "columns": []}
        for table, text in self.select(f"SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index' AND {own}"):
            found[table.decode()]["create"].append(schema(text.decode()))
        for table, entry in found.items():
            rows = self.select(f'PRAGMA table_info("{table}")')
            entry["columns"] = [(row[1].decode(), row[2].decode().upper()) for row in rows]
        return found

    def lines(self, table, columns):
        names = ", ".join(f'"{name}"' for name, _kind in columns)
        for row in self.select(f'SELECT {names} FROM "{table}"'):
            try:
                values = [field(value, kind) for value, (_name, kind) in zip(row, columns, strict=True)]
            except ValueError as error:
                raise StoreError(f"{self.path}: table {table}, row {row[:4]!r}: {error}") from error
            yield "\t".join(values).encode() + b"\n"


def psql(database, *options):
    return [
        *("psql", "--no-psqlrc", "--quiet", "--no-password", "--set", "ON_ERROR_STOP=1"),
        *("--dbname", database, *options),
    ]


def _script(source, definitions, digests, write):
    """Writes everything as one transaction, and keeps the digest of what was written."""
    write(b"SET client_min_messages = warning;\nBEGIN;\n")
    for table, entry in definitions.items():
        write(f'DROP TABLE IF EXISTS "{table}";\n'.encode())
        for statement in entry["create"]:
            write(statement.encode() + b"\n")
        names = ", ".join(f'"{name}"' for name, _kind in entry["columns"])
        write(f'COPY "{table}" ({names}) FROM STDIN;\n'.encode())
        digests[table] = Digest()
        for line in source.lines(table, entry["columns"]):
            digests[table].add(line)
            write(line)
        write(b"\\.\n")
        for name, kind in entry["columns"]:
            if kind == "INTEGER":
                # Where a sequence counts the column, it goes on after the last row.
                write(
                    f'SELECT setval(s::regclass, (SELECT max("{name}") FROM "{table}")) FROM '
                    f"pg_get_serial_sequence('\"{table}\"', '{name}') s WHERE s IS NOT NULL "
                    f'AND EXISTS (SELECT FROM "{table}");\n'.encode()
                )
    write(b"COMMIT;\n")


def _copy(source, definitions, database):
    digests: dict[str, Digest] = {}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            psql(database, "--output", "/dev/null"), stdin=subprocess.PIPE, stdout=said, stderr=said, cwd="/"
        )
        assert process.stdin is not None
        try:
            # When psql has stopped at an error, what it said is the reason.
            with contextlib.suppress(BrokenPipeError):
                _script(source, definitions, digests, process.stdin.write)
        except BaseException:
            # Without its COMMIT, nothing has happened.
            process.kill()
            process.wait()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        if process.wait():
            said.seek(0)
            message = said.read().decode("utf-8", "replace").strip()
            raise StoreError(f"PostgreSQL did not take the copy, and has kept nothing of it: {message[:800]}")
    return digests


def _arrived(table, columns, database):
    names = ", ".join(f'"{name}"' for name, _kind in columns)
    process = subprocess.Popen(
        psql(database, "--command", f'COPY "{table}" ({names}) TO STDOUT'), stdout=subprocess.PIPE, cwd="/"
    )
    assert process.stdout is not None
    found = Digest()
    for line in process.stdout:
        found.add(line)
    if process.wait():
        raise StoreError(f"the table {table} cannot be read back from PostgreSQL")
    return found


def is_in_use(config):
    """Whether Prosody's configuration names PostgreSQL."""
    try:
        with open(config, encoding="utf-8", errors="replace") as stream:
            return IN_USE.search(stream.read()) is not None
    except FileNotFoundError:
        return False


def move(source, database, check=False):
    """Copies the store, and returns the number of rows by table."""
    file = Source(source)
    for (verdict,) in file.select("PRAGMA quick_check(1)"):
        if verdict != b"ok":
            raise StoreError(
                f"{source} is damaged: {verdict.decode('utf-8', 'replace')}; restore it from a backup first"
            )
    definitions = file.definitions()
    if check:
        return {table: next(file.select(f'SELECT count(*) FROM "{table}"'))[0] for table in definitions}
    digests = _copy(file, definitions, database)
    for table, entry in definitions.items():
        if _arrived(table, entry["columns"], database) != digests[table]:
            raise StoreError(
                f"the table {table} is not the same in PostgreSQL as in {source}; Prosody still uses the file, and nothing "
                "is lost"
            )
    return {table: digest.count for table, digest in digests.items()}


def main():
    """Takes the arguments of move as JSON, and prints its result or what keeps it from one."""
    try:
        answer = {"tables": move(**json.loads(sys.argv[1]))}
    except StoreError as error:
        answer = {"problem": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
