# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hidden primary with a key for one secondary and none for another, an NSD that transfers from a second address."""

from __future__ import annotations

import pytest
from conftest import ADDRESS, INVENTORY, PRIMARY, SECONDARY, SECRET, ZONE
from hosts import until

# Of no use elsewhere.
OWN_KEY = "b25lIHNlY29uZGFyeSdzIG93biBrZXksIGluIHRoZSBsYWI="
TOLD, ASKS_FROM = ADDRESS["stranger.test"], "198.51.100.98"
NSD = f"""
server:
    verbosity: 1
    ip-address: {TOLD}
    ip-address: 127.0.0.1
    zonesdir: /run/nsd-test
    database: ""
    zonelistfile: /run/nsd-test/zone.list
    xfrdfile: /run/nsd-test/xfrd.state
    xfrdir: /run/nsd-test
    pidfile: ""
    username: ""
remote-control:
    control-enable: no
zone:
    name: {ZONE}
    zonefile: zone
    allow-notify: {ADDRESS[PRIMARY]} NOKEY
    request-xfr: AXFR {ADDRESS[PRIMARY]} NOKEY
    outgoing-interface: {ASKS_FROM}
"""
GIVEN = {
    "bind_records_extra": [
        *INVENTORY["hosts"][PRIMARY]["bind_records_extra"],
        # Not a new name: named keeps an empty node of one that is gone, and a chain of NSEC3 that is made later has it.
        {"name": "@", "type": "TXT", "data": "changed"},
    ],
    "bind_nameservers": [SECONDARY],
    "bind_transfer_keys": {"ns2": OWN_KEY},
    "bind_secondaries": [
        {"address": ADDRESS[SECONDARY], "key": "ns2"},
        {"address": TOLD, "key": "", "transfer_from": [ASKS_FROM]},
    ],
}


def serial(host):
    found = host.run(f"dig +short +norec @127.0.0.1 {ZONE} SOA").stdout.split()
    return found[2] if len(found) == 7 else ""


@pytest.fixture(scope="module")
def hidden(primary, secondary, stranger, play):
    """Have the primary and its two secondaries so; put it right afterwards."""
    stranger.out(f"ip address replace {ASKS_FROM}/24 dev eth0 && mkdir -p /run/nsd-test")
    stranger.out("cat > /run/nsd-test/conf", stdin=NSD)
    # It asks in vain as yet, and would not ask again for minutes unless it is told.
    stranger.out("systemd-run --quiet --unit=nsd-test nsd -d -c /run/nsd-test/conf")
    until(lambda: "REFUSED" in stranger.out("journalctl --unit=nsd-test --since=-1min"), 10)
    # The secondary first, so that it knows the key by which the primary then tells it of changes.
    own = {"bind_secondary_of": [{"address": ADDRESS[PRIMARY], "key": "ns2"}], "bind_transfer_keys": {"ns2": OWN_KEY}}
    for host, given in ((SECONDARY, own), (PRIMARY, GIVEN)):
        done = play(host, **given)
        assert done.returncode == 0, done.stdout[-3000:]
    yield
    stranger.out(f"systemctl stop nsd-test; rm -r /run/nsd-test; ip address del {ASKS_FROM}/24 dev eth0")
    for host in (SECONDARY, PRIMARY):
        assert play(host).returncode == 0
    until(lambda: serial(primary) == serial(secondary) != "", 30)


def axfr(host, *options):
    """How many records a transfer brings."""
    said = host.out(f"dig {' '.join(options)} @{ADDRESS[PRIMARY]} {ZONE} AXFR 2>&1 || true")
    records = said.count("\tRRSIG\t")
    assert records > 50 or "Transfer failed" in said or "TSIG" in said, said
    return records


def test_both_are_told_of_a_change_and_transfer_it(hidden, secondary, stranger):
    for name, host in ((SECONDARY, secondary), ("the NSD", stranger)):
        waited = until(lambda host=host: '"changed"' in host.out(f"dig +short +norec @127.0.0.1 {ZONE} TXT"), 20)
        print(f"{name}: {waited:.1f} s after the end of the run")


def test_the_primary_is_hidden(hidden, primary, secondary, stranger):
    for host in (primary, secondary, stranger):
        assert host.out(f"dig +short +norec @127.0.0.1 {ZONE} NS") == f"{SECONDARY}."
        assert host.out(f"dig +short +norec @127.0.0.1 {ZONE} SOA").startswith(f"{SECONDARY}. ")


def test_each_transfers_by_its_own_right_alone(hidden, secondary, stranger):
    allowed = {
        "the address of the one without a key": axfr(stranger, "-b", ASKS_FROM),
        "the key of the other": axfr(stranger, "-y", f"hmac-sha256:ns2:{OWN_KEY}"),
    }
    refused = {
        "the address at which the one without a key is told": axfr(stranger, "-b", TOLD),
        "the address of the one with a key": axfr(secondary),
        "a key that no secondary has": axfr(secondary, "-y", f"hmac-sha256:transfer:{SECRET}"),
        "another secret": axfr(secondary, "-y", f"hmac-sha256:ns2:{SECRET}"),
    }
    print(allowed, refused)
    assert all(allowed.values()) and not any(refused.values())


def test_the_one_without_a_key_reads_the_catalog_and_nobody_else(hidden, secondary, stranger):
    """A secondary of ours that has no key learns of the zones, too."""
    ask = f"dig +norec -b {{}} @{ADDRESS[PRIMARY]} version.catalog.invalid TXT"
    assert "status: NOERROR" in stranger.out(ask.format(ASKS_FROM))
    assert "status: REFUSED" in stranger.out(ask.format(TOLD))
    assert "status: REFUSED" in secondary.out(ask.format(ADDRESS[SECONDARY]))


def test_no_key_is_shown(hidden, play):
    given = {**GIVEN, "bind_zsk_lifetime_days": 91}
    done = play(PRIMARY, "--check", "--diff", "-vvv", **given)
    assert done.returncode == 0, done.stdout[-2000:]
    said = done.stdout + done.stderr
    assert "named.conf" in said
    # Extra variables of the command line are shown with -vvv by Ansible itself: those come from here.
    told = [line for line in said.splitlines() if OWN_KEY in line or SECRET in line]
    print(f"{len(said)} characters", told[:3])
    assert told == []
