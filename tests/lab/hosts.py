# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's hosts, and Ansible as their operator runs it, for the tests of all scenarios."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import testinfra

TOP = Path(__file__).resolve().parents[2]
LAB = TOP / "tests/lab/lab"
# bin/test has set it.
if "LAB_STATE" not in os.environ:
    os.environ["LAB_STATE"] = subprocess.check_output([LAB, "state"], text=True).strip()
STATE = Path(os.environ["LAB_STATE"])
CA = STATE / "ca/ca.pem"
CONTROL = os.environ.get("ANSIBLE_SSH_CONTROL_PATH_DIR", str(Path.home() / ".ansible/cp"))
Path(CONTROL).mkdir(parents=True, exist_ok=True)


class Host:
    """A host of the lab, by ssh."""

    def __init__(self, address: str, known_as: str = ""):
        """At this address, IPv4 or IPv6; its key is known by the address that the lab gave it, or by another one."""
        self.address = address
        # testinfra leaves the templates of an inventory as they are, so it cannot find the lab's key there.
        self.testinfra = testinfra.get_host(
            f"ssh://root@{f'[{address}]' if ':' in address else address}",
            ssh_identity_file=str(STATE / "id_ed25519"),
            # A host that is made anew is not waited for by the connection to the former one.
            ssh_extra_args=f"-o UserKnownHostsFile={STATE / 'known_hosts'} -o HostKeyAlias={known_as or address}"
            " -o ServerAliveInterval=2 -o ServerAliveCountMax=3",
            controlpath=f"{CONTROL}/test-{address}",
            controlpersist=300,
        )

    def run(self, command: str, *, stdin: str | None = None):
        """Run a shell command; the result has rc, stdout and stderr."""
        if stdin is not None:
            command = f"printf %s {shlex.quote(stdin)} | {command}"
        return self.testinfra.run(command)

    def out(self, command: str, *, stdin: str | None = None) -> str:
        """Run a shell command that has to succeed, and return what it prints."""
        result = self.run(command, stdin=stdin)
        assert result.rc == 0, f"{command}\nended with {result.rc}:\n{result.stdout}{result.stderr}"
        return result.stdout.strip()

    def unmount(self, places: str) -> None:
        """Unmount what a test has mounted, while systemd starts nothing: the unit would fail at the mounts of its sandbox."""
        still = 'until [ -z "$(systemctl list-jobs --no-legend)" ]; do sleep 0.1; done'
        self.out(f"timeout 300 bash -c '{still}' && umount --lazy {places}")


class Journal:
    """What a host's journal takes in from now on.

    Entries are chosen here: journalctl of Debian 12, asked for those of a unit after a cursor, leaves out the first one.
    """

    def __init__(self, host: Host):
        self.host = host
        self.begin = self._mark()

    def _mark(self) -> str:
        """Return the last entry's cursor, when all that was sent before is in the journal.

        An entry of our own would do the same, but on a host where ssh's sessions are in ssh.service, its limit, which a
        test may have reached, drops that.
        """
        return json.loads(self.host.out("journalctl --sync && journalctl --quiet --lines=1 --output=json"))["__CURSOR"]

    def _read(self, output: str) -> str:
        return f"journalctl --quiet --no-pager --all --output={output} --after-cursor={shlex.quote(self.begin)}"

    def entries(self, unit: str = "", identifier: str = "") -> list[dict]:
        """The entries until now, of a unit or of an identifier, with their messages as text."""
        end = self._mark()
        found = []
        if end == self.begin:
            return found
        for line in self.host.out(self._read("json")).splitlines():
            entry = json.loads(line)
            # Journald has a message that is not printable as a list of bytes.
            if not isinstance(entry.get("MESSAGE", ""), str):
                entry["MESSAGE"] = bytes(entry["MESSAGE"] or []).decode(errors="replace")
            if unit in ("", entry.get("_SYSTEMD_UNIT")) and identifier in ("", entry.get("SYSLOG_IDENTIFIER")):
                found.append(entry)
            if entry["__CURSOR"] == end:
                break
        return found

    def text(self, unit: str = "", identifier: str = "") -> str:
        """Their messages, line by line."""
        return "\n".join(entry.get("MESSAGE", "") for entry in self.entries(unit, identifier))

    def size(self) -> int:
        """How many bytes were written until now, with all fields."""
        self._mark()
        return int(self.host.out(f"{self._read('export')} | wc -c"))


def until(condition: Callable[[], object], seconds: float = 60) -> float:
    """Wait until something holds, and return how long that took."""
    begin = asked = time.monotonic()
    while not condition():
        now = time.monotonic()
        waited = now - begin
        assert waited < seconds, f"not within {seconds} s"
        # A question may be a program on the host: what is waited for does not get slower by being asked for.
        time.sleep(max(min(0.5, max(0.05, waited / 10)), min(5, now - asked)))
        asked = time.monotonic()
    return time.monotonic() - begin


def lose(host: Host, name: str, release: str, dns: str, image: str = "bare") -> None:
    """The machine is gone, and a blank one has its address: bare, or with packages `installed`, which is quicker.

    Where a folder that a package brings is put back from a backup, it has to be bare: overlayfs does not rename one of an
    image.
    """
    container = f"{os.environ['MOLECULE_SCENARIO_NAME']}-{name}"
    environment = {**os.environ, "LAB_DNS": dns, "LAB_HOSTNAME": name}
    subprocess.run([LAB, "down", container], check=True)
    subprocess.run([LAB, "up", container, host.address, release, image], check=True, env=environment)
    left = "ls -d /etc/ssl/xmpp /etc/xmpp /var/lib/xmpp-backup /var/lib/prosody/* /srv/* 2>/dev/null"
    assert host.run(left).stdout == ""


# molecule has Ansible write in colours.
PLAIN = {**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"}


def command(program: str, *arguments: str, inventory: Path) -> list[str]:
    """One of Ansible's programs with this inventory, and how the lab's hosts are reached."""
    inventories = (inventory, TOP / "molecule/shared/inventory")
    return [program, *(f"--inventory={path}" for path in inventories), *arguments]


def ansible(program: str, *arguments: str, inventory: Path) -> subprocess.CompletedProcess:
    """Run one of Ansible's programs as the operator does."""
    line = command(program, *arguments, inventory=inventory)
    return subprocess.run(line, cwd=TOP, env=PLAIN, capture_output=True, text=True, check=False)


def apply(
    names: list[str], host: str, *arguments: str, inventory: Path, **variables: object
) -> subprocess.CompletedProcess:
    """Have roles of the collection on a host, with other variables, as a playbook of the operator's own has them."""
    play = {"hosts": host, "gather_facts": False, "roles": [f"magicbroccoli.xmpp.{name}" for name in names]}
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as playbook:
        json.dump([play], playbook)
        playbook.flush()
        given = ("--extra-vars", json.dumps(variables), *arguments)
        return ansible("ansible-playbook", playbook.name, *given, inventory=inventory)
