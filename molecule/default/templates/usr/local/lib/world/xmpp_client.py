#!/usr/bin/env python3
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small XMPP client for tests: takes one job as JSON on standard input, prints one JSON object.

    login    {account}                    log in by SCRAM-SHA-1
    talk     {sender, receiver}           log both in, send a message from one to the other, tell what arrived
    receive  {account}                    wait for one message
    plain    {address, port, namespace, send}   speak without TLS, tell what is offered and answered
    scan     {address, ports}             tell which TCP ports are open
    crowd    {account, count}             log in so many times, tell how many sessions there are, and that the first one works

An account is {jid, password, via}; via is tcp (STARTTLS, the default), tls, bosh or websocket. What the server refuses
is the result {"refused": condition}; anything else that goes wrong is a traceback.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import http.client
import json
import secrets
import socket
import ssl
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from xml.sax.saxutils import quoteattr

import websocket

CLIENT = "jabber:client"
STREAM = "http://etherx.jabber.org/streams"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
HTTPBIND = "http://jabber.org/protocol/httpbind"
EXTDISCO = "urn:xmpp:extdisco:2"
SECONDS = 60


class Refused(Exception):
    """The server says no; the message is its condition."""


def local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def ascii_form(domain: str) -> str:
    """How DNS and the web know a domain."""
    return domain.encode("idna").decode()


def srv(service: str, domain: str) -> tuple[str, int]:
    answer = subprocess.run(
        ["dig", "+short", "SRV", f"_{service}._tcp.{ascii_form(domain)}"], capture_output=True, text=True, check=True
    )
    _priority, _weight, port, target = answer.stdout.splitlines()[0].split()
    return target.rstrip("."), int(port)


