# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""XEP-0033: one stanza becomes a copy for each address, for the domain's own users, and never more than the limits."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

import pytest
from clients import CLIENT, Refused, condition
from conftest import COMPONENTS, DOMAIN, DOMAINS, LOOP, as_xmpp, create
from hosts import until
from slixmpp.exceptions import IqTimeout

ADDRESS = "http://jabber.org/protocol/address"
LIMIT, COPIES_A_MINUTE = 25, 100


def addresses(*given: dict) -> str:
    items = "".join("<address " + " ".join(f"{k}={quoteattr(v)}" for k, v in item.items()) + "/>" for item in given)
    return f"<addresses xmlns='{ADDRESS}'>{items}</addresses>"


def shown(stanza) -> list[dict]:
    return [dict(address.attrib) for address in stanza.iter(f"{{{ADDRESS}}}address")]


def to(jid: str, kind: str = "to", **others: str) -> dict:
    return {"type": kind, "jid": str(jid), **others}


@pytest.fixture(scope="module")
def connected(rosewood, alice, carol):
    """Wait until carol's server answers: on a busy machine, a connection between servers takes its time.

    One that other tests have left may be dead without that Prosody knows it yet: it is shown, and closed.
    """
    misses = 0

    async def answers() -> bool:
        nonlocal misses
        try:
            await alice.ask("get", "<ping xmlns='urn:xmpp:ping'/>", carol.boundjid.domain)
        except (Refused, IqTimeout) as error:
            misses += 1
            print(f"{error!r}: {rosewood.out('prosodyctl shell s2s show')}")
            if misses % 3 == 0:
                print(rosewood.run("ss --tcp --info --timers --numeric '( sport = :5269 or dport = :5269 )'").stdout)
                print(rosewood.run(f"prosodyctl shell 's2s:closeall(\"{carol.boundjid.domain}\")'").stdout)
            return False
        return True

    until(lambda: LOOP.run_until_complete(answers()), 300)


async def test_the_domain_offers_it_and_its_components_do_not(alice):
    info = await alice.plugin["xep_0030"].get_info(jid=DOMAIN)
    assert ADDRESS in info["disco_info"]["features"]
    for component in COMPONENTS:
        info = await alice.plugin["xep_0030"].get_info(jid=as_xmpp(component))
        assert ADDRESS not in info["disco_info"]["features"]


@pytest.mark.usefixtures("connected")
async def test_every_address_gets_one_copy(alice, bob, eve, carol):
    text = secrets.token_hex(8)
    message = alice.make_message(mto=DOMAIN, mbody=text)
    for kind, jid in (("to", bob), ("cc", carol), ("bcc", eve)):
        message["addresses"].add_address(atype=kind, jid=jid.boundjid.bare, desc=f"{kind} it is")
    message["addresses"].add_address(atype="replyto", jid=alice.boundjid.bare)
    message.send()
    copies = [await client.body(text) for client in (bob, carol, eve)]
    expected = [
        to(bob.boundjid.bare, desc="to it is", delivered="true"),
        to(carol.boundjid.bare, "cc", desc="cc it is", delivered="true"),
        to(alice.boundjid.bare, "replyto"),
    ]
    for client, copy in zip((bob, carol, eve), copies, strict=True):
        print(client.boundjid.bare, shown(copy))
        assert copy.get("from") == alice.boundjid.full
        assert copy.get("to") == client.boundjid.bare
        own = [to(eve.boundjid.bare, "bcc", desc="bcc it is", delivered="true")] if client is eve else []
        assert shown(copy) == expected + own
    for client in (bob, eve, carol):
        assert await client.count(text) == 0


async def test_an_address_that_is_there_twice_gets_one_copy(alice, bob):
    text = secrets.token_hex(8)
    given = [to(bob.boundjid.bare), to(bob.boundjid.bare.upper(), "cc"), to(bob.boundjid.bare, "bcc")]
    alice.say(DOMAIN, addresses(*given) + f"<body>{text}</body>")
    await bob.body(text)
    assert await bob.count(text) == 0


async def test_what_is_delivered_is_not_sent_again(alice, bob, eve):
    text = secrets.token_hex(8)
    alice.say(
        DOMAIN, addresses(to(bob.boundjid.bare, delivered="true"), to(eve.boundjid.bare)) + f"<body>{text}</body>"
    )
    copy = await eve.body(text)
    assert [address["delivered"] for address in shown(copy)] == ["true", "true"]
    assert await bob.count(text) == 0
    alice.say(DOMAIN, addresses(to(bob.boundjid.bare, delivered="true")) + f"<body>{text}</body>")
    assert await alice.error() == "bad-request"
    assert await bob.count(text) == 0


