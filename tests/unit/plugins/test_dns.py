# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import base64
import random
import re

import dns.rdatatype
import dns.zone
import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns import (
    dns_extra_zones,
    dns_zones,
    unreachable_names,
)
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.dns_zone import dns_zone_file, dns_zone_files

PATH = "/etc/ssl/xmpp/fullchain.pem"
PIN = "0c72ac70b745ac19998811b131d662c9ac69dbdbe7cb23e5b514b56664c5d3d6"
MODEL = {"hostname": "rosewood.example.org", "addresses": ["198.51.100.10", "2001:db8::10"]}
COMPONENTS = {"muc": "conference.example.org", "upload": "upload.example.org"}


def load(text):
    """Record set by (name, type) as dnspython reads the file, without the SOA record."""
    zone = dns.zone.from_text(text.replace("@SERIAL@", "2025010100"), check_origin=True)
    found = {}
    for name, _ttl, data in zone.iterate_rdatas():
        kind = dns.rdatatype.to_text(data.rdtype)
        if kind != "SOA":
            found.setdefault((str(name), kind), set()).add(data.to_text(origin=zone.origin, relativize=False))
    return found


def zone(*records, components=None, **changes):
    domains = [{"domain": "example.org"} | ({} if components is None else {"components": components})]
    return dns_zones(changes.pop("domains", domains), **{**MODEL, "records": list(records), **changes})[0]


def record(kind, data, name="x", **rest):
    return {"name": name, "type": kind, "data": data, **rest}


def test_the_smallest_zone():
    found = load(dns_zone_file(zone()))
    hosts = {("@", "NS"): {"rosewood.example.org."}}
    for name in ("@", "rosewood"):
        hosts[name, "A"], hosts[name, "AAAA"] = {"198.51.100.10"}, {"2001:db8::10"}
        hosts[name, "MX"], hosts[name, "TXT"] = {"0 ."}, {'"v=spf1 -all"'}
    hosts["@", "HTTPS"] = {"1 ."}
    services = {("_xmpp-client", 5222), ("_xmpps-client", 5223), ("_xmpp-server", 5269), ("_xmpps-server", 5270)}
    assert found == {
        **hosts,
        **{(f"{service}._tcp", "SRV"): {f"0 5 {port} rosewood.example.org."} for service, port in services},
    }


def test_the_whole_zone():
    made = zone(
        components=COMPONENTS,
        certificate_authorities=["letsencrypt.org; validationmethods=dns-01"],
        certificates=[PATH],
    )
    found = load(dns_zone_file(made, pins={PATH: PIN}))
    print(f"{len(made['records'])} records in {len(found)} sets")
    pinned = {name for name, kind in found if kind == "TLSA"}
    assert pinned == {f"_{port}._tcp.rosewood" for port in (5222, 5223, 5269, 5270, 443)} | {
        "_443._tcp",
        "_443._tcp.upload",
    }
    assert {data for (_name, kind), items in found.items() if kind == "TLSA" for data in items} == {f"3 1 1 {PIN}"}
    assert found["@", "CAA"] == {'0 issue "letsencrypt.org; validationmethods=dns-01"', '0 issuewild ";"'}
    assert found["_xmpps-server._tcp.conference", "SRV"] == {"0 5 5270 rosewood.example.org."}
    assert found["upload", "AAAA"] == {"2001:db8::10"}
    assert sum(kind == "SRV" for _name, kind in found) == 12
    assert made["soa"] == {
        "mname": "rosewood.example.org.",
        "rname": "hostmaster.example.org.",
        "refresh": 7200,
        "retry": 3600,
        "expire": 1209600,
        "minimum": 3600,
    }
    assert not any("xmppconnect" in name for name, _kind in found)


def test_the_same_arguments_give_the_same_zone():
    arguments = {"components": COMPONENTS, "certificates": [PATH], "certificate_authorities": []}
    assert repr(zone(**arguments)) == repr(zone(**arguments))
    assert load(dns_zone_file(zone(**arguments)))["@", "CAA"] == {'0 issue ";"', '0 issuewild ";"'}


def test_without_its_pin_a_tlsa_record_is_left_out():
    made = zone(record("TLSA", "2 1 1 " + "AB" * 32, "_25._tcp"), certificates=[PATH])
    assert {(name, *data) for (name, kind), data in load(dns_zone_file(made)).items() if kind == "TLSA"} == {
        ("_25._tcp", "2 1 1 " + "ab" * 32)
    }
    assert len([1 for _name, kind in load(dns_zone_file(made, {PATH: PIN})) if kind == "TLSA"]) == 7


def keyed(kind, rest=b"\0\0\0\x01x"):
    return base64.b64encode(len(kind).to_bytes(4, "big") + kind.encode() + rest).decode()


def test_ssh_host_keys():
    """As ssh-keygen -r says of this key."""
    known = "AAAAC3NzaC1lZDI1NTE5AAAAICcBEnFeLHyeS5ztigcaW7bG/mI10ctEkGDaw3KLeTWB"
    keys = [
        f"ssh-ed25519 {known} root@rosewood",
        keyed("ssh-rsa"),
        "ecdsa-sha2-nistp256 " + keyed("ecdsa-sha2-nistp256"),
    ]
    found = load(dns_zone_file(zone(host_keys=keys)))
    assert {name for name, kind in found if kind == "SSHFP"} == {"rosewood"}
    assert "4 2 93edad594bb1cba74a81a104759c941bf7299a9bf932b78ae8a5484629913f4f" in found["rosewood", "SSHFP"]
    assert {data[:4] for data in found["rosewood", "SSHFP"]} == {"1 2 ", "3 2 ", "4 2 "}
    outside = load(dns_zone_file(zone(host_keys=keys, hostname="rosewood.example.net")))
    assert [kind for _name, kind in outside if kind == "SSHFP"] == []


def test_services_that_are_not_offered_have_no_records():
    services = ["server", "turn", "dns", "proxy"]
    found = load(dns_zone_file(zone(services=services, certificates=[PATH]), pins={PATH: PIN}))
    assert {name for name, kind in found if kind == "SRV"} == {
        *(f"_xmpp{s}-server._tcp" for s in ("", "s")),
        *(f"_{name}._{transport}" for name in ("stun", "turn") for transport in ("udp", "tcp")),
    }
    assert found["_turn._udp", "SRV"] == {"0 5 3478 rosewood.example.org."}
    assert {name for name, kind in found if kind == "TLSA"} == {"_5269._tcp.rosewood", "_5270._tcp.rosewood"}
    assert [name for name, kind in found if kind == "HTTPS"] == []


