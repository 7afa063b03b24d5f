# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""XEP-0055: users of the domain find those who want to be found, and nobody finds everybody."""

from __future__ import annotations

import secrets
import shlex
import xml.etree.ElementTree as ET

import pytest
from clients import Refused
from conftest import DOMAIN, LOOP, create

SEARCH = f"search.{DOMAIN}"
FORM = "{jabber:x:data}"
NS = "{jabber:iq:search}"
REGISTER = "jabber:iq:register"
A_MINUTE, MOST = 10, 20
# A name that nobody has from an earlier run.
NAME = "Quirin" + "".join(secrets.choice("abcdef") for _ in range(8))
NOTE = "{http://jabber.org/protocol/commands}note"
CANCELLED = "<x xmlns='jabber:x:data' type='cancel'/>"
RELOAD = f'prosodyctl shell \'module:reload("search", "{SEARCH}")\''


def legacy(**fields: str) -> str:
    return "<query xmlns='jabber:iq:search'>" + "".join(f"<{k}>{v}</{k}>" for k, v in fields.items()) + "</query>"


def form(**fields: str) -> str:
    fields = {"FORM_TYPE": "jabber:iq:search", **fields}
    inner = "".join(f"<field var='{k}'><value>{v}</value></field>" for k, v in fields.items())
    return f"<query xmlns='jabber:iq:search'><x xmlns='jabber:x:data' type='submit'>{inner}</x></query>"


async def by_fields(client, **fields: str) -> dict[str, dict]:
    answer = await client.ask("set", legacy(**fields), SEARCH)
    return {
        item.get("jid"): {child.tag.removeprefix(NS): child.text or "" for child in item}
        for item in answer.iter(f"{NS}item")
    }


async def by_form(client, **fields: str) -> dict[str, dict]:
    answer = await client.ask("set", form(**fields), SEARCH)
    found = {}
    for item in answer.iter(f"{FORM}item"):
        values = {field.get("var"): field.findtext(f"{FORM}value") or "" for field in item}
        found[values.pop("jid")] = values
    return found


def publish(name: str, access: str) -> str:
    """A profile as newer clients write it (XEP-0292)."""
    return (
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:vcard4'><item id='current'>"
        f"<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>{name}</text></fn></vcard></item></publish>"
        "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
        "<value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
        f"<field var='pubsub#access_model'><value>{access}</value></field></x></publish-options></pubsub>"
    )


def set_access(access: str) -> str:
    return (
        "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:xmpp:vcard4'>"
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
        "<value>http://jabber.org/protocol/pubsub#node_config</value></field>"
        f"<field var='pubsub#access_model'><value>{access}</value></field></x></configure></pubsub>"
    )


async def be_found(client, wanted: bool) -> str:
    """By the directory's command (XEP-0050)."""
    commands = client.plugin["xep_0050"]
    offered = await commands.send_command(SEARCH, "listed")
    submitted = client.plugin["xep_0004"].make_form(ftype="submit")
    submitted.add_field(var="listed", ftype="boolean", value=wanted)
    session = offered["command"]["sessionid"]
    done = await commands.send_command(SEARCH, "listed", action="complete", sessionid=session, payload=submitted.xml)
    assert done["command"]["status"] == "completed"
    return done["command"].xml.findtext(NOTE)


async def registered(client) -> bool:
    answer = await client.ask("get", f"<query xmlns='{REGISTER}'/>", SEARCH)
    return answer.find(f"{{{REGISTER}}}registered") is not None


@pytest.fixture(scope="module")
def people(alice, bob, eve):
    """Bob is listed by registration, eve by the command; alice is not. All of them have a profile."""

    async def prepare():
        await alice.ask("set", publish(f"{NAME}a Hidden", "open"))
        # As older clients do (XEP-0054); the server makes a profile for everybody of it.
        await bob.ask(
            "set",
            f"<vCard xmlns='vcard-temp'><FN>{NAME} Öztürk-{NAME}</FN><N><GIVEN>{NAME}</GIVEN>"
            f"<FAMILY>Öztürk-{NAME}</FAMILY></N><NICKNAME>{NAME} 100%</NICKNAME>"
            f"<EMAIL><INTERNET/><USERID>{NAME}@Example.org</USERID></EMAIL></vCard>",
        )
        await eve.ask("set", publish(f"{NAME}o Private", "presence"))
        assert not await registered(bob)
        await bob.ask("set", f"<query xmlns='{REGISTER}'/>", SEARCH)
        assert await be_found(eve, True) == "Others find you now."
        assert await registered(bob)
        assert await registered(eve)

    LOOP.run_until_complete(prepare())


