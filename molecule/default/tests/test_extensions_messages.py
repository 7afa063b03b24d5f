# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extensions around messages and sessions, each by clients that use it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time
import xml.etree.ElementTree as ET

import pytest
from clients import CLIENT, SECONDS, Refused
from conftest import ADDRESS, DOMAIN, HOSTNAME, LOOP, RELEASE, create, shell
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

PROXY = f"proxy.{DOMAIN}"
CARBONS = "{urn:xmpp:carbons:2}"
DELAY = "{urn:xmpp:delay}delay"
DISCO = "{http://jabber.org/protocol/disco#info}"
FORM = "{jabber:x:data}"
XML = "{http://www.w3.org/XML/1998/namespace}"
PUBSUB = "{http://jabber.org/protocol/pubsub}"
MAM = "{urn:xmpp:mam:2}"
RSM = "{http://jabber.org/protocol/rsm}"
FORWARDED_BODY = f"{{urn:xmpp:forward:0}}forwarded/{CLIENT}message/{CLIENT}body"


def text() -> str:
    return secrets.token_hex(8)


def body(value: str) -> str:
    return f"<body>{value}</body>"


@pytest.fixture(scope="module")
def contacts(alice, bob):
    """Alice and bob have each other in their rosters; eve has nobody."""

    async def subscribe():
        alice.send_presence_subscription(bob.boundjid.bare)
        for _ in range(50):
            roster = await alice.ask("get", "<query xmlns='jabber:iq:roster'/>")
            found = {item.get("jid"): item.get("subscription") for item in roster}
            if found.get(bob.boundjid.bare) == "both":
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"alice and bob have not become contacts: {found}")

    LOOP.run_until_complete(subscribe())


async def features(client, jid: str) -> set[str]:
    return (await client.plugin["xep_0030"].get_info(jid=jid))["disco_info"]["features"]


async def test_0065_a_file_goes_through_the_proxy(alice, bob):
    streams = alice.plugin["xep_0065"]
    proxies = await streams.discover_proxies()
    assert list(proxies) == [PROXY]
    assert proxies[PROXY][0] == HOSTNAME
    # The resolver here does not know the lab's names.
    streams._proxies = {PROXY: (ADDRESS, proxies[PROXY][1])}
    bob.plugin["xep_0065"].auto_accept = True
    file, received, done = secrets.token_bytes(1_000_000), bytearray(), asyncio.Event()

    def on_data(data):
        received.extend(data)
        if len(received) >= len(file):
            done.set()

    bob.add_event_handler("socks5_data", on_data)
    handshake = await streams.handshake(bob.boundjid, sid=text(), timeout=SECONDS)
    await handshake.write(file)
    # Prosody may hold back the end of it until the sender has no more.
    handshake.transport.write_eof()
    await asyncio.wait_for(done.wait(), SECONDS)
    print(f"{len(received)} bytes by {PROXY}")
    assert bytes(received) == file


async def test_0065_strangers_have_no_proxy(carol):
    with pytest.raises(Refused, match="forbidden|not-allowed"):
        await carol.ask("get", "<query xmlns='http://jabber.org/protocol/bytestreams'/>", PROXY)


def verification_string(info: ET.Element) -> str:
    """XEP-0115, section 5.1."""
    found = sorted(
        "/".join(identity.get(name, "") for name in ("category", "type", f"{XML}lang", "name"))
        for identity in info.iter(f"{DISCO}identity")
    )
    found += sorted(feature.get("var") for feature in info.iter(f"{DISCO}feature"))
    for form in info.iter(f"{FORM}x"):
        fields = {field.get("var"): sorted(v.text or "" for v in field.iter(f"{FORM}value")) for field in form}
        found += fields.pop("FORM_TYPE")
        for name in sorted(fields):
            found += [name, *fields[name]]
    return base64.b64encode(hashlib.sha1("".join(f"{part}<" for part in found).encode()).digest()).decode()


async def test_0115_the_servers_capabilities_are_what_their_hash_says(alice):
    offered = alice.offered.find("{http://jabber.org/protocol/caps}c")
    info = await alice.ask(
        "get", f"<query xmlns='{DISCO[1:-1]}' node='{offered.get('node')}#{offered.get('ver')}'/>", DOMAIN
    )
    print(offered.get("ver"), verification_string(info))
    assert offered.get("hash") == "sha-1"
    assert verification_string(info) == offered.get("ver")


