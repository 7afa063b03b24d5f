# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Group chats and what belongs to them, each by clients that use it; one of them is on another server."""

from __future__ import annotations

import base64
import hashlib
import secrets
import shlex
import xml.etree.ElementTree as ET

import pytest
import slixmpp
from clients import CLIENT, Client, Refused, condition
from conftest import DOMAIN, LOOP, create
from hosts import Host

ROOMS = f"conference.{DOMAIN}"
MUC = "http://jabber.org/protocol/muc"
USER = f"{{{MUC}#user}}"
MAM = "{urn:xmpp:mam:2}"
OCCUPANT = "{urn:xmpp:occupant-id:0}occupant-id"
FORM = "{jabber:x:data}"
A_HOUR = 30
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def text() -> str:
    return secrets.token_hex(8)


def statuses(presence: ET.Element) -> set[str]:
    return {status.get("code") for status in presence.iter(f"{USER}status")}


async def join(client: Client, room: str, nick: str) -> ET.Element:
    """Enter a room; the result is one's own presence there. Who is refused gets no further."""
    client.say(f"{room}/{nick}", f"<x xmlns='{MUC}'><history maxstanzas='0'/></x>", kind="", name="presence")
    own = await client.take(
        lambda s: s.get("from") in (f"{room}/{nick}", room) and (s.get("type") == "error" or "110" in statuses(s))
    )
    if own.get("type") == "error":
        raise Refused(condition(own.find(f"{CLIENT}error")))
    await client.take(lambda s: s.get("from", "").startswith(room) and s.find(f"{CLIENT}subject") is not None)
    return own


async def leave(client: Client, room: str, nick: str) -> None:
    client.say(f"{room}/{nick}", "", kind="unavailable", name="presence")
    await client.take(lambda s: s.get("type") == "unavailable" and "110" in statuses(s))


async def say(client: Client, room: str, *others: Client) -> ET.Element:
    """Say something in a room; the result is the message as it comes back. The others get it, too."""
    value = text()
    client.say(room, f"<body>{value}</body>", kind="groupchat")
    for other in others:
        await other.body(value)
    return await client.body(value)


