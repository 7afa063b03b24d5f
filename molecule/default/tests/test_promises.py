# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each promise is broken on the host: the self-test sees that promise and no other, and why.

`xmpp-status --diff` says all that differs from before the first break, so that each look sees the promise before mended,
too.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from conftest import ADDRESS, EXTRA, RELEASE
from hosts import TOP, Host

# The list is generated, and the package it comes from is not the tests' to import.
PROMISES = set(re.findall(r"^\| `([a-z0-9-]+)` \|", (TOP / "docs/promises.md").read_text(), re.M))
PROSODY, NGINX, TURN = "/etc/prosody/prosody.cfg.lua", "/etc/nginx/nginx.conf", "/etc/turnserver.conf"
WEB, UPLOADS = "/etc/nginx/snippets/xmpp-web.conf", "/etc/nginx/snippets/xmpp-uploads.conf"
UPDATES, STATUS = "/var/lib/xmpp-updates/state.json", "/etc/xmpp/status.json"
ZONE = f"/var/lib/bind/zones/{EXTRA}.zone"
WORLD = f"/var/lib/world/dsset-{EXTRA}."

RESTART_PROSODY = (
    "systemctl restart prosody && for n in $(seq 100); do prosodyctl shell 'server:version()' >/dev/null 2>&1 && "
    "bash -c '</dev/tcp/127.0.0.1/5222' 2>/dev/null && break; sleep 0.2; done"
)
RELOAD_NGINX = "nginx -q -t 2>/dev/null && systemctl reload nginx"
RESTART_TURN = "systemctl restart coturn"
OPEN_RELAY = "/run/systemd/system/coturn.service.d"


@dataclass(frozen=True)
class Break:
    """What breaks promises: what is typed before and after the look, and why they are said to be broken."""

    promises: str
    do: str
    undo: str
    why: str

    @property
    def ids(self) -> set[str]:
        return set(self.promises.split())


def copy_of(path: str) -> str:
    return f"/root/promise{path.replace('/', '.')}"


def changed(promises: str, why: str, path: str, change: str, apply: str = "true") -> Break:
    """A file is changed for a while."""
    copy = copy_of(path)
    return Break(promises, f"cp -a {path} {copy} && {change} && {apply}", f"cp -a {copy} {path} && {apply}", why)


def edited(promises: str, why: str, path: str, expression: str, apply: str) -> Break:
    return changed(promises, why, path, f"sed -i -E {shlex.quote(expression)} {path}", apply)


def python(program: str) -> str:
    return f"python3 -c {shlex.quote(program)}"


def json_changed(promises: str, why: str, path: str, change: str) -> Break:
    program = f"import json; p = '{path}'; s = json.load(open(p)); {change}; json.dump(s, open(p, 'w'))"
    return changed(promises, why, path, python(program))


def shell(command: str) -> str:
    """A command of Prosody's, which has to succeed."""
    return f"prosodyctl shell {shlex.quote(command)}"


def unloaded(promise: str, why: str, module: str, host: str = EXTRA) -> Break:
    """A host of Prosody's lacks a module. Those that need it go with it, and come back with it."""
    undo = shell(f">require 'core.modulemanager'.load_modules_for_host('{host}')")
    return Break(promise, shell(f"module:unload('{module}', '{host}')"), undo, why)


def closed(promise: str, why: str, service: str) -> Break:
    """Prosody closes a port."""
    act = ">require 'core.portmanager'.{}('" + service + "')"
    return Break(promise, shell(act.format("deactivate")), shell(act.format("activate")), why)


def mechanisms(promises: str, why: str, expression: str) -> Break:
    """Prosody forbids other mechanisms, at the second domain."""
    reload = shell("config:reload()") + "".join(
        f" && {{ {shell(f'module:reload({name!r}, {EXTRA!r})')} || true; }}" for name in ("saslauth", "sasl2")
    )
    return edited(promises, why, PROSODY, expression, reload)


