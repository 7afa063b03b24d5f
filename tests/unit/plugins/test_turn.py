# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import ipaddress
import pathlib
import re

import pytest
import yaml
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.turn import turn_addresses, turn_ranges

ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles/turn"
LOCAL = ["127.0.0.1", "10.0.0.5", "198.51.100.10", "::1", "2001:db8::10", "fe80::1"]


def same(*addresses):
    return [{"address": address, "public": address} for address in addresses]


@pytest.mark.parametrize(
    ("public", "routed", "expected"),
    [
        (["198.51.100.10"], [], same("198.51.100.10")),
        (["198.51.100.10", "2001:DB8:0::10"], ["10.0.0.5"], same("198.51.100.10", "2001:db8::10")),
        (["203.0.113.7"], ["10.0.0.5", "2001:db8::10"], [{"address": "10.0.0.5", "public": "203.0.113.7"}]),
        (
            ["203.0.113.7", "2001:db8::10"],
            ["10.0.0.5", "2001:db8::10"],
            [{"address": "10.0.0.5", "public": "203.0.113.7"}, *same("2001:db8::10")],
        ),
    ],
    ids=["its own", "canonical form", "NAT", "NAT for one family"],
)
def test_addresses(public, routed, expected):
    assert turn_addresses(public, LOCAL, routed) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["203.0.113.7"], LOCAL), "'203.0.113.7' is not an address of this host, which has no default route for IPv4"),
        (
            (["2001:db8::99"], LOCAL, ["10.0.0.5"]),
            "'2001:db8::99' is not an address of this host, which has no default",
        ),
        (
            (["203.0.113.7", "203.0.113.8"], LOCAL, ["10.0.0.5"]),
            "'203.0.113.8' and '203.0.113.7' both lead to 10.0.0.5, and a relayed packet can come from one only",
        ),
        (([], LOCAL), "public: [] is not a list of addresses: it is empty"),
        (("198.51.100.10", LOCAL), "public: '198.51.100.10' is not a list of addresses"),
        ((["198.51.100.10\nno-auth"], LOCAL), "public: '198.51.100.10\\nno-auth' is not an IP address"),
        ((["127.0.0.1"], LOCAL), "public: '127.0.0.1' is the loopback"),
        ((["198.51.100.10"], ["here"]), "local: 'here' is not an IP address"),
        ((["198.51.100.10"], LOCAL, "10.0.0.5"), "routed: '10.0.0.5' is not a list of addresses"),
    ],
)
def test_wrong_addresses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        turn_addresses(*arguments)


def test_ranges():
    assert turn_ranges(["10.0.0.0/8", "192.0.2.7", "fc00::/7", "2001:db8::1"]) == [
        "10.0.0.0-10.255.255.255",
        "192.0.2.7-192.0.2.7",
        "fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db8::1-2001:db8::1",
    ]
    assert turn_ranges([]) == []


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ("10.0.0.0/8", "'10.0.0.0/8' is not a list of networks; write for example ['10.0.0.0/8', 'fc00::/7']"),
        ({"a": 1}, "is not a list of networks"),
        (["10.0.0.1/8"], "number 1: '10.0.0.1/8' is not a network"),
        (["10.0.0.0/8", "x"], "number 2: 'x' is not a network"),
        (["::/96"], "number 1: '::/96' begins with '::', and coturn takes such a range for all IPv4 addresses, too"),
        ([None], "number 1: None is not a network"),
    ],
)
def test_wrong_ranges(networks, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        turn_ranges(networks)


def test_what_is_denied_is_all_that_is_not_global():
    """Python knows the registries of special addresses; each of their networks is denied, and no other."""
    denied = yaml.safe_load((ROLE / "defaults/main.yml").read_text())["turn_denied_peers"]
    networks = [ipaddress.ip_network(item) for item in denied]
    turn_ranges(denied)

    def is_denied(address):
        return any(address.version == network.version and address in network for network in networks)

    for text in (
        *("10.1.2.3", "100.64.0.1", "127.9.9.9", "169.254.169.254", "172.31.255.255", "192.168.1.1", "0.1.2.3"),
        *("192.0.0.9", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.251", "255.255.255.255"),
        *("fe80::1", "fc00::1", "fdff::1", "ff02::1", "2001:db8::1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1"),
        *("::ffff:10.0.0.1", "fec0::1", "100::1", "3fff::1", "5f00::1"),
    ):
        assert is_denied(ipaddress.ip_address(text)), text
    for text in (
        "8.8.8.8",
        "9.255.255.255",
        "100.128.0.1",
        "172.32.0.1",
        "223.255.255.255",
        "2600::1",
        "2a00::1",
        "2003::1",
    ):
        assert ipaddress.ip_address(text).is_global
        assert not is_denied(ipaddress.ip_address(text)), text