async def test_0191_who_is_blocked_does_not_get_through(alice, bob):
    value = text()
    await bob.plugin["xep_0191"].block(alice.boundjid.bare)
    try:
        blocked = await bob.ask("get", "<blocklist xmlns='urn:xmpp:blocking'/>")
        assert [item.get("jid") for item in blocked] == [alice.boundjid.bare]
        alice.say(bob.boundjid.bare, body(value))
        # Prosody 0.12 tells the sender; 13 does not, so that nobody learns of being blocked.
        if RELEASE == "bookworm":
            assert await alice.error() == "service-unavailable"
        assert await bob.count(value) == 0
        bob.say(alice.boundjid.bare, body(value))
        assert await bob.error() == "not-acceptable"
    finally:
        await bob.plugin["xep_0191"].unblock(alice.boundjid.bare)
    alice.say(bob.boundjid.bare, body(value))
    await bob.body(value)


async def test_0198_a_cut_session_is_resumed_and_loses_nothing(alice, accounts, connect):
    bob = await connect(accounts["bob"], priority=5)
    bob.end_session_on_disconnect = False
    resumed, before = asyncio.get_running_loop().create_future(), bob.boundjid.full
    bob.add_event_handler("session_resumed", lambda _: resumed.set_result(True))
    bob.transport.abort()
    await asyncio.wait_for(bob.disconnected, 5)
    values = [text() for _ in range(20)]
    for value in values:
        alice.say(before, body(value))
    await alice.ping()
    bob.connect(*bob.address)
    await asyncio.wait_for(resumed, 10)
    assert bob.boundjid.full == before
    for value in values:
        await bob.body(value)
    assert [await bob.count(value, 0) for value in values] == [0] * len(values)
    print(f"{len(values)} messages after the cut, each once, to {before}")
    bob.end_session_on_disconnect = True
    await bob.logout()


SILENCE = """
local conn = prosody.full_sessions["{jid}"].conn;
local usual = getmetatable(conn).__index.setreadtimeout;
function conn.setreadtimeout(self, seconds) return usual(self, seconds == nil and 1 or seconds); end
return "set"
"""


async def test_0198_who_is_silent_is_asked_whether_they_are_there(rosewood, accounts, connect):
    """After 14 minutes; here, after a second."""
    bob, asked = await connect(accounts["bob"], priority=-1), asyncio.Event()
    bob.register_handler(Callback("asked", MatchXPath("{urn:xmpp:sm:3}r"), lambda _: asked.set()))
    assert shell(rosewood, " ".join(SILENCE.format(jid=bob.boundjid.full).split())) == "set"
    # What the client sends is the last that is heard of it; what it asks for with this is not counted.
    await bob.ping()
    await asyncio.sleep(0.5)
    asked.clear()
    begun = time.monotonic()
    await asyncio.wait_for(asked.wait(), 60)
    print(f"asked after {time.monotonic() - begun:.1f} s")
    await bob.logout()


async def test_0237_a_known_roster_is_not_sent_again(contacts, alice):
    full = await alice.ask("get", "<query xmlns='jabber:iq:roster' ver=''/>")
    version = full.get("ver")
    assert version
    assert len(full) >= 1
    assert await alice.ask("get", f"<query xmlns='jabber:iq:roster' ver='{version}'/>") is None
    item = f"<item jid='someone@{DOMAIN}' name='{text()}'/>"
    await alice.ask("set", f"<query xmlns='jabber:iq:roster'>{item}</query>")
    again = await alice.ask("get", f"<query xmlns='jabber:iq:roster' ver='{version}'/>")
    print(f"{version} → {again.get('ver')}")
    assert again.get("ver") != version


async def test_0280_other_clients_get_carbon_copies(alice, accounts, connect, bob):
    other = await connect(accounts["bob"], priority=-1)
    await other.plugin["xep_0280"].enable()
    received, sent = text(), text()
    alice.say(bob.boundjid.full, body(received))
    bob.say(alice.boundjid.full, body(sent))
    await bob.body(received)
    copy = await other.take(lambda stanza: stanza.find(f"{CARBONS}received") is not None)
    assert copy.findtext(f"{CARBONS}received/{FORWARDED_BODY}") == received
    assert copy.get("from") == bob.boundjid.bare
    copy = await other.take(lambda stanza: stanza.find(f"{CARBONS}sent") is not None)
    assert copy.findtext(f"{CARBONS}sent/{FORWARDED_BODY}") == sent
    # Somebody else's is a forgery, and is not passed on.
    forged = "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded></received>"
    alice.say(other.boundjid.full, forged + body(text()))
    await alice.ping()
    assert not [
        s for s in other.inbox if s.get("from") == bob.boundjid.bare and s.find(f"{CARBONS}received") is not None
    ]
    await other.logout()