def unrecorded(promise: str, why: str, record: str) -> Break:
    """The second domain's zone lacks a record. Its serial number grows by each change, as the playbook has it, too."""
    label, kind = record.split()
    name = f"{label.replace('@', '').rstrip('.')}.{EXTRA}".lstrip(".")
    program = (
        "import re, sys; p, copy, without = sys.argv[1:]; text = open(copy).read(); found = re.search(r'SOA \\S+ \\S+ (\\d+)', text); "
        "now = int(re.search(r'SOA \\S+ \\S+ (\\d+)', open(p).read())[1]) + 1; "
        "text = text[:found.start(1)] + str(now) + text[found.end(1):]; "
        "lines = [line for line in text.splitlines() if not without or not line.startswith(without)]; "
        "open(p, 'w').write('\\n'.join(lines) + '\\n')"
    )
    write = f"{python(program)} {ZONE} {copy_of(ZONE)}"
    wait = (
        f"rndc reload {EXTRA} >/dev/null && for n in $(seq 100); do dig +short @127.0.0.1 {name} {kind} | grep -q . && [ %s = yes ] "
        f"&& exit 0; dig +short @127.0.0.1 {name} {kind} | grep -q . || [ %s = yes ] || exit 0; sleep 0.1; done; exit 1"
    )
    do = f"cp -a {ZONE} {copy_of(ZONE)} && {write} {shlex.quote(f'{label} IN {kind} ')} && ({wait % ('no', 'no')})"
    return Break(promise, do, f"{write} '' && ({wait % ('yes', 'yes')})", why)


# No library speaks SSL 2 any more. Its hello is answered by hand (RFC 6101, appendix E), all else goes to a server behind.
SSL2 = """
import asyncio, struct
HELLO = struct.pack("!BBBHHHH", 4, 0, 1, 2, 0, 3, 16) + bytes((1, 0, 128)) + bytes(16)
async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
    finally:
        writer.close()
async def serve(reader, writer):
    head = await reader.readexactly(5)
    if head[0] & 128 and head[2:] == bytes((1, 0, 2)):
        writer.write(struct.pack("!H", 32768 | len(HELLO)) + HELLO)
        writer.close()
        return
    inner, outer = await asyncio.open_connection("127.0.0.1", 8445)
    outer.write(head)
    await asyncio.gather(copy(reader, outer), copy(inner, writer), return_exceptions=True)
async def main():
    await (await asyncio.start_server(serve, None, 8444)).serve_forever()
asyncio.run(main())
"""


def ported(promise: str, why: str, make: str, suites: str, before: str = "") -> Break:
    """Another TLS port is among those of the host: a server with a certificate of its own, or a program before it."""
    number, place = 8444, "/root/promise.pem"
    run = "systemd-run --quiet --collect --unit promise-port"
    serve = (
        f"{run} openssl s_server -accept {number + 1 if before else number} -cert {place} -key {place} "
        f"-tls1_2 -cipher {suites}:@SECLEVEL=0 -www"
    )
    if before:
        serve += f" && {run}-before {python(before)}"
    add = f"s['ports'].append(dict(port={number}, name='{EXTRA}', certificate='{place}'))"
    config = json_changed("", "", STATUS, add)
    up = f"for n in $(seq 100); do bash -c '</dev/tcp/{ADDRESS}/{number}' 2>/dev/null && break; sleep 0.1; done"
    undo = f"systemctl stop promise-port promise-port-before 2>/dev/null; rm -f {place}; {config.undo}"
    return Break(promise, f"{make} > {place} && {serve} && {config.do} && {up}", undo, why)


def rsa(bits: int) -> str:
    return (
        f"openssl req -x509 -newkey rsa:{bits} -nodes -keyout - -days 30 -subj /CN=x "
        f"-addext subjectAltName=DNS:{EXTRA} 2>/dev/null"
    )


EXPIRED = python(
    "import datetime as d; from cryptography import x509; from cryptography.hazmat.primitives import hashes, serialization as s; "
    "from cryptography.hazmat.primitives.asymmetric import ec; k = ec.generate_private_key(ec.SECP256R1()); "
    "n = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'x')]); t = d.datetime.now(d.timezone.utc); "
    f"san = x509.SubjectAlternativeName([x509.DNSName('{EXTRA}')]); "
    "c = x509.CertificateBuilder().subject_name(n).issuer_name(n).public_key(k.public_key()).serial_number(7)"
    ".not_valid_before(t - d.timedelta(30)).not_valid_after(t - d.timedelta(1)).add_extension(san, False).sign(k, hashes.SHA256()); "
    "e = s.Encoding.PEM; print((k.private_bytes(e, s.PrivateFormat.PKCS8, s.NoEncryption()) + c.public_bytes(e)).decode())"
)


