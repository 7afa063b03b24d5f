# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients by slixmpp, which stay logged in through all tests of a file."""

from __future__ import annotations

import asyncio
import ssl
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import slixmpp
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

T = TypeVar("T")
CLIENT = "{jabber:client}"
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
SECONDS = 60
PLUGINS = (4, 30, 33, 45, 47, 48, 50, 54, 55, 59, 60, 65, 77, 84, 115, 163, 184, 191, 198, 199)
PLUGINS_LATER = (223, 249, 280, 292, 297, 313, 334, 352, 359, 363, 402, 410, 421, 424, 425)


class Refused(Exception):
    """The server answers with an error; the message is its condition."""


def condition(error: ET.Element | None) -> str:
    """The condition of a stanza's error."""
    found = [] if error is None else [child.tag for child in error if child.tag.startswith(STANZAS)]
    return next((tag.removeprefix(STANZAS) for tag in found if not tag.endswith("}text")), "")


class Client(slixmpp.ClientXMPP):
    """A client that keeps what it receives until a test takes it."""

    def __init__(self, jid: str, password: str, address: tuple[str, int], ca: Path, priority: int = 0):
        super().__init__(jid, password, sasl_mech="SCRAM-SHA-1")
        self.ca_certs = ca
        self.address, self.priority = address, priority
        self.enable_direct_tls = False
        self.inbox: list[ET.Element] = []
        self.arrived = asyncio.Event()
        self.online = asyncio.get_event_loop().create_future()
        for number in (*PLUGINS, *PLUGINS_LATER):
            self.register_plugin(f"xep_{number:04}")
        for name in ("message", "presence"):
            self.register_handler(Callback(f"keep {name}", MatchXPath(f"{CLIENT}{name}"), self._keep))
        # What the server offers on the stream, after the login.
        self.offered: ET.Element | None = None
        offers = MatchXPath("{http://etherx.jabber.org/streams}features")
        self.register_handler(Callback("keep features", offers, self._keep_offer))
        self.add_event_handler("session_start", lambda _: self._settle(None))
        self.add_event_handler("failed_all_auth", lambda _: self._settle("not-authorized"))
        self.add_event_handler("ssl_invalid_chain", lambda _: self._settle("invalid certificate"))

    def get_ssl_context(self) -> ssl.SSLContext:
        context = super().get_ssl_context()
        context.check_hostname = True
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _settle(self, refusal: str | None) -> None:
        if not self.online.done():
            self.online.set_exception(Refused(refusal)) if refusal else self.online.set_result(None)

    def _keep(self, stanza) -> None:
        self.inbox.append(stanza.xml)
        self.arrived.set()

    def _keep_offer(self, stanza) -> None:
        self.offered = stanza.xml

    async def login(self) -> Client:
        self.connect(*self.address)
        try:
            await asyncio.wait_for(self.online, SECONDS)
        except BaseException:
            await self.logout()
            raise
        self.send_presence(ppriority=self.priority)
        # The answer comes after the presence has been dealt with.
        await self.ping()
        return self

    async def logout(self) -> None:
        if not self.is_connected():
            return
        self.disconnect(wait=2)
        await asyncio.wait_for(self.disconnected, 5)

    async def ping(self) -> None:
        """Wait until the server has dealt with what was sent before."""
        await self.ask("get", "<ping xmlns='urn:xmpp:ping'/>", self.boundjid.domain)

    async def ask(self, kind: str, payload: str, to: str | None = None) -> ET.Element | None:
        """Send an iq of this payload, and return what the answer contains."""
        iq = self.make_iq(ito=to, itype=kind)
        iq.xml.append(ET.fromstring(payload))
        try:
            answer = await iq.send(timeout=SECONDS)
        except slixmpp.exceptions.IqError as error:
            raise Refused(condition(error.iq.xml.find(f"{CLIENT}error"))) from error
        return next(iter(answer.xml), None)

    def say(self, to: str | None, inner: str, kind: str = "chat", name: str = "message") -> None:
        """Send a message, or another stanza, with this inner XML."""
        kinds = {"message": slixmpp.Message, "presence": slixmpp.Presence}
        stanza = kinds[name](self, xml=ET.fromstring(f"<{name} xmlns='{CLIENT[1:-1]}'>{inner}</{name}>"))
        for key, value in (("id", self.new_id()), ("to", to), ("type", kind)):
            if value:
                stanza.xml.set(key, value)
        stanza.send()

    async def take(self, wanted: Callable[[ET.Element], bool], seconds: float = SECONDS) -> ET.Element:
        """Wait for a stanza, and take it out of the inbox."""
        end = time.monotonic() + seconds
        while True:
            for stanza in self.inbox:
                if wanted(stanza):
                    self.inbox.remove(stanza)
                    return stanza
            self.arrived.clear()
            if time.monotonic() > end:
                shown = [ET.tostring(stanza, "unicode")[:300] for stanza in self.inbox]
                raise TimeoutError(f"{self.boundjid} has not got what was wanted, but {shown}")
            try:
                await asyncio.wait_for(self.arrived.wait(), max(end - time.monotonic(), 0.01))
            except TimeoutError:
                continue

    async def body(self, text: str, seconds: float = SECONDS) -> ET.Element:
        """Wait for the message with this body."""
        return await self.take(lambda stanza: stanza.findtext(f"{CLIENT}body") == text, seconds)

    async def error(self) -> str:
        """Wait for a message or presence of type error, and return its condition."""
        stanza = await self.take(lambda stanza: stanza.get("type") == "error")
        return condition(stanza.find(f"{CLIENT}error"))

    async def count(self, text: str, seconds: float = 0.3) -> int:
        """How many messages with this body have come, and come in the next moment; they are taken."""
        await asyncio.sleep(seconds)
        await self.ping()
        found = [stanza for stanza in self.inbox if stanza.findtext(f"{CLIENT}body") == text]
        for stanza in found:
            self.inbox.remove(stanza)
        return len(found)


