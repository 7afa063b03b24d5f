# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of a host: which are made, what is made of answers, and peers that are hostile to who asks."""

import contextlib
import functools
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import dns, hello, promises, tls, x509
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.status import main, probes, promised, report, show
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.status.probes import (
    extensions,
    keys,
    machine,
    names,
    relay,
    testers,
)

COMPONENTS = {kind: f"{kind}.a.test" for kind in ("muc", "upload", "proxy", "search")}
DOMAIN = {"domain": "a.test", "web": "a.test", "components": COMPONENTS}
SECTION = {
    **{"domains": [DOMAIN], "services": ["client", "server", "web", "dns", "proxy", "turn", "turns"]},
    **{"ports": {}, "tls_policy": "strict", "registration": "invite", "authority": "private", "authorities": []},
    **{"relay_secret": "", "waived": []},
}
CONFIG = {"host": "a.test", "address": "127.0.0.1", "dns_server": "127.0.0.1", "ca": "", "updates": "", "ports": []}
SERVICES = ("xmpp-client", "xmpps-client", "xmpp-server", "xmpps-server", "https", "proxy65", "stun", "turn")


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setattr(promised, "STATE", str(tmp_path / "promises.json"))


def made(**changed):
    section = {**SECTION, **changed}
    return {promise.id for promise in promises.applying(section, section["domains"][0])}


def test_what_is_switched_off_takes_its_promises_with_it():
    everything = made()
    assert everything == {promise.id for promise in promises.PROMISES}
    for change, gone in (
        ({"services": ["client", "web"]}, {"encrypted-servers", "valid-peers", "xep-0357", "tlsa", "turn", "stun"}),
        ({"services": ["client", "server"]}, {"bosh", "websocket", "xep-0124", "xep-0156", "registration-page"}),
        ({"registration": "closed"}, {"registration-page"}),
        ({"domains": [{**DOMAIN, "components": {}}]}, {"xep-0045", "xep-0055", "xep-0065", "xep-0363"}),
    ):
        assert gone <= everything - made(**change), change
        print(f"{change}: {sorted(everything - made(**change))}")
    assert made(domains=[{**DOMAIN, "components": {}}]) == everything - {"xep-0045", "xep-0055", "xep-0065", "xep-0363"}


def answering(monkeypatch, answers):
    """Probes that answer or raise what is given, and else keep their promise."""
    for name, known in probes.PROBES.items():

        def ask(_subject, _argument, name=name):
            what = answers.get(name, "fine")
            if isinstance(what, Exception):
                raise what
            return what

        monkeypatch.setitem(probes.PROBES, name, known._replace(ask=ask))


def test_states_and_their_levels(monkeypatch):
    answers = {
        "scram": probes.Broken("no SCRAM is offered"),
        "dnssec": probes.Weakened("unsigned, and kept elsewhere"),
        "tlsa": probes.Unknown("no answer"),
        "caa": ValueError("\x1b[31mred\nlines"),
        "debian": probes.Broken("it is Plan 9"),
    }
    answering(monkeypatch, answers)
    results = promised.look({**CONFIG, "promises": {**SECTION, "waived": ["debian"]}}, False)
    state = {result.promise.id: (result.state, result.reason) for result in results}
    assert state["scram"] == ("broken", "no SCRAM is offered")
    assert state["dnssec"][0] == state["debian"][0] == "weakened"
    assert state["tlsa"][0] == state["caa"][0] == "unknown" and "\n" not in state["caa"][1]
    assert [name for name, (what, _why) in state.items() if what == "kept"] == [
        name for name in state if name not in ("scram", "dnssec", "debian", "tlsa", "caa")
    ]
    levels = {item.subject: item.level for item in promised.findings(results)}
    assert levels["promise scram"] == "fails" and levels["promise tlsa"] == "warns"
    assert levels["promise dnssec"] == levels["promise debian"] == levels["promise xep-0045"] == "ok"
    assert {item.level for item in promised.findings(results, True)} == {"ok", "fails"}


def test_topics_that_others_look_at_are_left_out(monkeypatch):
    answering(monkeypatch, {})
    config = {**CONFIG, "promises": {**SECTION, "left_out": ["dns"]}}
    topics = {result.promise.topic for result in promised.look(config, False)}
    assert topics == set(promises.TOPICS) - {"dns"}