async def test_clients_find_the_directory(people, alice):
    items = await alice.plugin["xep_0030"].get_items(jid=DOMAIN)
    assert SEARCH in [item[0] for item in items["disco_items"]["items"]]
    info = await alice.plugin["xep_0030"].get_info(jid=SEARCH)
    assert {"jabber:iq:search", REGISTER} <= info["disco_info"]["features"]
    assert ("directory", "user") in [identity[:2] for identity in info["disco_info"]["identities"]]


async def test_both_forms_are_offered(people, alice):
    query = await alice.ask("get", "<query xmlns='jabber:iq:search'/>", SEARCH)
    assert [child.tag.removeprefix(NS) for child in query] == [
        "instructions",
        "first",
        "last",
        "nick",
        "email",
        f"{FORM}x",
    ]
    fields = [field.get("var") for field in query.iter(f"{FORM}field")]
    assert fields == ["FORM_TYPE", "first", "last", "nick", "email"]


@pytest.mark.parametrize("search", [by_fields, by_form])
async def test_who_wants_to_be_found_is_found(people, alice, bob, search):
    """And nobody else, and without the mail address."""
    found = await search(alice, first=NAME[:9].lower())
    print(found)
    assert found == {bob.boundjid.bare: {"first": NAME, "last": f"Öztürk-{NAME}", "nick": f"{NAME} 100%"}}


async def test_by_each_field(people, alice, bob):
    for fields in (
        {"last": "ÖZTÜRK " + NAME.upper()},
        {"last": NAME, "first": f"{NAME}*"},
        {"nick": f"{NAME} 100"},
        {"email": f"{NAME}@example.ORG"},
    ):
        assert list(await by_fields(alice, **fields)) == [bob.boundjid.bare], fields
    assert await by_fields(alice, first=NAME, last="nobody") == {}


async def test_what_is_for_contacts_only_finds_nobody(people, eve):
    account = eve.boundjid.user
    assert await by_fields(eve, first=f"{NAME}o") == {}
    assert await by_fields(eve, nick=account) == {eve.boundjid.bare: {"first": "", "last": "", "nick": account}}
    await eve.ask("set", set_access("open"))
    assert list(await by_fields(eve, first=f"{NAME}o")) == [eve.boundjid.bare]
    await eve.ask("set", publish(f"Z{NAME} Changed", "open"))
    assert await by_fields(eve, first=f"{NAME}o") == {}
    assert list(await by_fields(eve, first=f"z{NAME}")) == [eve.boundjid.bare]
    await eve.ask("set", set_access("presence"))
    assert await by_fields(eve, first=f"z{NAME}") == {}


@pytest.mark.parametrize("search", [by_fields, by_form])
@pytest.mark.parametrize(
    "fields", [{"first": "qu"}, {"first": "***"}, {"nick": "%%%"}, {"email": "@"}, {"email": "quirin"}, {}], ids=str
)
async def test_nobody_lists_everybody(people, bob, search, fields):
    with pytest.raises(Refused, match="not-acceptable"):
        await search(bob, **fields)


async def test_who_leaves_is_not_found(people, alice, bob, eve):
    assert await be_found(eve, False) == "Others do not find you."
    await bob.ask("set", f"<query xmlns='{REGISTER}'><remove/></query>", SEARCH)
    assert await by_fields(alice, first=NAME) == await by_fields(alice, nick=eve.boundjid.user) == {}
    await bob.ask("set", f"<query xmlns='{REGISTER}'/>", SEARCH)
    assert list(await by_fields(alice, first=NAME)) == [bob.boundjid.bare]