def stored(values: str) -> str:
    return python(
        f"import sqlite3; c = sqlite3.connect('/var/lib/prosody/prosody.sqlite', 10); c.execute({values!r}); c.commit()"
    )


WITHOUT_CAPS = (
    ">prosody.promise_test = function (event) event.features:maptags(function (tag) "
    "if tag.name ~= 'c' then return tag; end end); end; "
    f"prosody.hosts['{EXTRA}'].events.add_handler('stream-features', prosody.promise_test, -1000)"
)

BREAKS = [
    Break(
        "debian",
        "rm /etc/os-release && sed 's/^ID=.*/ID=plan9/' /usr/lib/os-release > /etc/os-release",
        "ln -sfn ../usr/lib/os-release /etc/os-release",
        "/etc/os-release says Debian GNU/Linux",
    ),
    json_changed("updates", "the archive is gone", UPDATES, "s['problems'] = {'upgrade': 'the archive is gone'}"),
    json_changed("off-peak-reboots", "it did not go down", UPDATES, "s['problems'] = {'reboot': 'it did not go down'}"),
    unrecorded("srv", f"_xmpps-client._tcp.{EXTRA} has no SRV record", "_xmpps-client._tcp SRV"),
    unrecorded("tlsa", f"_443._tcp.{EXTRA} has no TLSA record", "_443._tcp TLSA"),
    unrecorded("caa", f"{EXTRA} has no CAA record of kind issue", "@ CAA"),
    edited(
        *("encrypted-clients", "port 5222 does not require STARTTLS"),
        *(PROSODY, "s/c2s_require_encryption = true/c2s_require_encryption = false/", RESTART_PROSODY),
    ),
    edited(
        *("encrypted-servers", "port 5269 does not require STARTTLS"),
        *(PROSODY, "s/^(s2s_require_encryption|s2s_secure_auth) = true/\\1 = false/", RESTART_PROSODY),
    ),
    edited(
        *("valid-peers", "port 5269 takes a dialback of a server with a self-signed certificate"),
        *(
            PROSODY,
            's/^(s2s_secure_auth) = true/\\1 = false/; s/^modules_enabled = \\{/& "dialback",/',
            RESTART_PROSODY,
        ),
    ),
    # TLS 1.1 has no suite with authenticated encryption.
    edited(
        *("tls-versions strong-ciphers", "port 443 "),
        *(NGINX, "s/ssl_protocols /&TLSv1.1 /; s/ssl_ciphers /&ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0:/", RELOAD_NGINX),
    ),
    ported("tls-versions", "port 8444 speaks SSL 2", rsa(3072), "ECDHE-RSA-AES128-GCM-SHA256", SSL2),
    edited(
        *("strong-ciphers", "port 443 accepts, without authenticated encryption: ECDHE-ECDSA-AES128-SHA256"),
        *(NGINX, "s/ssl_ciphers /&ECDHE-ECDSA-AES128-SHA256:/", RELOAD_NGINX),
    ),
    ported(
        "forward-secrecy",
        "port 8444 accepts, without forward secrecy: AES128-GCM-SHA256",
        rsa(3072),
        "AES128-GCM-SHA256",
    ),
    # Clients do not trust such a key, either.
    ported("long-keys valid-certificate", "RSA of 1024 bits", rsa(1024), "ECDHE-RSA-AES128-GCM-SHA256"),
    ported("valid-certificate", "certificate has expired", EXPIRED, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    mechanisms("no-plain-mechanisms", "PLAIN is offered", 's/"PLAIN",/"X-NONE",/'),
    mechanisms("scram no-plain-mechanisms channel-binding", "PLAIN", 's/"PLAIN",/"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS",/'),
    mechanisms(
        "channel-binding", "none with -PLUS is offered: SCRAM-SHA-1", 's/"PLAIN",/"PLAIN", "SCRAM-SHA-1-PLUS",/'
    ),
    Break(
        "hashed-passwords",
        stored(f"insert into prosody values ('{EXTRA}', 'clear', 'accounts', 'password', 'string', 'secret')"),
        stored("delete from prosody where user = 'clear' and store = 'accounts'"),
        "1 account with a password that is stored as it is",
    ),
    Break(
        "private-database",
        "systemd-run --quiet --collect --unit promise-port python3 -m http.server 5432 && "
        f"for n in $(seq 100); do bash -c '</dev/tcp/{ADDRESS}/5432' 2>/dev/null && break; sleep 0.1; done",
        "systemctl stop promise-port",
        "PostgreSQL listens on 0.0.0.0, port 5432",
    ),
    edited("bosh xep-0124", "/http-bind answers 404", WEB, "s#location = /http-bind#&-not#", RELOAD_NGINX),
    edited("websocket", "/xmpp-websocket answers 404", WEB, "s#location = /xmpp-websocket#&-not#", RELOAD_NGINX),
    edited(
        "xep-0156",
        "host-meta does not name websocket",
        WEB,
        '/<Link rel="urn:xmpp:alt-connections:websocket"/d',
        RELOAD_NGINX,
    ),
    edited(
        "registration-page",
        "/register/ answers 404",
        WEB,
        "s#location /register/#location /not-register/#",
        RELOAD_NGINX,
    ),
    closed("direct-tls-servers", "port 5270 is closed, while port 5269 is open", "s2s_direct_tls"),
    closed("xep-0368", "port 5223 is closed, while port 5222 is open", "c2s_direct_tls"),
    edited("stun", "answers those who want a relay, and no binding", TURN, "$ a no-stun", RESTART_TURN),
    Break(
        "turn",
        f"mkdir -p {OPEN_RELAY} && printf '[Service]\\nExecStartPre=\\nExecStartPre=/bin/sh -c \"sed s/^use-auth-secret/no-auth/ "
        f"{TURN} >/run/coturn/turnserver.conf\"\\n' > {OPEN_RELAY}/zz.conf && systemctl daemon-reload && {RESTART_TURN}",
        f"rm -r {OPEN_RELAY} && systemctl daemon-reload && {RESTART_TURN}",
        "port 3478 relays for everybody",
    ),
    changed(
        "turn", "relays nothing for its own credentials", "/etc/xmpp/turn.secret", "echo other > /etc/xmpp/turn.secret"
    ),
    unloaded("xep-0033", "http://jabber.org/protocol/address is not among", "addressing"),
    unloaded("xep-0045", "http://jabber.org/protocol/muc is not among", "muc", f"conference.{EXTRA}"),
    unloaded("xep-0055", "jabber:iq:search is not among", "search", f"search.{EXTRA}"),
    unloaded("xep-0065", "http://jabber.org/protocol/bytestreams is not among", "proxy65", f"proxy.{EXTRA}"),
    Break(
        "xep-0115",
        shell(WITHOUT_CAPS),
        shell(f">prosody.hosts['{EXTRA}'].events.remove_handler('stream-features', prosody.promise_test)"),
        f"a stream of {EXTRA} has no capabilities",
    ),
    unloaded("xep-0163", "and not pubsub/pep", "pep"),
    unloaded("xep-0191", "urn:xmpp:blocking is not among", "blocklist"),
    unloaded("xep-0198", "does not offer urn:xmpp:sm:3 after the login", "smacks"),
    unloaded("xep-0237", "does not offer urn:xmpp:features:rosterver after the login", "roster"),
    unloaded("xep-0280", "urn:xmpp:carbons:2 is not among", "carbons"),
    unloaded("xep-0313", "urn:xmpp:mam:2 is not among", "mam"),
    unloaded("xep-0352", "does not offer urn:xmpp:csi:0 after the login", "csi"),
    unloaded("xep-0357", "urn:xmpp:push:0 is not among", "cloud_notify"),
    unloaded("xep-0363", "urn:xmpp:http:upload:0 is not among", "http_file_share", f"upload.{EXTRA}"),
    edited(
        "xep-0363",
        "answers 403 to an upload",
        UPLOADS,
        "s/limit_except GET OPTIONS PUT/limit_except GET OPTIONS/",
        RELOAD_NGINX,
    ),
]
CAUGHT: set[str] = set()


def differences(host: Host) -> list[dict]:
    done = host.run("xmpp-status --diff --json")
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    # Whoever fails has an exit status that says so.
    assert done.rc == (2 if any(one["after"] == "broken" for one in found) else done.rc)
    return found


@pytest.fixture(scope="module")
def looked(rosewood: Host, internet: Host) -> Iterator[Host]:
    """The host, whose promises are all kept as far as they can be in the lab, and nobody else looks."""
    rosewood.out("systemctl stop xmpp-status.timer xmpp-status.service")
    rosewood.run("xmpp-status --record")
    entries = json.loads(rosewood.out("cat /var/lib/xmpp-status/promises.json"))["domains"][EXTRA]["promises"]
    states = {entry["id"]: entry["state"] for entry in entries}
    assert set(states) == PROMISES
    # The lab has a private authority and zones that were signed just now, and Prosody 0.12 no channel binding by TLS 1.3.
    weakened = {"valid-certificate", "cds"} | ({"channel-binding"} if RELEASE == "bookworm" else set())
    assert {name: state for name, state in states.items() if state != "kept"} == dict.fromkeys(weakened, "weakened")
    yield rosewood
    rosewood.run("xmpp-status --record")
    rosewood.out("systemctl start xmpp-status.timer")


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.promises.replace(" ", "+"))
def test_what_breaks_a_promise_is_seen(looked: Host, broken: Break):
    try:
        looked.out(f"bash -c {shlex.quote(broken.do)}")
        found = differences(looked)
    finally:
        looked.out(f"bash -c {shlex.quote(broken.undo)}")
    print(json.dumps(found, indent=1))
    assert {one["id"] for one in found} == broken.ids
    assert {one["id"] for one in found if one["after"] == "broken"} == broken.ids
    # Where a port goes with the module of one domain, nobody can tell of the others.
    assert {one["after"] for one in found if one["domain"] == EXTRA} == {"broken"}
    assert any(broken.why in one["reason"] for one in found if one["id"] == broken.promises.split()[0])
    CAUGHT.update(broken.ids)


