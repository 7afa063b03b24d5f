# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients get in with the right password, by SCRAM over TLS, in every way that is promised, and in no other."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest
from conftest import ADDRESS, DOMAIN, RELEASE
from hosts import CA, TOP

WAYS = ["tcp", "tls", "bosh", "websocket"]
# Prosody 0.12 binds to the channel of TLS 1.2 only (tls-unique), 13 to that of TLS 1.3, too (RFC 9266).
PLUS = {"bookworm": ["SCRAM-SHA-1"], "trixie": ["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"]}[RELEASE]
# Before TLS nothing is offered but TLS; the limits are those of stanzas' sizes (XEP-0478), which 0.12 does not tell.
BEFORE_TLS = {"bookworm": ["starttls"], "trixie": ["starttls", "limits"]}[RELEASE]
# Behind nginx there is no TLS of Prosody's own that a channel could be bound to.
MECHANISMS = {"tcp": PLUS, "tls": PLUS, "bosh": ["SCRAM-SHA-1"], "websocket": ["SCRAM-SHA-1"]}


def go_sendxmpp(internet, account, options, password=None):
    """A client that many people use, pinned to the best mechanism that there is over TLS 1.3."""
    return internet.run(
        "go-sendxmpp --suppress-root-warning --tls-version 13 "
        f"--scram-mech-pinning {PLUS[-1]} --username {account.jid} --password {shlex.quote(password or account.password)} {options}",
        stdin="Hello by go-sendxmpp",
    )


@pytest.mark.parametrize("direct", ["", "--tls"], ids=["starttls", "direct-tls"])
def test_the_best_mechanism_over_tls_1_3(internet, accounts, client, direct):
    alice, bob = accounts["alice"], accounts["bob"]
    sent = go_sendxmpp(internet, alice, f"{direct} {bob.jid}")
    assert sent.rc == 0, sent.stderr
    got = client("receive", account=bob.by())
    assert got["from"].startswith(alice.jid)
    assert got["body"].strip() == "Hello by go-sendxmpp"


def test_scram_sha_1_plus_over_tls_1_2(accounts, tmp_path):
    """With the client of bin/demo, which knows the channel binding of TLS 1.2."""
    secrets = tmp_path / "accounts.json"
    secrets.write_text(json.dumps({account.jid: account.password for account in (accounts["alice"], accounts["bob"])}))
    command = [sys.executable, TOP / "tests/lab/send_message.py", "--address", ADDRESS]
    sent = subprocess.run([*command, "--ca", CA, "--accounts", secrets], capture_output=True, text=True)
    print(sent.stdout)
    assert sent.returncode == 0, sent.stderr
    assert sent.stdout.count("is logged in by SCRAM-SHA-1-PLUS over TLSv1.2") == 2


def test_wrong_password_with_the_best_mechanism(internet, accounts):
    result = go_sendxmpp(internet, accounts["alice"], accounts["bob"].jid, password="wrong")
    print(result.rc, result.stdout.strip())
    assert result.rc != 0
    assert "auth failure" in result.stdout


@pytest.mark.parametrize("via", WAYS)
def test_login(accounts, client, via):
    session = client("login", account=accounts["alice"].by(via))
    assert session["jid"].startswith(f"{accounts['alice'].jid}/")
    assert session["mechanisms"] == MECHANISMS[via]
    assert session["tls"] == "TLSv1.3"
    assert session["before_tls"] == (BEFORE_TLS if via == "tcp" else [])


@pytest.mark.parametrize("via", WAYS)
def test_wrong_password(accounts, client, via):
    account = accounts["alice"].by(via)
    assert "jid" in client("login", account=account)
    assert client("login", account=account | {"password": "wrong"}) == {"refused": "not-authorized"}


@pytest.mark.parametrize("via", WAYS)
def test_messages_within_a_domain_and_between_two(accounts, client, via):
    for sender, receiver in (("alice", "bob"), ("bob", "alice"), ("kim", "alice"), ("ida", "kim")):
        talk = client("talk", sender=accounts[sender].by(via), receiver=accounts[receiver].by("tcp"))
        assert talk["received"] == talk["sent"]
        assert talk["from"].startswith(accounts[sender].jid)


@pytest.mark.parametrize(
    ("port", "namespace", "send", "refusal"),
    [
        (
            5222,
            "jabber:client",
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj1hLHI9YQ==</auth>",
            "failure/encryption-required",
        ),
        (5269, "jabber:server", "<db:result from='honest.test' to='broccoli.test'>key</db:result>", "error/"),
    ],
    ids=["c2s", "s2s"],
)
def test_unencrypted_stream_is_refused(client, port, namespace, send, refusal):
    other = "honest.test" if port == 5269 else DOMAIN
    stream = client("plain", address=ADDRESS, port=port, namespace=namespace, to=DOMAIN, send=send, **{"from": other})
    assert stream["features"] == BEFORE_TLS
    assert stream["answers"], "no answer"
    assert stream["answers"][0].startswith(refusal)
    assert all(answer.startswith(("failure/", "error/")) for answer in stream["answers"])


@pytest.mark.parametrize("port", [5223, 5270])
def test_nothing_without_tls(client, port):
    stream = client(
        "plain", address=ADDRESS, port=port, namespace="jabber:client", to=DOMAIN, send="", **{"from": DOMAIN}
    )
    assert stream["features"] == stream["answers"] == []
    assert stream["closed"] or "not_xml" in stream
