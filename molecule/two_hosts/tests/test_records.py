# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones of the operator's own: BIND serves them as the checks of the inventory take them to be, with every type of records."""

from __future__ import annotations

import itertools
import json
import os
import random
import sys

import pytest
from conftest import ADDRESS, INVENTORY, PRIMARY, SECONDARY
from hosts import until

sys.path.append(os.environ["ANSIBLE_COLLECTIONS_PATH"])
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import dig as questions
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import dns_check
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns, dns_records, dns_zone

OWN, REVERSE = "elm.test", "0/25.100.51.198.in-addr.arpa"
WILD = {"A": "198.51.100.7", "TXT": "a text", "NS": "ns.example.net.", "DNAME": "example.net."}
KINDS = [
    {"name": "@", "type": "NAPTR", "data": '100 10 "S" SIP+D2U "" _sip._udp.elm.test.'},
    {"name": "@", "type": "NAPTR", "data": r'100 20 "u" "E2U+sip" "!^(.*)$!sip:\\1@example.net!i" .'},
    {"name": "moved", "type": "DNAME", "data": "Example.NET."},
    {"name": "_http._tcp", "type": "URI", "data": '10 1 "https://example.net/a?b=c;d"'},
    {"name": f"{'ab' * 28}._openpgpkey", "type": "OPENPGPKEY", "data": "mQENBFVHm5sBCADNq4XMPRg0QNpDGZUPHW8Q" * 9},
    {"name": f"{'cd' * 28}._smimecert", "type": "SMIMEA", "data": "3 0 0 " + "ab" * 700},
    {"name": "here", "type": "LOC", "data": "52 14 05.5 N 00 08 50 E -2m 25m 1234m 12.34"},
    {"name": "there", "type": "LOC", "data": "33 S 70 W 0"},
    {
        "name": "_dns",
        "type": "SVCB",
        "data": "1 doh.elm.test. alpn=h2,h3 port=443 dohpath=/dns-query{?dns} mandatory=port,alpn",
    },
    {
        "name": "doh",
        "type": "HTTPS",
        "data": '2 . key7="/q{?dns}" ipv4hint=198.51.100.7 ipv6hint=2001:DB8::0:1 key65333=x',
    },
    {"name": "kind", "type": "TYPE65280", "data": r"\# 4 0A00 0001"},
    {"name": "kind", "type": "TYPE65281", "data": r"\# 0"},
    # dig and BIND know them by names of their own: HINFO and RESINFO.
    {"name": "kind", "type": "TYPE13", "data": r"\# 4 01410142"},
    {"name": "kind", "type": "TYPE261", "data": r"\# 4 03414243"},
    {"name": "1", "type": "CNAME", "data": "1.0/25.elm.test."},
    {"name": "1.0/25", "type": "PTR", "data": "host.example.net."},
    {"name": "64/26", "type": "NS", "data": "ns.example.net."},
]


