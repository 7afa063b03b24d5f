# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world of scenario default, an attacker in it, and somebody who goes on to write meanwhile."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import secrets
import shlex
import statistics
import sys
import time
from pathlib import Path

import clients
import pytest
from hosts import TOP

SPEC = importlib.util.spec_from_file_location("world", TOP / "molecule/default/tests/conftest.py")
world = importlib.util.module_from_spec(SPEC)
sys.modules["world"] = world
SPEC.loader.exec_module(world)
ADDRESS, DOMAIN, LOOP, Account, create = world.ADDRESS, world.DOMAIN, world.LOOP, world.Account, world.create
accounts, client, connect, internet, rosewood = (
    world.accounts,
    world.client,
    world.connect,
    world.internet,
    world.rosewood,
)
# Under attack, on a machine that is busy itself, all takes longer; how long decides nothing.
clients.SECONDS = PATIENCE = 90
PROGRAM = (Path(__file__).parent / "attacker.py").read_text()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """As in scenario default, with more time."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    LOOP.run_until_complete(asyncio.wait_for(pyfuncitem.obj(**given), 240))
    return True


@pytest.fixture
def attack(internet):
    """Have internet.test attack; the result is what it has counted."""

    async def run(kind: str, **job: object) -> dict:
        job |= {"address": ADDRESS, "domain": DOMAIN}
        command = f"python3 -c {shlex.quote(PROGRAM)} {kind} {shlex.quote(json.dumps(job))}"
        answer = json.loads(await asyncio.to_thread(internet.out, command))
        print(f"{kind}: {answer}")
        return answer

    return run


class Writer:
    """Somebody legitimate: logs in, writes to a friend, logs out, and again."""

    def __init__(self, connect, account, friend):
        self.connect, self.account, self.friend = connect, account, friend
        self.logins: list[float] = []
        self.messages: list[float] = []
        self.failures: list[str] = []

    async def once(self) -> None:
        begun = time.monotonic()
        session = await self.connect(self.account)
        self.logins.append(time.monotonic() - begun)
        for _ in range(3):
            value, begun = secrets.token_hex(8), time.monotonic()
            session.say(self.friend.boundjid.bare, f"<body>{value}</body>")
            await self.friend.body(value, PATIENCE)
            self.messages.append(time.monotonic() - begun)
        await session.logout()

    async def until(self, attack: asyncio.Task) -> None:
        while not attack.done():
            try:
                await self.once()
            except Exception as error:  # noqa: BLE001  # whatever keeps somebody from writing counts
                self.failures.append(repr(error))

    def report(self) -> None:
        def times(values: list[float]) -> str:
            median = statistics.median(values) if values else 0
            return f"{len(values)}, median {median * 1000:.0f} ms, longest {max(values, default=0) * 1000:.0f} ms"

        print(f"meanwhile: logins: {times(self.logins)}; messages: {times(self.messages)}; failures: {self.failures}")


@pytest.fixture
def while_writing(connect, rosewood):
    """Run an attack while somebody writes, who is never kept from it."""

    async def run(attack) -> dict:
        friend, account = await connect(create(rosewood, "friend", DOMAIN)), create(rosewood, "writer", DOMAIN)
        await friend.ask("set", f"<query xmlns='jabber:iq:roster'><item jid='{account.jid}'/></query>")
        writer = Writer(connect, account, friend)
        task = asyncio.ensure_future(attack)
        await asyncio.sleep(0.2)
        await writer.until(task)
        # Once more when it is over.
        await writer.once()
        writer.report()
        assert writer.failures == []
        return await task

    return run
