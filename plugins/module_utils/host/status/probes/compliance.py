# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of the Conversations Compliance Tester by their names (iNPUTmice/caas, caas-app/…/xmpp/tests, 2021).

It logs in and makes a room and a node; here, Prosody's own handlers are asked as for an account, and nothing is made.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass

from ... import tls
from . import accounts, encryption, names, offers, uploads, web
from .base import Ask, Broken, Subject, Unknown, Weakened, answer, probe
from .suites import by, offered

CORS = "access-control-allow-origin"
UPLOAD_CORS = (CORS, "access-control-allow-methods", "access-control-allow-headers")
SITE = "https://compliance.conversations.im"
# Of addresses that a file names, so many are tried.
MOST_LINKS = 8
REGISTER = "http://jabber.org/features/iq-register"


def port_of(subject: Subject, service: str) -> encryption.Port:
    """Return the TLS port of a service as the configuration has it."""
    number = subject.port(service)
    for port in subject.config["ports"]:
        if port["port"] == number:
            found: encryption.Port = port
            return found
    raise Unknown(f"no port of {service} is known")


def trusted(subject: Subject, service: str) -> None:
    """Look at the certificate of a port as a client does."""
    try:
        encryption.verified(subject, port_of(subject, service))
    except tls.TlsError as error:
        raise (Broken if "certificate is not good" in str(error) else Unknown)(str(error)) from error


def direct_tls(subject: Subject, _argument: str) -> str:
    """See that an SRV record leads to a port that opens a stream within TLS, with a certificate for the domain."""
    if not names.targets(subject, "xmpps-client"):
        raise Broken(f"_xmpps-client._tcp.{subject.name} has no SRV record")
    trusted(subject, "xmpps-client")
    return answer(subject, "direct_tls", "jabber:client")


def omemo(subject: Subject, _argument: str) -> str:
    """See that an account may publish what everybody may read: its test publishes such a node."""
    answer(subject, "identity", "pubsub/pep")
    return answer(subject, "account", "http://jabber.org/protocol/pubsub#publish-options")


def registration(subject: Subject, _argument: str) -> str:
    """See that a client may register an account (XEP-0077), before a login."""
    if REGISTER not in accounts.offered(subject):
        raise Broken(f"{subject.name} offers no registration to clients")
    return REGISTER


def links(page: web.Page) -> list[str]:
    """Return the addresses of BOSH and WebSocket that a host-meta names, in either form."""
    text = page.body.decode(errors="replace")
    try:
        found = json.loads(text)["links"]
        return [str(link["href"]) for link in found if link.get("rel") in web.ALTERNATIVES]
    except (ValueError, KeyError, TypeError, AttributeError):
        tags = re.findall(r"<Link\b[^>]{1,1000}>", text)
    fields = [dict(re.findall(r"\b(rel|href)=[\"']([^\"']{1,500})[\"']", tag)) for tag in tags]
    return [field["href"] for field in fields if field.get("rel") in web.ALTERNATIVES and "href" in field]


def reachable(subject: Subject, link: str) -> None:
    """See that an address of BOSH may be used by web clients of any site, or that one of WebSocket answers."""
    try:
        parts = urllib.parse.urlsplit(link)
        place, path = (parts.hostname, parts.port or 443), urllib.parse.quote(parts.path or "/", safe="/%")
    except ValueError as error:
        raise Broken(f"{link} is no address: {error}") from error
    if parts.scheme not in ("https", "wss"):
        raise Broken(f"{link} is not encrypted")
    if place != (subject.web, subject.port("https")):
        raise Unknown(f"{link} is on another server")
    if parts.scheme == "wss":
        web.open_websocket(subject, path)
        return
    page = web.fetch(subject, path, method="OPTIONS", headers={"Origin": "null"})
    if page.status > 299 or page.headers.get(CORS) != "*":
        raise Broken(f"{link} may not be used by web clients of other sites (CORS)")


def alternatives(subject: Subject, _argument: str) -> str:
    """Fetch the addresses for the web (XEP-0156) in either form, and try each."""
    subject.port("https")
    if subject.web != subject.name:
        raise Unknown(f"the website of {subject.name} is on another server")
    failed: Broken | None = None
    for path in ("/.well-known/host-meta", "/.well-known/host-meta.json"):
        try:
            page = web.fetch(subject, path)
            found = links(page)
            if page.status != 200 or page.headers.get(CORS) != "*" or not found:
                raise Broken(f"https://{subject.web}{path} has no address, or not for web clients of other sites")
            for link in found[:MOST_LINKS]:
                reachable(subject, link)
        except Broken as error:
            failed = failed or error
        else:
            return f"https://{subject.web}{path}"
    raise failed or Broken("there is none")


