# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secondary serves the same signed zone, by transfers with the key alone, and goes on when the primary is stopped."""

from __future__ import annotations

import re

import pytest
from conftest import ADDRESS, INVENTORY, PRIMARY, SECONDARY, SECRET, ZONE
from hosts import until

VALID = "; fully validated"
RECORDS = [
    (ZONE, "SOA"),
    (ZONE, "NS"),
    (ZONE, "MX"),
    (ZONE, "HTTPS"),
    (PRIMARY, "SSHFP"),
    (SECONDARY, "A"),
    (f"_xmpp-server._tcp.conference.{ZONE}", "SRV"),
]
# Knows nothing, and says what it was asked for.
RESOLVER = r"""
import socket
place = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
place.bind(("127.0.0.99", 53))
while True:
    question, who = place.recvfrom(512)
    name, rest = [], question[12:]
    while rest[0]:
        name.append(rest[1 : 1 + rest[0]].decode())
        rest = rest[1 + rest[0] :]
    print(".".join(name), flush=True)
    place.sendto(question[:2] + b"\x81\x82" + question[4:], who)
"""


def serial(host):
    return host.out(f"dig +short +norec @127.0.0.1 {ZONE} SOA").split()[2]


@pytest.fixture(scope="module", autouse=True)
def transferred(primary, secondary):
    until(lambda: serial(primary) == secondary.run(f"dig +short @127.0.0.1 {ZONE} SOA").stdout[:999].split()[2:3][0])


def kept_file(secondary, zone=ZONE):
    """Where the secondary keeps a zone: the name of the file is BIND's."""
    return re.search(r"^files: (\S+)$", secondary.out(f"rndc zonestatus {zone}"), re.MULTILINE)[1]


def extra_zone(*more):
    (zone,) = INVENTORY["hosts"][PRIMARY]["bind_zones_extra"]
    return [{**zone, "records": [*zone["records"], *more]}]


@pytest.mark.parametrize("server", [PRIMARY, SECONDARY])
def test_both_serve_the_zone_signed(delv, server):
    for name, kind in RECORDS:
        answer = delv(server, name, kind)
        assert answer.startswith(VALID), answer
    assert "; negative response, fully validated" in delv(server, f"nothing.{ZONE}", "A")
    print(f"{server}: {len(RECORDS) + 1} answers, fully validated")


def test_delv_trusts_the_zone_s_key_alone(delv):
    wrong = f'trust-anchors {{ {ZONE}. static-ds 1 13 2 "{"AB" * 32}"; }};'
    assert VALID not in delv(SECONDARY, ZONE, "SOA", wrong)


def test_the_records_are_the_same_on_both(primary, secondary):
    ask = "dig @{} " + f"-y hmac-sha256:transfer:{SECRET} {ZONE} AXFR | grep -v -e '^;' -e 'ANY.TSIG' | sort -u"
    first = primary.out(ask.format(ADDRESS[PRIMARY]))
    kept = secondary.out(
        f"rndc sync {ZONE} && named-compilezone -q -f raw -F text -s full -o /tmp/kept {ZONE} {kept_file(secondary)};"
        " grep -v '^;' /tmp/kept | sort -u"
    )
    same = [sorted(" ".join(line.split()) for line in text.splitlines()) for text in (first, kept)]
    print(f"{len(same[0])} records")
    assert same[0] == same[1] and len(same[0]) > 100


def test_ssh_host_keys(primary):
    published = primary.out(f"dig +short @127.0.0.1 {PRIMARY} SSHFP").lower().splitlines()
    found = {tuple([*line.split()[:2], "".join(line.split()[2:])]) for line in published}
    real = {tuple(item.split()) for item in re.findall(r"SSHFP ([14] 2 \w+)", primary.out("ssh-keygen -r x"))}
    assert found == real and len(real) == 2


@pytest.mark.parametrize(
    ("server", "option"),
    [
        (PRIMARY, ""),
        (PRIMARY, "-y hmac-sha256:transfer:YW5vdGhlciBrZXkgb2YgdGhlIHZlcnkgc2FtZSBzaXo="),
        (PRIMARY, f"-y hmac-sha256:other:{SECRET}"),
        (SECONDARY, ""),
        (SECONDARY, f"-y hmac-sha256:transfer:{SECRET}"),
    ],
)
def test_nobody_else_may_transfer(secondary, server, option):
    """Not even who comes from the secondary's address."""
    answer = secondary.out(f"dig @{ADDRESS[server]} {option} {ZONE} AXFR 2>&1 || true")
    assert "Transfer failed" in answer or "TSIG" in answer, answer
    assert "SRV" not in answer


