# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put load on a running XMPP host, and print as JSON what it costs the daemons.

It runs on the host itself, by loopback, where no limit of the firewall applies, and needs the standard library only:

    ssh root@HOST python3 - DOMAIN <tests/lab/load.py

On a host that is not ours, `--register` makes accounts by in-band registration (XEP-0077), and `--unit` names the daemon.

The accounts that it makes for itself are deleted at the end. CPU times are those of the daemons' processes, so they hold on a
machine that is busy otherwise; what is per second does not.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import glob
import hashlib
import hmac
import json
import re
import resource
import secrets
import ssl
import subprocess
import time
from pathlib import Path

SYSTEM = Path("/sys/fs/cgroup/system.slice")
STREAM = "<stream:stream to='{}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
SECONDS = 60
# Of one account: more are refused by default.
SESSIONS = 20
# The server is this machine: there is nobody between, and nothing but accounts of the moment to learn.
TLS = ssl.create_default_context()
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Daemon:
    """The processes of a service, and of the one that keeps its data; what they used since the last look."""

    def __init__(self, *units: str):
        # That of an instance is in a slice of its own; one that does not run is named when its folder is read.
        self.folders = [next(SYSTEM.glob(f"**/{glob.escape(unit)}"), SYSTEM / unit) for unit in units]
        self.look()

    def tasks(self, name: str) -> list[str]:
        found = []
        for pid in " ".join((folder / "cgroup.procs").read_text() for folder in self.folders).split():
            # One may have ended since.
            with contextlib.suppress(FileNotFoundError):
                found.append(Path("/proc", pid, name).read_text())
        return found

    def look(self) -> tuple[float, float]:
        """Seconds on a processor, and bytes to be written to disk."""
        stats = [(folder / "cpu.stat").read_text() for folder in self.folders]
        written = sum(int(re.search(r"^write_bytes: (\d+)", io, re.M)[1]) for io in self.tasks("io"))
        now = sum(int(re.search(r"usage_usec (\d+)", stat)[1]) for stat in stats) / 1e6, written
        self.last, before = now, getattr(self, "last", now)
        return now[0] - before[0], now[1] - before[1]

    def memory(self) -> float:
        """KiB that no other process shares."""
        return sum(int(re.search(r"^RssAnon:\s*(\d+)", status, re.M)[1]) for status in self.tasks("status"))


