# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of the web: BOSH, WebSocket, the addresses of both, and the page to register."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import struct
import time
from dataclasses import dataclass

from ... import tls
from . import encryption
from .base import Broken, Subject, Unknown, Weakened, probe

# The default of a web server for a header, and more than any page here has.
MOST_HEAD, MOST_BODY = 16384, 262144
HTTPBIND = "http://jabber.org/protocol/httpbind"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
# RFC 6455, section 1.3.
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ALTERNATIVES = {f"urn:xmpp:alt-connections:{kind}": kind for kind in ("xbosh", "websocket")}


@dataclass(frozen=True)
class Page:
    """An answer of a web server."""

    status: int
    headers: dict[str, str]
    body: bytes


def fetch(
    subject: Subject,
    path: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    frame: bytes = b"",
    host: str = "",
) -> Page:
    """Return what the web server answers to a request; after a switch of protocols, what comes back for a frame.

    No more is read than a page of ours has, and no longer than the time limit allows. Raises Unknown where it does not
    answer at all.
    """
    host = host or subject.web
    number = subject.promises["ports"].get("https", 443)
    address = subject.promises.get("addresses", {}).get("https") or encryption.address_of(subject)
    own = {"Host": host, "Connection": "close", **(headers or {})}
    if body:
        own["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{key}: {value}" for key, value in own.items()), "", ""]
    seconds = subject.seconds(encryption.SECONDS)
    end = time.monotonic() + seconds
    try:
        with tls.connected(address, number, host, tls.trusting(), None, seconds) as inside:
            inside.sendall("\r\n".join(lines).encode() + body)
            head, _, rest = tls.receive(inside, [b"\r\n\r\n"], MOST_HEAD).partition(b"\r\n\r\n")
            found = re.match(rb"HTTP/1\.[01] (\d{3})", head)
            if not found:
                raise Unknown(f"https://{host}{path}: the answer is not of HTTP")
            fields = (line.partition(":")[::2] for line in head.decode("latin-1").splitlines()[1:])
            names = {name.strip().lower(): value.strip() for name, value in fields}
            status = int(found[1])
            if status == 101:
                inside.sendall(frame)
                rest += tls.receive(inside, [b"features>", b"features/>", b"</close", b"<close"])
            else:
                length = names.get("content-length", "")
                wanted = min(int(length), MOST_BODY) if length.isdigit() else MOST_BODY
                while len(rest) < wanted:
                    inside.settimeout(max(0.001, end - time.monotonic()))
                    more = inside.recv(16384)
                    if not more:
                        break
                    rest += more
    except (tls.TlsError, OSError) as error:
        raise Unknown(f"https://{host}{path}: {error}") from error
    return Page(status, names, rest)


@probe("host_meta")
def host_meta(subject: Subject, _argument: str) -> str:
    """Fetch both forms of the file, and look for both addresses in each."""
    # It is at the domain itself, whoever serves that.
    path = "/.well-known/host-meta"
    if subject.web != subject.name:
        raise Weakened(f"the website of {subject.name} is on another server, which playbook website looks at")
    for name, links in ((path, r"urn:xmpp:alt-connections:\w+"), (f"{path}.json", "")):
        page = fetch(subject, name)
        if page.status != 200:
            raise Broken(f"https://{subject.web}{name} answers {page.status}")
        text = page.body.decode(errors="replace")
        if links:
            found = set(re.findall(links, text))
        else:
            try:
                found = {
                    str(link.get("rel")) for link in json.loads(text[text.find("{") : text.rfind("}") + 1])["links"]
                }
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise Broken(f"https://{subject.web}{name} is not what it should be: {error!r}") from error
        if missing := [kind for urn, kind in ALTERNATIVES.items() if urn not in found]:
            raise Broken(f"https://{subject.web}{name} does not name {' and '.join(missing)}")
        if page.headers.get("access-control-allow-origin") != "*":
            raise Broken(f"https://{subject.web}{name} may not be read by web clients of other sites (CORS)")
    return f"both forms at https://{subject.web}{path}"


@probe("bosh")
def bosh(subject: Subject, _argument: str) -> str:
    """Open a session by BOSH, and end it."""
    domain = subject.name.encode().decode("idna")
    rid = int.from_bytes(os.urandom(4), "big")
    kind = {"Content-Type": "text/xml; charset=utf-8"}
    first = (
        f"<body xmlns='{HTTPBIND}' rid='{rid}' to='{domain}' wait='5' hold='1' ver='1.6' xml:lang='en' "
        "xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'/>"
    )
    page = fetch(subject, "/http-bind", method="POST", body=first.encode(), headers=kind)
    text = page.body.decode(errors="replace")
    found = re.search(r"\bsid=['\"]([\w-]{1,100})['\"]", text)
    if page.status != 200 or not found:
        raise Broken(f"https://{subject.web}/http-bind answers {page.status} and opens no session")
    last = f"<body xmlns='{HTTPBIND}' rid='{rid + 1}' sid='{found[1]}' type='terminate'/>"
    fetch(subject, "/http-bind", method="POST", body=last.encode(), headers=kind)
    if "<mechanism" not in text:
        raise Broken(f"https://{subject.web}/http-bind opens a session that offers no login")
    return f"https://{subject.web}/http-bind opens a session"


def masked(text: str) -> bytes:
    """Return a text as a frame of WebSocket from a client (RFC 6455, section 5.2)."""
    data, key = text.encode(), os.urandom(4)
    size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + struct.pack("!H", len(data))
    return b"\x81" + size + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(data))


def open_websocket(subject: Subject, path: str) -> str:
    """Open a stream by WebSocket at an address of the web front."""
    key = base64.b64encode(os.urandom(16)).decode()
    domain = subject.name.encode().decode("idna")
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "xmpp",
        "Origin": f"https://{subject.web}",
    }
    opening = masked(f"<open xmlns='{FRAMING}' to='{domain}' version='1.0'/>")
    page = fetch(subject, path, headers=headers, frame=opening)
    place = f"https://{subject.web}{path}"
    if page.status != 101:
        raise Broken(f"{place} answers {page.status} to a WebSocket")
    right = base64.b64encode(hashlib.sha1((key + WEBSOCKET).encode(), usedforsecurity=False).digest()).decode()
    if page.headers.get("sec-websocket-accept") != right or page.headers.get("sec-websocket-protocol") != "xmpp":
        raise Broken(f"{place} speaks another protocol than xmpp")
    if b"mechanism" not in page.body:
        raise Broken(f"{place} opens a stream that offers no login")
    return f"{place} opens a stream"


@probe("websocket")
def websocket(subject: Subject, _argument: str) -> str:
    """Open a stream by WebSocket."""
    return open_websocket(subject, "/xmpp-websocket")


@probe("registration_page")
def registration_page(subject: Subject, _argument: str) -> str:
    """Fetch the page to register."""
    page = fetch(subject, "/register/")
    place = f"https://{subject.web}/register/"
    # By invitation only, the page says so; without one it may be forbidden, and is there all the same.
    if page.status not in (200, 303, 403):
        raise Broken(f"{place} answers {page.status}")
    if "html" not in page.headers.get("content-type", ""):
        raise Broken(f"{place} is no page")
    policy = page.headers.get("content-security-policy", "")
    if "frame-ancestors" not in policy and "x-frame-options" not in page.headers:
        raise Broken(f"{place} may be framed by another site")
    return f"{place} answers {page.status}"
