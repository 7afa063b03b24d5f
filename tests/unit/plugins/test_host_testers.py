# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of public testers: levels of XEP-0479, and the tests of the Conversations Compliance Tester, of what a server answers."""

import copy
import json

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import promises, tls
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.status import probes, promised
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.status.probes import (
    accounts,
    compliance,
    discovery,
    encryption,
    names,
    offers,
    suites,
    uploads,
    web,
)

DOMAIN = {"domain": "a.test", "web": "a.test", "components": {"muc": "muc.a.test", "upload": "up.a.test"}}
DOMAIN["components"]["proxy"] = "proxy.a.test"
PORTS = {"xmpp-client": 5222, "xmpps-client": 5223, "https": 443}
CONFIG = {
    **{"host": "a.test", "address": "127.0.0.1", "dns_server": "", "ca": "", "updates": ""},
    "ports": [{"port": number, "name": "a.test"} for number in PORTS.values()],
    "promises": {
        **{"domains": [DOMAIN], "services": ["client", "server", "web"], "ports": PORTS, "tls_policy": "strict"},
        **{"registration": "invite", "authority": "public", "authorities": [], "relay_secret": "", "waived": []},
    },
}
MAM, PUBSUB = "urn:xmpp:mam:2", "http://jabber.org/protocol/pubsub"
# What a running Prosody answers that lacks nothing.
HOSTS = {
    "a.test": {
        "server": {
            "features": [
                *("http://jabber.org/protocol/disco#info", "urn:xmpp:blocking", "urn:xmpp:carbons:2", "msgoffline"),
                *("vcard-temp", "jabber:iq:private", "urn:xmpp:extdisco:2"),
            ],
            "identities": [["server", "im", "", "Prosody"]],
            "forms": [[["FORM_TYPE", ["x"]], ["abuse-addresses", ["xmpp:me@a.test"]]]],
        },
        "account": {
            "features": [
                *(MAM, "urn:xmpp:push:0", "urn:xmpp:pep-vcard-conversion:0", "urn:xmpp:bookmarks-conversion:0"),
                *("urn:xmpp:bookmarks:1#compat", "urn:xmpp:bookmarks:1#compat-pep", f"{PUBSUB}#publish-options"),
            ],
            "identities": [["pubsub", "pep", "", ""]],
        },
        "stream": [
            *("urn:xmpp:sm:3", "urn:xmpp:csi:0", "urn:xmpp:features:rosterver"),
            "http://jabber.org/protocol/caps",
        ],
    },
    "muc.a.test": {"server": {"features": ["http://jabber.org/protocol/muc"]}},
    "up.a.test": {"server": {"features": ["urn:xmpp:http:upload:0"]}},
    "proxy.a.test": {"server": {"features": ["http://jabber.org/protocol/bytestreams"]}},
}
OFFERS = {
    "items": ["muc.a.test", "up.a.test", "proxy.a.test"],
    "services": [
        {"type": "stun", "transport": "udp", "host": "t.test", "port": 3478, "credentials": False},
        {"type": "turns", "transport": "tcp", "host": "t.test", "port": 5349, "credentials": True},
    ],
    "room": {
        "features": ["vcard-temp", MAM, "http://jabber.org/protocol/muc#self-ping-optimization"],
        "fields": ["muc#roomconfig_roomname", "muc#roomconfig_enablearchiving"],
    },
    "modules": ["roster", "presence", "message", "tls"],
    "binds": True,
    "component": True,
    "component_ports": 0,
}
LINKS = (("xbosh", "https://a.test/http-bind"), ("websocket", "wss://a.test/xmpp-websocket"))
XML = "".join(f"<Link rel='urn:xmpp:alt-connections:{kind}' href='{link}'/>" for kind, link in LINKS)
OPEN = {"access-control-allow-origin": "*"}
UPLOADS = {**OPEN, "access-control-allow-methods": "PUT", "access-control-allow-headers": "content-type"}
PAGES = {
    ("GET", "a.test", "/.well-known/host-meta"): web.Page(200, OPEN, f"<?xml?><XRD>{XML}</XRD>".encode()),
    ("OPTIONS", "a.test", "/http-bind"): web.Page(204, OPEN, b""),
    ("OPTIONS", "up.a.test", "/file_share/1/status.txt"): web.Page(204, UPLOADS, b""),
}