def test_one_finding_for_all_domains(monkeypatch):
    domains = [{**DOMAIN, "domain": name, "web": name} for name in ("a.test", "b.test", "c.test")]
    answering(monkeypatch, {})
    known = probes.PROBES["scram"]

    def ask(subject, _argument):
        if subject.name == "b.test":
            raise probes.Broken("no SCRAM")
        return "SCRAM"

    monkeypatch.setitem(probes.PROBES, "scram", known._replace(ask=ask))
    found = {
        item.subject: item
        for item in promised.findings(promised.look({**CONFIG, "promises": {**SECTION, "domains": domains}}, False))
    }
    assert len(found) == len(promises.PROMISES)
    assert found["promise scram"].text == "b.test: no SCRAM" and "--explain scram" in found["promise scram"].do


def test_the_state_says_since_when(monkeypatch):
    config = {**CONFIG, "promises": SECTION}
    answering(monkeypatch, {})
    promised.note(promised.look(config, False), 1000)
    answering(monkeypatch, {"scram": probes.Broken("none")})
    results = promised.look(config, False)
    changed = show.changes(promised.noted(), results)
    assert changed == [{"domain": "a.test", "id": "scram", "before": "kept", "after": "broken", "reason": "none"}]
    promised.note(results, 2000)
    state = json.loads(Path(promised.STATE).read_text())
    entries = {item["id"]: item for item in state["domains"]["a.test"]["promises"]}
    assert state["checked"] == "1970-01-01T00:33:20Z" and os.stat(promised.STATE).st_mode & 0o777 == 0o640
    assert entries["scram"] == {"id": "scram", "state": "broken", "since": "1970-01-01T00:33:20Z", "reason": "none"}
    assert entries["xep-0045"]["since"] == "1970-01-01T00:16:40Z"
    assert show.changes(promised.noted(), results) == []
    assert show.changes(promised.noted(), results[1:])[0]["after"] == ""


def test_a_state_that_cannot_be_read_is_none():
    for text in ("", "{", "[]", "null"):
        Path(promised.STATE).write_text(text)
        assert promised.noted() == {}


# Hostile peers: what each does with a connection, until it is closed.
def hang(stream):
    stream.recv(1)
    time.sleep(30)


def drip(stream):
    while True:
        stream.sendall(b"<")
        time.sleep(0.02)


def flood(stream):
    while True:
        stream.sendall(b"<a b='" + b"x" * 65536)


def broken_xml(stream):
    stream.sendall(b"\xff\xfe</</<<&&;;\x00" * 50 + b"</stream:features></stream:stream>")
    stream.recv(1000)


def features_then_noise(stream):
    stream.recv(1000)
    stream.sendall(b"<stream:features><starttls xmlns='x'><required/></starttls></stream:features>")
    stream.recv(1000)
    stream.sendall(b"<proceed/>")
    stream.sendall(os.urandom(4096))


def endless_record(stream):
    stream.recv(1000)
    stream.sendall(b"\x16\x03\x03\xff\xff")
    while True:
        stream.sendall(b"\x02" * 4096)


def another_hello(stream):
    """Chooses a suite that is not in the offer, whatever is offered."""
    stream.recv(10000)
    body = b"\x03\x03" + b"r" * 32 + b"\x00" + b"\xee\xee" + b"\x00"
    text = b"\x02" + len(body).to_bytes(3, "big") + body
    stream.sendall(b"\x16\x03\x03" + struct.pack("!H", len(text)) + text)


def short_hello(stream):
    stream.recv(10000)
    text = b"\x02\x00\x00\x30" + b"\x03\x03" + b"r" * 32 + b"\xff" + b"r" * 20
    stream.sendall(b"\x16\x03\x03" + struct.pack("!H", len(text)) + text)


def hang_up(_stream):
    pass


def redirects(stream):
    stream.recv(1000)
    stream.sendall(b"HTTP/1.1 301 Moved\r\nLocation: https://a.test/\r\n\r\n")


HOSTILE = [
    *(hang, drip, flood, broken_xml, features_then_noise, endless_record, another_hello, short_hello),
    *(hang_up, redirects),
]


@contextlib.contextmanager
def listening(behave):
    """A port of the loopback where each connection is treated so."""
    server = socket.create_server(("127.0.0.1", 0))
    asked = []

    def treat(stream):
        with contextlib.suppress(OSError), stream:
            behave(stream)

    def serve():
        while True:
            try:
                stream, _ = server.accept()
            except OSError:
                return
            asked.append(1)
            threading.Thread(target=treat, args=[stream], daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1], asked
    server.close()


