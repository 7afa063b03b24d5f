# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the web front answers: where BOSH and WebSocket are, uploads, and redirects."""

from __future__ import annotations

import datetime
import json
import shlex
import xml.etree.ElementTree as ET

import pytest
from conftest import DOMAIN, DOMAINS, RELEASE


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
    return int(status.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}, body


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


@pytest.mark.parametrize("name", [DOMAIN, f"upload.{DOMAIN}", f"upload.{DOMAINS[1]}"])
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


def test_a_download_is_resumed(internet, uploaded):
    url = uploaded("resumed.txt", "0123456789")
    status, headers, body = get(internet, shlex.quote(url), "--range 4-")
    assert (status, body) == (206, "456789")
    # Prosody 0.12 counts one byte too many.
    assert headers["content-range"] == {"bookworm": "bytes 4-10/10", "trixie": "bytes 4-9/10"}[RELEASE]


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
