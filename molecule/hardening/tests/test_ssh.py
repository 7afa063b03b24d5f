# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which key exchanges the ssh server takes, and that no configuration of it shuts out for good who brought it."""

from __future__ import annotations

import subprocess
import threading
import time

import pytest
from conftest import NAMES, SCENARIO
from hosts import STATE, apply

FILE = "/etc/ssh/sshd_config.d/00-hardening.conf"
OLD = "curve25519-sha256"
QUANTUM = "sntrup761x25519-sha512@openssh.com"
# A run whose client knows no other.
OLD_CLIENT = f"--ssh-extra-args=-o KexAlgorithms={OLD}"


@pytest.fixture
def run(release):
    """Run the role, and in the end as the inventory has it."""

    def role(*arguments: str, **variables: object) -> subprocess.CompletedProcess:
        done = apply(["hardening"], NAMES[release], *arguments, inventory=SCENARIO / "inventory", **variables)
        print(done.stdout[-3000:], done.stderr)
        return done

    yield role
    assert role().returncode == 0


def login(host, exchange: str) -> str:
    """Log in by a connection of its own; returns what the client says, and nothing when it is let in."""
    options = ("ControlPath=none", "BatchMode=yes", f"UserKnownHostsFile={STATE / 'known_hosts'}")
    words = [word for option in (*options, f"KexAlgorithms={exchange}") for word in ("-o", option)]
    line = ["ssh", *words, "-i", str(STATE / "id_ed25519"), f"root@{host.address}", "true"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.stderr if done.returncode else ""


def let_in(host, *exchanges: str) -> None:
    """Of these two, no others than the named ones let somebody in."""
    for exchange in (OLD, QUANTUM):
        said = login(host, exchange)
        assert ("no matching key exchange method found" in said) == (exchange not in exchanges), (exchange, said)
        assert bool(said) == (exchange not in exchanges), (exchange, said)


def test_old_clients_come_in_where_they_are_asked_for(host, run):
    let_in(host, QUANTUM)
    assert run(hardening_ssh_key_exchanges_extra=[OLD]).returncode == 0
    let_in(host, OLD, QUANTUM)
    # An operator with such a client goes on with it.
    again = run(OLD_CLIENT, hardening_ssh_key_exchanges_extra=[OLD])
    assert (again.returncode, "changed=0 " in again.stdout) == (0, True)
    assert run().returncode == 0
    let_in(host, QUANTUM)


def test_what_is_no_key_exchange_is_refused(host, run):
    before = host.out(f"cat {FILE}")
    for wrong in ("diffie-hellman-group1-sha1", "curve25519"):
        done = run(hardening_ssh_key_exchanges_extra=[wrong])
        assert done.returncode != 0
        for words in ("hardening_ssh_key_exchanges_extra", wrong, OLD):
            assert words in done.stdout + done.stderr
    assert host.out(f"cat {FILE}") == before


def test_check_mode_begins_no_trial(host, run):
    before = host.out(f"cat {FILE}")
    done = run("--check", hardening_ssh_key_exchanges_extra=[OLD])
    assert (done.returncode, "changed=1 " in done.stdout) == (0, True)
    assert host.out(f"cat {FILE}") == before
    let_in(host, QUANTUM)


@pytest.mark.parametrize("former", ["a file", "none"])
def test_a_configuration_that_shuts_out_its_operator_does_not_stay(host, run, former):
    if former == "none":
        host.out(f"sh -c 'rm {FILE}; systemctl reload ssh.service'")
    else:
        assert run(hardening_ssh_key_exchanges_extra=[OLD]).returncode == 0
    look = f"sh -c 'cat {FILE} 2>/dev/null || echo none'"
    before = host.out(look)
    since = host.out("date +%s")

    def said() -> str:
        return host.out(f"journalctl -q -o cat -t sshd-trial --since @{since}")

    done = []
    thread = threading.Thread(target=lambda: done.append(run(OLD_CLIENT, hardening_ssh_rollback_seconds=15)))
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while "sshd has its new configuration" not in said() and time.monotonic() < deadline:
            time.sleep(0.2)
        # The trial is for sshd alone: a host that boots now does so with the former file.
        let_in(host, QUANTUM)
        assert host.out(look) == before
    finally:
        thread.join()
    text = done[0].stdout + done[0].stderr
    assert done[0].returncode != 0
    for words in ("hardening_ssh_key_exchanges_extra", "no matching key exchange method found", "-t sshd-trial"):
        assert words in text
    let_in(host, OLD, QUANTUM)
    assert host.out(look) == before
    assert "the new configuration was not kept in time; the former one is back" in said()
    # And on it goes.
    assert "changed=2 " in run().stdout
    let_in(host, QUANTUM)
