# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The delegation of ACME's challenges, with the zones that dns_zones makes."""

import re

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns, dns_zone
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.acme import dns_challenges

HOST = "rosewood.example.org"


def zones(*names):
    return [zone for name in names for zone in dns.dns_zones([{"domain": name}], HOST, ["198.51.100.10"])]


def delegations(zone):
    text = dns_zone.dns_zone_file(zone)
    return [line for line in text.splitlines() if "_acme-challenge" in line]


def test_each_name_is_delegated_in_the_zone_that_is_nearest():
    given = zones("example.org", "chat.example.org")
    before = [dict(zone) for zone in given]
    made = dns_challenges(given, ["example.org", "muc.example.org", "x.chat.example.org"], HOST)
    assert delegations(made[0]) == [
        "_acme-challenge IN NS rosewood.example.org.",
        "_acme-challenge.muc IN NS rosewood.example.org.",
    ]
    assert delegations(made[1]) == ["_acme-challenge.x IN NS rosewood.example.org."]
    assert given == before


def test_without_names_nothing_changes():
    given = zones("example.org")
    assert dns_challenges(given, [], HOST) == given
    assert dns_challenges([], [], HOST) == []


@pytest.mark.parametrize(
    ("given", "names", "nameserver", "message"),
    [
        (
            zones("example.org"),
            ["example.net"],
            HOST,
            "names: 'example.net' is in none of the zones example.org, so that its challenge cannot be "
            "answered here; add its zone, or prove the names by http-01",
        ),
        # A name that only ends alike.
        (zones("example.org"), ["anexample.org"], HOST, "'anexample.org' is in none of the zones example.org"),
        ([], ["example.org"], HOST, "is in none of the zones (there are none)"),
        (zones("example.org"), ["a b.example.org"], HOST, "names: 'a b.example.org' is not a domain name"),
        (zones("example.org"), "example.org", HOST, "names: 'example.org' is not a list of names"),
        (zones("example.org"), [], "rosewood", "nameserver: 'rosewood' is not a full host name"),
        ("example.org", [], HOST, "zones: 'example.org' is not a list of zones; give what dns_zones returns"),
        (["example.org"], [], HOST, "zones: 'example.org' is not a zone; give what dns_zones returns"),
    ],
)
def test_wrong_values(given, names, nameserver, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        dns_challenges(given, names, nameserver)