class Server:
    """What is answered, and what was asked; `no` is what lacks: parts of names, each as it stands in the answers."""

    def __init__(self, monkeypatch):
        self.hosts, self.offers, self.pages = copy.deepcopy(HOSTS), copy.deepcopy(OFFERS), dict(PAGES)
        self.slot = {f"{key}": "https://up.a.test/file_share/1/status.txt" for key in ("put", "get")} | {"headers": {}}
        self.broken: dict[tuple[str, str], Exception] = {}
        self.asked: list[str] = []
        self.puts = 201
        self.targets = [("a.test", 5223)]
        self.features = f"<stream:features><register xmlns='{compliance.REGISTER}'/></stream:features>"
        self.certificate: Exception | None = None
        monkeypatch.setattr(discovery, "run_in_prosody", self._run)
        for name in ("scram", "encrypted", "direct_tls", "bosh", "capabilities"):
            monkeypatch.setitem(
                probes.PROBES,
                name,
                probes.PROBES[name]._replace(ask=lambda _s, argument, n=name: self._ask(n, argument)),
            )
        monkeypatch.setattr(web, "fetch", self._fetch)
        self.paths: list[str] = []
        monkeypatch.setattr(web, "open_websocket", self._websocket)
        monkeypatch.setattr(names, "targets", lambda _subject, _service: self.targets)
        monkeypatch.setattr(accounts, "offered", lambda _subject: self.features)
        monkeypatch.setattr(encryption, "verified", self._verified)

    def _run(self, subject, source, _arguments):
        if subject.outside:
            raise probes.Unknown("it is asked on the host alone")
        kind = {offers.SOURCE: "offers", discovery.SOURCE: "hosts", uploads.SOURCE: "slots"}[source]
        self._ask(kind, "")
        return {"offers": self.offers, "hosts": self.hosts, "slots": self.slot}[kind]

    def _ask(self, name, argument):
        self.asked.append(name)
        if (name, argument) in self.broken:
            raise self.broken[name, argument]
        return "fine"

    def _websocket(self, _subject, path):
        self.paths.append(path)
        return self._ask("websocket", path)

    def _fetch(self, subject, path, *, method="GET", host="", body=b"", **_more):
        if method == "PUT":
            self.pages["GET", host, path] = web.Page(200, {}, body)
            return web.Page(self.puts, {}, b"")
        return self.pages.get((method, host or subject.web, path), web.Page(404, {}, b""))

    def _verified(self, _subject, _port):
        if self.certificate:
            raise self.certificate
        return 1000

    def lacks(self, text: str) -> None:
        """Take a feature, identity, module, item or service out of all answers."""

        def without(found):
            if isinstance(found, dict):
                return {key: without(value) for key, value in found.items() if key != text}
            if isinstance(found, list):
                return [without(one) for one in found if one != text and (not isinstance(one, list) or text not in one)]
            return found

        self.hosts, self.offers = without(self.hosts), without(self.offers)


@pytest.fixture
def server(monkeypatch):
    return Server(monkeypatch)


def ask(name, argument="", outside=False, domain=DOMAIN, **changed):
    config = {**CONFIG, "promises": {**CONFIG["promises"], "domains": [domain], **changed}}
    return probes.answer(probes.Subject(config, domain, probes.Evidence(5), outside), name, argument)


