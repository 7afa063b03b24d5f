# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody attacks, and somebody else goes on."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time

import pytest
from clients import CLIENT, Refused
from conftest import DOMAIN, LOOP, Account, create, shell
from hosts import Journal, until
from test_extensions_rooms import join, leave, say
from test_registration import in_band, newcomer

MESSAGES, REQUESTS, SESSIONS = 30, 10, 20
ROOMS = f"conference.{DOMAIN}"
BLOCKLIST = ("honest.test", "bans")
FOLLOWED = f"{'/'.join(BLOCKLIST)}: entries: "
REPORTING = "urn:xmpp:reporting"


def text() -> str:
    return secrets.token_hex(8)


def body(value: str) -> str:
    return f"<body>{value}</body>"


async def errors(client, seconds: float = 0.5) -> int:
    """How many errors have come, and come in the next moment; they are taken."""
    await asyncio.sleep(seconds)
    await client.ping()
    found = [stanza for stanza in client.inbox if stanza.get("type") == "error"]
    for stanza in found:
        client.inbox.remove(stanza)
    return len(found)


def bodies(client, values: list[str]) -> int:
    return len([s for s in client.inbox if s.findtext(f"{CLIENT}body") in values])


@pytest.fixture
def victim(connect, rosewood):
    return LOOP.run_until_complete(connect(create(rosewood, "victim", DOMAIN)))


async def test_a_stranger_s_messages_are_held_to_a_few(victim, alice, carol):
    values, friendly = [text() for _ in range(3 * MESSAGES)], text()
    carol.inbox.clear()
    for value in values:
        carol.say(victim.boundjid.bare, body(value))
    alice.say(victim.boundjid.bare, body(friendly))
    await victim.body(friendly)
    refused, end = 0, time.monotonic() + 60
    while refused + bodies(victim, values) < len(values) and time.monotonic() < end:
        refused += await errors(carol)
    arrived = bodies(victim, values)
    print(f"{len(values)} messages of a stranger: {arrived} arrive, {refused} come back; another one's arrives")
    assert MESSAGES <= arrived <= MESSAGES + 2
    assert refused == len(values) - arrived
    # Whoever is answered is no stranger any more.
    victim.say(carol.boundjid.bare, body(text()))
    await victim.ping()
    later = [text() for _ in range(5)]
    for value in later:
        carol.say(victim.boundjid.bare, body(value))
    for value in later:
        await victim.body(value)


async def test_a_stranger_s_requests_are_held_to_a_few(rosewood, connect, accounts, eve):
    """To many accounts: whose address book it is makes no difference."""
    watched = await connect(create(rosewood, "watched", DOMAIN))
    # Whom one lets in is no stranger; slixmpp lets everybody in.
    watched.auto_authorize = None
    spammer = await connect(create(rosewood, "spammer", DOMAIN))
    for _ in range(3 * REQUESTS):
        spammer.say(watched.boundjid.bare, "", kind="subscribe", name="presence")
        spammer.say(watched.boundjid.bare, "", kind="unsubscribe", name="presence")
    refused = await errors(spammer, 1)
    arrived = [s for s in watched.inbox if s.get("type") in ("subscribe", "unsubscribe")]
    print(f"{6 * REQUESTS} requests of a stranger: {len(arrived)} arrive, {refused} come back")
    assert 1 <= len(arrived) <= REQUESTS + 1
    assert refused >= 1
    watched.inbox.clear()
    eve.say(watched.boundjid.bare, "", kind="subscribe", name="presence")
    await watched.take(lambda s: s.get("type") == "subscribe" and s.get("from") == eve.boundjid.bare)


async def test_an_account_does_not_flood_other_servers(rosewood, connect, bob, carol):
    robbed, values = await connect(create(rosewood, "robbed", DOMAIN)), [text() for _ in range(400)]
    for value in values:
        robbed.say(carol.boundjid.bare, body(value))
    refused, friendly = await errors(robbed, 1), text()
    bob.say(carol.boundjid.bare, body(friendly))
    await carol.body(friendly)
    arrived = bodies(carol, values)
    print(f"{len(values)} messages to another server: {arrived} arrive, {refused} come back; another account's arrives")
    assert 300 <= arrived <= 330
    assert refused == len(values) - arrived
    carol.inbox.clear()