@pytest.mark.parametrize(
    ("change", "state", "why"),
    [
        ("s/[0-9A-Fa-f]{4}$/0000/", "broken", f"the DS record of {EXTRA}. fits none of its keys"),
        ("d", "weakened", f"the zone above {EXTRA}. has no DS record for it"),
    ],
)
def test_an_unsigned_zone_is_seen(looked: Host, internet: Host, change: str, state: str, why: str):
    """By what the zone above it says, which the resolver asks anew."""
    sign = "world-sign && systemctl reload nsd && systemctl restart unbound"
    before = internet.out(f"cat {WORLD}")
    try:
        internet.out(f"bash -c \"sed -i -E '{change}' {WORLD} && {sign}\"")
        found = differences(looked)
    finally:
        internet.out(f"sh -c 'cat > {WORLD}'", stdin=before + "\n")
        internet.out(f"bash -c '{sign}'")
    print(json.dumps(found, indent=1))
    assert [(one["domain"], one["id"], one["after"]) for one in found] == [(EXTRA, "dnssec", state)]
    assert why in found[0]["reason"]
    CAUGHT.add("dnssec")


# As a key is whose time to be published has come long ago.
OLD = (
    "runuser -u bind -- dnssec-settime -s -K {folder} -g OMNIPRESENT -k OMNIPRESENT now -r OMNIPRESENT now -d RUMOURED now"
    " -P sync now-1d {name}"
)


