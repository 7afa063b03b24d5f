# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of Debian 12 with accounts, and the playbook as its operator runs it."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from clients import Client, archive, done, greet
from hosts import CA, PLAIN, TOP, Host, command

INVENTORY = TOP / "molecule/upgrade/inventory"
((NAME, SAID),) = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["hosts"].items()
ADDRESS, DOMAIN = SAID["ansible_host"], SAID["xmpp_domain"]
# The interpreter is found out by Ansible, as at an operator's: Debian 13 has another one.
OPERATOR = {key: value for key, value in PLAIN.items() if key != "ANSIBLE_PYTHON_INTERPRETER"}


def playing(*arguments: str) -> list[str]:
    return command("ansible-playbook", "magicbroccoli.xmpp.upgrade_debian", *arguments, inventory=INVENTORY)


def play(*arguments: str) -> subprocess.CompletedProcess:
    """Run it; errors are among what it prints, wherever molecule has Ansible write them."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(playing(*arguments), cwd=TOP, env=OPERATOR, text=True, check=False, **streams)


def started(log: Path) -> subprocess.Popen:
    """The same beside something else; what it prints goes to a file."""
    with log.open("w") as stream:
        return subprocess.Popen(
            playing(), cwd=TOP, env=OPERATOR, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )


def end(process: subprocess.Popen) -> None:
    """The operator's machine is gone. Ansible's workers are in sessions of their own."""
    found = subprocess.run(["pgrep", "--parent", str(process.pid)], capture_output=True, text=True, check=False)
    os.killpg(process.pid, signal.SIGKILL)
    for worker in found.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(worker), signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="session")
def cedar() -> Host:
    return Host(ADDRESS)


async def login(name: str, password: str) -> Client:
    return await Client(f"{name}@{DOMAIN}", password, (ADDRESS, 5222), CA).login()


async def read(name: str, password: str) -> list[tuple[str, str, str]]:
    """An account's archive."""
    client = await login(name, password)
    found = await archive(client)
    await client.logout()
    return found


async def live(passwords: dict[str, str]) -> None:
    alice, bob = await login("alice", passwords["alice"]), await login("bob", passwords["bob"])
    bob.say(f"alice@{DOMAIN}", "<body>Hello Alice</body>")
    await alice.body("Hello Alice")
    await greet(alice, bob)
    await alice.logout()
    await bob.logout()


@pytest.fixture(scope="session")
def people(cedar: Host) -> dict[str, dict]:
    """Two accounts, each with its password and what its archive has before the upgrade."""
    passwords = {name: secrets.token_urlsafe(18) for name in ("alice", "bob")}
    for name, password in passwords.items():
        verb = "passwd" if f"{name}@" in cedar.out(f"prosodyctl shell \"user:list('{DOMAIN}')\"") else "adduser"
        cedar.out(f"prosodyctl {verb} {name}@{DOMAIN}", stdin=f"{password}\n" * 2)
    done(live(passwords))
    return {name: {"password": one, "archive": done(read(name, one))} for name, one in passwords.items()}
