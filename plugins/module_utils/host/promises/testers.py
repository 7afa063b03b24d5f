# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What public testers would say, by their published rules, of what the probes find.

These are no promises: whatever they say, the promises behind them are kept or broken. Testers whose rules ask for more than
the probes do are in LEFT_OUT.
"""

from __future__ import annotations

from collections.abc import Sequence

from .kinds import Promise

COMPLIANCE = "https://xmpp.org/extensions/xep-0479.html"


def _category(name: str, en: str, de: str, argument: str, asked: str, when: str) -> Promise:
    return Promise(
        id=f"xep-0479-{name}",
        topic="testers",
        en=f"XMPP Compliance Suites 2023, what category {en} asks of a server beside Core.",
        de=f"XMPP Compliance Suites 2023, was die Kategorie {de} neben Core von einem Server verlangt.",
        source=COMPLIANCE,
        probe="category",
        argument=argument,
        when=when,
        asked=asked,
        right="level Server or Advanced Server",
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
    _category("web", "Web", "Web", "web", "websocket and bosh", "bosh"),
    _category("mobile", "Mobile", "Mobile", "mobile", "xep-0198, xep-0352 and xep-0357", "clients"),
    _category(
        "calls",
        "A/V Calling",
        "A/V Calling",
        "calls",
        "service discovery of the domain: urn:xmpp:extdisco:2",
        "clients",
    ),
)

# Tester, and why nothing is told in its words.
LEFT_OUT: Sequence[tuple[str, str]] = (
    (
        "XEP-0479, categories Core and IM",
        "Core asks for components from outside (XEP-0114), IM for vCards and invitations to rooms (XEP-0054, XEP-0249), for "
        "which there are no probes",
    ),
    (
        "Conversations Compliance Tester",
        "it logs in with an account of its own and looks at a room and at published data, too; of its tests, those that are "
        "promises here are probed as promises",
    ),
)