async def test_presence_goes_to_strangers_and_their_leave_as_well(alice, bob):
    """Directed presence: the server takes it back when the client leaves (XEP-0033, version 1.2)."""
    secret = secrets.token_hex(8)
    alice.say(DOMAIN, addresses(to(bob.boundjid.full)) + f"<status>{secret}</status>", kind="", name="presence")
    came = await bob.take(lambda stanza: stanza.findtext(f"{CLIENT}status") == secret)
    assert came.get("from") == alice.boundjid.full
    alice.say(None, "", kind="unavailable", name="presence")
    left = await bob.take(lambda s: s.get("type") == "unavailable" and s.get("from") == alice.boundjid.full)
    assert left is not None
    alice.send_presence()


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ([to(f"nobody{n}@honest.test") for n in range(LIMIT + 1)], "not-acceptable"),
        ([to("nobody@honest.test", delivered="true")] * (LIMIT + 1), "not-acceptable"),
        ([to("@@")], "jid-malformed"),
        ([{"type": "to"}], "jid-malformed"),
        ([{"type": "cc", "uri": "mailto:nobody@example.org"}], "jid-malformed"),
        ([{"type": "noreply"}], "bad-request"),
        ([to(DOMAIN)], "bad-request"),
        ([], "bad-request"),
        ([{"jid": "nobody@honest.test"}], "bad-request"),
        ([to("nobody@honest.test", "To")], "bad-request"),
    ],
    ids=[
        "too many",
        "too many delivered",
        "no JID",
        "nothing",
        "URI",
        "noreply only",
        "the service itself",
        "none",
        "no type",
        "unknown type",
    ],
)
async def test_what_is_wrong_is_refused_whole(alice, bob, given, refusal):
    text = secrets.token_hex(8)
    # The addresses that are right get no copy either.
    whole = refusal == "jid-malformed" or any(address.get("type") in (None, "To") for address in given)
    alice.say(
        DOMAIN,
        addresses(*given, *([to(bob.boundjid.bare)] if whole else [])) + f"<body>{text}</body>",
    )
    assert await alice.error() == refusal
    assert await bob.count(text) == 0


@pytest.mark.usefixtures("connected")
async def test_nobody_sees_a_blind_address_but_its_owner(alice, bob, eve, carol):
    text = secrets.token_hex(8)
    alice.say(
        DOMAIN,
        addresses(to(bob.boundjid.bare), to(eve.boundjid.bare, "bcc"), to(carol.boundjid.bare, "bcc"))
        + f"<body>{text}</body>",
    )
    public = to(bob.boundjid.bare, delivered="true")
    for client in (bob, eve, carol):
        blind = [] if client is bob else [to(client.boundjid.bare, "bcc", delivered="true")]
        assert shown(await client.body(text)) == [public, *blind]


@pytest.mark.parametrize("service", [DOMAIN, DOMAIN.upper(), f"{DOMAIN}/x", DOMAINS[1]])
async def test_an_address_of_this_host_does_not_fail_the_others(alice, bob, service):
    """The server has what it would get; a copy that it can do nothing with comes back from that address alone."""
    text = secrets.token_hex(8)
    alice.inbox.clear()
    alice.say(DOMAIN, addresses(to(service), to(bob.boundjid.bare)) + f"<body>{text}</body>")
    assert shown(await bob.body(text)) == [to(service, delivered="true"), to(bob.boundjid.bare, delivered="true")]
    await alice.ping()
    errors = {
        stanza.get("from"): condition(stanza.find(f"{CLIENT}error"))
        for stanza in alice.inbox
        if stanza.get("type") == "error"
    }
    print(errors)
    assert DOMAIN not in errors
    assert "forbidden" not in errors.values()
    alice.inbox.clear()


async def test_a_second_list_is_refused(alice, bob, eve):
    """The first service would pass it on as it is, and the next one obey it."""
    text = secrets.token_hex(8)
    alice.say(DOMAIN, addresses(to(bob.boundjid.bare)) + addresses(to(eve.boundjid.bare)) + f"<body>{text}</body>")
    assert await alice.error() == "bad-request"
    assert await bob.count(text) == await eve.count(text, 0) == 0


async def test_subscriptions_are_not_multiplied(alice, bob):
    alice.say(DOMAIN, addresses(to(bob.boundjid.bare)), kind="subscribe", name="presence")
    assert await alice.error() == "bad-request"
    assert not [stanza for stanza in bob.inbox if stanza.get("type") == "subscribe"]


