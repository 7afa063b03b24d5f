# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of names: DNSSEC from the root down, and the records CDS, CDNSKEY, SRV, TLSA and CAA."""

from __future__ import annotations

import datetime
import glob
import re
import time
from typing import TYPE_CHECKING

from ... import files, tls, words
from . import encryption
from .base import Broken, Subject, Unknown, Weakened, probe

if TYPE_CHECKING:
    from ... import dns

# What BIND notes of each key. It does what is due with the next work on its keys.
KEY_STATES = "/var/lib/bind/keys/K{zone}+*.state"
LATE_SECONDS = 6 * 3600
SRV = {
    "client": ("xmpp-client", "xmpps-client"),
    "server": ("xmpp-server", "xmpps-server"),
}


def server_of(subject: Subject) -> str:
    """Return the host's own name server where it has the zone, and else nothing, which is the resolver."""
    own = "dns" in subject.promises["services"] and not subject.outside
    return str(subject.config["dns_server"]) if own else ""


def asked(subject: Subject, name: str, kind: str) -> dns.Answer:
    """Return the records of a name."""
    try:
        from ... import dns
    except ImportError as error:
        raise Unknown(f"this machine lacks a library: {error}") from error
    server = server_of(subject)

    def ask() -> dns.Answer:
        try:
            return dns.ask(server, name, kind, recurse=not server, seconds=subject.seconds(2), tries=2)
        except dns.DnsError as error:
            raise Unknown(str(error)) from error

    found: dns.Answer = subject.evidence.once(("records", server, name, kind), ask)
    return found


def targets(subject: Subject, service: str) -> list[tuple[str, int]]:
    """Return targets and ports of a service of the domain."""
    answer = asked(subject, f"_{service}._tcp.{subject.name}", "SRV")
    fields = [text.split() for text in answer.texts]
    return [(field[3].rstrip("."), int(field[2])) for field in fields if field[3] != "."]


@probe("dnssec")
def dnssec(subject: Subject, _argument: str) -> str:
    """Follow the signatures of the domain's records to the root."""
    try:
        import dns.name

        from ... import dns as ground
        from ... import dnssec as chains
    except ImportError as error:
        raise Unknown(f"this machine lacks a library: {error}") from error
    domain = dns.name.from_text(subject.name)
    server = server_of(subject)
    elsewhere = not server and not subject.outside
    try:
        resolver = chains.fetcher("", subject.evidence.end)
        own = chains.fetcher(server, subject.evidence.end, recurse=False) if server else resolver
        zone = chains.zone_of(own, domain)
        keys = chains.zone_keys(own, zone)
        for label in ("_xmpp-client._tcp", "_xmpp-server._tcp"):
            chains.check_records(own, zone, dns.name.from_text(f"{label}.{subject.name}"), "SRV", keys)
    except chains.Insecure as error:
        raise (Weakened if elsewhere else Broken)(f"{error}{', and kept elsewhere' if elsewhere else ''}") from error
    except chains.Bogus as error:
        raise Broken(str(error)) from error
    except ground.DnsError as error:
        raise Unknown(str(error)) from error
    try:
        way = chains.climb(resolver, zone, keys)
        # A resolver that validates has its own anchor, and says so where it is not told to leave that to us.
        anchored = ground.ask("", ".", "SOA", signatures=True, seconds=subject.seconds(2)).validated
        anchored = anchored or chains.root_is_known(resolver(dns.name.root, "DNSKEY"))
    except chains.Insecure as error:
        raise Weakened(f"signed, but {error}") from error
    except chains.Bogus as error:
        raise Broken(str(error)) from error
    except ground.DnsError as error:
        raise Unknown(f"{zone} is signed; {error}") from error
    if not anchored:
        raise Unknown("the keys of the root are not those that Debian knows")
    return f"signed from the root down: {' '.join(reversed(way))}"


def publishes_later(zone: str) -> float | None:
    """Return when BIND begins to publish CDS and CDNSKEY of a zone that is signed anew, by what it notes of its keys."""
    moments = []
    for path in glob.glob(KEY_STATES.format(zone=glob.escape(zone))):
        if found := re.search(r"^PublishCDS: (\d{14}) ", files.read_text(path), re.MULTILINE):
            moment = datetime.datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=datetime.UTC)
            moments.append(moment.timestamp())
    return min(moments) if moments and min(moments) + LATE_SECONDS > time.time() else None


