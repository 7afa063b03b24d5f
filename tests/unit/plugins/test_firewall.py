# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import re
import subprocess

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.filter.firewall_rules import firewall_rules
from ansible_collections.magicbroccoli.xmpp.plugins.filter.nftables_rules import nftables_rules

ALL = ["client", "server", "web", "dns", "proxy", "turn", "turns"]


def rule(**changes):
    return {"name": "web", "protocol": "tcp", "ports": [443], "rate": 5, "burst": 9, "sources": [], **changes}


def nft(lines):
    table = [
        "table inet filter {",
        *lines["counters"],
        *lines["sets"],
        "chain input {",
        "type filter hook input priority filter;",
        "policy drop;",
        *lines["rules"],
        "}",
        "}",
        "",
    ]
    # A network namespace of its own: nothing is asked of the machine's firewall.
    return subprocess.run(
        ["unshare", "--net", "nft", "--check", "--file", "-"],
        input="\n".join(table).encode(),
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ([], {"ssh": ("tcp", [22])}),
        (["client"], {"ssh": ("tcp", [22]), "client": ("tcp", [5222, 5223])}),
        (["dns", "dns"], {"ssh": ("tcp", [22]), "dns_tcp": ("tcp", [53]), "dns_udp": ("udp", [53])}),
        (
            ALL,
            {
                "ssh": ("tcp", [22]),
                "client": ("tcp", [5222, 5223]),
                "server": ("tcp", [5269, 5270]),
                "web": ("tcp", [80, 443]),
                "dns_tcp": ("tcp", [53]),
                "dns_udp": ("udp", [53]),
                "proxy": ("tcp", [5000]),
                "turn_tcp": ("tcp", [3478]),
                "turn_udp": ("udp", [3478]),
                "turn_relay": ("udp", ["49152-65535"]),
                "turns": ("tcp", [5349]),
            },
        ),
    ],
)
def test_services(services, expected):
    assert {item["name"]: (item["protocol"], item["ports"]) for item in firewall_rules(services)} == expected


def test_ssh_and_limits():
    rules = firewall_rules(
        ["client"], ssh_port=2222, ssh_sources=["198.51.100.7", "2001:db8::/32"], limits={"client": {"rate": 50}}
    )
    assert rules == [
        {
            "name": "ssh",
            "protocol": "tcp",
            "ports": [2222],
            "rate": 1,
            "burst": 20,
            "sources": ["198.51.100.7/32", "2001:db8::/32"],
        },
        {"name": "client", "protocol": "tcp", "ports": [5222, 5223], "rate": 50, "burst": 100, "sources": []},
    ]


def test_nftables_lines():
    found = nftables_rules([rule(sources=["198.51.100.0/25", "198.51.100.128/25", "2001:db8::/32"])])
    assert found == {
        "counters": ["counter accept_web { }", "counter drop_web { }"],
        "sets": [
            "set web_v4 { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }",
            "set web_v6 { type ipv6_addr; size 65535; flags dynamic,timeout; timeout 1m; }",
        ],
        "rules": [
            "tcp dport { 443 } ct state new update @web_v4 { ip saddr limit rate over 5/second burst 9 packets } "
            "counter name drop_web drop",
            "tcp dport { 443 } ct state new update @web_v6 { ip6 saddr & ffff:ffff:ffff:ffff:: limit rate over "
            "5/second burst 9 packets } counter name drop_web drop",
            "ip saddr { 198.51.100.0/24 } tcp dport { 443 } ct state new counter name accept_web accept",
            "ip6 saddr { 2001:db8::/32 } tcp dport { 443 } ct state new counter name accept_web accept",
        ],
    }


def test_one_family_of_sources_leaves_the_other_closed():
    lines = nftables_rules([rule(sources=["198.51.100.7"])])["rules"]
    assert [line for line in lines if line.endswith("accept")] == [
        "ip saddr { 198.51.100.7/32 } tcp dport { 443 } ct state new counter name accept_web accept"
    ]


