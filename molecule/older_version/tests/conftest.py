# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with accounts that the oldest released version has set up."""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path

import pytest
import yaml
from clients import Client, archive, done, greet, roster
from hosts import CA, PLAIN, TOP, Host, command

INVENTORY = TOP / "molecule/older_version/inventory"
HOSTS = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["hosts"]
WALNUT, POPLAR = "walnut.orchard.test", "poplar.meadow.test"
ADDRESS, DOMAIN = HOSTS[WALNUT]["ansible_host"], HOSTS[WALNUT]["xmpp_domain"]
# The commit of version 0.1.0.
OLDEST = "efc3a2b86bbb82544382c884cb965120683089aa"
# What an operator of it may have said, which this version says otherwise, and how.
FORMER = {"hardening_apparmor": "disable", "prosody_room_expire_days": 0}
NOW = {"xmpp_apparmor": "disable", "prosody_room_expire_days": "never"}


def play(collections: Path, *arguments: str, host: str = WALNUT, **variables: object) -> subprocess.CompletedProcess:
    """Run the playbook of the version in a folder of collections, beside those that it needs."""
    given = (f"--limit={host}", "--extra-vars", json.dumps(variables), *arguments)
    line = command("ansible-playbook", "magicbroccoli.xmpp.site", *given, inventory=INVENTORY)
    environment = PLAIN | {"ANSIBLE_COLLECTIONS_PATH": f"{collections}:{TOP / '.venv/collections'}"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(line, cwd=collections, env=environment, text=True, check=False, **streams)


@pytest.fixture(scope="session")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of collections that has the oldest version."""
    folder = tmp_path_factory.mktemp("oldest")
    packed = subprocess.run(["git", "archive", OLDEST], cwd=TOP, capture_output=True, check=False)
    assert packed.returncode == 0, (
        f"{packed.stderr.decode()}this checkout lacks its history; type: git fetch --unshallow"
    )
    top = folder / "ansible_collections/magicbroccoli/xmpp"
    top.mkdir(parents=True)
    subprocess.run(["tar", "--extract", "--directory", top], input=packed.stdout, check=True)
    return folder


@pytest.fixture(scope="session")
def now() -> Path:
    """The folder that has this version."""
    return TOP / ".venv/collections"


@pytest.fixture(scope="session")
def poplar(now: Path) -> Host:
    """A host that never had another version."""
    run = play(now, host=POPLAR, **NOW)
    assert run.returncode == 0, run.stdout[-5000:]
    return Host(HOSTS[POPLAR]["ansible_host"])


@pytest.fixture(scope="session")
def walnut(oldest: Path) -> Host:
    host = Host(ADDRESS)
    run = play(oldest, **FORMER)
    assert run.returncode == 0, run.stdout[-5000:]
    print(*run.stdout.splitlines()[-3:], sep="\n")
    return host


async def login(name: str, password: str) -> Client:
    return await Client(f"{name}@{DOMAIN}", password, (ADDRESS, 5222), CA).login()


async def has(name: str, password: str) -> dict:
    """What an account has: its contacts and its archive."""
    client = await login(name, password)
    found = {"roster": await roster(client), "archive": await archive(client)}
    await client.logout()
    return found


async def live(passwords: dict[str, str]) -> None:
    alice, bob = await login("alice", passwords["alice"]), await login("bob", passwords["bob"])
    await alice.ask(
        "set",
        f"<query xmlns='jabber:iq:roster'><item jid='bob@{DOMAIN}' name='Bob'><group>Friends</group></item></query>",
    )
    await greet(alice, bob)
    await alice.logout()
    await bob.logout()


@pytest.fixture(scope="session")
def people(walnut: Host) -> dict[str, dict]:
    """Two accounts, each with its password and what it has."""
    passwords = {name: secrets.token_urlsafe(18) for name in ("alice", "bob")}
    for name, password in passwords.items():
        walnut.out(f"prosodyctl adduser {name}@{DOMAIN}", stdin=f"{password}\n" * 2)
    done(live(passwords))
    return {name: {"password": one, **done(has(name, one))} for name, one in passwords.items()}
