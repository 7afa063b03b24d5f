# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts with people on them, and what these people have there."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import inspect
import json
import os
import secrets
import socket
import ssl
import subprocess
import urllib.parse
from dataclasses import dataclass, field

import pytest
import yaml
from clients import Client
from hosts import CA, TOP, Host, ansible, command

SCENARIO = TOP / "molecule/backup"
INVENTORY = SCENARIO / "inventory"
SAID = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]
PASSPHRASE = SAID["vars"]["backup_passphrase"]
TARGET = "cellar.test"
LOOP = asyncio.new_event_loop()


@dataclass
class Account:
    jid: str
    password: str


@dataclass
class Site:
    """A host, its accounts, and what they have left there."""

    name: str
    accounts: dict[str, Account] = field(default_factory=dict)
    uploads: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        variables = SAID["hosts"][self.name]
        # As XMPP has it, and as the DNS does.
        self.jid, self.address = variables["xmpp_domain"], variables["ansible_host"]
        self.domain = self.jid.encode("idna").decode()
        self.repositories = variables["backup_repositories"]
        self.host = Host(self.address)

    async def login(self, name: str, **options) -> Client:
        account = self.accounts[name]
        return await Client(account.jid, account.password, (self.address, 5222), CA, **options).login()

    def fetch(self, method: str, url: str, body: bytes | None = None, headers: dict | None = None) -> bytes:
        """Ask the host's web front, whatever the DNS has."""
        parts = urllib.parse.urlsplit(url)
        context = ssl.create_default_context(cafile=CA)
        connection = http.client.HTTPSConnection(parts.hostname, 443, timeout=30)
        connection.sock = context.wrap_socket(
            socket.create_connection((self.address, 443), 30), server_hostname=parts.hostname
        )
        connection.request(method, parts.path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status in (200, 201), f"{method} {url}: {answer.status} {content[:200]!r}"
        connection.close()
        return content

    async def upload(self, client: Client, name: str, content: bytes) -> None:
        slot = await client.ask(
            "get",
            f"<request xmlns='urn:xmpp:http:upload:0' filename='{name}' size='{len(content)}'/>",
            f"upload.{self.jid}",
        )
        put = slot.find("{urn:xmpp:http:upload:0}put")
        headers = {one.get("name"): one.text for one in put}
        self.fetch("PUT", put.get("url"), content, headers)
        self.uploads[slot.find("{urn:xmpp:http:upload:0}get").get("url")] = hashlib.sha256(content).hexdigest()

    def digests(self) -> dict[str, str]:
        return {url: hashlib.sha256(self.fetch("GET", url)).hexdigest() for url in self.uploads}

    def identity(self) -> dict[str, str]:
        """What others know the host by, and the secrets that nobody may know."""
        pair = f"/etc/ssl/xmpp/{self.domain}"
        return {
            "DS records": self.host.out(f"bind-ds-records {self.domain}"),
            "DNSSEC keys": self.host.out("sha256sum /var/lib/bind/keys/*.private"),
            "certificate's key": self.host.out(f"openssl pkey -in {pair}/privkey.pem -pubout"),
            "certificate": self.host.out(f"openssl x509 -in {pair}/fullchain.pem -noout -fingerprint -sha256"),
            "TLSA records": self.host.out(f"dig +short +norec @127.0.0.1 _5222._tcp.{self.name} TLSA"),
            "TURN's secret": self.host.out("sha256sum /etc/xmpp/turn.secret"),
            "owners": self.host.out(
                f"stat -c '%U %G %a %n' {pair}/* /etc/ssl/xmpp {pair} /etc/xmpp/turn.secret /var/lib/bind/keys/*.private /var/lib/prosody"
            ),
        }


# Not of the session: tests would be put in another order.
@pytest.fixture(params=[name for name in SAID["hosts"] if name != TARGET])
def site(request) -> Site:
    return SITES[request.param]


SITES = {name: Site(name) for name in SAID["hosts"] if name != TARGET}


@pytest.fixture(scope="session")
def willow() -> Site:
    return SITES["willow.orchard.test"]


@pytest.fixture(scope="session")
def cellar() -> Host:
    return Host(SAID["hosts"][TARGET]["ansible_host"])


@pytest.fixture(scope="session", autouse=True)
def inhabited():
    """Accounts, rosters, conversations, messages for somebody who is away, and uploads."""
    asyncio.set_event_loop(LOOP)
    for site in SITES.values():
        command, stdin = GROW[SAID["hosts"][site.name].get("xmpp_storage", "sqlite")]
        site.host.out(command, stdin=stdin)
        for name in ("alice", "bob", "away"):
            account = Account(f"{name}-{secrets.token_hex(3)}@{site.jid}", secrets.token_urlsafe(18))
            site.accounts[name] = account
            site.host.out(f"prosodyctl adduser {account.jid}", stdin=f"{account.password}\n" * 2)
        site.accounts["admin"] = admin = Account(f"admin@{site.jid}", secrets.token_urlsafe(18))
        verb = (
            "passwd"
            if f"admin@{site.jid}" in site.host.out(f"prosodyctl shell \"user:list('{site.jid}')\"")
            else "adduser"
        )
        site.host.out(f"prosodyctl {verb} {admin.jid}", stdin=f"{admin.password}\n" * 2)
        LOOP.run_until_complete(asyncio.wait_for(live(site), 60))


# So that a copy takes its time: nothing of Prosody's, and small once it is compressed.
GROW = {
    "sqlite": (
        "python3 -",
        "import sqlite3; c = sqlite3.connect('/var/lib/prosody/prosody.sqlite', timeout=60);"
        "c.execute('CREATE TABLE IF NOT EXISTS padding AS SELECT ? AS text', ['x' * 60000000]); c.commit()",
    ),
    "postgresql": (
        "runuser -u prosody -- psql -q prosody",
        "CREATE TABLE IF NOT EXISTS padding AS SELECT repeat('x', 60000000) AS text",
    ),
}


async def live(site: Site) -> None:
    alice, bob = await site.login("alice"), await site.login("bob")
    away = site.accounts["away"].jid
    # They know each other: what strangers write in a flood is held off.
    third = await site.login("away")
    for client in (bob, third):
        known = f"<query xmlns='jabber:iq:roster'><item jid='{alice.boundjid.bare}' name='Alice'/></query>"
        await client.ask("set", known)
        client.say(alice.boundjid.bare, "<body>Hello Alice</body>")
        await client.ping()
    await third.logout()
    for number in range(12):
        await alice.ask(
            "set",
            f"<query xmlns='jabber:iq:roster'><item jid='friend{number}@elsewhere.test' name='Freund ü{number}'>"
            f"<group>Group {number % 3}</group></item></query>",
        )
    for number in range(40):
        alice.say(bob.boundjid.bare, f"<body>Hello &lt;{number}&gt; ☃</body>")
        alice.say(away, f"<body>For later {number}</body>")
    await bob.body("Hello <39> ☃")
    for number, length in enumerate((0x10, 0x3000, 0x300000)):
        await site.upload(alice, f"picture{number}.jpg", os.urandom(length))
    await alice.logout()
    await bob.logout()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests that are coroutines, all in one loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    LOOP.run_until_complete(asyncio.wait_for(pyfuncitem.obj(**given), 300))
    return True


def play(playbook: str, *arguments: str, hosts: str = ":".join(SITES), **variables) -> subprocess.CompletedProcess:
    """Run a playbook of the collection, as the operator does."""
    extra = json.dumps({"site_hosts": hosts, **variables})
    return ansible(
        "ansible-playbook", f"magicbroccoli.xmpp.{playbook}", "--extra-vars", extra, *arguments, inventory=INVENTORY
    )


def playing(playbook: str, hosts: str) -> list[str]:
    """The same as a command, to be run beside something else."""
    extra = json.dumps({"site_hosts": hosts})
    return command("ansible-playbook", f"magicbroccoli.xmpp.{playbook}", "--extra-vars", extra, inventory=INVENTORY)