@pytest.fixture
def published(looked: Host) -> Iterator[str]:
    """BIND takes the second domain's keys for old enough, so that it publishes CDS and CDNSKEY; returns the key of keys."""
    keys = "/var/lib/bind/keys"
    looked.out(f"bash -c 'mkdir -p /root/keys && cp -a {keys}/K{EXTRA}.* /root/keys'")
    (state,) = looked.out(f"bash -c \"grep -l 'KSK: yes' {keys}/K{EXTRA}.*.state\"").splitlines()
    name = state.rpartition("/")[2].removesuffix(".state")
    try:
        looked.out(f"{OLD.format(folder=keys, name=name)} && rndc loadkeys {EXTRA}")
        until_published(looked, "grep -q .")
        yield f"{keys} {name}"
    finally:
        looked.out(f"bash -c 'cp -a /root/keys/K{EXTRA}.* {keys} && rm -r /root/keys && rndc loadkeys {EXTRA}'")
        until_published(looked, "wc -c | grep -qx 0")


def until_published(host: Host, test: str, kind: str = "CDS") -> None:
    ask = f"dig +short @127.0.0.1 {EXTRA} {kind} | {test}"
    host.out(f"bash -c 'for n in $(seq 300); do {ask} && exit; sleep 0.1; done; exit 1'")