LOOP = asyncio.new_event_loop()


def done(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what clients do to its end, for tests that are no coroutines themselves."""
    asyncio.set_event_loop(LOOP)
    return LOOP.run_until_complete(asyncio.wait_for(coroutine, SECONDS))


async def greet(sender: Client, receiver: Client) -> None:
    """Say twenty things, and wait until the last one has come."""
    for number in range(20):
        sender.say(receiver.boundjid.bare, f"<body>Hello &lt;{number}&gt; ☃</body>")
    await receiver.body("Hello <19> ☃")


async def archive(client: Client) -> list[tuple[str, str, str]]:
    """All that the account's archive has: the ID, who is concerned, and the text, of each message."""
    found, after = [], ""
    while True:
        client.inbox.clear()
        page = await client.ask(
            "set",
            "<query xmlns='urn:xmpp:mam:2' queryid='all'><set xmlns='http://jabber.org/protocol/rsm'><max>200</max>"
            f"{after}</set></query>",
        )
        for stanza in client.inbox:
            result = stanza.find("{urn:xmpp:mam:2}result")
            if result is not None:
                message = result.find(f".//{CLIENT}message")
                found.append((result.get("id"), message.get("to"), message.findtext(f"{CLIENT}body") or ""))
        client.inbox.clear()
        if page.get("complete") == "true":
            return found
        last = page.findtext(".//{http://jabber.org/protocol/rsm}last")
        after = f"<after>{last}</after>"


async def roster(client: Client) -> dict[str, tuple[str, tuple[str, ...]]]:
    query = await client.ask("get", "<query xmlns='jabber:iq:roster'/>")
    spaces = "{jabber:iq:roster}"
    return {
        item.get("jid"): (item.get("name"), tuple(sorted(group.text for group in item.findall(f"{spaces}group"))))
        for item in query
    }
