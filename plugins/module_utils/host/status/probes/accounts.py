# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of accounts: how one logs in, and how passwords are stored."""

from __future__ import annotations

import re
import ssl

from ... import tls, words
from . import discovery, encryption, machine
from .base import Broken, Subject, Unknown, Weakened, probe

WEAK = {"PLAIN", "LOGIN", "DIGEST-MD5", "CRAM-MD5", "ANONYMOUS", "OAUTHBEARER", "X-OAUTH2"}
HASHED = {"internal_hashed", "hashed_by_rules"}


def offered(subject: Subject, newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> str:
    """Return the features that a client is offered after TLS, by one that knows no newer version of it than said."""

    def ask() -> str:
        number = subject.port("xmpp-client")
        address = subject.promises.get("addresses", {}).get("xmpp-client") or encryption.address_of(subject)
        seconds = subject.seconds(encryption.SECONDS)
        context = tls.trusting()
        context.maximum_version = newest
        try:
            with tls.connected(
                address, number, subject.name, context, "jabber:client", seconds, insist=False
            ) as inside:
                return tls.features(inside, subject.name, "jabber:client").decode(errors="replace")
        except (tls.TlsError, OSError) as error:
            raise Unknown(f"port {number}: {error}") from error

    found: str = subject.evidence.once(("offered", subject.name, newest), ask)
    return found


def mechanisms(subject: Subject, newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> tuple[str, ...]:
    """Return the mechanisms among them."""
    text = offered(subject, newest)
    found = tuple(dict.fromkeys(re.findall(r"<mechanism[^>]*>([A-Z0-9_-]{1,40})</mechanism>", text)))
    if not found:
        raise Unknown("no mechanism is offered after TLS")
    return found


@probe("scram")
def scram(subject: Subject, _argument: str) -> str:
    """See that SCRAM is offered."""
    found = mechanisms(subject)
    if not any(re.fullmatch(r"SCRAM-SHA-(1|256|512)", name) for name in found):
        raise Broken(f"no SCRAM is offered: {', '.join(found)}")
    return ", ".join(found)


@probe("plain_mechanisms")
def plain_mechanisms(subject: Subject, _argument: str) -> str:
    """See that no mechanism is offered that gives the password away."""
    found = mechanisms(subject)
    if weak := [name for name in found if name in WEAK]:
        raise Broken(f"{', '.join(weak)} {'is' if len(weak) == 1 else 'are'} offered")
    return f"only {', '.join(found)}"


@probe("channel_binding")
def channel_binding(subject: Subject, _argument: str) -> str:
    """See that a login can be bound to its connection."""
    all_of = mechanisms(subject)
    if found := [name for name in all_of if name.endswith("-PLUS")]:
        return ", ".join(found)
    # Prosody of Debian 12 knows no binding to TLS 1.3.
    try:
        if older := [name for name in mechanisms(subject, ssl.TLSVersion.TLSv1_2) if name.endswith("-PLUS")]:
            raise Weakened(f"{', '.join(older)}, but by TLS 1.2 alone")
    except Unknown as error:
        if not subject.outside and machine.release().get("VERSION_ID") == "12":
            raise Weakened("none: Prosody of Debian 12 has it by TLS 1.2 alone, which is switched off") from error
    raise Broken(f"none with -PLUS is offered: {', '.join(all_of)}")


@probe("hashed_passwords", outside=False)
def hashed_passwords(subject: Subject, _argument: str) -> str:
    """See by what the running server stores passwords, and that none is there as it is."""
    found = discovery.of_host(subject, subject.name)
    by = found.get("authentication") or "nothing"
    if by not in HASHED:
        raise Broken(f"accounts are authenticated by {by}, which may store passwords as they are")
    plain = found.get("plain_passwords")
    if plain is None:
        return f"by {by}"
    if plain:
        raise Broken(f"{words.count(plain, 'account')} with a password that is stored as it is")
    return f"by {by}; none is stored as it is"
