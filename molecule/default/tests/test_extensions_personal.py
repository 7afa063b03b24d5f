# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people publish about themselves and keep for themselves, by clients that use it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import xml.etree.ElementTree as ET

import pytest
from clients import Refused
from conftest import DOMAIN, LOOP

PUBSUB = "{http://jabber.org/protocol/pubsub}"
EVENT = "{http://jabber.org/protocol/pubsub#event}"
VCARD = "{vcard-temp}"
TUNE = "http://jabber.org/protocol/tune"
BOOKMARKS = "urn:xmpp:bookmarks:1"
DEVICES = "eu.siacs.conversations.axolotl.devicelist"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def text() -> str:
    return secrets.token_hex(8)


def publish(node: str, payload: str, item: str = "current", **options: str) -> str:
    fields = "".join(f"<field var='pubsub#{name}'><value>{value}</value></field>" for name, value in options.items())
    form_type = (
        "<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
    )
    return (
        f"<pubsub xmlns='{PUBSUB[1:-1]}'><publish node='{node}'><item id='{item}'>{payload}</item></publish>"
        + f"<publish-options><x xmlns='jabber:x:data' type='submit'>{form_type}{fields}</x></publish-options>"
        * bool(fields)
        + "</pubsub>"
    )


async def items(client, node: str, of: str | None = None) -> list[ET.Element]:
    answer = await client.ask("get", f"<pubsub xmlns='{PUBSUB[1:-1]}'><items node='{node}'/></pubsub>", of)
    return list(answer.iter(f"{PUBSUB}item"))


def event(node: str):
    return lambda stanza: any(found.get("node") == node for found in stanza.iter(f"{EVENT}items"))


@pytest.fixture(scope="module")
def contacts(alice, bob):
    """Alice and bob have each other in their rosters; eve has nobody."""

    async def subscribe():
        alice.send_presence_subscription(bob.boundjid.bare)
        for _ in range(50):
            roster = await alice.ask("get", "<query xmlns='jabber:iq:roster'/>")
            if {item.get("jid"): item.get("subscription") for item in roster}.get(bob.boundjid.bare) == "both":
                return
            await asyncio.sleep(0.1)
        raise AssertionError("alice and bob have not become contacts")

    LOOP.run_until_complete(subscribe())


async def test_0163_contacts_hear_of_what_is_published_and_strangers_do_not(contacts, alice, bob, eve):
    for client in (alice, eve):
        client.plugin["xep_0163"].add_interest(TUNE)
        await client.plugin["xep_0115"].update_caps()
        await client.ping()
    title = text()
    await bob.ask("set", publish(TUNE, f"<tune xmlns='{TUNE}'><title>{title}</title></tune>"))
    # The server asks first what the new hash means, and then sends what it has missed to send, be it of an older one.
    heard = await alice.take(lambda stanza: event(TUNE)(stanza) and title in ET.tostring(stanza, "unicode"))
    assert heard.get("from") == bob.boundjid.bare
    assert heard.findtext(f".//{{{TUNE}}}title") == title
    assert title in ET.tostring((await items(alice, TUNE, bob.boundjid.bare))[0], "unicode")
    with pytest.raises(Refused, match="forbidden|not-authorized|not-allowed"):
        await items(eve, TUNE, bob.boundjid.bare)
    await eve.ping()
    assert not [stanza for stanza in eve.inbox if event(TUNE)(stanza)]


async def test_0384_keys_are_for_everybody_and_many(bob, carol):
    """What encryption by OMEMO needs: an open node, of many items, that strangers on other servers can read."""
    info = await bob.plugin["xep_0030"].get_info(jid=bob.boundjid.bare)
    features = info["disco_info"]["features"]
    for feature in ("publish-options", "config-node-max", "multi-items", "persistent-items"):
        assert f"http://jabber.org/protocol/pubsub#{feature}" in features, feature
    for number in range(3):
        device = f"<list xmlns='{DEVICES}'><device id='{number}'/></list>"
        await bob.ask("set", publish(DEVICES, device, item=str(number), access_model="open", max_items="max"))
    assert len(await items(carol, DEVICES, bob.boundjid.bare)) == 3


async def test_0223_private_data_is_the_owner_s_alone(contacts, alice, bob):
    node, value = f"urn:example:private:{text()}", text()
    await bob.ask(
        "set", publish(node, f"<x xmlns='urn:example'>{value}</x>", access_model="whitelist", persist_items="true")
    )
    assert value in ET.tostring((await items(bob, node))[0], "unicode")
    with pytest.raises(Refused):
        await items(alice, node, bob.boundjid.bare)


