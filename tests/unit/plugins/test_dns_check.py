# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dig prints, the comparison, and the sentences. Real name servers answer in the scenario external_dns."""

import io
import json
import sys

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import dig, dns_check
from ansible_collections.magicbroccoli.xmpp.plugins.modules import dns_check as module

ZONE = "example.org"
ANSWER = """;; Got answer:
;; ->>HEADER<<- opcode: QUERY, status: {status}, id: 62868
;; flags: {flags}; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1

;; OPT PSEUDOSECTION:
; EDNS: version: 0, flags:; udp: 1232
;; QUESTION SECTION:
;{name}.\t\t\tIN\t{kind}

;; ANSWER SECTION:
{records}

"""


def answer(name, kind, *records, status="NOERROR", flags="qr aa"):
    lines = [f"{owner}.\t\t3600\tIN\t{other}\t{data}" for owner, other, data in records]
    return ANSWER.format(name=name, kind=kind, status=status, flags=flags, records="\n".join(lines))


class World:
    """Stands for dig: has the answers of each server, and nothing of those that are away."""

    def __init__(self):
        self.servers = {}
        self.asked = []

    def put(self, server, name, kind, *data, **rest):
        records = [item if isinstance(item, tuple) else (name, kind, item) for item in data]
        self.servers.setdefault(server, {})[name, kind] = answer(name, kind, *records, **rest)

    def __call__(self, command, stdin, **_options):
        server = next((word[1:] for word in command if word.startswith("@")), "resolver")
        self.asked.append(command)
        known = self.servers.get(server, {})
        output = ""
        for line in stdin.splitlines():
            name, kind, *_options = line.split()
            name = name.rstrip(".") or ""
            output += known.get((name, kind), answer(name, kind, status="NXDOMAIN") if known else ";; timed out\n")

        class Done:
            stdout = output

        return Done


@pytest.fixture
def world(monkeypatch):
    made = World()
    monkeypatch.setattr(dig, "attempt", made)
    monkeypatch.setattr(dns_check, "has_route", lambda address: True)
    soa = "ns1.example.net. root.example.net. 1 3600 600 86400 60"
    made.put("resolver", ZONE, "SOA", soa, flags="qr rd ra ad")
    made.put("resolver", ZONE, "NS", "ns1.example.net.", "ns2.example.net.")
    made.put("resolver", "ns1.example.net", "A", "192.0.2.1")
    made.put("resolver", "ns2.example.net", "A", "192.0.2.2")
    for server in ("192.0.2.1", "192.0.2.2"):
        made.put(server, ZONE, "SOA", soa)
        made.put(server, ZONE, "A", "198.51.100.10")
    return made


RECORDS = [{"name": ZONE, "type": "A", "data": "198.51.100.10"}]