def test_calls_by_tls_have_records_of_their_own():
    found = load(dns_zone_file(zone(services=["turns"], certificates=[PATH]), pins={PATH: PIN}))
    assert {name for name, kind in found if kind == "SRV"} == {"_stuns._tcp", "_turns._tcp"}
    assert found["_turns._tcp", "SRV"] == {"0 5 5349 rosewood.example.org."}
    assert {name for name, kind in found if kind == "TLSA"} == {"_5349._tcp.rosewood"}


@pytest.mark.parametrize(
    "own",
    [
        record("MX", "10 mail.example.net.", "@"),
        record("TXT", "V=SPF1 a -all", "example.org."),
    ],
)
def test_where_there_is_mail_nothing_denies_it(own):
    found = load(dns_zone_file(zone(own, components=COMPONENTS)))
    kind, other = own["type"], {"MX": "TXT", "TXT": "MX"}[own["type"]]
    assert len(found["@", kind]) == 1 and ("@", other) not in found
    for name in ("rosewood", "conference", "upload"):
        assert found[name, "MX"] == {"0 ."} and found[name, "TXT"] == {'"v=spf1 -all"'}


def test_other_texts_are_no_mail():
    found = load(dns_zone_file(zone(record("TXT", "some proof", "@"))))
    assert found["@", "TXT"] == {'"some proof"', '"v=spf1 -all"'} and found["@", "MX"] == {"0 ."}


def test_several_domains():
    domains = [
        {"domain": "example.org"},
        {"domain": "example.net", "components": {"muc": "rooms.example.net", "upload": "up.example.org"}},
        {"domain": "sub.example.org"},
    ]
    own = [record("A", "198.51.100.20", "www.example.net."), record("A", "198.51.100.21", "www")]
    zones = dns_zones(domains, **MODEL, certificates=[PATH], certificate_authorities=[], records=own)
    assert [item["name"] for item in zones] == ["example.org", "example.net"]
    first, second = (load(dns_zone_file(item, {PATH: PIN})) for item in zones)
    assert second["_xmpps-server._tcp.rooms", "SRV"] == {"0 5 5270 rosewood.example.org."}
    assert second["@", "A"] == {"198.51.100.10"} and second["@", "NS"] == {"rosewood.example.org."}
    assert second["@", "CAA"] == {'0 issue ";"', '0 issuewild ";"'}
    assert second["www", "A"] == {"198.51.100.20"} and first["www", "A"] == {"198.51.100.21"}
    assert zones[1]["soa"]["rname"] == "hostmaster.example.net."
    # What is below the first domain is in its zone.
    assert first["_xmpp-client._tcp.sub", "SRV"] == {"0 5 5222 rosewood.example.org."}
    assert first["_443._tcp.up", "TLSA"] and first["_443._tcp.sub", "TLSA"] and second["_443._tcp", "TLSA"]


def test_a_domain_whose_website_is_elsewhere():
    """Its address is the operator's own record; the web front has what HTTPS needs, and all is found for XMPP as ever."""
    domains = [
        {"domain": "example.org", "web": "chat.example.org"},
        {"domain": "example.net", "web": "rosewood.example.org"},
    ]
    own = [record("A", "192.0.2.80", "@")]
    zones = dns_zones(domains, **MODEL, certificates=[PATH], records=own)
    first, second = (load(dns_zone_file(item, {PATH: PIN})) for item in zones)
    assert first["@", "A"] == {"192.0.2.80"} and ("@", "AAAA") not in first and ("@", "A") not in second
    assert first["chat", "A"] == {"198.51.100.10"}
    assert first["_443._tcp.chat", "TLSA"] and first["chat", "HTTPS"]
    assert first["_443._tcp.rosewood", "TLSA"] and first["rosewood", "HTTPS"]
    for found in (first, second):
        assert ("_443._tcp", "TLSA") not in found and ("@", "HTTPS") not in found
        assert found["_xmpp-client._tcp", "SRV"] == {"0 5 5222 rosewood.example.org."}
        assert found["@", "MX"] == {"0 ."}
    names = ["example.org", "chat.example.org", "example.net", "rosewood.example.org"]
    assert unreachable_names(domains, zones, names) == []
    bare = without(without(zones, "chat", "A"), "chat", "AAAA")
    assert unreachable_names(domains, bare, [*names[:1], *names[2:]]) == [
        "chat.example.org is not in the certificate: add it to certificates_names",
        "chat.example.org has no address in its zone: add an A or AAAA record to bind_zones",
    ]


SITE = [
    {"domain": "example.org", "components": {"muc": "conference.example.org", "upload": "upload.example.org"}},
    {"domain": "example.net", "components": {"proxy": "proxy.example.net"}},
]
SITE_NAMES = ["example.org", "conference.example.org", "upload.example.org", "example.net", "proxy.example.net"]


def without(zones, name, kind):
    """The zones less the records of a name and type, or less a zone."""
    return [
        zone | {"records": [item for item in zone["records"] if (item["name"], item["type"]) != (name, kind)]}
        for zone in zones
        if zone["name"] != name
    ]


@pytest.mark.parametrize(
    ("zones", "names", "services", "missing"),
    [
        (lambda zones: zones, SITE_NAMES, ["client", "server", "web"], []),
        (
            lambda zones: zones,
            SITE_NAMES[1:4],
            ["server"],
            ["example.org is not in the certificate: add", "proxy.example.net is not in the certificate: add it to"],
        ),
        (lambda zones: zones, ["example.org", "*.example.org", "example.net", "*.example.net"], ["server"], []),
        (
            lambda zones: without(zones, "example.net", ""),
            SITE_NAMES,
            ["server"],
            [
                "example.net is in none of the zones ['example.org']: add its zone to bind_zones",
                "proxy.example.net is in none of the zones ['example.org']",
            ],
        ),
        (
            lambda zones: without(without(zones, "upload", "A"), "upload", "AAAA"),
            SITE_NAMES,
            ["server"],
            ["upload.example.org has no address in its zone: add an A or AAAA record to bind_zones"],
        ),
        (lambda zones: without(zones, "upload", "A"), SITE_NAMES, ["server"], []),
        (
            lambda zones: without(zones, "_xmpp-server._tcp.conference", "SRV"),
            SITE_NAMES,
            ["server"],
            ["conference.example.org has no SRV record _xmpp-server._tcp in its zone (RFC 6120): add it to bind_zones"],
        ),
        (lambda zones: without(zones, "_xmpp-server._tcp.conference", "SRV"), SITE_NAMES, ["client"], []),
        (
            lambda zones: without(zones, "_xmpp-client._tcp", "SRV"),
            SITE_NAMES,
            ["client"],
            ["example.org has no SRV record _xmpp-client._tcp", "example.net has no SRV record _xmpp-client._tcp"],
        ),
        (lambda zones: without(zones, "_xmpp-client._tcp.upload", "SRV"), SITE_NAMES, ["client"], []),
    ],
)
def test_unreachable_names(zones, names, services, missing):
    found = unreachable_names(SITE, zones(dns_zones(SITE, **MODEL)), names, services)
    assert len(found) == len(missing), found
    for sentence, begin in zip(found, missing, strict=True):
        assert sentence.startswith(begin)


