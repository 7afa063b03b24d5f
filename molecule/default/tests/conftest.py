# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two hosts, the accounts, and the clients that the tests use from outside."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from clients import Client, Refused
from hosts import CA, TOP, Host, ansible, apply

INVENTORY = TOP / "molecule/default/inventory"
HOSTS = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["hosts"]

# Scenario debian12 has these tests, too.
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "inventory/hosts.yml"
RELEASE = yaml.safe_load(SCENARIO.read_text())["all"].get("vars", {}).get("lab_release", "bookworm")

DOMAIN = "broccoli.test"
HOSTNAME = "rosewood.broccoli.test"
ADDRESS = HOSTS[HOSTNAME]["ansible_host"]
# Where clients by slixmpp find the servers, and the authority of their certificates.
SERVERS = {DOMAIN: ADDRESS, "bücher.test": ADDRESS, "honest.test": HOSTS["internet.test"]["ansible_host"]}
LOOP = asyncio.new_event_loop()
# The second domain of the host, and an internationalised one, as XMPP knows it.
EXTRA = "kale.test"
IDN = "bücher.test"
# All of them as DNS and the web know them.
DOMAINS = [DOMAIN, EXTRA, "xn--bcher-kva.test"]
COMPONENTS = [f"{kind}.{domain}" for domain in DOMAINS for kind in ("conference", "proxy", "search", "upload")]


def as_xmpp(domain: str) -> str:
    """The domain with its U-labels, which is how Prosody and clients write it."""
    return domain.encode().decode("idna")


@dataclass
class Account:
    jid: str
    password: str

    def by(self, via: str = "tcp") -> dict:
        return {"jid": self.jid, "password": self.password, "via": via}


@pytest.fixture(scope="session")
def rosewood() -> Host:
    """The host under test, which has looked for updates once: its timer has it do so only within five minutes, and what a promise
    and a graph say of updates is not known before."""
    host = Host(ADDRESS)
    host.out("systemctl start xmpp-updates.service")
    return host


@pytest.fixture(scope="session")
def internet(rosewood: Host) -> Host:
    """The rest of the world, which has got the DS records of the domains from their operator."""
    world = Host(HOSTS["internet.test"]["ansible_host"])
    for domain in DOMAINS:
        ds = rosewood.out(f"/usr/local/sbin/bind-ds-records {domain}")
        world.out(f"sh -c 'cat > /var/lib/world/dsset-{domain}.'", stdin=ds + "\n")
    world.out("sh -c 'world-sign && systemctl reload nsd && systemctl restart unbound'")
    return world


@pytest.fixture(scope="session")
def client(internet: Host) -> Callable[..., dict]:
    """Give xmpp_client.py on internet.test a job, and return its answer."""

    def run(do: str, **job: object) -> dict:
        answer = internet.out("python3 /usr/local/lib/world/xmpp_client.py", stdin=json.dumps({"do": do, **job}))
        print(f"{do}: {answer}")
        return json.loads(answer)

    return run


async def logs_in(connect, account: Account) -> bool:
    try:
        await (await connect(account)).logout()
    except Refused as refusal:
        assert str(refusal) == "not-authorized"
        return False
    return True


def create(host: Host, name: str, domain: str, options: str = "") -> Account:
    account = Account(f"{name}-{secrets.token_hex(3)}@{domain}", secrets.token_urlsafe(18))
    host.out(f"prosodyctl {options} adduser {account.jid}", stdin=f"{account.password}\n" * 2)
    return account


def shell(host, program: str, options: str = "") -> str:
    """Run Lua in the running Prosody, and return its result."""
    answer = host.out(f"prosodyctl {options} shell", stdin=f"> {program}\n")
    results = [line.split("Result: ", 1)[1] for line in answer.splitlines() if "Result: " in line]
    assert results, answer
    return results[-1].strip()


@pytest.fixture(scope="session")
def accounts(rosewood: Host, internet: Host) -> dict[str, Account]:
    """Carol on the honest server, mallory on the self-signed one, kim at the second domain of the host under test, ida
    at the internationalised one, and everybody else at its first."""
    return {
        **{name: create(rosewood, name, DOMAIN) for name in ("alice", "bob", "eve", "flooder")},
        "kim": create(rosewood, "kim", EXTRA),
        "ida": create(rosewood, "ida", IDN),
        "carol": create(internet, "carol", "honest.test", "--config /etc/peer/honest.cfg.lua"),
        "mallory": create(internet, "mallory", "selfsigned.test", "--config /etc/peer/selfsigned.cfg.lua"),
    }


