# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes out of the stores and files of other servers."""

import base64
import hashlib
import hmac
import re
import sqlite3
import xml.etree.ElementTree as ET

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import prosody_migration as migration
from ansible_collections.magicbroccoli.xmpp.plugins.modules import prosody_migrate

SCRAM = "<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-{}'><salt>c2FsdA==</salt></scram-credentials>"
PORTABLE = f"""<?xml version='1.0'?>
<server-data xmlns='urn:xmpp:pie:0'><host jid='one.test'>
<user name='anna' password='a&amp;b'>
  <query xmlns='jabber:iq:roster'><item jid='b@one.test' name='&lt;B&gt;'><group>Friends</group></item></query>
  <vCard xmlns='vcard-temp'><FN xml:lang='de'>Änna</FN></vCard>
  <offline-messages><message xmlns='jabber:client'><body>hi</body></message></offline-messages>
  <archive xmlns='urn:xmpp:pie:0#mam'/>
</user>
<user name='bert'>{SCRAM.format("SHA-256")}{SCRAM.format("SHA-1")}</user>
<user name='cleo'>{SCRAM.format("SHA-512")}</user>
<user name='../../etc/passwd' password='x'/>
<user xmlns:p='http://prosody.im/protocol/extended-xep0227' p:created='17' name='dora'/>
</host><host jid='two.test'><user name='zoe' password='z'/></host></server-data>
"""


def given(**changes):
    return {
        "kind": "xep0227",
        "domains": ["one.test"],
        "rooms": ["rooms.one.test"],
        "password_hash": "SHA-1",
        **changes,
    }


@pytest.fixture
def portable(tmp_path):
    path = tmp_path / "all.xml"
    path.write_text(PORTABLE)
    return path


def test_a_file_is_read_user_by_user(portable, tmp_path):
    for name in ("users", "users-archives", "users-hashed"):
        (tmp_path / name).mkdir()
    found = migration.scan("xep0227", str(portable), "SHA-1", str(tmp_path / "users")).plain()
    print(found)
    one = found["one.test"]
    assert one["users"] == ["anna", "bert", "cleo", "dora"]
    assert one["stores"] == {"accounts": 4, "archive": 1, "roster": 1, "vcard": 1}
    assert one["passwords"] == {"plain": 1, "SHA-1": 1, "SHA-512": 1, "none": 1}
    assert one["left"] == {
        "accounts whose names XMPP does not allow": 1,
        "offline-messages (urn:xmpp:pie:0)": 1,
    }
    names = sorted(path.name for path in (tmp_path / "users").iterdir())
    assert names == [f"{name}@one.test.xml" for name in ("anna", "bert", "cleo", "dora")] + ["zoe@two.test.xml"]
    assert [path.name for path in (tmp_path / "users-archives").iterdir()] == ["anna@one.test.xml"]
    # The markup has no prefixes, which ejabberd does not know, and is the same to who does.
    text = (tmp_path / "users/anna@one.test.xml").read_text()
    assert '<query xmlns="jabber:iq:roster"><item ' in text and "ns0:" not in text
    was = {element.get("name"): migration.markup(element) for _domain, element in migration.users_of(str(portable))}
    copied = ET.parse(tmp_path / "users/bert@one.test.xml").getroot()[0][0]
    assert ET.canonicalize(was["bert"]) == ET.canonicalize(migration.markup(copied))


def test_users_become_one_file_again(portable, tmp_path):
    for name in ("users", "users-archives", "users-hashed"):
        (tmp_path / name).mkdir()
    migration.scan("xep0227", str(portable), "SHA-1", str(tmp_path / "users"))
    everybody = {"one.test": ["anna", "bert", "cleo", "dora", "gone"], "two.test": ["zoe"]}
    numbers = migration.join(str(tmp_path / "users"), str(tmp_path / "out.xml"), everybody)
    assert numbers == {"one.test": 4, "two.test": 1}
    assert oct((tmp_path / "out.xml").stat().st_mode)[-3:] == "600"

    def users(path):
        return {
            (domain, element.get("name")): ET.canonicalize(migration.markup(element), strip_text=True)
            for domain, element in migration.users_of(str(path))
            if "/" not in element.get("name")
        }

    assert users(tmp_path / "out.xml") == users(portable)
    assert migration.join(str(tmp_path / "users"), str(tmp_path / "one.xml"), {"one.test": ["bert"]}) == {"one.test": 1}
    assert list(users(tmp_path / "one.xml")) == [("one.test", "bert")]