async def test_who_is_in_the_roster_is_no_stranger(rosewood, connect):
    one, other = [await connect(create(rosewood, name, DOMAIN)) for name in ("one", "other")]
    await other.ask("set", f"<query xmlns='jabber:iq:roster'><item jid='{one.boundjid.bare}'/></query>")
    values = [text() for _ in range(2 * MESSAGES)]
    for value in values:
        one.say(other.boundjid.bare, body(value))
    await other.body(values[-1])
    assert await errors(one) == 0


async def test_a_stanza_that_is_too_large_ends_its_sender_only(rosewood, connect, victim, alice):
    attacker = await connect(create(rosewood, "attacker", DOMAIN))
    ended = asyncio.get_running_loop().create_future()
    attacker.add_event_handler("disconnected", lambda reason: ended.done() or ended.set_result(reason))
    attacker.end_session_on_disconnect = True
    attacker.send_raw(f"<message to='{victim.boundjid.bare}'><body>{'x' * 300_000}</body></message>")
    reason = await asyncio.wait_for(ended, 15)
    print(f"300,000 bytes: {reason}")
    value = text()
    alice.say(victim.boundjid.bare, body(value))
    await victim.body(value)
    assert bodies(victim, ["x" * 300_000]) == 0


def test_an_account_has_so_many_sessions(rosewood, client):
    assert client("crowd", account=create(rosewood, "crowd", DOMAIN).by(), count=SESSIONS + 3)["sessions"] == SESSIONS


@pytest.fixture
def chief(rosewood):
    """The administrator whom the configuration names."""
    account = Account(f"admin@{DOMAIN}", secrets.token_urlsafe(18))
    rosewood.out(f"prosodyctl adduser {account.jid}", stdin=f"{account.password}\n" * 2)
    yield account
    rosewood.out(f"prosodyctl deluser {account.jid}")


async def test_0377_administrators_hear_of_spam(rosewood, connect, chief, carol):
    admin, user = await connect(chief), await connect(create(rosewood, "reporter", DOMAIN))
    info = await user.plugin["xep_0030"].get_info(jid=DOMAIN)
    assert {f"{REPORTING}:0", f"{REPORTING}:1"} <= set(info["disco_info"]["features"])
    spammer, why = carol.boundjid.bare, f"Buys <pills> {text()}"
    escaped = why.replace("<", "&lt;").replace(">", "&gt;")
    block = "<block xmlns='urn:xmpp:blocking'><item jid='{}'>{}</item></block>"
    for report, kind in (
        (f"<report xmlns='{REPORTING}:1' reason='{REPORTING}:spam'><text>{escaped}</text></report>", "spam"),
        (f"<report xmlns='{REPORTING}:0'><abuse/><text>{escaped}</text></report>", "abuse"),
    ):
        await user.ask("set", block.format(spammer, report))
        told = await admin.take(lambda s: why in (s.findtext(f"{CLIENT}body") or ""))
        print(told.findtext(f"{CLIENT}body"))
        assert told.get("from") == DOMAIN
        assert told.findtext(f"{CLIENT}body") == f"{user.boundjid.bare} reports {kind} by {spammer}: {why}"
        blocked = await user.ask("get", "<blocklist xmlns='urn:xmpp:blocking'/>")
        assert [item.get("jid") for item in blocked] == [spammer]
    # A flood of reports is not passed on.
    for _ in range(30):
        await user.ask("set", block.format(spammer, f"<report xmlns='{REPORTING}:1' reason='{REPORTING}:spam'/>"))
    await admin.ping()
    heard = [s for s in admin.inbox if f"{user.boundjid.bare} reports" in (s.findtext(f"{CLIENT}body") or "")]
    print(f"30 more reports: {len(heard)} messages")
    assert len(heard) == 8
    # A block without a report tells nobody.
    admin.inbox.clear()
    await user.ask("set", block.format(f"nobody@{DOMAIN}", ""))
    await admin.ping()
    assert not [s for s in admin.inbox if s.findtext(f"{CLIENT}body")]


