# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that has lost its keys and its account, or everything, gets them back from a backup, and goes on with them."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import subprocess

import pytest
from clients import Client
from conftest import DOMAIN, HOSTNAME, INVENTORY, NAMES, play, records, renew, served, served_keys
from hosts import TOP, apply, lose


def known(maple, authority):
    """What the world knows of the host: its account in CAA records, the keys of its zone and of its certificate."""
    caa = authority.out(f"dig +short +norec @198.51.100.80 {DOMAIN} CAA | sort")
    tlsa = authority.out(f"dig +short +norec @198.51.100.80 _5222._tcp.{HOSTNAME} TLSA | sort")
    accounts = [
        account["uri"] for account in json.loads(maple.out("cat /var/lib/xmpp-certificate/accounts.json"))["accounts"]
    ]
    return caa, tlsa, maple.out(f"bind-ds-records {DOMAIN}"), accounts


def test_account_and_keys_come_back(maple, authority, tmp_path):
    (tmp_path / "secret").write_text("of no use elsewhere\n")
    given = [f"xmpp_key_backup={tmp_path / 'backup'}"]
    vault = ["--vault-password-file", str(tmp_path / "secret")]
    ended, output = play("backup_keys", *given, options=vault)
    assert ended == 0, output[-3000:]
    ended, output = play("site")
    assert ended == 0, output[-3000:]
    before = known(maple, authority)
    assert "accounturi=" in before[0] and len(before[3]) == 1

    maple.out(
        "systemctl stop named prosody nginx coturn"
        " && rm -rf /etc/letsencrypt /var/lib/xmpp-certificate /etc/ssl/xmpp /var/lib/bind/*"
    )
    ended, output = play("site", *given, options=vault)
    assert ended == 0, output[-3000:]
    print(known(maple, authority))
    assert known(maple, authority) == before
    # The authority knows the account, and the CAA records allow it.
    serials = set(served(authority).values())
    assert renew(maple).rc == 0
    assert not set(served(authority).values()) & serials


PAIR = f"/etc/ssl/xmpp/{DOMAIN}"
# On a disk that outlives the machine.
BACKUP = {"backup_repositories": ["/srv/backup"], "backup_passphrase": "of-no-use-elsewhere-than-in-the-lab"}
# The RSA certificate becomes one of last year, which the program still knows for the authority's.
EXPIRE = f"""
digest() {{ sha256sum {PAIR}/fullchain-rsa.pem | cut -c -64; }}
before=$(digest)
openssl req -new -x509 -key {PAIR}/privkey-rsa.pem -subj / -addext subjectAltName={",".join(f"DNS:{name}" for name in NAMES)} \
    -not_before 20250101000000Z -not_after 20250401000000Z -out {PAIR}/fullchain-rsa.pem
sed -i "s/$before/$(digest)/" /var/lib/xmpp-certificate/state.json
"""


def kept(maple) -> str:
    """Whose the account, the keys and their state are, who may read them, and what is in those that stay."""
    places = f"/etc/letsencrypt/accounts {PAIR} /var/lib/xmpp-certificate /var/lib/bind/keys"
    stays = "-type f ! -name 'fullchain*' ! -name state.json ! -name '*.state'"
    return maple.out(f"find {places} -printf '%M %u %g %p\\n' {stays} -exec sha256sum {{}} + | sort")


def asked(authority) -> dict[str, int]:
    """How often the authority was asked for an account, and for a certificate."""
    log = authority.out("journalctl -q -o cat -u pebble@authority")
    return {path: log.count(f"POST /{path} ") for path in ("sign-me-up", "order-plz")}


async def log_in(maple, password: str, ca) -> None:
    client = Client(f"mercutio@{DOMAIN}", password, (maple.address, 5222), ca)
    await (await client.login()).logout()


@pytest.mark.usefixtures("validating")
def test_a_blank_host_is_the_old_one(maple, authority, tmp_path):
    """The keys were being rolled when it was lost, and one of the two certificates has expired meanwhile."""
    password = secrets.token_urlsafe(18)
    maple.out(f"prosodyctl register mercutio {DOMAIN} {password}")
    maple.out("xmpp-certificate --roll begin")
    done = apply(["bind", "backup"], HOSTNAME, inventory=INVENTORY, **BACKUP)
    assert done.returncode == 0, done.stdout[-3000:]
    before = known(maple, authority)
    keys, serials, requests = served_keys(authority), served(authority), asked(authority)
    maple.out(EXPIRE)
    files = kept(maple)
    maple.out("systemctl start xmpp-backup.service")

    lab, container = TOP / "tests/lab/lab", f"acme-{HOSTNAME}"
    subprocess.run([lab, "podman", "cp", f"{container}:/srv/backup", tmp_path], check=True)
    lose(maple, HOSTNAME, "trixie", authority.address)
    subprocess.run([lab, "podman", "cp", tmp_path / "backup", f"{container}:/srv/"], check=True)
    ended, output = play("restore", json.dumps(BACKUP))
    assert ended == 0, output[-3000:]
    print(re.findall(r"is back \d+ seconds", output))

    assert known(maple, authority) == before and kept(maple) == files
    assert served_keys(authority) == keys and served(authority) == serials
    assert set(keys) < set(records(authority)) and len(records(authority)) == 4
    # By the account that it had, and for the expired one alone.
    print(requests, asked(authority))
    assert asked(authority) == {**requests, "order-plz": requests["order-plz"] + 1}
    assert set(served(authority, "-checkend 0", "RSA").values()) == {"Certificate will not expire"}
    (tmp_path / "ca.pem").write_text(authority.out("curl -sk https://localhost:15000/roots/0") + "\n")
    asyncio.run(log_in(maple, password, tmp_path / "ca.pem"))
    assert renew(maple).rc == 0
    assert not set(served(authority).values()) & set(serials.values())
