# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of extensions: by what the running server tells its own accounts, and by use where anybody may use them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from ... import words
from . import discovery, encryption
from .base import Broken, Subject, probe

SOCKS = 5


def there(found: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what a host of the running Prosody told, where there is such a host."""
    if found.get("missing"):
        raise Broken(f"the running Prosody has no host {name}")
    return found


def _among(features: list[str], wanted: str, name: str) -> str:
    if wanted not in features:
        raise Broken(f"{name}: {wanted} is not among {words.count(len(features), 'feature')}")
    return f"{wanted}, among {words.count(len(features), 'feature')}"


@probe("server", outside=False)
def server(subject: Subject, wanted: str) -> str:
    """Look for a feature of the domain."""
    found = there(discovery.of_host(subject, subject.name), subject.name)
    return _among(found["server"]["features"], wanted, subject.name)


@probe("account", outside=False)
def account(subject: Subject, wanted: str) -> str:
    """Look for a feature of an account."""
    found = there(discovery.of_host(subject, subject.name), subject.name)
    return _among(found["account"]["features"], wanted, f"an account of {subject.name}")


@probe("identity", outside=False)
def identity(subject: Subject, wanted: str) -> str:
    """Look for an identity of an account."""
    found = there(discovery.of_host(subject, subject.name), subject.name)
    known = [f"{category}/{kind}" for category, kind, *_rest in found["account"]["identities"]]
    if wanted not in known:
        raise Broken(f"an account of {subject.name} is {', '.join(known) or 'nothing'}, and not {wanted}")
    return wanted


@probe("stream", outside=False)
def stream(subject: Subject, wanted: str) -> str:
    """Look for a feature of a stream after the login."""
    found = there(discovery.of_host(subject, subject.name), subject.name)
    names = found["stream"]
    if wanted not in names:
        raise Broken(f"a stream of {subject.name} does not offer {wanted} after the login")
    return f"{wanted}, among {words.count(len(names), 'feature')} of the stream"


@probe("component", outside=False)
def component(subject: Subject, argument: str) -> str:
    """Look for a feature of a component."""
    kind, _, wanted = argument.partition(" ")
    name = subject.domain["components"][kind]
    found = there(discovery.of_host(subject, name), name)
    return _among(found["server"]["features"], wanted, name)


@probe("proxy", outside=False)
def proxy(subject: Subject, _argument: str) -> str:
    """Ask the proxy for what it is, and greet its port as a client does (RFC 1928)."""
    text = component(subject, "proxy http://jabber.org/protocol/bytestreams")
    number = subject.port("proxy65")
    with encryption.opened(subject, encryption.address_of(subject), number) as connection:
        try:
            connection.sendall(bytes([SOCKS, 1, 0]))
            answer = connection.recv(2)
        except OSError as error:
            raise Broken(f"port {number} does not answer a greeting of SOCKS 5: {error}") from error
    if answer != bytes([SOCKS, 0]):
        raise Broken(f"port {number} answers a greeting of SOCKS 5 with {answer.hex() or 'nothing'}")
    return f"{text}; port {number} is open for clients"


def verification(told: dict[str, Any]) -> str:
    """Return the hash of what a service says of itself (XEP-0115, section 5.1)."""
    parts = sorted("/".join(identity) for identity in told["identities"])
    parts += sorted(told["features"])
    forms = []
    for form in told["forms"]:
        fields = {name: values for name, values in form}
        kind = "".join(fields.pop("FORM_TYPE", [])[:1])
        forms.append((kind, [text for name in sorted(fields) for text in (name, *sorted(fields[name]))]))
    for kind, texts in sorted(forms):
        parts += [kind, *texts]
    text = "".join(f"{part}<" for part in parts)
    return base64.b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode()


@probe("capabilities", outside=False)
def capabilities(subject: Subject, _argument: str) -> str:
    """See that the stream has the hash of what the server says of itself."""
    found = there(discovery.of_host(subject, subject.name), subject.name)
    caps = found.get("caps")
    if not caps:
        raise Broken(f"a stream of {subject.name} has no capabilities")
    if caps.get("hash") != "sha-1" or not caps.get("ver"):
        raise Broken(f"the capabilities of {subject.name} have a hash that is {caps.get('hash') or 'missing'}")
    own = verification(found["server"])
    if own != caps["ver"]:
        raise Broken(f"the hash of {subject.name} is {caps['ver']}, and that of its features {own}")
    return f"{own} is the hash of its features"