@pytest.fixture(scope="module")
def blocklist(internet, rosewood):
    """Put somebody on the list of another operator, or take them off; and wait until it has arrived."""
    service, node = BLOCKLIST

    def hashed(jid: str) -> str:
        return hashlib.sha256(jid.encode()).hexdigest()

    def change(do: str, *, there: bool = False) -> None:
        program = f"local s = prosody.hosts['{service}'].modules.pubsub.service; return tostring(s:{do})"
        answer = shell(internet, program, "--config /etc/peer/honest.cfg.lua")
        assert answer == "true" or there, answer

    def listed(jid: str) -> bool:
        count = shell(
            rosewood, f"return prosody.hosts['{ROOMS}'].modules.room_blocklists.is_listed('{jid}') and 1 or 0"
        )
        return count == "1"

    def put(jid: str, on: bool) -> None:
        its = hashed(jid)
        attributes = f"{{id = '{its}', xmlns = 'http://jabber.org/protocol/pubsub'}}"
        item = f"require 'util.stanza'.stanza('item', {attributes}):tag('reason', {{xmlns = 'urn:example'}}):up()"
        gone = f"require 'util.stanza'.stanza('retract', {{id = '{its}'}})"
        change(f"publish('{node}', true, '{its}', {item})" if on else f"retract('{node}', true, '{its}', {gone})")
        until(lambda: listed(jid) == on)

    change(f"create('{node}', true, {{access_model = 'open'}})", there=True)
    # It asks again in a while by itself.
    read_anew(rosewood)
    return put


def read_anew(rosewood) -> None:
    """Have the list read as after a start of Prosody, and wait until it is followed."""
    journal, asked = Journal(rosewood), 0.0

    def followed() -> bool:
        nonlocal asked
        # After the floods of the tests before, the journal may take nothing of Prosody for half a minute.
        if time.monotonic() > asked + 10:
            asked = time.monotonic()
            rosewood.out(f"prosodyctl shell \"module:reload('room_blocklists', '{ROOMS}')\"")
        return FOLLOWED in journal.text("prosody.service")

    until(followed)


@pytest.mark.parametrize("domain_of_it", [False, True], ids=["account", "domain"])
def test_who_is_on_a_blocklist_enters_no_room(blocklist, rosewood, bob, eve, carol, domain_of_it):
    def run(coroutine):
        return LOOP.run_until_complete(asyncio.wait_for(coroutine, 30))

    room, entry = f"room-{text()}@{ROOMS}", carol.boundjid.domain if domain_of_it else carol.boundjid.bare

    async def enter():
        await join(bob, room, "bob")
        await bob.ask(
            "set",
            "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>",
            room,
        )
        await join(carol, room, "carol")
        await say(carol, room, bob)

    async def is_silenced():
        """Who is already there."""
        value = text()
        carol.say(room, body(value), kind="groupchat")
        assert await carol.error() == "forbidden"
        carol.say(f"{room}/bob", body(value) + "<x xmlns='http://jabber.org/protocol/muc#user'/>")
        assert await carol.error() == "forbidden"
        assert await bob.count(value) == 0
        await leave(carol, room, "carol")
        with pytest.raises(Refused, match="forbidden"):
            await join(carol, room, "carol")
        await join(eve, room, "eve")
        await say(eve, room, bob)

    async def is_back():
        await join(carol, room, "carol")
        await say(carol, room, bob, eve)
        for client in (carol, eve, bob):
            await leave(client, room, client.boundjid.user.split("-")[0])

    run(enter())
    blocklist(entry, True)
    run(is_silenced())
    # It is remembered, from two seconds later on.
    kept = f"prosody.hosts['{ROOMS}'].modules.room_blocklists.module:open_store():get('{'/'.join(BLOCKLIST)}')"
    its = hashlib.sha256(entry.encode()).hexdigest()
    until(lambda: shell(rosewood, f"return ({kept} or {{}})['{its}'] and 1 or 0") == "1")
    rosewood.out(f"prosodyctl shell \"module:reload('room_blocklists', '{ROOMS}')\"")
    answer = shell(rosewood, f"return prosody.hosts['{ROOMS}'].modules.room_blocklists.is_listed('{entry}') and 1 or 0")
    assert answer == "1"
    read_anew(rosewood)
    blocklist(entry, False)
    run(is_back())