def test_accounts_to_export_are_those_of_the_host():
    there = {"one.test": ["anna", "bert"], "two.test": ["zoe"]}

    def chosen(*accounts):
        return prosody_migrate.chosen(there, {"domains": ["one.test", "new.test"], "accounts": list(accounts)})

    assert chosen() == {"one.test": ["anna", "bert"], "new.test": []}
    assert chosen("bert@one.test") == {"one.test": ["bert"]}
    # Of a domain that the inventory has no more, the data may still be there.
    for wrong in ("eva@one.test", "zoe@two.test", "one.test", "anna@new.test"):
        with pytest.raises(
            prosody_migrate.MigrateError, match=f"export_accounts: '{wrong}' is no account of this host"
        ):
            chosen(wrong)


def test_ejabberd_s_folder_of_files_is_read(tmp_path):
    (tmp_path / "main.xml").write_text(
        "<server-data xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude'>"
        "<xi:include href='one_test.xml'/></server-data>"
    )
    key, salt = b"k" * 20, b"salty"

    def field(name, value, layers):
        for _layer in range(layers):
            value = base64.b64encode(value)
        return f"<{name}>{value.decode()}</{name}>"

    def user(name, layers):
        fields = "".join(field(*one, layers) for one in (("salt", salt), ("server-key", key), ("stored-key", key)))
        return f"<user name='{name}'><scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'>{fields}</scram-credentials></user>"

    (tmp_path / "one_test.xml").write_text(
        f"<host xmlns='urn:xmpp:pie:0' jid='one.test'>{user('anna', 2)}{user('bert', 1)}</host>"
    )
    for name in ("users", "users-archives", "users-hashed"):
        (tmp_path / f"out/{name}").mkdir(parents=True)
    found = migration.scan("xep0227", str(tmp_path), "SHA-1", str(tmp_path / "out/users")).plain()
    assert found["one.test"]["users"] == ["anna", "bert"] and found["one.test"]["passwords"] == {"SHA-1": 2}
    # ejabberd puts Base64 into Base64.
    texts = [(tmp_path / f"out/users/{name}@one.test.xml").read_text() for name in ("anna", "bert")]
    assert all(field("stored-key", key, 1) in text and field("salt", salt, 1) in text for text in texts), texts


