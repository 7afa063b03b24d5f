# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbook lists is what another name server takes, and what it says of each deviation there."""

from __future__ import annotations

import re
import shlex

import pytest
from conftest import ADDRESS, HOST, INVENTORY

ZONE = "fern.test"
VALUES = INVENTORY["hosts"]["provider.test"]
SECOND = f"ns2.provider.test ({VALUES['provider_second_address']})"


def said(done):
    """What the playbook says of the DNS, a line each."""
    text = done.stdout + done.stderr
    found = re.search(r"The DNS is not as it should be:\n(.*?)(?:\n\n|\nOrigin|\n\S+ \|)", text, re.DOTALL)
    if done.returncode == 0 or not found:
        return []
    lines = sorted({line.strip() for line in found[1].splitlines() if line.strip()})
    print(f"{len(lines)} findings:", *lines, sep="\n")
    return lines


@pytest.fixture
def serve(provider, lists):
    """Have the provider serve what was listed, changed as a test wants it; put it right afterwards."""

    def run(change=lambda lines: lines, servers="", ds=None, then="true"):
        text = "\n".join(change((lists / f"{ZONE}.zone").read_text().splitlines()))
        parent = "rm -f ds" if ds is None else f"echo {shlex.quote(ds)} > ds"
        provider.out(
            f"cd /var/lib/provider && printf '%s\\n' {shlex.quote(text)} > pasted && {parent} && provider-sign {servers} && {then}"
        )

    yield run
    run()


@pytest.fixture(scope="module", autouse=True)
def listed(provider, check):
    """The first run, while the provider has nothing yet, writes the list."""
    provider.out("cd /var/lib/provider && rm -f pasted ds && provider-sign")
    return check()


def test_nothing_is_there(listed, lists):
    lines = said(listed)
    records = (lists / f"{ZONE}.zone").read_text().splitlines()
    sets = {tuple(line.split()[index] for index in (0, 3)) for line in records}
    assert listed.returncode != 0
    assert len(lines) == len(sets) and all("missing; add " in line for line in lines)


def test_no_name_server_is_here(host):
    assert host.run("dpkg -s bind9").rc != 0
    assert host.out("ss -Hlnu sport = :53; ss -Hlnt sport = :53") == ""
    rules = host.out("nft list chain inet filter input")
    assert "5222" in rules and not re.search(r"dport (\{ )?53\b", rules)


def test_what_is_listed_can_be_pasted_and_is_right(serve, check, lists):
    serve()
    done = check()
    assert done.returncode == 0, done.stdout[-3000:]
    (count, servers) = re.search(
        r"(\d+) records are right at (.*?)\s+PLAY RECAP", " ".join(done.stdout.split())
    ).groups()
    print(count, servers)
    assert int(count) == len((lists / f"{ZONE}.zone").read_text().splitlines())
    assert "ns1.provider.test (198.51.100.93), ns1.provider.test (2001:db8:100::93)," in servers and SECOND in servers


def test_one_of_each(serve, check):
    """Wrong, missing and surplus records, all in one run: nothing hides behind another."""

    def change(lines):
        kept = [
            line
            for line in lines
            if not line.startswith(("_5269._tcp.", f"_xmpp-client._tcp.{ZONE}", "rowan.fern.test. 3600 IN A "))
        ]
        kept = [re.sub(r"(_5222\S+ 3600 IN TLSA 3 1 1 )\w+", r"\g<1>" + "ab" * 32, line) for line in kept]
        return [
            line.replace("IN SRV 0 5 5223 rowan", "IN SRV 0 5 5223 elsewhere")
            if f"_xmpps-client._tcp.{ZONE}" in line
            else line
            for line in kept
            if "issue " not in line
        ] + [
            "rowan.fern.test. 3600 IN A 198.51.100.66",
            "_5270._tcp.rowan.fern.test. 3600 IN TLSA 3 1 1 " + "cd" * 32,
            f"_xmpp-server._tcp.{ZONE}. 3600 IN SRV 0 5 5269 elsewhere.fern.test.",
            f'{ZONE}. 3600 IN CAA 0 issue "ca.example.net"',
            f'conference.{ZONE}. 3600 IN CAA 0 issue "ca.example.net"',
            f"_443._tcp.conference.{ZONE}. 3600 IN TLSA 3 1 1 " + "ef" * 32,
            f'_xmppconnect.{ZONE}. 3600 IN TXT "_xmpp-client-xbosh=http://elsewhere.fern.test/"',
            f'{ZONE}. 3600 IN TXT "v=spf1 +all"',
            # These do no harm.
            f'{ZONE}. 3600 IN TXT "verification=1"',
            f'{ZONE}. 3600 IN CAA 0 iodef "mailto:hostmaster@fern.test"',
        ]

    serve(change)
    lines = said(check())
    pin = next(line for line in lines if line.startswith("_5269"))[-64:]
    expected = [
        f"_5222._tcp.{HOST} TLSA: wrong; expected 3 1 1 {pin}; found 3 1 1 {'ab' * 32}",
        f"_5269._tcp.{HOST} TLSA: missing; add 3 1 1 {pin}",
        f"_5270._tcp.{HOST} TLSA: surplus; remove 3 1 1 {'cd' * 32}",
        f"_443._tcp.conference.{ZONE} TLSA: surplus; remove 3 1 1 {'ef' * 32}",
        f"_xmpp-client._tcp.{ZONE} SRV: missing; add 0 5 5222 {HOST}.",
        f"_xmpps-client._tcp.{ZONE} SRV: wrong; expected 0 5 5223 {HOST}.; found 0 5 5223 elsewhere.fern.test.",
        f"_xmpp-server._tcp.{ZONE} SRV: surplus; remove 0 5 5269 elsewhere.fern.test.",
        f"_xmppconnect.{ZONE} TXT: surplus; remove _xmpp-client-xbosh=http://elsewhere.fern.test/",
        f'{ZONE} CAA: wrong; expected 0 issue ";"; found 0 issue "ca.example.net"',
        f'conference.{ZONE} CAA: surplus; remove 0 issue "ca.example.net"',
        f"{ZONE} TXT: surplus; remove v=spf1 +all",
        f"{HOST} A: wrong; expected {ADDRESS[HOST]}; found 198.51.100.66",
    ]
    assert lines == sorted(expected)


