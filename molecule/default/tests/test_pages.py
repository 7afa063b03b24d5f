# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The public pages: what they say, in which language, when they are written, and what they ask of whom."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from conftest import DOMAIN, DOMAINS
from test_http import get

STATE = "/var/lib/xmpp-status/promises.json"
DROPIN = "/run/systemd/system/xmpp-status.service.d"
CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(internet, url: str, language: str = "") -> tuple[int, dict, str]:
    return get(internet, shlex.quote(url), f"--header 'Accept-Language: {language}'" if language else "")


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("path", ["/", "/status/"])
def test_each_domain_has_its_page(internet, domain, path):
    status, headers, body = page(internet, f"https://{domain}{path}")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-security-policy"] == CSP
    shown = domain.encode("ascii").decode("idna")
    assert (
        f'<a class="site" href="/en/">{shown}</a>' in body
        and f"conference.{domain}" in page(internet, f"https://{domain}/")[2]
    )
    assert not [other for other in DOMAINS if other != domain and f"conference.{other}" in body]
    # Every picture, style and script of a page is its own host's.
    assert re.findall(r'(?:src|<link[^>]*href)="(?!/[^/])', body) == []


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-CH,de;q=0.9,en;q=0.8", "de"),
        ("en-US,en;q=0.9,de;q=0.8", "en"),
        ("fr,de;q=0.8,en;q=0.5", "de"),
        ("fr-FR,fr;q=0.9,de;q=0.8", "de"),
        ("fr,nl", "en"),
        ("*", "en"),
        ("../../etc", "en"),
        ("d" * 5000, "en"),
    ],
)
def test_a_page_is_in_the_visitor_s_language(internet, asked, language):
    for path, expected in (("/", 200), ("/nothing", 404)):
        status, headers, body = page(internet, f"https://{DOMAIN}{path}", asked)
        assert (status, re.search('<html lang="(.*)">', body)[1]) == (expected, language)
    assert page(internet, f"https://{DOMAIN}/", asked)[1]["vary"] == "Accept-Language"


def test_the_other_language_has_an_address(internet):
    _, _, body = page(internet, f"https://{DOMAIN}/status/")
    (there,) = re.findall(r'href="([^"]*)" hreflang="de"', body)
    assert '<html lang="de">' in page(internet, f"https://{DOMAIN}{there}", "en")[2]


def test_the_page_says_how_to_connect(internet):
    _, _, body = page(internet, f"https://{DOMAIN}/")
    for said in (
        "rosewood.broccoli.test:5222",
        "rosewood.broccoli.test:5223",
        "rosewood.broccoli.test:5269",
        f"wss://{DOMAIN}/xmpp-websocket",
        f"https://{DOMAIN}/http-bind",
        f"conference.{DOMAIN}",
        'href="xmpp:admin@broccoli.test"',
        "You need an invitation",
        "a private person",
    ):
        assert said in body
    assert not re.search(r"Prosody|nginx|BIND|coturn|Debian 1|\d+[.]\d+[.]\d+", body)


@pytest.fixture
def found(rosewood):
    """Records what a check has found of a promise, as the self-test does, and returns when the page is written."""
    rosewood.out("systemctl stop xmpp-status.timer xmpp-status.service")
    rosewood.out(f"mkdir -p /var/lib/xmpp-status {DROPIN}; test ! -e {STATE} || cp -p {STATE} {STATE}.before")
    rosewood.out(f"tee {DROPIN}/test.conf", stdin="[Service]\nExecStart=\nExecStart=/bin/true\n")
    rosewood.out("systemctl daemon-reload")

    def record(checked: str, state: str, reason: str) -> None:
        entry = {"id": "xep-0045", "state": state, "since": checked, "reason": reason}
        text = json.dumps({"checked": checked, "domains": {DOMAIN: {"promises": [entry]}}})
        rosewood.out(f"cat > {STATE}.new && mv {STATE}.new {STATE}", stdin=text)
        rosewood.out("systemctl start xmpp-status.service")

    yield record
    rosewood.out(f"test ! -e {STATE}.before || mv {STATE}.before {STATE}")
    rosewood.out(f"rm {DROPIN}/test.conf; systemctl daemon-reload")
    rosewood.out("systemctl start xmpp-status.timer")


def test_the_page_is_written_after_each_check(internet, rosewood, found):
    for checked, state, said in (
        ("2026-11-29T02:30:00Z", "kept", "All"),
        ("2026-11-29T02:45:00Z", "broken", "Broken:"),
    ):
        found(checked, state, "no room <answers>")
        moment = f"{checked[:10]} {checked[11:16]} UTC"
        rosewood.out(
            f"for n in $(seq 100); do grep -q '{moment}' /var/lib/xmpp-page/{DOMAIN}/en/index.html && exit; sleep .1; done; exit 1"
        )
        body = page(internet, f"https://{DOMAIN}/")[2]
        assert moment in body and said in body
    status = page(internet, f"https://{DOMAIN}/status/")[2]
    assert "no room &lt;answers&gt;" in status
    assert "0 of 1" in page(internet, f"https://{DOMAIN}/en/badge.svg")[2]


def test_the_pages_are_written_by_a_user_who_can_do_nothing_else(rosewood):
    said = rosewood.out("systemctl show xmpp-page.service -p User,PrivateNetwork,ProtectSystem,CapabilityBoundingSet")
    assert set(said.split("\n")) >= {
        "User=xmpp-page",
        "PrivateNetwork=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
    }
    assert rosewood.out("stat -c '%U %a' /var/lib/xmpp-page") == "xmpp-page 755"
    assert (
        rosewood.run("test -w /var/lib/xmpp-page/broccoli.test && runuser -u www-data -- touch /var/lib/xmpp-page/a").rc
        != 0
    )


@pytest.mark.parametrize("name", [DOMAIN, f"upload.{DOMAIN}"])
def test_what_else_a_browser_asks_for(internet, name):
    status, headers, body = page(internet, f"https://{name}/robots.txt")
    assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8") and "Disallow: /" in body
    for path in ("/favicon.ico", "/pages/icon.svg"):
        status, headers, _ = page(internet, f"https://{name}{path}")
        assert (status, headers["content-type"]) == (200, "image/svg+xml")
    status, headers, _ = page(internet, f"https://{name}/pages/style.css")
    assert (status, headers["content-type"]) == (200, "text/css")


def test_a_stopped_socket_of_qr_codes_is_found(rosewood):
    """Nobody else would say so: an invitation has no code then, and no unit has failed."""
    rosewood.out("systemctl stop xmpp-qr.socket xmpp-qr.service")
    try:
        done = rosewood.run("xmpp-status --json")
    finally:
        rosewood.out("systemctl start xmpp-qr.socket")
    wrong = {one["subject"]: one["text"] for one in json.loads(done.stdout) if one["level"] == "fails"}
    assert (done.rc, wrong) == (2, {"unit xmpp-qr.socket": "inactive (dead, success)"})


def test_an_operator_s_own_page_comes_first(internet, rosewood):
    rosewood.out("echo mine > /var/www/xmpp/index.html")
    try:
        assert page(internet, f"https://{DOMAIN}/")[2].strip() == "mine"
        assert "<html" in page(internet, f"https://{DOMAIN}/status/")[2]
    finally:
        rosewood.out("rm /var/www/xmpp/index.html")