def test_a_server_that_lacks_nothing(server):
    assert ask("category_by_network", "core") == (
        "Advanced Server: RFC 6120, RFC 7590, XEP-0030, XEP-0114 (module component, without an open port), XEP-0368, XEP-0115, XEP-0163"
    )
    assert ask("category", "im") == (
        "Advanced Server: RFC 6121, XEP-0054, XEP-0280, XEP-0045, XEP-0249 (messages that it carries), XEP-0363, XEP-0398, XEP-0153, "
        "XEP-0191, XEP-0048, XEP-0313, XEP-0313 in rooms, XEP-0402, XEP-0410, XEP-0223, XEP-0049, XEP-0198"
    )
    assert ask("category", "mobile") == "Advanced Server: XEP-0198, XEP-0352, XEP-0357"
    assert ask("category", "calls") == "Advanced Server: XEP-0215"
    assert ask("compliance") == "tests: 21 of 21 (100 %), and 4 of 4 that do not count"
    assert {(row.name, row.advanced) for row in suites.CATEGORIES["im"] if not row.advanced} == {
        (name, False) for name in ("RFC 6121", "XEP-0054", "XEP-0280", "XEP-0045", "XEP-0249", "XEP-0363")
    }
    server.offers["component_ports"] = 1
    assert "XEP-0114 (module component, with an open port)" in ask("category_by_network", "core")


@pytest.mark.parametrize(
    ("category", "lacks", "expected"),
    [
        ("core", "http://jabber.org/protocol/disco#info", "not reached; missing: XEP-0030"),
        ("core", "pubsub", "Server; missing for Advanced Server: XEP-0163"),
        ("im", "roster", "not reached; missing: RFC 6121"),
        ("im", "message", "not reached; missing: RFC 6121, XEP-0249"),
        ("im", "vcard-temp", "not reached; missing: XEP-0054, XEP-0153"),
        ("im", "urn:xmpp:carbons:2", "not reached; missing: XEP-0280"),
        ("im", "http://jabber.org/protocol/muc", "not reached; missing: XEP-0045"),
        ("im", "urn:xmpp:pep-vcard-conversion:0", "Server; missing for Advanced Server: XEP-0398, XEP-0153"),
        ("im", "urn:xmpp:blocking", "Server; missing for Advanced Server: XEP-0191"),
        ("im", "urn:xmpp:bookmarks:1#compat-pep", "Server; missing for Advanced Server: XEP-0048"),
        ("im", "urn:xmpp:bookmarks:1#compat", "Server; missing for Advanced Server: XEP-0402"),
        ("im", MAM, "Server; missing for Advanced Server: XEP-0313, XEP-0313 in rooms"),
        (
            "im",
            "http://jabber.org/protocol/muc#self-ping-optimization",
            "Server; missing for Advanced Server: XEP-0410",
        ),
        ("im", f"{PUBSUB}#publish-options", "Server; missing for Advanced Server: XEP-0223"),
        ("im", "jabber:iq:private", "Server; missing for Advanced Server: XEP-0049"),
        ("im", "urn:xmpp:sm:3", "Server; missing for Advanced Server: XEP-0198"),
        ("mobile", "urn:xmpp:csi:0", "not reached; missing: XEP-0352"),
        ("mobile", "urn:xmpp:push:0", "Server; missing for Advanced Server: XEP-0357"),
        ("calls", "urn:xmpp:extdisco:2", "not reached; missing: XEP-0215"),
    ],
)
def test_what_a_category_misses(server, category, lacks, expected):
    server.lacks(lacks)
    assert ask("category", category) == expected


