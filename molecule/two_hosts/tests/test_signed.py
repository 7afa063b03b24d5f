# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The signed zone as others judge it, denial by NSEC and by NSEC3, and keys that roll while everybody validates."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from conftest import ADDRESS, INVENTORY, PRIMARY, SECONDARY, SECRET, ZONE
from hosts import until


@pytest.fixture(scope="module")
def zone(secondary):
    """Transfer the zone into a file on the secondary."""

    def transfer():
        key = f"hmac-sha256:transfer:{SECRET}"
        secondary.out(f"dig @{ADDRESS[PRIMARY]} -y {key} +noall +answer +onesoa {ZONE} AXFR > /tmp/zone")
        return "/tmp/zone"

    return transfer


def judge(secondary, file):
    """What dnssec-verify and ldns-verify-zone say; each ends with an error where it finds one."""
    return [secondary.run(f"{tool} {file} 2>&1") for tool in (f"dnssec-verify -q -o {ZONE}", "ldns-verify-zone -V 2")]


def test_nothing_is_wrong_with_denial_by_nsec(secondary, zone):
    text = secondary.out(f"cat {zone()}")
    assert re.search(r"\sNSEC\s", text) and not re.search(r"\sNSEC3\s", text)
    for done in judge(secondary, zone()):
        print(done.rc, done.stdout[-300:])
        assert done.rc == 0, done.stdout


@pytest.mark.parametrize(
    "damage",
    [
        f"/^{SECONDARY}.*IN[[:space:]]A[[:space:]]/s/198.51.100.91/198.51.100.66/",
        f"/^_xmpp-client._tcp.conference.{ZONE}.*[[:space:]]NSEC[[:space:]]/d",
        f"/^{ZONE}.*RRSIG[[:space:]]SOA/d",
    ],
)
def test_both_find_what_is_wrong(secondary, zone, damage):
    """The control."""
    file = zone()
    secondary.out(f"sed {shlex.quote(damage)} {file} > /tmp/damaged && ! cmp -s {file} /tmp/damaged")
    for done in judge(secondary, "/tmp/damaged"):
        print(done.stdout[:300])
        assert done.rc != 0


def test_dnsviz_finds_nothing(secondary, stranger, play, dnssec):
    """From the parent's key down, at both servers: no error, and no warning."""
    (zone,) = INVENTORY["hosts"][PRIMARY]["bind_zones_extra"]
    ds = {"name": "oak", "type": "DS", "data": dnssec()["ds"][0]}
    assert play(PRIMARY, bind_zones_extra=[{**zone, "records": [*zone["records"], ds]}]).returncode == 0
    servers = ",".join(f"{name}={address}" for name, address in ADDRESS.items() if name in (PRIMARY, SECONDARY))
    # dnsviz stumbles over an MX record that says there is no mail (RFC 7505).
    kinds = "SOA,NS,A,AAAA,TXT,CAA,DNSKEY,DS,CDS,CDNSKEY"
    until(lambda: secondary.out(f"dig +short +norec @127.0.0.1 {ZONE} DS") != "", 30)
    stranger.out(
        f"dig +noall +answer +norec @{ADDRESS[PRIMARY]} grove.test DNSKEY | grep -w 257 > /tmp/anchor"
        f" && dnsviz probe -A -a grove.test -R {kinds} -x grove.test+:{servers} {ZONE} conference.{ZONE} > /tmp/probe 2>/tmp/log"
    )
    assert stranger.out("dnsviz grok -l warning -t /tmp/anchor -r /tmp/probe") in ("", "{}")
    whole = json.loads(stranger.out("dnsviz grok -l info -t /tmp/anchor -r /tmp/probe"))
    assert whole[f"{ZONE}."]["delegation"]["status"] == "SECURE"
    print(f"{len(whole)} names, {sum(len(found['queries']) for found in whole.values())} questions: nothing to say")
    # The control: with another key as the anchor there is.
    stranger.out("sed 's/ 13 ..../ 13 AAAA/' /tmp/anchor > /tmp/wrong && ! cmp -s /tmp/anchor /tmp/wrong")
    assert "NO_TRUST_ANCHOR_SIGNING" in stranger.out("dnsviz grok -l warning -t /tmp/wrong -r /tmp/probe")
    assert play(PRIMARY).returncode == 0


def test_nothing_is_wrong_with_denial_by_nsec3(primary, secondary, zone, play, delv):
    def third():
        return secondary.out(f"dig +short +norec @127.0.0.1 {ZONE} NSEC3PARAM")

    assert third() == ""
    assert play(PRIMARY, bind_nsec3=True).returncode == 0
    try:
        until(lambda: third() != "", 30)
        # No additional iterations and no salt (RFC 9276).
        assert third() == "1 0 0 -"
        until(lambda: not re.search(r"\sNSEC\s", secondary.out(f"cat {zone()}")), 30)
        for done in judge(secondary, zone()):
            print(done.rc, done.stdout[-300:])
            assert done.rc == 0, done.stdout
        for server in (PRIMARY, SECONDARY):
            assert "; negative response, fully validated" in delv(server, f"nothing.{ZONE}", "A")
    finally:
        assert play(PRIMARY).returncode == 0
    until(lambda: third() == "", 30)