@pytest.mark.parametrize("behave", HOSTILE, ids=lambda behave: behave.__name__)
def test_a_hostile_server_neither_hangs_nor_crashes_the_check(monkeypatch, behave):
    with listening(behave) as (number, asked):
        ports = [
            {"port": number, "name": "a.test", "protocol": "jabber:client"},
            {"port": number, "name": "a.test", "protocol": "jabber:server"},
            {"port": number, "name": "a.test"},
        ]
        section = {**SECTION, "ports": dict.fromkeys(SERVICES, number)}
        monkeypatch.setattr(dns, "PORT", number)
        config = {**CONFIG, "ports": ports, "promises": section}
        begun = time.monotonic()
        results = promised.look(config, True, seconds=0.6, testers=True)
        taken = time.monotonic() - begun
    states = {result.promise.id: result.state for result in results}
    print(f"{behave.__name__}: {taken:.2f} s, {len(asked)} connections, {states}")
    assert taken < 5 and len(asked) < 300
    assert [result for result in results if "could not be asked" in result.reason] == []
    assert states["im-observatory"] == states["conversations-compliance"] == "unknown"
    # One that asks for TLS and then breaks it has let nobody in.
    kept = {
        result.promise.id for result in results if (result.state, result.promise.topic == "testers") == ("kept", False)
    }
    assert kept <= ({"encrypted-clients", "encrypted-servers"} if behave is features_then_noise else set())
    assert set(states.values()) <= {"unknown", "broken", "kept"}
    assert all(len(result.reason) <= 400 and result.reason.isprintable() for result in results)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00" * 12,
        os.urandom(600),
        b"\xff" * 1400,
        b"\x00\x00\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\xc0\x0c\xc0\x0c" * 3,
    ],
    ids=["empty", "zeroes", "noise", "ones", "a name that points at itself"],
)
def test_a_hostile_name_server(monkeypatch, answer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    question, who = server.recvfrom(4096)
                    server.sendto(question[:2] + answer[2:], who)

        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setattr(dns, "PORT", server.getsockname()[1])
        monkeypatch.setattr(
            "dns.resolver.Resolver.read_resolv_conf", lambda self, _file: self.nameservers.append("127.0.0.1")
        )
        begun = time.monotonic()
        results = promised.look(
            {**CONFIG, "promises": {**SECTION, "services": ["client", "server", "dns"]}}, True, seconds=0.8
        )
        states = {
            result.promise.id: (result.state, result.reason) for result in results if result.promise.topic == "dns"
        }
        print(f"{time.monotonic() - begun:.2f} s: {states}")
        assert time.monotonic() - begun < 20
        assert {state for state, _why in states.values()} == {"unknown"}


@pytest.mark.parametrize(
    "name", ["", "no-dots", "-a.test", "a b.test", "x" * 300 + ".test", "a.test/../", "..", "$(id).test"]
)
def test_what_is_no_domain(name):
    with pytest.raises(report.NoDomain):
        report.a_labels(name)


def test_a_domain_is_found_by_its_records(monkeypatch):
    records = {
        ("_xmpp-client._tcp.xn--bcher-kva.test", "SRV"): ["20 0 1 far.test.", "5 0 5299 near.test."],
        ("_xmpps-client._tcp.xn--bcher-kva.test", "SRV"): ["0 0 0 ."],
        ("_xmpp-server._tcp.xn--bcher-kva.test", "SRV"): ["0 0 5300 near.test."],
        ("near.test", "A"): ["alias.test.", "192.0.2.7"],
    }
    monkeypatch.setattr(
        dns,
        "ask",
        lambda _server, name, kind, **_more: dns.Answer(
            "NOERROR", [(60, text) for text in records.get((name, kind), [])]
        ),
    )
    config = report.config_of("Bücher.test.")
    assert [(port["port"], port["address"], port.get("protocol")) for port in config["ports"]] == [
        (5299, "192.0.2.7", "jabber:client"),
        (5300, "192.0.2.7", "jabber:server"),
    ]
    section = config["promises"]
    made_of = {promise.id for promise in promises.applying(section, section["domains"][0])}
    assert {"scram", "tls-versions", "dnssec", "valid-certificate", "xep-0368"} <= made_of and "bosh" not in made_of
    with pytest.raises(report.NoDomain, match="has no XMPP server"):
        report.config_of("nothing.test")


def test_options_that_exclude_each_other(capsys):
    for words in (["example.org", "--record"], ["example.org", "--diff"]):
        with pytest.raises(SystemExit):
            main.main(words)
    assert "for the host itself" in capsys.readouterr().err


def test_an_unknown_promise_is_refused(tmp_path, capsys):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    assert main.main(["--config", str(path), "--explain", "world-peace"]) == 2
    said = capsys.readouterr().err
    assert "'world-peace' is no promise; write one of debian, updates" in said


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    key = x509.new_key("rsa-3072")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_text(key + x509.self_signed(key, ["a.test"], "a.test", 30))
    return str(path)


@pytest.mark.parametrize(
    ("suites", "lowest", "expected"),
    [
        (
            "ECDHE-RSA-AES128-GCM-SHA256",
            ssl.TLSVersion.TLSv1_2,
            {"tls_versions": "", "forward_secrecy": "", "strong_ciphers": ""},
        ),
        ("ECDHE-RSA-AES128-SHA256", ssl.TLSVersion.TLSv1_2, {"strong_ciphers": "ECDHE-RSA-AES128-SHA256"}),
        ("AES128-GCM-SHA256", ssl.TLSVersion.TLSv1_2, {"forward_secrecy": "AES128-GCM-SHA256", "strong_ciphers": ""}),
        ("ECDHE-RSA-AES128-SHA", ssl.TLSVersion.TLSv1, {"tls_versions": "TLS 1.0", "strong_ciphers": "AES128-SHA"}),
    ],
)
def test_suites_are_told_apart(certificate, suites, lowest, expected):
    """By a server of OpenSSL's with just these."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.minimum_version = lowest
    context.set_ciphers(f"{suites}:@SECLEVEL=0")

    def behave(stream):
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(stream, server_side=True) as inside:
            inside.recv(1)

    with listening(behave) as (number, asked):
        config = {**CONFIG, "ports": [{"port": number, "name": "a.test"}], "promises": SECTION}
        subject = probes.Subject(config, DOMAIN, probes.Evidence(10))
        found = {}
        for name in ("tls_versions", "forward_secrecy", "strong_ciphers"):
            try:
                found[name] = (True, probes.PROBES[name].ask(subject, ""))
            except probes.Broken as error:
                found[name] = (False, str(error))
        print(f"{suites}: {found}, {len(asked)} connections")
    for name, (kept, text) in found.items():
        assert kept == (not expected.get(name)) and expected.get(name, "") in text
    assert len(asked) < 25


@pytest.mark.parametrize(
    ("versions", "sizes", "more", "expected"),
    [
        ({hello.TLS12: [0xC02B, 0xC02C]}, [("ECDSA", 256)], {}, "A"),
        ({hello.TLS12: [0xC02F], hello.TLS13: [0x1301]}, [("RSA", 2048)], {}, "A"),
        # 0.3 * 97.5 + 0.3 * 90 + 0.4 * 90, as its page has it.
        ({hello.TLS11: [0x002F], hello.TLS12: [0xC030]}, [("RSA", 3072)], {}, "A"),
        ({hello.TLS12: [0xC02F]}, [("RSA", 2047)], {}, "B"),
        ({hello.TLS12: [0xC02F]}, [("ECDSA", 256), ("RSA", 1024)], {}, "B"),
        ({hello.TLS12: [0xC02F]}, [("RSA", 1023)], {}, "F"),
        ({hello.SSL3: [0x002F], hello.TLS12: [0xC02F]}, [("RSA", 2048)], {}, "B"),
        ({hello.SSL3: [0x000A]}, [("RSA", 2048)], {}, "F"),
        ({hello.TLS11: [0x002F]}, [("RSA", 2048)], {}, "C"),
        ({hello.TLS12: [0xC011]}, [("RSA", 2048)], {}, "C"),
        ({hello.TLS12: [0xC02F]}, [("RSA", 2048)], {"compresses": True}, "C"),
        ({hello.TLS12: [0xC02F]}, [("RSA", 2048)], {"is_valid": False}, "F"),
        # Export: 30 + 0.3 * 40 + 0.4 * 50; no authentication: 30 + 0 + 32; and without encryption 30 + 27 + 0.
        ({hello.TLS12: [0x0003, 0xC030]}, [("RSA", 2048)], {}, "C"),
        ({hello.TLS12: [0x0034]}, [("RSA", 2048)], {}, "C"),
        ({hello.TLS12: [0x003B]}, [("RSA", 2048)], {}, "C"),
        ({hello.TLS13: [0x1301]}, [("RSA", 2048)], {}, "TLS 1.3 alone"),
        ({hello.TLS12: [0x009E]}, [("RSA", 2048)], {"group_sizes": [2048]}, "A"),
        ({hello.TLS12: [0x009E]}, [("RSA", 2048)], {"group_sizes": [4096, 2047]}, "B"),
        # 30 + 0.3 * 80 + 0.4 * 50, and the same with 0.3 * 20.
        ({hello.TLS12: [0x0033, 0x0015]}, [("RSA", 2048)], {"group_sizes": [1024]}, "B"),
        ({hello.TLS12: [0x0033, 0x0015]}, [("RSA", 2048)], {"group_sizes": [511]}, "C"),
        ({hello.SSL2: [], hello.TLS12: [0xC02F]}, [("RSA", 2048)], {}, "F"),
        ({hello.SSL2: []}, [("RSA", 2048)], {}, "F"),
        ({hello.TLS12: [0x00FE]}, [("RSA", 2048)], {}, "0x00FE is not known"),
        ({hello.TLS12: [0xC02F]}, [("Ed25519", 256)], {}, "no key of Ed25519"),
    ],
)
def test_grades_of_im_observatory(versions, sizes, more, expected):
    arguments = {"compresses": False, "is_valid": True, **more}
    if len(expected) == 1:
        assert testers.observatory_grade(versions, sizes, **arguments) == expected
    else:
        with pytest.raises(probes.Unknown, match=expected):
            testers.observatory_grade(versions, sizes, **arguments)


@pytest.mark.parametrize(
    ("versions", "sizes", "refuses", "groups", "expected"),
    [
        ({hello.TLS12: [0xC02B, 0xC02C], hello.TLS13: [0x1301, 0x1303]}, [("ECDSA", 256)], True, [], "A+"),
        # One version alone: there is nothing to fall back to.
        ({hello.TLS12: [0xCCA8]}, [("RSA", 2048)], None, [], "A+"),
        ({hello.TLS12: [0xC030], hello.TLS13: [0x1302]}, [("Ed25519", 256)], False, [], "C"),
        ({hello.TLS12: [0xC028]}, [("RSA", 4096)], None, [], "D"),
        ({hello.TLS12: [0xC030, 0xC014]}, [("RSA", 4096)], None, [], "E"),
        ({hello.TLS12: [0xC030], hello.TLS13: [0x1302]}, [("ECDSA", 224)], True, [], "E"),
        ({hello.TLS12: [0xC030, 0x009D]}, [("RSA", 4096)], None, [], "F"),
        ({hello.TLS11: [0xC030], hello.TLS12: [0xC030]}, [("RSA", 4096)], True, [], "F"),
        ({hello.TLS12: [0xC030]}, [("ECDSA", 256), ("RSA", 1024)], None, [], "F"),
        ({hello.TLS12: [0xC030]}, [("RSA", 1023)], None, [], "G"),
        ({hello.SSL3: [0xC030]}, [("RSA", 2048)], None, [], "G"),
        ({hello.TLS12: [0xC030, 0xC012]}, [("RSA", 2048)], None, [], "G"),
        ({hello.TLS12: [0xC030, 0x0014, 0x009E]}, [("RSA", 2048)], None, [2048], "G"),
        ({hello.TLS12: [0x009E]}, [("RSA", 2048)], None, [2048], "E"),
        ({hello.TLS12: [0x009E]}, [("RSA", 2048)], None, [2048, 1024], "F"),
        ({hello.TLS12: [0x009E]}, [("RSA", 2048)], None, [1023], "G"),
        ({hello.SSL2: [], hello.TLS12: [0xC030]}, [("RSA", 2048)], None, [], "G"),
        ({hello.TLS12: [0x00FE]}, [("RSA", 2048)], None, [], "0x00FE is not known"),
    ],
)
def test_grades_of_cryptcheck(versions, sizes, refuses, groups, expected):
    if len(expected) <= 2:
        assert testers.cryptcheck_grade(versions, sizes, refuses, groups) == expected
    else:
        with pytest.raises(probes.Unknown, match=expected):
            testers.cryptcheck_grade(versions, sizes, refuses, groups)


@pytest.mark.parametrize(("newest", "refuses"), [(ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, False)])
def test_who_refuses_a_fallback(tmp_path, newest, refuses):
    key = x509.new_key("ecdsa-p256")
    (tmp_path / "both.pem").write_text(key + x509.self_signed(key, ["a.test"], "a.test", 30))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    context.maximum_version = newest

    def behave(stream):
        with contextlib.suppress(OSError), context.wrap_socket(stream, server_side=True) as inside:
            inside.recv(1)

    with listening(behave) as (number, asked):

        def connect():
            return socket.create_connection(("127.0.0.1", number))

        # A server that has TLS 1.2 at most has nothing better to offer, and takes it.
        assert hello.refuses_fallback(connect, "a.test", [hello.TLS13, hello.TLS12], 5) is refuses
        assert hello.refuses_fallback(connect, "a.test", [hello.TLS12], 5) is None
        assert len(asked) == 1
        # SSL 2 is none that one falls back to.
        assert hello.refuses_fallback(connect, "a.test", [hello.SSL2, hello.TLS12], 5) is None


@pytest.mark.parametrize("bits", [1024, 2048])
def test_the_size_of_a_group(tmp_path, certificate, bits):
    """Of a server of OpenSSL's, whose chain of certificates is longer than one record, and which has just this group."""
    parameters = subprocess.run(
        ["openssl", "dhparam", "-dsaparam", str(bits)], capture_output=True, text=True, check=True
    ).stdout
    (tmp_path / "group.pem").write_text(parameters)
    pem = Path(certificate).read_text()
    leaf = pem[pem.index("-----BEGIN CERT") :]
    (tmp_path / "chain.pem").write_text(pem + leaf * 15)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
    context.load_cert_chain(tmp_path / "chain.pem")
    context.load_dh_params(tmp_path / "group.pem")

    def behave(stream):
        with contextlib.suppress(OSError), context.wrap_socket(stream, server_side=True) as inside:
            inside.recv(1)

    with listening(behave) as (number, _asked):
        port = {"port": number, "name": "a.test"}
        subject = probes.Subject({**CONFIG, "ports": [port], "promises": SECTION}, DOMAIN, probes.Evidence(10))
        versions = {hello.TLS12: [0xC02F, 0x009E], hello.TLS13: [0x1301]}
        assert testers.group_sizes(subject, port, versions) == {bits}
        assert testers.group_sizes(subject, port, {hello.TLS12: [0xC02F]}) == set()
        # One that takes such a suite, and shows no group when it is asked for that.
        with pytest.raises(probes.Unknown, match="does not show its group of EXP-DHE"):
            testers.group_sizes(subject, port, {hello.TLS12: [0x0014]})


def ssl2(stream):
    """Answers a hello of SSL 2 (draft-hickman-netscape-ssl-00), and nothing else."""
    head = stream.recv(2)
    asked = stream.recv(int.from_bytes(head, "big") & 0x7FFF)
    if asked[:3] == b"\x01\x00\x02" and len(asked) == 9 + int.from_bytes(asked[3:5], "big") + 16:
        stream.sendall(b"\x80\x1a\x04\x00\x01\x00\x02" + b"\x00\x00\x00\x03\x00\x10" + asked[9:12] + b"i" * 16)


@pytest.mark.parametrize(("behave", "speaks"), [(ssl2, True), *((behave, False) for behave in HOSTILE)])
def test_who_speaks_ssl_2(behave, speaks):
    with listening(behave) as (number, asked):
        begun = time.monotonic()
        connect = functools.partial(socket.create_connection, ("127.0.0.1", number))
        assert hello.speaks_ssl2(connect, 0.5) is speaks
        assert time.monotonic() - begun < 20 and len(asked) == 1
        try:
            assert hello.group_bits(connect, "a.test", hello.TLS12, [0x009E], 0.5) == 0
        except hello.HelloError as error:
            assert str(error) == hello.NO_TLS


def test_ssl_2_breaks_a_promise(certificate):
    """It is found beside what came after it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def behave(stream):
        if stream.recv(1, socket.MSG_PEEK) == b"\x80":
            return ssl2(stream)
        with contextlib.suppress(OSError), context.wrap_socket(stream, server_side=True) as inside:
            inside.recv(1)

    with listening(behave) as (number, _asked):
        config = {**CONFIG, "ports": [{"port": number, "name": "a.test"}], "promises": SECTION}
        subject = probes.Subject(config, DOMAIN, probes.Evidence(10))
        with pytest.raises(probes.Broken, match=f"port {number} speaks SSL 2$"):
            probes.PROBES["tls_versions"].ask(subject, "")


def test_each_known_suite_has_its_bits():
    found = {name: testers.cipher_bits(name) for suite, name in hello.KNOWN.items() if suite not in hello.SUITES13}
    print(found)
    assert {name for name, bits in found.items() if bits == 0} == {name for name in found if "NULL-" in name}
    assert {name for name, bits in found.items() if 0 < bits < 128} == {
        name for name in found if name.startswith("EXP-") or "DES-CBC-" in name
    }
    assert all(bits == 256 for name, bits in found.items() if "256-" in name or "CHACHA" in name or "AES256" in name)


def test_what_testers_say_is_no_promise(monkeypatch):
    """It is told, noted apart where it can be told, and no alarm."""
    answering(
        monkeypatch,
        {
            **{"grades": "F for clients", "category": probes.Unknown("no answer")},
            **{"category_by_network": "Advanced Server", "compliance": "20 of 21 tests"},
        },
    )
    results = promised.look({**CONFIG, "promises": SECTION}, False, testers=True)
    found = {item.subject: item for item in promised.findings(results) if item.subject.startswith("tester ")}
    assert {name: (item.level, item.text) for name, item in found.items()} == {
        "tester im-observatory": ("ok", "F for clients"),
        "tester cryptcheck": ("ok", "F for clients"),
        **{f"tester xep-0479-{name}": ("ok", "cannot be told: no answer") for name in ("im", "mobile", "calls")},
        **{f"tester xep-0479-{name}": ("ok", "Advanced Server") for name in ("core", "web")},
        "tester conversations-compliance": ("ok", "20 of 21 tests"),
    }
    noted = promised.state_of(results, 1000)["domains"]["a.test"]
    assert {entry["id"] for entry in noted["promises"]} == {promise.id for promise in promises.PROMISES}
    assert {one["id"]: one["answer"] for one in noted["testers"]} == {
        **dict.fromkeys(("im-observatory", "cryptcheck"), "F for clients"),
        **dict.fromkeys(("xep-0479-core", "xep-0479-web"), "Advanced Server"),
        "conversations-compliance": "20 of 21 tests",
    }
    # Of a tester, no change is told.
    assert {name for _domain, name in promised.states_of({"domains": {"a.test": noted}})} == {
        promise.id for promise in promises.PROMISES
    }
    assert promised.counts(results) == {"kept": len(promises.PROMISES), "broken": 0, "unknown": 0, "weakened": 0}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("rsa-3072", "RSA of 3072 bits"), ("ecdsa-p256", "ECDSA of 256 bits"), (2048, "asks for 3000")],
)
def test_sizes_of_keys(tmp_path, kind, expected):
    path = tmp_path / "both.pem"
    if isinstance(kind, int):
        command = f"openssl req -x509 -newkey rsa:{kind} -nodes -keyout - -days 3 -subj /CN=a.test"
        path.write_text(subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout)
    else:
        key = x509.new_key(kind)
        path.write_text(key + x509.self_signed(key, ["a.test"], "a.test", 30))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    def behave(stream):
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(stream, server_side=True) as inside:
            inside.recv(1)

    with listening(behave) as (number, _asked):
        config = {**CONFIG, "ports": [{"port": number, "name": "a.test"}], "promises": SECTION}
        subject = probes.Subject(config, DOMAIN, probes.Evidence(10))
        try:
            said = keys.key_sizes(subject, "")
        except probes.Weakened as error:
            said = str(error)
    assert expected in said


def test_when_bind_publishes_what_the_zone_above_shall_know(tmp_path, monkeypatch):
    monkeypatch.setattr(names, "KEY_STATES", f"{tmp_path}/K{{zone}}+*.state")
    assert names.publishes_later("a.test.") is None
    now = time.time()

    def write(name, hours):
        moment = time.strftime("%Y%m%d%H%M%S", time.gmtime(now + hours * 3600))
        (tmp_path / name).write_text(f"KSK: yes\nPublishCDS: {moment} (then)\nDSState: hidden\n")

    (tmp_path / "Ka.test.+013+1.state").write_text("ZSK: yes\n")
    write("Kb.test.+013+2.state", 20)
    assert names.publishes_later("a.test.") is None
    write("Ka.test.+013+2.state", 20)
    assert round(names.publishes_later("a.test.") - now) in (19 * 3600 + 3600, 20 * 3600 - 1)
    # One of them should have been published long ago.
    write("Ka.test.+013+3.state", -7)
    assert names.publishes_later("a.test.") is None
    write("Ka.test.+013+3.state", -1)
    assert names.publishes_later("a.test.") is not None


def test_every_suite_has_its_place():
    assert set(hello.STATIC_AEAD) == hello.AUTHENTICATED - hello.FORWARD_SECRET
    assert len(hello.SUITES12) > 300 and set(hello.KNOWN) <= {*hello.SUITES12, *hello.SUITES13}
    assert not set(hello.STATIC) & hello.FORWARD_SECRET and hello.suite_name(0x00FE) == "0x00FE"


def test_who_listens_for_others(tmp_path, monkeypatch):
    table = tmp_path / "tcp"
    head = "  sl  local_address rem_address   st\n"
    monkeypatch.setattr(machine, "LISTENING", [str(table)])
    monkeypatch.setattr(machine, "SQLITE", str(tmp_path / "none"))
    subject = probes.Subject(CONFIG, DOMAIN, probes.Evidence(1))
    ask = probes.PROBES["private_database"].ask
    for row in (
        "0100007F:1538",
        "00000000000000000000000001000000:1538",
        "00000000:1466",
        "0000000000000000FFFF00000100007F:0CEA",
    ):
        table.write_text(f"{head}   0: {row} 00000000:0000 0A\n")
        assert ask(subject, "") == "no database listens for others"
    # Not one that is connected to a database elsewhere.
    table.write_text(f"{head}   0: 146433C6:1538 00000000:0000 01\n")
    assert ask(subject, "")
    for row, said in (
        ("00000000:1538", "PostgreSQL listens on 0.0.0.0"),
        ("146433C6:0CEA", "MySQL listens on 198.51.100.20"),
    ):
        table.write_text(f"{head}   0: {row} 00000000:0000 0A\n")
        with pytest.raises(probes.Broken, match=said):
            ask(subject, "")


def test_the_hash_of_capabilities():
    """The examples of XEP-0115, sections 5.2 and 5.3."""
    features = [
        *("http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items"),
        *("http://jabber.org/protocol/muc", "http://jabber.org/protocol/caps"),
    ]
    told = {"identities": [["client", "pc", "", "Exodus 0.9.1"]], "features": features, "forms": []}
    assert extensions.verification(told) == "QgayPKawpkPSDYmwT/WM94uAlu0="
    form = [
        *(["FORM_TYPE", ["urn:xmpp:dataforms:softwareinfo"]], ["os", ["Mac"]], ["os_version", ["10.5.1"]]),
        *(["software", ["Psi"]], ["software_version", ["0.11"]], ["ip_version", ["ipv6", "ipv4"]]),
    ]
    identities = [["client", "pc", "el", "Ψ 0.11"], ["client", "pc", "en", "Psi 0.11"]]
    assert (
        extensions.verification({"identities": identities, "features": features, "forms": [form]})
        == "q07IKJEyjvHSyhy//CH0CxmKi8w="
    )


def test_messages_of_stun_are_signed():
    """The integrity of RFC 5769, section 2.1, without its fingerprint."""
    text = relay.message(1, b"x" * 12, relay.attribute(6, b"name"), b"key")
    found = relay.attributes_of(text)
    assert found[6] == b"name" and len(found[8]) == 20 and int.from_bytes(text[2:4], "big") == len(text) - 20
    assert relay.attributes_of(b"\0" * 20 + b"\x00\x06\xff\xff") == {6: b""}


def test_strict_features():
    required = b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
    assert tls.is_strict(required + b"</stream:features>")
    for more in (b"<mechanisms/>", b"<auth/>", b"<dialback xmlns='urn:xmpp:features:dialback'/>", b"<register/>"):
        assert not tls.is_strict(required + more + b"</stream:features>")
    assert not tls.is_strict(required.replace(b"<required/>", b""))


def test_libraries_are_there_before_there_are_threads():
    """Two threads that import modules of dnspython at once, which import each other, may stop each other."""
    folder = Path(probes.__file__).parent
    asked = {
        f"host.{found[1]}" if found[1] else found[2]
        for path in folder.glob("*.py")
        for found in re.finditer(r"^ +(?:from \.\.\. import (\w+)|import ([\w.]+)$)", path.read_text(), re.MULTILINE)
    }
    done = subprocess.run(
        [sys.executable, "-c", "import sys, json, host.status.main; print(json.dumps(sorted(sys.modules)))"],
        cwd=folder.parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    print(f"imported within functions: {sorted(asked)}")
    assert asked and asked <= set(json.loads(done.stdout))