NO_ADDRESS = "{} has no address in its zone: add an A or AAAA record to bind_zones"


def wild(*records, apex="example.org", kept=()):
    """The zones of the site in which the operator has taken all of a component but this, and added records."""
    made = without(without(dns_zones(SITE, **MODEL), "upload", "A"), "upload", "AAAA")
    return [item | {"records": [*item["records"], *records]} if item["name"] == apex else item for item in made]


# RFC 4592: `upload` exists by its SRV records, which are below it.
@pytest.mark.parametrize(
    ("zones", "challenges", "missing"),
    [
        (wild(record("A", "198.51.100.10", "*")), [], [NO_ADDRESS.format("upload.example.org")]),
        (wild(record("A", "198.51.100.10", "upload")), [], []),
        (wild(record("A", "198.51.100.10", "UPLOAD.example.org.")), [], []),
        (wild(record("CNAME", "rosewood", "upload")), [], []),
        # Who has delegated it is asked elsewhere.
        (wild(record("NS", "ns.example.com.", "upload")), [], []),
        (wild(record("DNAME", "example.com.", "@")), [], []),
    ],
)
def test_a_name_below_which_there_is_something_has_no_wildcard(zones, challenges, missing):
    assert unreachable_names(SITE, zones, SITE_NAMES, ["server"], challenges) == missing


DEEP = [{"domain": "example.org", "components": {"upload": "up.load.example.org"}}]


@pytest.mark.parametrize(
    ("records", "challenges", "missing"),
    [
        ([record("A", "198.51.100.10", "*")], [], []),
        ([record("A", "198.51.100.10", "*.load")], [], []),
        # load.example.org exists, and so no wildcard but its own covers what is below it.
        ([record("A", "198.51.100.10", "*"), record("TXT", "x", "load")], [], ["up.load.example.org"]),
        ([record("A", "198.51.100.10", "*"), record("TXT", "x", "other.load")], [], ["up.load.example.org"]),
        (
            [record("A", "198.51.100.10", "*"), record("TLSA", "3 1 1 ab", "_443._tcp.up.load")],
            [],
            ["up.load.example.org"],
        ),
        ([record("A", "198.51.100.10", "*")], ["up.load.example.org"], ["up.load.example.org"]),
        ([record("TXT", "x", "*"), record("A", "198.51.100.10", "*.load")], [], []),
        ([record("A", "198.51.100.10", "*"), record("TXT", "x", "*.load")], [], ["up.load.example.org"]),
        # A wildcard covers what is deeper, too.
        ([record("A", "198.51.100.10", "load")], [], ["up.load.example.org"]),
    ],
)
def test_wildcards_cover_what_is_deeper_and_does_not_exist(records, challenges, missing):
    zones = [{"name": "example.org", "records": [record("A", "198.51.100.10", "@"), *records]}]
    found = unreachable_names(DEEP, zones, ["example.org", "up.load.example.org"], [], challenges)
    assert found == [NO_ADDRESS.format(name) for name in missing]


def test_a_name_is_looked_for_in_the_nearest_zone():
    zones = [
        {"name": "example.org", "records": [record("A", "198.51.100.10", "@"), record("A", "198.51.100.10", "*")]},
        {"name": "load.example.org", "records": [record("NS", "ns.example.net.", "@")]},
    ]
    found = unreachable_names(DEEP, zones, ["example.org", "up.load.example.org"], [])
    assert found == [NO_ADDRESS.format("up.load.example.org")]


