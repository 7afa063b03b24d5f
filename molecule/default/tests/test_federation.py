# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers with a valid certificate are talked to, others are not."""

from __future__ import annotations

import pytest
from clients import Refused
from conftest import COMPONENTS, DOMAIN


@pytest.mark.parametrize(
    ("sender", "receiver"),
    [
        ("alice", "carol"),
        ("carol", "alice"),
        ("kim", "carol"),
        ("carol", "kim"),
        ("ida", "carol"),
        ("carol", "ida"),
        # That the self-signed server can talk at all, to one that allows it.
        ("mallory", "carol"),
        ("carol", "mallory"),
    ],
)
def test_servers_talk(accounts, client, sender, receiver):
    talk = client("talk", sender=accounts[sender].by(), receiver=accounts[receiver].by())
    assert talk["received"] == talk["sent"]
    assert talk["from"].startswith(accounts[sender].jid)


@pytest.mark.parametrize(("sender", "receiver"), [("alice", "mallory"), ("mallory", "alice")])
def test_self_signed_server_is_refused(rosewood, accounts, client, sender, receiver):
    since = rosewood.out("date +%s")
    talk = client("talk", sender=accounts[sender].by(), receiver=accounts[receiver].by())
    assert set(talk) == {"refused"}
    assert talk["refused"] in ("remote-server-not-found", "remote-server-timeout", "not-authorized", "policy-violation")
    # It is the host under test that refuses, because of the certificate.
    journal = rosewood.out(f"journalctl --unit prosody --since @{since} --output cat")
    print(journal)
    assert "selfsigned.test" in journal
    assert "certificate" in journal


@pytest.mark.parametrize("namespace", ["jabber:iq:version", "jabber:iq:last"])
async def test_nobody_is_told_what_runs_here_and_since_when(alice, carol, namespace):
    """It would say which holes are open, and whether the last repair is in use."""
    told = []
    for asker in (alice, carol):
        for name in (DOMAIN, *(name for name in COMPONENTS if name.endswith(DOMAIN))):
            try:
                await asker.ask("get", f"<query xmlns='{namespace}'/>", name)
                told.append((asker.boundjid.bare, name))
            except Refused as refusal:
                print(asker.boundjid.bare, name, refusal)
    assert told == []
