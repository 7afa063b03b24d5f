# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each daemon is killed while somebody writes: it is back by itself, and what was archived stays so."""

from __future__ import annotations

import asyncio
import secrets
import time

import pytest
from clients import CLIENT
from conftest import ADDRESS, DOMAIN, create

MAM = "{urn:xmpp:mam:2}"
BODY = f"{{urn:xmpp:forward:0}}forwarded/{CLIENT}message/{CLIENT}body"
QUERY = "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>50</max>{}</set></query>"
# Which unit, and a question from outside that it answers when it serves again.
DAEMONS = {
    "nginx": (
        "nginx.service",
        "curl --silent --fail --max-time 2 --output /dev/null https://{domain}/.well-known/host-meta",
    ),
    "named": ("named.service", "dig +short +time=1 +tries=1 @{address} SOA {domain} | grep -q ."),
    "coturn": ("coturn.service", "turnutils_stunclient -p 3478 {address} | grep -qi reflexive"),
    "munin-node": ("munin-node.service", None),
    "postgresql": ("postgresql@*-main.service", None),
    "prosody": ("prosody.service", "python3 -c 'import socket; socket.create_connection((\"{address}\", 5222), 2)'"),
}


async def archive(client) -> list[str]:
    """All of one's own archive."""
    bodies, after = [], ""
    while True:
        fin = await client.ask("set", QUERY.format(after))
        results = [stanza for stanza in client.inbox if stanza.find(f"{MAM}result") is not None]
        for stanza in results:
            client.inbox.remove(stanza)
            bodies.append(stanza.findtext(f"{MAM}result/{BODY}"))
        if fin.get("complete") == "true":
            return [body for body in bodies if body]
        after = f"<after>{fin.findtext('.//{http://jabber.org/protocol/rsm}last')}</after>"


def pid_of(rosewood, unit: str) -> int:
    return int(rosewood.out(f"systemctl show --property MainPID --value '{unit}'").split()[0])


def kill(rosewood, internet, name: str) -> str:
    """Kill it and wait until it is back; the result tells how long that took."""
    unit, question = DAEMONS[name]
    before, begun = pid_of(rosewood, unit), time.monotonic()
    assert before
    rosewood.out(f"kill -KILL {before}")
    while (now := pid_of(rosewood, unit)) in (0, before) or rosewood.run(f"systemctl is-active '{unit}'").rc:
        assert time.monotonic() - begun < 60, rosewood.out(f"systemctl status --no-pager '{unit}'; true")
        time.sleep(0.2)
    while question and internet.run('sh -c "$(cat)"', stdin=question.format(address=ADDRESS, domain=DOMAIN)).rc:
        assert time.monotonic() - begun < 90, f"{name} runs, but does not answer"
        time.sleep(0.2)
    return f"{name}: killed {before}, back as {now} after {time.monotonic() - begun:.1f} s"


@pytest.mark.parametrize("name", DAEMONS)
async def test_it_is_back_and_nothing_is_lost(rosewood, internet, connect, name):
    reader, writer = create(rosewood, "reader", DOMAIN), create(rosewood, "writer", DOMAIN)
    session = await connect(reader)
    await session.ask("set", f"<query xmlns='jabber:iq:roster'><item jid='{writer.jid}'/></query>")
    await session.logout()
    # What the server has answered for, and whatever else was sent.
    confirmed, sent, after, failures = [], 0, 0, 0
    # While the database is away, messages to who is offline come back: their senders know.
    killed, returned = None, set()
    while after < 5:
        try:
            session = await connect(writer)
            # A cut is a cut here: nothing is sent again.
            session.end_session_on_disconnect = True
            while after < 5:
                value, sent = secrets.token_hex(8), sent + 1
                message = session.make_message(mto=reader.jid, mbody=value, mtype="chat")
                message["id"] = value
                message.send()
                await asyncio.wait_for(session.ping(), 3)
                confirmed.append(value)
                if len(confirmed) == 20:
                    killed = asyncio.ensure_future(asyncio.to_thread(kill, rosewood, internet, name))
                after += killed is not None and killed.done()
                await asyncio.sleep(0.05)
            await session.logout()
        except Exception:  # noqa: BLE001  # while it is away, nobody gets through
            failures += 1
            assert failures < 200
            session.abort()
            await asyncio.sleep(0.2)
        returned |= {stanza.get("id") for stanza in session.inbox if stanza.get("type") == "error"}
    told = await killed
    session = await connect(reader)
    # Those that the archive did not take, while the offline messages did.
    offline = {stanza.get("id") for stanza in session.inbox} - {None}
    found = await archive(session)
    missing = [value for value in confirmed if value not in {*found, *returned, *offline}]
    print(
        f"{told}; {sent} messages sent, {len(confirmed)} confirmed, {len(found)} in the archive, "
        f"{len(offline - set(found))} offline only, {len(returned)} returned; {failures} failures"
    )
    assert missing == []
    assert len(found) == len(set(found))
