# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from SQLite and how it is written for PostgreSQL; the copy itself is tested with both, by molecule."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import prosody_store as store

TABLE = (
    'CREATE TABLE "prosodyarchive" ("sort_id" INTEGER PRIMARY KEY AUTOINCREMENT, "when" INTEGER NOT NULL, "value" TEXT)'
)
INDEX = 'CREATE INDEX IF NOT EXISTS "prosodyarchive_when" ON "prosodyarchive" ("when")'


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "prosody.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(TABLE)
        connection.execute(INDEX)
    return path


def put(path, *rows):
    with sqlite3.connect(path) as connection:
        connection.executemany('INSERT INTO "prosodyarchive" ("when", "value") VALUES (?, ?)', rows)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (b"plain", "TEXT", "plain"),
        ("äöü \U0001f966".encode(), "TEXT", "äöü \U0001f966"),
        (b"a\tb\nc\rd\\e", "TEXT", "a\\tb\\nc\\rd\\\\e"),
        # The end of COPY's data is a line of its own, which no value can be.
        (b"\\.", "TEXT", "\\\\."),
        (b"\\N", "TEXT", "\\\\N"),
        (b"", "TEXT", ""),
        (None, "TEXT", "\\N"),
        (1700000000, "INTEGER", "1700000000"),
        (1700000000.987, "INTEGER", "1700000000"),
        (-1.5, "INTEGER", "-2"),
    ],
)
def test_fields(value, kind, text):
    assert store.field(value, kind) == text


def test_definitions(path):
    definitions = store.Source(str(path)).definitions()
    assert definitions == {
        "prosodyarchive": {
            "create": [
                'CREATE TABLE "prosodyarchive" ("sort_id" BIGSERIAL PRIMARY KEY, "when" INTEGER NOT NULL, "value" TEXT);',
                'CREATE INDEX "prosodyarchive_when" ON "prosodyarchive" ("when");',
            ],
            "columns": [("sort_id", "INTEGER"), ("when", "INTEGER"), ("value", "TEXT")],
        }
    }


def test_both_libraries_make_the_same_table():
    """Prosody's LuaDBI and lua-lsqlite3 write another type of the longest texts."""
    by_dbi = 'CREATE TABLE "prosody" ("host" TEXT NOT NULL, "value" TEXT NOT NULL);'
    assert store.schema(by_dbi.replace('"value" TEXT', '"value" MEDIUMTEXT')) == store.schema(by_dbi) == by_dbi


def test_script_is_one_transaction(path):
    put(path, (1.5, "one\n"), (2, "\\."))
    source, digests, written = store.Source(str(path)), {}, []
    store._script(source, source.definitions(), digests, written.append)
    script = b"".join(written).decode()
    begin, end = script.index("BEGIN;\n"), script.index("COMMIT;\n")
    assert begin < script.index('DROP TABLE IF EXISTS "prosodyarchive"') < script.index("CREATE TABLE") < end
    assert 'COPY "prosodyarchive" ("sort_id", "when", "value") FROM STDIN;\n1\t1\tone\\n\n2\t2\t\\\\.\n\\.\n' in script
    assert end + len("COMMIT;\n") == len(script)
    assert digests["prosodyarchive"].count == 2


def test_digests_are_of_content_and_not_of_order():
    def digest(*lines):
        made = store.Digest()
        for line in lines:
            made.add(line)
        return made

    assert digest(b"a", b"b") == digest(b"b", b"a")
    assert digest(b"a", b"b") != digest(b"a", b"c")
    assert digest(b"a", b"a") != digest(b"a")
    assert digest(b"a", b"a", b"b") != digest(b"a", b"b", b"b")


@pytest.mark.parametrize(
    ("value", "message"),
    [("a\0b", "it holds a NUL, which PostgreSQL cannot keep"), (b"\xff", "'utf-8' codec can't decode byte 0xff")],
)
def test_what_cannot_be_kept_is_named(path, value, message):
    put(path, (1, "good"), (2, value))
    source = store.Source(str(path))
    with pytest.raises(store.StoreError, match=r"prosody\.sqlite: table prosodyarchive, row \(2, 2, .*" + message):
        list(source.lines("prosodyarchive", source.definitions()["prosodyarchive"]["columns"]))


def test_a_check_counts(path):
    put(path, (1, "a"), (2, "b"))
    assert store.move(str(path), "prosody", check=True) == {"prosodyarchive": 2}


@pytest.mark.parametrize(
    ("config", "in_use"),
    [("", False), ('sql = { driver = "SQLite3" }', False), ('sql = {\n  driver = "PostgreSQL",\n}\n', True)],
)
def test_a_store_in_use_is_known(tmp_path, config, in_use):
    assert not store.is_in_use(str(tmp_path / "config"))
    (tmp_path / "config").write_text(config)
    assert store.is_in_use(str(tmp_path / "config")) is in_use


def test_it_runs_by_its_source_alone(path):
    """As the owner of the store runs it."""
    put(path, (1, "a"))
    source, damaged = Path(store.__file__).read_text(), path.with_name("damaged")
    damaged.write_bytes(b"x" * 5000)

    def run(path):
        job = json.dumps({"source": str(path), "database": "prosody", "check": True})
        done = subprocess.run([sys.executable, "-I", "-c", source, job], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    assert run(path) == {"tables": {"prosodyarchive": 1}}
    assert run(damaged) == {"problem": f"{damaged}: file is not a database"}


def test_a_damaged_file_is_refused(path):
    put(path, *((number, "x" * 500) for number in range(200)))
    data = bytearray(path.read_bytes())
    data[8192:12288] = b"\xff" * 4096
    path.write_bytes(data)
    with pytest.raises(store.StoreError, match=r"prosody\.sqlite( is damaged|: )"):
        store.move(str(path), "prosody", check=True)