@pytest.mark.parametrize(
    "text, message",
    [
        ("<server-data><host jid='a'>", "name a file of XEP-0227"),
        ("no markup", "name a file of XEP-0227"),
        ('<!DOCTYPE a [<!ENTITY b "' + "x" * 99 + '">]><a>&c;</a>', "undefined entity"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, text, message):
    path = tmp_path / "wrong.xml"
    path.write_text(text)
    with pytest.raises(migration.MigrationError, match=message):
        migration.scan("xep0227", str(path), "SHA-1")
    with pytest.raises(migration.MigrationError, match="is not there"):
        migration.scan("files", str(tmp_path / "no"), "SHA-1")


def test_stores_of_prosody_are_read(tmp_path):
    data = tmp_path / "data"
    for path, text in {
        "one%2etest/accounts/anna.dat": f'return {{ ["stored_key"] = "{"ab" * 20}"; }};',
        "one%2etest/accounts/b%5f.dat": f'return {{ ["stored_key"] = "{"ab" * 32}"; }};',
        "one%2etest/accounts/cleo.dat": 'return { ["password"] = "secret"; };',
        "one%2etest/pep_urn%3aa/anna.list": "",
        "one%2etest/roster/anna.dat": "",
        "one%2etest/roster/note.txt": "",
    }.items():
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_text(text)
    found = migration.scan("files", str(data), "SHA-1").plain()["one.test"]
    assert found["users"] == ["anna", "b_", "cleo"]
    assert found["stores"] == {"accounts": 3, "pep_urn:a": 1, "roster": 1}
    assert found["passwords"] == {"SHA-1": 1, "SHA-256": 1, "plain": 1}

    path = tmp_path / "chat.sqlite"
    connection = sqlite3.connect(path)
    connection.execute('create table prosody ("host", "user", "store", "key", "type", "value")')
    connection.execute('create table prosodyarchive ("host", "user", "store")')
    connection.execute("insert into prosody values ('one.test', 'anna', 'accounts', 'stored_key', '', ?)", ["a" * 40])
    salt = "insert into prosody values ('one.test', 'anna', 'accounts', 'salt', '', cast(x'ff00ff' as text))"
    connection.execute(salt)
    connection.execute("insert into prosodyarchive values ('one.test', 'anna', 'archive')")
    connection.commit()
    connection.close()
    found = migration.scan("sqlite", str(path), "SHA-1").plain()["one.test"]
    assert found["stores"] == {"accounts": 1, "archive": 1} and found["passwords"] == {"SHA-1": 1}


# What psql --csv and mariadb --batch print of the same rows; the second one ends in an error where it is asked for the archive.
CLIENT = """#!/bin/sh
env > {folder}/env
echo "$*" >> {folder}/asked
case "$*" in
    *prosodyarchive*) cat {folder}/archive;;
    *) cat {folder}/rows;;
esac
"""
ROWS = [
    ("one.test", "anna", "accounts", "password", "string", 'a "b"\tc\\ \nd,é'),
    ("one.test", "anna", "roster", "", "json", "{}"),
]
ARCHIVE = [("7", "one.test", "anna", "archive", "k1", "1700000000", "b@one.test", "xml", "<a/>")]


def batch(rows) -> str:
    letters = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n"})
    return "".join("\t".join(part.translate(letters) for part in row) + "\n" for row in rows)


def quoted(rows) -> str:
    return "".join(",".join('"' + part.replace('"', '""') + '"' for part in row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("kind", "url", "program", "write", "arguments"),
    [
        ("postgresql", "postgresql:///chat", "psql", quoted, "--dbname=chat --command"),
        (
            *("postgresql", "postgresql://old@db.test:5433/chat", "psql", quoted),
            "--dbname=chat --host=db.test --port=5433 --username=old --command",
        ),
        (
            "mysql",
            "mysql://old@127.0.0.1/chat",
            "mariadb",
            batch,
            "--database=chat --host=127.0.0.1 --user=old --execute",
        ),
    ],
)
def test_a_database_becomes_one_of_sqlite(tmp_path, monkeypatch, kind, url, program, write, arguments):
    (tmp_path / program).write_text(CLIENT.format(folder=tmp_path))
    (tmp_path / program).chmod(0o755)
    (tmp_path / "rows").write_text(write(ROWS))
    (tmp_path / "archive").write_text(write(ARCHIVE))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "users").mkdir()
    found = migration.scan(kind, url, "SHA-1", str(tmp_path / "users"), "of the database").plain()["one.test"]
    print(found, (tmp_path / "asked").read_text())
    assert found["users"] == ["anna"] and found["passwords"] == {"plain": 1}
    assert found["stores"] == {"accounts": 1, "archive": 1, "roster": 1}
    with sqlite3.connect(tmp_path / "users/source.sqlite") as connection:
        assert connection.execute("SELECT * FROM prosody").fetchall() == ROWS
        archived = connection.execute('SELECT "sort_id", "when", "value" FROM prosodyarchive').fetchall()
    assert archived == [(7, 1700000000, "<a/>")]
    asked = (tmp_path / "asked").read_text()
    assert arguments in asked and "of the database" not in asked
    assert "=of the database\n" in (tmp_path / "env").read_text()


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("postgresql", "mysql:///chat"),
        ("postgresql", "postgresql:///"),
        ("mysql", "mysql://a@b/--exec=x y"),
        ("mysql", "mysql://a@b:x/chat"),
    ],
)
def test_a_wrong_url_is_refused(kind, url):
    with pytest.raises(migration.MigrationError, match=f"write {kind}://USER@HOST:PORT/DATABASE"):
        migration.scan(kind, url, "SHA-1")


