# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the web front answers: where BOSH and WebSocket are, uploads, and redirects."""

from __future__ import annotations

import datetime
import json
import re
import shlex
import xml.etree.ElementTree as ET

import pytest
from conftest import DOMAIN, DOMAINS
from hosts import Journal


def places(domain):
    return {
        "urn:xmpp:alt-connections:xbosh": f"https://{domain}/http-bind",
        "urn:xmpp:alt-connections:websocket": f"wss://{domain}/xmpp-websocket",
    }


def get(internet, url, options=""):
    """Status, headers by their lower-case names, and body."""
    text = internet.out(f"curl --silent --show-error --include --max-time 10 {options} {url}")
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    status, *lines = head.split("\n")
    fields = [(name.lower(), value) for name, value in (line.split(": ", 1) for line in lines)]
    names = [name for name, _ in fields]
    assert len(set(names)) == len(names), f"twice in {names}"
    return int(status.split()[1]), dict(fields), body


@pytest.mark.parametrize("domain", DOMAINS)
def test_host_meta(internet, domain):
    status, headers, body = get(internet, f"https://{domain}/.well-known/host-meta")
    assert status == 200
    assert headers["content-type"].startswith("application/xrd+xml")
    assert headers["access-control-allow-origin"] == "*"
    links = ET.fromstring(body).iter("{http://docs.oasis-open.org/ns/xri/xrd-1.0}Link")
    assert {link.get("rel"): link.get("href") for link in links} == places(domain)


@pytest.mark.parametrize("domain", DOMAINS)
def test_host_meta_json(internet, domain):
    status, headers, body = get(internet, f"https://{domain}/.well-known/host-meta.json")
    assert status == 200
    assert headers["content-type"].startswith("application/json")
    assert headers["access-control-allow-origin"] == "*"
    assert {link["rel"]: link["href"] for link in json.loads(body)["links"]} == places(domain)


def test_web_clients_of_other_sites_may_use_bosh(internet):
    _, headers, _ = get(
        internet,
        f"https://{DOMAIN}/http-bind",
        "--request OPTIONS --header 'Origin: https://client.test' --header 'Access-Control-Request-Method: POST'",
    )
    assert headers["access-control-allow-origin"] == "*"


def test_nothing_without_tls(internet):
    assert get(internet, f"https://{DOMAIN}/.well-known/host-meta")[0] == 200
    status, _, body = get(internet, f"http://{DOMAIN}:443/.well-known/host-meta")
    assert status == 400
    assert "plain HTTP request was sent to HTTPS port" in body


@pytest.mark.parametrize("name", [DOMAIN, f"upload.{DOMAIN}", f"upload.{DOMAINS[1]}", f"upload.{DOMAINS[2]}"])
@pytest.mark.parametrize("path", ["/", "/http-bind", "/.well-known/host-meta", "/munin/?a=b"])
def test_http_only_redirects(internet, name, path):
    status, headers, _ = get(internet, shlex.quote(f"http://{name}{path}"))
    assert (status, headers["location"]) == (301, f"https://{name}{path}")


def test_unknown_name_gets_no_answer(internet):
    assert internet.run(f"curl --silent --max-time 5 --header 'Host: {DOMAIN}' http://{DOMAIN}/").rc == 0
    # Closed without an answer, and 56 where nginx resets the connection
    assert internet.run(f"curl --silent --max-time 5 --header 'Host: unknown.test' http://{DOMAIN}/").rc in (52, 56)


@pytest.mark.parametrize(("sender", "domain"), [("alice", DOMAINS[0]), ("kim", DOMAINS[1])])
def test_file_goes_up_and_comes_down(internet, accounts, client, sender, domain):
    alice, bob = accounts[sender], accounts["bob"]
    internet.out("head -c 3000000 /dev/urandom > /tmp/upload.bin")
    sent = internet.run(
        "go-sendxmpp --suppress-root-warning --http-upload /tmp/upload.bin "
        f"--username {alice.jid} --password {shlex.quote(alice.password)} {bob.jid}"
    )
    assert sent.rc == 0, sent.stdout + sent.stderr
    url = client("receive", account=bob.by())["body"]
    assert url.startswith(f"https://upload.{domain}/")
    internet.out(f"curl --silent --fail --max-time 20 --output /tmp/download.bin {shlex.quote(url)}")
    print(internet.out("sha256sum /tmp/upload.bin /tmp/download.bin"))
    internet.out("cmp /tmp/upload.bin /tmp/download.bin")
    # A browser shall not run what strangers have uploaded.
    status, headers, _ = get(internet, shlex.quote(url), "--head")
    assert status == 200
    assert "sandbox" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("domain", DOMAINS)
