# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Formats of DNS: authorities, keys and peers of zone transfers, addresses to listen on."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks


@checks.form("certificate authorities", "['letsencrypt.org']")
def ca_domain(value):
    """A CAA issuer: a domain, with parameters after semicolons if any (RFC 8659, RFC 8657)."""
    checks.text(value, "a certificate authority's domain", "letsencrypt.org")
    domain, *parameters = str(value).split(";")
    try:
        checks.domain_name(domain.strip(), "a certificate authority's domain", "letsencrypt.org")
    except ValueError as error:
        raise ValueError(str(error).replace(repr(domain.strip()), repr(str(value)), 1)) from error
    for parameter in parameters:
        if not re.fullmatch(r"[A-Za-z0-9]+=[\x21-\x3a\x3c-\x7e]+", parameter.strip(" \t")):
            raise ValueError(
                f"{str(value)!r} is not a certificate authority's domain: {parameter.strip()!r} is not a parameter; "
                "write for example 'letsencrypt.org; validationmethods=dns-01' (RFC 8657)"
            )
    return str(value)


@checks.form("names", "['_5222._tcp.rosewood.example.org']")
def tlsa_name(value):
    """The name of TLSA records: port, protocol, host (RFC 6698, section 3)."""
    checks.text(value, "the name of TLSA records", "_5222._tcp.rosewood.example.org")
    found = re.fullmatch(r"_([1-9][0-9]{0,4})\._(tcp|udp|sctp)\.(.+)", str(value))
    if not found or int(found[1]) > 65535:
        raise ValueError(
            f"{str(value)!r} is not the name of TLSA records; write for example '_5222._tcp.rosewood.example.org'"
        )
    try:
        checks.domain_name(found[3])
    except ValueError as error:
        raise ValueError(f"{str(value)!r} is not the name of TLSA records: {error}") from error
    return str(value)


@checks.form()
def tsig_secret(value):
    """The secret of a TSIG key for HMAC-SHA256 (RFC 8945), or nothing. No message shows it."""
    hint = "write 32 random bytes in Base64, as `openssl rand -base64 32` prints them, and keep them in a vault"
    if not isinstance(value, str):
        raise ValueError(f"this secret is not a string; {hint}")
    if not value:
        return ""
    try:
        secret = base64.b64decode(str(value), validate=True)
    except ValueError:
        raise ValueError(f"this secret is not Base64 (RFC 4648); {hint}") from None
    # A shorter one is weaker than the digest, and a longer one than a block is hashed first.
    if not 32 <= len(secret) <= 64:
        raise ValueError(
            f"this secret has a length of {len(secret)}, and HMAC-SHA256 needs 32 to 64 bytes (RFC 8945); {hint}"
        )
    return str(value)


@checks.form()
def key_name(value):
    """The name of a TSIG key, which both ends must agree on."""
    checks.text(value, "a key's name", "transfer")
    if len(value) > 253 or not re.fullmatch(
        r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", value
    ):
        raise ValueError(
            f"{value!r} is not a key's name; write lower-case letters, digits and hyphens between dots, for example "
            "'transfer'"
        )
    return str(value)


@checks.form()
def tsig_keys(value):
    """Names of TSIG keys and their secrets. No message shows one."""
    if not isinstance(value, Mapping):
        raise ValueError("this secret is not a dictionary; write for example {'ns2': '…'}, in a vault")
    for name, secret in value.items():
        try:
            key_name(name)
            if not tsig_secret(secret):
                raise ValueError(
                    "this secret is empty; write 32 random bytes, as `openssl rand -base64 32` prints them"
                )
        except ValueError as error:
            raise ValueError(f"this secret has a wrong key {name!r}: {error}") from None
    return {str(name): str(secret) for name, secret in value.items()}


def _peers(value, what, keys):
    """Name servers, each an address or a dictionary with one."""
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise ValueError(f"{value!r} is not a list of {what}; write for example ['198.51.100.20']")
    found: list[dict[str, Any]] = []
    for item in value:
        peer = item if isinstance(item, Mapping) else {"address": item}
        for key in peer:
            if key not in keys:
                raise ValueError(f"{key!r} is not a key of {what}; {checks.nearest(key, keys)}")
        checked: dict[str, Any] = {"address": checks.ip_address(peer.get("address"))}
        if checked["address"] in [other["address"] for other in found]:
            raise ValueError(f"{checked['address']!r} is listed twice; write it once")
        if peer.get("key") is not None:
            checked["key"] = checks.optional(key_name)(peer["key"])
        if peer.get("transfer_from") is not None:
            if checked.get("key") != "":
                raise ValueError(
                    f"{checked['address']}: 'transfer_from' is for one without a key, which may transfer from anywhere with it; "
                    "leave it out, or write 'key': ''"
                )
            networks = checks.list_of(checks.network, "networks", "['198.51.100.31']", empty=False)(
                peer["transfer_from"]
            )
            checked["transfer_from"] = [str(one).removesuffix("/32").removesuffix("/128") for one in networks]
        found.append(checked)
    return found


@checks.form()
def secondaries(value):
    """Secondary name servers: who is told of changes, and by what it may transfer."""
    return _peers(value, "secondaries", ("address", "key", "transfer_from"))


@checks.form()
def primaries(value):
    """Primary name servers of a secondary."""
    return _peers(value, "primaries", ("address", "key"))


def _listener(value, version):
    """An address of an IP version to listen on, or BIND's words for all and none."""
    if value in ("any", "none"):
        return str(value)
    if checks.network(value).version != version:
        raise ValueError(f"{value!r} is not IPv{version}; write an IPv{version} address, or 'any' or 'none'")
    return str(value)


@checks.form("addresses", "['any']")
def ipv4_listener(value):
    """An IPv4 address to listen on."""
    return _listener(value, 4)


@checks.form("addresses", "['any']")
def ipv6_listener(value):
    """An IPv6 address to listen on."""
    return _listener(value, 6)