def tls_context(domain: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if domain == "selfsigned.test":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Stream:
    """A client's stream over TCP, with STARTTLS or direct TLS."""

    def __init__(self, domain: str, via: str):
        self.domain = domain
        self.before_tls: list[str] = []
        address = srv("xmpps-client" if via == "tls" else "xmpp-client", domain)
        self.socket = socket.create_connection(address, SECONDS)
        if via == "tls":
            self.wrap()
            return
        features = self.open()
        self.before_tls = [local(child) for child in features]
        self.send(f"<starttls xmlns='{TLS}'/>")
        if local(self.receive()) != "proceed":
            raise Refused("starttls")
        self.wrap()

    def wrap(self) -> None:
        self.socket = tls_context(self.domain).wrap_socket(self.socket, server_hostname=self.domain)

    def tls(self) -> str:
        return self.socket.version()

    def open(self) -> ET.Element:
        self.parser = ET.XMLPullParser(["start", "end"])
        self.depth = 0
        self.send(
            f"<?xml version='1.0'?><stream:stream to='{self.domain}' version='1.0' xmlns='{CLIENT}' "
            f"xmlns:stream='{STREAM}'>"
        )
        return self.receive()

    def send(self, xml: str) -> None:
        self.socket.sendall(xml.encode())

    def receive(self, seconds: float = SECONDS) -> ET.Element:
        """The next element below the stream's root."""
        end = time.monotonic() + seconds
        while True:
            for event, element in self.parser.read_events():
                self.depth += 1 if event == "start" else -1
                if event == "end" and self.depth == 1:
                    return element
            self.socket.settimeout(max(end - time.monotonic(), 0.01))
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed by the server")
            self.parser.feed(data)


class WebSocket:
    """RFC 7395"""

    def __init__(self, domain: str):
        self.domain = domain
        self.before_tls: list[str] = []
        self.socket = websocket.create_connection(
            f"wss://{ascii_form(domain)}/xmpp-websocket",
            SECONDS,
            subprotocols=["xmpp"],
            sslopt={"context": tls_context(domain)},
        )
        if self.socket.subprotocol != "xmpp":
            raise ConnectionError(f"subprotocol {self.socket.subprotocol!r}")

    def tls(self) -> str:
        return self.socket.sock.version()

    def open(self) -> ET.Element:
        self.send(f"<open xmlns='{FRAMING}' to='{self.domain}' version='1.0'/>")
        if local(self.receive()) != "open":
            raise ConnectionError("no open")
        return self.receive()

    def send(self, xml: str) -> None:
        self.socket.send(xml)

    def receive(self, seconds: float = SECONDS) -> ET.Element:
        self.socket.settimeout(seconds)
        return ET.fromstring(self.socket.recv())


class Bosh:
    """XEP-0124 and XEP-0206, one request at a time."""

    def __init__(self, domain: str):
        self.domain = domain
        self.before_tls: list[str] = []
        self.http = http.client.HTTPSConnection(ascii_form(domain), timeout=SECONDS, context=tls_context(domain))
        self.rid = secrets.randbelow(2**32)
        self.sid = ""
        self.inbox: list[ET.Element] = []

    def tls(self) -> str:
        return self.http.sock.version()

    def request(self, attributes: str, xml: str = "") -> ET.Element:
        self.rid += 1
        body = f"<body xmlns='{HTTPBIND}' rid='{self.rid}' {attributes}>{xml}</body>"
        self.http.request("POST", "/http-bind", body.encode(), {"Content-Type": "text/xml; charset=utf-8"})
        response = self.http.getresponse()
        text = response.read()
        if response.status != 200:
            raise ConnectionError(f"HTTP {response.status}")
        answer = ET.fromstring(text)
        if answer.get("type") == "terminate":
            raise Refused(answer.get("condition") or "terminate")
        self.inbox.extend(answer)
        return answer

    def open(self) -> ET.Element:
        if self.sid:
            self.request(f"sid='{self.sid}' xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh' to='{self.domain}'")
        else:
            self.sid = self.request(
                f"to='{self.domain}' ver='1.11' hold='1' wait='1' xmpp:version='1.0' "
                "xmlns:xmpp='urn:xmpp:xbosh' xml:lang='en'"
            ).get("sid")
        return self.receive()

    def send(self, xml: str) -> None:
        self.request(f"sid='{self.sid}'", xml)

    def receive(self, seconds: float = SECONDS) -> ET.Element:
        end = time.monotonic() + seconds
        while not self.inbox:
            if time.monotonic() > end:
                raise TimeoutError
            self.request(f"sid='{self.sid}'")
        return self.inbox.pop(0)


class Session:
    def __init__(self, account: dict):
        self.account = account
        self.user, self.domain = account["jid"].split("@")
        via = account.get("via", "tcp")
        self.stream = (
            {"bosh": Bosh, "websocket": WebSocket}[via](self.domain)
            if via in ("bosh", "websocket")
            else Stream(self.domain, via)
        )
        features = self.stream.open()
        self.mechanisms = sorted(mechanism.text for mechanism in features.iter(f"{{{SASL}}}mechanism"))
        self.scram(account["password"])
        self.stream.open()
        self.stream.send(f"<iq xmlns='{CLIENT}' type='set' id='bind'><bind xmlns='{BIND}'/></iq>")
        self.jid = self.wait_for("iq").findtext(f".//{{{BIND}}}jid")
        self.stream.send(f"<presence xmlns='{CLIENT}'/>")

    def result(self) -> dict:
        return {
            "jid": self.jid,
            "mechanisms": self.mechanisms,
            "tls": self.stream.tls(),
            "before_tls": self.stream.before_tls,
        }

    def scram(self, password: str) -> None:
        """RFC 5802, without channel binding; the server proves that it knows the password, too."""
        nonce = secrets.token_urlsafe(18)
        first = f"n={self.user},r={nonce}"
        challenge = self.sasl(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{encode('n,,' + first)}</auth>")
        offer = dict(part.split("=", 1) for part in challenge.split(","))
        if not offer["r"].startswith(nonce):
            raise ConnectionError("the server's nonce does not continue ours")
        salted = hashlib.pbkdf2_hmac("sha1", password.encode(), base64.b64decode(offer["s"]), int(offer["i"]))
        last = f"c=biws,r={offer['r']}"
        signed = f"{first},{challenge},{last}".encode()
        key = hmac.digest(salted, b"Client Key", "sha1")
        signature = hmac.digest(hashlib.sha1(key).digest(), signed, "sha1")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
        verdict = self.sasl(f"<response xmlns='{SASL}'>{encode(f'{last},p={proof}')}</response>")
        server = hmac.digest(hmac.digest(salted, b"Server Key", "sha1"), signed, "sha1")
        if verdict != "v=" + base64.b64encode(server).decode():
            raise ConnectionError("the server does not know the password")

    def sasl(self, xml: str) -> str:
        self.stream.send(xml)
        answer = self.stream.receive()
        if local(answer) == "failure":
            raise Refused(local(answer[0]))
        return base64.b64decode(answer.text or "").decode()

    def wait_for(self, kind: str, seconds: float = SECONDS) -> ET.Element:
        end = time.monotonic() + seconds
        while True:
            element = self.stream.receive(max(end - time.monotonic(), 0.01))
            if local(element) == kind:
                return element


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def login(job: dict) -> dict:
    return Session(job["account"]).result()


def receive(job: dict) -> dict:
    message = Session(job["account"]).wait_for("message")
    return {"from": message.get("from"), "body": message.findtext(f"{{{CLIENT}}}body")}


def talk(job: dict) -> dict:
    receiver, sender = Session(job["receiver"]), Session(job["sender"])
    body = f"Hello {secrets.token_hex(8)}"
    sender.stream.send(
        f"<message xmlns='{CLIENT}' type='chat' id='m1' to={quoteattr(receiver.jid)}><body>{body}</body></message>"
    )
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        # In turn: the message at the receiver, or its error at the sender.
        for session in (receiver, sender):
            try:
                message = session.wait_for("message", 0.3)
            except TimeoutError:
                continue
            if message.get("type") == "error":
                error = message.find(f"{{{CLIENT}}}error")
                raise Refused(
                    next(
                        local(child)
                        for child in error
                        if child.tag.startswith(f"{{{STANZAS}}}") and local(child) != "text"
                    )
                )
            got = message.findtext(f"{{{CLIENT}}}body")
            if got is not None:
                return {"from": message.get("from"), "sent": body, "received": got}
    raise TimeoutError("neither a message nor an error has come")


def plain(job: dict) -> dict:
    """What a server offers and answers without TLS: names of elements, conditions after a slash."""
    result: dict = {"features": [], "answers": [], "closed": False}
    namespace = job["namespace"]
    with socket.create_connection((job["address"], job["port"]), SECONDS) as connection:
        parser = ET.XMLPullParser(["start", "end"])
        depth = 0
        connection.sendall(
            f"<?xml version='1.0'?><stream:stream to='{job['to']}' from='{job['from']}' version='1.0' "
            f"xmlns='{namespace}' xmlns:stream='{STREAM}' xmlns:db='jabber:server:dialback'>".encode()
        )
        connection.settimeout(3)
        try:
            while data := connection.recv(65536):
                parser.feed(data)
                for event, element in parser.read_events():
                    depth += 1 if event == "start" else -1
                    if event != "end" or depth != 1:
                        continue
                    if local(element) == "features":
                        result["features"] = [local(child) for child in element]
                        connection.sendall(job["send"].encode())
                    else:
                        result["answers"].append("/".join([local(element), *(local(child) for child in element)]))
            result["closed"] = True
        except TimeoutError:
            pass
        except ConnectionError:
            result["closed"] = True
        except ET.ParseError:
            # Not XML: a TLS alert, or an HTTP error.
            result["not_xml"] = data[:60].decode("latin-1")
    return result


def services(job: dict) -> dict:
    """What the server tells its user of STUN and TURN servers (XEP-0215)."""
    session = Session(job["account"])
    session.stream.send(
        f"<iq xmlns='{CLIENT}' type='get' id='services' to='{session.domain}'><services xmlns='{EXTDISCO}'/></iq>"
    )
    answer = session.wait_for("iq")
    return {
        "type": answer.get("type"),
        "services": [dict(item.attrib) for item in answer.iter(f"{{{EXTDISCO}}}service")],
    }


def crowd(job: dict) -> dict:
    sessions: list[Session] = []
    for _ in range(job["count"]):
        session = Session(job["account"])
        # Whose resource is refused has no address.
        if session.jid is None:
            break
        sessions.append(session)
    first = sessions[0].stream
    first.send(f"<iq xmlns='{CLIENT}' type='get' id='first'><ping xmlns='urn:xmpp:ping'/></iq>")
    while first.receive().get("id") != "first":
        pass
    return {"sessions": len(sessions)}


def scan(job: dict) -> dict:
    async def knock(port: int, gate: asyncio.Semaphore) -> tuple[int, str]:
        async with gate:
            try:
                _reader, writer = await asyncio.wait_for(asyncio.open_connection(job["address"], port), 1)
            except TimeoutError:
                return port, "silent"
            except OSError:
                return port, "closed"
            writer.close()
            return port, "open"

    async def all_() -> list[tuple[int, str]]:
        gate = asyncio.Semaphore(400)
        return await asyncio.gather(*(knock(port, gate) for port in job["ports"]))

    states = asyncio.run(all_())
    return {state: sorted(port for port, its in states if its == state) for state in ("open", "closed", "silent")}


def main() -> None:
    job = json.load(sys.stdin)
    try:
        result = {
            "login": login,
            "talk": talk,
            "receive": receive,
            "plain": plain,
            "scan": scan,
            "crowd": crowd,
            "services": services,
        }[job["do"]](job)
    except Refused as refused:
        result = {"refused": str(refused)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