def upload_cors(subject: Subject, _argument: str) -> str:
    """Ask whether a web client of another site may upload to a slot."""
    offers.service(subject, uploads.HTTP_UPLOAD)
    if "web" not in subject.promises["services"]:
        raise Unknown("uploads are on another server")
    path = uploads.slot_path(subject)
    name = subject.domain["components"]["upload"]
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    page = web.fetch(subject, path, method="OPTIONS", headers={"Origin": SITE, **asked}, host=name)
    if missing := [header for header in UPLOAD_CORS if header not in page.headers]:
        raise Broken(f"https://{name} answers a web client without {' and '.join(missing)}")
    return f"https://{name} may be used by web clients of other sites"


@dataclass(frozen=True)
class Test:
    """A test of the tester's: its short name, what looks for the same, and whether it counts for the result."""

    name: str
    ask: Ask
    counts: bool = True


TESTS: Sequence[Test] = (
    Test("roster_versioning", by("stream", "urn:xmpp:features:rosterver")),
    Test("stun", offered(offers.relay, "stun")),
    Test("turn", offered(offers.relay, "turn")),
    Test("vcard_muc", offered(offers.room, "vcard-temp")),
    Test("xep0045", offered(offers.service, "http://jabber.org/protocol/muc")),
    Test("xep0065", offered(offers.service, "http://jabber.org/protocol/bytestreams")),
    Test("xep0115", by("stream", "http://jabber.org/protocol/caps")),
    Test("xep0160", by("server", "msgoffline")),
    Test("xep0163", by("identity", "pubsub/pep")),
    Test("xep0191", by("server", "urn:xmpp:blocking")),
    Test("xep0198", by("stream", "urn:xmpp:sm:3")),
    Test("xep0280", by("server", "urn:xmpp:carbons:2")),
    # Of an archive it takes older versions, too, and of one of rooms a field of their settings.
    Test("xep0313", by("account", "urn:xmpp:mam:2")),
    Test("xep0313muc", offered(offers.room, "urn:xmpp:mam:2 muc#roomconfig_enablearchiving")),
    Test("xep0352", by("stream", "urn:xmpp:csi:0")),
    Test("xep0357", by("account", "urn:xmpp:push:0")),
    Test("xep0363", offered(offers.service, uploads.HTTP_UPLOAD)),
    Test("xep0368", direct_tls),
    Test("xep0384", omemo),
    Test("xep0398", by("account", "urn:xmpp:pep-vcard-conversion:0")),
    Test("xep0411", by("account", "urn:xmpp:bookmarks-conversion:0")),
    Test("abuse-contact", offered(offers.contact, "abuse-addresses"), counts=False),
    Test("xep0077", registration, counts=False),
    Test("xep0156", alternatives, counts=False),
    Test("xep0363_cors", upload_cors, counts=False),
)


def verdict(passed: Sequence[Test], failed: Sequence[Test], untold: Sequence[tuple[Test, str]]) -> str:
    """Return the result in the tester's way: the share of the tests that count, and which others fail."""
    counted = sum(test.counts for test in passed)
    number = counted + sum(test.counts for test in failed) + sum(test.counts for test, _why in untold)
    others = len(passed) - counted
    of_others = len(passed) + len(failed) + len(untold) - number
    text = f"tests: {counted} of {number} ({100 * counted // max(1, number)} %), and {others} of {of_others} that do not count"
    if failed:
        text += f"; fails: {', '.join(test.name for test in failed)}"
    if untold:
        text += f"; cannot be told: {', '.join(test.name for test, _why in untold)} ({untold[0][1]})"
    return text


@probe("compliance")
def compliance(subject: Subject, _argument: str) -> str:
    """Make all tests, and say which fail; from elsewhere, those that need no account."""
    passed: list[Test] = []
    failed: list[Test] = []
    untold: list[tuple[Test, str]] = []
    for test in TESTS:
        try:
            test.ask(subject, "")
            passed.append(test)
        except (Broken, Weakened):
            failed.append(test)
        except Unknown as error:
            untold.append((test, str(error)))
    if not passed and not failed:
        raise Unknown(untold[0][1])
    if subject.outside:
        text = f"tests without an account: {len(passed) + len(failed)} of {len(TESTS)}"
        text += "".join(
            f"; {word}: {', '.join(test.name for test in tests)}"
            for word, tests in (("passes", passed), ("fails", failed))
            if tests
        )
    else:
        text = verdict(passed, failed, untold)
    # It trusts the authorities of Java, and logs in nowhere else.
    if subject.promises.get("authority") == "private":
        return f"it does not log in: its authority is private (without that, {text})"
    try:
        trusted(subject, "xmpp-client")
    except Broken:
        return f"it does not log in: the certificate is not valid (without that, {text})"
    except Unknown:
        pass
    return text
