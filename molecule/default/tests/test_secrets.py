# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret of the inventory is in what a run prints, whatever it is asked to print."""

from __future__ import annotations

import base64
import json
import re

import pytest
from conftest import HOSTNAME, INVENTORY
from hosts import apply

pytestmark = pytest.mark.any_release("what is printed is decided on the controller, by the values of the inventory")

MARK = "hunter2hunter2"


def marked(name: str) -> str:
    return f"{MARK}-{name}-{'x' * 20}"


# A value for every variable that may hold a secret, each with a mark of its own.
SECRETS = {
    "prosody_settings_extra": {
        "marked_token": marked("settings"),
        "marked_table": {"deep": [marked("deep")], "a key": f'quo"ted {marked("quoted")}'},
        "unbound": {"options": {"local-zone:": "test. transparent"}},
    },
    "prosody_host_settings_extra": {
        "broccoli.test": {"marked_host": marked("host")},
        "conference.broccoli.test": {"marked_component": marked("component")},
    },
    "prosody_registration_questions": [{"en": "What colour?", "answers": [marked("answer")]}],
    "xmpp_registration": "open",
    "xmpp_user_passwords": {"juliet@broccoli.test": marked("user")},
    "nginx_munin_password_hash": f"$6${MARK}$" + "a" * 86,
    "alarms_mail_relay": "mail.honest.test",
    "alarms_mail_to": ["hostmaster@honest.test"],
    "alarms_mail_user": "rosewood",
    "alarms_mail_password": marked("mail"),
    "backup_repositories": ["/srv/backup-of-a-test"],
    "backup_passphrase": marked("passphrase"),
    "backup_environment": {"RESTIC_REST_PASSWORD": marked("environment")},
    "backup_ssh_key": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{MARK}\n-----END OPENSSH PRIVATE KEY-----\n",
    "bind_transfer_secret": base64.b64encode(f"{MARK}-bind-one-xxxxxxxxxxxxx".encode()).decode(),
    "bind_transfer_keys": {"other": base64.b64encode(f"{MARK}-bind-two-xxxxxxxxxxxxx".encode()).decode()},
    "bind_secondaries": ["198.51.100.250", {"address": "198.51.100.251", "key": "other"}],
}


def leaks(said: str) -> list[str]:
    """The lines with a mark in them, plain or in Base64 at any offset."""
    parts = [MARK]
    for length in range(3):
        parts.append(base64.b64encode(b"x" * length + MARK.encode()).decode()[4:-4])
    return [line for line in said.splitlines() if any(part in line for part in parts)]


@pytest.fixture(scope="module")
def run(site, tmp_path_factory):
    """A run over a host that has a secret which the inventory has no longer."""
    former = {"marked_former": marked("former"), "unbound": SECRETS["prosody_settings_extra"]["unbound"]}
    # The secrets are in a file, as in a vault, and not on the command line.
    file = tmp_path_factory.mktemp("secrets") / "secrets.json"
    file.write_text(json.dumps(SECRETS))
    done = apply(["prosody"], HOSTNAME, inventory=INVENTORY, prosody_settings_extra=former)
    assert done.returncode == 0, done.stdout[-3000:]
    yield site("--check", "--diff", "-vvv", "--extra-vars", f"@{file}")
    done = apply(["prosody"], HOSTNAME, inventory=INVENTORY)
    assert done.returncode == 0, done.stdout[-3000:]


def test_no_secret_is_printed(run):
    """Neither in diffs nor with -vvv."""
    said = run.stdout + run.stderr
    found = leaks(said)
    print(f"{len(said)} characters of a run that ended with {run.returncode}; {len(found)} lines with a secret")
    print(*(line[:200] for line in found[:20]), sep="\n")
    assert run.returncode == 0, run.stdout[-3000:]
    changed = re.findall(r"^\+\+\+ after: (\S+)", said, re.MULTILINE)
    for path in (
        "/etc/prosody/prosody.cfg.lua",
        "/etc/bind/named.conf",
        "/etc/xmpp/backup.env",
        "/etc/xmpp/mail.remote",
    ):
        assert path in changed, changed
    assert found == []
    # What is no secret is still shown: both sides of the diff.
    assert re.search(r"^\+marked_token = ", said, re.MULTILINE)
    assert re.search(r"^-marked_former = ", said, re.MULTILINE)