def test_what_strangers_may_know(internet, domain):
    status, headers, body = get(internet, f"https://{domain}/.well-known/xmpp-provider-v2.json")
    assert status == 200
    assert headers["content-type"].startswith("application/json")
    assert headers["access-control-allow-origin"] == "*"
    found = json.loads(body)
    assert found["serverLocations"] == ["de"]
    assert found["maximumMessageArchiveManagementStorageTime"] == 30


def test_security_contact(internet):
    """RFC 9116."""
    status, headers, body = get(internet, f"https://{DOMAIN}/.well-known/security.txt")
    assert status == 200
    assert headers["content-type"] == "text/plain; charset=utf-8"
    fields = dict(line.split(": ", 1) for line in body.splitlines())
    assert fields["Contact"] == "xmpp:admin@broccoli.test"
    left = datetime.datetime.fromisoformat(fields["Expires"]) - datetime.datetime.now(datetime.UTC)
    print(f"expires in {left.days} days")
    assert 180 <= left.days <= 366


@pytest.fixture(scope="module")
def ten_digits(uploaded) -> str:
    return shlex.quote(uploaded("ten.txt", "0123456789"))


@pytest.fixture(scope="module")
def uploaded(internet, accounts, client):
    """Put something up, and return its URL."""

    def put(name: str, content: str) -> str:
        alice, bob = accounts["alice"], accounts["bob"]
        internet.out(f"sh -c 'cat > /tmp/{name}'", stdin=content)
        sent = internet.run(
            f"go-sendxmpp --suppress-root-warning --http-upload /tmp/{name} "
            f"--username {alice.jid} --password {shlex.quote(alice.password)} {bob.jid}"
        )
        assert sent.rc == 0, sent.stdout + sent.stderr
        return client("receive", account=bob.by())["body"]

    return put


@pytest.mark.parametrize(
    ("wanted", "status", "told", "content"),
    [
        ("4-", 206, "bytes 4-9/10", "456789"),
        ("0-", 206, "bytes 0-9/10", "0123456789"),
        ("0-0", 206, "bytes 0-0/10", "0"),
        ("2-4", 206, "bytes 2-4/10", "234"),
        ("7-99", 206, "bytes 7-9/10", "789"),
        ("-3", 206, "bytes 7-9/10", "789"),
        ("-99", 206, "bytes 0-9/10", "0123456789"),
        ("10-", 416, "bytes */10", None),
        ("99-100", 416, "bytes */10", None),
        # What is no range, or more than one, may be answered with the whole.
        ("4-2", 200, None, "0123456789"),
        ("0-1,8-9", 200, None, "0123456789"),
        (None, 200, None, "0123456789"),
    ],
)
def test_ranges(internet, ten_digits, wanted, status, told, content):
    """RFC 9110, section 14."""
    answer, headers, body = get(internet, ten_digits, f"--header 'Range: bytes={wanted}'" if wanted else "")
    print(answer, headers.get("content-range"), repr(body))
    assert (answer, headers.get("content-range")) == (status, told)
    assert headers.get("accept-ranges", "bytes") == "bytes"
    if content is not None:
        assert (body, headers["content-length"]) == (content, str(len(content)))


def test_a_range_is_of_the_file_that_was_seen(internet, ten_digits):
    """RFC 9110, section 13.1.5."""
    _, headers, _ = get(internet, ten_digits)
    for date, status in ((headers["last-modified"], 206), ("Sat, 28 Nov 1998 10:00:00 GMT", 200)):
        answer, _, _ = get(internet, ten_digits, f"--range 2-4 --header 'If-Range: {date}'")
        assert answer == status
    assert get(internet, ten_digits, f"--header 'If-Modified-Since: {headers['last-modified']}'")[0] == 304


