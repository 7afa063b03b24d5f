# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import re
import subprocess

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.firewall import (
    firewall_egress,
    firewall_rules,
    nftables_rules,
)

ALL = ["client", "server", "web", "dns", "proxy", "turn", "turns"]


def rule(**changes):
    return {"name": "web", "protocol": "tcp", "ports": [443], "rate": 5, "burst": 9, "sources": [], **changes}


def nft(lines):
    table = [
        "table inet filter {",
        *lines["counters"],
        *lines["sets"],
        *(["chain count {", *lines["count"], "}"] if lines.get("count") else []),
        "chain input {",
        "type filter hook input priority filter;",
        "policy drop;",
        *lines["ssh"],
        *lines["rules"],
        "}",
        "chain output {",
        "type filter hook output priority filter;",
        *(["jump count"] if lines.get("count") else []),
        *lines.get("output", []),
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
            "connections": 50,
            "sources": ["198.51.100.7/32", "2001:db8::/32"],
        },
        {
            "name": "client",
            "protocol": "tcp",
            "ports": [5222, 5223],
            "rate": 50,
            "burst": 100,
            "connections": 500,
            "sources": [],
        },
    ]


NEW = "tcp dport { 443 } ct state new"
SYN = "tcp dport { 443 } ct state untracked tcp flags & (fin | syn | rst | ack) == syn"


def test_nftables_lines():
    found = nftables_rules([rule(sources=["198.51.100.0/25", "198.51.100.128/25", "2001:db8::/32"])], 7)
    assert found["counters"] == ["counter accept_web { }", "counter drop_web { }"]
    assert found["ssh"] == []
    assert found["untracked"] == "{ 443 }"
    assert [line for line in found["sets"] if "_v4" in line] == [
        "set web_rate_v4 { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }",
        "set web_over_v4 { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 7s; }",
        "set web_again_v4 { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }",
        "set tried_v4 { type ipv4_addr . inet_service . inet_service; size 65535; flags dynamic,timeout; timeout 1m; }",
    ]
    once = "ip6 saddr . tcp sport . tcp dport"
    source = "ip6 saddr & ffff:ffff:ffff:ffff::"
    over = f"{SYN} {source} @web_over_v6"
    assert [line for line in found["rules"] if "@web_over_v4" not in line] == [
        f"{over} {once} != @tried_v6 add @tried_v6 {{ {once} }} counter name drop_web drop",
        f"{over} update @web_again_v6 {{ {source} limit rate over 5/second burst 9 packets }} counter name drop_web drop",
        f"ip saddr {{ 198.51.100.0/24 }} {NEW} socket wildcard {{ 0, 1 }} accept",
        f"ip6 saddr {{ 2001:db8::/32 }} {NEW} socket wildcard {{ 0, 1 }} accept",
        f"ip saddr {{ 198.51.100.0/24 }} {SYN} accept",
        "ip saddr { 198.51.100.0/24 } tcp dport { 443 } ct state new counter name accept_web accept",
        f"ip6 saddr {{ 2001:db8::/32 }} {SYN} accept",
        "ip6 saddr { 2001:db8::/32 } tcp dport { 443 } ct state new counter name accept_web accept",
    ]
    assert found["count"][-2:] == [
        "tcp sport { 443 } update @web_rate_v4 { ip daddr limit rate over 5/second burst 9 packets } "
        "update @web_over_v4 { ip daddr }",
        "tcp sport { 443 } update @web_rate_v6 { ip6 daddr & ffff:ffff:ffff:ffff:: limit rate over 5/second burst 9 packets } "
        "update @web_over_v6 { ip6 daddr & ffff:ffff:ffff:ffff:: }",
    ]


def test_a_first_packet_counts_against_nobody():
    """Anybody can send it in the name of anybody else: limits look at completed handshakes, and no rule at senders of UDP."""
    found = nftables_rules(firewall_rules(ALL))
    lines = found["ssh"] + found["rules"]
    for line in lines:
        begins = "ct state untracked" in line
        if "udp" in line:
            assert line.endswith("accept") and "saddr" not in line
        elif begins and "drop" in line:
            # Only of a source that has completed too many, and only at these ports.
            name = re.search("counter name drop_([a-z_]+)", line)[1]
            assert re.search(rf" @{name}_over_v[46] ", line), line
        else:
            assert begins == line.endswith("== syn accept")
    noted = [line for line in lines + found["count"] if re.search(r"(add|update) @\w+_over_", line)]
    assert noted and set(noted) <= set(found["count"])
    assert not [line for line in lines + found["sets"] if "dns" in line and ("rate" in line or "over_v" in line)]
    assert nft(found).returncode == 0


def test_connections_at_the_same_time():
    found = nftables_rules([rule(name="ssh", ports=[22], connections=7), rule(connections=3)])
    assert [line for line in found["sets"] if "_open_" in line] == [
        f"set {name}_open_{family} {{ type {kind}; size 65535; flags dynamic; }}"
        for name in ("ssh", "web")
        for family, kind in (("v4", "ipv4_addr"), ("v6", "ipv6_addr"))
    ]
    assert (
        "tcp dport { 443 } ct state new add @web_open_v6 { ip6 saddr & ffff:ffff:ffff:ffff:: ct count over 3 } "
        "counter name drop_web reject with tcp reset"
    ) in found["rules"]
    assert nft(found).returncode == 0


def test_nobody_is_held_off():
    found = nftables_rules(firewall_rules(ALL), 0)
    assert found["count"] == []
    assert not [line for line in found["sets"] + found["ssh"] + found["rules"] if "_over_" in line or "tried" in line]
    assert nft(found).returncode == 0


