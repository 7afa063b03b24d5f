# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host, whose windows the tests open and shut, and a client that stays connected."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hosts import CA, TOP, Host

SCENARIO = TOP / "molecule/updates"
INVENTORY = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]
((NAME, VALUES),) = INVENTORY["hosts"].items()
DOMAIN, ADDRESS = VALUES["xmpp_domain"], VALUES["ansible_host"]
CONFIG, STATE = "/etc/xmpp/updates.json", "/var/lib/xmpp-updates/state.json"
ALARMS = "/var/lib/alarms"


class Machine(Host):
    """The host under test."""

    def lab(self, *words: str) -> str:
        done = subprocess.run([str(TOP / "tests/lab/lab"), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    @property
    def container(self) -> str:
        return f"{os.environ['MOLECULE_SCENARIO_NAME']}-{NAME}"

    def running(self) -> bool:
        return self.lab("podman", "inspect", "-f", "{{.State.Running}}", self.container) == "true"

    def wait(self, seconds: float, condition, what: str):
        """Wait until something holds, and say for how long that was."""
        begin = time.monotonic()
        while not (found := condition()):
            assert time.monotonic() < begin + seconds, f"not within {seconds} s: {what}"
            time.sleep(1)
        print(f"{what}: after {time.monotonic() - begin:.0f} s")
        return found

    def well(self) -> None:
        """Wait until the self-test finds nothing that fails."""
        found = self.run("xmpp-status --wait 300 --json")
        failing = [check for check in json.loads(found.stdout) if check["level"] == "fails"]
        assert not failing, f"{failing}\n{self.out('journalctl -q -n 60 -o short-precise')}"

    def windows(self, *, opened: bool, **more) -> None:
        """Let the windows be open now, or open in three hours."""
        now = int(self.out("date +%s"))
        begin, end = (now - 600, now + 3600) if opened else (now + 3 * 3600, now + 4 * 3600)
        times = [self.out(f"date -d @{moment} +%H:%M") for moment in (begin, end)]
        config = json.loads(self.out(f"cat {CONFIG}"))
        config |= {"auto": False, "windows": [{"days": list(range(7)), "start": times[0], "end": times[1]}], **more}
        self.out(f"cat > {CONFIG}", stdin=json.dumps(config))

    def state(self, path: str = STATE) -> dict:
        return json.loads(self.out(f"cat {path}"))

    def updates(self) -> str:
        """What the timer does, and what it says."""
        since = self.out("date '+%Y-%m-%d %H:%M:%S.%N'")
        # systemd takes many starts in a row for a fault.
        self.out("systemctl reset-failed xmpp-updates.service; systemctl start xmpp-updates.service")
        said = self.out(f"journalctl -q -o cat -u xmpp-updates.service --since '{since}' _COMM=xmpp-updates")
        print(f"xmpp-updates: {said or 'nothing'}")
        return said

    def alarms(self) -> list[str]:
        """What the operator was told since it was last asked."""
        said = self.out(f"cat {ALARMS} 2>/dev/null; rm -f {ALARMS}").splitlines()
        print("alarms:", *said, sep="\n  ")
        return said

    def started(self, unit: str) -> str:
        return self.out(f"systemctl show --property ExecMainStartTimestampMonotonic --value {unit}")


@pytest.fixture(scope="session")
def host() -> Iterator[Machine]:
    """With timers that never fire, until the next boot, and with an operator who is told by a file."""
    machine = Machine(ADDRESS)
    for unit in ("xmpp-updates", "xmpp-status"):
        folder = f"/run/systemd/system/{unit}.timer.d"
        machine.out(
            f"mkdir -p {folder}; printf '[Timer]\\nOnBootSec=\\nOnCalendar=\\nOnCalendar=2099-01-01\\n' > {folder}/test.conf"
        )
    # The recorder below writes a file, which the sandboxes of who tells do not let it.
    for unit in ("xmpp-status.service", "xmpp-alarm@.service"):
        folder = f"/run/systemd/system/{unit}.d"
        machine.out(f"mkdir -p {folder}; printf '[Service]\\nReadWritePaths=/var/lib\\n' > {folder}/test.conf")
    machine.out("systemctl daemon-reload; systemctl restart xmpp-updates.timer xmpp-status.timer")
    machine.wait(
        300,
        lambda: (
            set(machine.run("systemctl is-active xmpp-updates xmpp-status").stdout.split()) <= {"inactive", "failed"}
        ),
        "what runs is over",
    )
    machine.out(
        "cat > /usr/local/sbin/xmpp-alarm && chmod 755 /usr/local/sbin/xmpp-alarm",
        stdin=f'#!/bin/sh\n{{ echo "SUBJECT $*"; cat; }} >>{ALARMS}\n',
    )
    machine.alarms()
    yield machine


class Listener:
    """Somebody who is connected, in a process of their own."""

    def __init__(self, jid: str, password: str, log: Path):
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("listener.py")), jid, ADDRESS, str(CA)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.process.stdin.write(password.encode())
        self.process.stdin.close()

    def saw(self, event: str) -> list[dict]:
        """What happened so far, of one kind."""
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [item for item in found if item["event"] == event]


@pytest.fixture
def client(host: Machine, tmp_path: Path) -> Iterator[Listener]:
    jid, password = f"squirrel-{secrets.token_hex(3)}@{DOMAIN}", secrets.token_urlsafe(18)
    host.out(f"prosodyctl adduser {jid}", stdin=f"{password}\n" * 2)
    listener = Listener(jid, password, tmp_path / "listener")
    try:
        host.wait(120, lambda: listener.saw("online"), "the client is online")
        yield listener
    finally:
        listener.process.kill()
        listener.process.wait()
