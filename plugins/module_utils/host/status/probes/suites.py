# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Levels of the XMPP Compliance Suites 2023 (XEP-0479), by what other probes have asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import offers
from .base import Ask, Broken, Subject, Unknown, answer, probe


def by(name: str, argument: str = "") -> Ask:
    """Return what asks a probe of a promise."""
    return lambda subject, _argument: answer(subject, name, argument)


def offered(look: Ask, argument: str = "") -> Ask:
    """Return what looks for something that the running Prosody offers."""
    return lambda subject, _argument: look(subject, argument)


@dataclass(frozen=True)
class Row:
    """What a category asks of a server: a specification, what looks for it, and whether the advanced level alone asks for it."""

    name: str
    asks: Sequence[Ask]
    advanced: bool = False
    # What is to be said beside its name where it is met.
    note: str = ""


def _encrypted(subject: Subject, _argument: str) -> str:
    streams = [kind for kind in ("client", "server") if kind in subject.promises["services"]]
    return "; ".join(answer(subject, "encrypted", f"jabber:{kind}") for kind in streams)


def _component(kind: str, probe_name: str, argument: str) -> Ask:
    def ask(subject: Subject, _argument: str) -> str:
        if kind not in subject.domain.get("components", {}):
            raise Broken(f"{subject.name} has no component {kind}")
        return answer(subject, probe_name, argument)

    return ask


SM, MAM = by("stream", "urn:xmpp:sm:3"), "urn:xmpp:mam:2"
ROOMS = _component("muc", "component", "muc http://jabber.org/protocol/muc")
PUBLISH_OPTIONS = by("account", "http://jabber.org/protocol/pubsub#publish-options")
# Its rows for servers. What is said by clients alone (XEP-0249) a server carries, and need not know.
CATEGORIES: Mapping[str, Sequence[Row]] = {
    "core": (
        Row("RFC 6120", [by("scram"), offers.binds]),
        Row("RFC 7590", [_encrypted]),
        Row("XEP-0030", [by("server", "http://jabber.org/protocol/disco#info")]),
        Row("XEP-0114", [offers.components], note="{}"),
        Row("XEP-0368", [by("direct_tls", "jabber:client")], advanced=True),
        Row("XEP-0115", [by("capabilities")], advanced=True),
        Row("XEP-0163", [by("identity", "pubsub/pep")], advanced=True),
    ),
    "web": (Row("RFC 7395", [by("websocket")]), Row("XEP-0206", [by("bosh")])),
    "im": (
        Row("RFC 6121", [offered(offers.modules, "roster presence message")]),
        Row("XEP-0054", [by("server", "vcard-temp")]),
        Row("XEP-0280", [by("server", "urn:xmpp:carbons:2")]),
        Row("XEP-0045", [ROOMS]),
        Row("XEP-0249", [offered(offers.modules, "message")], note="messages that it carries"),
        Row("XEP-0363", [_component("upload", "upload", "urn:xmpp:http:upload:0")]),
        Row("XEP-0398", [by("account", "urn:xmpp:pep-vcard-conversion:0")], advanced=True),
        # The picture is in the vCard, and its hash is put into presence by what converts it.
        Row("XEP-0153", [by("server", "vcard-temp"), by("account", "urn:xmpp:pep-vcard-conversion:0")], advanced=True),
        Row("XEP-0191", [by("server", "urn:xmpp:blocking")], advanced=True),
        Row("XEP-0048", [by("account", "urn:xmpp:bookmarks:1#compat-pep")], advanced=True),
        Row("XEP-0313", [by("account", MAM)], advanced=True),
        Row("XEP-0313 in rooms", [offered(offers.room, MAM)], advanced=True),
        Row("XEP-0402", [by("account", "urn:xmpp:bookmarks:1#compat")], advanced=True),
        Row("XEP-0410", [offered(offers.room, "http://jabber.org/protocol/muc#self-ping-optimization")], advanced=True),
        Row("XEP-0223", [by("identity", "pubsub/pep"), PUBLISH_OPTIONS], advanced=True),
        Row("XEP-0049", [by("server", "jabber:iq:private")], advanced=True),
        Row("XEP-0198", [SM], advanced=True),
    ),
    "mobile": (
        Row("XEP-0198", [SM]),
        Row("XEP-0352", [by("stream", "urn:xmpp:csi:0")]),
        Row("XEP-0357", [by("account", "urn:xmpp:push:0")], advanced=True),
    ),
    "calls": (Row("XEP-0215", [by("server", "urn:xmpp:extdisco:2")]),),
}


def level(subject: Subject, rows: Sequence[Row]) -> str:
    """Return which level is reached, and what is missing. Raises Unknown where that cannot be told."""
    met: list[str] = []
    missing: dict[bool, list[str]] = {False: [], True: []}
    untold: dict[bool, list[str]] = {False: [], True: []}
    why: dict[bool, str] = {}
    for row in rows:
        try:
            told = [ask(subject, "") for ask in row.asks]
            met.append(f"{row.name} ({row.note.format(*told)})" if row.note else row.name)
        except Broken:
            missing[row.advanced].append(row.name)
        except Unknown as error:
            untold[row.advanced].append(row.name)
            why.setdefault(row.advanced, str(error))
    # What is missing for the lower level is missing, whatever else cannot be told.
    if missing[False]:
        return f"not reached; missing: {', '.join([*missing[False], *missing[True]])}"
    if untold[False]:
        more = len(untold[False]) + len(untold[True]) - 1
        raise Unknown(f"{untold[False][0]}{f' and {more} more' if more else ''}: {why[False]}")
    if missing[True]:
        return f"Server; missing for Advanced Server: {', '.join(missing[True])}"
    if untold[True]:
        return f"Server; cannot be told for Advanced Server: {', '.join(untold[True])} ({why[True]})"
    return f"Advanced Server: {', '.join(met)}"


@probe("category", outside=False)
@probe("category_by_network")
def category(subject: Subject, argument: str) -> str:
    """See which level of a category is reached; of some, the network shows enough."""
    return level(subject, CATEGORIES[argument])