def check(records=RECORDS, absent=(), **options):
    found = dns_check.Check().zone(ZONE, records, absent)
    return found, dns_check.sentences(ZONE, found, **options)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("AAAA", "2001:DB8:0::1", "2001:db8::1"),
        ("NS", "NS1.Example.NET.", "ns1.example.net."),
        ("SRV", "0 5 5222 Host.example.org.", "0 5 5222 host.example.org."),
        ("TXT", '"ab" "cd"', '"abcd"'),
        ("TXT", '"a\\"b\\\\"', '"a\\034b\\092"'),
        ("TXT", '"\\195\\188"', '"ü"'),
        ("CAA", '0 issue "ca.example.net;a=b"', '0 ISSUE "ca.example.net; a=b"'),
        ("CAA", '0 issue ";"', '0 issue ""'),
        ("TLSA", "3 1 1 ABCD EF", "3 1 1 abcdef"),
        ("SSHFP", "4 2 AB CD", "4 2 abcd"),
        ("DS", "1 13 2 AB CD", "1 13 2 abcd"),
        ("HTTPS", '1 . alpn="h2,h3" port=443', "1 . port=443 alpn=h2,h3"),
        ("SVCB", '1 . alpn="h2" key7="/dns-query{?dns}"', "1 . dohpath=/dns-query{?dns} alpn=h2"),
        ("SVCB", "1 . mandatory=port,alpn alpn=h2 port=1", '1 . mandatory=key1,port key1="h2" key3="1"'),
        ("SVCB", "1 . ipv6hint=2001:DB8::0:1", '1 . ipv6hint="2001:db8::1"'),
        ("SVCB", '1 . key65333="ex"', "1 . key65333=ex"),
        ("DNAME", "Example.NET.", "example.net."),
        ("NAPTR", '100 10 "U" "e2u+SIP" "!^.*$!sip:a@b.example!" .', '100 10 u E2U+sip "!^.*$!sip:a@b.example!" .'),
        ("NAPTR", '1 1 "s" "SIP+D2U" "" _SIP._udp.Example.org.', '1 1 "s" "SIP+D2U" "" _sip._udp.example.org.'),
        ("URI", '10 1 "https://example.net/a"', "10 1 https://example.net/a"),
        ("OPENPGPKEY", "mQEN BFVH m5sB", "mQENBFVHm5sB"),
        ("SMIMEA", "3 0 1 ABAB ABAB", "3 0 1 abababab"),
        (
            "LOC",
            "52 0 0.000 N 4 0 0.000 E 10.00m 1m 10000m 10m",
            "52 0 0.000 N 4 0 0.000 E 10.00m 1.00m 10000.00m 10.00m",
        ),
        ("TYPE65280", "\\# 4 0A00 0001", "\\# 4 0a000001"),
        ("TYPE65280", "\\# 0", "\\#  0 "),
    ],
)
def test_two_forms_of_the_same(kind, one, other):
    assert dns_check.normal(kind, one) == dns_check.normal(kind, other)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("TXT", '"ab"', '"AB"'),
        ("CAA", '0 issue "a.example"', '0 issuewild "a.example"'),
        ("CAA", '0 issue "a.example"', '128 issue "a.example"'),
        ("TLSA", "3 1 1 ab", "2 1 1 ab"),
        ("MX", "0 .", "10 ."),
        ("NAPTR", '1 1 "u" "E2U+sip" "!a!b!" .', '1 1 "u" "E2U+sip" "!A!b!" .'),
        ("NAPTR", '1 1 "u" "E2U+sip" "!a!\\\\1!" .', '1 1 "u" "E2U+sip" "!a!1!" .'),
        ("URI", '10 1 "https://example.net/a"', '10 1 "https://example.net/A"'),
        ("OPENPGPKEY", "mQEN", "mqen"),
        ("LOC", "52 0 0.000 N 4 0 0.000 E 10.00m 1m 10000m 10m", "52 0 0.000 N 4 0 0.000 W 10.00m 1m 10000m 10m"),
        ("SVCB", "1 . alpn=h2", "1 . alpn=h3"),
        ("SVCB", "1 . no-default-alpn alpn=h2", "1 . alpn=h2"),
        ("TYPE65280", "\\# 1 0a", "\\# 1 0b"),
    ],
)
def test_two_that_differ(kind, one, other):
    assert dns_check.normal(kind, one) != dns_check.normal(kind, other)


@pytest.mark.parametrize(
    ("kind", "expected", "found", "result"),
    [
        ("A", ["198.51.100.1"], ["198.51.100.1"], ("right", [], [])),
        ("A", ["198.51.100.1"], [], ("missing", ["198.51.100.1"], [])),
        ("A", ["198.51.100.1"], ["198.51.100.2"], ("wrong", ["198.51.100.1"], ["198.51.100.2"])),
        ("A", ["198.51.100.1"], ["198.51.100.1", "198.51.100.2"], ("surplus", [], ["198.51.100.2"])),
        ("A", [], ["198.51.100.2"], ("surplus", [], ["198.51.100.2"])),
        ("TXT", ['"a"'], ["a", "b"], ("right", [], [])),
        ("TXT", ['"v=spf1 -all"'], ["v=spf1 -all", "V=SPF1 +all"], ("surplus", [], ["V=SPF1 +all"])),
        ("TXT", ['"a"'], ["a", "v=spf1 +all"], ("right", [], [])),
        ("TXT", [], ["a"], ("surplus", [], ["a"])),
        ("CAA", ['0 issue ";"'], ['0 issue ";"', '0 iodef "mailto:a@example.org"'], ("right", [], [])),
        ("CAA", ['0 issue ";"'], ['0 issue ";"', '0 issue "b.example"'], ("surplus", [], ['0 issue "b.example"'])),
        # Who does not know a critical property must not issue.
        ("CAA", ['0 issue "a.example"'], ['0 issue "a.example"', '128 x "y"'], ("surplus", [], ['128 x "y"'])),
        ("TXT", ['"a"'], ["CNAME b.example."], ("wrong", ["a"], ["CNAME b.example."])),
    ],
)
def test_comparison(kind, expected, found, result):
    assert dns_check.compare(kind, expected, found) == result


