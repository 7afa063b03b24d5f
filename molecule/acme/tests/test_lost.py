# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that has lost its keys and its account gets them back from the operator's backup, and goes on with them."""

from __future__ import annotations

import json

from conftest import DOMAIN, HOSTNAME, play, renew, served


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