@pytest.mark.parametrize(
    "rules",
    [
        firewall_rules(ALL),
        firewall_rules(ALL, ssh_sources=["198.51.100.0/24", "198.51.100.7", "2001:db8::/32", "2001:db8::7"]),
        [rule(ports=["49152-65535", 50000, 443, 443, "400-500"], protocol="udp", rate=1, burst=1)],
        [rule(name="a" * 24, rate=1000000, burst=1000000)],
        [],
    ],
)
def test_nft_accepts_the_lines(rules):
    lines = nftables_rules(rules)
    done = nft(lines)
    print(f"{len(rules)} rules, {len(lines['sets'])} sets, {len(lines['rules'])} lines: nft says {done.returncode}")
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_nft_would_have_refused_a_wrong_line():
    assert nft({"counters": [], "sets": [], "rules": ["tcp dport { 443 ct state new accept"]}).returncode != 0


HOSTILE = [
    "",
    "a b",
    "a;b",
    "a}b",
    "a\nb",
    'a"b',
    "a#b",
    "é",
    "A",
    "_a",
    "9a",
    "a" * 25,
    None,
    7,
    ["a"],
    "web\n",
    "$(id)",
    "../a",
    "a\0",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_can_break_out(text):
    with pytest.raises(AnsibleFilterError, match="rule 1: name: .* is not a rule's name; write a letter"):
        nftables_rules([rule(name=text)])


@pytest.mark.parametrize("key", ["protocol", "ports", "rate", "burst", "sources"])
@pytest.mark.parametrize("text", ["443 } accept; tcp dport { 1", "1\n2", "any", "", None, True, 0, -1, 1.5, {}])
def test_no_value_can_break_out(key, text):
    for value in (text, [text]):
        with pytest.raises(AnsibleFilterError, match=f"nftables_rules: rule 1: web: {key}: .*; write "):
            nftables_rules([rule(**{key: value})])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: firewall_rules("client"), "services: 'client' is not a list; write for example ['client', 'server']"),
        (lambda: firewall_rules(["cilent"]), "services: 'cilent' is not a service; did you mean 'client'?"),
        (
            lambda: firewall_rules(["x"]),
            "'x' is not a service; write one of client, dns, proxy, server, turn, turns, web",
        ),
        (lambda: firewall_rules([], ssh_port=0), "ssh_port: 0 is not a port; write a number from 1 to 65535"),
        (lambda: firewall_rules([], ssh_port="22"), "ssh_port: '22' is not a port"),
        (
            lambda: firewall_rules([], ssh_sources=["198.51.100.1/24"]),
            "ssh_sources: '198.51.100.1/24' is not a network",
        ),
        (
            lambda: firewall_rules([], ssh_sources="198.51.100.1"),
            "ssh_sources: '198.51.100.1' is not a list of networks",
        ),
        (lambda: firewall_rules([], limits={"web": {"rate": 1}}), "limits: 'web' is not one of the rules; write"),
        (lambda: firewall_rules([], limits={"ssh": {"rat": 1}}), "limits.ssh: {'rat': 1} is not a limit"),
        (lambda: firewall_rules([], limits={"ssh": {"rate": 0}}), "limits: ssh: rate: 0 is not a count"),
        (lambda: firewall_rules([], limits=[]), "limits: [] is not a dictionary"),
        (lambda: nftables_rules([rule(), rule()]), "rule 2: name: 'web' is the name of two rules; give each its own"),
        (lambda: nftables_rules([rule(port=5)]), "rule 1: 'port' is not a key of a rule; did you mean 'ports'?"),
        (lambda: nftables_rules([7]), "rule 1: 7 is not a rule; write a dictionary with name, protocol"),
        (lambda: nftables_rules("x"), "'x' is not a list of rules"),
        (lambda: nftables_rules([rule(ports=[])]), "rule 1: web: ports: [] is not a list of ports"),
        (lambda: nftables_rules([rule(ports=["9-8"])]), "'9-8' is not a range of ports; write the lower one first"),
        (lambda: nftables_rules([rule(ports=["1-70000"])]), "70000 is not a port"),
    ],
)
def test_errors(call, message):
    with pytest.raises(AnsibleFilterError, match=re.escape(message)):
        call()