async def test_0402_bookmarks_are_the_same_in_every_form(bob, accounts, connect):
    """XEP-0402 in PEP, and XEP-0048 in private storage (XEP-0049)."""
    room, old_room = (f"{text()}@conference.{DOMAIN}" for _ in range(2))
    info = await bob.plugin["xep_0030"].get_info(jid=bob.boundjid.bare)
    assert f"{BOOKMARKS}#compat" in info["disco_info"]["features"]
    conference = f"<conference xmlns='{BOOKMARKS}' name='new' autojoin='true'/>"
    await bob.ask(
        "set",
        publish(BOOKMARKS, conference, item=room, access_model="whitelist", max_items="max", persist_items="true"),
    )
    storage = "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>{}</storage></query>"
    legacy = await bob.ask("get", storage.format(""))
    assert [c.get("jid") for c in legacy.iter("{storage:bookmarks}conference")] == [room]
    both = "".join(f"<conference jid='{jid}' autojoin='true'/>" for jid in (room, old_room))
    await bob.ask("set", storage.format(both))
    new = {item.get("id"): item for item in await items(bob, BOOKMARKS)}
    print(sorted(new))
    assert set(new) == {room, old_room}


async def test_0049_private_storage(bob):
    value = text()
    query = "<query xmlns='jabber:iq:private'><notes xmlns='urn:example:notes'>{}</notes></query>"
    await bob.ask("set", query.format(value))
    got = await bob.ask("get", query.format(""))
    assert got.findtext("{urn:example:notes}notes") == value


async def test_0398_an_avatar_is_seen_by_old_and_new_clients(contacts, alice, bob):
    sha1 = hashlib.sha1(PNG).hexdigest()
    picture = base64.b64encode(PNG).decode()
    info = await bob.plugin["xep_0030"].get_info(jid=bob.boundjid.bare)
    assert "urn:xmpp:pep-vcard-conversion:0" in info["disco_info"]["features"]
    # From PEP (XEP-0084) to the vCard (XEP-0054) and the presence (XEP-0153).
    data = f"<data xmlns='urn:xmpp:avatar:data'>{picture}</data>"
    await bob.ask("set", publish("urn:xmpp:avatar:data", data, item=sha1, access_model="open"))
    metadata = (
        f"<metadata xmlns='urn:xmpp:avatar:metadata'><info bytes='{len(PNG)}' id='{sha1}' type='image/png'/></metadata>"
    )
    await bob.ask("set", publish("urn:xmpp:avatar:metadata", metadata, item=sha1, access_model="open"))
    vcard = await alice.ask("get", "<vCard xmlns='vcard-temp'/>", bob.boundjid.bare)
    assert vcard.findtext(f"{VCARD}PHOTO/{VCARD}BINVAL") == picture
    bob.say(None, "", kind="", name="presence")
    await alice.take(
        lambda s: s.get("from") == bob.boundjid.full and s.findtext(".//{vcard-temp:x:update}photo") == sha1
    )
    # And back.
    other = PNG + b"\0"
    sha1, picture = hashlib.sha1(other).hexdigest(), base64.b64encode(other).decode()
    vcard = f"<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>{picture}</BINVAL></PHOTO></vCard>"
    await bob.ask("set", vcard)
    (item,) = await items(alice, "urn:xmpp:avatar:data", bob.boundjid.bare)
    assert item.get("id") == sha1
    assert base64.b64decode(item.findtext("{urn:xmpp:avatar:data}data")) == other
    print(f"{len(PNG)} bytes to the vCard, {len(other)} bytes back")


async def test_0292_a_profile_is_the_same_in_both_forms(alice, bob):
    name = f"Bob {text()}"
    await bob.ask("set", f"<vCard xmlns='vcard-temp'><FN>{name}</FN></vCard>")
    (item,) = await items(alice, "urn:xmpp:vcard4", bob.boundjid.bare)
    assert item.findtext(".//{urn:ietf:params:xml:ns:vcard-4.0}fn/{urn:ietf:params:xml:ns:vcard-4.0}text") == name


async def test_0157_who_runs_it_can_be_told_of_abuse(carol):
    info = await carol.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", DOMAIN)
    fields = {f.get("var"): [v.text for v in f] for f in info.iter("{jabber:x:data}field")}
    print(fields)
    assert fields["abuse-addresses"] == fields["admin-addresses"] == [f"xmpp:admin@{DOMAIN}"]
