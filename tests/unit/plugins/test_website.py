# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.website_check import judge, judge_challenge
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.website import website_files

DOMAINS = [{"domain": "example.net"}, {"domain": "example.org", "web": "rosewood.example.org"}]
WEB = "rosewood.example.org"
BOSH, WEBSOCKET = "urn:xmpp:alt-connections:xbosh", "urn:xmpp:alt-connections:websocket"


def files(**options):
    (site,) = website_files(DOMAINS, **options)
    return {file["path"].rpartition("/")[2]: file for file in site["files"]}


def test_only_domains_with_another_website_need_files():
    (site,) = website_files(DOMAINS)
    assert (site["domain"], site["web"], site["challenges"]) == ("example.org", WEB, False)
    assert website_files(DOMAINS[:1]) == website_files([{"domain": "example.org", "web": "example.org"}]) == []


def test_the_files_lead_to_the_web_front():
    found = files()
    assert list(found) == ["host-meta", "host-meta.json", "nginx.conf", "apache.conf", "Caddyfile"]
    links = {link["rel"]: link["href"] for link in json.loads(found["host-meta.json"]["content"])["links"]}
    assert links == {BOSH: f"https://{WEB}/http-bind", WEBSOCKET: f"wss://{WEB}/xmpp-websocket"}
    assert all(href in found["host-meta"]["content"] for href in links.values())
    assert "example.org/http-bind" not in found["host-meta"]["content"].replace(WEB, "")
    assert [file["type"] for file in found.values()] == ["application/xrd+xml", "application/json", "", "", ""]


def test_what_else_is_published_and_asked_for():
    found = files(provider={"since": "2024-05-01"}, challenges=True)
    assert json.loads(found["xmpp-provider-v2.json"]["content"]) == {"since": "2024-05-01"}
    for settings in ("nginx.conf", "apache.conf", "Caddyfile"):
        assert "xmpp-provider-v2.json" in found[settings]["content"]
        assert f"http://{WEB}" in found[settings]["content"]
        assert f"http://{WEB}" not in files()[settings]["content"]


@pytest.mark.parametrize(
    ("domains", "provider", "message"),
    [
        (
            [{"domain": "example.org", "web": "Example.org"}],
            {},
            "web: 'Example.org' is not a domain name: 'E' is not lower",
        ),
        ([{"domain": "example.org", "web": "a.org;}"}], {}, "web: 'a.org;}' is not a domain name: ';' is not allowed"),
        ([{"domain": "a.org", "web": "x.org"}, {"domain": "b.org", "web": "x.org"}], {}, "'x.org' is used twice"),
        ([{"domain": "example.org"}], "yes", "provider: 'yes' is not a dictionary"),
    ],
)
def test_wrong_arguments(domains, provider, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        website_files(domains, provider)


RIGHT = {"content-type": "application/xrd+xml; charset=utf-8", "access-control-allow-origin": "*"}
CORS = "Access-Control-Allow-Origin is {}; let it be *, since web clients of other sites ask, too"


def xml(*links):
    rows = "".join(f'<Link rel="{rel}" href="{href}"/>' for rel, href in links)
    return f'<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0">{rows}</XRD>'


OURS = [(WEBSOCKET, f"wss://{WEB}/xmpp-websocket"), (BOSH, f"https://{WEB}/http-bind")]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((200, RIGHT, xml(*OURS)), []),
        # In any order, and beside those of others.
        ((200, RIGHT, xml(*OURS[::-1], ("lrdd", "https://example.org/?{uri}"))), []),
        ((404, RIGHT, ""), ["the answer is 404; put the file there"]),
        ("it does not answer: timed out", ["it does not answer: timed out"]),
        ((200, RIGHT, xml(OURS[0])), [f"{BOSH} https://{WEB}/http-bind is missing; add it"]),
        ((200, RIGHT, xml(*OURS, (BOSH, "https://e.test/"))), [f"{BOSH} https://e.test/ is not ours; remove it"]),
        ((200, RIGHT, "<html>"), ["its content is no XML of its kind; put the file there anew"]),
        ((200, RIGHT | {"access-control-allow-origin": "https://a.test"}, xml(*OURS)), [CORS.format("https://a.test")]),
        ((200, RIGHT | {"access-control-allow-origin": "*, *"}, xml(*OURS)), [CORS.format("*, *")]),
        (
            (200, {}, xml(*OURS)),
            ["Content-Type is none; let it be application/xrd+xml", CORS.format("none")],
        ),
    ],
)
def test_what_is_wrong_with_host_meta(found, expected):
    assert judge(files()["host-meta"], found) == expected


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"links": 1}', '{"links": [{}]}', '{"links": ["a"]}', "null"])
def test_nonsense_is_no_host_meta(text):
    found = (200, RIGHT | {"content-type": "application/json"}, text)
    assert judge(files()["host-meta.json"], found) == ["its content is no JSON of its kind; put the file there anew"]


def test_another_provider_file():
    file = files(provider={"since": "2024-05-01"})["xmpp-provider-v2.json"]
    headers = RIGHT | {"content-type": "application/json"}
    assert judge(file, (200, headers, '{"since":"2024-05-01"}')) == []
    assert judge(file, (200, headers, '{"since":"2024-05-02"}')) == ["its content is another; put the file there anew"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((302, {"location": f"http://{WEB}/c/x"}, ""), None),
        ((301, {"location": f"https://{WEB}/c/x"}, ""), f"301, to https://{WEB}/c/x"),
        ((404, {}, ""), "404"),
        ((200, {"location": f"http://{WEB}/c/x"}, ""), f"200, to http://{WEB}/c/x"),
    ],
)
def test_challenges_are_led_to_the_host(found, said):
    expected = [f"the answer is {said}; let it be a redirect to http://{WEB}/c/x"] if said else []
    assert judge_challenge(WEB, "/c/x", found) == expected
