# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What checks are made of, and those of names and addresses. Each returns the value or raises ValueError with what would be right."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Mapping, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import addresses
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.services import SERVICES

COMPONENTS = ("muc", "upload", "proxy", "search")
DOMAIN_KEYS = ("domain", "components", "admins", "web")
# Of users and groups (adduser(8)).
SYSTEM_NAME = r"[a-z_][a-z0-9_-]{0,31}"
_DOMAIN_HINT = "write letters, digits and hyphens between dots, for example 'example.org' (RFC 1123)"


def form(plural=None, example=None):
    """Makes a check a format, by whose name a role's meta/checks.yml asks for it; in lists, if it says how they are called."""

    def marked(check):
        check.plural, check.example = plural, example
        return check

    return marked


def text(value, what, example):
    """A string that is not empty."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not {what}: it is not a string; write for example '{example}'")
    if not value:
        raise ValueError(f"'' is not {what}: it is empty; write for example '{example}'")
    return value


def one_line(what, example):
    """Makes a check of a text that goes into one line of something."""

    def checked(value):
        text(value, what, example)
        if not value.isprintable():
            raise ValueError(
                f"{str(value)!r} is not {what}: it has a control character; write it in one line, for example '{example}'"
            )
        return str(value)

    return checked


def matching(what, example, pattern, hint):
    """Makes a check of a text that a pattern matches as a whole."""

    def checked(value):
        text(value, what, example)
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{str(value)!r} is not {what}; {hint}")
        return str(value)

    return checked


def optional(check):
    """Makes a check that lets an empty text pass, which stands for none."""
    return lambda value: "" if value == "" else check(value)


def list_of(check, what, example, empty=True):
    """Makes a check of a list out of the check of its items."""

    def checked(value):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(f"{value!r} is not a list of {what}; write for example {example}")
        if not value and not empty:
            raise ValueError(f"[] is not a list of {what}: it is empty; write for example {example}")
        items = [check(item) for item in value]
        for number, item in enumerate(items):
            if item in items[:number]:
                raise ValueError(f"{item!r} appears twice in the list of {what}; write it once")
        return items

    return checked


def nearest(name, names):
    """The name that was probably meant, as the end of a message."""
    close = difflib.get_close_matches(str(name), list(names), 1, 0.6)
    return f"did you mean {close[0]!r}?" if close else f"write one of {', '.join(sorted(names))}"


@form("ports", "[3478]")
def port(value):
    """A TCP or UDP port number."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise ValueError(f"{value!r} is not a port; write a number from 1 to 65535, for example 5222")
    return int(value)


def ttl(value):
    """A time to live (RFC 2181, section 8)."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError(f"{value!r} is not a TTL; write seconds from 0 to {2**31 - 1}, for example 3600 (RFC 2181)")
    return int(value)


@form("domain names", "['example.org', 'conference.example.org']")
def domain_name(value, what="a domain name", example="example.org"):
    """A fully qualified name of at least two labels, lower-case, without a final dot (RFC 1123, section 2.1)."""
    hint = _DOMAIN_HINT.replace("example.org", example)
    text(value, what, example)

    def wrong(reason):
        return ValueError(f"{str(value)!r} is not {what}: {reason}; {hint}")

    for character in value:
        if character.isascii() and (character.islower() or character.isdigit() or character in "-."):
            continue
        if character.isascii() and character.isupper():
            raise wrong(f"{character!r} is not lower-case")
        if not character.isascii() and character.isalpha():
            try:
                write = f"write {addresses.to_ascii(value)!r}"
            except ValueError as error:
                write = str(error)
            raise wrong(f"{character!r} is not ASCII, and this name needs A-labels (RFC 5890): {write}")
        raise wrong(f"{character!r} is not allowed")
    if value.endswith("."):
        raise wrong("it ends in a dot")
    if len(value) > 253:
        raise wrong(f"it has {len(value)} characters, more than 253")
    labels = value.split(".")
    for label in labels:
        if not label:
            raise wrong("it has an empty label: two dots in a row, or a dot at the start")
        if len(label) > 63:
            raise wrong(f"the label {label[:20] + '…'!r} has {len(label)} characters, more than 63")
        if label.startswith("-") or label.endswith("-"):
            raise wrong(f"the label {label!r} begins or ends with a hyphen")
    if len(labels) < 2:
        raise wrong("it has one label only")
    if labels[-1].isdigit():
        raise wrong(f"its last label {labels[-1]!r} is a number, as in an address")
    return str(value)


@form("zones", "['example.org']")
def zone_name(value):
    """The name of a zone: a domain, which in reverse zones may have a slash (RFC 2317)."""
    label = r"[a-z0-9]([a-z0-9/-]{0,61}[a-z0-9])?"
    if isinstance(value, str) and len(value) <= 253 and re.fullmatch(rf"({label}\.)+(in-addr|ip6)\.arpa", value):
        return str(value)
    return domain_name(value)


@form()
def xmpp_domain(value):
    """A domain of XMPP's, with U-labels or A-labels. Returns the latter, by which all but XMPP knows it."""
    text(value, "a domain name", "example.org")
    try:
        ascii_form = addresses.to_ascii(value)
    except ValueError as error:
        raise ValueError(f"{str(value)!r} is not a domain name: {error}; {_DOMAIN_HINT}") from error
    try:
        return domain_name(ascii_form)
    except ValueError as error:
        raise ValueError(str(error).replace(repr(ascii_form), repr(str(value)), 1)) from error


