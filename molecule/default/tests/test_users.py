# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook users: accounts are as the inventory says, by real logins, and their passwords are seen nowhere."""

from __future__ import annotations

import asyncio
import json
import re
import secrets

import pytest
from conftest import DOMAIN, IDN, LOOP, RELEASE, Account, logs_in

ANNA, BENNO = (
    Account(f"{name}-{secrets.token_hex(3)}@{DOMAIN}", secrets.token_urlsafe(18)) for name in ("anna", "benno")
)


@pytest.fixture
def users(site, tmp_path):
    """Run the playbook with these accounts, as loudly as can be, and tell how many tasks have changed something."""

    def run(*accounts: dict, passwords: dict | None = None, options: tuple[str, ...] = ()) -> int:
        variables = tmp_path / "users.json"
        variables.write_text(json.dumps({"xmpp_users": accounts, "xmpp_user_passwords": passwords or {}}))
        done = site("--extra-vars", f"@{variables}", "-vvv", "--diff", *options, playbook="users")
        for password in (passwords or {}).values():
            assert password not in done.stdout + done.stderr
        assert done.returncode == 0, done.stdout + done.stderr
        changed = re.search(r"changed=(\d+)", done.stdout)
        print(*(account["jid"] for account in accounts), changed[0])
        return int(changed[1])

    return run


@pytest.fixture
def can(connect):
    return lambda account: LOOP.run_until_complete(logs_in(connect, account))


def journal(host) -> str:
    return host.out("journalctl --no-pager --since=-10min --output=cat")


def test_accounts_are_made_and_their_passwords_are_seen_nowhere(users, can, rosewood):
    passwords = {account.jid: account.password for account in (ANNA, BENNO)}
    wanted = [{"jid": ANNA.jid}, {"jid": BENNO.jid, "role": "admin"}]
    assert users(*wanted, passwords=passwords, options=("--check",)) == 1
    assert not can(ANNA)

    # Every command line of every process while it runs.
    rosewood.out(
        "systemd-run --quiet --unit=watch-arguments sh -c 'while :; do cat /proc/[0-9]*/cmdline; done >/run/arguments 2>&1'"
    )
    try:
        assert users(*wanted, passwords=passwords) == 1
    finally:
        rosewood.out("systemctl stop watch-arguments")
    assert can(ANNA)
    assert can(BENNO)
    assert users(*wanted, passwords=passwords) == 0

    assert "python3" in rosewood.out("tr '\\0' ' ' </run/arguments | grep -o -m 1 'python3'")
    for password in passwords.values():
        assert (
            rosewood.run("grep --text --count --fixed-strings --file=- /run/arguments", stdin=password).stdout.strip()
            == "0"
        )
        assert password not in journal(rosewood)
        assert rosewood.run("grep -rFl --file=- /var/lib/prosody /root/.ansible /tmp", stdin=password).stdout == ""
    rosewood.out("rm /run/arguments")


def test_names_beyond_ascii_log_in(users, can):
    """The operator writes either form of a domain, here one for the account and the other one for its password."""
    end = secrets.token_hex(3)
    accounts = [Account(f"{name}-{end}@{IDN}", secrets.token_urlsafe(18)) for name in ("a+b", "müller", "strasse")]
    wanted = [{"jid": account.jid.replace(IDN, "xn--bcher-kva.test")} for account in accounts]
    passwords = {account.jid: account.password for account in accounts}
    assert users(*wanted, passwords=passwords) == 1
    assert all(map(can, accounts))
    # Whoever types it otherwise is let in, too.
    assert can(Account(f"Straße-{end}@{IDN}", accounts[2].password))
    assert users(*wanted, passwords=passwords) == 0
    assert users(*({"jid": account.jid, "state": "absent"} for account in accounts)) == 1
    assert not any(map(can, accounts))