STORE = """> local host, kind, content = %s, %s, %s
local stanza = require "util.stanza".stanza("request", {xmlns = "urn:xmpp:http:upload:0", filename = "file.txt",
  size = tostring(#content), ["content-type"] = kind})
local slot = assert(require "core.storagemanager".open(host, "uploads", "archive")
  :append(nil, nil, stanza, os.time(), "mallory@" .. host))
local file = assert(io.open(require "util.datamanager".getpath(slot, host, "http_file_share", "bin", true), "w"))
file:write(content); file:close(); return "slot=" .. slot .. "."
"""
# What an upload's answer may have, whoever made it.
FIELDS = {
    *("server", "date", "connection", "content-type", "content-length", "content-disposition", "last-modified"),
    *("cache-control", "accept-ranges", "strict-transport-security", "x-content-type-options", "referrer-policy"),
    *("content-security-policy", "access-control-allow-origin", "access-control-allow-methods"),
    *("access-control-allow-headers", "access-control-max-age"),
}


@pytest.fixture
def stored(rosewood):
    """Put a file and its type into Prosody's store, as one was left there by a hostile client; returns its URL."""

    def put(kind: str, content: str) -> str:
        lua = [json.dumps(text, ensure_ascii=False) for text in (f"upload.{DOMAIN}", kind, content)]
        said = rosewood.out(f"prosodyctl shell {shlex.quote(' '.join((STORE % tuple(lua)).split(chr(10))))}")
        return f"https://upload.{DOMAIN}/file_share/{re.search('slot=([^.]+)[.]', said)[1]}/file.txt"

    return put


HOSTILE = [
    f"Set-Cookie: taken=1; Domain={DOMAIN}",
    "Strict-Transport-Security: max-age=0",
    'Clear-Site-Data: "*"',
    "Refresh: 0; url=https://client.test/",
    "Location: https://client.test/",
    "Content-Disposition: inline",
    "Content-Type: text/plain",
    "Content-Security-Policy: default-src *",
    "Content-Encoding: gzip",
    "Access-Control-Allow-Origin: https://client.test",
    "X-Accel-Redirect: /.well-known/security.txt",
    "X-Accel-Limit-Rate: 1",
    "X-Accel-Charset: utf-7",
    "9: 9",
]


@pytest.mark.parametrize("kind", ["text/html", "image/png"])
def test_no_header_is_an_uploader_s(internet, stored, kind):
    answers = []
    for content_type in (kind, "\r\n".join([kind, *HOSTILE]), f"{kind}\r\nX: 1\r\n\r\n<script>alert(1)</script>"):
        status, headers, body = get(internet, stored(content_type, "0123456789"))
        print(status, headers, body)
        assert (status, headers.keys() - FIELDS) == (200, set())
        shown = headers["content-disposition"] == "inline"
        assert (headers["content-type"], shown) in [(kind, kind == "image/png"), ("application/octet-stream", False)]
        del headers["date"], headers["last-modified"], headers["content-type"], headers["content-disposition"]
        answers.append(headers)
    assert answers[0] == answers[1] == answers[2]


def test_a_type_that_is_none_is_not_passed_on(internet, stored):
    for kind, told in (
        ('audio/ogg; codecs="opus"', 'audio/ogg; codecs="opus"'),
        ("image/png;a=b", "image/png;a=b"),
        ("text", "application/octet-stream"),
        ("text/html, text/plain", "application/octet-stream"),
        ('audio/ogg; codecs="', "application/octet-stream"),
        ("", "application/octet-stream"),
    ):
        _, headers, _ = get(internet, stored(kind, "1"))
        print(repr(kind), headers["content-type"])
        assert headers["content-type"] == told


@pytest.mark.parametrize("kind", ["text/plain", "text/plain; format=flowed", "text/plain; charset=iso-8859-15"])
def test_a_text_is_shown_with_its_letters(internet, stored, kind):
    _, headers, _ = get(internet, stored(kind, "Brokkoli für Käthe"))
    told = kind if "charset" in kind else "text/plain; charset=utf-8"
    assert (headers["content-type"], headers["content-disposition"]) == (told, "inline")