@pytest.mark.parametrize(
    ("category", "broken", "error", "expected"),
    [
        ("core", ("encrypted", "jabber:server"), probes.Broken("no"), "not reached; missing: RFC 7590"),
        ("core", ("direct_tls", "jabber:client"), probes.Broken("no"), "Server; missing for Advanced Server: XEP-0368"),
        ("core", ("capabilities", ""), probes.Broken("no"), "Server; missing for Advanced Server: XEP-0115"),
        (
            *("core", ("direct_tls", "jabber:client"), probes.Unknown("silence")),
            "Server; cannot be told for Advanced Server: XEP-0368 (silence)",
        ),
        ("im", ("slots", ""), probes.Broken("no"), "not reached; missing: XEP-0363"),
        ("im", ("slots", ""), probes.Unknown("silence"), "XEP-0363: silence"),
        ("core", ("scram", ""), probes.Unknown("silence"), "RFC 6120: silence"),
        ("web", ("bosh", ""), probes.Broken("no"), "not reached; missing: XEP-0206"),
    ],
)
def test_what_the_network_says_of_a_category(server, category, broken, error, expected):
    server.broken[broken] = error
    if "silence" in expected and "told" not in expected:
        with pytest.raises(probes.Unknown, match=f"^{expected}$"):
            ask("category", category)
    else:
        assert ask("category", category) == expected


def test_a_server_without_federation_or_rooms(server):
    """Nobody asks for the encryption of a port that is not there."""
    server.broken["encrypted", "jabber:server"] = probes.Broken("no")
    assert ask("category", "core", services=["client"]).startswith("Advanced Server: RFC 6120, RFC 7590")
    server.offers = {**server.offers, "items": {}, "services": {}, "modules": OFFERS["modules"]}
    del server.offers["room"]
    bare = {**DOMAIN, "components": {}}
    assert ask("category", "im", domain=bare) == (
        "not reached; missing: XEP-0045, XEP-0363, XEP-0313 in rooms, XEP-0410"
    )
    assert ask("compliance", domain=bare) == (
        "tests: 14 of 21 (66 %), and 3 of 4 that do not count; fails: stun, turn, vcard_muc, xep0045, xep0065, xep0313muc, xep0363, "
        "xep0363_cors"
    )
    server.offers = {**OFFERS, "component": False}
    assert ask("category", "core", services=["client"]) == "not reached; missing: XEP-0114"
    server.offers = {**OFFERS, "binds": False}
    assert ask("category", "core", services=["client"]) == "not reached; missing: RFC 6120"


@pytest.mark.parametrize(
    ("lacks", "fails"),
    [
        ("urn:xmpp:features:rosterver", "roster_versioning"),
        ("vcard-temp", "vcard_muc"),
        ("muc.a.test", "xep0045"),
        ("http://jabber.org/protocol/muc", "xep0045"),
        ("http://jabber.org/protocol/bytestreams", "xep0065"),
        ("http://jabber.org/protocol/caps", "xep0115"),
        ("msgoffline", "xep0160"),
        ("pubsub", "xep0163, xep0384"),
        ("urn:xmpp:blocking", "xep0191"),
        ("urn:xmpp:sm:3", "xep0198"),
        ("urn:xmpp:carbons:2", "xep0280"),
        # The form of a room has its archive, too.
        (MAM, "xep0313"),
        ("urn:xmpp:csi:0", "xep0352"),
        ("urn:xmpp:push:0", "xep0357"),
        ("urn:xmpp:http:upload:0", "xep0363, xep0363_cors"),
        ("up.a.test", "xep0363, xep0363_cors"),
        (f"{PUBSUB}#publish-options", "xep0384"),
        ("urn:xmpp:pep-vcard-conversion:0", "xep0398"),
        ("urn:xmpp:bookmarks-conversion:0", "xep0411"),
        ("abuse-addresses", "abuse-contact"),
    ],
)
def test_what_the_compliance_tester_misses(server, lacks, fails):
    server.lacks(lacks)
    said = ask("compliance")
    print(said)
    assert said.partition("; fails: ")[2] == fails
    number = len(set(fails.split(", ")) - {"xep0363_cors"})
    count = "tests: 21 of 21 (100 %), and 3 of 4" if fails == "abuse-contact" else f"tests: {21 - number} of 21 ("
    assert said.startswith(count)