@pytest.fixture(scope="module")
def room(bob, eve, carol):
    """Bob's room, with eve and carol of another server in it."""
    name = f"room-{secrets.token_hex(4)}@{ROOMS}"

    async def enter():
        created = await join(bob, name, "bob")
        assert "201" in statuses(created)
        await bob.ask("set", f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>", name)
        await join(eve, name, "eve")
        await join(carol, name, "carol")

    LOOP.run_until_complete(enter())
    return name


async def test_0045_a_room_across_servers(room, bob, eve, carol):
    for sender, others in ((bob, (eve, carol)), (carol, (bob, eve))):
        message = await say(sender, room, *others)
        assert message.get("from") == f"{room}/{sender.boundjid.user.split('-')[0]}"
    subject = text()
    bob.say(room, f"<subject>{subject}</subject>", kind="groupchat")
    for client in (bob, eve, carol):
        await client.take(lambda s: s.findtext(f"{CLIENT}subject") == subject)
    value = text()
    eve.say(f"{room}/carol", f"<body>{value}</body><x xmlns='{MUC}#user'/>")
    assert (await carol.body(value)).get("from") == f"{room}/eve"
    assert await bob.count(value) == 0


async def test_0045_members_do_not_see_each_other_s_addresses(room, alice, bob):
    """The owner does; who just came does not."""
    alice.inbox.clear()
    bob.inbox.clear()
    await join(alice, room, "alice")
    seen = [
        item.get("jid") for s in alice.inbox for item in s.iter(f"{USER}item") if not s.get("from").endswith("/alice")
    ]
    owner = await bob.take(lambda s: s.get("from") == f"{room}/alice")
    print(seen, owner.find(f"{USER}x/{USER}item").get("jid"))
    assert len(seen) == 3
    assert set(seen) == {None}
    assert owner.find(f"{USER}x/{USER}item").get("jid") == alice.boundjid.full
    await leave(alice, room, "alice")


async def test_0045_a_moderator_kicks_and_an_owner_bans(room, alice, bob):
    await join(alice, room, "alice")
    admin = f"<query xmlns='{MUC}#admin'><item {{}}/></query>"
    await bob.ask("set", admin.format("nick='alice' role='none'"), room)
    kicked = await alice.take(lambda s: s.get("type") == "unavailable" and s.get("from") == f"{room}/alice")
    assert "307" in statuses(kicked)
    await join(alice, room, "alice")
    await bob.ask("set", admin.format(f"jid='{alice.boundjid.bare}' affiliation='outcast'"), room)
    banned = await alice.take(lambda s: s.get("type") == "unavailable" and s.get("from") == f"{room}/alice")
    assert "301" in statuses(banned)
    with pytest.raises(Refused, match="forbidden"):
        await join(alice, room, "alice")
    await bob.ask("set", admin.format(f"jid='{alice.boundjid.bare}' affiliation='none'"), room)


async def test_0045_other_servers_users_make_no_rooms(carol):
    with pytest.raises(Refused, match="not-allowed|forbidden|item-not-found"):
        await join(carol, f"room-{text()}@{ROOMS}", "carol")


async def exists(client: Client, name: str) -> bool:
    try:
        await client.plugin["xep_0030"].get_info(jid=name)
    except slixmpp.exceptions.IqError as error:
        assert error.condition == "item-not-found"
        return False
    return True


CONFIGURE = f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='{{}}'>{{}}</x></query>"


async def test_0045_a_new_room_goes_unless_it_is_configured(accounts, connect, alice, bob):
    """Section 10.1.3: by leaving, by losing the connection, and by cancelling the form."""
    name = f"new-{text()}@{ROOMS}"
    await join(bob, name, "bob")
    with pytest.raises(Refused, match="item-not-found"):
        await join(alice, name, "alice")
    await leave(bob, name, "bob")
    assert not await exists(bob, name)

    creator = await connect(accounts["bob"])
    await join(creator, name, "bob")
    await creator.logout()
    assert not await exists(bob, name)

    assert "201" in statuses(await join(bob, name, "bob"))
    await bob.ask("set", CONFIGURE.format("cancel", ""), name)
    gone = await bob.take(lambda s: s.get("from") == f"{name}/bob" and s.find(f"{USER}x/{USER}destroy") is not None)
    assert gone.get("type") == "unavailable"
    assert not await exists(bob, name)
    # Another room may be made there at once.
    assert "201" in statuses(await join(alice, name, "alice"))
    await leave(alice, name, "alice")


async def test_0045_a_configured_room_stays_and_a_later_form_may_be_cancelled(bob):
    name = f"new-{text()}@{ROOMS}"
    await join(bob, name, "bob")
    form = await bob.ask("get", f"<query xmlns='{MUC}#owner'/>", name)
    offered = {field.get("var"): field.findtext(f"{FORM}value") for field in form.iter(f"{FORM}field")}
    print(offered)
    assert offered["muc#roomconfig_persistentroom"] == "1"
    await bob.ask("set", CONFIGURE.format("submit", ""), name)
    await bob.ask("set", CONFIGURE.format("cancel", ""), name)
    await leave(bob, name, "bob")
    assert await exists(bob, name)
    # The owner may want one that goes when all have left.
    await join(bob, name, "bob")
    temporary = f"<field var='FORM_TYPE'><value>{MUC}#roomconfig</value></field>"
    temporary += "<field var='muc#roomconfig_persistentroom'><value>0</value></field>"
    await bob.ask("set", CONFIGURE.format("submit", temporary), name)
    await leave(bob, name, "bob")
    assert not await exists(bob, name)


def expire(host: Host, days: int) -> str:
    """What the module of rooms does on a day to come."""
    lua = f"> return require'core.modulemanager'.get_module('{ROOMS}', 'room_lifecycle').expire(os.time() + {days} * 86400)"
    return host.out(f"prosodyctl shell {shlex.quote(lua)}")


async def test_a_room_that_nobody_uses_expires(rosewood, bob, eve):
    """As if a year had gone by; a room with somebody in it stays."""
    empty, full = (f"old-{text()}@{ROOMS}" for _ in range(2))
    for name in (empty, full):
        await join(bob, name, "bob")
        await bob.ask("set", CONFIGURE.format("submit", ""), name)
    await leave(bob, empty, "bob")

    print(expire(rosewood, 364))
    assert await exists(bob, empty)
    print(expire(rosewood, 366))
    assert not await exists(bob, empty)
    assert await exists(bob, full)
    # There is no tombstone in the way.
    assert "201" in statuses(await join(eve, empty, "eve"))
    await leave(eve, empty, "eve")
    await leave(bob, full, "bob")


async def test_a_room_whose_owners_are_gone_expires_earlier(rosewood, connect, bob, eve, carol):
    """As if a month had gone by: only where no owner is left, here or on another server, and nobody is there."""
    founder, heir = (create(rosewood, name, DOMAIN) for name in ("founder", "heir"))
    online = await connect(founder)
    rooms = {owner: f"orphan-{text()}@{ROOMS}" for owner in ("nobody", "heir", "eve", "carol", "bob is there")}
    others = {"heir": heir.jid, "eve": eve.boundjid.bare, "carol": carol.boundjid.bare}
    for owner, name in rooms.items():
        await join(online, name, "founder")
        await online.ask("set", CONFIGURE.format("submit", ""), name)
        if owner in others:
            item = f"<item affiliation='owner' jid='{others[owner]}'/>"
            await online.ask("set", f"<query xmlns='{MUC}#admin'>{item}</query>", name)
        await leave(online, name, "founder")
    await join(bob, rooms["bob is there"], "bob")

    async def left() -> list[str]:
        return [owner for owner, name in rooms.items() if await exists(bob, name)]

    expire(rosewood, 60)
    assert await left() == list(rooms)
    # On Debian 12, the session of an account that prosodyctl deletes goes on.
    rosewood.out(f"prosodyctl deluser {founder.jid}")
    rosewood.out(f"prosodyctl shell 'user:delete(\"{heir.jid}\")'")
    print(expire(rosewood, 29), await left())
    assert await left() == list(rooms)
    print(expire(rosewood, 31), await left())
    assert await left() == ["eve", "carol", "bob is there"]
    await leave(bob, rooms["bob is there"], "bob")
    expire(rosewood, 366)
    assert await left() == []


async def test_an_account_makes_a_few_rooms_an_hour(rosewood, connect, accounts):
    flooder = await connect(accounts["flooder"])
    made = 0
    with pytest.raises(Refused, match="resource-constraint"):
        while made < 60:
            await join(flooder, f"many-{text()}@{ROOMS}", "flooder")
            made += 1
    print(f"{made} rooms, then no more")
    assert made == A_HOUR


async def test_0045_an_invitation_by_the_room(room, bob, alice):
    bob.say(room, f"<x xmlns='{MUC}#user'><invite to='{alice.boundjid.bare}'/></x>", kind="")
    invited = await alice.take(lambda s: s.find(f"{USER}x/{USER}invite") is not None)
    assert invited.get("from") == room
    await join(alice, room, "alice")
    await leave(alice, room, "alice")


async def test_0313_who_was_away_reads_the_room_s_archive(room, alice, bob, eve):
    values = [(await say(bob, room, eve)).findtext(f"{CLIENT}body") for _ in range(5)]
    await join(alice, room, "alice")
    query = "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>3</max>{}</set></query>"

    async def page(rsm: str) -> tuple[list[str], ET.Element]:
        fin = await alice.ask("set", query.format(rsm), room)
        results = [s for s in alice.inbox if s.find(f"{MAM}result") is not None]
        for stanza in results:
            alice.inbox.remove(stanza)
        return [s.findtext(f".//{CLIENT}body") for s in results], fin

    last, fin = await page("<before/>")
    first_id = fin.findtext(".//{http://jabber.org/protocol/rsm}first")
    before, _ = await page(f"<before>{first_id}</before>")
    print(before, last)
    assert last == values[2:]
    assert before[1:] == values[:2]
    await leave(alice, room, "alice")
    with pytest.raises(Refused):
        await alice.ask("set", query.format(""), f"room-{text()}@{ROOMS}")


async def archived(client: Client, room: str) -> str:
    await client.ask("set", "<query xmlns='urn:xmpp:mam:2'/>", room)
    return " ".join(ET.tostring(s, "unicode") for s in client.inbox if s.find(f"{MAM}result") is not None)


async def test_0410_who_is_in_a_room_can_be_sure_of_it(room, alice, bob):
    info = await alice.plugin["xep_0030"].get_info(jid=room)
    assert f"{MUC}#self-ping-optimization" in info["disco_info"]["features"]
    ping = "<ping xmlns='urn:xmpp:ping'/>"
    with pytest.raises(Refused, match="not-acceptable"):
        await alice.ask("get", ping, f"{room}/alice")
    await join(alice, room, "alice")
    await alice.ask("get", ping, f"{room}/alice")
    await leave(alice, room, "alice")
    with pytest.raises(Refused, match="not-acceptable"):
        await alice.ask("get", ping, f"{room}/alice")


async def test_0421_an_occupant_is_known_by_one_name_that_nobody_forges(room, alice, bob, eve):
    ids = set()
    for nick in ("alice", "alias"):
        await join(alice, room, nick)
        value = text()
        forged = f"<occupant-id xmlns='urn:xmpp:occupant-id:0' id='{text()}'/>"
        alice.say(room, f"<body>{value}</body>{forged}", kind="groupchat")
        message = await bob.body(value)
        found = message.findall(OCCUPANT)
        assert len(found) == 1
        ids.add(found[0].get("id"))
        await leave(alice, room, nick)
    other = (await say(eve, room, bob)).find(OCCUPANT).get("id")
    print(ids, other)
    assert len(ids) == 1
    assert other not in ids


async def test_0359_nobody_forges_the_ids_of_a_room(room, alice, bob, eve):
    """In what is said to all, and to one."""
    await join(alice, room, "alice")
    forged = "".join(
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='forged'/>"
        for by in (room, room.upper(), f"{room}/x", f"{room}.")
    )
    for to, kind in ((room, "groupchat"), (f"{room}/eve", "chat")):
        value = text()
        alice.say(to, f"<body>{value}</body>{forged}<x xmlns='{MUC}#user'/>", kind=kind)
        message = await eve.body(value)
        found = [(stanza_id.get("by"), stanza_id.get("id")) for stanza_id in message.iter(STANZA_ID)]
        print(kind, found)
        assert "forged" not in {stanza_id for _, stanza_id in found}
        assert (room in {by for by, _ in found}) == (kind == "groupchat")
    await leave(alice, room, "alice")


async def test_0425_a_moderator_takes_a_message_back(room, bob, eve, carol):
    info = await bob.plugin["xep_0030"].get_info(jid=room)
    offered = {f for f in info["disco_info"]["features"] if "message-moderate" in f}
    message = await say(eve, room, bob, carol)
    assert message.findtext(f"{CLIENT}body") in await archived(bob, room)
    bob.inbox.clear()
    stanza_id = next(i.get("id") for i in message.iter(STANZA_ID) if i.get("by") == room)
    if "urn:xmpp:message-moderate:1" in offered:
        moderate = (
            f"<moderate xmlns='urn:xmpp:message-moderate:1' id='{stanza_id}'><retract xmlns='urn:xmpp:message-retract:1'/>"
            "<reason>spam</reason></moderate>"
        )
    else:
        moderate = (
            f"<apply-to xmlns='urn:xmpp:fasten:0' id='{stanza_id}'><moderate xmlns='urn:xmpp:message-moderate:0'>"
            "<retract xmlns='urn:xmpp:message-retract:0'/><reason>spam</reason></moderate></apply-to>"
        )
    print(sorted(offered))
    assert offered
    with pytest.raises(Refused):
        await carol.ask("set", moderate, room)
    await bob.ask("set", moderate, room)
    for client in (bob, eve, carol):
        told = await client.take(
            lambda s: s.get("from") == room and any("message-moderate" in child.tag for child in s.iter())
        )
        assert stanza_id in ET.tostring(told, "unicode")
    # Nor does the archive show it to who comes later.
    archive = await archived(bob, room)
    assert message.findtext(f"{CLIENT}body") not in archive


async def test_avatars_of_rooms(room, bob, eve):
    picture = base64.b64encode(PNG).decode()
    vcard = f"<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>{picture}</BINVAL></PHOTO></vCard>"
    with pytest.raises(Refused, match="forbidden"):
        await eve.ask("set", vcard, room)
    await bob.ask("set", vcard, room)
    got = await eve.ask("get", "<vCard xmlns='vcard-temp'/>", room)
    assert got.findtext("{vcard-temp}PHOTO/{vcard-temp}BINVAL") == picture
    sha1 = hashlib.sha1(PNG).hexdigest()
    # Who is there is told, and who comes sees it.
    presence = await eve.take(lambda s: s.get("from") == room and s.findtext(".//{vcard-temp:x:update}photo") == sha1)
    assert presence is not None