def test_what_the_client_of_a_database_says_is_told(tmp_path, monkeypatch):
    (tmp_path / "psql").write_text("#!/bin/sh\necho 'FATAL: role is missing' >&2\nexit 2\n")
    (tmp_path / "psql").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(migration.MigrationError, match="postgresql:///chat: FATAL: role is missing"):
        migration.scan("postgresql", "postgresql:///chat", "SHA-1")
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(migration.MigrationError, match="install the client of mysql"):
        migration.scan("mysql", "mysql:///chat", "SHA-1")


def test_plain_passwords_are_hashed(portable, tmp_path):
    """As RFC 5802's example has it, and for names and passwords with all kinds of letters."""
    for name in ("users", "users-archives", "users-hashed"):
        (tmp_path / name).mkdir()
    migration.scan("xep0227", str(portable), "SHA-1", str(tmp_path / "users"))
    texts = {str(path.relative_to(tmp_path / "users-hashed")): path.read_text() for path in tmp_path.rglob("*.dat")}
    print(texts)
    assert sorted(texts) == ["one%2etest/accounts/anna.dat", "two%2etest/accounts/zoe.dat"]
    assert "a&b" not in str(texts)
    values = dict(re.findall(r'"(\w+)"\] = "?(\w+)', texts["one%2etest/accounts/anna.dat"]))
    salted = hashlib.pbkdf2_hmac("sha1", b"a&b", values["salt"].encode(), int(values["iteration_count"]))
    assert hashlib.sha1(hmac.digest(salted, b"Client Key", "sha1")).hexdigest() == values["stored_key"]
    assert hmac.digest(salted, b"Server Key", "sha1").hex() == values["server_key"]
    assert migration.prepared("I\u00adX \u2168 a\u00a0b") == b"IX IX a b"
    assert migration.encode("ä.b_1") == "%c3%a4%2eb%5f1"
    assert migration.of_lua('a\\"b\\\\c\\065\\nd') == 'a"b\\cA\nd'


def test_the_report_says_what_does_not_come_and_why(portable):
    found = migration.scan("xep0227", str(portable), "SHA-1").plain()
    hosts, report = prosody_migrate.judge(found, given())
    print("\n".join(report))
    assert list(hosts) == ["one.test"]
    assert report[0] == "one.test: 4 accounts (archive: 1, roster: 1, vcard: 1)"
    said = "\n".join(report)
    for words in (
        "1 account with a hash of SHA-512, while prosody_password_hash is SHA-1",
        "1 account without a password",
        "not imported: offline-messages",
        "not imported: two.test: 1 account. It is no domain of this host",
    ):
        assert words in said, words
    assert "a&b" not in said


@pytest.mark.parametrize("value", ['a"b', "a\nb", "a\\b", "a]]b"])
def test_no_text_breaks_out_of_the_configuration(value):
    assert (
        prosody_migrate.lua({"a": ["b/c.sqlite", "bücher.example"]}) == '{ ["a"] = { "b/c.sqlite", "bücher.example" } }'
    )
    with pytest.raises(prosody_migrate.MigrateError, match="rename it"):
        prosody_migrate.lua(value)


@pytest.mark.parametrize("there, expected", [("t\n", {"one.test": ["anna", "bert"], "two.test": ["zoe"]}), ("f\n", {})])
def test_the_accounts_in_postgresql_are_asked_for_as_their_owner(monkeypatch, there, expected):
    asked = []

    def run(command, cwd):
        asked.append(command[-1])
        assert "setpriv" in command[0] and "--no-password" in command
        rows = '["one.test", "anna"]\n["one.test", "bert"]\n["two.test", "zoe"]\n'
        return there if "to_regclass" in command[-1] else rows

    monkeypatch.setattr(prosody_migrate.commands, "run", run)
    monkeypatch.setattr(prosody_migrate.pwd, "getpwnam", lambda name: type("User", (), {"pw_gid": 7}))
    found = prosody_migrate.stored({"driver": "PostgreSQL", "database": "prosody"})
    print(asked)
    assert found == expected