def _json(links=LINKS):
    text = json.dumps({"links": [{"rel": f"urn:xmpp:alt-connections:{kind}", "href": link} for kind, link in links]})
    return web.Page(200, OPEN, text.encode())


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (lambda one: one.offers["room"].update(features=[], fields=[]), "vcard_muc, xep0313muc"),
        # A component that is none of the domain's items is found by no client.
        (lambda one: one.offers.update(items={}), "xep0045, xep0065, xep0363, xep0363_cors"),
        (lambda one: one.offers["services"].pop(), "turn"),
        (lambda one: one.offers["services"][1].update(credentials=False), "turn"),
        (lambda one: one.offers["services"][0].update(transport=None), "stun"),
        (lambda one: one.offers["services"][0].update(port=70000), "stun"),
        (lambda one: setattr(one, "targets", []), "xep0368"),
        (lambda one: one.broken.update({("direct_tls", "jabber:client"): probes.Broken("no")}), "xep0368"),
        (lambda one: setattr(one, "features", "<stream:features><register xmlns='urn:xmpp:ibr-token:0'/>"), "xep0077"),
        (lambda one: one.pages.pop(("OPTIONS", "up.a.test", "/file_share/1/status.txt")), "xep0363_cors"),
        (
            lambda one: one.pages.update(
                {("OPTIONS", "up.a.test", "/file_share/1/status.txt"): web.Page(204, OPEN, b"")}
            ),
            "xep0363_cors",
        ),
        (lambda one: one.pages.pop(("GET", "a.test", "/.well-known/host-meta")), "xep0156"),
        (
            lambda one: one.pages.update(
                {("GET", "a.test", "/.well-known/host-meta"): web.Page(200, {}, XML.encode())}
            ),
            "xep0156",
        ),
        (
            lambda one: one.pages.update(
                {("OPTIONS", "a.test", "/http-bind"): web.Page(204, {compliance.CORS: "null"}, b"")}
            ),
            "xep0156",
        ),
        (lambda one: one.broken.update({("websocket", "/xmpp-websocket"): probes.Broken("no")}), "xep0156"),
        (
            lambda one: one.pages.update(
                {("GET", "a.test", "/.well-known/host-meta"): _json([("xbosh", "http://a.test/http-bind")])}
            ),
            "xep0156",
        ),
    ],
)
def test_what_the_web_and_relays_lack(server, change, fails):
    change(server)
    assert ask("compliance").partition("; fails: ")[2] == fails


@pytest.mark.parametrize("link", ["wss://[a.test/x", "wss://a.test:99999999/x", "//a.test/x", "", "https://a.test"])
def test_addresses_that_are_none(server, link):
    server.pages["GET", "a.test", "/.well-known/host-meta"] = _json([("xbosh", link)])
    assert ask("compliance").partition("; fails: ")[2] == "xep0156"


def test_a_file_without_end_is_not_followed(server):
    links = [("websocket", f"wss://a.test/ws one\n{number}") for number in range(1000)]
    server.pages["GET", "a.test", "/.well-known/host-meta"] = _json(links)
    assert "fails" not in ask("compliance")
    assert server.asked.count("websocket") == compliance.MOST_LINKS
    assert server.paths[0] == "/ws%20one0"


def test_a_slot_suffices(server):
    """Its file need not come back for what web clients are told of it."""
    server.puts = 403
    assert ask("category", "im") == "not reached; missing: XEP-0363"
    assert "fails" not in ask("compliance")
    server.slot = {"error": "up.a.test gives no slot: quota"}
    assert ask("compliance").partition("; fails: ")[2] == "xep0363_cors"


def test_either_form_of_the_addresses_suffices(server):
    del server.pages["GET", "a.test", "/.well-known/host-meta"]
    server.pages["GET", "a.test", "/.well-known/host-meta.json"] = _json()
    assert "fails" not in ask("compliance")


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (
            _json([("xbosh", "https://elsewhere.test/http-bind")]),
            "https://elsewhere.test/http-bind is on another server",
        ),
        (_json([("xbosh", "https://a.test:8443/http-bind")]), "https://a.test:8443/http-bind is on another server"),
    ],
)
def test_addresses_on_another_server_cannot_be_told(server, page, why):
    server.pages["GET", "a.test", "/.well-known/host-meta"] = page
    assert ask("compliance").endswith(f"and 3 of 4 that do not count; cannot be told: xep0156 ({why})")


