# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program on the host that makes backups, and what the inventory may say of them."""

import contextlib
import errno
import json
import os
import re
import shlex
import sqlite3
import threading
import time
import types
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import commands, files
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.backup import (
    acts,
    base,
    databases,
    main,
    places,
    placing,
    restic,
    restore,
    staging,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.backup.state import State
from variables import FORMATS

SFTP = "sftp:keeper@backup.test:/srv/backup"


@pytest.fixture(autouse=True)
def host(tmp_path, monkeypatch):
    """Places of files are below a folder of the test's, and no disk is too full."""
    monkeypatch.setattr(databases, "RESERVE_BYTES", 0)
    for name in ("FOLDER", "STAGE", "DRAFT"):
        monkeypatch.setattr(places, name, str(tmp_path / name.lower()))
        os.makedirs(tmp_path / name.lower())
    for name in ("STATE", "RESTORED", "ENVIRONMENT"):
        monkeypatch.setattr(places, name, str(tmp_path / name.lower()))
    monkeypatch.setattr(places, "MANIFEST", str(tmp_path / "stage/manifest.json"))


# What restic 0.14 and 0.18 said on Debian 12 and 13.
SAID = {
    "nothing there, 0.14": (
        1,
        "Fatal: unable to open config file: stat /srv/none/config: no such file or directory\n"
        "Is there a repository at the following location?\n/srv/none\n",
        "there is no repository",
        True,
    ),
    "nothing there, 0.18": (
        10,
        "Fatal: repository does not exist: unable to open config file: stat /srv/none/config: no such file or directory\n"
        "Is there a repository at the following location?\n/srv/none\n",
        "there is no repository",
        True,
    ),
    "nobody listens, REST, 0.14": (
        1,
        'Fatal: unable to open config file: client.Head: Head "http://127.0.0.1:1/config": dial tcp 127.0.0.1:1: connect: '
        "connection refused\nIs there a repository at the following location?\nrest:http://127.0.0.1:1/\n",
        "the target cannot be reached",
        False,
    ),
    "nobody listens, SFTP, 0.14": (
        1,
        "subprocess ssh: ssh: connect to host 127.0.0.1 port 22: Connection refused\n"
        "Fatal: unable to open repository at sftp:nobody@127.0.0.1:/x: unable to start the sftp session, error: read |0: file "
        "already closed\n",
        "the target cannot be reached",
        False,
    ),
    "another passphrase": (1, "Fatal: wrong password or no key found\n", "correct backup_passphrase", False),
    "another host": (
        1,
        "subprocess ssh: Host key verification failed.\nFatal: unable to open repository at sftp:a@b:/c: unable to start the "
        "sftp session, error: error receiving version packet from server\n",
        "is not in backup_ssh_host_keys",
        False,
    ),
    "another key": (
        1,
        "subprocess ssh: keeper@198.51.100.72: Permission denied (publickey).\nFatal: unable to start the sftp session\n",
        "refuses backup_ssh_key",
        False,
    ),
    "full": (
        1,
        "Save(<lock/9a2d75d98c>) failed: sftp: no space left on device\nFatal: unable to create lock in backend\n",
        "there is no space left",
        False,
    ),
    "full, by an old SFTP": (
        1,
        'Save(<data/9a2d>) failed: sftp: "Failure" (SSH_FX_FAILURE)\n',
        "full disk says",
        False,
    ),
    "damaged": (
        1,
        "error: pack fd8be114 contains 2 errors: [blob eae45e2e: decrypting blob <data/eae45e2e> from fd8be114 failed: "
        "ciphertext verification failed]\nFatal: repository contains errors\n",
        "the repository is damaged",
        False,
    ),
    "locked": (11, "repo already locked, waiting up to 0s\nFatal: unable to create lock in backend", "works in", False),
    "unheard of": (99, "Fatal: the moon is full\n", "the moon is full", False),
    "nothing": (130, "", "restic ended with 130", False),
}


@pytest.mark.parametrize("case", SAID)
def test_what_restic_says_is_told_in_words(case):
    code, said, words, absent = SAID[case]
    told = restic.explain(SFTP, said, code)
    print(told)
    assert told.startswith(f"{SFTP}: ") and words in told
    assert restic.is_absent(said, code) == absent


def test_no_password_of_an_address_is_told():
    address = "rest:https://me:se%40cret@backup.test/me/"
    told = restic.explain(address, f"Fatal: unable to open repository at {address}: connection refused")
    assert "se%40cret" not in told and "me:***@backup.test" in told
    assert restic.shown("sftp:keeper@backup.test:/srv") == "sftp:keeper@backup.test:/srv"


@pytest.mark.parametrize(
    ("address", "end"),
    [
        (SFTP, ["-l", "keeper", "backup.test", "-s", "sftp"]),
        ("sftp:backup.test:/srv", ["backup.test", "-s", "sftp"]),
        ("sftp://keeper@backup.test:2222//srv", ["-p", "2222", "-l", "keeper", "backup.test", "-s", "sftp"]),
        ("sftp://keeper@[2001:db8::7]/srv", ["-l", "keeper", "2001:db8::7", "-s", "sftp"]),
    ],
)
def test_a_target_by_sftp_is_reached_by_our_key_alone(address, end):
    words = shlex.split(restic.sftp_command(address))
    assert words[: len(words) - len(end)][-2:] == ["-o", "ServerAliveCountMax=4"] and words[-len(end) :] == end
    assert {"StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "BatchMode=yes"} <= set(words)


def test_credentials_of_a_rest_server():
    known = restic.parse_environment("# comment\nRESTIC_REST_USERNAME=me\nRESTIC_REST_PASSWORD=a=b/c@d#e\n")
    assert known == {"RESTIC_REST_USERNAME": "me", "RESTIC_REST_PASSWORD": "a=b/c@d#e"}
    address = restic.rest_address("rest:https://backup.test/me/", known)
    assert address == "rest:https://me:a%3Db%2Fc%40d%23e@backup.test/me/"
    assert restic.rest_address(SFTP, known) == SFTP
    assert restic.rest_address("rest:https://backup.test/me/", {}) == "rest:https://backup.test/me/"


def test_times():
    assert restic.seconds_of("2026-11-25T20:47:22.787556712Z") == 1795639642
    assert restic.seconds_of("2026-11-25T21:47:22.7+01:00") == restic.seconds_of("2026-11-25T20:47:22Z")
    assert acts.keep_options({"weekly": 4, "daily": 7}) == ["--keep-daily", "7", "--keep-weekly", "4"]
    day = 86400
    assert acts.is_due({}, "last_check", 7 * day, 10**9)
    assert not acts.is_due({"last_check": 10**9 - 6 * day}, "last_check", 7 * day, 10**9)
    assert acts.is_due({"last_check": 10**9 - 7 * day}, "last_check", 7 * day, 10**9)


def test_a_copy_of_a_database_in_use(tmp_path):
    """Somebody goes on writing, and is never refused; the copy has a beginning of it without a gap."""
    live, copy = str(tmp_path / "live.sqlite"), str(tmp_path / "copy.sqlite")
    with contextlib.closing(sqlite3.connect(live)) as connection:
        connection.executescript("CREATE TABLE rows (number INTEGER, twin INTEGER); CREATE TABLE padding (text TEXT);")
        connection.execute("INSERT INTO padding VALUES (?)", ["x" * 50_000_000])
        connection.commit()
    written, stop, refused = [0], threading.Event(), []

    def write():
        # As Prosody: it does not wait for a lock.
        with contextlib.closing(sqlite3.connect(live, timeout=0)) as connection:
            while not stop.is_set():
                try:
                    connection.execute("INSERT INTO rows VALUES (?, ?)", [written[0], -written[0]])
                    connection.commit()
                    written[0] += 1
                except sqlite3.OperationalError as error:
                    connection.rollback()
                    refused.append(str(error))

    writer = threading.Thread(target=write)
    # The first copy sets the mode that lets both be.
    databases.copy_sqlite(live, copy)
    os.unlink(copy)
    writer.start()
    while written[0] < 20:
        time.sleep(0.001)
    before = written[0]
    databases.copy_sqlite(live, copy)
    after = written[0]
    stop.set()
    writer.join()
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        rows = connection.execute("SELECT number, twin FROM rows ORDER BY number").fetchall()
    print(f"{before} rows before, {len(rows)} in the copy, {after} when it was made, {len(refused)} refused")
    assert before <= len(rows) <= after + 1 and rows == [(number, -number) for number in range(len(rows))]
    assert after > before and refused == []
    assert oct(os.stat(copy).st_mode)[-3:] == "600"


def test_a_damaged_database_is_not_saved(tmp_path):
    live = tmp_path / "live.sqlite"
    with contextlib.closing(sqlite3.connect(live)) as connection:
        connection.executescript("CREATE TABLE rows (text TEXT); CREATE INDEX by_text ON rows (text);")
        connection.executemany("INSERT INTO rows VALUES (?)", [[f"row {number}" * 20] for number in range(2000)])
        connection.commit()
    data = bytearray(live.read_bytes())
    data[5 * 4096 : 9 * 4096] = os.urandom(4 * 4096)
    live.write_bytes(data)
    with pytest.raises(base.Failed, match=r"live\.sqlite: "):
        databases.copy_sqlite(str(live), str(tmp_path / "copy.sqlite"))


@pytest.fixture
def of_nobody(tmp_path):
    """A database in a folder of another user's, where others can get to."""
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.geteuid() and len(path.parts) > 2:
            path.chmod(path.stat().st_mode | 0o011)
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    live = folder / "live.sqlite"
    with contextlib.closing(sqlite3.connect(live)) as connection:
        connection.executescript(
            "CREATE TABLE prosody (host TEXT, user TEXT, store TEXT); CREATE TABLE prosodyarchive (key TEXT);"
            "INSERT INTO prosody VALUES ('a.test', 'one', 'accounts'), ('a.test', 'two', 'accounts');"
            "INSERT INTO prosodyarchive VALUES ('k')"
        )
    for path in (folder, live):
        os.chown(path, 65534, 65534)
    return live


def test_a_database_is_read_as_its_owner(of_nobody, tmp_path, monkeypatch):
    """Whose library breaks at what a daemon has written there has the daemon's rights, and no others."""
    started, real = [], commands.subprocess.run

    def run(command, **options):
        done = real(command, **options)
        started.append(command)
        return done

    monkeypatch.setattr(commands.subprocess, "run", run)
    monkeypatch.setattr(databases.sqlite3, "connect", lambda *_, **__: pytest.fail("root opens it"))
    found = databases.copy_sqlite(str(of_nobody), str(tmp_path / "copy.sqlite"))
    monkeypatch.undo()
    print(found, started)
    assert found["contents"] == {"accounts": {"a.test": 2}, "messages": 1} and found["owner"] == 65534
    assert "--reuid=nobody" in started[0] and "--no-new-privs" in started[0]
    status = os.stat(tmp_path / "copy.sqlite")
    assert (status.st_uid, status.st_mode & 0o777) == (0, 0o600)
    assert {path.stat().st_uid for path in of_nobody.parent.iterdir()} == {65534}


@pytest.mark.parametrize(
    "trick", ["a link to a database", "a link in place of the copy", "another name of a file", "no answer"]
)
def test_a_daemon_that_was_taken_over_gets_nothing_saved_but_its_own(of_nobody, tmp_path, monkeypatch, trick):
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    if trick == "a link to a database":
        of_nobody.unlink()
        of_nobody.symlink_to(secret)
    real = commands.subprocess.run

    def run(command, **options):
        done = real(command, **options)
        copy = Path(command[-2])
        if trick == "a link in place of the copy":
            copy.unlink()
            copy.symlink_to(secret)
        elif trick == "another name of a file":
            copy.unlink()
            os.link(secret, copy)
        elif trick == "no answer":
            done.stdout = '{"accounts": [1]}'
        return done

    monkeypatch.setattr(commands.subprocess, "run", run)
    with pytest.raises(base.Failed) as failure:
        databases.copy_sqlite(str(of_nobody), str(tmp_path / "copy.sqlite"))
    print(failure.value)
    assert not os.path.lexists(tmp_path / "copy.sqlite") and not os.path.lexists(f"{places.FOLDER}/lent")
    assert (secret.read_text(), secret.stat().st_mode & 0o777, secret.stat().st_uid) == ("x", 0o600, 0)


def test_a_disk_is_not_filled(tmp_path, monkeypatch):
    disk = os.statvfs(tmp_path)
    # Others write to this disk meanwhile.
    monkeypatch.setattr(os, "statvfs", lambda _path: disk)
    free = disk.f_bavail * disk.f_frsize
    databases.require_room(str(tmp_path), free - 2**30, "a copy")
    with pytest.raises(base.Failed, match="there is no space for a copy: it needs"):
        databases.require_room(str(tmp_path), free + 1, "a copy")
    monkeypatch.setattr(databases, "RESERVE_BYTES", 2**62)
    monkeypatch.setattr(databases, "RESERVE_SHARE", 1)
    with pytest.raises(base.Failed, match="are left to others"):
        databases.require_room(str(tmp_path), 1, "a copy")


def manifest_of(tmp_path, **more):
    return {
        "version": 1,
        "time": 10**9,
        "release": 12,
        "paths": {str(tmp_path / "data"): 1},
        "databases": [],
        "users": {"0": "root", "104": "daemon"},
        "groups": {"0": "root", "105": "daemon"},
        **more,
    }


def test_what_is_newer_is_not_lost(tmp_path):
    config = {
        "paths": [str(tmp_path / "data"), str(tmp_path / "none")],
        "sqlite": [str(tmp_path / "db")],
        "postgresql": [],
    }
    database = {"kind": "sqlite", "name": str(tmp_path / "db")}
    manifest = manifest_of(tmp_path, databases=[database])
    restore.refuse_newer(manifest, config["paths"])
    (tmp_path / "data/folder").mkdir(parents=True)
    # A package makes folders.
    restore.refuse_newer(manifest, config["paths"])
    for name in ("data/folder/file", "db", "db-wal"):
        path = tmp_path / name
        path.write_text("old")
        os.utime(path, (10**9, 10**9))
        restore.refuse_newer(manifest, config["paths"])
        os.utime(path, (10**9 + 1, 10**9 + 1))
        with pytest.raises(base.Failed, match=f"1 things that are newer.*{name}"):
            restore.refuse_newer(manifest, config["paths"])
        path.unlink()
    (tmp_path / "data/link").symlink_to("nowhere")
    with pytest.raises(base.Failed, match="link"):
        restore.refuse_newer(manifest, config["paths"])


def test_a_database_is_newer_unless_a_restore_of_the_same_was_ended_half_way(tmp_path, monkeypatch):
    config = {"paths": [], "services": ["prosody.service", "nginx.service"]}
    manifest = manifest_of(tmp_path, paths={}, databases=[{"kind": "postgresql", "name": "prosody"}])
    monkeypatch.setattr(databases, "has_rows", lambda name: True)
    with pytest.raises(base.Failed, match="1 things that are newer.*the database prosody"):
        restore.refuse_newer(manifest, config["paths"])
    restore.refuse_newer(manifest, config["paths"], half_done=True)

    # systemd writes nothing of a unit that has never run in this boot.
    for left, started, expected in (
        ({}, "", False),
        ({"begun": "this", "time": 1000}, "", True),
        ({"begun": "this", "time": 1000}, "@999", True),
        ({"begun": "this", "time": 1000}, "@1000", False),
        ({"begun": "other", "time": 1000}, "", False),
        ({"snapshot": "this", "time": 1000}, "", False),
    ):
        monkeypatch.setattr(
            base,
            "run",
            lambda command, started=started: f"ActiveEnterTimestamp=\n\nActiveEnterTimestamp={started}\n",
        )
        files.write_json(places.RESTORED, left, mode=0o600)
        assert restore.is_half_done("this", config["services"]) is expected, (left, started)


def test_what_ssh_says_is_heard_and_restic_holds_the_lock(tmp_path, monkeypatch):
    """ssh writes into a file; and a restic that outlives this program keeps the next run waiting."""
    for name, value in (("LOCK", tmp_path / "lock"), ("CONFIG", tmp_path / "config")):
        monkeypatch.setattr(places, name, str(value))
    Path(places.ENVIRONMENT).write_text("")
    restic = tmp_path / "restic"
    restic.write_text(
        f"#!/bin/sh\nls -l /proc/self/fd >{tmp_path}/open\n"
        "log=${2#*-E }; echo 'Host key verification failed.' >>${log%% *}\n"
        "echo 'Fatal: unable to start the sftp session, error: file already closed' >&2; exit 1\n"
    )
    restic.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def only_ask(repository, config, wanted, overwrite):
        repository.snapshots()

    monkeypatch.setattr(restore, "restore", only_ask)
    words = main.parse(["restore"])
    with pytest.raises(base.Failed, match="is not in backup_ssh_host_keys; .*Host key verification failed"):
        main.act_on(words, {"host": "x", "repositories": [SFTP]})
    assert f"-> {tmp_path}/lock" in (tmp_path / "open").read_text()


def test_what_does_not_fit_is_refused(tmp_path, monkeypatch):
    wanted = staging.databases_of({"sqlite": ["/a"], "postgresql": ["b"]})
    known = [{"kind": "postgresql", "name": "b"}, {"kind": "sqlite", "name": "/a"}]
    monkeypatch.setattr(staging, "release", lambda: 12)
    restore.refuse_what_does_not_fit(manifest_of(tmp_path, databases=known), wanted)
    # A newer Debian reads what an older one wrote, and not the other way round.
    restore.refuse_what_does_not_fit(manifest_of(tmp_path, databases=known, release=11), wanted)
    for changes, words in (
        ({"release": 13}, "the backup is of Debian 13, and this host runs 12"),
        ({"databases": known[:1]}, "have it want what it did"),
        ({"version": 2}, "update the collection"),
    ):
        with pytest.raises(base.Failed, match=words):
            restore.refuse_what_does_not_fit({**manifest_of(tmp_path, databases=known), **changes}, wanted)


def test_owners_are_known_by_their_names():
    names = {"104": "prosody", "105": "gone"}
    there = {"prosody": 998}
    assert placing.find_number(names, there.__getitem__, 104) == 998
    assert placing.find_number(names, there.__getitem__, 4000) == 4000
    assert placing.find_number(names, there.__getitem__, 105, add=lambda name: {"gone": 997}[name]) == 997
    with pytest.raises(base.Failed, match="the account gone, who owns a part of the backup, is not on this host"):
        placing.find_number(names, there.__getitem__, 105)


def test_each_file_and_folder_gets_its_owner_once(tmp_path, monkeypatch):
    """A number that one name has here may be another name's in the backup."""
    (tmp_path / "top/folder").mkdir(parents=True)
    (tmp_path / "top/folder/file").write_text("")
    paths = [tmp_path / "top", tmp_path / "top/folder", tmp_path / "top/folder/file"]
    for path in paths:
        os.chown(path, 0, 105)
    numbers = {"xmpp-tls": 110, "bind": 105}
    monkeypatch.setattr(placing.grp, "getgrnam", lambda name: types.SimpleNamespace(gr_gid=numbers[name]))
    placing.give_back(str(tmp_path / "top"), {"users": {}, "groups": {"105": "xmpp-tls", "110": "bind"}})
    assert [path.stat().st_gid for path in paths] == [110, 110, 110]


@pytest.mark.parametrize("killed", ["", "beside", "former", "both"])
def test_one_takes_the_place_of_the_other(tmp_path, killed):
    """Whatever an earlier attempt has left."""
    new, live = tmp_path / "new", tmp_path / "live"
    new.mkdir()
    (new / "file").write_text("new")
    for name, wanted in (
        ("live", killed != "both"),
        ("live.restoring", killed in ("beside", "both")),
        ("live.replaced", killed in ("former", "both")),
    ):
        if wanted:
            (tmp_path / name).mkdir()
            (tmp_path / name / "old").write_text("old")
    (tmp_path / "live-wal").write_text("of the old one")
    placing.replace(str(new), str(live))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(("live", "new"))) == ["live"]
    assert [path.name for path in live.iterdir()] == ["file"]


def test_folders_above_are_as_they_were(tmp_path):
    new = tmp_path / "draft/etc/ssl/xmpp/key"
    new.parent.mkdir(parents=True)
    new.write_text("key")
    for path, mode in ((new.parent, 0o711), (new.parent.parent, 0o750)):
        path.chmod(mode)
    live = tmp_path / "live/etc/ssl/xmpp/key"
    (tmp_path / "live/etc").mkdir(parents=True, mode=0o700)
    placing.replace(str(new), str(live))
    modes = [oct(path.stat().st_mode & 0o777) for path in (live.parent, live.parent.parent, live.parent.parent.parent)]
    assert modes == ["0o711", "0o750", "0o700"] and live.read_text() == "key"


def test_it_does_so_across_disks(tmp_path, monkeypatch):
    rename = os.rename

    def other_disk(source, target):
        if str(source).endswith("new"):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", other_disk)
    (tmp_path / "new").write_text("new")
    (tmp_path / "new").chmod(0o640)
    placing.replace(str(tmp_path / "new"), str(tmp_path / "live"))
    assert (tmp_path / "live").read_text() == "new" and (tmp_path / "live").stat().st_mode & 0o777 == 0o640


def test_databases_within_a_folder_come_with_it():
    known = [
        {"kind": "sqlite", "name": "/var/lib/a/db"},
        {"kind": "sqlite", "name": "/srv/db"},
        {"kind": "postgresql", "name": "prosody"},
    ]
    manifest = {"paths": {"/var/lib/a": 3, "/var/lib/ab": 1}, "databases": known}
    assert placing.tops(manifest) == ["/var/lib/a", "/var/lib/ab", "/srv/db"]


def test_the_state_tells_of_the_worst():
    config = {"repositories": ["/a", "rest:https://me:secret@b.test/"]}
    state = {
        "repositories": {
            "/a": {"last_success": 20, "last_check": 5, "size": 3, "last_error": None},
            "/former": {"last_success": 1},
        }
    }
    told = State(config["repositories"]).summarise(state)
    assert (told["last_success"], told["last_check"], told["size"], told["last_error"]) == (None, None, 3, None)
    state["repositories"]["rest:https://me:***@b.test/"] = {"last_success": 10, "last_check": 7, "last_error": "away"}
    told = State(config["repositories"]).summarise(state)
    assert (told["last_success"], told["last_check"], told["last_error"]) == (10, 5, "away")
    assert "secret" not in json.dumps(told) and "/former" not in json.dumps(told)
    assert State(config["repositories"]).summarise({**state, "run_error": "no space"})["last_error"] == "no space"
    State(config["repositories"]).save(state)
    assert os.stat(places.STATE).st_mode & 0o777 == 0o644
    assert State.load()["last_success"] == 10


@pytest.mark.parametrize("error", [None, "no space", KeyboardInterrupt])
def test_a_run_notes_that_it_has_begun_and_ended(monkeypatch, error):
    config = {"host": "x", "repositories": [], "paths": [], "sqlite": [], "postgresql": []}
    seen = []

    def stage(*_what):
        seen.append(State.load())
        if error:
            raise base.Failed(error) if isinstance(error, str) else error
        return {}

    monkeypatch.setattr(acts, "stage", stage)
    with pytest.raises((base.Failed, KeyboardInterrupt)) if error else contextlib.nullcontext():
        acts.Backup(config).run()
    # What a run leaves that is killed.
    assert seen[0]["begun"] and "has not ended: it is at work, or was killed" in seen[0]["last_error"]
    after = State.load()
    assert after["begun"] is None and after["last_error"] == (error if isinstance(error, str) else None)


def test_one_repository_does_not_keep_others_from_theirs():
    config = {"repositories": ["/a", "/b", "/c"], "host": "host.test"}
    Path(places.ENVIRONMENT).write_text("")
    done = []

    def act(repository, entry):
        done.append(repository.address)
        entry["last_success"] = 7
        if repository.address == "/b":
            raise base.Failed("/b: away")

    with pytest.raises(base.Failed, match="^/b: away$"):
        acts.Backup(config).each_repository(act)
    assert done == ["/a", "/b", "/c"]
    known = State.load()["repositories"]
    assert [known[name]["last_error"] for name in ("/a", "/b", "/c")] == [None, "/b: away", None]


@pytest.mark.parametrize(
    "value",
    [
        "/srv/backup",
        SFTP,
        "sftp://keeper@backup.test:22//srv/backup",
        "rest:https://backup.test/me/",
        "rest:http://127.0.0.1:8000/",
        "s3:https://s3.test/bucket/folder",
        "b2:bucket:folder",
    ],
)
def test_repositories(value):
    assert FORMATS["backup_repositories"]([value]) == [value]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("backup_repositories", "/srv/backup", "is not a list of repositories"),
        ("backup_repositories", ["/srv/backup", "/srv/backup"], "appears twice"),
        ("backup_repositories", ["backup.test:/srv"], "'backup.test' is not a kind of target"),
        ("backup_repositories", ["sftp:backup"], "it names no user, host and folder"),
        ("backup_repositories", ["sftp:a@-oProxyCommand=x:/b"], "it names no user, host and folder"),
        ("backup_repositories", ["rest:http://backup.test/"], "an eavesdropper could delete backups"),
        (
            "backup_repositories",
            ["rest:https://me:hunter2@backup.test/"],
            "this repository has a password in its address",
        ),
        ("backup_repositories", ["/srv/back up"], "it has a space"),
        ("backup_repositories", ["/srv/backup\n"], "it has a space"),
        ("backup_repositories", ["/srv/../etc"], "is not the path of a file"),
        ("backup_passphrase", "0123456789", "this secret has a length of 10, so that it could be guessed"),
        ("backup_passphrase", "0123456789abcdef\nx", "this secret is not one line of text"),
        ("backup_environment", {"aws": "x"}, "'aws', which is not the name"),
        ("backup_environment", {"AWS_KEY": "hunter2\nLD_PRELOAD=/x"}, "this secret has no line of text for AWS_KEY"),
        ("backup_ssh_key", "ssh-ed25519 AAAA", "this secret is not a private key"),
        ("backup_ssh_host_keys", ["backup.test ssh-ed25519"], "is not a line of a file known_hosts"),
        ("backup_ssh_host_keys", ["backup.test ssh-ed25519 " + "A" * 68 + "\n* x " + "A" * 20], "is not a line"),
        ("backup_paths_extra", ["/etc"], "would be replaced as a whole by a restore"),
        ("backup_paths_extra", ["var/lib/x"], "is not the path of a file"),
        ("backup_exclude_extra", ["a\nb"], "it has a control character, or begins as an option"),
        ("backup_time", "7:30", "is not a time"),
        ("backup_keep", {"daily": 0}, "daily: 0 is too small; write days from 1 to 3650"),
        ("backup_check_parts", 0, "0 is too small; write checks from 1 to 256"),
        ("backup_services", ["prosody"], "write its full name"),
        ("backup_postgresql", ["x'; --"], "is not the name of a database"),
        ("backup_host", "host", "it has one label only"),
    ],
)
def test_wrong_values(name, value, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        FORMATS[name](value)
    assert "hunter2" not in str(caught.value)
