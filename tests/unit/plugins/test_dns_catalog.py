# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog of zones, read back by dnspython."""

import re

import dns.zone
import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns_catalog import dns_catalog
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns_data import SERIAL
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns_zone import dns_zone_file

NAME = "catalog.invalid"


def read(made):
    return dns.zone.from_text(dns_zone_file(made).replace(SERIAL, "1"), relativize=True)


def members(made):
    """Label to member."""
    return {
        str(name).removesuffix(".zones"): str(data)
        for name, _ttl, data in read(made).iterate_rdatas("PTR")
        if str(name).endswith(".zones")
    }


def test_it_is_of_version_2_and_has_each_zone_once():
    made = dns_catalog(["example.org", "example.net", "2.0.192.in-addr.arpa"], NAME)
    assert read(made).get_rdataset("version", "TXT").to_text().endswith('"2"')
    assert sorted(members(made).values()) == ["2.0.192.in-addr.arpa.", "example.net.", "example.org."]


def test_a_member_keeps_its_label_and_the_order_is_nothing():
    both = dns_catalog(["example.org", "example.net"], NAME)
    assert both == dns_catalog(["example.net", "example.org"], NAME)
    (one,) = members(dns_catalog(["example.org"], NAME)).items()
    assert one in members(both).items()


def test_an_empty_catalog_is_one():
    assert members(dns_catalog([], NAME)) == {}


@pytest.mark.parametrize(
    ("zones", "name", "message"),
    [
        (["example.org"], "catalog", "name: 'catalog' is not a domain name: it has one label only"),
        (["example.org"], 'a"; };.invalid', "name: 'a\"; };.invalid' is not a domain name"),
        ([NAME], NAME, "name: 'catalog.invalid' is one of the zones; write a name that nothing else has"),
        ("example.org", NAME, "zones: 'example.org' is not a list of zones"),
        (["example.org", "example.org"], NAME, "zones: 'example.org' appears twice in the list"),
        (["exam\nple.org"], NAME, "zones: 'exam\\nple.org' is not a domain name"),
        ([None], NAME, "zones: None is not a domain name"),
    ],
)
def test_wrong_values(zones, name, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        dns_catalog(zones, name)
