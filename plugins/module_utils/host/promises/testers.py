# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What public testers would say, by their published rules, of what the probes find.

These are no promises: whatever they say, the promises behind them are kept or broken.
"""

from __future__ import annotations

from .kinds import Promise

COMPLIANCE = "https://xmpp.org/extensions/xep-0479.html"
BESIDE = (" beside Core", " neben Core")


def _category(
    name: str,
    category: str,
    asked: str,
    when: str,
    *,
    probe: str = "category",
    beside: tuple[str, str] = BESIDE,
    more: str = "",
) -> Promise:
    return Promise(
        id=f"xep-0479-{name}",
        topic="testers",
        en=f"XMPP Compliance Suites 2023, what category {category} asks of a server{beside[0]}.",
        de=f"XMPP Compliance Suites 2023, was die Kategorie {category}{beside[1]} von einem Server verlangt.",
        source=COMPLIANCE,
        probe=probe,
        argument=name,
        when=when,
        asked=asked,
        right=f"level Server or Advanced Server{more}",
        mend="xmpp-status --explain names what is missing",
    )


TESTERS: tuple[Promise, ...] = (
    Promise(
        id="im-observatory",
        topic="testers",
        en="IM Observatory, grade of the port of clients and of that of servers.",
        de="IM Observatory, Note des Ports für Clients und des Ports für Server.",
        source="https://github.com/xmpp-observatory/xmppoke",
        probe="grades",
        argument="IM Observatory",
        when="tls",
        asked="versions, suites and compression up to TLS 1.2, the key, the chain and the name of the certificate",
        right="A to F by its rules of 2019, in which TLS 1.3 does not occur",
        mend="promises of encryption name what is wrong",
    ),
    Promise(
        id="cryptcheck",
        topic="testers",
        en="CryptCheck, grade of the port of clients and of that of servers.",
        de="CryptCheck, Note des Ports für Clients und des Ports für Server.",
        source="https://github.com/aeris/cryptcheck",
        probe="grades",
        argument="CryptCheck",
        when="tls",
        asked="versions, suites, the refusal of a fallback (RFC 7507), the key, the chain and the server's name in the certificate",
        right="A+ to G by its rules of 2024; T without trust, V for another name. Its site need not run what is published",
        mend="promises of encryption name what is wrong; where it is V, certificates_names lacks the server's name",
    ),
    _category(
        "core",
        "Core",
        "streams before and after TLS and after a login, service discovery, and the modules of the running Prosody",
        "clients",
        probe="category_by_network",
        beside=("", ""),
        more="; a module of its software suffices for XEP-0114, whether or not it is in use",
    ),
    _category("web", "Web", "websocket and bosh", "bosh", probe="category_by_network"),
    _category(
        "im",
        "IM",
        "service discovery of the domain, of an account and of a new room, xep-0363, and the modules of the running Prosody",
        "clients",
    ),
    _category("mobile", "Mobile", "xep-0198, xep-0352 and xep-0357", "clients"),
    _category("calls", "A/V Calling", "service discovery of the domain: urn:xmpp:extdisco:2", "clients"),
    Promise(
        id="conversations-compliance",
        topic="testers",
        en="Conversations Compliance Tester, how many of its 25 tests pass.",
        de="Conversations Compliance Tester, wie viele seiner 25 Tests bestanden sind.",
        source="https://github.com/iNPUTmice/caas",
        probe="compliance",
        when="clients",
        asked="what its tests of 2021 look for: features of the domain, an account, a stream and a new room, relays, and the web front",
        right="21 tests that count, and 4 that do not; it publishes a node for xep0384, whose features alone are asked for here",
        mend="xmpp-status --explain names what fails",
    ),
)