@pytest.mark.parametrize("name", [f"upload.{domain}" for domain in DOMAINS])
def test_of_prosody_there_are_uploads_alone_under_their_name(internet, name):
    paths = [
        "/http-bind",
        "/xmpp-websocket",
        "/register/",
        "/metrics",
        "/file_shares/a",
        "/file_share/../http-bind",
    ]
    for path in [*paths, "/file_share/%2e%2e/http-bind", "//http-bind"]:
        status, headers, body = get(internet, f"--path-as-is 'https://{name}{path}'")
        print(path, status, headers["content-type"])
        # Our own page, without a word of Prosody's
        assert (status, "<h1>Not found</h1>" in body) == (404, True)
    # A visitor reads what the name is for, and where the host's page is.
    status, _, body = get(internet, f"https://{name}/")
    assert (status, f'href="https://{name.removeprefix("upload.")}/en/"' in body) == (200, True)
    for method in ("POST", "DELETE", "PATCH", "PROPFIND", "TRACE"):
        status, _, body = get(internet, f"https://{name}/file_share/a/b", f"--request {method}")
        print(method, status)
        assert status in (403, 405) and "<h1>Not " in body


def test_pages_of_others_may_upload_and_fetch(internet, uploaded):
    """CORS, as web clients of other sites need it."""
    url = shlex.quote(uploaded("shared.txt", "shared"))
    asked = "--header 'Origin: https://client.test' --header 'Access-Control-Request-Method: PUT'"
    _, headers, _ = get(internet, url, f"--request OPTIONS {asked}")
    assert headers["access-control-allow-origin"] in ("*", "https://client.test")
    assert "PUT" in headers["access-control-allow-methods"]
    status, headers, _ = get(internet, url, "--header 'Origin: https://client.test'")
    assert status == 200
    assert headers["access-control-allow-origin"] in ("*", "https://client.test")


def test_a_page_that_was_uploaded_is_not_shown(internet, uploaded):
    _, headers, _ = get(internet, shlex.quote(uploaded("page.html", "<script>alert(1)</script>")))
    print(headers)
    assert headers["content-disposition"].startswith("attachment")
    assert headers["x-content-type-options"] == "nosniff"


CROWD = """
import sys
sys.path.insert(0, "/usr/local/lib/world")
from xmpp_client import Bosh, Refused
sessions = []
for number in range(int(sys.argv[2])):
    session = Bosh(sys.argv[1])
    if sessions:
        session.http = sessions[0].http
    session.open()
    sessions.append(session)
for session in sessions[:21]:
    try:
        session.request(f"sid='{session.sid}'")
        print("open")
    except Refused as refusal:
        print(refusal)
"""


def test_sessions_by_http_of_one_address_are_bounded(internet, accounts, client):
    """They are no connections that a firewall could count."""
    said = internet.out(f"python3 - {DOMAIN} 70", stdin=CROWD).splitlines()
    print({answer: said.count(answer) for answer in set(said)})
    # The oldest ones have ended.
    assert said == ["item-not-found"] * 20 + ["open"]
    # Who logs in meanwhile can.
    assert "refused" not in client("login", account=accounts["alice"].by("bosh"))