def test_keys_that_the_zone_does_not_name_are_seen(looked: Host, published: str):
    """Those that it names come with the age of the keys, and BIND withdraws them."""
    found = differences(looked)
    print(json.dumps(found, indent=1))
    assert [(one["domain"], one["id"], one["after"]) for one in found] == [(EXTRA, "cds", "kept")]
    folder, name = published.split()
    looked.out(f"runuser -u bind -- dnssec-settime -s -K {folder} -d HIDDEN now {name} && rndc loadkeys {EXTRA}")
    until_published(looked, "wc -c | grep -qx 0")
    found = differences(looked)
    print(json.dumps(found, indent=1))
    assert [(one["domain"], one["id"], one["after"]) for one in found] == [(EXTRA, "cds", "broken")]
    assert f"{EXTRA}. has neither CDS nor CDNSKEY" in found[0]["reason"]
    CAUGHT.add("cds")


def second_key(host: Host, folder: str, first: str) -> str:
    """A second key of keys, as somebody may have made it by hand, which BIND gives up.

    It keeps the one of both that it finds first in the folder, in no order that could be told. Where that is the new one, all is
    made as it was, for another one.
    """
    for tried in range(1, 13):
        name = host.out(f"runuser -u bind -- dnssec-keygen -K {folder} -a ECDSAP256SHA256 -f KSK {EXTRA} 2>/dev/null")
        host.out(f"{OLD.format(folder=folder, name=name)} && rndc loadkeys {EXTRA}")
        look = f"grep -l GoalState:.hidden {folder}/{first}.state {folder}/{name}.state"
        given_up = host.out(f"bash -c 'for n in $(seq 300); do {look} && exit; sleep 0.1; done; exit 1'")
        print(f"{tried}: BIND gives up {given_up} of {first} and {name}")
        if given_up == f"{folder}/{name}.state":
            return name
        host.out(
            f"systemctl stop named && rm {folder}/{name}.* && cp -a /root/keys/{first}.* {folder} && "
            f"{OLD.format(folder=folder, name=first)} && systemctl start named"
        )
        until_published(host, "wc -l | grep -qx 1", "CDNSKEY")
    raise AssertionError("BIND has kept each of the new keys")


@pytest.mark.skipif(RELEASE == "bookworm", reason="of two keys of keys, BIND 9.18 retires the one that it finds first")
def test_a_key_that_the_zone_names_and_lacks_is_seen(looked: Host, published: str):
    """BIND gives up the second key, and still names it."""
    folder, first = published.split()
    name = second_key(looked, folder, first)

    def state(goal: str, key: str, parent: str, kind: str, records: int) -> None:
        states = f"-g {goal} -k {key} now -r {key} now -d {parent} now -P sync now-1d"
        looked.out(f"runuser -u bind -- dnssec-settime -s -K {folder} {states} {name} && rndc loadkeys {EXTRA}")
        until_published(looked, f"wc -l | grep -qx {records}", kind)

    try:
        until_published(looked, "wc -l | grep -qx 2", "CDNSKEY")
        state("HIDDEN", "HIDDEN", "RUMOURED", "DNSKEY", 2)
        found = differences(looked)
    finally:
        # Withdrawn first, then taken away; BIND writes the files of keys that it knows when it likes to.
        state("OMNIPRESENT", "OMNIPRESENT", "HIDDEN", "CDNSKEY", 1)
        state("HIDDEN", "HIDDEN", "HIDDEN", "DNSKEY", 2)
        looked.out(f"systemctl stop named && rm {folder}/{name}.* && systemctl start named")
        until_published(looked, "wc -l | grep -qx 2", "DNSKEY")
    print(json.dumps(found, indent=1))
    assert [(one["domain"], one["id"], one["after"]) for one in found] == [(EXTRA, "cds", "broken")]
    # It has withdrawn the CDS record, and not this one.
    assert f"a key in CDNSKEY of {EXTRA}. is none of its keys" in found[0]["reason"]