def test_a_change_arrives_by_itself(primary, secondary, play):
    records = [*INVENTORY["hosts"][PRIMARY]["bind_records_extra"], {"name": "new", "type": "A", "data": "198.51.100.7"}]
    before = serial(primary)
    done = play(PRIMARY, bind_records_extra=records)
    assert done.returncode == 0, done.stdout[-2000:]
    waited = until(lambda: secondary.out(f"dig +short @127.0.0.1 new.{ZONE} A") == "198.51.100.7", 10)
    print(f"{waited:.1f} s after the end of the run")
    assert int(serial(secondary)) > int(before)


def test_a_change_while_the_primary_is_down(primary, secondary, play):
    """named has a journal of the zone that it read before, and meets a newer file."""
    records = INVENTORY["hosts"][PRIMARY]["bind_records_extra"]
    for step, down in (("one", False), ("two", True)):
        if down:
            assert "0" not in primary.out(f"ls /var/lib/bind/zones/{ZONE}.zone.jnl | wc -l")
            primary.out("systemctl stop named")
        done = play(PRIMARY, bind_records_extra=[*records, {"name": step, "type": "A", "data": "198.51.100.7"}])
        assert done.returncode == 0, done.stdout[-2000:]
        for host in (primary, secondary):
            until(lambda host=host, step=step: host.out(f"dig +short @127.0.0.1 {step}.{ZONE} A") == "198.51.100.7", 30)
    assert play(PRIMARY).returncode == 0


def test_a_new_zone_is_served_by_both_and_a_removed_one_by_none(primary, secondary, play):
    """There is no run on the secondary: it learns from the catalog."""
    new = {"name": "elm.test", "records": [{"name": "www", "type": "A", "data": "198.51.100.7"}]}
    ask = "dig +dnssec +norec @127.0.0.1 www.elm.test A"
    assert "REFUSED" in secondary.out(ask)
    done = play(PRIMARY, bind_zones_extra=[*extra_zone(), new])
    assert done.returncode == 0, done.stdout[-2000:]
    waited = until(lambda: "198.51.100.7" in secondary.out(ask), 30)
    assert "RRSIG" in secondary.out(ask)
    print(f"added: {waited:.1f} s after the end of the run")
    done = play(PRIMARY)
    assert done.returncode == 0, done.stdout[-2000:]
    waited = until(lambda: "REFUSED" in secondary.out(ask), 30)
    print(f"removed: {waited:.1f} s after the end of the run")
    assert "REFUSED" in primary.out(ask)
    assert secondary.out(f"dig +short @127.0.0.1 {ZONE} SOA") != ""


@pytest.fixture
def asked(primary):
    """The names that the primary has asked its resolver for."""
    primary.out("cat > /run/resolver.py && cp /etc/resolv.conf /run", stdin=RESOLVER)
    primary.out("systemd-run --quiet --unit=resolver -p StandardOutput=truncate:/run/asked python3 /run/resolver.py")
    primary.out("echo nameserver 127.0.0.99 > /etc/resolv.conf")
    yield lambda: primary.out("cat /run/asked").splitlines()
    primary.out("cat /run/resolv.conf > /etc/resolv.conf && systemctl stop resolver")


def test_a_zone_is_checked_without_the_resolver(primary, play, asked):
    """It may have to ask this very server, which is not there yet, and would be waited for with each record."""
    records = [
        {"name": "@", "type": "NS", "data": "ns.elsewhere.test."},
        {"name": "@", "type": "MX", "data": "10 mail.elsewhere.test."},
        {"name": "_imaps._tcp", "type": "SRV", "data": "0 0 993 mail.elsewhere.test."},
    ]
    done = play(PRIMARY, bind_zones_extra=[*extra_zone(), {"name": "elm.test", "records": records}])
    assert done.returncode == 0, done.stdout[-2000:]
    assert "mail.elsewhere.test" in primary.out("dig +short +norec @127.0.0.1 elm.test MX")
    print("asked for", asked())
    assert not [name for name in asked() if "elsewhere" in name]
    primary.run("getent hosts mail.elsewhere.test")
    assert [name for name in asked() if "elsewhere" in name]
    assert play(PRIMARY).returncode == 0


@pytest.mark.parametrize("server", [PRIMARY, SECONDARY])
def test_the_catalog_is_nobody_else_s(primary, secondary, server):
    host, other = (primary, secondary) if server == PRIMARY else (secondary, primary)
    assert "version.catalog.invalid" in host.out("dig +norec @127.0.0.1 version.catalog.invalid TXT")
    assert "status: NOERROR" in host.out("dig +norec @127.0.0.1 version.catalog.invalid TXT")
    assert "status: REFUSED" in other.out(f"dig +norec @{ADDRESS[server]} version.catalog.invalid TXT")
    assert "Transfer failed" in other.out(f"dig @{ADDRESS[server]} catalog.invalid AXFR || true")