# From the host itself, whose address stands for a visitor's: the firewall has no say in it. Connections of as many requests
# as nginx takes on one.
FLOOD = r"""
import socket, ssl, sys
lines, connections, each = sys.argv[1].encode().decode("unicode_escape").encode("latin-1"), int(sys.argv[2]), int(sys.argv[3])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
def connect():
    return context.wrap_socket(socket.create_connection(("127.0.0.1", 443), 60), server_hostname=sys.argv[4])
answers, opened = {}, []
def fail(error):
    answers[repr(error)] = answers.get(repr(error), 0) + 1
def read(stream):
    text = b""
    try:
        while part := stream.recv(65536):
            text += part
    except OSError as error:
        fail(error)
    for part in text.split(b"HTTP/1.1 ")[1:]:
        answers[part[:3].decode()] = answers.get(part[:3].decode(), 0) + 1
    return text
for _ in range(connections):
    try:
        opened.append(connect())
        opened[-1].sendall(lines * (each - 1) + lines.replace(b"keep-alive", b"close"))
    except OSError as error:
        fail(error)
        continue
    if each > 1:
        read(opened.pop())
# The last ones are those that are too many.
for stream in reversed(opened):
    stream.settimeout(3)
    if not read(stream):
        break
print(answers)
"""
WEB, UPLOAD = DOMAIN, f"upload.{DOMAIN}"
GET = "GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: keep-alive\r\n\r\n"
SEND = "{method} {path} HTTP/1.1\r\nHost: {name}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
# The name that is asked, what is sent, on how many connections, how often on each, and the answer.
FLOODS = {
    "missing pages": (WEB, GET.format(path="/nothing", name=WEB), 8, 1000, "404"),
    "missing pictures": (WEB, GET.format(path="/munin/embed/x.png", name=WEB), 1, 500, "404"),
    "too many requests": (WEB, GET.format(path="/register/", name=WEB), 1, 200, "429"),
    # Each is counted while nginx waits for its body.
    "too many connections": (WEB, SEND.format(method="POST", path="/http-bind", name=WEB, length=9), 300, 1, "503"),
    "no request": (WEB, "GET\x01 / \x00\r\n\r\n", 50, 1, "400"),
    "two hosts": (WEB, f"GET / HTTP/1.1\r\nHost: {WEB}\r\nHost: {WEB}\r\n\r\n", 50, 1, "400"),
    "too long a line": (WEB, f"GET /{'a' * 40000} HTTP/1.1\r\nHost: {WEB}\r\n\r\n", 50, 1, "414"),
    "another method": (UPLOAD, SEND.format(method="DELETE", path="/file_share/a", name=UPLOAD, length=0), 50, 1, "403"),
    "too large": (UPLOAD, SEND.format(method="PUT", path="/file_share/a", name=UPLOAD, length=10**11), 50, 1, "413"),
    "too many sessions": (WEB, GET.format(path="/http-bind", name=WEB), 1, 900, "429"),
    "Prosody away": (WEB, GET.format(path="/http-bind", name=WEB), 1, 500, "502"),
}


@pytest.fixture(scope="module")
def quiet(rosewood):
    """The self-test asks for pages, too."""
    rosewood.out("systemctl stop xmpp-status.timer xmpp-status.service")
    yield
    rosewood.out("systemctl start xmpp-status.timer")


@pytest.fixture
def prosody_away(rosewood, request):
    """Prosody is away for the flood that asks it."""
    if request.node.callspec.params["kind"] != "Prosody away":
        yield
        return
    rosewood.out("systemctl stop prosody.service")
    yield
    rosewood.out("systemctl start prosody.service")
    answers = "prosodyctl shell 'server:uptime()' && ss -Hltn sport = 5280 | grep -q ."
    rosewood.out(
        f"sh -c 'for n in $(seq 100); do {{ {answers.replace(chr(39), chr(34))}; }} && exit; sleep .1; done; exit 1'"
    )


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_leaves_nothing_in_the_log(rosewood, quiet, prosody_away, kind):
    """No address, no line for a request, and not as many bytes as it likes."""
    name, text, connections, each, status = FLOODS[kind]
    written = Journal(rosewood)
    size = "cat /var/log/nginx/* | wc -c"
    before = int(rosewood.out(f"sh -c '{size}'"))
    arguments = [text.encode("unicode_escape").decode(), connections, each, name]
    answers = rosewood.out(f"python3 - {' '.join(shlex.quote(str(a)) for a in arguments)}", stdin=FLOOD)
    journal = written.text(identifier="nginx")
    grown = int(rosewood.out(f"sh -c '{size}'")) - before
    print(f"{answers}: {len(journal)} bytes in the journal, {grown} in files; {journal[:300]}")
    assert "127.0.0.1" not in journal and "client:" not in journal
    assert len(journal.splitlines()) < 10
    assert grown + len(journal) < 1000000
    assert f"'{status}'" in answers
    assert rosewood.run("grep -r 127.0.0.1 /var/log/nginx").rc == 1
