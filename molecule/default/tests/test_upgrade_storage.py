# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all the tests before have left in SQLite moves to PostgreSQL, whole, or everything stays as it is."""

from __future__ import annotations

import json
import re
import time

import pytest
from conftest import HOSTNAME, INVENTORY
from hosts import ansible

FILE = "/var/lib/prosody/prosody.sqlite"
POSTGRESQL = ("--extra-vars", "xmpp_storage=postgresql")
COLUMNS = {
    "prosody": ["host", "user", "store", "key", "type", "value"],
    "prosodyarchive": ["sort_id", "host", "user", "store", "key", "with", "type", "value"],
}
READ = """
import json, sqlite3, sys
connection = sqlite3.connect("file:%s?mode=ro", uri=True)
tables = json.loads(sys.stdin.read())
print(json.dumps({t: connection.execute('SELECT "' + '", "'.join(c) + f'" FROM {t}').fetchall() for t, c in tables.items()}))
"""
WRITE = """
import sqlite3, sys
connection = sqlite3.connect("%s")
connection.execute(sys.stdin.read())
connection.commit()
"""


def python(rosewood, program, stdin):
    """Run a program on the host, which takes it from a file, as its words may be quoted in any way."""
    rosewood.out("cat > /run/program.py", stdin=program)
    return rosewood.out("python3 /run/program.py", stdin=stdin)


def in_sqlite(rosewood, path):
    found = json.loads(python(rosewood, READ % path, json.dumps(COLUMNS)))
    return {table: sorted(map(tuple, rows)) for table, rows in found.items()}


def lasting(rosewood, tables):
    """Without what Prosody may change by itself meanwhile: the times of its own jobs and what they count of uploads, what
    sessions that sleep have received (XEP-0198), invitations that have expired, or will before all is compared, and slots
    for uploads that nobody has used, which are given back after a while.
    """
    files = rosewood.out("find /var/lib/prosody -name '*.bin' -printf '%f\\n'").replace("%2d", "-").split()

    def lasts(row):
        store, value = row[2], row[-1]
        if store == "invite_token":
            # Of one that an account has made, its expiry is kept at the account, too.
            its = json.loads(value)
            return (its["expires"] if isinstance(its, dict) else its) > time.time() + 600
        return store not in ("cron", "smacks_h", "upload_stats")

    def is_used(row):
        *_before, store, key, _with, _type, _value = row
        return store != "uploads" or f"{key}.bin" in files

    kept = {"prosody": lasts, "prosodyarchive": is_used}
    return {table: list(filter(kept[table], rows)) for table, rows in tables.items()}


def in_postgresql(rosewood):
    found = {}
    for table, columns in COLUMNS.items():
        names = ", ".join(f'"{name}"' for name in columns)
        query = f"SELECT coalesce(json_agg(json_build_array({names})), '[]') FROM {table}"
        rows = json.loads(rosewood.out("psql -U postgres -d prosody -At --file=-", stdin=query))
        found[table] = sorted(map(tuple, rows))
    return found


def change(rosewood, statement):
    python(rosewood, WRITE % FILE, statement)


@pytest.mark.any_release(
    "what is refused is decided by the accounts in SQLite, which both releases keep in the same tables"
)
@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        (
            "xmpp_storage=postgresql",
            r"accounts that are in SQLite3 and not in PostgreSQL: \d+ of \d+; run the playbook",
        ),
        (
            "prosody_password_hash=SHA-256",
            r"all accounts \(\d+\), whose passwords are stored by SHA-1 and cannot be converted",
        ),
    ],
)
def test_a_change_that_loses_accounts_is_refused(rosewood, accounts, client, site, variable, reason):
    before = rosewood.out("sha256sum /etc/prosody/prosody.cfg.lua; systemctl show --property InvocationID prosody")
    result = site("--extra-vars", variable)
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert re.search(reason, " ".join(said.split())), said[-1500:]
    assert (
        rosewood.out("sha256sum /etc/prosody/prosody.cfg.lua; systemctl show --property InvocationID prosody") == before
    )
    assert "jid" in client("login", account=accounts["alice"].by())


def test_what_cannot_be_copied_leaves_all_as_it_is(rosewood, accounts, client, site):
    change(
        rosewood, "INSERT INTO prosody VALUES ('broccoli.test', 'odd', 'private', 'a', 'string', 'a' || char(0) || 'b')"
    )
    try:
        before = in_sqlite(rosewood, FILE)
        result = site(*POSTGRESQL, playbook="move_storage")
        assert result.returncode != 0
        said = " ".join((result.stdout + result.stderr).split())
        assert f"{FILE}: table prosody, row" in said and "it holds a NUL, which PostgreSQL cannot keep" in said
        # It has just been started again.
        up = "until (exec 3<>/dev/tcp/127.0.0.1/5222) 2>/dev/null; do sleep 0.2; done; sleep 1"
        rosewood.out(f"timeout 120 bash -c '{up}'")
        after = in_sqlite(rosewood, FILE)
        for table, rows in lasting(rosewood, before).items():
            changed = set(rows) ^ set(lasting(rosewood, after)[table])
            assert not changed, (table, sorted(changed)[:6])
        assert "jid" in client("login", account=accounts["alice"].by())
    finally:
        change(rosewood, "DELETE FROM prosody WHERE user = 'odd'")