def test_verify_looks_for_them_too(serve, check):
    """Ports and pages, and then the DNS. The lab's controller has no dig, so the provider asks."""

    def verify():
        given = {"site_hosts": HOST, "verify_addresses": [ADDRESS[HOST]], "dns_records_from": "provider.test"}
        return check(playbook="verify", **given)

    serve()
    done = verify()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "after STARTTLS only" in done.stdout and "records are right at" in " ".join(done.stdout.split())
    serve(lambda lines: [line for line in lines if not line.startswith("www.")])
    assert said(verify()) == [f"www.{ZONE} A: missing; add 198.51.100.7"]


def test_an_alias_is_no_address(serve, check):
    def change(lines):
        kept = [line for line in lines if not line.startswith(f"proxy.{ZONE}. ")]
        return [*kept, f"proxy.{ZONE}. 3600 IN CNAME {HOST}."]

    serve(change)
    assert f"proxy.{ZONE} A: wrong; expected {ADDRESS[HOST]}; found CNAME {HOST}." in said(check())


def test_one_server_is_behind(serve, check):
    """The second one lacks a record that the first one has: both are signed, and each for itself is valid."""
    serve(lambda lines: [line for line in lines if not line.startswith("www.")])
    serve(servers="first")
    assert said(check()) == [f"www.{ZONE} A: missing; add 198.51.100.7 (at {SECOND})"]


def test_one_server_is_away(serve, check, provider):
    serve(then="systemctl stop provider@second")
    assert said(check()) == [f"{ZONE} NS: unreachable; it does not answer by UDP (at {SECOND})"]


def test_a_zone_without_a_chain_of_trust(serve, check):
    serve(ds="")
    (line,) = said(check())
    assert line.startswith(f"{ZONE}: unsigned; ") and "no DS record" in line
    assert check(dns_records_unsigned=True).returncode == 0


def test_a_tampered_record_is_bogus(serve, check):
    change = f"sed -i '/^www.{ZONE}/s/198.51.100.7$/198.51.100.8/' first/{ZONE}.zone second/{ZONE}.zone"
    serve(then=f"{change} && systemctl restart provider@first provider@second")
    first, second = said(check())
    assert first.startswith(f"www.{ZONE} A: bogus; its signature does not fit")
    assert second == f"www.{ZONE} A: wrong; expected 198.51.100.7; found 198.51.100.8"


def test_a_zone_with_another_s_ds_record_is_bogus(serve, check):
    serve(ds=f"{ZONE}. IN DS 12345 13 2 " + "AB" * 32)
    assert said(check()) == [f"{ZONE}: bogus; validation fails, so that nobody who validates finds it"]


def test_a_zone_that_nobody_has(check):
    (line,) = said(check(xmpp_domain="alder.test", bind_records_extra=[]))
    assert line == "alder.test: absent; alder.test does not exist in the DNS; have it delegated"


@pytest.mark.parametrize(
    ("resolver", "message"),
    [
        (VALUES["provider_forwarder_address"], "unknown; the resolver {} does not validate; name one that does"),
        ("198.51.100.99", "does not answer; name another one"),
    ],
)
def test_a_resolver_that_is_of_no_use(serve, check, resolver, message):
    done = check(dns_records_resolver=resolver)
    assert done.returncode != 0
    assert message.format(resolver) in " ".join((done.stdout + done.stderr).split())