async def test_a_cancelled_form_changes_nothing(people, alice, bob):
    """Whichever form it is, and whether its user is listed or not."""
    for client, was in ((alice, False), (bob, True)):
        assert await client.ask("set", f"<query xmlns='{REGISTER}'>{CANCELLED}</query>", SEARCH) is None
        assert await registered(client) == was
        commands = client.plugin["xep_0050"]
        for payload in (ET.fromstring(CANCELLED), None):
            offered = await commands.send_command(SEARCH, "listed")
            done = await commands.send_command(
                SEARCH, "listed", action="complete", sessionid=offered["command"]["sessionid"], payload=payload
            )
            print(done["command"]["status"], done["command"].xml.findtext(NOTE))
            assert await registered(client) == was
    with pytest.raises(Refused, match="bad-request"):
        await alice.ask("set", f"<query xmlns='{REGISTER}'>{CANCELLED.replace('cancel', 'form')}</query>", SEARCH)
    assert not await registered(alice)
    assert await alice.ask("set", f"<query xmlns='jabber:iq:search'>{CANCELLED}</query>", SEARCH) is None


async def test_the_list_outlives_a_restart_but_not_the_account(people, rosewood, connect, alice, bob):
    leaver = create(rosewood, "leaver", DOMAIN)
    client = await connect(leaver)
    await client.ask("set", f"<query xmlns='{REGISTER}'/>", SEARCH)
    assert list(await by_fields(client, nick=client.boundjid.user)) == [leaver.jid]
    rosewood.out(RELOAD)
    assert list(await by_fields(client, nick=client.boundjid.user)) == [leaver.jid]
    assert await by_fields(client, nick=alice.boundjid.user) == {}
    await client.logout()
    rosewood.out(f"prosodyctl deluser {leaver.jid}")
    assert await by_fields(bob, nick=client.boundjid.user) == {}
    rosewood.out(RELOAD)
    assert await by_fields(bob, nick=client.boundjid.user) == {}


async def test_other_servers_users_have_no_directory(people, carol):
    for payload in (legacy(first=NAME), f"<query xmlns='{REGISTER}'/>"):
        for kind in ("get", "set"):
            with pytest.raises(Refused, match="forbidden"):
                await carol.ask(kind, payload, SEARCH)
    note = await be_found(carol, True)
    assert note == f"Only users of {DOMAIN} have this"


async def test_one_search_finds_a_few_and_a_minute_has_a_few(people, connect, accounts, rosewood):
    rosewood.out(many("create"))
    try:
        flooder = await connect(accounts["flooder"])
        for payload in (legacy(nick="swarm"), form(nick="swarm")):
            answer = await flooder.ask("set", payload, SEARCH)
            found = [*answer.iter(f"{NS}item"), *answer.iter(f"{FORM}item")]
            said = [text for tag in (NS, FORM) for text in [answer.findtext(f".//{tag}instructions")] if text]
            assert len(found) == MOST
            assert said
            assert {"More people match" in text for text in said} == {True}
        answer = await flooder.ask("set", legacy(nick="swarm-21"), SEARCH)
        assert [len(answer.findall(f"{NS}item")), answer.find(f"{NS}instructions")] == [1, None]
        answers = []
        for _ in range(A_MINUTE + 5):
            try:
                await by_fields(flooder, nick="swarm")
                answers.append("answered")
            except Refused as refusal:
                answers.append(str(refusal))
        print(f"{len(found)} found; {answers}")
        # One is regained in six seconds.
        assert answers[-3:] == ["resource-constraint"] * 3
        assert answers.count("answered") < A_MINUTE + 2
    finally:
        rosewood.out(many("delete"))


def many(what: str) -> str:
    """More people than one search finds, all of them listed."""
    do = {
        "create": f"um.create_user(u, 'x'..math.random(1e15), '{DOMAIN}'); s:set(u, {{since=0}})",
        "delete": f"um.delete_user(u, '{DOMAIN}')",
    }[what]
    lua = (
        f"> local um = require'core.usermanager'; local s = require'core.storagemanager'.open('{DOMAIN}', 'search_listed') "
        f"for i = 1, {MOST + 5} do local u = 'swarm-'..i; {do} end"
    )
    return f"prosodyctl shell {shlex.quote(lua)} && {RELOAD}"