def test_the_file_is_read_with_its_owner_s_rights(rosewood):
    """Whoever can break the reader by what is in the file gains nothing by it."""
    probe = "/run/probe.sqlite"
    python(rosewood, WRITE % probe, "CREATE TABLE prosody (host TEXT)")
    module = ("-m", "magicbroccoli.xmpp.prosody_move_store", "-a", f"source={probe} config=/nowhere", "--check")

    def copy() -> str:
        done = ansible("ansible", HOSTNAME, *module, inventory=INVENTORY)
        print(done.stdout + done.stderr)
        return done.stdout

    try:
        rosewood.out(f"chmod 600 {probe}")
        assert f"{probe}: unable to open database file" in copy()
        rosewood.out(f"chown prosody {probe}")
        assert re.search(r"tables\W+prosody\W+0", copy())
    finally:
        rosewood.out(f"rm -f {probe}")


def test_everything_moves(rosewood, accounts, client, site):
    for _time in range(3):
        sent = client("talk", sender=accounts["alice"].by(), receiver=accounts["bob"].by())["sent"]
    result = site(*POSTGRESQL, playbook="move_storage")
    assert result.returncode == 0, result.stdout[-1500:] + result.stderr
    before, after = in_sqlite(rosewood, f"{FILE}.moved"), in_postgresql(rosewood)
    print({table: len(rows) for table, rows in before.items()})
    assert len(before["prosody"]) > 20 and len(before["prosodyarchive"]) > 5
    assert any(sent in row[-1] for row in before["prosodyarchive"])
    # What has come since is more, and nothing is less.
    for table, rows in lasting(rosewood, before).items():
        missing = set(rows) - set(after[table])
        assert not missing, (table, sorted(missing)[:3])
    assert rosewood.run(f"test -e {FILE}").rc == 1


def test_accounts_go_on(accounts, client):
    for name in ("alice", "kim"):
        assert "jid" in client("login", account=accounts[name].by())
        assert client("login", account=accounts[name].by() | {"password": "wrong"}) == {"refused": "not-authorized"}
    talk = client("talk", sender=accounts["alice"].by(), receiver=accounts["carol"].by())
    assert talk["received"] == talk["sent"]


def test_new_messages_are_kept_there(rosewood, accounts, client):
    before = in_postgresql(rosewood)["prosodyarchive"]
    sent = client("talk", sender=accounts["bob"].by(), receiver=accounts["alice"].by())["sent"]
    new = set(in_postgresql(rosewood)["prosodyarchive"]) - set(before)
    print(f"{len(before)} archived messages, and {len(new)} more")
    assert any(sent in row[-1] for row in new)


def test_a_run_changes_nothing(site):
    result = site(*POSTGRESQL)
    assert result.returncode == 0, result.stdout[-1500:] + result.stderr
    assert " changed=0 " in result.stdout.split("PLAY RECAP")[1]


def test_nobody_else_reaches_it(rosewood):
    """By no port, and as no other user."""
    # Its network is one of its own, in which there is nothing but its socket.
    pid = rosewood.out("cat /run/postgresql/*.pid").splitlines()[0]
    for inside in ("", f"nsenter --target {pid} --net "):
        assert "postgres" not in rosewood.out(f"{inside}ss --no-header --listening --tcp --udp --numeric --processes")
    assert "postgres" in rosewood.out(f"nsenter --target {pid} --net ss --no-header --listening --unix --processes")
    query = "psql -d prosody -Atc 'SELECT count(*) FROM prosody'"
    assert int(rosewood.out(f"runuser -u prosody -- {query}")) > 20
    for user, options in [
        ("www-data", ""),
        ("www-data", "-U prosody"),
        ("www-data", "-U postgres"),
        ("bind", "-U prosody"),
    ]:
        result = rosewood.run(f"runuser -u {user} -- {query} {options}")
        print(f"{user} {options}: {result.stderr.strip()[-120:]}")
        assert result.rc != 0
        assert "authentication failed" in result.stderr or "no pg_hba.conf entry" in result.stderr
    result = rosewood.run("runuser -u prosody -- psql -d postgres -Atc 'SELECT 1'")
    assert "no pg_hba.conf entry" in result.stderr