def test_the_role_is_the_server_s(users, rosewood):
    command = "user:role" if RELEASE == "trixie" else "user:roles"
    shown = rosewood.out(f"prosodyctl shell '{command}(\"{BENNO.jid}\")'")
    assert "prosody:admin" in shown
    assert users({"jid": BENNO.jid, "role": "member"}) == 1
    assert "prosody:admin" not in rosewood.out(f"prosodyctl shell '{command}(\"{BENNO.jid}\")'")


def test_who_is_disabled_is_thrown_out_and_stays_so_until_enabled(users, can, connect):
    online = LOOP.run_until_complete(connect(ANNA))
    assert users({"jid": ANNA.jid, "state": "disabled"}) == 1
    LOOP.run_until_complete(asyncio.wait_for(online.disconnected, 10))
    assert not can(ANNA)
    assert users({"jid": ANNA.jid, "state": "disabled"}) == 0
    # Not by a new password either.
    new = Account(ANNA.jid, secrets.token_urlsafe(18))
    change = {"jid": ANNA.jid, "update_password": "always"}
    assert users(change, passwords={ANNA.jid: new.password}) == 1
    assert users(change, passwords={ANNA.jid: new.password}) == 0
    assert not can(new)
    assert users({"jid": ANNA.jid, "state": "enabled"}) == 1
    assert can(new)
    assert not can(ANNA)


def test_who_changes_the_password_keeps_it(users, can):
    other = {BENNO.jid: secrets.token_urlsafe(18)}
    assert users({"jid": BENNO.jid}, passwords=other) == 0
    assert can(BENNO)


def test_who_is_absent_is_gone(users, can, rosewood):
    gone = [{"jid": account.jid, "state": "absent"} for account in (ANNA, BENNO)]
    assert users(*gone) == 1
    assert not can(BENNO)
    assert users(*gone) == 0
    assert BENNO.jid.split("@")[0] not in rosewood.out(f"prosodyctl shell 'user:list(\"{DOMAIN}\")'")


@pytest.mark.parametrize("password", ["", "short", " " * 12, "anna1234567890"])
def test_passwords_keep_the_rules_before_anything_changes(site, rosewood, password):
    first = f"first-{secrets.token_hex(3)}@{DOMAIN}"
    accounts = [{"jid": first}, {"jid": f"anna@{DOMAIN}"}]
    passwords = {first: secrets.token_urlsafe(18), f"anna@{DOMAIN}": password}
    variables = json.dumps({"xmpp_users": accounts, "xmpp_user_passwords": passwords})
    done = site("--extra-vars", variables, "-vvv", playbook="users")
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert ("is at least 10" if password else "xmpp_user_passwords: its value is wrong") in said
    assert first.split("@")[0] not in rosewood.out(f"prosodyctl shell 'user:list(\"{DOMAIN}\")'")


@pytest.mark.parametrize(
    ("accounts", "message"),
    [
        ([{"jid": f"new@{DOMAIN}"}], "password: is not set, and the account does not exist yet"),
        ([{"jid": "new@example.org"}], f"'example.org' is not a domain of this Prosody; write an account of {DOMAIN}"),
        (
            [{"jid": f"admin@{DOMAIN}", "role": "member"}],
            "role: 'member' is not possible, since Prosody's configuration",
        ),
        (
            [{"jid": f"straße@{DOMAIN}"}],
            "XMPP knows this account as 'strasse': 'ß' (U+00DF LATIN SMALL LETTER SHARP S)",
        ),
        ([{"jid": "juliet@xn--strae-oqa.test"}], "'xn--strae-oqa' is not an A-label of XMPP's: 'ß'"),
        ([{"jid": f"New@{DOMAIN}"}], f"xmpp_users: 'New@{DOMAIN}' is not a bare JID: XMPP knows this account as 'new'"),
    ],
)
def test_what_is_wrong_is_said(site, accounts, message):
    done = site("--extra-vars", json.dumps({"xmpp_users": accounts}), playbook="users")
    assert done.returncode != 0
    assert message in " ".join(done.stdout.split()) + " ".join(done.stderr.split())