@probe("cds")
def cds(subject: Subject, _argument: str) -> str:
    """Compare the keys that the zone asks the zone above to trust with those that it has."""
    try:
        import dns.name

        from ... import dns as ground
        from ... import dnssec as chains
    except ImportError as error:
        raise Unknown(f"this machine lacks a library: {error}") from error
    server = server_of(subject)
    try:
        fetch = chains.fetcher(server, subject.evidence.end, recurse=not server)
        zone = chains.zone_of(fetch, dns.name.from_text(subject.name))
        keys = chains.zone_keys(fetch, zone)
    except (chains.Insecure, chains.Bogus, ground.DnsError) as error:
        # Promise dnssec is broken then.
        raise Unknown(str(error)) from error
    try:
        tags = chains.named_keys(fetch, zone, keys)
    except chains.Insecure as error:
        if server and (moment := publishes_later(zone.to_text())):
            raise Weakened(
                f"{error} yet: the zone was signed lately, and BIND publishes them {words.utc(moment)}"
            ) from error
        if not server:
            # Only the host itself knows whether it is too early for them.
            raise Weakened(f"{error}, as in its first day, or with a zone above that asks for none") from error
        raise Broken(str(error)) from error
    except chains.Bogus as error:
        raise Broken(str(error)) from error
    except ground.DnsError as error:
        raise Unknown(str(error)) from error
    return f"both name key {', '.join(map(str, tags))} of {zone}"


@probe("srv")
def srv(subject: Subject, _argument: str) -> str:
    """See that each service is found at its port."""
    found = []
    for service, labels in SRV.items():
        if service not in subject.promises["services"]:
            continue
        for label in labels:
            number = subject.promises["ports"].get(label)
            if number is None:
                continue
            places = targets(subject, label)
            if not places:
                raise Broken(f"_{label}._tcp.{subject.name} has no SRV record")
            if all(port != number for _target, port in places):
                raise Broken(f"_{label}._tcp.{subject.name} leads to port {places[0][1]} and not to {number}")
            found.append(label)
    if "server" in subject.promises["services"]:
        for kind, name in sorted(subject.domain.get("components", {}).items()):
            if kind in ("muc", "search") and not asked(subject, f"_xmpp-server._tcp.{name}", "SRV").records:
                raise Broken(f"_xmpp-server._tcp.{name} has no SRV record")
    return f"{', '.join(found)} of {subject.name}"


def is_ours(subject: Subject, host: str) -> bool:
    """Tell whether a name is below one of the host's domains."""
    return any(f".{host}".endswith(f".{domain['domain']}") for domain in subject.promises["domains"])


@probe("tlsa")
def tlsa(subject: Subject, _argument: str) -> str:
    """Compare the keys of the certificates with those in the zone."""
    try:
        import ssl

        from ... import x509
    except ImportError as error:
        raise Unknown(f"this machine lacks a library: {error}") from error
    fitting, silent, theirs = [], [], []
    known = subject.promises["ports"]
    labels = {known.get(label): label for labels in SRV.values() for label in labels}
    for port in subject.config["ports"]:
        number = port["port"]
        if number in labels:
            places = targets(subject, labels[number])
            hosts = sorted({target for target, place in places if place == number})
            if not places and subject.outside:
                # Whoever has no SRV records is found at the domain itself.
                hosts = [subject.name]
        elif number == known.get("https"):
            hosts = [subject.web]
        else:
            # Nobody looks for one at a relay for calls.
            continue
        # What is in the zone of others is theirs to sign.
        theirs += [host for host in hosts if not subject.outside and not is_ours(subject, host)]
        hosts = [host for host in hosts if host not in theirs]
        if not hosts:
            continue
        name = encryption.port_name(subject, port)
        try:
            pem = ssl.DER_cert_to_PEM_cert(encryption.presented(subject, port, name, tls.trusting())[0])
        except tls.TlsError as error:
            silent.append(f"port {number}: {error}")
            continue
        pin = x509.look(pem).pin
        for host in hosts:
            answer = asked(subject, f"_{number}._tcp.{host}", "TLSA")
            pins = ["".join(text.split()[3:]).lower() for text in answer.texts if text.startswith("3 1 1 ")]
            if not pins:
                raise Broken(f"_{number}._tcp.{host} has no TLSA record 3 1 1")
            if pin not in pins:
                raise Broken(f"_{number}._tcp.{host}: no TLSA record fits the key of the certificate")
            fitting.append(number)
    if not fitting and theirs and not silent:
        raise Weakened(f"{', '.join(sorted(set(theirs)))}: in a zone of others")
    if not fitting:
        raise Unknown(silent[0] if silent else "there is no TLS port")
    return f"each fits, at ports {', '.join(map(str, sorted(set(fitting))))}"


@probe("caa")
def caa(subject: Subject, _argument: str) -> str:
    """See which authorities may issue certificates."""
    found = [text.split(None, 2) for text in asked(subject, subject.name, "CAA").texts]
    issuers = sorted({value.strip('"').split(";")[0].strip() for _flags, tag, value in found if tag == "issue"})
    if not issuers:
        raise Broken(f"{subject.name} has no CAA record of kind issue: any authority may issue")
    wanted = {name.lower() for name in subject.promises.get("authorities", [])}
    if subject.promises.get("authorities") is not None and {name.lower() for name in issuers if name} != wanted:
        raise Broken(
            f"CAA names {', '.join(filter(None, issuers)) or 'none'}, and not {', '.join(sorted(wanted)) or 'none'}"
        )
    return f"only {', '.join(filter(None, issuers))}" if any(issuers) else "no public authority"