def test_all_is_right(world):
    found, lines = check(absent=[{"name": ZONE, "type": "AAAA"}])
    assert lines == [] and found["right"] == 1 and found["dnssec"]["status"] == "secure"
    assert found["servers"] == ["ns1.example.net (192.0.2.1)", "ns2.example.net (192.0.2.2)"]


def test_both_transports_are_tried_at_each_server(world):
    check()
    for server in ("192.0.2.1", "192.0.2.2"):
        tried = {option for command in world.asked if f"@{server}" in command for option in command}
        assert {"+tcp", "+notcp", "+norecurse"} <= tried


def test_one_server_differs(world):
    world.put("192.0.2.2", ZONE, "A", "198.51.100.66")
    _found, lines = check()
    assert lines == [
        "example.org A: wrong; expected 198.51.100.10; found 198.51.100.66 (at ns2.example.net (192.0.2.2))"
    ]


def test_both_servers_differ(world):
    for server in ("192.0.2.1", "192.0.2.2"):
        world.put(server, ZONE, "A")
    _found, lines = check()
    assert lines == ["example.org A: missing; add 198.51.100.10"]


def test_a_server_refuses_one_question(world):
    world.put("192.0.2.1", ZONE, "A", status="REFUSED")
    _found, lines = check()
    assert lines == ["example.org A: unanswered; REFUSED (at ns1.example.net (192.0.2.1))"]


def test_a_server_is_away(world):
    del world.servers["192.0.2.2"]
    _found, lines = check()
    assert lines == ["example.org NS: unreachable; it does not answer by UDP (at ns2.example.net (192.0.2.2))"]


def test_a_lame_server(world):
    world.put("192.0.2.2", ZONE, "SOA", flags="qr")
    _found, lines = check()
    assert lines == ["example.org NS: unreachable; it does not know the zone (at ns2.example.net (192.0.2.2))"]


def test_a_server_without_an_address(world):
    world.put("resolver", "ns2.example.net", "A", status="NXDOMAIN")
    _found, lines = check()
    assert lines == ["example.org NS: unreachable; it has no address (at ns2.example.net)"]


def test_a_delegation_counts_where_it_is_given(world):
    name = f"_acme-challenge.{ZONE}"
    for server in ("192.0.2.1", "192.0.2.2"):
        world.put(server, name, "NS", (name, "NS", "Rosewood.example.org."), flags="qr")
    assert check([{"name": name, "type": "NS", "data": "rosewood.example.org."}])[1] == []


def test_names_within_somebody_else_s_zone(world):
    """The domain is no zone of its own: its records are looked for at the servers of the one around it."""
    name, soa = f"chat.{ZONE}", (ZONE, "SOA", "ns1.example.net. root.example.net. 1 3600 600 86400 60")
    world.put("resolver", name, "SOA", soa, flags="qr rd ra ad")
    for server in ("192.0.2.1", "192.0.2.2"):
        world.put(server, name, "SOA", soa)
        world.put(server, name, "A", "198.51.100.10")
    found = dns_check.Check().zone(name, [{"name": name, "type": "A", "data": "198.51.100.10"}])
    assert found["zone"] == ZONE and found["right"] == 1 and found["findings"] == []