@pytest.mark.parametrize(
    ("records", "accepted"),
    [
        ([record("A", "198.51.100.10", "*")], True),
        ([record("A", "198.51.100.10", "*.eu")], True),
        ([record("A", "198.51.100.10", "*"), record("TXT", "x", "eu")], False),
        ([record("A", "198.51.100.10", "*"), record("TXT", "x", "_443._tcp.mx.eu")], False),
        ([record("A", "198.51.100.10", "*.eu"), record("TXT", "x", "mx.eu")], False),
    ],
)
def test_targets_by_wildcards(records, accepted):
    given = [record("MX", "10 mx.eu.example.org.", "@"), *records]
    if accepted:
        assert load(dns_zone_file(zone(*given)))["@", "MX"] == {"10 mx.eu.example.org."}
    else:
        with pytest.raises(ValueError, match=re.escape("@ MX: its target mx.eu.example.org. has no address")):
            zone(*given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("example.org", [], []), "domains: 'example.org' is not a list of domains"),
        ((SITE, "example.org", []), "zones: 'example.org' is not a list; write dictionaries with name"),
        ((SITE, [], "example.org"), "certificate_names: 'example.org' is not a list of names"),
    ],
)
def test_unreachable_names_errors(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        unreachable_names(*arguments)


def test_zones_without_xmpp():
    first, *made = dns_extra_zones(
        [zone()],
        [
            {"name": "example.net", "records": [record("A", "198.51.100.20", "www")]},
            {
                "name": "example.com",
                "ttl": 60,
                "nameservers": ["ns1.example.org", "ns2.example.net"],
                "hostmaster": "a.b@example.org",
            },
        ],
        ["ns1.example.org"],
    )
    assert first == zone()
    assert load(dns_zone_file(made[0])) == {("@", "NS"): {"ns1.example.org."}, ("www", "A"): {"198.51.100.20"}}
    assert load(dns_zone_file(made[1])) == {("@", "NS"): {"ns1.example.org.", "ns2.example.net."}}
    assert made[1]["soa"]["rname"] == "a\\.b.example.org." and made[1]["soa"]["minimum"] == 60
    files = dns_zone_files(made, "/zones")
    assert sorted(files) == ["/zones/example.com.zone", "/zones/example.net.zone"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("example.net", "extra: 'example.net' is not a list; write dictionaries with name, records"),
        (["example.net"], "extra: number 1: 'example.net' is not a zone; write a dictionary with name, records"),
        ([{"name": "a b"}], "extra: number 1: name: 'a b' is not a domain name"),
        ([{"name": "example.net", "record": []}], "'record' is not a key of a zone; did you mean 'records'?"),
        (
            [{"name": "example.net"}] * 2,
            "extra: number 2: 'example.net' is listed twice; put all records into one zone",
        ),
        ([{"name": "example.org"}], "extra: number 1: 'example.org' is listed twice"),
        ([{"name": "example.net", "nameservers": ["ns1"]}], "example.net: nameservers: 'ns1' is not a full host name"),
        ([{"name": "example.net", "hostmaster": "x"}], "example.net: hostmaster: 'x' is not a bare JID"),
        ([{"name": "example.net", "ttl": "1h"}], "example.net: ttl: '1h' is not a TTL"),
        ([{"name": "example.net", "records": "x"}], "example.net: records: 'x' is not a list"),
        (
            [{"name": "example.net", "records": [record("CNAME", "example.org.", "@")]}],
            "example.net: @ CNAME: an alias allows no other record at its name",
        ),
        (
            [{"name": "example.net", "records": [record("A", "198.51.100.20", "")]}],
            "example.net: record 1: '' is not a",
        ),
    ],
)
def test_wrong_zones_without_xmpp(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        dns_extra_zones([zone()], given, ["ns1.example.org"])


@pytest.mark.parametrize("servers", ["ns1.example.org", [], ["ns1"]])
def test_wrong_name_servers_of_zones_without_xmpp(servers):
    with pytest.raises(ValueError, match="nameservers: .* is not a "):
        dns_extra_zones([], [], servers)


def test_a_reverse_zone_of_a_part_of_a_network():
    """RFC 2317, as the owner of the part has it."""
    name = "0/25.2.0.192.in-addr.arpa"
    (made,) = dns_extra_zones(
        [], [{"name": name, "records": [record("PTR", "a.example.net.", "1")]}], ["ns1.example.net"]
    )
    (path, file), *_rest = dns_zone_files([made], "/zones").items()
    assert path == "/zones/0%2F25.2.0.192.in-addr.arpa.zone" and file["validate"][3] == name
    assert load(file["content"])["1", "PTR"] == {"a.example.net."}
    for wrong in ("0/25.example.org", "0/2 5.2.0.192.in-addr.arpa", "/25.2.0.192.in-addr.arpa"):
        with pytest.raises(ValueError, match="name: "):
            dns_extra_zones([], [{"name": wrong}], ["ns1.example.net"])


def test_a_name_leads_to_one_place():
    moved = [record("DNAME", f"{target}.", "x") for target in ("example.net", "example.com")]
    with pytest.raises(ValueError, match="x DNAME: there is another; a name leads to one place"):
        zone(*moved)
    with pytest.raises(ValueError, match=re.escape("a.x TXT: x DNAME leads everything below it elsewhere")):
        zone(moved[0], record("TXT", "t", "a.x"))


def test_private_addresses_that_are_meant():
    found = load(dns_zone_file(zone(addresses=["10.0.0.5", "fd00::5"], private_addresses=True)))
    assert found["@", "A"] == {"10.0.0.5"} and found["@", "AAAA"] == {"fd00::5"}


def test_one_zone_twice():
    with pytest.raises(ValueError, match="'example.org' is listed twice; put all records"):
        dns_zone_files([zone(), zone()], "/zones")


def test_a_host_outside_the_zone():
    made = zone(hostname="rosewood.example.net", certificates=[PATH], components={"upload": "upload.example.org"})
    found = load(dns_zone_file(made, {PATH: PIN}))
    assert found["@", "NS"] == {"rosewood.example.net."}
    assert {name for name, kind in found if kind == "TLSA"} == {"_443._tcp", "_443._tcp.upload"}
    assert {name for name, kind in found if kind == "A"} == {"@", "upload"}


def test_the_host_at_the_domain_itself():
    made = zone(hostname="example.org", certificates=[PATH])
    found = load(dns_zone_file(made, {PATH: PIN}))
    pinned = {name for name, kind in found if kind == "TLSA"}
    assert pinned == {f"_{port}._tcp" for port in (5222, 5223, 5269, 5270, 443)}
    assert len(made["records"]) == len({repr(item) for item in made["records"]})


def test_soa_and_name_servers():
    made = zone(
        record("A", "198.51.100.53", "ns1"),
        nameservers=["ns1.example.org", "ns2.example.net"],
        ttl=60,
        hostmaster="dns.admin@example.net",
    )
    text = dns_zone_file(made)
    assert text.splitlines()[:3] == [
        "$ORIGIN example.org.",
        "$TTL 60",
        "@ IN SOA ns1.example.org. dns\\.admin.example.net. @SERIAL@ 7200 3600 1209600 60",
    ]
    assert load(text)["@", "NS"] == {"ns1.example.org.", "ns2.example.net."}
    assert dns.zone.from_text(text.replace("@SERIAL@", "1")).get_soa().rname.labels[0] == b"dns.admin"


@pytest.mark.parametrize(
    ("given", "key", "expected"),
    [
        (record("A", "198.51.100.20", "www"), ("www", "A"), "198.51.100.20"),
        (record("A", "198.51.100.20", "WWW.example.org."), ("www", "A"), "198.51.100.20"),
        (record("AAAA", "2001:DB8::0:1", "*"), ("*", "AAAA"), "2001:db8::1"),
        (record("CNAME", "rosewood", "www"), ("www", "CNAME"), "rosewood.example.org."),
        (record("CNAME", "@", "www"), ("www", "CNAME"), "example.org."),
        (record("CNAME", "host.example.net.", "www"), ("www", "CNAME"), "host.example.net."),
        (record("MX", "0 .", "@"), ("@", "MX"), "0 ."),
        (record("MX", "10 mail.example.net.", "@"), ("@", "MX"), "10 mail.example.net."),
        (record("SRV", "0 5 443 rosewood", "_x._tcp"), ("_x._tcp", "SRV"), "0 5 443 rosewood.example.org."),
        (record("CAA", '128 iodef "mailto:a@example.org"', "sub"), ("sub", "CAA"), '128 iodef "mailto:a@example.org"'),
        (record("CAA", "0 issue ca.example.net; a=b", "sub"), ("sub", "CAA"), '0 issue "ca.example.net; a=b"'),
        (record("SSHFP", "4 2 " + "AB" * 32, "rosewood"), ("rosewood", "SSHFP"), "4 2 " + "ab" * 32),
        (record("DS", "12345 13 2 " + "ab" * 32, "sub"), ("sub", "DS"), "12345 13 2 " + "ab" * 32),
        (record("NS", "ns.example.net.", "sub"), ("sub", "NS"), "ns.example.net."),
        (record("PTR", "host.example.net.", "10"), ("10", "PTR"), "host.example.net."),
        (record("HTTPS", "1 . alpn=h2", "@"), ("@", "HTTPS"), '1 . alpn="h2"'),
        (record("TXT", "v=DMARC1; p=reject", "_dmarc"), ("_dmarc", "TXT"), '"v=DMARC1; p=reject"'),
        (record("TXT", ""), ("x", "TXT"), '""'),
        (record("NS", "ns.example.net.", "0/25"), ("0/25", "NS"), "ns.example.net."),
        (record("CNAME", "1.0/25.example.org.", "1"), ("1", "CNAME"), "1.0/25.example.org."),
        (record("PTR", "host.example.net.", "1.0/25"), ("1.0/25", "PTR"), "host.example.net."),
        (record("DNAME", "example.net.", "moved"), ("moved", "DNAME"), "example.net."),
        (record("URI", '10 1 "https://example.net/a"'), ("x", "URI"), '10 1 "https://example.net/a"'),
        (record("URI", "10 1 sip:juliet@example.net"), ("x", "URI"), '10 1 "sip:juliet@example.net"'),
        (record("OPENPGPKEY", "mQEN BFVH"), ("x", "OPENPGPKEY"), "mQENBFVH"),
        (record("SMIMEA", "3 0 0 ABCD"), ("x", "SMIMEA"), "3 0 0 abcd"),
        (
            record("NAPTR", '100 10 "S" SIP+D2U "" _sip._udp.example.org.'),
            ("x", "NAPTR"),
            '100 10 "S" "SIP+D2U" "" _sip._udp.example.org.',
        ),
        (
            record("NAPTR", '100 10 "u" "E2U+sip" "!^(.*)$!sip:\\\\1@example.net!i" .'),
            ("x", "NAPTR"),
            '100 10 "u" "E2U+sip" "!^(.*)$!sip:\\\\1@example.net!i" .',
        ),
        (
            record("LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"),
            ("x", "LOC"),
            "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m",
        ),
        (record("LOC", "52 n 4 e 10"), ("x", "LOC"), "52 0 0.000 N 4 0 0.000 E 10.00m"),
        # A size is one digit and how many follow.
        (
            record("LOC", "52 14 05.5 N 00 08 50 E 10m 25m 1234m 12.34"),
            ("x", "LOC"),
            "52 14 5.500 N 0 8 50.000 E 10.00m 20.00m 1000.00m 10.00m",
        ),
        (
            record("SVCB", "1 . alpn=h2 dohpath=/dns-query{?dns}"),
            ("x", "SVCB"),
            '1 . alpn="h2" dohpath="/dns-query{?dns}"',
        ),
        (record("SVCB", '1 . key7="/q{?dns}"'), ("x", "SVCB"), '1 . dohpath="/q{?dns}"'),
        (
            record("HTTPS", "1 . mandatory=alpn,port alpn=h2 port=8443 no-default-alpn"),
            ("x", "HTTPS"),
            '1 . mandatory="alpn,port" alpn="h2" no-default-alpn port="8443"',
        ),
        (record("TYPE65280", "\\# 4 0A00 0001"), ("x", "TYPE65280"), "\\# 4 0a000001"),
        (record("TYPE65281", "\\# 0"), ("x", "TYPE65281"), "\\# 0 "),
        (record("TYPE13", "\\# 4 01410142"), ("x", "HINFO"), '"A" "B"'),
        (record("TXT", "a" * 300), ("x", "TXT"), '"' + "a" * 255 + '" "' + "a" * 45 + '"'),
    ],
)
def test_the_operators_records(given, key, expected):
    assert expected in load(dns_zone_file(zone(given)))[key]


def test_any_text_comes_back_from_a_txt_record():
    source = random.Random(1035)
    pieces = [
        '"',
        "\\",
        ";",
        "(",
        ")",
        "\n",
        "\r",
        "\0",
        "\t",
        "@",
        "@SERIAL@",
        "$ORIGIN x.",
        "é",
        "🥦",
        " ",
        "a",
        "\x7f",
        "1",
    ]
    texts = ["".join(source.choices(pieces, k=source.randrange(200))) for _ in range(400)]
    records = [record("TXT", text, f"t{number}") for number, text in enumerate(texts)]
    written = dns_zone_file(zone(*records))
    assert written.count("@SERIAL@") == 1
    loaded = dns.zone.from_text(written.replace("@SERIAL@", "1"))
    read = [b"".join(loaded.get_rdataset(f"t{number}", "TXT")[0].strings).decode() for number in range(len(texts))]
    print(f"{len(texts)} texts, {sum(map(len, texts))} characters")
    assert read == texts


def test_ttls():
    text = dns_zone_file(zone(record("A", "198.51.100.20", "www", ttl=60)))
    assert "\nwww 60 IN A 198.51.100.20\n" in text


def test_below_a_delegation_other_servers_know_the_addresses():
    made = zone(record("NS", "ns.example.net.", "sub"), record("MX", "10 mail.sub.example.org.", "@"))
    assert ("@", "MX") in load(dns_zone_file(made))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hostname": "rosewood"}, "hostname: 'rosewood' is not a full host name: it has one label only"),
        ({"addresses": []}, "addresses: [] is not a list of addresses: it is empty; write for example"),
        (
            {"addresses": ["10.0.0.5"]},
            "addresses: '10.0.0.5' is private (RFC 1918), so that the world cannot reach it, and would",
        ),
        ({"addresses": ["198.51.100.300"]}, "addresses: '198.51.100.300' is not an IP address"),
        (
            {"components": {"muc": "muc.example.net"}},
            "components.muc: 'muc.example.net' is not inside the zone example.org;"
            " write a name that ends in '.example.org'",
        ),
        (
            {"components": {"muc": "example.org"}},
            "domains: 'example.org' is used twice, as a domain, a component or a web front",
        ),
        ({"components": {"muc": "notexample.org"}}, "components.muc: 'notexample.org' is not inside the zone"),
        ({"components": {"chat": "muc.example.org"}}, "components: 'chat' is not a kind of component"),
        ({"certificate_authorities": ['a"b.test']}, "certificate_authorities: 'a\"b.test' is not a certificate"),
        ({"nameservers": []}, "nameservers: [] is not a list of name servers: it is empty"),
        (
            {"nameservers": ["ns1.example.org"]},
            "@ NS: its target ns1.example.org. has no address in the zone; add "
            "an A or AAAA record for it, or name another host",
        ),
        ({"hostmaster": "hostmaster"}, "hostmaster: 'hostmaster' is not a bare JID"),
        ({"hostmaster": "a(b@example.org"}, "hostmaster: 'a(b@example.org' is not a mailbox; write for example"),
        ({"ttl": -1}, "ttl: -1 is not a TTL; write seconds from 0 to 2147483647, for example 3600 (RFC 2181)"),
        ({"ttl": "3600"}, "ttl: '3600' is not a TTL"),
        ({"services": ["clients"]}, "services: 'clients' is not a service; did you mean 'client'?"),
        (
            {"host_keys": ["ssh-ed25519 AAAAB3Nz"]},
            "host_keys: 'ssh-ed25519 AAAAB3Nz' is not an SSH public key of a known",
        ),
        ({"host_keys": [keyed("ssh-dss")]}, "is not an SSH public key of a known kind; write what is in"),
        ({"host_keys": [keyed("ssh-rsa", b"")]}, "is not an SSH public key of a known kind; write what is in"),
        ({"host_keys": [""]}, "host_keys: '' is not an SSH public key: it is empty"),
        ({"domains": "example.net"}, "domains: 'example.net' is not a list of domains; write for example"),
        (
            {"domains": [{"domain": "example.net", "components": {"muc": "muc.example.com"}}]},
            "example.net: components.muc: 'muc.example.com' is not inside the zone example.net",
        ),
        ({"records": {"a": 1}}, "records: {'a': 1} is not a list; write dictionaries with name, type and data"),
    ],
)
def test_wrong_arguments(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        zone(**changes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (7, "7 is not a record; write a dictionary with name, type and data"),
        (record("A", "198.51.100.1", typ="A"), "'typ' is not a key of a record; did you mean 'type'?"),
        (record("A", "2001:db8::1"), "x A: '2001:db8::1' is not an IPv4 address"),
        (record("AAAA", "198.51.100.1"), "x AAAA: '198.51.100.1' is not an IPv6 address"),
        (record("A", "198.51.100.1\nevil IN A 192.0.2.1"), "holds a character that is not printable ASCII"),
        (record("A", ["198.51.100.1"]), "x A: ['198.51.100.1'] is not a record's data; write it as text, in quotes"),
        (record("A", ""), "x A: '' is not a record's data"),
        (record("SPF", "v=spf1"), "x: 'SPF' is not a known record type; write one of A, AAAA, CAA, CNAME"),
        (record("a", "198.51.100.1"), "x: 'a' is not a known record type"),
        (record("A", "198.51.100.1", ""), "'' is not a record's name; write it relative to the zone, for example"),
        (record("A", "198.51.100.1", "a b"), "'a b' is not a DNS name: the label 'a b' is not one"),
        (record("A", "198.51.100.1", "$ORIGIN"), "'$ORIGIN' is not a DNS name"),
        (record("A", "198.51.100.1", "a\n"), "is not a DNS name"),
        (record("A", "198.51.100.1", "a;b"), "'a;b' is not a DNS name"),
        (record("A", "198.51.100.1", "a.*"), "'*' may only be its first label"),
        (record("A", "198.51.100.1", "www.example.net."), "'www.example.net.' is not inside the zone example.org"),
        (record("A", "198.51.100.1", "www.example.org"), "'www.example.org' would become www.example.org.example.org;"),
        (
            record("CNAME", "host.example.net"),
            "x CNAME: 'host.example.net' has no dot at its end; write 'host.example.net.example.org.' for the name "
            "inside the zone, or 'host.example.net.' for that name itself",
        ),
        (
            record("MX", "10 mx.eu"),
            "x MX: 'mx.eu' has no dot at its end; write 'mx.eu.example.org.' for the name inside the zone, or 'mx.eu.' for",
        ),
        (record("CNAME", "a b"), "x CNAME: 'a b' is not a DNS name"),
        (
            record("CNAME", "rosewood", "@"),
            "@ CNAME: an alias allows no other record at its name, and there is A, AAAA, "
            "HTTPS, MX, NS, SOA, TXT; leave out the one or the other (RFC 1034, section 3.6.2)",
        ),
        (record("CNAME", "host.example.net.", "rosewood"), "rosewood CNAME: an alias allows no other record"),
        (
            record("MX", "10 mail"),
            "x MX: its target mail.example.org. has no address in the zone; add an A or AAAA record",
        ),
        (
            record("MX", "mail.example.net."),
            "x MX: 'mail.example.net.' has not the 2 parts of its type; write '10 mail",
        ),
        (record("MX", "70000 mail.example.net."), "x MX: '70000' is not a number from 0 to 65535"),
        (record("SRV", "0 5 a host.example.net."), "x SRV: 'a' is not a number from 0 to 65535"),
        (record("CAA", "1 issue a.test"), "x CAA: '1' is not 0, nor 128 for critical (RFC 8659)"),
        (
            record("CAA", '0 issue "a" x "b"'),
            "is not a CAA value; write printable ASCII without quotes and backslashes",
        ),
        (record("CAA", "0 is-sue a.test"), "x CAA: 'is-sue' is not a CAA tag"),
        (record("SSHFP", "4 2 xyz"), "x SSHFP: 'xyz' is not an even number of hexadecimal digits"),
        (record("DS", "1 13 2"), "x DS: '1 13 2' has not the 4 parts of its type"),
        (record("TLSA", "3 1 1 abcd"), "x TLSA: 'abcd' has 4 digits; write 64 for SHA-256 (1), 128 for SHA-512 (2)"),
        (record("TLSA", "4 1 1 " + "ab" * 32), "x TLSA: '4' is not a number from 0 to 3"),
        (record("TLSA", "3 1 1 {pin}"), "x TLSA: {pin} and a certificate belong together; write both or none"),
        (record("PTR", "host.example.net"), "x PTR: 'host.example.net' has no dot at its end"),
        (record("HTTPS", "1 . alpn=h2;x"), "x HTTPS: 'alpn=h2;x' is not a parameter of a service binding"),
        (record("A", "198.51.100.1", "_x"), "_x A: '_x' is not the name of a host; write letters, digits and hyphens"),
        (record("MX", "10 mail.example.net.", "0/25"), "0/25 MX: '0/25' is not the name of a host"),
        (record("MX", "10 mail_x.example.net."), "x MX: 'mail_x.example.net.' is not the name of a host"),
        (record("SRV", "0 5 1 a/b.example.net."), "x SRV: 'a/b.example.net.' is not the name of a host"),
        (
            record("AAAA", "::ffff:198.51.100.1"),
            "x AAAA: '::ffff:198.51.100.1' is an IPv4 address in the form of an IPv6 one",
        ),
        (
            record("NS", "ns.example.net.", "*"),
            "* NS: a wildcard neither delegates nor redirects; write each name (RFC 4592",
        ),
        (record("DNAME", "example.net.", "*.x"), "*.x DNAME: a wildcard neither delegates nor redirects"),
        (
            record("DNAME", "example.net.", "@"),
            "DNAME leads everything below it elsewhere; leave out the one or the other",
        ),
        (record("DNAME", "example.net"), "x DNAME: 'example.net' has no dot at its end"),
        (
            record("NAPTR", '100 10 "s" "x" ""'),
            'x NAPTR: \'100 10 "s" "x" ""\' has not the 6 parts of its type; write \'100',
        ),
        (
            record("NAPTR", '100 10 "s" "x" "" a ; b'),
            "has a quote, a bracket or a semicolon that is out of place; write",
        ),
        (record("NAPTR", '100 10 "s" "x" "" "a'), "has a quote, a bracket or a semicolon that is out of place; write"),
        (record("NAPTR", '100 10 "s"x "" . ( '), "has a quote, a bracket or a semicolon that is out of place; write"),
        (record("NAPTR", '100 10 "s" "\\256" "" .'), "has a number that is no byte after a backslash; write 3 digits"),
        (record("NAPTR", '100 10 "s" "\\2x" "" .'), "has a number that is no byte after a backslash; write 3 digits"),
        (record("NAPTR", '100 10 "-" "x" "" .'), "x NAPTR: '-' is not a text of flags; write letters and digits"),
        (record("NAPTR", '100 70000 "s" "x" "" .'), "x NAPTR: '70000' is not a number from 0 to 65535"),
        (
            record("NAPTR", '100 10 "u" "x" "!a!b" .'),
            "x NAPTR: '!a!b' is not an expression with its replacement, or has a",
        ),
        (
            record("NAPTR", '100 10 "u" "x" "!a!b!" example.net.'),
            "is not an expression with its replacement, or has a name",
        ),
        (record("NAPTR", f'100 10 "u" "{"x" * 256}" "" .'), "has 256 bytes; a character-string has at most 255"),
        (record("URI", '10 1 "no uri"'), "x URI: 'no uri' is not a URI; write for example 'https://example.net/path'"),
        (record("URI", '10 1 "https://example.net/\\""'), "is not a URI; write for example"),
        (record("OPENPGPKEY", "m!"), "x OPENPGPKEY: 'm!' is not Base64 (RFC 4648); write what `gpg --export` gives"),
        (
            record("SMIMEA", "3 1 1 abcd"),
            "x SMIMEA: 'abcd' has 4 digits; write 64 for SHA-256 (1), 128 for SHA-512 (2)",
        ),
        (
            record("LOC", "52 22 N"),
            "x LOC: '52 22 N' is not a place; write for example '52 22 23.000 N 4 53 32.000 E 10m'",
        ),
        (record("LOC", "91 N 4 E 10m"), "x LOC: '91 N 4 E 10m' is not a place: no angle is above 90 degrees"),
        (record("LOC", "52 N 180 0 1 E 10m"), "is not a place: no angle is above 180 degrees"),
        (
            record("LOC", "52 60 N 4 E 10m"),
            "is not a place: no angle is above 90 degrees, 59 minutes and 59.999 seconds",
        ),
        (record("LOC", "52 N 4 E -100001m"), "is not a place: its height is outside -100000m and 42849672.95m"),
        (
            record("TYPE65280", "0a000001"),
            "is not data of an unknown type; write '\\#', the count of bytes, and these as",
        ),
        (record("TYPE65280", "\\# 3 0a000001"), "is not data of an unknown type; write '\\#', the count of bytes"),
        (record("TYPE1", "\\# 4 0a000001"), "x: 'TYPE1' is A; write that name, and its data in its own form"),
        (
            record("TYPE48", "\\# 0"),
            "x: 'TYPE48' is not a type for records of your own: BIND makes them, or no zone has them",
        ),
        (record("TYPE255", "\\# 0"), "x: 'TYPE255' is not a type for records of your own"),
        (record("TYPE65536", "\\# 0"), "x: 'TYPE65536' is not a known record type; write one of A, AAAA, CAA, CNAME"),
        (
            record("SVCB", "1 . dohpath=dns-query"),
            "x SVCB: dohpath: 'dns-query' is not a path; write for example '/dns-query{?dns}'",
        ),
        (record("SVCB", "1 . dohpath=/q{?x}"), "x SVCB: dohpath: '/q{?x}' lacks the variable dns; write for example"),
        (record("SVCB", "1 . alpn=h2 key1=h3"), "x SVCB: 'key1' is listed twice; write each key once (RFC 9460)"),
        (record("SVCB", "1 . port=https"), "x SVCB: 'https' is not a number from 0 to 65535"),
        (record("SVCB", "1 . alpn"), "x SVCB: alpn: None is not its value; write for example 'alpn=h2'"),
        (record("SVCB", "1 . ipv4hint=2001:db8::1"), "x SVCB: ipv4hint: '2001:db8::1' is not an IPv4 address"),
        (record("SVCB", "1 . mandatory=port alpn=h2"), "x SVCB: mandatory: 'port' is not one of the other keys here"),
        (
            record("SVCB", "1 . colour=red"),
            "x SVCB: 'colour' is not a key of a service binding; write one of mandatory, alpn",
        ),
        (
            record("SVCB", "0 host.example.net. alpn=h2"),
            "is an alias by its 0, and has no parameters; write a priority from 1",
        ),
        (record("HTTPS", "1"), "x HTTPS: '1' has not the parts of its type"),
        (record("A", "198.51.100.1", ttl="1h"), "x A: ttl: '1h' is not a TTL"),
        (
            record("A", "198.51.100.1", "@", ttl=60),
            "@ A: its records have different TTLs; give all the same (RFC 2181)",
        ),
    ],
)
def test_wrong_records(given, message):
    with pytest.raises(ValueError, match="^.*" + re.escape(message)):
        zone(given)
    with pytest.raises(ValueError, match="^.*" + re.escape(message)):
        dns_zone_file({**zone(), "records": [*zone()["records"], given]})


