# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records as lines that stand alone, read back by dnspython, and what must not be beside them."""

import re

import dns.zone
import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns import dns_extra_zones, dns_zones
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns_records import dns_records
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns_zone import dns_zone_file

HOST = "rosewood.example.org"
CERTIFICATE = "/etc/ssl/xmpp/fullchain.pem"
PIN = "ab" * 32


def zones(**options):
    domains = [{"domain": "example.org", "components": {"muc": "conference.example.org"}}]
    given = {"certificate_authorities": [], "certificates": [CERTIFICATE]}
    return dns_zones(domains, HOST, ["198.51.100.10"], **{**given, **options})


def certificates(*pins):
    return {CERTIFICATE: {"present": bool(pins), "pins": list(pins)}}


def load(text):
    found = dns.zone.from_text(text, origin="example.org.", relativize=False, check_origin=False)
    return {(str(name), data.rdtype, data.to_text(), ttl) for name, ttl, data in found.iterate_rdatas()}


def test_the_lines_are_the_zone_file_without_its_soa_record():
    (made,) = dns_records(
        zones(records=[{"name": "x", "type": "TXT", "data": 'a "b" \\ ü', "ttl": 60}]), certificates(PIN)
    )
    file = dns_zone_file(
        zones(records=[{"name": "x", "type": "TXT", "data": 'a "b" \\ ü', "ttl": 60}])[0], {CERTIFICATE: [PIN]}
    )
    whole = load(file.replace("@SERIAL@", "1"))
    assert load("\n".join(made["lines"]) + "\n") == {record for record in whole if record[1] != dns.rdatatype.SOA}
    assert len(made["lines"]) == len(made["records"]) > 20
    # Their order and what is around them is nothing to them.
    assert all(re.match(r"[\w*.-]+\. \d+ IN [A-Z]+ \S", line) for line in made["lines"])


@pytest.mark.parametrize(("pins", "count"), [((), 0), ((PIN,), 1), ((PIN, "cd" * 32), 2)])
def test_the_keys_of_the_certificate(pins, count):
    (made,) = dns_records(zones(), certificates(*pins))
    assert len([record for record in made["records"] if record["name"] == f"_5222._tcp.{HOST}"]) == count


def test_the_name_servers_of_somebody_else_are_not_ours():
    def found(**options):
        (made,) = dns_records(zones(records=[{"name": "sub", "type": "NS", "data": "ns.example.net."}]), **options)
        return [record["name"] for record in made["records"] if record["type"] == "NS"]

    assert found() == ["example.org", "sub.example.org"]
    assert found(nameservers=False) == ["sub.example.org"]


def test_what_must_not_be_there():
    (made,) = dns_records(zones(services=["server"]), certificates(PIN))
    absent = [(item["name"], item["type"]) for item in made["absent"]]
    there = {(record["name"], record["type"]) for record in made["records"]}
    assert len(absent) == len(set(absent)) and not there & set(absent)
    for wanted in [
        ("_xmpp-client._tcp.example.org", "SRV"),
        ("_xmpps-client._tcp.conference.example.org", "SRV"),
        (f"_5222._tcp.{HOST}", "TLSA"),
        ("_5269._tcp.example.org", "TLSA"),
        ("conference.example.org", "CAA"),
        ("example.org", "AAAA"),
        ("_xmppconnect.example.org", "TXT"),
    ]:
        assert wanted in absent
    assert ("example.org", "CAA") not in absent and ("_5269._tcp." + HOST, "TLSA") not in absent
    # The host has no accounts, and so nothing is said of its SRV records.
    assert ("_xmpp-client._tcp." + HOST, "SRV") not in absent


def test_zones_without_xmpp():
    (made,) = dns_records(dns_extra_zones([], [{"name": "example.net"}], ["ns1.example.org"]))
    assert made["lines"] == ["example.net. 3600 IN NS ns1.example.org."] and made["absent"] == []
    assert dns_records([]) == []


@pytest.mark.parametrize(
    ("given", "certificates", "message"),
    [
        (["example.org"], {}, "'example.org' is not a zone"),
        ([{"name": "example", "ttl": 1, "records": []}], {}, "name: 'example' is not a domain name"),
        (
            zones(),
            {CERTIFICATE: {"present": True, "pins": ["x"]}},
            "'x' for '/etc/ssl/xmpp/fullchain.pem' is not a digest",
        ),
    ],
)
def test_wrong_values(given, certificates, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        dns_records(given, certificates)


def test_what_a_wildcard_gives_is_no_surplus():
    def absent(*records):
        (made,) = dns_records(zones(records=list(records)), certificates(PIN))
        return {(item["name"], item["type"]) for item in made["absent"]}

    wanted = {("_xmppconnect.example.org", "TXT"), ("_443._tcp.conference.example.org", "TLSA")}
    assert wanted <= absent()
    star = {"name": "*", "type": "TXT", "data": "x"}
    # `conference` exists, so that no wildcard above it covers what is below it.
    assert ("_xmppconnect.example.org", "TXT") not in absent(star)
    assert ("_xmppconnect.conference.example.org", "TXT") in absent(star)
    pin = {"name": "*._tcp.conference", "type": "TLSA", "data": "3 1 1 " + "cd" * 32}
    assert ("_443._tcp.conference.example.org", "TLSA") not in absent(pin)