@pytest.fixture(scope="module")
def roles_with():
    """Run the roles that serve accounts with other variables; when the module's tests have ended, as it was."""

    def run(**variables) -> None:
        # A scenario that shares these tests has more to say of the host.
        more = f"--inventory={SCENARIO.parent}"
        done = apply(["prosody", "nginx"], HOSTNAME, more, inventory=INVENTORY, **variables)
        assert done.returncode == 0, done.stdout + done.stderr

    yield run
    run()


@pytest.fixture(scope="session")
def site() -> Callable[..., subprocess.CompletedProcess]:
    """Run a playbook, that of the site unless said, as an operator does, with other variables or another inventory."""

    def run(*arguments: str, inventory: Path = INVENTORY, playbook: str = "site") -> subprocess.CompletedProcess:
        arguments = (f"magicbroccoli.xmpp.{playbook}", "--extra-vars", f"site_hosts={HOSTNAME}", *arguments)
        return ansible("ansible-playbook", *arguments, inventory=inventory)

    return run


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "any_release(reason): cannot differ by release, so that Debian 13 is enough")


# Reason → tests that Debian 13 alone has.
SPARED: dict[str, list[str]] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if RELEASE == "trixie":
        return
    spared = [item for item in items if item.get_closest_marker("any_release")]
    for item in spared:
        reason = item.get_closest_marker("any_release").args[0]
        SPARED.setdefault(reason, []).append(item.nodeid.rpartition("/")[2].partition("[")[0])
    config.hook.pytest_deselected(items=spared)
    items[:] = [item for item in items if item not in spared]


# Test → how it ended; and what the table of extensions says of each release.
OUTCOMES: dict[str, str] = {}
COLUMN = {"trixie": 2, "bookworm": 3}[RELEASE]
ROW = re.compile(r"^\| (?:[0-9, ]*) ?\| .*`test_", re.M)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    test = re.sub(r"\[.*", "", report.nodeid.rpartition("/")[2])
    # One failure outweighs all that passes, and one that passes what is skipped.
    ranks = ["skipped", "passed", "failed"]
    outcome = report.outcome if report.when == "call" or report.outcome != "passed" else "skipped"
    OUTCOMES[test] = max(OUTCOMES.get(test, "skipped"), outcome, key=ranks.index)


def disagreements() -> list[str]:
    """Where docs/extensions.md says other than the tests of this run, as far as they ran."""
    found = []
    for line in (TOP / "docs/extensions.md").read_text().splitlines():
        if not ROW.match(line):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in re.findall(r"`(test_\w+\.py(?:::\w+)?)`", cells[4]):
            its = [outcome for test, outcome in OUTCOMES.items() if test == name or test.startswith(f"{name}::")]
            if its and ("passed" in its and "failed" not in its) != bool(cells[COLUMN]):
                found.append(
                    f"{cells[0]} {cells[1]}: {cells[COLUMN] or 'not there'}, but {name}: {', '.join(set(its))}"
                )
    return found


def pytest_terminal_summary(terminalreporter) -> None:
    for reason, tests in SPARED.items():
        names = ", ".join(dict.fromkeys(tests))
        terminalreporter.write_line(f"On Debian 13 alone, {len(tests)} of {names}: {reason}")
    for line in disagreements():
        terminalreporter.write_line(f"docs/extensions.md, {RELEASE}: {line}", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The table of extensions holds, or the run has failed."""
    if session.exitstatus == 0 and disagreements():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests that are coroutines, all in one loop, so that clients stay connected from one to the next."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    LOOP.run_until_complete(asyncio.wait_for(pyfuncitem.obj(**given), 60))
    return True


@pytest.fixture(scope="module")
def connect():
    """Log a client in; it leaves after the last test of the file."""
    asyncio.set_event_loop(LOOP)
    connected: list[Client] = []

    async def log_in(account: Account, **options) -> Client:
        server = (SERVERS[account.jid.split("@")[1]], 5222)
        connected.append(Client(account.jid, account.password, server, CA, **options))
        return await connected[-1].login()

    async def log_out() -> None:
        await asyncio.gather(*(client.logout() for client in connected), return_exceptions=True)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    yield log_in
    LOOP.run_until_complete(log_out())


def member(name: str):
    @pytest.fixture(scope="module", name=name)
    def client(connect, accounts) -> Client:
        return LOOP.run_until_complete(connect(accounts[name]))

    return client


alice, bob, eve, carol = (member(name) for name in ("alice", "bob", "eve", "carol"))
