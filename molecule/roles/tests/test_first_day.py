# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first day, by the book: each command line of docs/first-day.md, then those of README.md, as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from documents import TOP, blocks, commands
from hosts import PLAIN, STATE, Host

sys.path.insert(0, str(TOP / "molecule/roles"))

from commands import HOST, HOW, PLAYBOOK  # noqa: E402

ADDRESS = "198.51.100.10"
BOOK = TOP / "docs/first-day.md"
GALAXY = "ansible-galaxy collection install magicbroccoli.xmpp"
SITE = f"{PLAYBOOK}.site"
SSH = """\
Host host.example.org 198.51.100.10
    HostName 198.51.100.10
    IdentityFile {state}/id_ed25519
    UserKnownHostsFile {state}/known_hosts
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """The operator's own computer: a home, and an ssh that finds names which no DNS has."""
    desk = tmp_path_factory.mktemp("desk")
    (desk / "bin").mkdir()
    (desk / "ssh_config").write_text(SSH.format(state=STATE))
    (desk / "bin/ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {desk}/ssh_config "$@"\n')
    (desk / "bin/ssh").chmod(0o755)
    return desk


def run(command: str, desk: Path, host: Host, more: str = "") -> str:
    how, begun = HOW[command], time.monotonic()
    if how.where == HOST:
        done = host.run(f"{command} 2>&1")
        code, said = done.rc, done.stdout
    else:
        # Neither the registry nor what it would bring is in the lab.
        line = f"{command} {more}".replace(GALAXY, f"{GALAXY.rpartition(' ')[0]} --no-deps {TOP}")
        environment = PLAIN | {
            "HOME": str(desk),
            "PATH": f"{desk}/bin:{TOP}/.venv/bin:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": f"{desk}/.ansible/collections",
        }
        if command != GALAXY:
            environment["ANSIBLE_COLLECTIONS_PATH"] += f":{TOP}/.venv/collections"
        process = subprocess.run(
            ["bash", "-c", line],
            cwd=desk,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        code, said = process.returncode, process.stdout.decode()
    print(f"{time.monotonic() - begun:.0f} s, {code}: {command}")
    assert code in how.ends, said[-4000:]
    # Ansible breaks long lines.
    texts = (said, " ".join(said.split()))
    missed = [pattern for pattern in how.says if not more and not any(re.search(pattern, text, re.M) for text in texts)]
    assert missed == [], said[-4000:]
    return said


def test_first_day(desk):
    host = Host(ADDRESS)
    # As a host on the internet has; what is sent there goes nowhere.
    host.out("ip route replace default via 198.51.100.1 && ip route replace default via 2001:db8:100::1")
    (inventory,) = [text for text in blocks(BOOK) if text.startswith("all:")]
    told: dict[str, str] = {}
    for command in commands(BOOK):
        told[command] = run(command, desk, host)
        if command.startswith("cp "):
            (desk / "inventory/hosts.yml").write_text(inventory)
            # apt fetches by the lab's cache.
            egress = {
                "firewall_egress_extra": [{"name": "lab_cache", "users": ["_apt"], "protocol": "tcp", "ports": [13142]}]
            }
            (desk / "inventory/lab.yml").write_text(json.dumps({"all": {"vars": egress}}))
    for command in commands(TOP / "README.md"):
        if command in HOW and command not in told:
            run(command, desk, host)
    # Another provider replaces the certificate, though there is one with all names.
    pem = "/etc/ssl/xmpp/example.org/fullchain.pem"
    assert "Private authority" not in host.out(f"openssl x509 -noout -issuer -in {pem}")
    said = run(SITE, desk, host, "--extra-vars xmpp_certificate_provider=private_ca")
    assert "certificate: " not in said
    assert "Private authority" in host.out(f"openssl x509 -noout -issuer -in {pem}")
    # The pages behind the links are there, and the friend's message arrives.
    for command in ("xmpp-invite admin@example.org", "xmpp-invite example.org"):
        link = told[command].splitlines()[-1]
        fetch = ["curl", "--silent", "--insecure", "--fail", "--resolve", f"example.org:443:{ADDRESS}", link]
        page = subprocess.run(fetch, capture_output=True, text=True, check=False)
        assert page.returncode == 0 and "example.org" in page.stdout
    accounts = {f"{who}@example.org": "correct horse battery" for who in ("juliet", "romeo")}
    for jid, password in accounts.items():
        host.out(f"prosodyctl adduser {jid}", stdin=f"{password}\n{password}\n")
    (desk / "accounts.json").write_text(json.dumps(accounts))
    authority = desk / "inventory/.private_ca/ca.pem"
    send = [TOP / "tests/lab/send_message.py", "--address", ADDRESS, "--ca", authority]
    done = subprocess.run(
        [sys.executable, *send, "--accounts", desk / "accounts.json"], capture_output=True, text=True, check=False
    )
    print(done.stdout + done.stderr)
    assert done.returncode == 0 and "romeo@example.org has received" in done.stdout
