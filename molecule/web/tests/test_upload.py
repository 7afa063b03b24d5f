# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files go up (XEP-0363) and come down: which ones a browser may show, how large they are, and in pieces."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import io
import secrets
import socket
import ssl
import wave
import xml.etree.ElementTree as ET
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from clients import Client, Refused
from conftest import LOOP
from hosts import CA

UPLOAD = "urn:xmpp:http:upload:0"
LIMIT = 1000000
# Shown by a browser where it is, or saved as a file: what is not among the kinds that carry no script.
TYPES = {
    "image/png": "inline",
    "image/jpeg": "inline",
    "image/webp": "inline",
    "video/mp4": "inline",
    "audio/ogg": "inline",
    "text/plain": "inline",
    "image/svg+xml": "attachment",
    "text/html": "attachment",
    "application/xhtml+xml": "attachment",
    "text/xml": "attachment",
    "application/pdf": "attachment",
    "application/javascript": "attachment",
    "application/octet-stream": "attachment",
}


class Uploads:
    """Somebody's uploads at one host."""

    def __init__(self, site):
        self.site, self.name = site, f"upload.{site.domain}"
        asyncio.set_event_loop(LOOP)
        jid, password = site.create("uploader")
        self.client = Client(jid, password, (site.address, 5222), CA)
        LOOP.run_until_complete(self.client.login())

    def slot(self, size: int, kind: str = "application/octet-stream", name: str = "file"):
        """Where a file may be put, with which headers, and from where it comes."""
        request = f"<request xmlns='{UPLOAD}' filename='{name}' size='{size}' content-type='{kind}'/>"
        found = LOOP.run_until_complete(self.client.ask("get", request, self.name))
        put, get = found.find(f"{{{UPLOAD}}}put"), found.find(f"{{{UPLOAD}}}get")
        headers = {header.get("name"): header.text for header in put}
        return SimpleNamespace(put=put.get("url"), headers=headers, get=get.get("url"))

    def ask(self, method: str, url: str, body: bytes | None = None, **headers: str):
        place = urlsplit(url)
        assert (place.scheme, place.netloc) == ("https", self.name)
        connection = http.client.HTTPSConnection(self.name, timeout=30)
        raw = socket.create_connection((self.site.address, 443), timeout=30)
        connection.sock = ssl.create_default_context(cafile=CA).wrap_socket(raw, server_hostname=self.name)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        # Who refuses a body does not read it to the end.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            connection.request(method, f"{place.path}?{place.query}" if place.query else place.path, body, headers)
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return SimpleNamespace(status=answer.status, headers=names, body=answer.read())

    def put(self, content: bytes, kind: str = "application/octet-stream", name: str = "file") -> str:
        slot = self.slot(len(content), kind, name)
        answer = self.ask("PUT", slot.put, content, **slot.headers, Content_Type=kind)
        assert answer.status == 201, answer
        return slot.get


@pytest.fixture(scope="module")
def uploads(site):
    made = Uploads(site)
    yield made
    LOOP.run_until_complete(made.client.logout())


@pytest.mark.parametrize("kind", TYPES)
def test_what_a_browser_may_show(uploads, kind):
    content = secrets.token_bytes(100)
    answer = uploads.ask("GET", uploads.put(content, kind))
    shown = answer.headers.get("content-disposition", "inline").partition(";")[0]
    print(kind, answer.headers.get("content-disposition"))
    assert (answer.status, answer.body, shown) == (200, content, TYPES[kind])
    assert answer.headers["content-type"] == {"text/plain": "text/plain; charset=utf-8"}.get(kind, kind)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; media-src 'self'; sandbox"
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("kind", ["image/svg+xml", "text/plain"])
def test_no_script_of_an_upload_runs(uploads, browse, kind):
    script = "<svg xmlns='http://www.w3.org/2000/svg'><script>document.title = 'taken'</script></svg>"
    url = uploads.put(script.encode(), kind, "picture.svg")
    browser = browse()
    browser.get(url)
    assert "taken" not in (browser.title, browser.execute_script("return document.title"))


def test_limits_are_prosodys(uploads):
    info = LOOP.run_until_complete(
        uploads.client.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", uploads.name)
    )
    said = [
        field.findtext("{jabber:x:data}value")
        for field in info.iter("{jabber:x:data}field")
        if field.get("var") == "max-file-size"
    ]
    assert said == [str(LIMIT)], ET.tostring(info)
    content = secrets.token_bytes(LIMIT)
    assert hashlib.sha256(uploads.ask("GET", uploads.put(content)).body).digest() == hashlib.sha256(content).digest()
    with pytest.raises(Refused, match="not-acceptable"):
        uploads.slot(LIMIT + 1)
    answers = {}
    for size in (9, 11, LIMIT + 1, LIMIT + 2**20 + 1):
        slot = uploads.slot(10)
        answer = uploads.ask("PUT", slot.put, bytes(size), **slot.headers)
        answers[size] = answer.status, b"/pages/" in answer.body
        assert uploads.ask("GET", slot.get).status in (404, 410)
    print(answers)
    # Less or more than was said is refused by Prosody; what is more than anybody may send, by nginx. Either by a page of ours.
    assert set(answers.values()) == {(413, True)}


def test_a_download_goes_on_where_it_was_cut(uploads):
    content = secrets.token_bytes(300000)
    url = uploads.put(content)
    whole = uploads.ask("GET", url)
    assert whole.headers["accept-ranges"] == "bytes"
    got = content[:100000]
    for end in (200000, len(content)):
        answer = uploads.ask("GET", url, Range=f"bytes={len(got)}-")
        print(answer.headers["content-range"])
        assert answer.status == 206
        # As one that is cut again.
        got += answer.body[: end - len(got)]
    assert got == content


# Where a player is: whether it failed, how long what it plays is, and whether it has got to its place.
PLAYER = """
const player = document.querySelector("video, audio");
return player && [player.error?.message ?? null, player.duration, player.readyState, player.seeking, player.currentTime];
"""


def test_a_browser_plays_and_seeks(uploads, browse):
    made = io.BytesIO()
    with wave.open(made, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(secrets.token_bytes(2 * 8000 * 50))
    browser = browse()
    browser.get(uploads.put(made.getvalue(), "audio/wav", "sound.wav"))

    def ready(b, seconds: float = 0):
        error, duration, state, seeking, now = b.execute_script(PLAYER) or [None, None, 0, True, 0]
        print(error, duration, state, seeking, now)
        assert error is None
        return duration == 50 and state >= 2 and not seeking and now >= seconds

    browser.wait(ready)
    browser.execute_script("document.querySelector('video, audio').currentTime = 45")
    browser.wait(lambda b: ready(b, 45))


def test_others_pages_may_upload(uploads):
    slot = uploads.slot(10)
    asked = {"Origin": "https://client.test", "Access_Control_Request_Method": "PUT"}
    answer = uploads.ask("OPTIONS", slot.put, **asked, Access_Control_Request_Headers="authorization, content-type")
    assert answer.headers["access-control-allow-origin"] in ("*", "https://client.test")
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert {"authorization", "content-type"} <= set(answer.headers["access-control-allow-headers"].lower().split(", "))
