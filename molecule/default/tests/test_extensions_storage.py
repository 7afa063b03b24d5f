# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One account has its share of the disk, whichever way it fills it, and nobody else notices."""

from __future__ import annotations

import asyncio
import secrets
import shlex
import time

import pytest
from clients import CLIENT, SECONDS, Client, Refused
from conftest import DOMAIN, DOMAINS, LOOP, create

ROOMS, UPLOADS = f"conference.{DOMAIN}", f"upload.{DOMAIN}"
MAM = "{urn:xmpp:mam:2}"
PUBSUB = "http://jabber.org/protocol/pubsub"
SHARE, ITEM = 1_000_000, 100_000


@pytest.fixture(scope="module")
def share(rosewood):
    """A share that is used up within seconds."""

    def set_share(value: str) -> None:
        lua = "> local config = require'core.configmanager' " + " ".join(
            f"config.set('{host}', 'storage_share', {value})" for host in (DOMAIN, ROOMS)
        )
        rosewood.out(f"prosodyctl shell {shlex.quote(lua)}")
        for host in (DOMAIN, ROOMS):
            rosewood.out(f'prosodyctl shell \'module:reload("storage_share", "{host}")\'')

    set_share(str(SHARE))
    yield SHARE
    set_share("nil")


@pytest.fixture
def filler(rosewood, connect, share) -> Client:
    return LOOP.run_until_complete(connect(create(rosewood, "filler", DOMAIN)))


def publish(node: str, size: int = ITEM) -> str:
    return (
        f"<pubsub xmlns='{PUBSUB}'><publish node='{node}'><item id='current'><data xmlns='urn:example:data'>"
        f"{'x' * size}</data></item></publish></pubsub>"
    )


def private(name: str, size: int = ITEM) -> str:
    return f"<query xmlns='jabber:iq:private'><data xmlns='urn:example:{name}'>{'x' * size}</data></query>"


def slot(size: int) -> str:
    return f"<request xmlns='urn:xmpp:http:upload:0' filename='a.bin' size='{size}'/>"


def stored(rosewood, account: str) -> int:
    """What the database has of an account."""
    query = f"select coalesce(sum(length(value)), 0) from prosodyarchive where user = '{account}' and host = '{DOMAIN}'"
    script = (
        f"import sqlite3; print(sqlite3.connect('/var/lib/prosody/prosody.sqlite').execute({query!r}).fetchone()[0])"
    )
    return int(rosewood.out(f"python3 -c {shlex.quote(script)}"))


async def fill(client: Client, payload, to: str | None = None) -> int:
    """Store until it is refused; the result is how often it was not."""
    done = 0
    with pytest.raises(Refused, match="resource-constraint"):
        while done < 30:
            await client.ask("set", payload(f"node-{done}"), to)
            done += 1
    return done


@pytest.mark.parametrize("payload", [publish, private], ids=["PEP", "private storage"])
async def test_requests_fill_the_share_and_no_more(rosewood, filler, bob, payload):
    done = await fill(filler, payload)
    print(f"{done} of {ITEM} bytes, then no more; {stored(rosewood, filler.boundjid.user)} bytes are in the archives")
    assert SHARE // ITEM - 2 <= done < SHARE // ITEM
    # Nothing else has room, and others have.
    for other in (publish("other"), private("other")):
        with pytest.raises(Refused, match="resource-constraint"):
            await filler.ask("set", other)
    with pytest.raises(Refused, match="resource-constraint"):
        await filler.ask("get", slot(ITEM), UPLOADS)
    await bob.ask("set", publish(f"node-{secrets.token_hex(4)}", 1000))
    # Blocking somebody works, and so does making room.
    await filler.plugin["xep_0191"].block(f"nobody-{secrets.token_hex(4)}@{DOMAIN}")
    for number in range(3):
        if payload is publish:
            await filler.ask("set", f"<pubsub xmlns='{PUBSUB}#owner'><delete node='node-{number}'/></pubsub>")
        else:
            await store_when_there_is_room(filler, private(f"node-{number}", 1))
    await store_when_there_is_room(filler, payload("again"))


