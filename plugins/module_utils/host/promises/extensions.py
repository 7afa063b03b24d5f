# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extensions that a host promises, each with what shows it.

Probes `server`, `account`, `stream` and `component` look for a feature (XEP-0030) in what the running server answers
to an account of its own, without one being made.
"""

from __future__ import annotations

from .kinds import Promise

MODULE = "prosody-check-modules; run the playbook"


def _found(
    xep: str,
    en: str,
    de: str,
    probe: str,
    argument: str,
    asked: str,
    when: str = "clients",
    mend: str = MODULE,
    right: str = "",
) -> Promise:
    number = int(xep)
    return Promise(
        id=f"xep-{xep}",
        topic="extensions",
        en=f"{en} (XEP-{xep}).",
        de=f"{de} (XEP-{xep}).",
        source=f"https://xmpp.org/extensions/xep-{number:04}.html",
        probe=probe,
        argument=argument,
        when=when,
        asked=asked,
        right=right or (f"{argument} is there" if argument else "as the extension says"),
        mend=mend,
    )


SERVER = "service discovery of the domain"
ACCOUNT = "service discovery of an account, as its owner"
STREAM = "features of a stream after the login"
UPLOAD = "service discovery of the component, a slot, and 64 bytes there and back, which are removed"

EXTENSIONS: tuple[Promise, ...] = (
    _found(
        *("0033", "One message to several addresses", "Eine Nachricht an mehrere Adressen"),
        *("server", "http://jabber.org/protocol/address", SERVER),
    ),
    _found(
        *("0045", "Rooms for groups", "Räume für Gruppen"),
        *("component", "muc http://jabber.org/protocol/muc", "service discovery of the rooms' component"),
        when="rooms",
    ),
    _found(
        *("0055", "Finding people who want to be found", "Leute finden, die gefunden werden wollen"),
        *("component", "search jabber:iq:search", "service discovery of the directory's component"),
        when="search",
    ),
    _found(
        *("0065", "File transfer by a proxy", "Dateiübertragung über einen Proxy"),
        *("proxy", "", "service discovery of the proxy, and a greeting of SOCKS 5 at its port"),
        when="proxy",
    ),
    _found(
        *("0115", "Capabilities without questions", "Fähigkeiten ohne Rückfragen"),
        *("capabilities", "", f"{STREAM}, and the hash of what {SERVER} answers"),
    ),
    _found(
        *("0124", "XMPP by HTTP", "XMPP über HTTP"),
        *("bosh", "", "POST of a first body, and of the one that ends the session"),
        when="bosh",
        mend="nginx -t; journalctl -u prosody --grep bosh",
    ),
    _found(
        *("0156", "Clients find the addresses for the web", "Clients finden die Adressen für das Web"),
        *("host_meta", "", "GET /.well-known/host-meta and host-meta.json"),
        when="bosh",
        mend="nginx -t; ansible-playbook -i INVENTORY magicbroccoli.xmpp.website",
    ),
    _found(
        *("0163", "Avatars, keys and moods for contacts", "Avatare, Schlüssel und Stimmungen für Kontakte"),
        *("identity", "pubsub/pep", ACCOUNT),
    ),
    _found(
        *("0191", "Blocking of contacts", "Kontakte sperren"),
        *("server", "urn:xmpp:blocking", SERVER),
    ),
    _found(
        *("0198", "Sessions that survive a cut", "Sitzungen überleben einen Abbruch"),
        *("stream", "urn:xmpp:sm:3", STREAM),
    ),
    _found(
        *("0237", "Rosters are sent when they have changed", "Kontaktlisten kommen nur, wenn sie sich geändert haben"),
        *("stream", "urn:xmpp:features:rosterver", STREAM),
    ),
    _found(
        *("0280", "All devices see all messages", "Alle Geräte sehen alle Nachrichten"),
        *("server", "urn:xmpp:carbons:2", SERVER),
    ),
    _found(
        *("0313", "An archive of messages", "Ein Archiv der Nachrichten"),
        *("account", "urn:xmpp:mam:2", ACCOUNT),
    ),
    _found(
        *("0352", "Phones are left in peace", "Telefone haben ihre Ruhe"),
        *("stream", "urn:xmpp:csi:0", STREAM),
    ),
    _found(
        *("0357", "Push for sleeping phones", "Push für schlafende Telefone"),
        *("account", "urn:xmpp:push:0", ACCOUNT),
        when="push",
    ),
    _found(
        *("0363", "Upload of files", "Hochladen von Dateien"),
        *("upload", "urn:xmpp:http:upload:0", UPLOAD),
        when="uploads",
        right="urn:xmpp:http:upload:0 is there, and the file that comes back is the one that was sent",
        mend="nginx -t; journalctl -u prosody --grep upload",
    ),
    _found(
        *("0368", "Clients connect by TLS from the first byte", "Clients verbinden sich vom ersten Byte an mit TLS"),
        *("direct_tls", "jabber:client", "a stream within TLS at the port of xmpps-client"),
    ),
)