def test_a_website_on_another_server(server):
    said = ask("compliance", domain={**DOMAIN, "web": "www.a.test"})
    assert said.endswith("cannot be told: xep0156 (the website of a.test is on another server)")


def test_a_tester_that_cannot_log_in(server):
    assert ask("compliance", authority="private") == (
        "it does not log in: its authority is private (without that, tests: 21 of 21 (100 %), and 4 of 4 that do not count)"
    )
    server.certificate = tls.TlsError("its certificate is not good: self-signed certificate")
    assert ask("compliance") == (
        "it does not log in: the certificate is not valid (without that, tests: 20 of 21 (95 %), and 4 of 4 that do not count; "
        "fails: xep0368)"
    )
    server.certificate = tls.TlsError("no TLS: silence")
    assert ask("compliance").endswith("cannot be told: xep0368 (no TLS: silence)")


def test_from_elsewhere_no_account_is_asked(server):
    assert ask("compliance", outside=True) == ("tests without an account: 3 of 25; passes: xep0368, xep0077, xep0156")
    server.targets, server.features = [], ""
    # Of a domain of others, neither its web front nor its components are known.
    ports, bare = {"xmpp-client": 5222, "xmpps-client": 5223}, {**DOMAIN, "components": {}}
    assert ask("compliance", outside=True, ports=ports, domain=bare) == (
        "tests without an account: 2 of 25; fails: xep0368, xep0077"
    )
    with pytest.raises(probes.Unknown, match="^RFC 6120 and 4 more: it is asked on the host alone$"):
        ask("category_by_network", "core", outside=True)
    server.broken["encrypted", "jabber:client"] = probes.Broken("no")
    assert ask("category_by_network", "core", outside=True) == "not reached; missing: RFC 7590"
    assert "hosts" not in server.asked and "offers" not in server.asked
    for probe in ("category", "account"):
        with pytest.raises(probes.Unknown, match="on the host alone"):
            ask(probe, "im", outside=True)


def test_nothing_can_be_told_of_a_server_that_is_away(server, monkeypatch):
    def away(*_arguments, **_more):
        raise probes.Unknown("socket: no such file")

    for place, name in ((discovery, "run_in_prosody"), (names, "targets"), (accounts, "offered"), (web, "fetch")):
        monkeypatch.setattr(place, name, away)
    with pytest.raises(probes.Unknown, match="socket: no such file"):
        ask("compliance")


def test_testers_ask_nothing_twice(server):
    """A promise and a tester that want the same get one answer, be that of the whole server or of a domain."""
    results = promised.look(CONFIG, False, seconds=5, testers=True)
    told = {result.promise.id: (result.state, result.reason) for result in results if result.promise.topic == "testers"}
    print(json.dumps(told, indent=1))
    assert set(told) == {tester.id for tester in promises.TESTERS}
    assert told["conversations-compliance"][0] == told["xep-0479-im"][0] == told["xep-0479-core"][0] == "kept"
    counts = {name: server.asked.count(name) for name in set(server.asked)}
    # Streams of clients and of servers; the tester of the web and the promise ask for two addresses.
    assert counts == {
        **dict.fromkeys(("hosts", "offers", "scram", "bosh", "capabilities"), 1),
        # A slot is asked for and forgotten.
        **{"encrypted": 2, "direct_tls": 2, "websocket": 2, "slots": 2},
    }


def test_names_of_tests_are_those_of_the_tester():
    assert len(compliance.TESTS) == len({test.name for test in compliance.TESTS}) == 25
    assert {test.name for test in compliance.TESTS if not test.counts} == {
        *("abuse-contact", "xep0077", "xep0156", "xep0363_cors")
    }
