# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wrong inventory stops before the host is touched, and says which variable is wrong and what would be right."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from conftest import HOSTNAME, INVENTORY

ON_THE_CONTROLLER = pytest.mark.any_release("a run that fails before the host is asked does not know its release")

CASES = {
    "window": (
        {"updates_windows": ["25:00-05:00"]},
        ["updates_windows: '25:00-05:00' is not a window", "02:00-05:00"],
    ),
    "address": (
        {"xmpp_addresses": ["198.51.100.999"]},
        ["xmpp_addresses: '198.51.100.999' is not an IP address", "198.51.100.10"],
    ),
    "a private address": (
        {"xmpp_addresses": ["198.51.100.20", "10.0.0.5"]},
        [
            "xmpp_addresses: '10.0.0.5' is private (RFC 1918)",
            "xmpp_addresses: ['198.51.100.10']",
            "xmpp_private_addresses: true",
        ],
    ),
    "quote": (
        {"xmpp_domain": 'bro"ccoli.test'},
        ["xmpp_domain: 'bro\"ccoli.test' is not a domain name", "'\"' is not allowed", "example.org"],
    ),
    "newline": (
        {"xmpp_domain": "broccoli.test\nallow_registration = true"},
        ["xmpp_domain: ", "is not a domain name", "example.org"],
    ),
    "choice": ({"xmpp_tls_policy": "lax"}, ["xmpp_tls_policy: ", "lax", "strict", "modern"]),
    "a domain twice": (
        {"xmpp_extra_domains": [{"domain": "broccoli.test", "components": {}}]},
        ["xmpp_extra_domains: ", "'broccoli.test' is used twice, as a domain, a component or a web front"],
    ),
    "a key that is too short": (
        {"bind_secondaries": ["198.51.100.91"], "bind_transfer_secret": "c2hvcnQ="},
        ["bind_transfer_secret: this secret has a length of 5, and HMAC-SHA256 needs 32 to 64 bytes"],
    ),
    "open without a question": (
        {"xmpp_registration": "open"},
        ["prosody_registration_questions: ", "open registration needs questions", "What colour is our logo?"],
    ),
    "a way out that is none": (
        {"firewall_egress_extra": [{"name": "game", "protocol": "tcp", "ports": [70000]}]},
        ["firewall_egress_extra: ", "game: ports: ", "70000"],
    ),
    "a key exchange that is broken": (
        {"hardening_ssh_key_exchanges_extra": ["diffie-hellman-group1-sha1"]},
        ["hardening_ssh_key_exchanges_extra: ", "diffie-hellman-group1-sha1", "curve25519-sha256"],
    ),
    "a challenge that cannot be met": (
        {"xmpp_certificate_provider": "acme", "xmpp_dns": "external", "xmpp_acme_challenge": "dns-01"},
        ["xmpp_acme_challenge: ", "'dns-01' needs a zone that this host writes to", "http-01"],
    ),
    "two at once": (
        {"xmpp_addresses": ["here"], "updates_windows": [""]},
        ["xmpp_addresses: 'here'", "updates_windows: "],
    ),
}


def asked(rosewood):
    """How many modules have run on the host: each leaves a line in its journal."""
    return int(rosewood.out("journalctl --quiet --output cat --grep '^Invoked with' | wc -l"))


def refusal(rosewood, run):
    """What is said by a run that fails before the host is touched."""
    before = asked(rosewood)
    result = run()
    print(result.stdout[-1500:])
    assert result.returncode != 0
    recap = re.search(rf"^{re.escape(HOSTNAME)} +: ok=(\d+) +changed=(\d+) .*failed=(\d+)", result.stdout, re.MULTILINE)
    assert recap.groups() == ("0", "0", "1")
    assert len(re.findall(r"^TASK \[", result.stdout, re.MULTILINE)) == 1
    assert asked(rosewood) == before
    return result.stdout + result.stderr


@ON_THE_CONTROLLER
@pytest.mark.parametrize("case", CASES)
def test_wrong_value(rosewood, site, case):
    variables, words = CASES[case]
    message = refusal(rosewood, lambda: site("--extra-vars", json.dumps(variables)))
    for word in words:
        assert word in message


def test_a_name_that_nobody_could_trust(rosewood, site):
    """Each role is right by itself, and the site is not: nothing changes."""
    names = {"certificates_names": ["broccoli.test", "upload.broccoli.test"]}
    before = rosewood.out("find /etc -newermt '-1 hour' -type f -printf '%p %T@\\n' | sort | sha256sum")
    result = site("--extra-vars", json.dumps(names))
    print(result.stdout[-1500:] + result.stderr)
    assert result.returncode != 0
    assert (
        "conference.kale.test is not in the certificate: add it to certificates_names" in result.stdout + result.stderr
    )
    assert re.search(rf"^{re.escape(HOSTNAME)} +: ok=\d+ +changed=0 ", result.stdout, re.MULTILINE)
    assert rosewood.out("find /etc -newermt '-1 hour' -type f -printf '%p %T@\\n' | sort | sha256sum") == before


def test_an_alias_beside_other_records(rosewood, site):
    """The zone needs what the host says of itself, so the host has been asked; nothing on it has changed."""
    records = [{"name": "@", "type": "CNAME", "data": "elsewhere.example.net."}]
    before = rosewood.out("find /etc -newermt '-1 hour' -type f -printf '%p %T@\\n' | sort | sha256sum")
    result = site("--extra-vars", json.dumps({"bind_records_extra": records}))
    print(result.stdout[-1500:] + result.stderr)
    assert result.returncode != 0
    assert "@ CNAME: an alias allows no other record at its name" in " ".join((result.stdout + result.stderr).split())
    assert re.search(rf"^{re.escape(HOSTNAME)} +: ok=\d+ +changed=0 ", result.stdout, re.MULTILINE)
    assert rosewood.out("find /etc -newermt '-1 hour' -type f -printf '%p %T@\\n' | sort | sha256sum") == before


@ON_THE_CONTROLLER
def test_missing_domain(rosewood, site, tmp_path):
    inventory = tmp_path / "inventory"
    shutil.copytree(INVENTORY, inventory)
    hosts = (inventory / "hosts.yml").read_text()
    (inventory / "hosts.yml").write_text(hosts.replace("      xmpp_domain: broccoli.test\n", ""))
    message = refusal(rosewood, lambda: site(inventory=inventory))
    assert "xmpp_domain: is not set" in message
    assert "example.org" in message


def test_the_right_inventory_reaches_the_host(rosewood, site):
    """The control: with nothing wrong the host is asked. By the way, a run with --check finds nothing to change."""
    before = asked(rosewood)
    result = site("--check")
    assert result.returncode == 0, result.stdout[-1500:] + result.stderr
    print(f"{asked(rosewood) - before} modules ran on the host")
    assert asked(rosewood) > before
    assert re.search(rf"^{re.escape(HOSTNAME)} +: ok=\d+ +changed=0 ", result.stdout, re.MULTILINE), result.stdout[
        -1500:
    ]