async def test_other_servers_multicasts_are_refused(carol, bob, eve):
    text = secrets.token_hex(8)
    carol.say(DOMAIN, addresses(to(bob.boundjid.bare), to(eve.boundjid.bare)) + f"<body>{text}</body>")
    assert await carol.error() == "forbidden"
    assert await bob.count(text) == await eve.count(text, 0) == 0


async def test_addresses_to_a_user_are_only_information(alice, bob, eve):
    """And so is a copy that comes from elsewhere: nothing is sent to those it lists."""
    text = secrets.token_hex(8)
    alice.say(bob.boundjid.bare, addresses(to(eve.boundjid.bare)) + f"<body>{text}</body>")
    assert shown(await bob.body(text)) == [to(eve.boundjid.bare)]
    assert await eve.count(text) == 0


async def test_a_blocked_contact_is_not_reached_this_way_either(alice, bob, eve):
    text = secrets.token_hex(8)
    await bob.plugin["xep_0191"].block(alice.boundjid.bare)
    try:
        alice.say(DOMAIN, addresses(to(bob.boundjid.bare), to(eve.boundjid.bare)) + f"<body>{text}</body>")
        await eve.body(text)
        assert await bob.count(text) == 0
    finally:
        await bob.plugin["xep_0191"].unblock(alice.boundjid.bare)


async def test_the_archive_of_the_sender_has_the_copies(alice, bob, eve):
    text = secrets.token_hex(8)
    alice.say(DOMAIN, addresses(to(bob.boundjid.bare), to(eve.boundjid.bare)) + f"<body>{text}</body>")
    await eve.body(text)
    archived = []
    async for result in alice.plugin["xep_0313"].iterate(rsm={"max": 100}):
        forwarded = result["mam_result"]["forwarded"]["stanza"]
        if forwarded["body"] == text:
            archived.append(forwarded["to"].bare)
    print(archived)
    assert archived == [bob.boundjid.bare, eve.boundjid.bare]


async def test_copies_are_limited_in_a_minute(connect, accounts, bob):
    """From an account of its own, since it cannot send for a minute then."""
    flooder = await connect(accounts["flooder"])
    # The limits for strangers are others.
    await bob.ask("set", f"<query xmlns='jabber:iq:roster'><item jid='{flooder.boundjid.bare}'/></query>")
    text = secrets.token_hex(8)
    given = [to(f"{bob.boundjid.bare}/{number}") for number in range(LIMIT - 1)] + [to(bob.boundjid.full)]
    rounds = COPIES_A_MINUTE // LIMIT + 3
    for _ in range(rounds):
        flooder.say(DOMAIN, addresses(*given) + f"<body>{text}</body>", kind="headline")
    # More sessions of the account have no more.
    other = await connect(accounts["flooder"])
    other.say(DOMAIN, addresses(*given) + f"<body>{text}</body>", kind="headline")
    assert await other.error() == "resource-constraint"
    await flooder.ping()
    refused = [stanza for stanza in flooder.inbox if stanza.get("type") == "error"]
    got = await bob.count(text)
    print(f"{rounds} stanzas of {LIMIT} addresses: {got} passed, {len(refused)} refused")
    # A few more than allowed are refilled while the test runs.
    assert COPIES_A_MINUTE // LIMIT <= got < rounds
    assert len(refused) == rounds - got


async def test_large_stanzas_have_fewer_copies(connect, rosewood, bob):
    """Of a stanza of 100 kB each copy counts as ten."""
    sender = await connect(create(rosewood, "sender", DOMAIN))
    text = secrets.token_hex(50_000)

    async def refused(copies: int) -> str:
        given = [to(f"{bob.boundjid.bare}/{number}") for number in range(copies)]
        sender.say(DOMAIN, addresses(*given) + f"<body>{text}</body>", kind="headline")
        await sender.ping()
        return await sender.error() if any(stanza.get("type") == "error" for stanza in sender.inbox) else ""

    answers = [await refused(copies) for copies in (11, 3, 3, 3, 3)]
    print(f"{len(text)} bytes, to 11 and then to 3 addresses: {answers}")
    assert answers == ["not-acceptable", "", "", "", "resource-constraint"]


async def test_a_component_cannot_be_asked(alice):
    alice.say(COMPONENTS[0], addresses(to(alice.boundjid.bare)) + "<body>no</body>")
    assert await alice.error()


async def test_an_iq_cannot_carry_it(alice, bob):
    with pytest.raises(Refused):
        await alice.ask("set", addresses(to(bob.boundjid.bare)), DOMAIN)