async def page(client, with_: str, rsm: str) -> tuple[list[str], dict]:
    query = (
        f"<query xmlns='urn:xmpp:mam:2' queryid='{text()}'><x xmlns='jabber:x:data' type='submit'>"
        "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>"
        f"<field var='with'><value>{with_}</value></field></x><set xmlns='http://jabber.org/protocol/rsm'>{rsm}</set></query>"
    )
    fin = await client.ask("set", query)
    results = [stanza for stanza in client.inbox if stanza.find(f"{MAM}result") is not None]
    for stanza in results:
        client.inbox.remove(stanza)
    bodies = [stanza.findtext(f"{MAM}result/{FORWARDED_BODY}") for stanza in results]
    found = {name: fin.findtext(f"{RSM}set/{RSM}{name}") for name in ("first", "last", "count")}
    return [value for value in bodies if value], found | {"complete": fin.get("complete")}


async def test_0313_the_archive_is_paged_through(alice, accounts, connect, rosewood):
    """By an account of its own, so that nothing else is in its archive."""
    keeper = await connect(create(rosewood, "keeper", DOMAIN))
    values = [text() for _ in range(5)]
    for value in values:
        alice.say(keeper.boundjid.bare, body(value))
        await keeper.body(value)
    assert "urn:xmpp:mam:2" in await features(keeper, keeper.boundjid.bare)
    first, end = await page(keeper, alice.boundjid.bare, "<max>2</max>")
    assert first == values[:2]
    assert end["complete"] is None
    second, _ = await page(keeper, alice.boundjid.bare, f"<max>2</max><after>{end['last']}</after>")
    assert second == values[2:4]
    last, _ = await page(keeper, alice.boundjid.bare, "<max>2</max><before/>")
    assert last == values[3:]
    none, end = await page(keeper, f"nobody@{DOMAIN}", "<max>10</max>")
    print(first, second, last, none, end)
    assert none == []
    assert end["complete"] == "true"


async def test_0352_an_inactive_client_hears_only_what_matters(rosewood, contacts, alice, bob):
    status, value = text(), text()
    await bob.ping()
    bob.plugin["xep_0352"].send_inactive()
    state = f"return tostring(prosody.full_sessions['{bob.boundjid.full}'].state)"
    for _ in range(60):
        if (found := shell(rosewood, state)) == "inactive":
            break
        await asyncio.sleep(0.2)
    assert found == "inactive"
    alice.send_presence(pstatus=status)
    alice.say(bob.boundjid.bare, "<composing xmlns='http://jabber.org/protocol/chatstates'/>")
    await alice.ping()
    await asyncio.sleep(0.5)
    held = [
        s
        for s in bob.inbox
        if s.findtext(f"{CLIENT}status") == status
        or s.find("{http://jabber.org/protocol/chatstates}composing") is not None
    ]
    assert held == []
    alice.say(bob.boundjid.bare, body(value))
    await bob.body(value)
    bob.plugin["xep_0352"].send_active()
    await bob.take(lambda s: s.findtext(f"{CLIENT}status") == status)
    alice.send_presence()


async def test_0357_a_push_service_is_told_of_messages_to_who_is_away(alice, accounts, connect, carol, rosewood):
    """The service is a client on another server, which a phone has named; it answers as a service does."""
    pushed = asyncio.get_running_loop().create_future()

    def on_push(iq):
        iq.reply().send()
        if not pushed.done():
            pushed.set_result(iq.xml)

    carol.register_handler(Callback("push", MatchXPath(f"{CLIENT}iq/{PUBSUB}pubsub"), on_push))
    account = create(rosewood, "phone", DOMAIN)
    phone = await connect(account)
    node = text()
    enable = f"<enable xmlns='urn:xmpp:push:0' jid='{carol.boundjid.full}' node='{node}'/>"
    assert "urn:xmpp:push:0" in await features(phone, phone.boundjid.bare)
    await phone.ask("set", enable)
    await phone.logout()
    alice.say(account.jid, body(text()))
    push = await asyncio.wait_for(pushed, 15)
    publish = push.find(f".//{PUBSUB}publish")
    summary = push.find(".//{urn:xmpp:push:0}notification")
    print(push.get("from"), publish.get("node"), summary is not None)
    assert push.get("from") == DOMAIN
    assert publish.get("node") == node
    assert summary is not None


async def test_0160_messages_wait_for_who_is_away(alice, rosewood, connect):
    account = create(rosewood, "sleeper", DOMAIN)
    values = [text() for _ in range(3)]
    assert "msgoffline" in await features(alice, DOMAIN)
    for value in values:
        alice.say(account.jid, body(value))
    await alice.ping()
    sleeper = await connect(account)
    for value in values:
        message = await sleeper.body(value)
        assert message.find(DELAY) is not None
        assert message.get("from") == alice.boundjid.full
    await sleeper.logout()
    again = await connect(account)
    assert [await again.count(value, 0) for value in values] == [0, 0, 0]


