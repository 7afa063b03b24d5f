# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who guesses passwords is stopped and learns nothing of accounts, and nobody else is shut out."""

from __future__ import annotations

import base64
import collections
import json
import re
import secrets
import statistics
import time

import pytest
from conftest import DOMAIN, DOMAINS, RELEASE, create
from hosts import Journal
from streams import SASL, SASL2, Stream

# Debian 12 has the older profile only, and no channel binding in TLS 1.3.
PROFILES = {"trixie": [SASL, SASL2], "bookworm": [SASL]}[RELEASE]
MECHANISMS = {"trixie": ["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"], "bookworm": ["SCRAM-SHA-1"]}[RELEASE]
REFUSED = "temporary-auth-failure"
NO_ACCOUNT = f"nobody-{secrets.token_hex(3)}"


@pytest.fixture(autouse=True)
def fresh(rosewood):
    """As if nobody had guessed before; and nobody after this file is refused for it."""

    def forget():
        said = rosewood.out("prosodyctl shell \"module:reload('login_limits')\"")
        assert f"OK: Module reloaded on {len(DOMAINS)} hosts" in said

    forget()
    yield
    forget()


@pytest.fixture
def told(rosewood):
    """What the journal has said of wrong passwords since the test began."""
    journal = Journal(rosewood)

    def read() -> list[str]:
        lines = journal.text("prosody.service").splitlines()
        return [line for line in lines if "login_limits" in line and "wrong password" in line.lower()]

    return read


def user_of(account) -> str:
    return account.jid.split("@")[0]


