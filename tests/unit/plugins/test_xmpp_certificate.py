# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program on the host that orders, proves and deploys a certificate: xmpp-certificate."""

import base64
import contextlib
import datetime
import functools
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import commands, tls, x509
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import dns as host_dns
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.certificate import (
    authority as acme,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.certificate import (
    caa,
    clock,
    deploy,
    errors,
    main,
    pairs,
    records,
    renewal,
    roll,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.certificate.settings import Settings

NAMES = ["example.org", "conference.example.org"]
DIRECTORY = "https://acme.example.net/directory"
ACCOUNT = "https://acme.example.net/account/7"
NOW = datetime.datetime.now(datetime.UTC)


def openssl(*arguments, stdin=None):
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Issues certificates for keys: a function of the key's file, the names and the days."""
    folder = tmp_path_factory.mktemp("authority")
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    openssl("req", "-x509", *curve, "-subj", "/CN=Example CA", "-days", "9", "-keyout", str(ca_key), "-out", str(ca))

    def issue(key, names=NAMES, days=90, chain=True):
        alternatives = ",".join(f"DNS:{name}" for name in names)
        leaf = openssl(
            *("req", "-x509", "-key", str(key), "-CA", str(ca), "-CAkey", str(ca_key), "-subj", "/"),
            *("-days", str(days), "-addext", f"subjectAltName={alternatives}"),
        )
        return leaf + (ca.read_text() if chain else "")

    return issue


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    paths = [folder / "first.pem", folder / "second.pem"]
    for path in paths:
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(path))
    return paths


class Program:
    """What the program does with a configuration: its objects are made for each call, as each run of it makes them."""

    Refused = errors.Refused
    main = staticmethod(main.main)
    digest = staticmethod(pairs.digest)
    look = staticmethod(pairs.look)
    reason = staticmethod(acme.reason)
    rolling = staticmethod(lambda: (state := roll.State.load()) and vars(state))
    register = staticmethod(lambda config: acme.Authorities(Settings.of(config)).register())
    account = staticmethod(lambda config, directory: acme.Authority(Settings.of(config), directory).account())
    roll = staticmethod(lambda config, how: roll.Roll(Settings.of(config)).report(how))
    requests = staticmethod(lambda config: renewal.requests(Settings.of(config)))
    prepare = staticmethod(lambda config: pairs.Store(Settings.of(config)).prepare())
    make_keys = staticmethod(lambda config: pairs.Store(Settings.of(config)).make_keys())
    pairs = staticmethod(lambda config: pairs.Store(Settings.of(config)).pairs())
    current = staticmethod(lambda config: pairs.Store(Settings.of(config)).contents())
    in_use = staticmethod(lambda config: pairs.Store(Settings.of(config)).pins())
    swap = staticmethod(lambda config, texts: pairs.Store(Settings.of(config)).swap(contents(texts)))

    @staticmethod
    def first(config):
        return pairs.Store(Settings.of(config)).first

    @staticmethod
    def keep(config, **options):
        return renewal.Renewal(Settings.of(config), **options).keep()

    def due(self, config, now):
        return renewal.Renewal(Settings.of(config)).due(self.first(config), now)

    def check(self, config, chain, now):
        self.first(config).check(chain, config["names"], now)

    def check_tlsa(self, config, pin):
        renewal.Renewal(Settings.of(config)).check_tlsa(self.first(config), pin)

    @staticmethod
    def deployment(config):
        settings = Settings.of(config)
        return deploy.Deployment(settings, pairs.Store(settings))

    def ask(self, config, families=(None,)):
        return self.deployment(config).ask(families)

    def deploy(self, config, texts):
        return self.deployment(config).deploy(contents(texts))

    @staticmethod
    def forbidden(config, identities, account):
        issuer = caa.Issuer(identities, account, config["challenge"])
        return caa.forbidden(records.Records(config["dns_server"]), config["names"], issuer)


def contents(texts):
    return [pairs.Content(*both) for both in texts]


@pytest.fixture
def program(tmp_path, monkeypatch):
    """The program, whose places are below a folder of the test's."""
    for module, names in {
        main: ["CONFIG", "LOCK"],
        pairs: ["STATE"],
        roll: ["ROLL"],
        renewal: ["OFFERED", "ORDERED", "FAILED"],
        acme: ["ACCOUNTS", "CERTBOT_ACCOUNTS"],
        deploy: ["HOOKS"],
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, str(tmp_path / name))
    monkeypatch.setattr(deploy, "PROVE_SECONDS", 0.2)
    # Who runs the tests need not be root.
    monkeypatch.setattr(os, "fchown", lambda *_: None)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    return Program()


@pytest.fixture
def config(tmp_path, keys):
    """A host with a key and no certificate."""
    key = tmp_path / "privkey.pem"
    key.write_text(keys[0].read_text())
    return {
        "provider": "acme",
        "directory": DIRECTORY,
        "staging_directory": "",
        "ca_bundle": "",
        "email": "",
        "challenge": "dns-01",
        "dns_server": "127.0.0.1",
        "tsig_key": str(tmp_path / "session.key"),
        "webroot": "/var/www/acme",
        "names": NAMES,
        "path": str(tmp_path / "fullchain.pem"),
        "key_path": str(key),
        "rsa_path": str(tmp_path / "fullchain-rsa.pem"),
        "rsa_key_path": str(tmp_path / "privkey-rsa.pem"),
        "key_types": ["ecdsa-p256"],
        "group": "root",
        "renew_percent": 33,
        "address": "127.0.0.1",
        "ports": [],
        "tlsa_names": [],
    }


def dig(*records, status="NOERROR"):
    """What a name server answers: its status, and records as type and data."""
    return status, records


def asked_of(monkeypatch, answer):
    """Has name servers answer as `answer` says, given server, name and type; None is no answer."""

    def query(question, place, **_):
        (wanted,) = question.question
        name = wanted.name.to_text(omit_final_dot=True)
        found = answer(place, name, dns.rdatatype.to_text(wanted.rdtype))
        if found is None:
            raise dns.exception.Timeout
        status, texts = found
        message = dns.message.make_response(question)
        message.set_rcode(dns.rcode.from_text(status))
        for text in texts:
            kind, _space, data = text.partition(" ")
            message.answer.append(dns.rrset.from_text(wanted.name, 300, "IN", kind, data))
        return dns.message.from_wire(message.to_wire()), False

    monkeypatch.setattr(dns.query, "udp_with_fallback", query)
    monkeypatch.setattr(host_dns, "_connected", lambda _server: contextlib.nullcontext())
    monkeypatch.setattr(host_dns, "_servers", lambda server: [server or "resolver"])


def install(program, config, chain, directory=DIRECTORY):
    Path(config["path"]).write_text(chain)
    Path(pairs.STATE).write_text(json.dumps({"directory": directory, "chains": [program.digest(chain)]}))


# --- when a certificate is due ------------------------------------------------------------------------------------


def test_a_good_certificate_is_left_alone(program, config, authority):
    install(program, config, authority(config["key_path"]))
    assert program.due(config, NOW) is None
    assert program.keep(config).startswith("unchanged: the certificate is valid until ")


HOURS = [90 * 24, 64 * 24, 45 * 24, 6 * 24, 24]


class Life:
    """A certificate with this life, that of an authority, and the clock, which the program reads."""

    def __init__(self, program, config, monkeypatch, hours, names=NAMES):
        self.hours, self.now, self.names = hours, NOW, {}
        self.pin = program.first(config).pin
        self.order(config, names)
        monkeypatch.setattr(x509, "look", self.look)
        monkeypatch.setattr(clock, "now", lambda: self.now)

    def order(self, config, names):
        """Each order makes another chain, which `look` knows."""
        chain = f"-----BEGIN CERTIFICATE-----\n{len(self.names):04}\n-----END CERTIFICATE-----\n"
        end = self.now + datetime.timedelta(hours=self.hours)
        self.names[chain] = x509.Certificate(
            self.now, end, frozenset(names), self.pin, pairs.digest(chain), "ECDSA", 256
        )
        return chain

    def look(self, chain):
        return self.names[chain.split("-----END")[0] + "-----END CERTIFICATE-----\n"]


@pytest.mark.parametrize("hours", HOURS)
def test_renewed_in_time_whatever_its_life(program, config, monkeypatch, hours):
    """The timer looks each hour. A share of the life is left when it is renewed, and enough to mend what fails."""
    life = Life(program, config, monkeypatch, hours)
    install(program, config, next(iter(life.names)))
    passed = 0
    while not (why := program.due(config, NOW + datetime.timedelta(hours=passed))):
        passed += 1
    left = hours - passed
    print(f"valid for {hours} h: renewed with {left} h left, {left / hours * 100:.0f} %")
    assert re.fullmatch(r"it expires at \d{4}-\d\d-\d\d \d\d:\d\d UTC", why)
    assert (0.31 if hours >= 240 else 0.45) < left / hours < 0.51


@pytest.mark.parametrize("hours", HOURS)
def test_what_fails_is_tried_again_in_time_and_not_too_often(program, config, monkeypatch, hours):
    """Authorities count failures: Let's Encrypt takes five in an hour, and of months of them it has enough."""
    life = Life(program, config, monkeypatch, hours)
    install(program, config, next(iter(life.names)))
    tries = []

    def issue(*_):
        tries.append(life.now)
        raise program.Refused("the authority is away")

    monkeypatch.setattr(acme.Authorities, "issue", issue)
    for _hour in range(hours):
        life.now += datetime.timedelta(hours=1)
        if program.due(config, life.now):
            with pytest.raises(program.Refused, match="^the authority is away"):
                program.keep(config, patient=True)
    pauses = {(second - first).total_seconds() / 3600 for first, second in zip(tries, tries[1:], strict=False)}
    print(f"valid for {hours} h: {len(tries)} attempts, every {pauses} h")
    assert 5 <= len(tries) <= 61 and max(pauses) <= 12
    # By hand, and by the playbook, it is tried at once.
    with pytest.raises(program.Refused):
        program.keep(config)
    assert tries[-1] == life.now
    # A failure of a time to come, since the clock was set back, is not waited for.
    Path(renewal.FAILED).write_text(json.dumps({"at": int(life.now.timestamp()) + 30 * 86400, "why": "before"}))
    with pytest.raises(program.Refused, match="^the authority is away"):
        program.keep(config, patient=True)
    # What is mended needs no hand.
    monkeypatch.setattr(acme.Authorities, "issue", lambda _, pair, _may_lack: (life.order(pair, NAMES), {}))
    monkeypatch.setattr(pairs.Pair, "check", lambda *_: None)
    life.now += datetime.timedelta(hours=12)
    assert program.keep(config, patient=True).startswith("issued: ") and not Path(renewal.FAILED).exists()


def test_what_was_ordered_is_not_ordered_again_because_a_daemon_did_not_reload(program, config, authority, monkeypatch):
    """Let's Encrypt issues five certificates for the same names in a week."""
    install(program, config, authority(config["key_path"], names=NAMES[:1]))
    orders, broken = [], True

    def issue(_authorities, pair, _may_lack):
        orders.append(pair)
        return authority(pair.key_path), {}

    def hooks():
        if broken:
            raise program.Refused("nginx: broken")

    monkeypatch.setattr(acme.Authorities, "issue", issue)
    monkeypatch.setattr(deploy, "hooks", hooks)
    for _run in range(4):
        with pytest.raises(program.Refused, match="nginx: broken; the old one is in place again"):
            program.keep(config)
    broken = False
    assert program.keep(config).startswith("issued: ") and len(orders) == 1
    assert program.keep(config).startswith("unchanged: ") and os.listdir(renewal.ORDERED) == []


# --- names that cannot be proven ----------------------------------------------------------------------------------


SAID = {
    "challenge": "  Domain: conference.example.org\n  Type:   dns\n  Detail: no such name\n",
    "policy": 'Error creating new order :: Cannot issue for "conference.example.org": Domain name is not public\n',
    "caa": "Error finalizing order :: CAA record for conference.example.org prevents issuance\n",
}


@pytest.mark.parametrize("how", [*SAID, "records", "unanswered"])
@pytest.mark.parametrize(
    ("here", "left", "done"),
    [
        # There is none, or it lacks that name already, or will soon end: the others go on.
        (None, 90, "Incomplete"),
        (NAMES[:1], 20, "Incomplete"),
        (NAMES, 5, "Incomplete"),
        # Nobody loses what they have before that; and nothing is ordered that brings nothing.
        (NAMES, 20, "Refused"),
        (NAMES[:1], 80, "Refused"),
    ],
)
def test_a_name_that_cannot_be_proven_does_not_hold_up_the_others(
    program, config, authority, monkeypatch, how, here, left, done
):
    if here:
        install(program, config, authority(config["key_path"], names=here, days=90))
    monkeypatch.setattr(clock, "now", lambda: NOW + datetime.timedelta(days=90 * (100 - left) / 100))
    before = Path(config["path"]).read_text() if here else None
    asked = []

    def certbot(given, *arguments):
        at = dict(zip(arguments, arguments[1:], strict=False))
        request = openssl("req", "-in", at["--csr"], "-noout", "-text")
        names = re.findall(r"DNS:([^\s,]+)", request)
        asked.append(names)
        if how in SAID and "conference.example.org" in names:
            raise program.Refused(program.reason(SAID[how]))
        monkeypatch.setattr(clock, "now", lambda: datetime.datetime.now(datetime.UTC))
        Path(at["--fullchain-path"]).write_text(authority(config["key_path"], names=names))

    config["challenge"] = "http-01"
    monkeypatch.setattr(acme.Authority, "certbot", certbot)
    monkeypatch.setattr(acme.Authority, "identities", lambda *_: [])
    monkeypatch.setattr(acme.Authority, "account", lambda *_: ACCOUNT)
    bad = {"conference.example.org": "it is not proven"}
    monkeypatch.setattr(caa, "forbidden", lambda _, names, __: bad if how == "records" and len(names) > 1 else {})
    monkeypatch.setattr(acme.Authorities, "unanswered", lambda *_: bad if how == "unanswered" else {})
    with pytest.raises(program.Refused) as refused:
        program.keep(config)
    print(type(refused.value).__name__, refused.value, asked)
    assert type(refused.value).__name__ == done
    if done == "Refused":
        assert Path(config["path"]).read_text() == before
        return
    assert asked[-1] == ["example.org"] and "it lacks conference.example.org: " in str(refused.value)
    assert program.look(Path(config["path"]).read_text()).names == {"example.org"}
    # The next time it is the same, and no order is made for it.
    count = len(asked)
    with pytest.raises(program.Refused) as refused:
        program.keep(config)
    assert type(refused.value).__name__ == "Refused" and all(
        "conference.example.org" in names for names in asked[count:]
    )


def test_why_it_is_due(program, config, authority, keys):
    assert program.due(config, NOW) == "there is none"
    Path(config["path"]).write_text("no PEM\n")
    assert program.due(config, NOW) == "there is none"
    install(program, config, authority(keys[1]))
    assert "does not belong to the key" in program.due(config, NOW)
    install(program, config, authority(config["key_path"], names=NAMES[:1]))
    assert program.due(config, NOW) == "it lacks conference.example.org"
    install(program, config, authority(config["key_path"]), directory="https://other.example.net/")
    assert program.due(config, NOW).endswith(f"is not of {DIRECTORY}")
    # Of the authority, but not the one that was put there by a whole deploy: killed in between, or put there by hand.
    Path(config["path"]).write_text(authority(config["key_path"]))
    assert program.due(config, NOW).endswith(f"is not of {DIRECTORY}")


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "rsa-3072"])
def test_the_key_and_the_first_certificate(program, config, kind):
    config["key_types"] = [kind]
    Path(config["key_path"]).unlink()
    assert program.prepare(config) == ["the key", "a certificate of its own, until one is issued"]
    text = openssl("pkey", "-in", config["key_path"], "-noout", "-text")
    assert {"ecdsa-p256": "P-256", "ecdsa-p384": "P-384", "rsa-3072": "3072 bit"}[kind] in text
    assert program.look(Path(config["path"]).read_text()).names == set(NAMES)
    assert os.stat(config["key_path"]).st_mode & 0o777 == 0o640
    key = Path(config["key_path"]).read_text()
    assert program.prepare(config) == []
    assert Path(config["key_path"]).read_text() == key
    assert program.due(config, NOW).endswith(f"is not of {DIRECTORY}")


