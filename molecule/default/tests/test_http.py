# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the web front answers: where BOSH and WebSocket are, uploads, and redirects."""

from __future__ import annotations

import json
import shlex
import xml.etree.ElementTree as ET

import pytest
from conftest import DOMAIN, DOMAINS


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
    # 52: closed without an answer
    assert internet.run(f"curl --silent --max-time 5 --header 'Host: unknown.test' http://{DOMAIN}/").rc == 52


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
