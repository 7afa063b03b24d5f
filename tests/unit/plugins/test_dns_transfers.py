# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told of changes and may transfer. Real name servers do so in the scenario two_hosts."""

import base64
import re

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns_transfers import dns_transfers


def secret(length=32, first=0):
    return base64.b64encode(bytes(range(first, first + length))).decode()


def statement(name, value):
    return f'key "{name}" {{ algorithm hmac-sha256; secret "{value}"; }};'


def test_nobody_may_transfer_by_default():
    assert dns_transfers([]) == {"keys": [], "notified": [], "may_transfer": [], "members": [], "asked": []}


@pytest.mark.parametrize("length", [32, 33, 64])
def test_one_key_for_all(length):
    made = dns_transfers(
        ["198.51.100.20", "2001:db8::20"], ["198.51.100.10"], secret=secret(length), name="ns1-ns2.example.org"
    )
    assert made == {
        "keys": [statement("ns1-ns2.example.org", secret(length))],
        "notified": ['198.51.100.20 key "ns1-ns2.example.org"', '2001:db8::20 key "ns1-ns2.example.org"'],
        "may_transfer": ['key "ns1-ns2.example.org"'],
        "members": ['key "ns1-ns2.example.org"'],
        "asked": ['198.51.100.10 key "ns1-ns2.example.org"'],
    }


def test_each_its_own_key_or_none():
    made = dns_transfers(
        [
            {"address": "198.51.100.20", "key": "b"},
            {"address": "198.51.100.30", "key": ""},
            {"address": "198.51.100.40", "key": "", "transfer_from": ["198.51.100.41", "203.0.113.0/24"]},
            "198.51.100.50",
        ],
        [{"address": "198.51.100.10", "key": ""}],
        {"b": secret(32, 1), "a": secret(32, 2)},
        secret(),
        allowed=["192.0.2.0/24"],
    )
    assert made["keys"] == [
        statement("a", secret(32, 2)),
        statement("b", secret(32, 1)),
        statement("transfer", secret()),
    ]
    assert made["notified"] == [
        '198.51.100.20 key "b"',
        "198.51.100.30",
        "198.51.100.40",
        '198.51.100.50 key "transfer"',
    ]
    assert made["members"] == ['key "b"', "198.51.100.30", "198.51.100.41", "203.0.113.0/24", 'key "transfer"']
    assert made["may_transfer"] == ["192.0.2.0/24", *made["members"]]
    assert made["asked"] == ["198.51.100.10"]


NS2 = "198.51.100.20"
LENGTH = "this secret has a length of {}, and HMAC-SHA256 needs 32 to 64 bytes (RFC 8945); write 32 random"
NAME = "'{}' is not a key's name; write lower-case letters, digits and hyphens between dots"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"secret": secret(31)}, LENGTH.format(31)),
        ({"secret": secret(65)}, LENGTH.format(65)),
        ({"secret": secret(32)[:-1]}, "this secret is not Base64 (RFC 4648); write 32 random bytes in Base64, as"),
        ({"secret": secret(32) + '"; };'}, "this secret is not Base64"),
        ({"secret": secret(32) + "\n"}, "this secret is not Base64"),
        ({"secret": "ü" * 44}, "this secret is not Base64"),
        ({"secret": None}, "this secret is not a string"),
        ({"secret": 7}, "this secret is not a string"),
        ({}, f"there is no secret, and {NS2} must be asked with one; write 32 random bytes"),
        ({"secondaries": [], "primaries": [NS2]}, f"there is no secret, and {NS2} must be asked with one"),
        ({"secret": secret(32), "name": ""}, "'' is not a key's name: it is empty"),
        ({"secret": secret(32), "name": 'a"b'}, NAME.format('a"b')),
        ({"secret": secret(32), "name": "a..b"}, NAME.format("a..b")),
        ({"secret": secret(32), "name": "A"}, NAME.format("A")),
        ({"secret": secret(32), "name": "a\n"}, "is not a key's name"),
        ({"keys": [secret(32)]}, "keys: this secret is not a dictionary; write for example {'ns2': '…'}, in a vault"),
        ({"keys": {"a": secret(31)}}, "keys: this secret has a wrong key 'a': " + LENGTH.format(31)),
        ({"keys": {"a": ""}}, "keys: this secret has a wrong key 'a': this secret is empty; write 32 random bytes"),
        ({"keys": {'a"; ': secret(32)}}, "keys: this secret has a wrong key 'a\"; ': 'a\"; ' is not a key's name"),
        (
            {"keys": {"transfer": secret(33)}, "secret": secret(32)},
            "keys: 'transfer' has another secret than the key by itself",
        ),
        ({"secondaries": NS2}, f"secondaries: '{NS2}' is not a list of secondaries; write for example ['{NS2}']"),
        (
            {"secondaries": [{"adress": NS2}]},
            "secondaries: 'adress' is not a key of secondaries; did you mean 'address'?",
        ),
        ({"secondaries": [{"key": ""}]}, "secondaries: None is not an IP address"),
        ({"secondaries": ["198.51.100.20; any"]}, "secondaries: '198.51.100.20; any' is not an IP address"),
        ({"secondaries": [NS2, {"address": NS2, "key": ""}]}, f"secondaries: '{NS2}' is listed twice; write it once"),
        ({"secondaries": [{"address": NS2, "key": "b"}]}, f"{NS2}: there is no key 'b'; add it"),
        (
            {"secondaries": [{"address": NS2, "key": "ns22"}], "keys": {"ns2": secret(32)}},
            f"{NS2}: there is no key 'ns22'; did you mean 'ns2'?",
        ),
        (
            {"secondaries": [{"address": NS2, "transfer_from": ["198.51.100.31"]}], "secret": secret(32)},
            f"secondaries: {NS2}: 'transfer_from' is for one without a key, which may transfer from anywhere with it; leave",
        ),
        (
            {"secondaries": [{"address": NS2, "key": "", "transfer_from": ["any"]}]},
            "secondaries: 'any' is not a network",
        ),
        (
            {"secondaries": [{"address": NS2, "key": "", "transfer_from": []}]},
            "secondaries: [] is not a list of networks",
        ),
        (
            {"secondaries": [], "primaries": [{"address": NS2, "transfer_from": []}]},
            "primaries: 'transfer_from' is not a key of primaries; write one of address, key",
        ),
        ({"secondaries": [], "allowed": ["any; }; "]}, "allowed: 'any; }; ' is not a network"),
    ],
)
def test_wrong_transfers_are_refused_and_no_secret_is_shown(given, message):
    given = {"secondaries": [NS2], **given}
    with pytest.raises(ValueError, match="^.*" + re.escape(message)) as raised:
        dns_transfers(**given)
    for value in (given.get("secret"), *(given["keys"].values() if isinstance(given.get("keys"), dict) else ())):
        assert not isinstance(value, str) or len(value) < 9 or value[:9] not in str(raised.value)