def test_a_key_that_is_shorter_than_recommended_is_told(looked: Host):
    """And no alarm: operators' own certificates have such keys."""
    port = ported("", "", rsa(2048), "ECDHE-RSA-AES128-GCM-SHA256")
    try:
        looked.out(f"bash -c {shlex.quote(port.do)}")
        found = differences(looked)
    finally:
        looked.out(f"bash -c {shlex.quote(port.undo)}")
    print(json.dumps(found, indent=1))
    assert {(one["id"], one["after"]) for one in found} == {("long-keys", "weakened")}
    assert "RSA of 2048 bits; BSI TR-02102-2 asks for 3000" in found[0]["reason"]


def test_a_graph_shows_how_many_are_kept(looked: Host):
    domains = json.loads(looked.out("cat /var/lib/xmpp-status/promises.json"))["domains"].values()
    states = [entry["state"] for domain in domains for entry in domain["promises"]]
    lines = looked.out("munin-run status").partition("multigraph status_promises\n")[2].splitlines()
    print(lines)
    assert dict(
        line.split() for line in lines if line.partition(".")[0] in ("kept", "broken", "unknown", "weakened")
    ) == {f"{state}.value": str(states.count(state)) for state in ("broken", "unknown", "weakened", "kept")}
    assert len(states) >= len(PROMISES)


LEFTOVER = (
    ">local st, store = require 'util.stanza', require 'core.storagemanager'.open('upload.{0}', 'uploads', 'archive'); "
    "if {1} then store:append(nil, nil, st.stanza('request', {{ filename = 'a', size = '64' }}), os.time() - 600, 'xmpp:status@{0}'); end "
    "local count = 0; for _ in store:find(nil, {{ with = 'xmpp:status@{0}' }}) do count = count + 1; end; return count"
)


def test_an_upload_of_the_self_test_leaves_nothing(looked: Host):
    """Not even that of a look that was killed."""
    files = "find /var/lib/prosody -path '*http_file_share*' -type f -newer /root/before"
    looked.out("touch /root/before")
    assert looked.out(shell(LEFTOVER.format(EXTRA, "true"))).endswith("1")
    said = looked.out("xmpp-status --explain xep-0363")
    assert f"a file went to https://upload.{EXTRA} and came back" in said
    assert looked.out(shell(LEFTOVER.format(EXTRA, "false"))).endswith("0")
    assert looked.out(files) == ""


PRIVATE = "it does not log in: its authority is private (without that, "


def test_what_public_testers_would_say(looked: Host):
    found = {one["subject"]: one for one in json.loads(looked.run("xmpp-status --json").stdout)}
    told = {name.removeprefix("tester "): one for name, one in found.items() if name.startswith("tester ")}
    print(json.dumps(told, indent=1))
    assert {name: (one["level"], one["text"]) for name, one in told.items()} == {
        "im-observatory": ("ok", "F for clients and servers: its authority is private (A without that)"),
        "cryptcheck": ("ok", "T for clients and servers: its authority is private (A+ without that)"),
        "xep-0479-core": (
            "ok",
            "Advanced Server: RFC 6120, RFC 7590, XEP-0030, XEP-0114 (module component, without an open port), XEP-0368, XEP-0115, "
            "XEP-0163",
        ),
        "xep-0479-web": ("ok", "Advanced Server: RFC 7395, XEP-0206"),
        "xep-0479-im": (
            "ok",
            "Advanced Server: RFC 6121, XEP-0054, XEP-0280, XEP-0045, XEP-0249 (messages that it carries), XEP-0363, XEP-0398, "
            "XEP-0153, XEP-0191, XEP-0048, XEP-0313, XEP-0313 in rooms, XEP-0402, XEP-0410, XEP-0223, XEP-0049, XEP-0198",
        ),
        "xep-0479-mobile": ("ok", "Advanced Server: XEP-0198, XEP-0352, XEP-0357"),
        "xep-0479-calls": ("ok", "Advanced Server: XEP-0215"),
        "conversations-compliance": (
            "ok",
            f"{PRIVATE}tests: 21 of 21 (100 %), and 4 of 4 that do not count)",
        ),
    }
    # From elsewhere, nobody asks as an account.
    outside = {one["subject"]: one["text"] for one in json.loads(looked.run("xmpp-status --outside --json").stdout)}
    assert outside["tester xep-0479-web"] == "Advanced Server: RFC 7395, XEP-0206"
    assert outside["tester xep-0479-core"] == "cannot be told: RFC 6120 and 4 more: it is asked on the host alone"
    assert outside["tester conversations-compliance"] == (
        f"{PRIVATE}tests without an account: 3 of 25; passes: xep0368, xep0077, xep0156)"
    )