def guesses(user: str, count: int, namespace: str, streams: int = 1) -> collections.Counter:
    """So many wrong passwords by so many streams; all of them have got their challenge before the first proof is sent."""
    opened = [Stream() for _ in range(streams)]
    verdicts = collections.Counter()
    for _ in range(count // streams):
        offers = [stream.offer(user, namespace=namespace) for stream in opened]
        for stream, offer in zip(opened, offers, strict=True):
            verdict = stream.answer(offer, secrets.token_bytes(20), namespace)
            verdicts[verdict[0].tag.removeprefix(SASL)] += 1
    for stream in opened:
        stream.socket.close()
    print(f"{count} wrong passwords for {user} by {streams} streams: {dict(verdicts)}")
    return verdicts


@pytest.mark.parametrize("namespace", PROFILES)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_an_unknown_account_answers_as_a_known_one(accounts, rosewood, namespace, mechanism):
    shut = create(rosewood, "shut", DOMAIN)
    if RELEASE == "trixie":
        rosewood.out(f"prosodyctl shell 'user:disable(\"{shut.jid}\")'")
    users = {
        "known": user_of(accounts["alice"]),
        "unknown": NO_ACCOUNT,
        "other": NO_ACCOUNT + "-2",
        "disabled": user_of(shut),
    }
    # Each name twice on streams of its own, and many times, taking turns, on others for the time that it takes.
    offers = {}
    for who, user in users.items():
        for _ in range(2):
            with Stream() as stream:
                offers.setdefault(who, []).append(stream.offer(user, mechanism, namespace))
    assert not [offer for pair in offers.values() for offer in pair if "failure" in offer], offers
    salts = {who: {offer["s"] for offer in pair} for who, pair in offers.items()}
    print({who: [base64.b64decode(salt).decode() for salt in its] for who, its in salts.items()})
    assert [len(its) for its in salts.values()] == [1, 1, 1, 1]
    assert len(set().union(*salts.values())) == 4
    form = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(form.fullmatch(base64.b64decode(salt)) for its in salts.values() for salt in its)
    assert {offer["i"] for pair in offers.values() for offer in pair} == {"10000"}
    assert len({tuple(offer) for pair in offers.values() for offer in pair}) == 1

    taken = collections.defaultdict(list)
    for _ in range(15):
        for who in ("known", "unknown"):
            with Stream() as stream:
                begun = time.perf_counter()
                stream.offer(users[who], mechanism, namespace)
                taken[who].append(1000 * (time.perf_counter() - begun))
    known, unknown = sorted(taken["known"]), statistics.median(taken["unknown"])
    print(f"known {statistics.median(known):.2f} ms ({known[0]:.2f} to {known[-1]:.2f}), unknown {unknown:.2f} ms")
    # Hashing a password for the one and not for the other would take ten times as long.
    assert known[0] / 3 <= unknown <= 3 * known[-1]


@pytest.mark.parametrize("namespace", PROFILES)
def test_the_end_is_the_same_for_both(accounts, namespace):
    with Stream() as one, Stream() as other:
        assert (
            one.guess(user_of(accounts["alice"]), namespace) == other.guess(NO_ACCOUNT, namespace) == "not-authorized"
        )


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("namespace", PROFILES)
def test_guesses_for_one_account_are_limited_and_its_owner_is_not(rosewood, client, told, namespace, exists):
    account = create(rosewood, "guessed", DOMAIN)
    user = user_of(account) if exists else f"{NO_ACCOUNT}-{secrets.token_hex(2)}"
    begun = time.monotonic()
    verdicts = guesses(user, 100, namespace, streams=25)
    elapsed = time.monotonic() - begun
    # One comes back in three minutes.
    assert 20 <= verdicts["not-authorized"] <= 20 + 1 + elapsed / 180
    assert verdicts[REFUSED] == 100 - verdicts["not-authorized"]
    (line,) = told()
    print(line)
    assert user in line
    if exists:
        # Who sits beside the stranger has to wait, even with the right password; the owner elsewhere has not.
        with Stream() as stream:
            verdict, _ = stream.scram(account, namespace=namespace)
            assert verdict[0].tag == f"{SASL}{REFUSED}"
        for _ in range(2):
            assert "jid" in client("login", account=account.by())


def test_an_owner_who_was_there_before_logs_in_whatever_others_behind_the_same_address_do(rosewood, accounts, told):
    account, newcomer = create(rosewood, "neighbour", DOMAIN), create(rosewood, "newcomer", DOMAIN)
    with Stream() as stream:
        verdict, _ = stream.scram(account, namespace=SASL)
        assert verdict.tag == f"{SASL}success"
    begun = time.monotonic()
    verdicts = collections.Counter()
    with Stream() as stream:
        for number in range(130):
            verdicts[stream.guess(f"{NO_ACCOUNT}-{number}", SASL)] += 1
    elapsed = time.monotonic() - begun
    print(f"130 accounts guessed in {elapsed:.1f} s: {dict(verdicts)}")
    # Ten come back in a minute.
    assert 100 <= verdicts["not-authorized"] <= 101 + elapsed / 6
    assert verdicts[REFUSED] == 130 - verdicts["not-authorized"]
    outcomes = {}
    for who in (account, newcomer):
        with Stream() as stream:
            verdict, _ = stream.scram(who, namespace=SASL)
            outcomes[user_of(who)] = verdict.tag.removeprefix(SASL)
    print(outcomes)
    assert outcomes == {user_of(account): "success", user_of(newcomer): "failure"}
    # One line, however many accounts there were.
    (line,) = told()
    print(line)
    # A password that its owner mistypes is no matter of the neighbours'.
    with Stream() as stream:
        assert stream.guess(user_of(account), SASL) == "not-authorized"
        verdict, _ = stream.scram(account, namespace=SASL)
        assert verdict.tag == f"{SASL}success"


def test_what_a_client_calls_itself_is_not_in_the_journal(rosewood, told):
    """Names that nodeprep lets through, but no account has."""
    name = "ä$%(`" + "x" * 500
    guesses(name, 25, SASL)
    (line,) = told()
    print(line)
    assert "xxx" not in line
    assert "an account with a name of" in line


def test_where_an_owner_logs_in_is_the_visitor_s_and_nobody_else_can_read_it(rosewood, client):
    """Behind nginx, too: else one visitor would be all of them."""
    account = create(rosewood, "traveller", DOMAIN)
    for via in ("tcp", "websocket", "bosh"):
        assert "jid" in client("login", account=account.by(via))
    with Stream() as stream:
        stream.scram(account, namespace=SASL)
    stored = rosewood.out(
        "runuser -u prosody -- python3 -",
        stdin="import sqlite3\n"
        "database = sqlite3.connect('/var/lib/prosody/prosody.sqlite')\n"
        "query = 'SELECT value FROM prosody WHERE user = ? AND store = ?'\n"
        f"print(*database.execute(query, ('{user_of(account)}', 'login_limits')).fetchone())",
    )
    print(stored)
    # By IPv6 from internet.test, in three ways, and by IPv4 from here.
    assert len(json.loads(stored)) == 2
    assert all(re.fullmatch(r"[0-9a-f]{24}", key) for key in json.loads(stored))
