# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of XML as a client sends them before it has logged in, one element at a time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import secrets
import socket
import ssl
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

from conftest import ADDRESS, CA, DOMAIN

SASL = "{urn:ietf:params:xml:ns:xmpp-sasl}"
SASL2 = "{urn:xmpp:sasl:2}"
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"


class Stream:
    """A stream by direct TLS, up to the login."""

    def __init__(self, jid: str = "", address: str = ADDRESS):
        self.ids = itertools.count()
        connection = socket.create_connection((address, 5223), 15)
        self.socket = ssl.create_default_context(cafile=CA).wrap_socket(connection, server_hostname=DOMAIN)
        self.parser = ET.XMLPullParser(["start", "end"])
        self.depth = 0
        self.send(
            f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' from='{jid}' version='1.0' xmlns='jabber:client' "
            "xmlns:stream='http://etherx.jabber.org/streams'>"
        )
        self.features = self.receive()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def send(self, xml: str) -> None:
        self.socket.sendall(xml.encode())

    def receive(self) -> ET.Element:
        while True:
            for event, element in self.parser.read_events():
                self.depth += 1 if event == "start" else -1
                if event == "end" and self.depth == 1:
                    return element
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the stream was closed")
            self.parser.feed(data)

    def ask(self, kind: str, payload: str) -> str:
        """Send an iq to the domain; returns the condition of the error, or nothing."""
        self.put(kind, payload)
        return self.condition()

    def put(self, kind: str, payload: str) -> None:
        self.asked = f"q{next(self.ids)}"
        self.send(f"<iq xmlns='jabber:client' type='{kind}' id='{self.asked}' to='{DOMAIN}'>{payload}</iq>")

    def condition(self) -> str:
        while (answer := self.receive()).get("id") != self.asked:
            pass
        found = [child.tag.partition("}")[2] for child in answer.iter() if child.tag.startswith(STANZAS)]
        return next((name for name in found if name != "text"), "")

    def register(self, account, **more: str) -> str:
        """Make an account (XEP-0077)."""
        self.send_registration(account, **more)
        return self.condition()

    def send_registration(self, account, **more: str) -> None:
        fields = {"username": account.jid.split("@")[0], "password": account.password} | more
        inner = "".join(
            f"<field var='{name}'><value>{escape(value)}</value></field>"
            for name, value in ({"FORM_TYPE": "jabber:iq:register"} | fields).items()
        )
        form = f"<x xmlns='jabber:x:data' type='submit'>{inner}</x>"
        self.put("set", f"<query xmlns='jabber:iq:register'>{form}</query>")

    def mechanisms(self, namespace: str = SASL2) -> list[str]:
        return sorted(mechanism.text for mechanism in self.features.iter(f"{namespace}mechanism"))

    def authenticate(self, mechanism: str, initial: str, inner: str = "", namespace: str = SASL2) -> ET.Element:
        if namespace == SASL:
            self.send(f"<auth xmlns='{SASL[1:-1]}' mechanism='{mechanism}'>{encode(initial)}</auth>")
        else:
            self.send(
                f"<authenticate xmlns='{SASL2[1:-1]}' mechanism='{mechanism}'><initial-response>{encode(initial)}"
                f"</initial-response>{inner}</authenticate>"
            )
        return self.receive()

    def offer(
        self, user: str, mechanism: str = "SCRAM-SHA-1", namespace: str = SASL2, inner: str = ""
    ) -> dict[str, str]:
        """What the server offers who names an account (RFC 5802): nonce, salt and count; or why it refuses."""
        flag = "p=tls-exporter,," if mechanism.endswith("-PLUS") else "n,,"
        self.first = f"n={user},r={secrets.token_urlsafe(18)}"
        answer = self.authenticate(mechanism, flag + self.first, inner, namespace)
        if answer.tag == f"{namespace}failure":
            self.verdict = answer
            return {"failure": answer[0].tag.removeprefix(SASL)}
        self.challenge = base64.b64decode(answer.text).decode()
        return dict(part.split("=", 1) for part in self.challenge.split(","))

    def answer(self, offer: dict[str, str], proof: bytes, namespace: str = SASL2) -> ET.Element:
        last = f"c=biws,r={offer['r']},p={base64.b64encode(proof).decode()}"
        self.send(f"<response xmlns='{namespace[1:-1]}'>{encode(last)}</response>")
        return self.receive()

    def guess(self, user: str, namespace: str = SASL2) -> str:
        """Log in with a wrong password, and return why not."""
        offer = self.offer(user, namespace=namespace)
        return offer.get("failure") or self.answer(offer, secrets.token_bytes(20), namespace)[0].tag.removeprefix(SASL)

    def scram(
        self, account, password: str | None = None, inner: str = "", namespace: str = SASL2
    ) -> tuple[ET.Element, dict[str, str]]:
        """The result is what the server says in the end, and what it offered."""
        offer = self.offer(account.jid.split("@")[0], inner=inner, namespace=namespace)
        if "failure" in offer:
            return self.verdict, {}
        salted = hashlib.pbkdf2_hmac(
            "sha1", (password or account.password).encode(), base64.b64decode(offer["s"]), int(offer["i"])
        )
        signed = f"{self.first},{self.challenge},c=biws,r={offer['r']}".encode()
        key = hmac.digest(salted, b"Client Key", "sha1")
        signature = hmac.digest(hashlib.sha1(key).digest(), signed, "sha1")
        verdict = self.answer(offer, bytes(a ^ b for a, b in zip(key, signature, strict=True)), namespace)
        if verdict.tag == f"{namespace}success":
            server = hmac.digest(hmac.digest(salted, b"Server Key", "sha1"), signed, "sha1")
            proven = verdict.findtext(f"{SASL2}additional-data") if namespace == SASL2 else verdict.text
            assert base64.b64decode(proven).decode() == "v=" + base64.b64encode(server).decode()
        return verdict, offer


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