@pytest.mark.parametrize(
    ("broken", "tester", "said"),
    [
        (unloaded("", "", "cloud_notify"), "xep-0479-mobile", "Server; missing for Advanced Server: XEP-0357"),
        (
            unloaded("", "", "vcard_legacy"),
            "xep-0479-im",
            "not reached; missing: XEP-0054, XEP-0398, XEP-0153",
        ),
        (
            unloaded("", "", "muc_mam", f"conference.{EXTRA}"),
            "xep-0479-im",
            "Server; missing for Advanced Server: XEP-0313 in rooms",
        ),
        (closed("", "", "c2s_direct_tls"), "xep-0479-core", "Server; missing for Advanced Server: XEP-0368"),
        (
            unloaded("", "", "turn_external"),
            "conversations-compliance",
            f"{PRIVATE}tests: 20 of 21 (95 %), and 4 of 4 that do not count; fails: stun)",
        ),
        (
            unloaded("", "", "muc", f"conference.{EXTRA}"),
            "conversations-compliance",
            f"{PRIVATE}tests: 18 of 21 (85 %), and 4 of 4 that do not count; fails: vcard_muc, xep0045, xep0313muc)",
        ),
        (
            edited("", "", UPLOADS, "/Access-Control-Allow-Methods/d", RELOAD_NGINX),
            "conversations-compliance",
            f"{PRIVATE}tests: 21 of 21 (100 %), and 3 of 4 that do not count; fails: xep0363_cors)",
        ),
    ],
    ids=lambda one: "" if isinstance(one, Break) else one[:40],
)
def test_public_testers_see_what_is_missing(looked: Host, broken: Break, tester: str, said: str):
    try:
        looked.out(f"bash -c {shlex.quote(broken.do)}")
        told = looked.out(f"xmpp-status --explain {tester}")
    finally:
        looked.out(f"bash -c {shlex.quote(broken.undo)}")
    print(told)
    assert f"{EXTRA}: kept: {said} (" in told


def test_a_look_at_a_room_makes_none(looked: Host):
    rooms = f"prosody.hosts['conference.{EXTRA}'].modules.muc"
    there = shell(f">return {rooms}.get_room_from_jid('xmpp:status@conference.{EXTRA}') == nil")
    looked.out("xmpp-status --explain xep-0479-im")
    assert looked.out(there).endswith("true")
    assert "Traceback" not in looked.out("journalctl -b -q -u prosody --output cat --grep Traceback || true")


def test_another_server_is_reported_as_it_is(looked: Host):
    """It has Prosody's own defaults, and no direct TLS; what is configured here says nothing of it."""
    done = looked.run("xmpp-status honest.test --json")
    found = {one["subject"].removeprefix("promise "): one for one in json.loads(done.stdout)}
    print(json.dumps(found, indent=1))
    assert done.rc == 2
    assert {name for name, one in found.items() if one["level"] == "fails"} == {
        *("tlsa", "caa", "no-plain-mechanisms"),
    }
    assert found["tester im-observatory"]["text"] == "A for clients and servers"
    assert found["tester conversations-compliance"]["text"] == (
        "tests without an account: 2 of 25; fails: xep0368, xep0077"
    )
    assert found["tester xep-0479-core"]["text"].startswith("cannot be told: RFC 6120 and ")
    assert "PLAIN" in found["no-plain-mechanisms"]["text"] and "honest.test" in found["caa"]["text"]
    kept = {"dnssec", "srv", "encrypted-clients", "encrypted-servers", "tls-versions", "valid-certificate", "scram"}
    assert {name for name in kept if found[name]["text"].startswith("unknown")} == set()
    assert "playbook" not in done.stdout
    nobody = looked.run("xmpp-status nobody.invalid")
    assert (nobody.rc, "nobody.invalid has no XMPP server" in nobody.stderr) == (2, True)


def test_all_of_them_are_mended_and_none_was_left_out(looked: Host, request: pytest.FixtureRequest):
    assert differences(looked) == []
    print(f"promises: {len(PROMISES)}, broken: {len(BREAKS) + 4} ways, caught: {len(CAUGHT)}")
    everything = {name for broken in BREAKS for name in broken.ids} | {"dnssec", "cds"}
    assert everything == PROMISES