def test_one_family_of_sources_leaves_the_other_closed():
    lines = nftables_rules([rule(sources=["198.51.100.7"])])["rules"]
    assert [line for line in lines if line.endswith("accept")] == [
        f"ip saddr {{ 198.51.100.7/32 }} {NEW} socket wildcard {{ 0, 1 }} accept",
        f"ip saddr {{ 198.51.100.7/32 }} {SYN} accept",
        "ip saddr { 198.51.100.7/32 } tcp dport { 443 } ct state new counter name accept_web accept",
    ]


@pytest.mark.parametrize(
    "rules",
    [
        firewall_rules(ALL),
        firewall_rules(ALL, ssh_sources=["198.51.100.0/24", "198.51.100.7", "2001:db8::/32", "2001:db8::7"]),
        [rule(ports=["49152-65535", 50000, 443, 443, "400-500"], protocol="udp", rate=0, burst=0)],
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
    assert (
        nft({"counters": [], "sets": [], "ssh": [], "rules": ["tcp dport { 443 ct state new accept"]}).returncode != 0
    )


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
    with pytest.raises(ValueError, match="rule 1: name: .* is not a rule's name; write a letter"):
        nftables_rules([rule(name=text)])


@pytest.mark.parametrize("key", ["protocol", "ports", "rate", "burst", "sources"])
@pytest.mark.parametrize("text", ["443 } accept; tcp dport { 1", "1\n2", "any", "", None, True, 0, -1, 1.5, {}])
def test_no_value_can_break_out(key, text):
    for value in (text, [text]):
        with pytest.raises(ValueError, match=f"rule 1: web: {key}: .*; write "):
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
        (lambda: firewall_rules(["dns"], limits={"dns_tcp": {"rate": 9}}), "limits: dns_tcp: burst: 0 is not a count"),
        (
            lambda: firewall_rules(["dns"], limits={"dns_udp": {"rate": 9}}),
            "limits: dns_udp: rate: 9 is a limit by source, and the source of a UDP packet can be forged, so that anybody could "
            "shut out anybody else; leave rate, burst and connections out of rules for udp",
        ),
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
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def outgoing(**changes):
    return {"name": "prosody", "users": ["prosody"], "protocol": "tcp", "ports": [5269, 5270], **changes}


def test_what_goes_out():
    found = nftables_rules(
        [],
        egress=[
            outgoing(),
            outgoing(
                name="turn",
                users=["turnserver", "_apt"],
                protocol="udp",
                ports=["1-65535"],
                source_ports=["49152-65535"],
            ),
            outgoing(
                name="all", users=[], ports=[53], destinations=["198.51.100.0/25", "198.51.100.128/25", "2001:db8::1"]
            ),
            outgoing(name="absent", users=["nobody_here"]),
        ],
        users=["prosody", "_apt"],
    )["egress"]
    assert found == {
        "counters": [f"counter egress_{name} {{ }}" for name in ("prosody", "turn", "all")],
        "rules": [
            'meta skuid { "prosody" } tcp dport { 5269, 5270 } counter name egress_prosody accept',
            'meta skuid { "_apt" } udp sport { 49152-65535 } udp dport { 1-65535 } counter name egress_turn accept',
            "ip daddr { 198.51.100.0/24 } tcp dport { 53 } counter name egress_all accept",
            "ip6 daddr { 2001:db8::1/128 } tcp dport { 53 } counter name egress_all accept",
        ],
    }


@pytest.mark.parametrize("services", [[], ["server"], ALL])
def test_nft_accepts_what_goes_out(services):
    rules = firewall_egress(services)
    # Users that every machine has: nft looks for them.
    for item in rules:
        item["users"] = [name if name == "mail" else "daemon" for name in item["users"]]
    found = nftables_rules([], egress=rules, users=["daemon", "mail"])["egress"]
    done = nft({"counters": found["counters"], "sets": [], "ssh": [], "rules": [], "output": found["rules"]})
    print(f"{services}: {len(found['rules'])} rules, nft says {done.returncode}")
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert ("prosody" in str(found["counters"])) == ("server" in services)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"users": "prosody"},
            "prosody: users: 'prosody' is not a list of users; write for example ['prosody'], or [] for any",
        ),
        (
            {"users": ['x" accept']},
            "prosody: users: 'x\" accept' is not a system user; write its name, for example 'prosody'",
        ),
        ({"users": [0]}, "prosody: users: 0 is not a system user; write its name, for example 'prosody'"),
        ({"user": ["x"]}, "'user' is not a key of a rule; did you mean 'users'?"),
        ({"source_ports": ["9-1"]}, "prosody: source_ports: '9-1' is not a range of ports"),
        ({"destinations": ["x"]}, "prosody: destinations: 'x' is not a network"),
        ({"protocol": "icmp"}, "prosody: protocol: 'icmp' is not a protocol"),
        ({"name": "root"}, "name: 'root' is the name of two rules"),
        ({"name": "a;b"}, "name: 'a;b' is not a rule's name"),
    ],
)
def test_bad_rules_of_what_goes_out(changes, said):
    with pytest.raises(ValueError) as caught:
        nftables_rules([], egress=[outgoing(**changes)], users=["prosody"])
    assert str(caught.value).startswith(f"egress: rule 1: {said}")


def test_networks_are_joined():
    found = nftables_rules([], blocked=["198.51.100.0/25", "198.51.100.128/25", "2001:db8::7"])["blocked"]
    assert found == {
        "v4": ["198.51.100.0/24"],
        "v6": ["2001:db8::7/128"],
    }
    with pytest.raises(ValueError, match="^blocked: 'x' is not a network"):
        nftables_rules([], blocked=["x"])