def test_zones_by_name_without_a_catalog(secondary, play):
    ask = f"dig +short +norec @127.0.0.1 {ZONE} SOA"
    for variables in ({"bind_catalog": "", "bind_secondary_zones": [ZONE]}, {}):
        done = play(SECONDARY, **variables)
        assert done.returncode == 0, done.stdout[-2000:]
        until(lambda: secondary.out(ask) != "", 30)
        assert ("catalog.invalid" in kept_file(secondary)) == (not variables)
        both = "REFUSED" not in secondary.out("dig +norec @127.0.0.1 grove.test SOA")
        assert both == (not variables)


def test_the_secondary_goes_on_alone(primary, secondary, delv):
    primary.out("systemctl stop named")
    try:
        secondary.out("systemctl restart named")
        until(lambda: secondary.out(f"dig +short @127.0.0.1 {ZONE} SOA") != "")
        for name, kind in RECORDS:
            assert delv(SECONDARY, name, kind).startswith(VALID)
        print(f"{len(RECORDS)} answers, fully validated, after a restart without the primary")
    finally:
        primary.out("systemctl start named")


def test_a_tampered_record_is_bogus(primary, secondary, delv):
    file = kept_file(secondary)
    primary.out("systemctl stop named")
    try:
        secondary.out(
            f"systemctl stop named && cp -p {file} /tmp/right"
            f" && named-compilezone -q -f raw -F text -s full -o /tmp/zone {ZONE} {file}"
            f" && sed -i '/^{SECONDARY}\\..*IN A[[:space:]]/s/198.51.100.91/198.51.100.66/' /tmp/zone"
            f" && named-compilezone -q -f text -F raw -o {file} {ZONE} /tmp/zone"
            f" && rm -f {file}.jnl && chown bind: {file} && systemctl start named"
        )
        until(lambda: secondary.out(f"dig +short @127.0.0.1 {SECONDARY} A") == "198.51.100.66")
        answer = delv(SECONDARY, SECONDARY, "A")
        print(answer)
        assert VALID not in answer and "RRSIG failed to verify" in answer
        assert delv(SECONDARY, ZONE, "SOA").startswith(VALID)
    finally:
        secondary.out(f"systemctl stop named; cp -p /tmp/right {file}; systemctl start named")
        primary.out("systemctl start named")


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("c2hvcnQ=", "this secret has a length of 5, and HMAC-SHA256 needs 32 to 64 bytes"),
        ("no base64 ümlaut", "this secret is not Base64"),
        ("", "there is no secret, and 198.51.100.91 must be asked with one"),
    ],
)
def test_a_wrong_key_never_reaches_the_host(primary, play, secret, message):
    before = primary.out("sha256sum /etc/bind/named.conf")
    done = play(PRIMARY, bind_transfer_secret=secret)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and message in said, said[-2000:]
    assert not secret or secret not in said
    assert primary.out("sha256sum /etc/bind/named.conf") == before


def test_the_key_is_in_no_diff(primary, play):
    done = play(PRIMARY, "--check", "--diff", bind_zsk_lifetime_days=91)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "named.conf" in done.stdout and SECRET not in done.stdout
    assert primary.out("stat -c '%a %U %G' /etc/bind/named.conf") == "640 root bind"


def test_what_the_parent_says(dnssec, play):
    """The parent zone is served here, too, so that it can be made to say anything."""
    told = dnssec()
    print(told["parent"], told["next_roll"])
    assert told["parent"]["status"] == "missing"
    assert told["next_roll"]["role"] == "zsk" and len(told["keys"]) == 2
    other = "1 13 2 " + "AB" * 32
    for records, status in (([told["ds"][0]], "right"), ([other], "wrong"), ([told["ds"][0], other], "right")):
        zones = extra_zone(*({"name": "oak", "type": "DS", "data": data} for data in records))
        done = play(PRIMARY, bind_zones_extra=zones)
        assert done.returncode == 0, done.stdout[-2000:]
        until(lambda wanted=status: dnssec()["parent"]["status"] == wanted)
        # A run tells the operator what to do, until there is nothing to do.
        assert (f"{ZONE}. IN DS " in play(PRIMARY, bind_zones_extra=zones).stdout) == (status != "right")
        found = dnssec()["parent"]
        print(found)
        assert found["ds"] == sorted(records)
        assert found["unmatched"] == [data for data in records if data == other]