@form("host names", "['rosewood.example.org']")
def host_name(value):
    """The full name of a machine."""
    return domain_name(value, "a full host name", "rosewood.example.org")


def canonical(found):
    """Returns an address or a network as text, the same under every Python: 3.13 writes IPv4-mapped addresses otherwise.

    What a controller of another age writes would be a change on the host, and a restart.
    """
    if isinstance(found, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return f"{canonical(found.network_address)}/{found.prefixlen}"
    if found.version == 6 and found.ipv4_mapped is not None:
        number = int(found) & 0xFFFFFFFF
        return f"::ffff:{number >> 16:x}:{number & 0xFFFF:x}"
    return str(found)


@form("addresses", "['198.51.100.10', '2001:db8::10']")
def ip_address(value):
    """An address that other machines can reach: IPv4 (RFC 791) or IPv6 (RFC 4291)."""
    text(value, "an IP address", "198.51.100.10")
    try:
        address = ipaddress.ip_address(str(value))
    except ValueError:
        address = None
    if address is None or "%" in value:
        raise ValueError(
            f"{str(value)!r} is not an IP address; write for example '198.51.100.10' or '2001:db8::10', without a "
            "prefix length or a zone"
        )
    if address.version == 6 and address.ipv4_mapped:
        raise ValueError(f"{str(value)!r} is an IPv4 address in the form of an IPv6 one; write '{address.ipv4_mapped}'")
    for property_name, reason in (
        ("is_unspecified", "is the unspecified address"),
        ("is_loopback", "is the loopback"),
        ("is_multicast", "is a multicast group"),
        ("is_link_local", "is link-local"),
    ):
        if getattr(address, property_name):
            raise ValueError(
                f"{str(value)!r} {reason}, so that no other machine can reach it; write the host's public address, for "
                "example '198.51.100.10'"
            )
    return canonical(address)


@form("addresses", "['127.0.0.1']")
def local_address(value):
    """An IP address at which a host reaches itself or another one."""
    text(value, "an IP address", "127.0.0.1")
    try:
        return canonical(ipaddress.ip_address(str(value)))
    except ValueError as error:
        raise ValueError(f"{str(value)!r} is not an IP address; write for example '127.0.0.1' or '::1'") from error


# Networks that the world does not route to a host, and what each is for. Those of documentation are of use in a lab.
NOT_PUBLIC = tuple(
    (ipaddress.ip_network(given), what)
    for given, what in (
        ("0.0.0.0/8", "of this network alone (RFC 791)"),
        ("10.0.0.0/8", "private (RFC 1918)"),
        ("100.64.0.0/10", "shared between a provider and its customers (RFC 6598)"),
        ("172.16.0.0/12", "private (RFC 1918)"),
        ("192.0.0.0/24", "reserved for protocols (RFC 6890)"),
        ("192.168.0.0/16", "private (RFC 1918)"),
        ("198.18.0.0/15", "for measurements (RFC 2544)"),
        ("240.0.0.0/4", "reserved (RFC 1112)"),
        ("64:ff9b::/96", "an IPv4 address behind NAT64 (RFC 6052)"),
        ("64:ff9b:1::/48", "an IPv4 address behind NAT64 (RFC 8215)"),
        ("100::/64", "for packets that are discarded (RFC 6666)"),
        ("fc00::/7", "private (RFC 4193)"),
        ("fec0::/10", "private (RFC 3879)"),
    )
)


def public_addresses(value, private=False):
    """Addresses to be published: the world must reach them, unless the operator says that they are meant as they are."""
    found = list_of(ip_address, "addresses", "['198.51.100.10', '2001:db8::10']", empty=False)(value)
    meant = str(private).lower() in ("true", "yes", "on", "1")
    for item in found if not meant else ():
        address = ipaddress.ip_address(item)
        for network_, what in NOT_PUBLIC:
            if address.version == network_.version and address in network_:
                raise ValueError(
                    f"{item!r} is {what}, so that the world cannot reach it, and would be published in the DNS; write the public "
                    "addresses that lead to this host, for example xmpp_addresses: ['198.51.100.10'], or "
                    "xmpp_private_addresses: true if all who use it are in its network"
                )
    return found


@form("networks", "['198.51.100.0/24']")
def network(value):
    """A network in CIDR form, or one address."""
    text(value, "a network", "198.51.100.0/24")
    try:
        return ipaddress.ip_network(str(value))
    except ValueError as error:
        raise ValueError(
            f"{str(value)!r} is not a network ({error}); write for example '198.51.100.0/24' or '2001:db8::/32'"
        ) from error


@form("bare JIDs", "['juliet@example.org']")
def bare_jid(value):
    """A bare JID with a localpart as XMPP compares it. Returns it with U-labels (RFC 7622)."""
    text(value, "a bare JID", "juliet@example.org")

    def wrong(reason):
        return ValueError(
            f"{str(value)!r} is not a bare JID: {reason}; write the account and its domain, for example "
            "'juliet@example.org' (RFC 7622)"
        )

    try:
        found = addresses.bare_jid(value)
    except ValueError as error:
        raise wrong(str(error)) from error
    try:
        xmpp_domain(value.partition("@")[2])
    except ValueError as error:
        raise wrong(str(error).partition("; write")[0]) from error
    return found


@form("account names", "['chief']")
def account_name(value):
    """What is before the '@' of an account, in lower case (RFC 7622)."""
    text(value, "an account's name", "juliet")
    try:
        return bare_jid(f"{value}@example.org").partition("@")[0]
    except ValueError as error:
        reason = str(error).partition("bare JID: ")[2].partition("; write")[0]
        raise ValueError(f"{str(value)!r} is not an account's name: {reason}; write for example 'juliet'") from error


@form("services", "['client', 'server', 'web', 'dns']")
def service(value):
    """One of the services that a host offers."""
    if value not in SERVICES:
        raise ValueError(f"{value!r} is not a service; {nearest(value, SERVICES)}")
    return str(value)


ADMINS = list_of(bare_jid, "bare JIDs", "['juliet@example.org']", empty=False)


@form()
def components(value):
    """Kinds of components and their domain names."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a dictionary of components; write for example {{'muc': 'muc.example.org'}}")
    found = {}
    for kind, name in value.items():
        if kind not in COMPONENTS:
            raise ValueError(f"{kind!r} is not a kind of component; {nearest(kind, COMPONENTS)}")
        try:
            found[str(kind)] = xmpp_domain(name)
        except ValueError as error:
            raise ValueError(f"{kind}: {error}") from error
    names = list(found.values())
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is the name of two components; give each its own")
    return found


def domain_entry(value):
    """An XMPP domain with its components and administrators. Returns the domains with A-labels, the JIDs with U-labels."""
    hint = "write for example {'domain': 'example.net'}"
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not an entry of a domain; {hint}")
    for key in value:
        if key not in DOMAIN_KEYS:
            raise ValueError(f"{key!r} is not a key of a domain's entry; {nearest(key, DOMAIN_KEYS)}")
    if value.get("domain") is None:
        raise ValueError(f"{dict(value)!r} names no domain; {hint}")
    entry = {"domain": xmpp_domain(value["domain"])}
    for key, check in (("components", components), ("admins", ADMINS), ("web", xmpp_domain)):
        if value.get(key) is not None:
            try:
                entry[key] = check(value[key])
            except ValueError as error:
                raise ValueError(f"{entry['domain']}: {key}: {error}") from error
    return entry


@form()
def domains(value):
    """A list of XMPP domains, with no name in it twice."""
    entries = list_of(domain_entry, "domains", "[{'domain': 'example.net'}]")(value)
    names = [name for entry in entries for name in (entry["domain"], *entry.get("components", {}).values())]
    names += [entry["web"] for entry in entries if entry.get("web", entry["domain"]) != entry["domain"]]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is used twice, as a domain, a component or a web front; give each its own name")
    return entries


@form()
def some_domains(value):
    """The same with at least one."""
    entries = domains(value)
    if not entries:
        raise ValueError("[] is not a list of domains: it is empty; write for example [{'domain': 'example.org'}]")
    return entries