async def test_0184_and_0249_pass_through(alice, bob):
    """What concerns clients only arrives as it was sent."""
    invitation = f"<x xmlns='jabber:x:conference' jid='room@conference.{DOMAIN}' reason='{text()}'/>"
    alice.say(bob.boundjid.bare, invitation, kind="")
    got = await bob.take(lambda s: s.find("{jabber:x:conference}x") is not None)
    assert got.find("{jabber:x:conference}x").get("jid") == f"room@conference.{DOMAIN}"
    value = text()
    message = alice.make_message(mto=bob.boundjid.full, mbody=value, mtype="chat")
    receipt = asyncio.get_running_loop().create_future()
    alice.add_event_handler("receipt_received", lambda m: receipt.done() or receipt.set_result(m["receipt"]))
    message["request_receipt"] = True
    message.send()
    assert await asyncio.wait_for(receipt, 10) == message["id"]


async def test_0288_one_connection_serves_both_directions(rosewood, bob, carol):
    """The other server connects, and answers go back by its connection."""
    rosewood.out("prosodyctl shell \"s2s:closeall('honest.test')\"")
    there, back = text(), text()
    carol.say(bob.boundjid.bare, body(there))
    await bob.body(there)
    bob.say(carol.boundjid.bare, body(back))
    await carol.body(back)
    program = (
        "local found = {}; "
        f"local out = prosody.hosts['{DOMAIN}'].s2sout['honest.test']; "
        "table.insert(found, out and out.direction or 'none'); "
        "for its in pairs(prosody.incoming_s2s) do "
        f"if its.from_host == 'honest.test' and its.to_host == '{DOMAIN}' then table.insert(found, its.type) end end "
        "return table.concat(found, ' ')"
    )
    found = shell(rosewood, program)
    print(found)
    # What goes out is the connection that came in.
    assert found.split() == ["incoming", "s2sin"]


def stanza_ids(stanza: ET.Element) -> list[tuple[str, str]]:
    return [(found.get("by"), found.get("id")) for found in stanza.iter("{urn:xmpp:sid:0}stanza-id")]


async def test_0359_nobody_forges_the_ids_of_an_archive(alice, bob, carol, accounts, connect, rosewood):
    """Whatever spelling of the account's address a sender names, and whichever way the message takes."""
    account = create(rosewood, "archived", DOMAIN)
    away = account.jid
    # The limits for strangers are others.
    for client in (bob, absent := await connect(account)):
        await client.ask("set", f"<query xmlns='jabber:iq:roster'><item jid='{carol.boundjid.bare}'/></query>")
    await absent.logout()
    other = await connect(accounts["bob"])
    await other.plugin["xep_0280"].enable()
    bare, (name, _, domain) = bob.boundjid.bare, bob.boundjid.bare.partition("@")
    spellings = [bare, bare.upper(), bob.boundjid.full, f"{bare}.", f"{name}@{domain.title()}", f"{bare}/\u2003"]

    def forged(*addresses: str) -> str:
        return "".join(f"<stanza-id xmlns='urn:xmpp:sid:0' by='{address}' id='forged'/>" for address in addresses)

    for sender in (alice, carol, bob):
        for to in (bare, bob.boundjid.full):
            value = text()
            sender.say(to, body(value) + forged(*spellings, "room@elsewhere.test"))
            for receiver in {bob, other} if to == bare else {bob}:
                got = stanza_ids(await receiver.body(value))
                print(sender.boundjid.bare, "to", to, "at", receiver.boundjid.resource, got)
                assert ("room@elsewhere.test", "forged") in got
                assert [found for found in got if found[1] == "forged"] == [("room@elsewhere.test", "forged")]
                assert bare in {by for by, _ in got}
    # A client of the sender's gets a carbon copy; so does a client of the receiver's.
    value = text()
    alice.say(bob.boundjid.full, body(value) + forged(*spellings))
    copy = await other.take(lambda stanza: stanza.findtext(f".//{FORWARDED_BODY}") == value)
    assert "forged" not in {found for _, found in stanza_ids(copy)}
    # Who is away reads it later, from the offline store and from the archive.
    value = text()
    carol.say(away, body(value) + forged(away, away.upper(), f"{away}/phone"))
    await carol.ping()
    late = await connect(account)
    assert "forged" not in {found for _, found in stanza_ids(await late.body(value))}
    for client in (bob, late):
        await client.ask(
            "set",
            "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>50</max>"
            "<before/></set></query>",
        )
        kept = [stanza for stanza in client.inbox if stanza.find(f"{MAM}result") is not None]
        archived = [found for stanza in kept for found in stanza_ids(stanza) if found[1] == "forged"]
        print(client.boundjid.bare, len(kept), "archived:", archived)
        assert kept
        assert {by for by, _ in archived} <= {"room@elsewhere.test"}
