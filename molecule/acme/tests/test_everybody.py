# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""While certificates are renewed and the key is rolled, everybody else notices nothing."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time

import pytest
from conftest import DOMAIN, PORTS, play, playbook, records, renew, served, served_keys

RESULT = "/run/everybody.json"
DAEMONS = "systemctl show -p MainPID prosody nginx named"
FILES = ["fullchain-rsa.pem", "fullchain.pem", "privkey-rsa.pem", "privkey.pem"]
ROLL = "/var/lib/xmpp-certificate/roll"


class Everybody:
    """The program that asks the host each second, until it is stopped; see there."""

    def __init__(self, authority):
        self.authority = authority

    def start(self) -> None:
        self.authority.out(
            f"rm -f {RESULT}; systemd-run --quiet --unit everybody --setenv SSL_CERT_FILE=/etc/ssl/everybody.pem"
            f" -p KillMode=mixed -p StandardOutput=truncate:{RESULT} -p StandardError=journal python3 /usr/local/lib/world/peers.py;"
            " for n in $(seq 100); do journalctl -q -o cat -u everybody -n 3 | grep -q READY && exit; sleep 0.2; done;"
            " journalctl -q -o cat -u everybody -n 30; exit 1"
        )

    def stop(self) -> dict:
        self.authority.out("systemctl stop everybody")
        result = json.loads(self.authority.out(f"cat {RESULT}"))
        handshakes = ", ".join(
            f"{count} (and {result['rsa'].get(port, 0)} by RSA) at port {port}"
            for port, count in result["handshakes"].items()
        )
        print(
            f"handshakes: {handshakes}; their keys compared with {result['sets']} sets of TLSA records; "
            f"{result['messages']} messages between servers, on {result['streams']} streams authenticated by DANE; "
            f"idle client: {result['idle']}; failures: {len(result['failures'])}"
        )
        return result


@pytest.fixture(scope="module")
def everybody(maple, authority, validating):
    password = shlex.quote("a password")
    maple.out(f"for name in juliet nurse; do prosodyctl register $name {DOMAIN} {password}; done")
    authority.out(
        "(cat /etc/ssl/peer/peer.test/fullchain.pem; curl -sk https://localhost:15000/roots/0) > /etc/ssl/everybody.pem;"
        " systemctl disable --now --quiet prosody; systemctl restart peer@dane;"
        " for n in $(seq 150); do ss -Hlnt src 198.51.100.81:5269 | grep -q . && break; sleep 0.2; done;"
        f" prosodyctl --config /etc/peer/dane.cfg.lua register romeo peer.test {password} 2>&1"
    )
    made = Everybody(authority)
    made.start()
    yield made
    authority.run("systemctl stop everybody")
    authority.out("systemctl stop peer@dane")


@pytest.fixture(scope="module")
def before(maple, authority, everybody):
    """The keys, what serves them, and since when."""
    return {"daemons": maple.out(DAEMONS), "pins": records(authority), "begin": time.monotonic()}


def pins(maple) -> list[str]:
    """The digests of the keys on disk."""
    return sorted(
        maple.out(
            f"for file in /etc/ssl/xmpp/{DOMAIN}/fullchain*.pem; do openssl x509 -in $file -noout -pubkey |"
            " openssl pkey -pubin -outform DER | sha256sum | cut -d ' ' -f 1; done"
        ).split()
    )


def phase(maple) -> str:
    return json.loads(maple.out("xmpp-certificate --roll status"))["step"]


def test_two_renewals(maple, authority, before):
    for _ in range(2):
        was = served(authority)
        assert renew(maple).rc == 0
        assert not set(served(authority).values()) & set(was.values())
    assert records(authority) == before["pins"] and len(before["pins"]) == 2


def test_a_roll_that_may_not_wait(maple, authority, before):
    """It says when to run it again, and both keys have their records."""
    ended, output = play("roll_keys", "certificates_roll_wait=false")
    assert ended == 0, output[-3000:]
    assert "This can be interrupted, and goes on when it is run again." in output
    assert set(before["pins"]) < set(records(authority)) and len(records(authority)) == 4
    assert phase(maple) == "publish"
    assert maple.out(f"stat -c '%U %a' {ROLL} {ROLL}/*").split("\n") == ["root 700", *["root 600"] * 3]
    assert pins(maple) == before["pins"]


def test_a_roll_that_the_authority_refuses(maple, authority, before):
    ended, output = play("roll_keys", "certificates_acme_directory=https://authority.test:14001/dir")
    assert ended != 0
    assert "The roll of the key stands still: https://authority.test:14001/dir issued none: " in output
    assert "forbidden by policy" in output
    assert phase(maple) == "publish" and pins(maple) == before["pins"] == served_keys(authority)