@pytest.mark.parametrize(
    ("made", "pins", "message"),
    [
        ("example.org", {}, "'example.org' is not a zone; write a dictionary with name, ttl, soa"),
        ({"name": "a b"}, {}, "name: 'a b' is not a domain name"),
        ({**zone(), "soa": None}, {}, "soa: None is not a dictionary; write mname, rname, refresh, retry, expire"),
        ({**zone(), "soa": {"mname": "ns1"}}, {}, "soa.mname: 'ns1' is not an absolute name; write for example"),
        ({**zone(), "soa": {"mname": "ns1. x."}}, {}, "soa.mname: 'ns1. x' is not a DNS name"),
        ({**zone(), "records": None}, {}, "records: None is not a list"),
        (zone(), {PATH: "AB" * 32}, "is not a digest; write 64 lower-case hexadecimal digits"),
        (zone(), {PATH: None}, f"pins: None for '{PATH}' is not a digest"),
        (zone(), {PATH: [PIN, "0c72"]}, f"pins: '0c72' for '{PATH}' is not a digest"),
        (zone(), {PATH: {PIN: PIN}}, "is not a digest"),
        (zone(), [PIN], "is not a dictionary; write the path of a certificate and its digests"),
    ],
)
def test_wrong_zones(made, pins, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        dns_zone_file(made, pins)


def test_while_a_key_is_rolled_each_record_names_both():
    following = "ab" * 32
    made = zone(certificates=[PATH])
    found = load(dns_zone_file(made, pins={PATH: [PIN, following]}))
    sets = [sorted(items) for (_name, kind), items in found.items() if kind == "TLSA"]
    assert len(sets) == 6 and all(items == [f"3 1 1 {PIN}", f"3 1 1 {following}"] for items in sets)
    assert not [1 for _name, kind in load(dns_zone_file(made, pins={PATH: []})) if kind == "TLSA"]
    facts = {"present": True, "pin": PIN, "pins": [PIN, following]}
    files = dns_zone_files([made], "/zones", {PATH: facts, "/none": {"present": False}})
    assert files["/zones/example.org.zone"]["content"] == dns_zone_file(made, pins={PATH: [PIN, following]})


URI = "https://ca.example.net/acct/7"


def account(**changes):
    return {
        "directory": "https://ca.example.net/",
        "identities": ["letsencrypt.org"],
        "uri": URI,
        "method": "dns-01",
    } | changes


@pytest.mark.parametrize(
    ("accounts", "expected"),
    [
        ([], {'"letsencrypt.org"'}),
        ([account()], {f'"letsencrypt.org; accounturi={URI}; validationmethods=dns-01"'}),
        ([account(method="http-01")], {f'"letsencrypt.org; accounturi={URI}; validationmethods=http-01"'}),
        (
            [account(identities=["x.test", "letsencrypt.org"])],
            {f'"letsencrypt.org; accounturi={URI}; validationmethods=dns-01"'},
        ),
        (
            [account(uri=f"{URI}0"), account()],
            {f'"letsencrypt.org; accounturi={uri}; validationmethods=dns-01"' for uri in (URI, f"{URI}0")},
        ),
        # Another authority's account says nothing of this one.
        ([account(identities=["other.test"])], {'"letsencrypt.org"'}),
        ([account(identities=[])], {'"letsencrypt.org"'}),
    ],
)
def test_caa_records_name_the_account(accounts, expected):
    mine = {"name": "www", "type": "CAA", "data": '0 issue "letsencrypt.org"'}
    authorities = ["letsencrypt.org", "my.test; validationmethods=dns-01"]
    made = zone(mine, certificate_authorities=authorities, certificates=[PATH])
    found = load(dns_zone_file(made, {PATH: PIN}, {PATH: accounts}))
    rest = {'0 issuewild ";"', '0 issue "my.test; validationmethods=dns-01"'}
    assert found["@", "CAA"] == rest | {f"0 issue {value}" for value in expected}
    # The operator's own records stay as they are: they may be for another host.
    assert found["www", "CAA"] == {'0 issue "letsencrypt.org"'}
    facts = {PATH: {"present": True, "pins": [PIN], "accounts": accounts}}
    files = dns_zone_files([made], "/zones", facts)
    assert files["/zones/example.org.zone"]["content"] == dns_zone_file(made, {PATH: PIN}, {PATH: accounts})


@pytest.mark.parametrize(
    ("accounts", "message"),
    [
        ([], "accounts: [] is not a dictionary; write the path of a certificate and its accounts"),
        ({PATH: URI}, f"accounts: {PATH}: '{URI}' is not a list"),
        ({PATH: [account(uri="https://ca.test/a;b")]}, "'https://ca.test/a;b' for '/"),
        ({PATH: [account(uri='https://ca.test/"')]}, "is not the URI of an ACME account"),
        ({PATH: [account(uri="https://ca.test/ü")]}, "is not the URI of an ACME account"),
        ({PATH: [account(uri="https://ca.test/a\nb")]}, "is not the URI of an ACME account"),
        ({PATH: [account(uri=None)]}, "None for '/"),
        ({PATH: [account(method="tls-alpn-01")]}, "'tls-alpn-01' for"),
    ],
)
def test_wrong_accounts(accounts, message):
    with pytest.raises(ValueError, match="^.*" + re.escape(message)):
        dns_zone_file(zone(certificate_authorities=["letsencrypt.org"], certificates=[PATH]), {}, accounts)


def test_each_of_two_certificates_has_its_records():
    second = PATH.replace(".pem", "-rsa.pem")
    made = zone(certificates=[PATH, second], certificate_authorities=["letsencrypt.org"])
    other = "cd" * 32
    both = load(dns_zone_file(made, pins={PATH: [PIN], second: [other]}))
    name = "_5222._tcp.rosewood"
    assert both[name, "TLSA"] == {f"3 1 1 {PIN}", f"3 1 1 {other}"}
    # The second place may have the first one's key, or nothing.
    one = zone(certificates=[PATH], certificate_authorities=["letsencrypt.org"])
    for pins in ({PATH: [PIN], second: [PIN]}, {PATH: [PIN]}):
        assert dns_zone_file(made, pins=pins) == dns_zone_file(one, pins={PATH: [PIN]})