def random_tree(count=45):
    """Records at random places of a small tree, in which names hide others."""
    source = random.Random(4592)
    labels = ["a", "b", "_tcp", "*"]
    names = [".".join(path) for length in (1, 2, 3) for path in itertools.product(labels, repeat=length)]
    names = [name for name in names if "*" not in name.split(".")[1:]]
    kinds = ["A", "TXT"]
    made = [(f"{name}.wild", source.choice(kinds)) for name in source.sample(names, count) if "_" not in name]
    made += [(f"{name}.wild", "TXT") for name in source.sample(names, count // 3)]
    made += [(name, "TXT") for name in ("*", "_443._tcp.upload")] + [("sub", "NS")]
    return [{"name": name, "type": kind, "data": WILD[kind]} for name, kind in dict.fromkeys(made)]


TREE = random_tree()


@pytest.fixture(scope="module")
def own(primary, secondary, play):
    """Have the primary serve the zones; another run takes them away."""
    zones = [
        *INVENTORY["hosts"][PRIMARY]["bind_zones_extra"],
        {"name": OWN, "records": [*TREE, *KINDS]},
        {"name": REVERSE, "records": [{"name": "1", "type": "PTR", "data": "host.elm.test."}]},
    ]
    done = play(PRIMARY, bind_zones_extra=zones)
    assert done.returncode == 0, done.stdout[-3000:]
    for host, zone in itertools.product((primary, secondary), (OWN, REVERSE)):
        until(lambda host=host, zone=zone: host.out(f"dig +short +norec @127.0.0.1 {zone} SOA") != "", 60)
    yield dns.dns_extra_zones([], zones[-2:], INVENTORY["hosts"][PRIMARY]["bind_nameservers"])
    assert play(PRIMARY).returncode == 0


@pytest.fixture
def dig(monkeypatch, stranger, secondary):
    """Have the module's questions asked by the dig of another host."""

    def use(server, host):
        def run(command, *, stdin, **_options):
            class Done:
                stdout = host.out(" ".join(f"'{word}'" for word in command), stdin=stdin)

            return Done

        monkeypatch.setattr(questions, "attempt", run)
        return lambda questions: dns_check.ask(questions, "+norecurse", "+tcp", "+keepopen", server=ADDRESS[server])

    return use


def test_wildcards_are_taken_as_bind_takes_them(own, dig, stranger):
    """RFC 4592: what the check of the names says of each name of the tree, BIND answers."""
    zone = own[0]
    owners = dns_zone.Owners(zone["records"])
    labels = ["a", "b", "_tcp", "x"]
    names = [f"{'.'.join(path)}.wild" for length in (1, 2, 3, 4) for path in itertools.product(labels, repeat=length)]
    names += [
        "upload",
        "_443._tcp.upload",
        "x.upload",
        "_tcp.upload",
        "x",
        "y.x",
        "wild",
        "sub",
        "x.sub",
        "x.moved",
        "_x.here",
    ]
    questions = [(f"{name}.{OWN}", kind) for name in names for kind in ("A", "TXT")]
    answers = dig(PRIMARY, stranger)(questions)
    assert len(answers) == len(questions)
    wrong, synthesised = [], 0
    for name, kind in itertools.product(names, ("A", "TXT")):
        answer = answers[f"{name}.{OWN}", kind]
        served = bool([data for place, other, data in answer["records"] if (place, other) == (f"{name}.{OWN}", kind)])
        led = owners.leads_to(name)
        taken = not led and kind in owners.at(name)
        synthesised += taken and name not in owners.types
        if served != taken or (led is None) != (
            "aa" in answer["flags"] and not any(r[1] == "DNAME" for r in answer["records"])
        ):
            wrong.append((name, kind, served, taken, led))
    print(f"{len(questions)} questions, {synthesised} answered by wildcards, {len(wrong)} taken wrongly")
    assert wrong == [] and synthesised > 50


@pytest.mark.parametrize("server", [PRIMARY, SECONDARY])
@pytest.mark.parametrize("asker", ["stranger", "secondary"])
def test_every_type_is_served_and_compared_right(own, dig, server, asker, request):
    """By the dig of Debian 13 and that of Debian 12, which print some in other forms than we write."""
    made = dns_records.dns_records(own)
    records = [record for zone in made for record in zone["records"]]
    sets = dns_check.by_name(records)
    answers = dig(server, request.getfixturevalue(asker))(list(sets))
    findings, right = dns_check.check_server(sets, [], answers)
    kinds = {kind for _name, kind in sets}
    print(f"{right} records of {len(kinds)} types: {', '.join(sorted(kinds))}")
    assert findings == [] and right == len(records) and len(kinds) > 15


def test_another_record_is_told_from_each(own, dig, stranger):
    """The comparison is not so lenient that it takes anything."""
    made = dns_records.dns_records(own)
    sets = dns_check.by_name(record for zone in made for record in zone["records"])
    answers = dig(PRIMARY, stranger)(list(sets))
    changes = {"NAPTR": ("100 10", "100 11"), "LOC": (" N ", " S "), "TYPE65281": (r"\# 0", r"\# 1 00")}
    changes |= {
        "URI": ("/a", "/A"),
        "SVCB": ("/dns-query", "/dns"),
        "HTTPS": ("65333", "65334"),
        "OPENPGPKEY": ("mQ", "mR"),
    }
    for (name, kind), data in sets.items():
        if kind not in changes or kind == "LOC" and name.startswith("there"):
            continue
        other = {(name, kind): [item.replace(*changes[kind]) for item in data]}
        assert other[name, kind] != data
        findings, _right = dns_check.check_server(other, [], answers)
        assert [finding["status"] for finding in findings] == ["wrong"], json.dumps(findings)


def test_the_keys_of_a_zone_with_a_slash(primary, own):
    """bind-ds-records, the module that asks for the keys, and the program that signs after a restore know its files."""
    assert "DS" in primary.out(f"bind-ds-records {REVERSE}")
    assert primary.out("ls /var/lib/bind/keys/K0%2F25.100.51.198.in-addr.arpa.+013+*.private").count("\n") == 1
    before = primary.out(f"dig +short +norec @127.0.0.1 {REVERSE} DNSKEY | sort")
    signed = "/var/lib/bind/zones/0%2F25.100.51.198.in-addr.arpa.zone.signed"
    primary.out(f"systemctl stop named && rm {signed}* && bind-sign-restored /var/lib/bind/zones /var/lib/bind/keys")
    assert primary.out(f"stat -c %s {signed}") > "0"
    primary.out("systemctl start named")
    until(lambda: primary.run(f"dig +short +norec @127.0.0.1 {REVERSE} DNSKEY | sort").stdout.strip() == before, 30)