def test_a_roll_that_is_killed(maple, authority, before):
    """After the switch, while it waits."""
    process = playbook("roll_keys")
    for line in process.stdout:
        if "The next key and its certificate are served by" in line:
            os.killpg(process.pid, signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL
    assert phase(maple) == "switched"
    following = pins(maple)
    assert records(authority) == sorted(before["pins"] + following) and not set(following) & set(before["pins"])
    assert served_keys(authority) == following


def test_the_site_playbook_and_a_renewal_in_the_middle(maple, authority, before):
    ended, output = play("site")
    assert ended == 0, output[-3000:]
    assert renew(maple).rc == 0
    assert set(before["pins"]) < set(records(authority)) and len(records(authority)) == 4
    assert phase(maple) == "switched"


def test_the_roll_goes_on(maple, authority, before):
    ended, output = play("roll_keys")
    assert ended == 0, output[-3000:]
    assert "The key is rolled." in output
    assert records(authority) == pins(maple) == served_keys(authority) != before["pins"]
    assert phase(maple) == "done"
    assert maple.run(f"ls {ROLL}").rc != 0
    assert maple.out(f"LC_ALL=C ls -A /etc/ssl/xmpp/{DOMAIN}").split() == FILES
    assert maple.out(f"find /etc/ssl/xmpp/{DOMAIN} -type l") == ""


def test_nobody_noticed(maple, everybody, before):
    # The idle client, which came before, counts whole seconds, too.
    seconds = int(time.monotonic() - before["begin"])
    result = everybody.stop()
    assert result["failures"] == []
    assert set(result["handshakes"]) == {str(port) for port in PORTS}
    # Two cores for everything: not each second had its probe, and how many had is no matter of the host's.
    assert all(count > seconds / 6 for kind in ("handshakes", "rsa") for count in result[kind].values())
    assert set(result["rsa"]) == set(result["handshakes"])
    # Sets with and without the other key were there at the same time.
    assert result["sets"] > 2 * sum(result["handshakes"].values())
    assert result["messages"] > 20 and result["streams"] > 20
    assert result["idle"]["seconds"] >= seconds and result["idle"]["stream"]
    assert maple.out(DAEMONS) == before["daemons"]


def test_a_careless_change_is_noticed(maple, authority, everybody):
    """The control: the key changes before its records do."""
    folder = f"/etc/ssl/xmpp/{DOMAIN}"
    everybody.start()
    maple.out(
        f"cp -a {folder} /run/saved; rm {folder}/privkey.pem; xmpp-certificate --prepare; run-parts /etc/xmpp/deploy.d"
    )
    expected = [*(f" port {port}: " for port in PORTS), " message: "]
    seen = " && ".join(f"echo \"$said\" | grep -q '{what}'" for what in expected)
    try:
        authority.out(
            f"for n in $(seq 300); do said=$(journalctl -q -o cat -u everybody); {seen} && exit; sleep 0.2; done; exit 1"
        )
    finally:
        maple.out(f"cp -a /run/saved/* {folder}/; rm -r /run/saved; run-parts /etc/xmpp/deploy.d")
    failures = everybody.stop()["failures"]
    print("\n".join(failures[:3] + failures[-2:]))
    for what in expected:
        assert any(what in failure for failure in failures)


def test_a_kind_of_key_goes_and_comes(maple, authority, everybody):
    """By rolls, under everybody's eyes; the site playbook between them configures the daemons, which restarts Prosody."""
    folder, one, two = f"/etc/ssl/xmpp/{DOMAIN}", '{"xmpp_key_types": ["ecdsa-p256"]}', "{}"
    ecdsa, serials = served(authority, "-pubkey"), served(authority)
    first = records(authority)

    def roll(variables: str) -> dict:
        everybody.start()
        ended, output = play("roll_keys", variables)
        result = everybody.stop()
        assert ended == 0 and "The key is rolled." in output, output[-3000:]
        assert result["failures"] == []
        return result

    assert roll(one)["rsa"]
    (remaining,) = records(authority)
    assert remaining in first and served_keys(authority) == [remaining]
    assert set(served(authority, kind="RSA").values()) == {""}
    # The one that stays is not even ordered again.
    assert served(authority) == serials
    ended, output = play("site", one)
    assert ended == 0, output[-3000:]
    assert served_keys(authority) == [remaining]

    maple.out(f"rm {folder}/*-rsa.pem")
    ended, output = play("site", two)
    assert ended == 0, output[-3000:]
    assert (
        "keys are ECDSA, and certificates_key_types is ecdsa-p256 and rsa-3072. Run playbooks/roll_keys.yml" in output
    )
    assert served_keys(authority) == records(authority) == [remaining]
    assert renew(maple).rc == 0

    assert set(roll(two)["rsa"]) == {str(port) for port in PORTS}
    assert remaining in records(authority) == served_keys(authority) == pins(maple)
    assert len(pins(maple)) == 2 and served(authority, "-pubkey") == ecdsa
    assert maple.out(f"LC_ALL=C ls -A {folder}").split() == FILES
    assert maple.out(f"find {folder} -type l") == ""