@pytest.mark.parametrize(
    ("put", "status", "unsigned"),
    [
        ({"flags": "qr rd ra"}, "unknown", True),
        ({"flags": "qr rd ra", "root": "qr rd ra ad"}, "unsigned", True),
        ({"status": "NXDOMAIN"}, "absent", False),
        ({"status": "SERVFAIL"}, "absent", False),
        ({"status": "REFUSED"}, "absent", False),
    ],
)
def test_the_chain_of_trust(world, put, status, unsigned):
    root = put.pop("root", "qr rd ra")
    world.put("resolver", "", "SOA", ("", "SOA", "a. b. 1 1 1 1 1"), flags=root)
    data = ["ns1.example.net. root.example.net. 1 3600 600 86400 60"] if "status" not in put else []
    world.put("resolver", ZONE, "SOA", *data, **put)
    found, lines = check()
    assert found["dnssec"]["status"] == status
    assert [line.split(";")[0] for line in lines] == [f"example.org: {status}"]
    assert (check(unsigned=True)[1] == []) == unsigned


def test_a_record_with_a_wrong_signature(world):
    world.put("resolver", ZONE, "A", status="SERVFAIL")
    _found, lines = check()
    (line,) = lines
    assert line.startswith("example.org A: bogus; its signature does not fit")


def test_nobody_answers(monkeypatch):
    monkeypatch.setattr(dig, "attempt", World())
    with pytest.raises(dns_check.DnsError, match="the resolver of /etc/resolv.conf does not answer; name another one"):
        check()


def test_there_is_no_dig(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(dns_check.DnsError, match="dig: No such file or directory; install the package bind9-dnsutils"):
        check()


def call(monkeypatch, **args):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with patch_module_args(args), pytest.raises(SystemExit):
        module.main()
    return json.loads(sys.stdout.getvalue())


def test_the_module(world, monkeypatch):
    zones = [{"name": ZONE, "records": RECORDS, "absent": [{"name": ZONE, "type": "AAAA"}], "lines": ["x"]}]
    done = call(monkeypatch, zones=zones)
    assert done["msg"] == "1 record is right at ns1.example.net (192.0.2.1), ns2.example.net (192.0.2.2)"
    assert not done["changed"] and done["zones"][ZONE]["right"] == 1
    world.put("192.0.2.1", ZONE, "AAAA", "2001:db8::1")
    done = call(monkeypatch, zones=zones)
    assert done["failed"] and done["msg"].splitlines() == [
        "The DNS is not as it should be:",
        "example.org AAAA: surplus; remove 2001:db8::1 (at ns1.example.net (192.0.2.1))",
    ]
    assert call(monkeypatch, zones=[])["msg"] == "0 records are right at nobody"


def test_a_type_that_dig_may_know_by_another_name_is_asked_for_by_its_number(world):
    records = [*RECORDS, {"name": f"x.{ZONE}", "type": "TYPE99", "data": "\\# 4 03414243"}]
    for server, data in (("192.0.2.1", "\\# 4 03414243"), ("192.0.2.2", "\\# 4 0341 4244")):
        # As dig prints it with +unknownformat.
        world.servers[server][f"x.{ZONE}", "TYPE99"] = answer(
            f"x.{ZONE}", "TYPE99", (f"x.{ZONE}", "TYPE99", data)
        ).replace("\tIN\t", "\tCLASS1\t")
    _found, lines = check(records)
    assert lines == [
        f"x.{ZONE} TYPE99: wrong; expected \\# 4 03414243; found \\# 4 03414244 (at ns2.example.net (192.0.2.2))"
    ]
    alias = answer(f"x.{ZONE}", "TYPE99", (f"x.{ZONE}", "TYPE5", "\\# 3 016100")).replace("\tIN\t", "\tCLASS1\t")
    for server in ("192.0.2.1", "192.0.2.2"):
        world.servers[server][f"x.{ZONE}", "TYPE99"] = alias
    assert "found CNAME" in check(records)[1][0]