async def store_when_there_is_room(client: Client, payload: str) -> None:
    """The database is asked again after some seconds at most."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            await client.ask("set", payload)
        except Refused:
            assert time.monotonic() < end
            await asyncio.sleep(0.2)
        else:
            return


async def test_uploads_are_in_the_share(filler):
    done = 0
    with pytest.raises(Refused, match="resource-constraint"):
        while done < 30:
            await filler.ask("get", slot(ITEM), UPLOADS)
            done += 1
    print(f"{done} slots of {ITEM} bytes, then no more")
    assert SHARE // ITEM - 2 <= done < SHARE // ITEM
    with pytest.raises(Refused, match="resource-constraint"):
        await filler.ask("set", publish("other"))


async def test_an_archive_gives_up_its_oldest(rosewood, filler, bob):
    """Messages come from others, so none is refused."""
    await filler.ask("set", f"<query xmlns='jabber:iq:roster'><item jid='{bob.boundjid.bare}'/></query>")
    count = SHARE // ITEM + 4
    values = [f"{number}-{secrets.token_hex(8)}" for number in range(count)]
    for value in values:
        bob.say(filler.boundjid.bare, f"<body>{value}</body><data xmlns='urn:example:data'>{'x' * ITEM}</data>")
        await filler.body(value, 30)
    await filler.ask("set", "<query xmlns='urn:xmpp:mam:2'/>")
    kept = [
        found.text.strip()
        for s in filler.inbox
        if s.find(f"{MAM}result") is not None
        for found in s.iter(f"{CLIENT}body")
    ]
    size = stored(rosewood, filler.boundjid.user)
    print(f"{count} messages of {ITEM} bytes; {len(kept)} are kept, with {size} bytes")
    assert kept == values[-len(kept) :]
    assert SHARE // 4 <= size <= SHARE


async def test_what_one_account_says_in_rooms_is_limited(rosewood, filler, bob):
    room = f"room-{secrets.token_hex(4)}@{ROOMS}"
    muc = "http://jabber.org/protocol/muc"
    for client, nick in ((filler, "filler"), (bob, "bob")):
        client.say(f"{room}/{nick}", f"<x xmlns='{muc}'/>", kind="", name="presence")
        await client.take(lambda s: s.get("from", "").startswith(room) and s.find(f"{CLIENT}subject") is not None)
        if client is filler:
            await client.ask(
                "set", f"<query xmlns='{muc}#owner'><x xmlns='jabber:x:data' type='submit'/></query>", room
            )
    said = 0
    while said < 30:
        value = secrets.token_hex(8)
        filler.say(room, f"<body>{value}</body><data xmlns='urn:example:data'>{'x' * ITEM}</data>", kind="groupchat")
        got = await filler.take(
            lambda s, value=value: s.findtext(f"{CLIENT}body") == value or s.get("type") == "error", 30
        )
        if got.get("type") == "error":
            break
        said += 1
    print(f"{said} messages of {ITEM} bytes, then no more")
    assert SHARE // ITEM - 2 <= said < SHARE // ITEM
    value = secrets.token_hex(8)
    bob.say(room, f"<body>{value}</body>", kind="groupchat")
    await bob.body(value)


def test_the_quotas_are_shares_of_the_disk(rosewood):
    config = rosewood.out("cat /etc/prosody/prosody.cfg.lua").splitlines()
    total = int(rosewood.out("stat --file-system --format '%b*%S' /var/lib | python3 -c 'print(eval(input()))'"))
    shares = {}
    for line in config:
        name, _, value = line.partition(" = ")
        if name in ("storage_share", "http_file_share_global_quota"):
            shares.setdefault(name, []).append(int(value.strip(";")) / total)
    print(f"{total} bytes: {shares}")
    assert len(shares["storage_share"]) == 1
    assert 0.045 < shares["storage_share"][0] <= 0.05
    assert len(shares["http_file_share_global_quota"]) == len(DOMAINS)
    assert 0.45 < sum(shares["http_file_share_global_quota"]) <= 0.5