class Client:
    """A client by direct TLS that reads as little of what it receives as it can."""

    salted: dict[tuple[str, bytes, int], bytes] = {}

    def __init__(self, name: str, password: str, domain: str):
        self.name, self.password, self.domain = name, password, domain
        self.bare = f"{name}@{domain}"
        self.count, self.marks = 0, asyncio.Event()

    async def until(self, mark: str) -> str:
        return (await asyncio.wait_for(self.reader.readuntil(mark.encode()), SECONDS)).decode()

    def send(self, xml: str) -> None:
        self.writer.write(xml.encode())

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", 5223, ssl=TLS, server_hostname=self.domain, limit=1 << 20, ssl_handshake_timeout=SECONDS
        )
        self.send("<?xml version='1.0'?>" + STREAM.format(self.domain))
        await self.until("</stream:features>")

    async def login(self) -> Client:
        await self.connect()
        await self.authenticate()
        self.send(STREAM.format(self.domain))
        await self.until("</stream:features>")
        self.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        self.full = re.search("<jid>(.*?)</jid>", await self.until("</iq>"))[1]
        self.send("<presence/><iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")
        await self.until("id='roster'")
        await self.until("</iq>")
        return self

    async def manage(self, what: str) -> None:
        """Register or remove the account (XEP-0077)."""
        self.send(f"<iq type='set' id='manage'><query xmlns='jabber:iq:register'>{what}</query></iq>")
        answer = await self.until("id='manage'") + await self.until(">")
        if "type='result'" not in answer[answer.rindex("<iq") :]:
            raise SystemExit(f"load: {self.domain} does not register or remove {self.name}: {answer}")
        self.leave()

    async def register(self) -> None:
        await self.connect()
        await self.manage(f"<username>{self.name}</username><password>{self.password}</password>")

    async def remove(self) -> None:
        await self.login()
        await self.manage("<remove/>")

    async def authenticate(self) -> None:
        """SCRAM-SHA-1 (RFC 5802)."""
        first = f"n={self.name},r={secrets.token_urlsafe(12)}"
        self.send(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{text(b'n,,' + first.encode())}</auth>")
        answer = re.search(">([^<]*)</challenge>", await self.until("</challenge>"))[1]
        challenge = base64.b64decode(answer).decode()
        offer = dict(part.split("=", 1) for part in challenge.split(","))
        key = self.password, base64.b64decode(offer["s"]), int(offer["i"])
        if key not in self.salted:
            self.salted[key] = hashlib.pbkdf2_hmac("sha1", key[0].encode(), *key[1:])
        client = hmac.digest(self.salted[key], b"Client Key", "sha1")
        final = f"c=biws,r={offer['r']}"
        signed = hmac.digest(hashlib.sha1(client).digest(), f"{first},{challenge},{final}".encode(), "sha1")
        proof = bytes(a ^ b for a, b in zip(client, signed, strict=True))
        self.send(f"<response xmlns='{SASL}'>{text(f'{final},p={text(proof)}'.encode())}</response>")
        await self.until("<success")

    def start_counting(self) -> None:
        self.task = asyncio.create_task(self._count())

    async def _count(self) -> None:
        rest = b""
        with contextlib.suppress(ConnectionError):
            while data := await self.reader.read(65536):
                data = rest + data
                if b"type='error'" in data:
                    raise SystemExit(f"load: {self.bare} got an error: {data.decode()}")
                self.count += data.count(b"</body>")
                rest = data[-6:] if not data.endswith(b"</body>") else b""
                self.marks.set()

    async def counted(self, number: int) -> None:
        while self.count < number:
            if self.task.done():
                raise SystemExit(f"load: {self.bare} lost its connection") from self.task.exception()
            self.marks.clear()
            await asyncio.wait_for(self.marks.wait(), SECONDS)

    def message(self, to: str, kind: str, body: str) -> None:
        self.send(f"<message to='{to}' type='{kind}' id='{secrets.token_hex(8)}'><body>{body}</body></message>")

    async def slot(self, size: int) -> tuple[str, str, str]:
        """Where to put an upload, with which authorization if any, and where it can be had (XEP-0363)."""
        self.send(
            f"<iq type='get' id='slot' to='upload.{self.domain}'>"
            f"<request xmlns='urn:xmpp:http:upload:0' filename='load.bin' size='{size}'/></iq>"
        )
        await self.until("id='slot'")
        answer = await self.until("</iq>")
        wanted = ("<put url='([^']*)'", "<header name='Authorization'>([^<]*)<", "<get url='([^']*)'")
        return tuple(found[1] if (found := re.search(pattern, answer)) else "" for pattern in wanted)

    def leave(self) -> None:
        self.writer.transport.abort()


class Load:
    def __init__(self, domain: str, accounts: int, talkers: int, units: list[str], register: bool):
        self.domain, self.talkers, self.register = domain, talkers, register
        self.server, self.database = Daemon(*units), len(units) > 1
        # Ours has uploads go through nginx.
        self.daemons = [self.server, *(Daemon(name) for name in ("nginx.service",) if (SYSTEM / name).exists())]
        # No password may contain the account's name.
        run = secrets.token_hex(3)
        self.accounts = [(f"load{run}x{number}", secrets.token_urlsafe(18)) for number in range(accounts)]
        self.figures: dict[str, float] = {}

    def shell(self, command: str) -> None:
        subprocess.run(["prosodyctl", "shell", command], check=True, stdout=subprocess.DEVNULL)

    async def __aenter__(self) -> Load:
        for number, (name, password) in enumerate(self.accounts):
            if self.register:
                await self.client(number).register()
            else:
                self.shell(f'user:create("{name}@{self.domain}", "{password}")')
        return self

    async def __aexit__(self, *_) -> None:
        for number, (name, _password) in enumerate(self.accounts):
            if self.register:
                await self.client(number).remove()
            else:
                self.shell(f'user:delete("{name}@{self.domain}")')

    def client(self, number: int) -> Client:
        return Client(*self.accounts[number % len(self.accounts)], self.domain)

    async def log_in(self, number: int, abreast: int = 8) -> list[Client]:
        gate = asyncio.Semaphore(abreast)

        async def one(which: int) -> Client:
            async with gate:
                return await self.client(which).login()

        return await asyncio.gather(*(one(which) for which in range(number)))

    async def warm_up(self) -> None:
        """What the first ones make the daemon load is not counted."""
        for client in await self.log_in(len(self.accounts)):
            client.leave()
        await self.settled()

    async def settled(self) -> float:
        """Wait until the daemon has nothing left to do; the bytes that it has written meanwhile."""
        _, written = self.server.look()
        for _ in range(60):
            await asyncio.sleep(0.5)
            cpu, more = self.server.look()
            written += more
            if cpu < 0.02:
                break
        return written

    async def stored(self) -> float:
        """Wait until all is where it stays; the bytes that were written meanwhile."""
        written = await self.settled()
        if self.database:
            checkpoint = ["runuser", "-u", "postgres", "--", "psql", "--quiet", "--command", "CHECKPOINT"]
            subprocess.run(checkpoint, check=True, cwd="/")
            written += await self.settled()
        return written

    async def logins(self, number: int) -> None:
        self.server.look()
        started = time.monotonic()
        clients = await self.log_in(number)
        seconds, (cpu, _) = time.monotonic() - started, self.server.look()
        self.figures |= {"CPU ms per login": 1e3 * cpu / number, "logins/s": number / seconds}
        for client in clients:
            client.leave()
        await self.settled()

    async def messages(self, each: int, window: int = 8) -> None:
        """Pairs talk; both archive it."""
        clients = await self.log_in(self.talkers)
        pairs = list(zip(clients[::2], clients[1::2], strict=False))
        for sender, receiver in pairs:
            # Nobody is a stranger to whom they have written to.
            receiver.message(sender.bare, "chat", "hello")
            receiver.start_counting()
            sender.start_counting()
        for sender, _ in pairs:
            await sender.counted(1)
        await self.stored()

        async def talk(sender: Client, receiver: Client) -> None:
            for sent in range(each):
                sender.message(receiver.bare, "chat", f"message {sent} " + 80 * "x")
                await receiver.counted(sent + 1 - window)
            await receiver.counted(each)

        started = time.monotonic()
        await asyncio.gather(*(talk(*pair) for pair in pairs))
        seconds, (cpu, written) = time.monotonic() - started, self.server.look()
        # Some write later.
        written += await self.stored()
        number = each * len(pairs)
        self.figures |= {
            "CPU µs per message": 1e6 * cpu / number,
            "messages/s": number / seconds,
            "disk KB per message": written / 1e3 / number,
        }
        for client in clients:
            client.leave()
        await self.settled()

    async def room(self, occupants: int, speakers: int, each: int, label: str) -> None:
        """All are in one room, and each of the speakers says something as often."""
        room = f"load{secrets.token_hex(4)}@conference.{self.domain}"
        clients = await self.log_in(occupants)
        await self.settled()

        async def enter(client: Client) -> None:
            nick = secrets.token_hex(4)
            client.send(f"<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
            await client.until("<status code='110'")

        await enter(clients[0])
        config = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>"
        clients[0].send(f"<iq type='set' id='config' to='{room}'>{config}</iq>")
        await clients[0].until("id='config'")
        clients[0].start_counting()
        for client in clients[1:]:
            await enter(client)
            client.start_counting()
        self.figures[f"CPU ms per entry into the room{label}"] = 1e3 * self.server.look()[0] / occupants
        await self.settled()

        async def speak(client: Client) -> None:
            for said in range(each):
                client.message(room, "groupchat", f"word {said} " + 80 * "x")
                await client.counted((said + 1) * speakers // 2)

        started = time.monotonic()
        await asyncio.gather(*(speak(client) for client in clients[:speakers]))
        for client in clients:
            await client.counted(each * speakers)
        seconds, (cpu, _) = time.monotonic() - started, self.server.look()
        number = each * speakers * occupants
        self.figures |= {
            f"CPU µs per room delivery{label}": 1e6 * cpu / number,
            f"room deliveries/s{label}": number / seconds,
        }
        clients[0].send(
            f"<iq type='set' id='end' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query></iq>"
        )
        await self.settled()
        for client in clients:
            client.leave()
        await self.settled()

    async def request(self, method: str, url: str, body: bytes = b"", more: str = "") -> float:
        """Seconds of a request to the web server of this machine that the URL names."""
        _, _, place, path = url.split("/", 3)
        host, _, port = place.partition(":")
        started = time.monotonic()
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port or 443, ssl=TLS, server_hostname=host, limit=1 << 20
        )
        writer.write(
            f"{method} /{path} HTTP/1.1\r\nHost: {place}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: application/octet-stream\r\nConnection: close\r\n{more}\r\n".encode()
        )
        writer.write(body)
        await writer.drain()
        answer = await asyncio.wait_for(reader.readline(), SECONDS)
        if b" 20" not in answer:
            raise SystemExit(f"load: {method} {host} answers {answer!r}")
        while await asyncio.wait_for(reader.read(1 << 20), SECONDS):
            pass
        writer.close()
        return time.monotonic() - started

    async def uploads(self, size: int, times: int, label: str = "") -> None:
        (client,) = await self.log_in(1)
        body = secrets.token_bytes(size)
        up, down = [], []
        cpu = {"upload": 0.0, "download": 0.0}
        for _ in range(times):
            put, authorization, get = await client.slot(size)
            header = f"Authorization: {authorization}\r\n" if authorization else ""
            for seconds, what, request in (
                (up, "upload", ("PUT", put, body, header)),
                (down, "download", ("GET", get)),
            ):
                for daemon in self.daemons:
                    daemon.look()
                seconds.append(await self.request(*request))
                cpu[what] += sum(daemon.look()[0] for daemon in self.daemons)
        megabytes = size / 1e6
        for what, seconds in (("upload", up), ("download", down)):
            self.figures[f"{what} MB/s{label}"] = megabytes / sorted(seconds)[len(seconds) // 2]
            self.figures[f"CPU ms per MB of {what}{label}"] = 1e3 * cpu[what] / megabytes / times
        client.leave()
        await self.settled()

    async def idle(self, clients: int, seconds: float) -> None:
        before = self.server.memory()
        connected = await self.log_in(clients)
        await self.settled()
        self.figures[f"KiB per idle client, {clients} of them"] = (self.server.memory() - before) / clients
        self.server.look()
        await asyncio.sleep(seconds)
        self.figures["CPU ms per second, idle"] = 1e3 * self.server.look()[0] / seconds
        for client in connected:
            client.leave()
        await self.settled()


async def main() -> None:
    arguments = argparse.ArgumentParser(description="Put load on this XMPP host, and print what it costs.")
    arguments.add_argument("domain")
    arguments.add_argument("--accounts", type=int, default=40, help="how many talk")
    arguments.add_argument("--only", nargs="*", default=["logins", "messages", "room", "uploads", "idle"])
    arguments.add_argument("--clients", type=int, default=500, help="how many are idle")
    arguments.add_argument("--seconds", type=float, default=60, help="how long they are")
    arguments.add_argument("--occupants", type=int, default=1000, help="how many are in the room of step `crowd`")
    arguments.add_argument("--unit", default="prosody.service", help="the daemon")
    arguments.add_argument(
        "--database", help="the unit of PostgreSQL, as postgresql@17-main.service, where that keeps the data"
    )
    arguments.add_argument("--register", action="store_true", help="make accounts by in-band registration")
    given = arguments.parse_args()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    sessions = max(given.clients * ("idle" in given.only), given.occupants * ("crowd" in given.only))
    accounts = max(given.accounts, -(-sessions // SESSIONS))
    units = [given.unit, *filter(None, [given.database])]
    async with Load(given.domain, accounts, given.accounts, units, given.register) as load:

        async def small_and_large() -> None:
            # By default, Prosody keeps a body of less than 10 MB in memory until it is complete.
            await load.uploads(8_000_000, 3)
            await load.uploads(16_000_000, 1, ", file of 16 MB")

        load.figures["MiB at the start"] = load.server.memory() / 1024
        await load.warm_up()
        steps = {
            "idle": lambda: load.idle(given.clients, given.seconds),
            "logins": lambda: load.logins(200),
            "messages": lambda: load.messages(150),
            "room": lambda: load.room(given.accounts, given.accounts, 10, ""),
            "uploads": small_and_large,
            "crowd": lambda: load.room(given.occupants, 20, 2, f", room of {given.occupants}"),
        }
        for name, step in steps.items():
            if name in given.only:
                await step()
        load.figures["MiB at the end"] = load.server.memory() / 1024
    print(json.dumps(load.figures, ensure_ascii=False))


if __name__ == "__main__":
    asyncio.run(main())
