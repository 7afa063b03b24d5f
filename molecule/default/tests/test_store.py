# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts' data is for Prosody alone, and a password is nowhere in it."""

from __future__ import annotations

import base64

import pytest

DATABASE = "/var/lib/prosody/prosody.sqlite"


def read_as(rosewood, user):
    return rosewood.run(f"setpriv --reuid={user} --regid=$(id -g {user}) --init-groups head --bytes=16 {DATABASE}")


def test_prosody_can_read_it(rosewood, accounts):
    result = read_as(rosewood, "prosody")
    assert result.rc == 0
    assert result.stdout.startswith("SQLite format 3")


@pytest.mark.parametrize("user", ["nobody", "www-data", "bind"])
def test_others_cannot(rosewood, accounts, user):
    result = read_as(rosewood, user)
    print(result.stderr)
    assert result.rc != 0
    assert "Permission denied" in result.stderr


def test_owner_and_mode(rosewood, accounts):
    files = rosewood.out(f"stat --format '%U %a %n' {DATABASE}*").splitlines()
    print(files)
    for line in files:
        owner, mode, _ = line.split(" ", 2)
        assert (owner, mode) == ("prosody", "600")


def test_no_password_in_it(rosewood, accounts, client):
    def found(text):
        return rosewood.run(
            "grep --recursive --text --fixed-strings --files-with-matches --file=- /var/lib/prosody", stdin=text
        ).stdout.split()

    for name in ("alice", "bob"):
        account = accounts[name]
        client("login", account=account.by())
        # The control: the account is found by its name.
        assert found(account.jid.split("@")[0])
        for secret in (account.password, base64.b64encode(account.password.encode()).decode().rstrip("=")):
            assert found(secret) == []