@pytest.fixture
def invitation(rosewood):
    return rosewood.out(f"xmpp-invite {DOMAIN}").rpartition("t=")[2]


def test_nobody_takes_a_name_that_looks_like_another(rosewood, invitation):
    tail = secrets.token_hex(3)
    rosewood.out(f"prosodyctl adduser carmen-{tail}@{DOMAIN}", stdin="correct horse battery\n" * 2)
    # Once an hour by itself.
    shell(rosewood, f"prosody.hosts['{DOMAIN}'].modules.mimicking_index.index() return 1")
    alike = Account(f"carrnen-{tail}@{DOMAIN}", secrets.token_urlsafe(18))
    assert in_band(alike, invitation) in (
        "not-acceptable",
        "not-allowed",
        "conflict",
        "service-unavailable",
        "forbidden",
    )
    assert in_band(newcomer("carla"), invitation) == "registered"
    # Whoever is gone leaves the look of the name free, but not the name.
    rosewood.out(f"prosodyctl shell \"user:delete('carmen-{tail}@{DOMAIN}')\"")


MANY = """
local host = prosody.hosts["DOMAIN"];
local its = host.modules.mimicking_index.environment or host.modules.mimicking_index;
local open = require "core.storagemanager".open;
local accounts, skeletons = open("DOMAIN", "accounts"), open("DOMAIN", "skeletons");
local _, engine = next(prosody.shared_data and prosody.shared_data["/*/sql/connections"] or its.module:shared("/*/sql/connections"));
for n = 1, 100 do accounts:set("like" .. n, { stored_key = "00" }); end;
local one, count = engine._transaction, 0;
engine._transaction = function (...) count = count + 1; return one(...); end;
its.index();
engine._transaction = nil;
local skeleton, found = require "util.encodings".confusable.skeleton, 0;
for n = 1, 100 do
  found = found + (skeletons:get(skeleton("like" .. n)) and 1 or 0);
  accounts:set("like" .. n, nil); skeletons:set(skeleton("like" .. n), nil);
end;
return found .. " " .. count
"""


def test_the_looks_of_many_names_are_stored_at_once(rosewood):
    """Each transaction waits for the disk, and other programs wait for all of them."""
    found, transactions = shell(rosewood, " ".join(MANY.replace("DOMAIN", DOMAIN).split())).split()
    print(f"{found} names in {transactions} transactions, with two that read")
    assert int(found) == 100 and int(transactions) <= 5


async def test_contacts_hear_that_a_deleted_account_is_gone(rosewood, alice):
    account = create(rosewood, "gone", DOMAIN)
    shell(rosewood, f"return require 'core.usermanager'.delete_user('{account.jid.split('@')[0]}', '{DOMAIN}') and 1")
    alice.say(account.jid, "", kind="", name="presence")
    assert await alice.error() == "gone"


def test_the_name_of_a_deleted_account_is_not_given_again(rosewood, invitation):
    account = create(rosewood, "gone", DOMAIN)
    shell(rosewood, f"return require 'core.usermanager'.delete_user('{account.jid.split('@')[0]}', '{DOMAIN}') and 1")
    again = Account(account.jid, secrets.token_urlsafe(18))
    assert in_band(again, invitation) in ("conflict", "not-acceptable", "not-allowed", "service-unavailable")
    assert in_band(newcomer(), invitation) == "registered"
