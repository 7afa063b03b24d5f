# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The zone-signing key rolls by itself, the key-signing key by decision, and at no moment does validation fail.

The policy is the role's own but for its times: seconds instead of days. The commands are those of docs/operations.md.
"""

from __future__ import annotations

import base64
import shlex
import struct
import time

import pytest
from conftest import ADDRESS, INVENTORY, PRIMARY, SECONDARY, ZONE
from hosts import until

PARENT = "grove.test"
PARENT_FILE = f"/var/lib/bind/zones/{PARENT}.zone"
# Everything that keymgr waits for, and signatures that are made anew within seconds.
TIMES = (
    "dnskey-ttl 2; publish-safety PT1S; retire-safety PT1S; purge-keys P1D; zone-propagation-delay PT1S; max-zone-ttl 2;"
    " parent-ds-ttl 2; parent-propagation-delay PT1S;"
    " signatures-validity PT60S; signatures-validity-dnskey PT60S; signatures-refresh PT50S; signatures-jitter PT0S;"
)
LIFETIME = 40


@pytest.fixture(scope="module")
def quick(primary, secondary, play):
    """The primary with short times. Another run puts the policy right again."""
    (zone,) = INVENTORY["hosts"][PRIMARY]["bind_zones_extra"]
    done = play(PRIMARY, bind_ttl=2, bind_zones_extra=[{**zone, "ttl": 2}])
    assert done.returncode == 0, done.stdout[-2000:]
    policy = f's/^dnssec-policy "signed" {{/&\\n    {TIMES}/; s/lifetime P90D/lifetime PT{LIFETIME}S/'
    primary.out(
        f"sed -i {shlex.quote(policy)} /etc/bind/named.conf && named-checkconf && cp -p {PARENT_FILE} /tmp/parent"
    )
    start_anew(primary, secondary)
    yield
    done = play(PRIMARY)
    assert done.returncode == 0, done.stdout[-2000:]
    start_anew(primary, secondary)


def start_anew(primary, secondary):
    """With new keys: one keeps the lifetime that it was made with. The signed zones have the former TTLs, too."""
    zones = "/var/lib/bind/zones"
    primary.out(
        f"systemctl stop named && rm -f /var/lib/bind/keys/K* {zones}/*.signed* {zones}/*.jbk && systemctl start named"
    )
    # Signatures that were made anew every second have counted the serial faster than the time goes.
    for zone in (ZONE, PARENT):
        primary.out(f"bind-ds-records {zone}")
        secondary.out(f"rndc retransfer {zone}")


class Peer:
    """Asks both servers again and again, and validates from the parent's key down, as strangers do."""

    def __init__(self, primary, secondary):
        key = primary.out(f"bind-ds-records {PARENT}").split()
        anchor = f'trust-anchors {{ {key[0]} static-ds {key[3]} {key[4]} {key[5]} "{key[6]}"; }};'
        secondary.out(f"echo {shlex.quote(anchor)} > /tmp/parent.anchors")
        self.secondary = secondary
        self.asked = 0
        self.failures = []

    def ask(self):
        for server in (PRIMARY, SECONDARY):
            for name, kind in ((ZONE, "SOA"), (PRIMARY, "A")):
                command = f"delv -a /tmp/parent.anchors +root={PARENT} @{ADDRESS[server]} {name} {kind} 2>&1 || true"
                said = self.secondary.out(command)
                self.asked += 1
                if not said.startswith("; fully validated"):
                    self.failures.append((time.strftime("%H:%M:%S"), server, name, kind, said))

    def until(self, condition, seconds=90):
        """Ask until something holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            self.ask()
        self.ask()


@pytest.fixture
def parent(primary):
    """Have the parent zone say which DS records there are."""

    def publish(*records):
        lines = "\n".join(f"oak 2 IN DS {record}" for record in records)
        serial = f"s/(SOA \\S+ \\S+) [0-9]+/\\1 {int(time.time())}/"
        primary.out(
            f"(grep -v ' DS ' /tmp/parent; echo {shlex.quote(lines)}) | sed -E {shlex.quote(serial)} > {PARENT_FILE}"
            f" && rndc reload {PARENT}"
        )
        until(lambda: primary.out(f"dig +short +norec @127.0.0.1 {ZONE} DS").count("\n") == len(records) - 1)

    return publish


def keys(dnssec, role):
    return [key for key in dnssec()["keys"] if key["role"] == role]


def used(dnssec, role):
    """The tags of the keys of this role that are, and stay, in use."""
    return [key["tag"] for key in keys(dnssec, role) if key["goal"] == "omnipresent"]


def told_by_the_zone(primary, secondary):
    """What the zone says of its keys, each record without the spaces that dig puts into keys and digests."""
    found = {}
    for kind in ("CDS", "CDNSKEY", "DNSKEY"):
        lines = secondary.out(f"dig +short +norec @{ADDRESS[PRIMARY]} {ZONE} {kind}").splitlines()
        found[kind] = [" ".join(words[:3]) + " " + "".join(words[3:]) for words in map(str.split, lines)]
    return found


def key_tag(dnskey):
    """The tag of a key (RFC 4034, appendix B)."""
    flags, protocol, algorithm, key = dnskey.split()
    data = struct.pack("!HBB", int(flags), int(protocol), int(algorithm)) + base64.b64decode(key)
    total = sum(byte << 8 if place % 2 == 0 else byte for place, byte in enumerate(data))
    return (total + (total >> 16)) & 0xFFFF


def test_the_zone_signing_key_rolls_by_itself(primary, secondary, dnssec, quick, parent):
    parent(*dnssec()["ds"])
    peer = Peer(primary, secondary)
    until(
        lambda: (
            "fully" in secondary.out(f"delv -a /tmp/parent.anchors +root={PARENT} @{ADDRESS[SECONDARY]} {ZONE} SOA")
        ),
        30,
    )
    told = dnssec()
    (before,) = used(dnssec, "zsk")
    assert told["next_roll"]["role"] == "zsk" and told["next_roll"]["tag"] == before
    ksk = used(dnssec, "ksk")
    peer.until(lambda: before not in used(dnssec, "zsk"), 3 * LIFETIME)
    # The former one goes once nobody needs it any longer.
    peer.until(
        lambda: [key["dnskey"] for key in keys(dnssec, "zsk") if key["tag"] == before] == ["hidden"], 3 * LIFETIME
    )
    print(f"{before} was followed by {used(dnssec, 'zsk')}; {peer.asked} answers, {len(peer.failures)} not valid")
    assert peer.failures == [] and peer.asked > 20
    assert used(dnssec, "ksk") == ksk


def test_the_key_signing_key_rolls_by_decision(primary, secondary, dnssec, quick, parent):
    peer = Peer(primary, secondary)
    (old,) = used(dnssec, "ksk")
    old_ds = dnssec()["ds"]
    primary.out(f"rndc dnssec -checkds -key {old} published {ZONE}")
    peer.until(lambda: [key["ds"] for key in keys(dnssec, "ksk")] == ["omnipresent"])

    primary.out(f"rndc dnssec -rollover -key {old} {ZONE}")
    peer.until(lambda: len(used(dnssec, "ksk")) == 1 and used(dnssec, "ksk") != [old])
    (new,) = used(dnssec, "ksk")
    said = dnssec()
    print(said["parent"])
    assert said["parent"]["status"] == "missing" and str(new) in said["parent"]["reason"]
    peer.until(lambda: next(key["dnskey"] for key in keys(dnssec, "ksk") if key["tag"] == new) == "omnipresent")

    # A registrar that reads the zone learns of it there (RFC 7344, RFC 8078), signed like everything else.
    peer.until(lambda: told_by_the_zone(primary, secondary)["CDS"] == said["ds"])
    told = told_by_the_zone(primary, secondary)
    print(told)
    assert told["CDNSKEY"] == [key for key in told["DNSKEY"] if key.startswith("257 ") and key_tag(key) == new]
    cds = secondary.out(f"delv -a /tmp/parent.anchors +root={PARENT} @{ADDRESS[SECONDARY]} {ZONE} CDS 2>&1")
    assert cds.startswith("; fully validated")

    parent(*old_ds, *said["ds"])
    assert dnssec()["parent"]["status"] == "right"
    primary.out(f"rndc dnssec -checkds -key {new} published {ZONE}")
    peer.until(lambda: next(key["ds"] for key in keys(dnssec, "ksk") if key["tag"] == new) == "omnipresent")
    parent(*said["ds"])
    primary.out(f"rndc dnssec -checkds -key {old} withdrawn {ZONE}")
    peer.until(lambda: next(key["dnskey"] for key in keys(dnssec, "ksk") if key["tag"] == old) == "hidden")
    print(f"{old} was followed by {new}; {peer.asked} answers, {len(peer.failures)} not valid")
    assert peer.failures == [] and peer.asked > 20
    assert dnssec()["parent"]["status"] == "right" and dnssec()["ds"] == said["ds"]