# --- what is refused ------------------------------------------------------------------------------------------------


def test_what_the_authority_sent_is_checked(program, config, authority, keys):
    key = config["key_path"]
    good = authority(key)
    now = datetime.datetime.now(datetime.UTC)
    program.check(config, good, now)
    wrong = {
        "holds no certificate": "",
        "comes without a chain": authority(key, chain=False),
        "does not belong to the key": authority(keys[1]),
        "lacks conference.example.org": authority(key, names=NAMES[:1]),
        "certificate 2 of 2 that was sent": good.split("-----END CERTIFICATE-----")[0]
        + "-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    }
    for message, chain in wrong.items():
        with pytest.raises(program.Refused, match=re.escape(message)):
            program.check(config, chain, now)
    for days in (-1, 91):
        with pytest.raises(program.Refused, match="which is not now; see whether the clock is right"):
            program.check(config, good, now + datetime.timedelta(days=days))
    print(f"{len(wrong) + 2} chains refused")


def test_a_key_that_tlsa_records_do_not_know_is_refused(program, config, monkeypatch):
    asked, answers = [], {}
    config["tlsa_names"] = ["_5222._tcp.a.test", "_443._tcp.a.test"]

    def answer(*question):
        asked.append(question)
        return dig(*answers.get(question[1], []))

    asked_of(monkeypatch, answer)
    pin = "ab" * 32
    program.check_tlsa(config, pin)
    other = f"TLSA 3 1 1 {'CD' * 32}"
    answers["_443._tcp.a.test"] = [other, f"TLSA 3 1 1 {pin.upper()[:56]} {pin.upper()[56:]}"]
    program.check_tlsa(config, pin)
    answers["_443._tcp.a.test"] = [other]
    with pytest.raises(program.Refused, match=r"the TLSA records of _443\._tcp\.a\.test know another key"):
        program.check_tlsa(config, pin)
    assert asked[0] == ("127.0.0.1", "_5222._tcp.a.test", "TLSA")


def test_what_a_name_server_does_not_know_the_resolver_is_asked_for(program, config, monkeypatch):
    answers = {"127.0.0.1": dig(status="REFUSED"), "resolver": dig("NS ns1.example.org.", "NS ns2.example.org.")}
    asked_of(monkeypatch, lambda server, *_: answers.get(server))
    known = records.Records(config["dns_server"])
    assert known.look_up("example.org", "NS") == ["ns1.example.org.", "ns2.example.org."]
    answers["127.0.0.1"] = dig(status="NXDOMAIN")
    assert known.look_up("example.org", "NS") == []
    answers |= {"127.0.0.1": dig(status="REFUSED"), "resolver": dig(status="SERVFAIL")}
    with pytest.raises(
        program.Refused,
        match=r"^127.0.0.1 does not tell .*: REFUSED; the resolver does not tell the NS records of example\.org: SERVFAIL$",
    ):
        known.look_up("example.org", "NS")
    with pytest.raises(host_dns.DnsError, match=r"^192\.0\.2\.1 does not tell the NS .*: no answer$"):
        host_dns.ask("192.0.2.1", "example.org", "NS")


@pytest.mark.parametrize(
    ("held", "refused"),
    [
        ({}, None),
        ({"example.org": ['0 issue "ca.example.net"', '0 issuewild ";"']}, None),
        ({"example.org": ['0 issue "other.test"', '0 issue "ca.example.net; validationmethods=dns-01"']}, None),
        ({"example.org": ['0 iodef "mailto:a@example.org"']}, None),
        ({"example.org": ['0 issue ";"']}, "the CAA records of example.org let ';' issue"),
        (
            {"example.org": ['0 issue "ca.example.net"'], "conference.example.org": ['0 issue "other.test"']},
            "the CAA records of conference.example.org let 'other.test' issue, and the authority is ca.example.net",
        ),
        ({"conference.example.org": ['0 issue "ca.example.net"'], "example.org": ['0 issue ";"']}, "example.org let"),
    ],
)
def test_caa(program, config, monkeypatch, held, refused):
    asked_of(monkeypatch, lambda _server, name, _kind: dig(*(f"CAA {text}" for text in held.get(name, []))))
    assert program.forbidden(config, [], ACCOUNT) == {}
    if refused is None:
        assert program.forbidden(config, ["ca.example.net"], ACCOUNT) == {}
        return
    found = program.forbidden(config, ["ca.example.net"], ACCOUNT)
    print(found)
    assert any(refused in why for why in found.values())


@pytest.mark.parametrize(
    ("value", "permitted"),
    [
        ("ca.example.net", True),
        (" ca.example.net ; ", True),
        (f"ca.example.net; accounturi={ACCOUNT}", True),
        (f"ca.example.net;accounturi={ACCOUNT};validationmethods=http-01,dns-01", True),
        ("ca.example.net; other=1", True),
        (f"ca.example.net; accounturi={ACCOUNT}0", False),
        ("ca.example.net; accounturi=", False),
        ("ca.example.net; validationmethods=http-01", False),
        (f"ca.example.net; validationmethods=http-01; accounturi={ACCOUNT}", False),
        ("other.test", False),
        (f"other.test; accounturi={ACCOUNT}", False),
        ("", False),
    ],
)
def test_who_may_issue_by_caa(program, config, monkeypatch, value, permitted):
    """RFC 8657: the account and the method count, where a record names them."""
    assert caa.Issuer(["ca.example.net"], ACCOUNT, "dns-01").is_permitted(value) is permitted
    asked_of(monkeypatch, lambda *_: dig(f'CAA 0 issue "{value}"'))
    if permitted:
        assert program.forbidden(config, ["ca.example.net"], ACCOUNT) == {}
        return
    found = program.forbidden(config, ["ca.example.net"], ACCOUNT)
    assert set(found) == set(NAMES)
    assert all(
        f"the authority is ca.example.net, by dns-01 for the account {ACCOUNT}; " in why for why in found.values()
    )


def test_the_account_is_made_once_and_noted(program, config, monkeypatch):
    asked = []

    def certbot(self, *arguments):
        asked.append((*arguments, self.directory))
        place = self.directory.removeprefix("https://")
        folder = Path(acme.CERTBOT_ACCOUNTS) / place / f"{len(asked):032x}"
        folder.mkdir(parents=True)
        (folder / "regr.json").write_text(json.dumps({"body": {}, "uri": f"{ACCOUNT}{len(asked)}"}))

    monkeypatch.setattr(acme.Authority, "certbot", certbot)
    monkeypatch.setattr(acme.Authority, "identities", lambda *_: ["ca.example.net"])
    config["staging_directory"] = "https://try.example.net/directory"
    for _ in range(2):
        program.register(config)
    assert asked == [("register", "https://try.example.net/directory"), ("register", DIRECTORY)]
    noted = json.loads(Path(acme.ACCOUNTS).read_text())
    assert noted["path"] == config["path"]
    assert [(item["directory"], item["uri"]) for item in noted["accounts"]] == [
        ("https://try.example.net/directory", f"{ACCOUNT}1"),
        (DIRECTORY, f"{ACCOUNT}2"),
    ]
    certbot(acme.Authority(Settings.of(config), DIRECTORY))
    with pytest.raises(
        program.Refused, match="acme.example.net/directory does not hold one account, but 2; leave the one"
    ):
        program.account(config, DIRECTORY)


def test_an_authority_that_registers_nobody(program, config, monkeypatch):
    def refuses(*_):
        raise program.Refused("the terms have changed")

    monkeypatch.setattr(acme.Authority, "certbot", refuses)
    with pytest.raises(program.Refused, match=f"^{DIRECTORY} registers no account: the terms have changed$"):
        program.account(config, DIRECTORY)


def test_the_nearest_caa_records_count(program, config, monkeypatch):
    """Not those above (RFC 8659, section 3)."""
    held = {"conference.example.org": ['0 issue "ca.example.net"'], "example.org": ['0 issue ";"']}
    asked_of(monkeypatch, lambda _server, name, _kind: dig(*(f"CAA {text}" for text in held.get(name, []))))
    config["names"] = ["conference.example.org"]
    assert program.forbidden(config, ["ca.example.net"], ACCOUNT) == {}


CERTBOT = [
    (
        """Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for example.org

Certbot failed to authenticate some domains (authenticator: dns-rfc2136). The Certificate Authority reported these problems:
  Domain: example.org
  Type:   unauthorized
  Detail: Incorrect TXT record found at _acme-challenge.example.org

Hint: The Certificate Authority failed to verify the DNS TXT records created by --dns-rfc2136.

Some challenges have failed.
Ask for help or search for solutions at https://community.example. See the logfile for more details.
""",
        "Domain: example.org Type: unauthorized Detail: Incorrect TXT record found at _acme-challenge.example.org",
    ),
    (
        "An unexpected error occurred:\nOrder is forbidden by policy\nAsk for help\n",
        "Order is forbidden by policy",
    ),
    ("Saving debug log to x\n\n", "certbot gave no reason; see /var/log/letsencrypt/letsencrypt.log"),
]


@pytest.mark.parametrize(("output", "expected"), CERTBOT)
def test_the_reason_out_of_certbot_s_words(program, output, expected):
    assert program.reason(output) == expected


def options_for(config, folder):
    return acme.Authority(Settings.of(config), DIRECTORY).challenge_options(folder)


def test_the_challenge_is_written_with_the_session_s_key(program, config, tmp_path, monkeypatch):
    answers = {}

    def answer(server, name, _kind):
        assert server == "127.0.0.1"
        return answers[name]

    asked_of(monkeypatch, answer)
    answers["_acme-challenge.example.org"] = dig("SOA ns. host. 1 2 3 4 5")
    answers["_acme-challenge.conference.example.org"] = dig(status="REFUSED")
    found = acme.Authorities(Settings.of(config)).unanswered(NAMES)
    assert list(found) == ["conference.example.org"]
    assert "127.0.0.1 does not answer for _acme-challenge.conference.example.org" in found["conference.example.org"]
    answers["_acme-challenge.conference.example.org"] = dig("SOA ns. host. 1 2 3 4 5")
    with pytest.raises(program.Refused, match="holds no key.*; see whether named.service runs"):
        options_for(config, str(tmp_path))
    Path(config["tsig_key"]).write_text('key "local-ddns" {\n\talgorithm hmac-sha256;\n\tsecret "c2VjcmV0";\n};\n')
    options = options_for(config, str(tmp_path))
    ini = Path(options[options.index("--dns-rfc2136-credentials") + 1])
    assert "dns_rfc2136_algorithm = HMAC-SHA256\ndns_rfc2136_secret = c2VjcmV0\n" in ini.read_text()
    assert ini.stat().st_mode & 0o777 == 0o600
    assert "c2VjcmV0" not in " ".join(options)
    config["challenge"] = "http-01"
    assert options_for(config, "/")[2:] == ["--webroot-path", "/var/www/acme"]


def test_an_order_is_made_of_our_own_request(program, config, monkeypatch, authority):
    seen = []

    def run(command, *, environment, **_):
        assert command[0] == "certbot"
        at = {command[n]: command[n + 1] for n in range(len(command) - 1)}
        seen.append((at["--server"], environment.get("REQUESTS_CA_BUNDLE")))
        request = openssl("req", "-in", at["--csr"], "-noout", "-text", "-verify")
        assert all(f"DNS:{name}" in request for name in NAMES)
        Path(at["--fullchain-path"]).write_text(authority(config["key_path"]))
        return ""

    monkeypatch.setattr(acme, "run", run)
    config |= {"challenge": "http-01", "ca_bundle": "/etc/xmpp/acme-ca.pem", "staging_directory": "https://try.test/"}
    monkeypatch.setattr(acme.Authority, "identities", lambda *_: [])
    monkeypatch.setattr(acme.Authority, "account", lambda *_: ACCOUNT)
    assert program.keep(config).startswith("issued: valid until ")
    assert seen == [("https://try.test/", "/etc/xmpp/acme-ca.pem"), (DIRECTORY, "/etc/xmpp/acme-ca.pem")]
    assert program.keep(config).startswith("unchanged: ")

    def fails(_command, **_):
        said = "echo An unexpected error occurred: >&2; echo The limit is reached >&2; exit 1"
        return commands.run(["sh", "-c", said])

    monkeypatch.setattr(acme, "run", fails)
    with pytest.raises(program.Refused, match="https://acme.example.net/directory issued none: The limit is reached"):
        acme.Authority(Settings.of(config), DIRECTORY).order(program.first(config), NAMES)


# --- the deploy that proves itself ----------------------------------------------------------------------------------


class Server(threading.Thread):
    """Serves a chain by TLS, after STARTTLS where it is asked for; reads the file when it is told to reload."""

    def __init__(
        self, config, greeting=b"", proceed=b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", address="127.0.0.1"
    ):
        super().__init__(daemon=True)
        self.config, self.greeting, self.proceed = config, greeting, proceed
        self.reload()
        self.socket = socket.create_server((address, 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def stop(self):
        # Closing alone does not end the accept that waits.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.join()

    def reload(self):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.config["path"], self.config["key_path"])

    def run(self):
        while True:
            try:
                stream, _ = self.socket.accept()
            except OSError:
                return
            try:
                with stream:
                    if self.greeting:
                        self.asked = stream.recv(4096)
                        stream.sendall(self.greeting)
                        stream.recv(4096)
                        stream.sendall(self.proceed)
                    self.context.wrap_socket(stream, server_side=True).close()
            except OSError:
                continue


FEATURES = b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"


@pytest.fixture
def servers(config, authority):
    """Two daemons with the old certificate: direct TLS, and STARTTLS."""
    Path(config["path"]).write_text(authority(config["key_path"]))
    made = [Server(config), Server(config, FEATURES)]
    config["ports"] = [{"port": made[0].port}, {"port": made[1].port, "protocol": "jabber:client"}]
    yield made
    for server in made:
        if server.is_alive():
            server.stop()


def whole(config, chain):
    """A pair with another chain."""
    return [(chain, Path(config["key_path"]).read_text())]


def test_every_port_is_asked(program, config, servers, monkeypatch):
    chain = Path(config["path"]).read_text()
    leaf = hashlib.sha256(ssl.PEM_cert_to_DER_cert(x509.chain(chain)[0])).hexdigest()
    assert program.ask(config) == {(server.port, None): leaf for server in servers}
    mute = Server(config, b"<stream:features></stream:features>")
    refuses = Server(config, FEATURES, b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    hangs_up = Server(config, b"<stream:stream>")
    config["ports"] = [{"port": s.port, "protocol": "jabber:server"} for s in (mute, refuses, hangs_up)]
    # Who says nothing is waited for as long as is allowed.
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *args, **named: real(*args, **{**named, "timeout": 1}))
    assert all(isinstance(answer, tls.TlsError) for answer in program.ask(config).values())
    for server in (mute, refuses, hangs_up):
        server.stop()
    assert all(isinstance(answer, tls.TlsError) for answer in program.ask(config).values())


def test_a_stream_is_for_the_domain_as_xmpp_knows_it(program, config, servers):
    config["names"] = ["xn--bcher-kva.test"]
    assert not [answer for answer in program.ask(config).values() if isinstance(answer, tls.TlsError)]
    print(servers[1].asked)
    assert re.search("to=['\"]bücher.test['\"]", servers[1].asked.decode())


def test_a_deploy_that_all_ports_serve(program, config, servers, authority, monkeypatch):
    monkeypatch.setattr(deploy, "hooks", lambda: [server.reload() for server in servers])
    chain = authority(config["key_path"])
    assert program.deploy(config, whole(config, chain)) == [server.port for server in servers]
    assert Path(config["path"]).read_text() == chain
    assert json.loads(Path(pairs.STATE).read_text()) == {"directory": DIRECTORY, "chains": [program.digest(chain)]}


def test_a_port_that_stays_with_the_old_one_brings_it_back(program, config, servers, authority, monkeypatch):
    monkeypatch.setattr(deploy, "hooks", lambda: servers[0].reload())
    old = Path(config["path"]).read_text()
    with pytest.raises(program.Refused) as refused:
        program.deploy(config, whole(config, authority(config["key_path"])))
    port = servers[1].port
    assert str(refused.value) == (
        f"the new one was not deployed, since after the reload port {port} serves another one; "
        "the old one is in place again"
    )
    assert Path(config["path"]).read_text() == old
    assert not Path(pairs.STATE).exists()
    # The one that had the new one serves the old one again.
    assert len(set(program.ask(config).values())) == 1


def test_a_port_at_another_address_is_asked_there(program, config, servers, authority, monkeypatch):
    other = Server(config, address="127.0.0.2")
    config["ports"].append({"port": other.port, "address": "127.0.0.2"})
    monkeypatch.setattr(deploy, "hooks", lambda: [server.reload() for server in servers])
    with pytest.raises(program.Refused, match=f"port {other.port} serves another one; the old one is in place again"):
        program.deploy(config, whole(config, authority(config["key_path"])))
    monkeypatch.setattr(deploy, "hooks", lambda: [server.reload() for server in (*servers, other)])
    served = program.deploy(config, whole(config, authority(config["key_path"])))
    print(served)
    assert served == [server.port for server in (*servers, other)]
    other.stop()


def test_a_port_that_was_down_before_is_not_waited_for(program, config, servers, authority, monkeypatch):
    servers[1].stop()
    monkeypatch.setattr(deploy, "hooks", lambda: servers[0].reload())
    assert program.deploy(config, whole(config, authority(config["key_path"]))) == [servers[0].port]


@pytest.mark.parametrize(("second", "end"), [(False, "in place again"), (True, "do not reload: run-parts: broken")])
def test_a_hook_that_fails_brings_the_old_one_back(program, config, authority, monkeypatch, second, end):
    calls = []

    def hooks():
        calls.append(Path(config["path"]).read_text())
        if len(calls) == 1 or second:
            raise program.Refused("run-parts: broken")

    old = authority(config["key_path"])
    Path(config["path"]).write_text(old)
    monkeypatch.setattr(deploy, "hooks", hooks)
    new = authority(config["key_path"])
    with pytest.raises(program.Refused, match=f"since run-parts: broken; the old one is .*{end}$"):
        program.deploy(config, whole(config, new))
    assert calls == [new, old]
    assert Path(config["path"]).read_text() == old


def offer(program, chain, name="fullchain.pem"):
    Path(renewal.OFFERED).mkdir(exist_ok=True)
    Path(renewal.OFFERED, name).write_text(chain)


def test_a_chain_from_elsewhere(program, config, servers, authority, monkeypatch, capsys):
    """Of a private authority, or the operator's own: proven as one by ACME is."""
    config["provider"] = "private_ca"
    Path(main.CONFIG).write_text(json.dumps(config))
    offer(program, authority(config["key_path"]))
    monkeypatch.setattr(deploy, "hooks", lambda: [server.reload() for server in servers])
    monkeypatch.setattr(sys, "argv", ["xmpp-certificate", "--deploy"])
    assert program.main() == 0
    ports = ", ".join(str(server.port) for server in servers)
    assert capsys.readouterr().out == f"deployed: served by ports {ports}\n"
    first = Path(renewal.OFFERED, "fullchain.pem").read_text()
    assert Path(config["path"]).read_text() == first
    assert not Path(pairs.STATE).exists()
    monkeypatch.setattr(deploy, "hooks", lambda: servers[0].reload())
    for chain, message in (
        (authority(config["key_path"]), f"port {servers[1].port} serves another one; the old one is in place again"),
        (authority(config["key_path"], chain=False), "what was sent comes without a chain"),
        ("", "what was sent holds no certificate"),
    ):
        offer(program, chain)
        assert program.main() == 1
        assert message in capsys.readouterr().err
        assert Path(config["path"]).read_text() == first


def test_the_first_chain_from_elsewhere(program, config, authority, monkeypatch, capsys):
    Path(main.CONFIG).write_text(json.dumps(config))
    offer(program, authority(config["key_path"]))
    ran = []
    monkeypatch.setattr(deploy, "hooks", lambda: ran.append(True))
    monkeypatch.setattr(sys, "argv", ["xmpp-certificate", "--deploy"])
    assert program.main() == 0
    assert capsys.readouterr().out == "deployed: the first one\n" and ran == [True]
    assert Path(config["path"]).read_text() == Path(renewal.OFFERED, "fullchain.pem").read_text()
    assert stat(config["path"]) == 0o640


def test_the_operator_gets_the_reason(program, config, authority, monkeypatch, capsys):
    install(program, config, authority(config["key_path"], names=NAMES[:1]))
    chain = Path(config["path"]).read_text()
    Path(main.CONFIG).write_text(json.dumps(config))

    def away(*_):
        raise program.Refused(f"{DIRECTORY} does not answer")

    monkeypatch.setattr(acme.Authority, "identities", away)
    monkeypatch.setattr(sys, "argv", ["xmpp-certificate"])
    assert program.main() == 1
    printed = capsys.readouterr()
    assert printed.err == f"The certificate stays as it is: {DIRECTORY} does not answer\n"
    assert "is ordered: it lacks conference.example.org." in printed.out
    assert Path(config["path"]).read_text() == chain


@pytest.mark.parametrize(
    ("text", "message"), [("", "is not there or is empty"), ("{", "Expecting"), ('{"names": 1}', "'provider'")]
)
def test_a_broken_configuration(program, monkeypatch, capsys, text, message):
    Path(main.CONFIG).write_text(text)
    monkeypatch.setattr(sys, "argv", ["xmpp-certificate"])
    assert program.main() == 1
    assert message in capsys.readouterr().err


# --- the key is rolled ----------------------------------------------------------------------------------------------


@functools.lru_cache
def remembered(*arguments, stdin):
    return openssl(*arguments, stdin=stdin)


def pin_of(*arguments, stdin):
    der = remembered(*arguments, stdin=stdin).split("-----")[2]
    return hashlib.sha256(base64.b64decode(der)).hexdigest()


class Killed(BaseException):
    """By nobody's leave, as by a power failure."""


class World:
    """A zone and the resolvers that may have kept it, the daemons, the authority and the clock."""

    TTL = 3600
    issued: dict[str, str] = {}

    def __init__(self, program, config, authority, monkeypatch):
        self.program, self.config, self.authority = program, config, authority
        config["tlsa_names"] = ["_443._tcp.example.org"]
        self.orders, self.history, self.countdown, self.effects = 0, [], None, 0
        self.now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
        self.begin = self.now
        Path(config["path"]).write_text(authority(config["key_path"]))
        self.reload()
        self.publish()
        for place, name, its in [
            (clock, "now", lambda: self.now),
            (host_dns, "ask", self.ask_dns),
            (deploy, "hooks", self.reload),
            (acme.Authorities, "issue", lambda _, pair, *__: (self.issue(pair.key_path), {})),
            (roll, "PUBLISH_SECONDS", -1),
            (deploy.Deployment, "prove", lambda *_: ""),
        ]:
            monkeypatch.setattr(place, name, its)
        for name in ("rename", "symlink", "unlink"):
            monkeypatch.setattr(os, name, self.watched(getattr(os, name)))
        monkeypatch.setattr(shutil, "rmtree", self.watched(shutil.rmtree))

    def watched(self, call):
        """Looks at the world after each change of a file; the power may fail before one."""

        def watching(*arguments, **rest):
            if self.countdown == 0:
                raise Killed
            if self.countdown is not None:
                self.countdown -= 1
            self.effects += 1
            call(*arguments, **rest)
            self.look()

        return watching

    def at(self, *names):
        """The pin of the pair in these places."""
        chain, key = (Path(self.config[name]).read_text() for name in names)
        pins = {
            pin_of("x509", "-noout", "-pubkey", stdin=chain.partition("-----END")[0] + "-----END CERTIFICATE-----\n"),
            pin_of("pkey", "-pubout", stdin=key),
        }
        assert len(pins) == 1, "chain and key are of two pairs"
        return pins.pop()

    def pair(self):
        return self.at("path", "key_path")

    @staticmethod
    def pins(pair):
        return {pair}

    def reload(self):
        self.served = self.pair()
        self.look()

    def publish(self):
        """As role bind does it, with what module certificate_facts says."""
        state = Path(roll.ROLL) / "state.json"
        pins = json.loads(state.read_text())["pins"] if state.exists() else []
        self.history.append((self.now, {*self.pins(self.pair()), *pins}))
        self.look()

    def look(self):
        """Whoever asks now has to find the served key in what a resolver may have, and in what one asks for anew."""
        self.pair()
        for number, (_since, pins) in enumerate(self.history):
            until = self.history[number + 1][0] if number + 1 < len(self.history) else self.now
            if until + datetime.timedelta(seconds=self.TTL) > self.now or number + 1 == len(self.history):
                assert pins.issuperset(self.pins(self.served)), "a resolver has records without the key that is served"

    def ask_dns(self, server, name, kind):
        if kind == "TLSA":
            its = [(self.TTL, f"3 1 1 {pin.upper()[:56]} {pin.upper()[56:]}") for pin in self.history[-1][1]]
            return host_dns.Answer("NOERROR", its)
        known = {("example.org", "NS"): "ns1.example.org.", ("ns1.example.org.", "A"): "192.0.2.1"}
        return host_dns.Answer("NOERROR", [(60, known[name, kind])] if (name, kind) in known else [])

    def issue(self, key_path):
        self.orders += 1
        key = Path(key_path).read_text()
        if key not in self.issued:
            self.issued[key] = self.authority(key_path)
        return self.issued[key]

    def advance(self):
        return self.program.roll(self.config, "advance")

    def play(self):
        """What the playbook does; an hour at a time, and now and then a run of the site playbook or of the timer."""
        self.program.roll(self.config, "begin")
        for _ in range(2):
            self.publish()
            while (status := self.advance())["step"] in ("wait", "sign"):
                if status["step"] == "sign":
                    for one in status["requests"]:
                        Path(one["path"]).write_text(self.issue(self.signed(one)))
                    continue
                assert "This can be interrupted" in status["message"]
                self.now += datetime.timedelta(seconds=min(status["seconds"], 1800))
                self.look()
                self.publish()
        assert status["step"] == "done"

    def signed(self, one):
        assert "X509v3 Extended Key Usage" in openssl("req", "-noout", "-text", "-verify", stdin=one["request"])
        return one["path"].replace("fullchain", "privkey")


@pytest.fixture
def world(program, config, authority, monkeypatch):
    return World(program, config, authority, monkeypatch)


def leftovers(world):
    folder = Path(world.config["path"]).parent
    return [
        path.name for path in folder.iterdir() if path.name.startswith(".") or path.is_symlink() or path.name == "ROLL"
    ]


@pytest.mark.parametrize("provider", ["acme", "private_ca"])
def test_a_roll(program, world, config, provider):
    config["provider"] = provider
    first = world.served
    world.play()
    assert world.served != first and world.served == key_of(program, config)
    assert world.history[-1][1] == {world.served}
    assert leftovers(world) == []
    assert world.orders == 1
    assert (world.now - world.begin).total_seconds() >= 2 * world.TTL
    assert Path(pairs.STATE).exists() == (provider == "acme")
    assert stat(config["key_path"]) == 0o640
    assert world.advance()["step"] == "done"
    print(f"{world.effects} changes of files, {len(world.history)} zones published")


def key_of(program, config):
    return program.first(config).pin


def stat(path):
    return os.stat(path).st_mode & 0o777


@pytest.mark.slow
def test_a_roll_that_is_killed_at_any_moment_goes_on(program, config, authority, keys, monkeypatch):
    """The power fails before each change of a file in turn, and once more in the run after it."""
    killed = moment = 0
    # Neither the first one again, nor the current one.
    texts = [keys[1].read_text(), openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")]
    monkeypatch.setattr(x509, "new_key", lambda _: texts[Path(config["key_path"]).read_text() == texts[0]])
    while True:
        with monkeypatch.context() as patch:
            Path(config["key_path"]).write_text(keys[0].read_text())
            world = World(program, config, authority, patch)
            first, world.countdown = world.served, moment
            for again in (moment % 7, None):
                try:
                    world.play()
                except Killed:
                    killed += 1
                # What comes up after a power failure reads the files, and the timer may come before the operator.
                world.reload()
                world.countdown = again
            world.countdown = None
            if key_of(program, config) == first or Path(roll.ROLL).exists():
                world.play()
            assert world.served != first
            assert leftovers(world) == []
            moment += 1
            if world.effects < moment:
                break
    print(f"{killed} times killed, at {moment} moments")
    assert moment > 20


@pytest.mark.parametrize("phase", ["publish", "switched", "withdraw"])
def test_a_renewal_in_the_middle(program, world, config, phase):
    program.roll(config, "begin")
    world.publish()
    while program.rolling()["phase"] != phase:
        status = world.advance()
        world.now += datetime.timedelta(seconds=status.get("seconds", 0))
    before = program.rolling()
    key = key_of(program, config)
    assert program.keep(config, force=True).startswith("issued: ")
    assert key_of(program, config) == key and program.rolling() == before
    world.play()
    assert leftovers(world) == []


def test_the_tests_of_the_roll_see_one_that_does_not_wait(program, world, config, monkeypatch):
    """The control: without the wait before the switch, and without that before the withdrawal."""
    monkeypatch.setattr(roll.State, "left", lambda *_: 0)
    with pytest.raises(AssertionError, match="a resolver has records without the key"):
        world.play()


def test_the_tests_of_the_roll_see_a_pair_that_does_not_fit(program, world, config, monkeypatch):
    monkeypatch.setattr(pairs.Store, "swap", lambda store, texts: store.first.write(texts[0]))
    with pytest.raises(AssertionError, match="chain and key are of two pairs"):
        world.play()


@pytest.mark.slow
def test_a_swap_that_is_killed_leaves_one_pair_whole(program, world, config, authority, keys):
    old, new = Path(config["path"]).read_text(), authority(keys[1])
    for moment in range(100):
        world.countdown = moment
        try:
            program.swap(config, [(new, keys[1].read_text())])
        except Killed:
            pin = world.pair()
            world.countdown = None
            # A renewal after it, and then the other way round.
            program.first(config).write_chain(authority(config["key_path"]))
            assert world.pair() == pin
            program.swap(config, [(old, keys[0].read_text())])
            assert leftovers(world) == []
        else:
            break
    assert moment > 5
    assert Path(config["path"]).read_text() == new
    assert leftovers(world) == []
    print(f"killed at {moment} moments")


def begun(program, world):
    program.roll(world.config, "begin")
    world.publish()
    world.now += datetime.timedelta(seconds=world.advance()["seconds"])


def test_a_deploy_that_fails_in_a_roll(program, world, config, monkeypatch):
    """The old pair is back as a whole, the roll stands where it stood, and nothing is ordered twice."""
    begun(program, world)
    before = [Path(config[name]).read_text() for name in ("path", "key_path")]
    monkeypatch.setattr(deploy.Deployment, "prove", lambda *_: "port 443 serves another one")
    with pytest.raises(program.Refused, match="the new one was not deployed.*the old one is in place again"):
        world.advance()
    assert [Path(config[name]).read_text() for name in ("path", "key_path")] == before
    assert program.rolling()["phase"] == "publish"
    monkeypatch.setattr(deploy.Deployment, "prove", lambda *_: "")
    world.play()
    assert world.orders == 1


def test_an_authority_that_refuses_in_a_roll(program, world, config, monkeypatch):
    begun(program, world)
    before = world.pair(), program.rolling()

    def refuse(*_):
        raise program.Refused("it issued none: the limit is reached")

    with monkeypatch.context() as patch, pytest.raises(program.Refused, match="the limit is reached"):
        patch.setattr(acme.Authorities, "issue", refuse)
        world.advance()
    assert (world.pair(), program.rolling()) == before
    world.play()


def test_what_was_signed_for_another_key_is_asked_for_again(program, world, config, keys, authority):
    config["provider"] = "private_ca"
    begun(program, world)
    assert world.advance()["step"] == "sign"
    Path(roll.ROLL, "fullchain.pem").write_text(authority(keys[1]))
    with pytest.raises(program.Refused, match="does not belong to the key"):
        world.advance()
    assert world.advance()["step"] == "sign"
    world.play()


def test_the_operators_own_pair_is_the_next_one(program, world, config, keys, authority):
    config["provider"] = "files"
    folder = Path(roll.ROLL)
    with pytest.raises(program.Refused, match="the key that is offered is the one in use"):
        program.roll(config, "begin")
    folder.mkdir()
    (folder / "privkey.pem").write_text(keys[0].read_text())
    with pytest.raises(program.Refused, match="the key that is offered is the one in use"):
        program.roll(config, "begin")
    (folder / "privkey.pem").write_text(keys[1].read_text())
    (folder / "fullchain.pem").write_text(authority(keys[1]))
    assert program.roll(config, "begin")["changed"] is True
    assert program.roll(config, "begin")["changed"] is False
    world.publish()
    # Another one is offered before the switch: the roll begins anew.
    third = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")
    (folder / "privkey.pem").write_text(third)
    (folder / "fullchain.pem").write_text(authority(folder / "privkey.pem"))
    world.play()
    assert world.served == pin_of("pkey", "-pubout", stdin=third)


def test_a_name_server_that_lags_behind(program, world, config, monkeypatch):
    """The waiting begins when the last one serves both, and what was waited for before counts for nothing."""
    program.roll(config, "begin")
    (following,) = program.rolling()["next"]
    with pytest.raises(program.Refused) as refused:
        world.advance()
    assert str(refused.value) == (
        f"ns1.example.org. does not serve _443._tcp.example.org. TLSA 3 1 1 {following}; run it again when all name "
        "servers serve the same"
    )
    world.publish()
    assert world.advance()["seconds"] == world.TTL + 2
    world.now += datetime.timedelta(seconds=world.TTL)
    # A zone of before, as from a backup.
    world.history.append((world.now, {world.served}))
    with pytest.raises(program.Refused, match="does not serve"):
        world.advance()
    world.now += datetime.timedelta(seconds=world.TTL)
    world.publish()
    assert world.advance()["seconds"] == world.TTL + 2
    world.play()


def test_a_name_server_that_is_away(program, world, config, monkeypatch):
    def away(server, name, kind):
        if kind == "TLSA" and server == "192.0.2.1":
            raise host_dns.DnsError("192.0.2.1 does not tell the TLSA records: no answer")
        return world.ask_dns(server, name, kind)

    monkeypatch.setattr(host_dns, "ask", away)
    with pytest.raises(program.Refused, match=r"the name server ns1\.example\.org\. does not answer: 192\.0\.2\.1"):
        program.roll(config, "begin")
    assert not Path(roll.ROLL).exists()


def test_records_that_do_not_know_the_current_key(program, world, config):
    world.history[-1] = (world.now, {"ab" * 32})
    with pytest.raises(program.Refused, match="do not know the current key; publish them first"):
        program.roll(config, "begin")
    assert not Path(roll.ROLL).exists()


def test_without_tlsa_records_there_is_nothing_to_wait_for(program, world, config, monkeypatch):
    monkeypatch.setattr(host_dns, "ask", lambda *_: host_dns.Answer("NOERROR", []))
    first = world.pair()
    monkeypatch.setattr(world, "look", lambda: None)
    program.roll(config, "begin")
    steps = []
    while (status := world.advance())["step"] != "done":
        steps.append(status.get("seconds"))
        world.now += datetime.timedelta(seconds=status.get("seconds", 0))
    assert world.pair() != first
    assert steps == [2, 2, None]


def test_the_state_of_a_roll_is_secret_and_says_where_it_stands(program, world, config, monkeypatch, capsys):
    def status():
        Path(main.CONFIG).write_text(json.dumps(config))
        monkeypatch.setattr(sys, "argv", ["xmpp-certificate", "--roll", "status"])
        assert program.main() == 0
        return json.loads(capsys.readouterr().out)

    assert status() == {"step": "done", "changed": False, "records": [], "message": "No key is being rolled."}
    program.roll(config, "begin")
    found = status()
    assert found["step"] == "publish" and found["changed"] is False
    pins = program.rolling()["pins"]
    assert found["records"] == [f"_443._tcp.example.org. TLSA 3 1 1 {pin}" for pin in pins]
    assert stat(roll.ROLL) == 0o700
    assert [stat(path) for path in Path(roll.ROLL).iterdir()] == [0o600, 0o600]
    begun(program, world)
    world.advance()
    assert {stat(path) for path in Path(roll.ROLL).iterdir()} == {0o600}
    assert status()["step"] == "switched"
    Path(config["key_path"]).write_text(Path(roll.ROLL, "old-privkey.pem").read_text())
    monkeypatch.setattr(sys, "argv", ["xmpp-certificate", "--roll", "advance"])
    assert program.main() == 1
    error = capsys.readouterr().err
    assert error.startswith("The roll of the key stands still: ") and "is not the key that was switched to" in error


def test_what_is_not_of_an_acme_authority_is_not_renewed_here(program, config, monkeypatch, capsys):
    Path(main.CONFIG).write_text(json.dumps(config | {"provider": "files"}))
    monkeypatch.setattr(sys, "argv", ["xmpp-certificate"])
    assert program.main() == 1
    assert "it is not of an ACME authority; run the playbook" in capsys.readouterr().err


# --- an ECDSA and an RSA key side by side ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rsa_keys():
    """Made once: they take their time."""
    return [openssl("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048") for _ in range(2)]


class Worlds(World):
    """A host that has two keys, or is about to: whoever asks is served one of all that it has."""

    def places(self):
        """What daemons read: a second place that is not there, or has the first pair, is no pair of its own."""
        second = Path(self.config["rsa_key_path"]).exists()
        return [("path", "key_path"), *([("rsa_path", "rsa_key_path")] if second else [])]

    def pair(self):
        return tuple(dict.fromkeys(self.at(*names) for names in self.places()))

    @staticmethod
    def pins(pair):
        return set(pair)


@pytest.fixture
def worlds(program, config, authority, monkeypatch, rsa_keys):
    """A function that makes a host with these kinds of keys, which is to have others."""
    made = {"ecdsa-p256": [], "rsa-3072": list(rsa_keys)}

    def new_key(kind):
        return made[kind].pop() if made.get(kind) else openssl("genpkey", "-algorithm", "EC", "-pkeyopt", CURVE)

    monkeypatch.setattr(x509, "new_key", new_key)

    def make(has, wanted):
        config["key_types"] = has
        Path(config["key_path"]).unlink()
        program.make_keys(config)
        for pair in program.pairs(config):
            Path(pair.path).write_text(authority(pair.key_path))
        config["key_types"] = wanted
        return Worlds(program, config, authority, monkeypatch)

    return make


CURVE = "ec_paramgen_curve:P-256"
ONE, OTHER, TWO = ["ecdsa-p256"], ["rsa-3072"], ["ecdsa-p256", "rsa-3072"]


@pytest.mark.parametrize("provider", ["acme", "private_ca"])
@pytest.mark.parametrize(
    ("has", "wanted", "stays"),
    [(TWO, TWO, 0), (ONE, TWO, 1), (OTHER, TWO, 1), (TWO, ONE, 1), (TWO, OTHER, 1), (ONE, OTHER, 0)],
    ids=["both are rolled", "RSA comes", "ECDSA comes", "RSA goes", "ECDSA goes", "RSA takes the place of ECDSA"],
)
def test_kinds_of_keys_are_rolled(program, config, worlds, provider, has, wanted, stays):
    config["provider"] = provider
    world = worlds(has, wanted)
    first = world.served
    assert len(first) == len(has)
    world.play()
    assert world.served == world.pair() == tuple(program.in_use(config))
    assert world.history[-1][1] == set(world.served)
    assert len(set(first) & set(world.served)) == stays
    families = [content.family for content in program.current(config)]
    assert families == [{"ecdsa-p256": "ECDSA", "rsa-3072": "RSA"}[kind] for kind in wanted]
    # What stays is not signed again.
    assert world.orders == len(wanted) - stays
    folder = Path(config["path"]).parent
    links = sorted(path.name for path in folder.iterdir() if path.is_symlink())
    assert links == (["fullchain-rsa.pem", "privkey-rsa.pem"] if len(wanted) < len(has) else [])
    assert not [path for path in folder.iterdir() if path.name.startswith(".")] and not Path(roll.ROLL).exists()


@pytest.mark.slow
@pytest.mark.parametrize(("has", "wanted"), [(TWO, TWO), (ONE, TWO), (TWO, ONE)], ids=["both", "RSA comes", "RSA goes"])
def test_a_swap_of_two_that_is_killed_leaves_whole_pairs(program, config, authority, worlds, rsa_keys, has, wanted):
    world = worlds(has, wanted)
    old = program.current(config)
    key = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", CURVE)
    new = []
    for number, text in enumerate([key, rsa_keys[0]][: len(wanted)]):
        path = Path(config["path"]).parent / f"made-{number}"
        path.write_text(text)
        new.append((authority(path), text))
    for moment in range(200):
        world.countdown = moment
        try:
            program.swap(config, new)
        except Killed:
            assert world.pair() in (
                world.served,
                tuple(x509.key_pin(key) for _chain, key in new),
            )
            world.countdown = None
            program.swap(config, old)
            assert world.pair() == world.served
        else:
            break
    assert moment > 10
    assert program.current(config) == new
    print(f"killed at {moment} moments")


class TwoKeys(Server):
    """A daemon that serves both, unless it forgets to read the one or the other again."""

    def __init__(self, config, second=True):
        self.second = second
        super().__init__(config)

    def reload(self, kinds=("", "rsa_")):
        if not hasattr(self, "pairs"):
            self.pairs = {}
        for kind in kinds:
            if kind and not self.second:
                continue
            self.pairs[kind] = [Path(self.config[f"{kind}{name}"]).read_text() for name in ("path", "key_path")]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        folder = Path(self.config["path"]).parent / f"daemon-{id(self)}"
        folder.mkdir(exist_ok=True)
        for kind, texts in self.pairs.items():
            paths = [folder / f"{kind}{number}" for number in range(2)]
            for path, text in zip(paths, texts, strict=True):
                path.write_text(text)
            context.load_cert_chain(*paths)
        self.context = context


@pytest.fixture
def two(program, config, authority, rsa_keys):
    """A daemon that serves both kinds, and one that serves the first alone, as coturn does."""
    Path(config["rsa_key_path"]).write_text(rsa_keys[0])
    config["key_types"] = TWO
    for pair in program.pairs(config):
        Path(pair.path).write_text(authority(pair.key_path))
    made = [TwoKeys(config), TwoKeys(config, second=False)]
    config["ports"] = [{"port": server.port} for server in made]
    yield made
    for server in made:
        server.stop()


def renewed(program, config, authority):
    return [(authority(pair.key_path), Path(pair.key_path).read_text()) for pair in program.pairs(config)]


def test_both_kinds_are_asked_for(program, config, two):
    leaves = [program.look(chain).digest for chain, _key in program.current(config)]
    answers = program.ask(config, ["ECDSA", "RSA"])
    both, first = (server.port for server in two)
    assert [answers[both, "ECDSA"], answers[both, "RSA"]] == leaves
    assert answers[first, "ECDSA"] == leaves[0]
    assert isinstance(answers[first, "RSA"], tls.TlsError) and "handshake failure" in str(answers[first, "RSA"])


def test_a_deploy_of_both(program, config, two, authority, monkeypatch):
    monkeypatch.setattr(deploy, "hooks", lambda: [server.reload() for server in two])
    new = renewed(program, config, authority)
    assert program.deploy(config, new) == [server.port for server in two]
    assert program.current(config) == new
    state = json.loads(Path(pairs.STATE).read_text())
    assert state["chains"] == [program.digest(chain) for chain, _key in new]


@pytest.mark.parametrize(("read", "stale"), [([""], "RSA"), (["rsa_"], "ECDSA")])
def test_one_kind_that_is_not_served_takes_both_back(program, config, two, authority, monkeypatch, read, stale):
    def hooks():
        # The one without RSA has nothing to forget.
        two[0].reload(read)
        two[1].reload()

    monkeypatch.setattr(deploy, "hooks", hooks)
    old = program.current(config)
    with pytest.raises(program.Refused) as refused:
        program.deploy(config, renewed(program, config, authority))
    assert str(refused.value) == (
        f"the new one was not deployed, since after the reload port {two[0].port} serves another one for {stale}; "
        "the old one is in place again"
    )
    assert program.current(config) == old


def test_a_kind_that_comes_and_goes_is_proven(program, config, two, authority, monkeypatch):
    monkeypatch.setattr(deploy, "hooks", lambda: [server.reload() for server in two])
    both = program.current(config)
    assert program.deploy(config, both[:1]) == [server.port for server in two]
    answers = program.ask(config, ["ECDSA", "RSA"])
    assert isinstance(answers[two[0].port, "RSA"], tls.TlsError)
    assert program.deploy(config, both) == [server.port for server in two]
    # A daemon that goes on with what is given up.
    monkeypatch.setattr(deploy, "hooks", lambda: two[1].reload())
    with pytest.raises(program.Refused, match=f"port {two[0].port} serves another one for RSA; the old one"):
        program.deploy(config, both[:1])
    assert program.current(config) == both


def test_a_daemon_of_one_key_may_change_its_kind(program, config, two, monkeypatch):
    """As coturn does where the first pair becomes one of another kind; a daemon of two must go on with what it served."""
    both, coturn = program.current(config), two[1]

    def hooks():
        coturn.pairs, coturn.second = {}, True
        coturn.reload(["rsa_"])

    monkeypatch.setattr(deploy, "hooks", hooks)
    config["ports"] = [{"port": coturn.port}]
    with pytest.raises(program.Refused, match=f"port {coturn.port} serves none for ECDSA: .*; the old one"):
        program.deploy(config, both)
    coturn.pairs = {}
    coturn.reload([""])
    config["ports"] = [{"port": coturn.port, "one_key": True}]
    assert program.deploy(config, both) == [coturn.port]
    # But none at all is not right.
    monkeypatch.setattr(deploy, "hooks", lambda: setattr(coturn, "context", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)))
    with pytest.raises(program.Refused, match=f"port {coturn.port} serves none for RSA: .*; the old one"):
        program.deploy(config, both)


def test_only_what_is_due_is_ordered(program, config, authority, rsa_keys, monkeypatch):
    Path(config["rsa_key_path"]).write_text(rsa_keys[0])
    ordered = []

    def issue(_authorities, pair, _may_lack):
        ordered.append(pair.key_path)
        return authority(pair.key_path), {}

    monkeypatch.setattr(acme.Authorities, "issue", issue)
    assert program.prepare(config) == ["a certificate of its own, until one is issued"] * 2
    assert program.keep(config).startswith("issued: valid until ")
    assert ordered == [config["key_path"], config["rsa_key_path"]]
    assert program.keep(config).startswith("unchanged: ")
    Path(config["rsa_path"]).write_text(authority(config["rsa_key_path"], names=NAMES[:1]))
    assert program.keep(config).startswith("issued: ")
    assert ordered[2:] == [config["rsa_key_path"]]


def test_what_is_ordered_for_one_key_is_not_lost_with_the_other(program, config, authority, rsa_keys, monkeypatch):
    Path(config["rsa_key_path"]).write_text(rsa_keys[0])
    program.prepare(config)
    ordered = []

    def issue(_authorities, pair, _may_lack):
        ordered.append(pair.key_path)
        if pair.key_path == config["rsa_key_path"]:
            raise program.Refused("the limit is reached")
        return authority(pair.key_path), {}

    monkeypatch.setattr(acme.Authorities, "issue", issue)
    for expected in (2, 3):
        with pytest.raises(program.Refused, match="^the limit is reached$"):
            program.keep(config)
        assert len(ordered) == expected
    assert program.due(config, NOW) is None


@pytest.mark.parametrize(
    ("reasons", "said"),
    [(("away", "away"), "away"), (("refused", "away"), "refused; away")],
    ids=["the same for both", "one for each"],
)
def test_every_reason_is_told(program, config, rsa_keys, monkeypatch, reasons, said):
    Path(config["rsa_key_path"]).write_text(rsa_keys[0])
    program.prepare(config)
    left = list(reasons)

    def issue(_authorities, pair, _may_lack):
        raise program.Refused(left.pop(0))

    monkeypatch.setattr(acme.Authorities, "issue", issue)
    with pytest.raises(program.Refused, match=f"^{said}$"):
        program.keep(config)


def test_keys_are_made_where_nobody_knows_of_one(program, config):
    """Never beside one that is in use, which would be served before its TLSA records are known."""
    config["key_types"] = TWO
    assert program.make_keys(config) == []
    assert len(program.pairs(config)) == 1 and not Path(config["rsa_key_path"]).exists()
    Path(config["key_path"]).unlink()
    assert program.make_keys(config) == ["the keys"]
    requests = program.requests(config)
    assert [Path(one["path"]).name for one in requests] == ["fullchain.pem", "fullchain-rsa.pem"]
    kinds = [openssl("req", "-noout", "-text", stdin=one["request"]) for one in requests]
    assert "id-ecPublicKey" in kinds[0] and "rsaEncryption" in kinds[1]
    # One that is lost does not cost the other.
    rsa = Path(config["rsa_key_path"]).read_text()
    Path(config["key_path"]).unlink()
    assert program.make_keys(config) == ["the key"]
    assert Path(config["rsa_key_path"]).read_text() == rsa
