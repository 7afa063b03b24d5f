# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of the values of the site model. Each returns the value or raises ValueError with what would be right."""

from __future__ import annotations

import base64
import difflib
import ipaddress
import re
from collections.abc import Mapping, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import addresses

COMPONENTS = ("muc", "upload", "proxy", "search")
SERVICES = ("client", "server", "web", "dns", "proxy", "turn", "turns")
DOMAIN_KEYS = ("domain", "components", "admins", "web")
_DOMAIN_HINT = "write letters, digits and hyphens between dots, for example 'example.org' (RFC 1123)"
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def text(value, what, example):
    """A string that is not empty."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not {what}: it is not a string; write for example '{example}'")
    if not value:
        raise ValueError(f"'' is not {what}: it is empty; write for example '{example}'")
    return value


def _whole_number(value, least, most, reason):
    """A number within its bounds; `true` is none, though Python counts with it."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r} {reason}")
    return int(value)


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


def zone_name(value):
    """The name of a zone: a domain, which in reverse zones may have a slash (RFC 2317)."""
    label = r"[a-z0-9]([a-z0-9/-]{0,61}[a-z0-9])?"
    if isinstance(value, str) and len(value) <= 253 and re.fullmatch(rf"({label}\.)+(in-addr|ip6)\.arpa", value):
        return str(value)
    return domain_name(value)


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


def network(value):
    """A network in CIDR form, or one address."""
    text(value, "a network", "198.51.100.0/24")
    try:
        return ipaddress.ip_network(str(value))
    except ValueError as error:
        raise ValueError(
            f"{str(value)!r} is not a network ({error}); write for example '198.51.100.0/24' or '2001:db8::/32'"
        ) from error


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


def account_name(value):
    """What is before the '@' of an account, in lower case (RFC 7622)."""
    text(value, "an account's name", "juliet")
    try:
        return bare_jid(f"{value}@example.org").partition("@")[0]
    except ValueError as error:
        reason = str(error).partition("bare JID: ")[2].partition("; write")[0]
        raise ValueError(f"{str(value)!r} is not an account's name: {reason}; write for example 'juliet'") from error


def password_length(value):
    """How many characters a password needs at least. Fewer than 8 are guessed."""
    return _whole_number(value, 8, 128, "is not a password length; write a number from 8 to 128, for example 10")


def registration_questions(value):
    """Questions that tell people from machines; their options are checked by their spec."""
    for question in value:
        answers = list_of(lambda answer: text(answer, "an answer", "green"), "answers", "['green']", empty=False)
        text(question["en"], "a question", "What colour is our logo?")
        for answer in answers(question["answers"]):
            if not answer.strip():
                raise ValueError(f"{answer!r} is not an answer: it is empty; write for example 'green'")
    return list(value)


def ca_domain(value):
    """A CAA issuer: a domain, with parameters after semicolons if any (RFC 8659, RFC 8657)."""
    text(value, "a certificate authority's domain", "letsencrypt.org")
    domain, *parameters = str(value).split(";")
    try:
        domain_name(domain.strip(), "a certificate authority's domain", "letsencrypt.org")
    except ValueError as error:
        raise ValueError(str(error).replace(repr(domain.strip()), repr(str(value)), 1)) from error
    for parameter in parameters:
        if not re.fullmatch(r"[A-Za-z0-9]+=[\x21-\x3a\x3c-\x7e]+", parameter.strip(" \t")):
            raise ValueError(
                f"{str(value)!r} is not a certificate authority's domain: {parameter.strip()!r} is not a parameter; "
                "write for example 'letsencrypt.org; validationmethods=dns-01' (RFC 8657)"
            )
    return str(value)


def https_url(value):
    """A URL that is fetched by HTTPS (RFC 9110, section 4.2.2)."""
    text(value, "an HTTPS URL", "https://acme.example.net/directory")
    if not re.fullmatch(r"https://[A-Za-z0-9.\[\]:-]+(/[!-~]*)?", str(value)):
        raise ValueError(
            f"{str(value)!r} is not an HTTPS URL; write for example 'https://acme.example.net/directory', with everything "
            "that is not ASCII in its encoded form"
        )
    return str(value)


def mail_address(value):
    """A mail address as an ACME account has one (RFC 8555, section 7.3)."""
    text(value, "a mail address", "hostmaster@example.org")
    local, _at, domain = str(value).rpartition("@")
    if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}", local) or local.startswith("-"):
        raise ValueError(f"{str(value)!r} is not a mail address; write for example 'hostmaster@example.org'")
    try:
        domain_name(domain)
    except ValueError as error:
        raise ValueError(f"{str(value)!r} is not a mail address: {error}") from error
    return str(value)


def local_address(value):
    """An IP address at which a host reaches itself or another one."""
    text(value, "an IP address", "127.0.0.1")
    try:
        return canonical(ipaddress.ip_address(str(value)))
    except ValueError as error:
        raise ValueError(f"{str(value)!r} is not an IP address; write for example '127.0.0.1' or '::1'") from error


def tlsa_name(value):
    """The name of TLSA records: port, protocol, host (RFC 6698, section 3)."""
    text(value, "the name of TLSA records", "_5222._tcp.rosewood.example.org")
    found = re.fullmatch(r"_([1-9][0-9]{0,4})\._(tcp|udp|sctp)\.(.+)", str(value))
    if not found or int(found[1]) > 65535:
        raise ValueError(
            f"{str(value)!r} is not the name of TLSA records; write for example '_5222._tcp.rosewood.example.org'"
        )
    try:
        domain_name(found[3])
    except ValueError as error:
        raise ValueError(f"{str(value)!r} is not the name of TLSA records: {error}") from error
    return str(value)


def certificate_port(value):
    """A port that serves a certificate; its options are checked by their spec."""
    port(value["port"])
    return dict(value)


KEY_TYPES = {"ecdsa-p256": "ECDSA", "ecdsa-p384": "ECDSA", "rsa-3072": "RSA", "rsa-4096": "RSA"}


def key_types(value):
    """The kind of a key, or one of ECDSA and one of RSA."""
    hint = "write for example ['ecdsa-p256'], or ['ecdsa-p256', 'rsa-3072'] for both"
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError(f"{value!r} is not a list of kinds of keys; {hint}")
    for kind in value:
        bits = re.fullmatch(r"rsa-(\d+)", str(kind))
        if bits and int(bits[1]) < 3072:
            raise ValueError(f"{str(kind)!r} is too short a key; write 'rsa-3072' or 'rsa-4096'")
        if kind not in KEY_TYPES:
            raise ValueError(f"{kind!r} is not a kind of key; {nearest(kind, KEY_TYPES)}")
    families = [KEY_TYPES[kind] for kind in value]
    for family in families:
        if families.count(family) > 1:
            raise ValueError(
                f"{[str(kind) for kind in value]!r} has {families.count(family)} kinds of {family} keys, of which a daemon "
                f"serves one; {hint}"
            )
    return [str(kind) for kind in value]


def peer_network(value):
    """A network that coturn can tell from others."""
    found = network(value)
    # Its first address is coturn's word for no lower bound, below which all of IPv4 is.
    if found.version == 6 and int(found[0]) == 0:
        raise ValueError(
            f"{str(value)!r} begins with '::', and coturn takes such a range for all IPv4 addresses, too; write a smaller "
            "network, for example '::ffff:0:0/96'"
        )
    return found


def turn_address(value):
    """A host's own address and the public one that leads to it; its options are checked by their spec."""
    own, public = local_address(value["address"]), ip_address(value["public"])
    if ipaddress.ip_address(own).version != ipaddress.ip_address(public).version:
        raise ValueError(f"{public!r} cannot lead to {own!r}; write two IPv4 or two IPv6 addresses")
    return {"address": own, "public": public}


def turn_policy(value):
    """A TLS policy that coturn can meet."""
    if value == "modern":
        raise ValueError(
            "'modern' is TLS 1.3, which Debian's coturn does not speak; leave 'turns' out of xmpp_services, so that calls "
            "are relayed by UDP and TCP, or write 'strict'"
        )
    if value != "strict":
        raise ValueError(f"{value!r} is not a TLS policy; write 'strict'")
    return "strict"


def positive(value):
    """A count of at least one."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 2**31 - 1:
        raise ValueError(f"{value!r} is not a count; write a number from 1 to {2**31 - 1}, for example 40")
    return int(value)


def days(value):
    """A number of days, or none at all."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 36500:
        raise ValueError(
            f"{value!r} is not a number of days; write one from 1 to 36500, for example 365, or 0 for never"
        )
    return int(value)


def stanza_limit(value):
    """The size of a stanza in bytes: no server may take less than 10,000 (RFC 6120, section 13.12)."""
    if isinstance(value, bool) or not isinstance(value, int) or not 10000 <= value <= 2**26:
        raise ValueError(
            f"{value!r} is not the size of a stanza; write bytes from 10000 to {2**26}, for example 262144 (RFC 6120)"
        )
    return int(value)


def pubsub_node(value):
    """A node of a publish-subscribe service, as service/node."""
    text(value, "a blocklist", "rtbl.example.org/muc_bans_sha256")
    service, slash, node = str(value).partition("/")
    if not slash or not node or re.search(r"[\s'\"<>&]", node):
        raise ValueError(
            f"{str(value)!r} is not a blocklist; write its service and its node, for example "
            "'rtbl.example.org/muc_bans_sha256'"
        )
    try:
        xmpp_domain(service)
    except ValueError as error:
        raise ValueError(f"{str(value)!r} is not a blocklist: {error}") from error
    return str(value)


def community_modules(value):
    """Modules from elsewhere, each once, of revisions that are known by their checksum."""
    hint = "write for example {'source': 'files/modules.tar.gz', 'sha256': '…', 'modules': ['muc_limits']}"
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{value!r} is not a list of community modules; {hint}")
    seen = []
    for entry in value:
        source = text(entry["source"], "where modules come from", "files/modules.tar.gz")
        if not re.fullmatch(r"[0-9A-Fa-f]{64}", str(entry["sha256"])):
            raise ValueError(
                f"{source}: {str(entry['sha256'])!r} is not a SHA-256 digest; write the 64 hexadecimal digits that `sha256sum` prints"
            )
        if not entry["modules"]:
            raise ValueError(f"{source}: it lists no modules; {hint}")
        for name in entry["modules"]:
            if not re.fullmatch(r"[a-z0-9_]+", str(name)) or str(name).startswith("mod_"):
                raise ValueError(
                    f"{source}: {str(name)!r} is not the name of a module; write it without 'mod_', for example 'muc_limits'"
                )
            if name in seen:
                raise ValueError(f"{source}: {str(name)!r} is listed twice; write it once")
            seen.append(name)
    return list(value)


def file_path(value):
    """The path of a file, of characters that no shell and no unit file reads otherwise."""
    text(value, "the path of a file", "/etc/xmpp/turn.secret")
    if not re.fullmatch(r"(/[A-Za-z0-9._@+-]+)+", str(value)) or {".", ".."} & set(str(value).split("/")):
        raise ValueError(
            f"{str(value)!r} is not the path of a file; write an absolute one of letters, digits and '._@+-', for "
            "example '/etc/xmpp/turn.secret'"
        )
    return str(value)


def contact_uri(value):
    """A URI at which somebody is reached, one line of security.txt (RFC 9116, section 2.5.3)."""
    text(value, "a URI", "mailto:security@example.org")
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*:\S+", str(value)) or not value.isprintable():
        raise ValueError(
            f"{str(value)!r} is not a URI; write for example 'mailto:security@example.org' or 'xmpp:juliet@example.org'"
        )
    return str(value)


def origin(value):
    """A URL without a path, as another program of the host is reached (RFC 6454)."""
    text(value, "a URL without a path", "http://127.0.0.1:5280")
    if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", str(value)):
        raise ValueError(f"{str(value)!r} is not a URL without a path; write for example 'http://127.0.0.1:5280'")
    return str(value)


def package_version(value):
    """A version as npm has it (Semantic Versioning 2.0.0)."""
    text(value, "a version", "14.0.0")
    if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?", str(value)):
        raise ValueError(f"{str(value)!r} is not a version; write for example '14.0.0'")
    return str(value)


def sha512(value):
    """The digest of a file, as sha512sum prints it."""
    text(value, "a SHA-512 digest", "2c55…")
    if not re.fullmatch(r"[0-9a-f]{128}", str(value)):
        raise ValueError(
            f"{str(value)!r} is not a SHA-512 digest; write the 128 hexadecimal digits that sha512sum prints"
        )
    return str(value)


def certificate_pair(value):
    """A chain and its key; its options are checked by their spec."""
    for name in ("certificate", "key"):
        try:
            file_path(value.get(name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return dict(value)


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


def controller_path(value):
    """The path of a file on the machine that runs Ansible, which no shell reads."""
    one_line("the path of a file", "files/fullchain.pem")(value)
    if value.startswith("-"):
        raise ValueError(f"{str(value)!r} is not the path of a file: it begins as an option; write './{value}'")
    return str(value)


def package(value):
    """A Debian package, with its version or release if need be (apt-get(8))."""
    text(value, "a Debian package", "restic")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+(:[a-z0-9]+)?([=/][A-Za-z0-9.+:~*-]+)?", value):
        raise ValueError(
            f"{str(value)!r} is not a Debian package; write its name, for example 'restic' or 'restic=0.18*'"
        )
    return str(value)


def snapshot(value):
    """A snapshot of restic's, or the newest one."""
    text(value, "a snapshot", "latest")
    if not re.fullmatch("latest|[0-9a-f]{4,64}", value):
        raise ValueError(
            f"{str(value)!r} is not a snapshot; write 'latest', or the ID that `xmpp-backup restic snapshots` shows"
        )
    return str(value)


def _entries(value, what, checks_of):
    """A list of dictionaries whose options are checked by their spec, and these by a check of their own."""
    for number, entry in enumerate(value, 1):
        for key, check in checks_of.items():
            if entry.get(key) is not None:
                try:
                    check(entry[key])
                except ValueError as error:
                    raise ValueError(f"number {number}: {key}: {error}") from error
    return list(value)


def status_ports(value):
    """Ports that are asked by TLS."""
    return _entries(value, "ports", {"port": port, "name": one_line("a name", "example.org"), "certificate": file_path})


def status_commands(value):
    """Programs that have to succeed: each a path and its words, which no shell reads."""
    for number, entry in enumerate(value, 1):
        words = entry["argv"]
        if not words or not str(words[0]).startswith("/") or any("\0" in str(word) for word in words):
            raise ValueError(
                f"number {number}: {list(words)!r} is not a program and its words; write for example ['/usr/bin/test', '-e', '/x']"
            )
    return _entries(value, "programs", {"name": one_line("a name", "modules of Prosody")})


def system_group(value):
    """The name of a system group (adduser(8))."""
    text(value, "a system group", "xmpp-turn")
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", str(value)):
        raise ValueError(
            f"{str(value)!r} is not a system group; write lower-case letters, digits, hyphens and underscores, for "
            "example 'xmpp-turn'"
        )
    return str(value)


def mail_user(value):
    """An account on a mail server (RFC 4954)."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{value!r} is not an account; write for example 'rosewood@example.net'")
    return str(value)


def mail_password(value):
    """Its password, which no message shows."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("this secret is not a password: it has control characters; write it in one line, in a vault")
    return str(value)


def crypt_hash(value):
    """A salted hash of a password, which no message shows (crypt(5))."""
    if not isinstance(value, str) or not re.fullmatch(r"\$(5|6|2[aby]|y|gy|7)\$[./0-9A-Za-z$=,-]{20,}", value):
        raise ValueError("this secret is not the hash of a password; write what `openssl passwd -6` prints, in a vault")
    return str(value)


def ssh_public_key(value):
    """A public key as in authorized_keys, without options (sshd(8))."""
    text(value, "a public ssh key", "ssh-ed25519 AAAA… master")
    if not re.fullmatch(
        r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]{40,}( [ -~]*)?", str(value)
    ):
        raise ValueError(
            f"{str(value)[:40]!r} is not a public ssh key; write one line of a file *.pub, for example 'ssh-ed25519 AAAA… master'"
        )
    return str(value)


def munin_level(value):
    """The levels of graphs (munin.conf(5))."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a dictionary; write for example {{'df._dev_vda1.warning': '0:85'}}")
    for name, level in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+\.[A-Za-z0-9_]+\.(warning|critical)", name):
            raise ValueError(f"{name!r} is not a level; write graph.field.warning or graph.field.critical")
        if not re.fullmatch(r"-?[0-9.]*:?-?[0-9.]*", str(level)) or not re.search("[0-9]", str(level)):
            raise ValueError(f"{name}: {level!r} is not a range; write for example '0:85' or '7:'")
    return dict(value)


def or_empty(check):
    """Makes a check that lets an empty text pass, which stands for none."""
    return lambda value: "" if value == "" else check(value)


def port(value):
    """A TCP or UDP port number."""
    return _whole_number(value, 1, 65535, "is not a port; write a number from 1 to 65535, for example 5222")


def ttl(value):
    """A time to live (RFC 2181, section 8)."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError(f"{value!r} is not a TTL; write seconds from 0 to {2**31 - 1}, for example 3600 (RFC 2181)")
    return int(value)


def file_mode(value):
    """A file mode in octal digits, as text, because YAML reads 0644 as another number."""
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
        raise ValueError(f"{value!r} is not a file mode; write octal digits in quotes, for example '0640'")
    return str(value)


def window(value):
    """A span of the day: its first and its last minute since midnight."""
    text(value, "a window", "02:00-05:00")
    hint = "write its begin and its end as HH:MM-HH:MM, for example '02:00-05:00'"
    begin, dash, end = str(value).partition("-")
    if not dash:
        raise ValueError(f"{str(value)!r} is not a window: it has no '-'; {hint}")
    minutes = []
    for part in (begin, end):
        found = _TIME.fullmatch(part)
        if found is None:
            raise ValueError(f"{str(value)!r} is not a window: {part!r} is not a time from 00:00 to 23:59; {hint}")
        minutes.append(int(found[1]) * 60 + int(found[2]))
    if minutes[0] == minutes[1]:
        raise ValueError(f"{str(value)!r} is not a window: it begins and ends at the same minute; {hint}")
    return tuple(minutes)


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def days_of_week(value):
    """Days of the week, from 0 for Monday: one, a span, or several after commas."""
    found = []
    for part in value.split(","):
        first, dash, last = part.partition("-")
        for name in (first, last) if dash else (first,):
            if name not in DAYS:
                raise ValueError(
                    f"{name!r} is not a day of the week; write one of {', '.join(DAYS)}, or a span as 'mon-fri'"
                )
        count = (DAYS.index(last) - DAYS.index(first)) % 7 if dash else 0
        found += [(DAYS.index(first) + more) % 7 for more in range(count + 1)]
    return sorted(set(found))


def update_windows(value):
    """The windows in which a host may be disturbed, and whether munin's data may place them."""
    example = "write for example ['02:00-05:00'], ['sat,sun 03:00-06:00', 'wed 23:30-01:00'] or ['auto', '02:00-05:00']"
    items = list_of(lambda item: text(item, "a window", "02:00-05:00"), "windows", "['02:00-05:00']", empty=False)(
        value
    )
    windows = []
    for item in items:
        if item == "auto":
            continue
        days, space, span = item.rpartition(" ")
        try:
            numbers = days_of_week(days) if space else list(range(7))
        except ValueError as error:
            raise ValueError(f"{str(item)!r} is not a window: {error}") from error
        window(span)
        windows.append({"days": numbers, "start": span[:5], "end": span[6:]})
    if not windows:
        raise ValueError(f"{list(value)!r} has no window to use while munin has no data; {example}")
    return {"auto": "auto" in items, "windows": windows}


def host_in_fleet(value):
    """The name of a host among those that are updated one after another."""
    text(value, "a host", "rosewood.example.org")
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError(
            f"{str(value)!r} is not a host; write its name in the inventory, for example 'rosewood.example.org'"
        )
    return str(value)


def announce_minutes(value):
    """How long before a reboot who is connected is told."""
    return _whole_number(
        value, 0, 60, "is not an announcement time; write minutes from 0 (no announcement) to 60, for example 5"
    )


def waiting_days(value):
    """A count of days."""
    return _whole_number(value, 1, 365, "is not a number of days; write a number from 1 to 365, for example 7")


def key_days(value):
    """How long a zone-signing key is used, which BIND counts in days."""
    return _whole_number(value, 1, 3650, "is not a key lifetime; write days from 1 to 3650, for example 90")


def percentage(value):
    """A share in percent."""
    return _whole_number(value, 0, 100, "is not a percentage; write a number from 0 to 100, for example 15")


def memory_limit(value):
    """The most memory of a unit (systemd.resource-control(5))."""
    if not isinstance(value, str) or not re.fullmatch(r"([1-9]\d?|100)(\.\d+)?%|[1-9]\d*[KMGT]|infinity", str(value)):
        raise ValueError(
            f"{value!r} is not a memory limit; write a share of the machine's, for example '30%', a size, for example "
            "'512M', or 'infinity'"
        )
    return str(value)


def seconds(value):
    """A span of time that somebody waits."""
    return _whole_number(value, 0, 3600, "is not a waiting time; write seconds from 0 to 3600, for example 120")


def file_system(value):
    """Where a file system is mounted."""
    text(value, "a file system", "/var")
    if not value.startswith("/") or not value.isprintable():
        raise ValueError(f"{str(value)!r} is not a file system; write where it is mounted, for example '/var'")
    return str(value)


def package_pattern(value):
    """A regular expression that apt's configuration can hold."""
    text(value, "a pattern of packages", "linux-")
    if re.search(r'["\s;]', value) or not value.isprintable():
        raise ValueError(
            f"{str(value)!r} is not a pattern of packages: it has a quotation mark, a semicolon, a space or a control character; write a regular "
            "expression of characters that a package's name can have, for example 'linux-' or 'libc6$'"
        )
    return str(value)


def origin_pattern(value):
    """Which archives unattended-upgrade takes packages from, as it writes it."""
    text(value, "an origin", "origin=Example,label=Example")
    part = r"(origin|label|archive|suite|codename|component|site|[olacn])=[A-Za-z0-9 .:_*${}/-]+"
    if not re.fullmatch(rf"{part}(,{part})*", value):
        raise ValueError(
            f"{str(value)!r} is not an origin; write pairs as `apt-cache policy` shows them, for example "
            "'origin=Example,label=Example'"
        )
    return str(value)


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


def key_name(value):
    """The name of a TSIG key, which both ends must agree on."""
    text(value, "a key's name", "transfer")
    if len(value) > 253 or not re.fullmatch(
        r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", value
    ):
        raise ValueError(
            f"{value!r} is not a key's name; write lower-case letters, digits and hyphens between dots, for example "
            "'transfer'"
        )
    return str(value)


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
    found = []
    for item in value:
        peer = item if isinstance(item, Mapping) else {"address": item}
        for key in peer:
            if key not in keys:
                raise ValueError(f"{key!r} is not a key of {what}; {nearest(key, keys)}")
        checked = {"address": ip_address(peer.get("address"))}
        if checked["address"] in [other["address"] for other in found]:
            raise ValueError(f"{checked['address']!r} is listed twice; write it once")
        if peer.get("key") is not None:
            checked["key"] = or_empty(key_name)(peer["key"])
        if peer.get("transfer_from") is not None:
            if checked.get("key") != "":
                raise ValueError(
                    f"{checked['address']}: 'transfer_from' is for one without a key, which may transfer from anywhere with it; "
                    "leave it out, or write 'key': ''"
                )
            networks = list_of(network, "networks", "['198.51.100.31']", empty=False)(peer["transfer_from"])
            checked["transfer_from"] = [str(one).removesuffix("/32").removesuffix("/128") for one in networks]
        found.append(checked)
    return found


def secondaries(value):
    """Secondary name servers: who is told of changes, and by what it may transfer."""
    return _peers(value, "secondaries", ("address", "key", "transfer_from"))


def primaries(value):
    """Primary name servers of a secondary."""
    return _peers(value, "primaries", ("address", "key"))


def listeners(version):
    """Addresses of an IP version to listen on, or BIND's words for all and none."""

    def check(value):
        if value in ("any", "none"):
            return str(value)
        if network(value).version != version:
            raise ValueError(f"{value!r} is not IPv{version}; write an IPv{version} address, or 'any' or 'none'")
        return str(value)

    return list_of(check, "addresses", "['any']", empty=False)


def repository(value):
    """Where restic keeps backups: a folder, or an address of one of its backends."""
    hint = "write for example '/srv/backup', 'sftp:backup@backup.example.org:/srv/backup' or 's3:https://host/bucket'"
    text(value, "a repository", "sftp:backup@backup.example.org:/srv/backup")
    if re.search(r"://[^/@]*:[^/@]*@", value):
        raise ValueError(
            "this repository has a password in its address, where it would be listed and logged; write it into "
            "backup_environment, as RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD"
        )
    kind, _colon, rest = str(value).partition(":")
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError(f"{str(value)!r} is not a repository: it has a space or a non-ASCII character; {hint}")
    if value.startswith("/"):
        file_path(value)
    elif kind == "sftp":
        if not re.fullmatch(
            r"([a-z_][a-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9.-]*:|//([a-z_][a-z0-9._-]*@)?[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*/).+",
            rest,
        ):
            raise ValueError(f"{str(value)!r} is not a repository: it names no user, host and folder; {hint}")
    elif kind == "rest":
        if not re.match(r"https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/]", rest):
            raise ValueError(
                f"{str(value)!r} is not a repository: without TLS, an eavesdropper could delete backups; write for example "
                "'rest:https://backup.example.org/host/'"
            )
    elif kind not in ("s3", "b2", "azure", "gs", "swift"):
        raise ValueError(f"{str(value)!r} is not a repository: {kind!r} is not a kind of target; {hint}")
    return str(value)


def passphrase(value):
    """What backups are encrypted by. No message shows it."""
    hint = "write a long random one, as `openssl rand -base64 32` prints it, into a vault"
    if not isinstance(value, str) or not re.fullmatch(r"[^\r\n\0]*", value):
        raise ValueError(f"this secret is not one line of text; {hint}")
    if len(value) < 16:
        raise ValueError(f"this secret has a length of {len(value)}, so that it could be guessed; {hint}")
    return str(value)


def environment(value):
    """Environment variables of a program. No message shows a value."""
    hint = "write for example {'AWS_ACCESS_KEY_ID': '…'}, in a vault"
    if not isinstance(value, Mapping):
        raise ValueError(f"this secret is not a dictionary of environment variables; {hint}")
    for name, content in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            raise ValueError(f"this secret has {name!r}, which is not the name of an environment variable; {hint}")
        if not isinstance(content, str) or not content or not content.isprintable():
            raise ValueError(f"this secret has no line of text for {name}; {hint}")
    return dict(value)


def private_key(value):
    """An SSH key without a passphrase. No message shows it."""
    if not isinstance(value, str) or not re.fullmatch(
        r"\s*-----BEGIN (OPENSSH |RSA |EC |)PRIVATE KEY-----\s.*\s-----END \1PRIVATE KEY-----\s*", value, re.DOTALL
    ):
        raise ValueError(
            "this secret is not a private key; write all lines of the file that `ssh-keygen -t ed25519 -N ''` makes, into a "
            "vault"
        )
    return str(value)


def known_host(value):
    """A line of a file known_hosts (sshd(8))."""
    text(value, "a line of a file known_hosts", "backup.example.org ssh-ed25519 AAAA…")
    if not re.fullmatch(r"[!-~]+ [a-z0-9@.-]+ [A-Za-z0-9+/]{20,}={0,3}( .*)?", value) or "\n" in value:
        raise ValueError(
            f"{str(value)!r} is not a line of a file known_hosts; write the name of the host, the kind of the key and the key, "
            "for example 'backup.example.org ssh-ed25519 AAAA…'"
        )
    return str(value)


def saved_path(value):
    """What a backup saves: a path of its own, and not all there is."""
    file_path(value)
    if str(value).count("/") < 2:
        raise ValueError(f"{str(value)!r} would be replaced as a whole by a restore; write a path within it")
    return str(value)


def exclude_pattern(value):
    """A pattern of restic's, one line."""
    text(value, "a pattern", "/var/lib/example/*.tmp")
    if not value.isprintable() or value.startswith("-"):
        raise ValueError(
            f"{str(value)!r} is not a pattern: it has a control character, or begins as an option; write for example '*.tmp', or "
            "'[-]x' for a name that begins so"
        )
    return str(value)


def time_of_day(value):
    """A minute of the day."""
    text(value, "a time of day", "00:30")
    if _TIME.fullmatch(value) is None:
        raise ValueError(f"{str(value)!r} is not a time from 00:00 to 23:59; write for example '00:30'")
    return str(value)


def kept(value):
    """How many backups are kept; its keys are checked by their spec."""
    for period, number in value.items():
        try:
            positive(number)
        except ValueError as error:
            raise ValueError(f"{period}: {error}") from error
    return dict(value)


def unit(value):
    """The full name of a systemd unit."""
    text(value, "a unit", "prosody.service")
    if not re.fullmatch(r"[A-Za-z0-9:_.@][A-Za-z0-9:_.@-]*\.(service|socket|timer|path|target)", value):
        raise ValueError(f"{str(value)!r} is not a unit; write its full name, for example 'prosody.service'")
    return str(value)


def database_name(value):
    """The name of a PostgreSQL database, as we make them."""
    text(value, "the name of a database", "prosody")
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", value):
        raise ValueError(
            f"{str(value)!r} is not the name of a database; write lower-case letters, for example 'prosody'"
        )
    return str(value)


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


def service(value):
    """One of the services that a host offers."""
    if value not in SERVICES:
        raise ValueError(f"{value!r} is not a service; {nearest(value, SERVICES)}")
    return str(value)


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


def domains(value):
    """A list of XMPP domains, with no name in it twice."""
    entries = list_of(domain_entry, "domains", "[{'domain': 'example.net'}]")(value)
    names = [name for entry in entries for name in (entry["domain"], *entry.get("components", {}).values())]
    names += [entry["web"] for entry in entries if entry.get("web", entry["domain"]) != entry["domain"]]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is used twice, as a domain, a component or a web front; give each its own name")
    return entries


def some_domains(value):
    """The same with at least one."""
    entries = domains(value)
    if not entries:
        raise ValueError("[] is not a list of domains: it is empty; write for example [{'domain': 'example.org'}]")
    return entries


ADMINS = list_of(bare_jid, "bare JIDs", "['juliet@example.org']", empty=False)


def users(value):
    """Accounts, each once; their options are checked by their spec."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{value!r} is not a list of accounts; write for example [{{'jid': 'juliet@example.org'}}]")
    list_of(bare_jid, "accounts", "[{'jid': 'juliet@example.org'}]")([user["jid"] for user in value])
    return list(value)


def user_passwords(value):
    """Accounts and their passwords, which no message shows."""
    hint = "write for example {'juliet@example.org': '…'}, in a vault"
    if not isinstance(value, Mapping):
        raise ValueError(f"this is not a dictionary of passwords; {hint}")
    list_of(bare_jid, "accounts", "[{'jid': 'juliet@example.org'}]")(list(value))
    for jid, password in value.items():
        if not isinstance(password, str) or not password:
            raise ValueError(f"{jid!r} has no password: it is empty or not a string; {hint}")
    return dict(value)


def by_domain(value):
    """Settings by domain or component, each once."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a dictionary; write for example {{'example.org': {{…}}}}")
    list_of(xmpp_domain, "domains", "['example.org']")(list(value))
    return dict(value)


def with_a_labels(check):
    """Makes a check of domains for a role that puts them into its files as they are."""

    def checked(value):
        found = check(value)
        for given, entry in zip(value, found, strict=True):
            pairs = [(given["domain"], entry["domain"]), (given.get("web"), entry.get("web"))]
            pairs += [(name, entry["components"][kind]) for kind, name in (given.get("components") or {}).items()]
            for name, wanted in pairs:
                if name != wanted:
                    raise ValueError(
                        f"{name!r} is written with U-labels, and this role needs A-labels; write {wanted!r}"
                    )
        return found

    return checked


# What a variable must look like beyond its type: name → check. Argument specs know types only.
FORMATS = {
    "xmpp_domain": xmpp_domain,
    "xmpp_hostname": host_name,
    "xmpp_addresses": list_of(ip_address, "addresses", "['198.51.100.10', '2001:db8::10']", empty=False),
    "xmpp_components": components,
    "xmpp_web_name": xmpp_domain,
    "xmpp_certificate_authorities": list_of(ca_domain, "certificate authorities", "['letsencrypt.org']"),
    "xmpp_admins": ADMINS,
    "xmpp_key_types": key_types,
    "certificates_key_types": key_types,
    "xmpp_extra_domains": domains,
    "xmpp_domains": with_a_labels(some_domains),
    "postgresql_memory_max": memory_limit,
    "prosody_memory_max": memory_limit,
    "prosody_domains": some_domains,
    "nginx_memory_max": memory_limit,
    "nginx_domains": with_a_labels(some_domains),
    "certificates_names": list_of(
        domain_name, "domain names", "['example.org', 'conference.example.org']", empty=False
    ),
    "munin_memory_max": memory_limit,
    "munin_certificate_address": local_address,
    "munin_certificate_name": domain_name,
    "munin_certificate_ports": list_of(certificate_port, "ports", "[{'port': 443}]"),
    "munin_hostname": host_name,
    "munin_levels": munin_level,
    "munin_ssh_keys": list_of(ssh_public_key, "public ssh keys", "['ssh-ed25519 AAAA… master']"),
    "nginx_acme_webroot": or_empty(file_path),
    "nginx_certificates": list_of(
        certificate_pair,
        "certificates",
        "[{'certificate': '/etc/ssl/example.org/fullchain.pem', 'key': '/etc/ssl/example.org/privkey.pem'}]",
        empty=False,
    ),
    "nginx_chat_sha512": sha512,
    "nginx_chat_version": package_version,
    "nginx_munin_password_hash": or_empty(crypt_hash),
    "nginx_prosody_url": origin,
    "nginx_security_contacts": list_of(contact_uri, "URIs", "['mailto:security@example.org']"),
    "alarms_mail_relay": or_empty(host_name),
    "alarms_mail_port": port,
    "alarms_mail_user": mail_user,
    "alarms_mail_password": mail_password,
    "alarms_mail_ca_bundle": file_path,
    "alarms_mail_to": list_of(mail_address, "mail addresses", "['hostmaster@example.org']"),
    "alarms_mail_from": mail_address,
    "alarms_hostname": host_name,
    "alarms_jids": list_of(bare_jid, "accounts", "['juliet@example.org']"),
    "alarms_domain": xmpp_domain,
    "alarms_repeat_hours": positive,
    "xmpp_users": users,
    "prosody_users": users,
    "xmpp_user_passwords": user_passwords,
    "prosody_user_passwords": user_passwords,
    "xmpp_services": list_of(service, "services", "['client', 'server', 'web', 'dns']"),
    "backup_check_days": positive,
    "backup_check_parts": positive,
    "backup_environment": environment,
    "backup_exclude": list_of(exclude_pattern, "patterns", "['/var/lib/example/*.tmp']"),
    "backup_exclude_extra": list_of(exclude_pattern, "patterns", "['/var/lib/example/*.tmp']"),
    "backup_host": host_name,
    "backup_keep": kept,
    "backup_passphrase": or_empty(passphrase),
    "backup_paths": list_of(saved_path, "paths", "['/var/lib/example']"),
    "backup_paths_extra": list_of(saved_path, "paths", "['/var/lib/example']"),
    "backup_postgresql": list_of(database_name, "databases", "['prosody']"),
    "backup_repositories": list_of(repository, "repositories", "['/srv/backup']"),
    "backup_services": list_of(unit, "units", "['prosody.service']"),
    "backup_sqlite": list_of(saved_path, "databases", "['/var/lib/prosody/prosody.sqlite']"),
    "backup_ssh_host_keys": list_of(
        known_host, "lines of a file known_hosts", "['backup.example.org ssh-ed25519 AAAA…']"
    ),
    "backup_ssh_key": or_empty(private_key),
    "backup_time": time_of_day,
    "bind_memory_max": memory_limit,
    "bind_acme_names": list_of(domain_name, "domain names", "['example.org', 'conference.example.org']"),
    "bind_acme_nameserver": host_name,
    "certificates_acme_directory": https_url,
    "certificates_acme_staging_directory": https_url,
    "certificates_acme_email": or_empty(mail_address),
    "certificates_dns_server": or_empty(local_address),
    "certificates_address": local_address,
    "certificates_ports": list_of(certificate_port, "ports", "[{'port': 443}]"),
    "certificates_tlsa_names": list_of(tlsa_name, "names", "['_5222._tcp.rosewood.example.org']"),
    "bind_ttl": ttl,
    "bind_nameservers": list_of(host_name, "name servers", "['ns1.example.org', 'ns2.example.org']", empty=False),
    "bind_allow_transfer": list_of(network, "networks", "['198.51.100.0/24']"),
    "bind_certificate_accounts": file_path,
    "bind_certificate_paths": list_of(file_path, "paths", "['/etc/ssl/xmpp/example.org/fullchain.pem']"),
    "bind_certificate_roll": file_path,
    "bind_listen_on": listeners(4),
    "bind_listen_on_v6": listeners(6),
    "bind_secondaries": secondaries,
    "bind_secondary_of": primaries,
    "bind_transfer_keys": tsig_keys,
    "bind_zsk_lifetime_days": key_days,
    "bind_secondary_zones": list_of(zone_name, "zones", "['example.org']"),
    "bind_catalog": or_empty(domain_name),
    "bind_transfer_key_name": key_name,
    "bind_transfer_secret": tsig_secret,
    "prosody_invite_days": positive,
    "prosody_fast_token_days": positive,
    "prosody_registration_min_password": password_length,
    "prosody_registration_reserved": list_of(account_name, "account names", "['chief']"),
    "prosody_registration_per_hour": positive,
    "prosody_registration_most_waiting": positive,
    "prosody_registration_blocklist": list_of(network, "networks", "['198.51.100.0/24']"),
    "prosody_registration_questions": registration_questions,
    "prosody_admins": list_of(bare_jid, "accounts", "['juliet@example.org']"),
    "prosody_host_settings_extra": by_domain,
    "prosody_community_modules": community_modules,
    "prosody_c2s_stanza_limit": stanza_limit,
    "prosody_s2s_stanza_limit": stanza_limit,
    "prosody_login_timeout": positive,
    "prosody_login_failures_per_address": positive,
    "prosody_login_failures_per_account": positive,
    "prosody_sessions_per_account": positive,
    "prosody_strangers_messages": positive,
    "prosody_strangers_requests": positive,
    "prosody_room_blocklists": list_of(pubsub_node, "blocklists", "['rtbl.example.org/muc_bans_sha256']"),
    "prosody_deletion_grace_days": days,
    "prosody_inactive_days": days,
    "prosody_room_expire_days": days,
    "prosody_account_disk_percent": percentage,
    "prosody_upload_disk_percent": percentage,
    "prosody_inactive_warning_days": positive,
    "prosody_turn_host": domain_name,
    "prosody_turn_secret": file_path,
    "prosody_turn_secret_group": system_group,
    "prosody_turn_ttl": positive,
    "status_address": local_address,
    "status_disk_fail_percent": percentage,
    "status_disk_warn_percent": percentage,
    "status_disks": list_of(file_system, "file systems", "['/', '/var']"),
    "status_pages": list_of(https_url, "pages", "['https://example.org/.well-known/host-meta']"),
    "status_patience": seconds,
    "status_stun_ports": list_of(port, "ports", "[3478]"),
    "status_zones": list_of(domain_name, "domains", "['example.org']"),
    "turn_memory_max": memory_limit,
    "turn_addresses": list_of(turn_address, "addresses", "[{'address': '10.0.0.5', 'public': '198.51.100.10'}]", False),
    "turn_allowed_peers": list_of(peer_network, "networks", "['198.51.100.0/24']"),
    "turn_bandwidth": positive,
    "turn_certificate_group": system_group,
    "turn_denied_peers": list_of(peer_network, "networks", "['10.0.0.0/8', 'fc00::/7']"),
    "turn_realm": domain_name,
    "turn_secret": file_path,
    "turn_secret_group": system_group,
    "turn_tls_policy": turn_policy,
    "turn_total_quota": positive,
    "turn_user_quota": positive,
    "updates_blacklist": list_of(package_pattern, "patterns of packages", "['linux-', 'libc6$']"),
    "updates_announce_minutes": announce_minutes,
    "updates_reboot_deadline": waiting_days,
    "updates_fleet": list_of(host_in_fleet, "hosts", "['rosewood.example.org', 'maple.example.org']", empty=False),
    "updates_origins_extra": list_of(origin_pattern, "origins", "['origin=Example,label=Example']"),
    "updates_stale_days": waiting_days,
    "updates_windows": update_windows,
    "backup_packages": list_of(package, "packages", "['restic']"),
    "backup_restore_repository": or_empty(repository),
    "backup_restore_snapshot": snapshot,
    "bind_key_backup": controller_path,
    "bind_packages": list_of(package, "packages", "['restic']"),
    "certificates_acme_ca_bundle": or_empty(controller_path),
    "certificates_acme_tsig_key": file_path,
    "certificates_acme_webroot": file_path,
    "certificates_group": system_group,
    "certificates_key_backup": controller_path,
    "certificates_key_path": file_path,
    "certificates_key_source": or_empty(controller_path),
    "certificates_packages": list_of(package, "packages", "['restic']"),
    "certificates_path": file_path,
    "certificates_private_ca_path": controller_path,
    "certificates_rsa_key_path": file_path,
    "certificates_rsa_key_source": or_empty(controller_path),
    "certificates_rsa_path": file_path,
    "certificates_rsa_source": or_empty(controller_path),
    "certificates_source": or_empty(controller_path),
    "alarms_packages": list_of(package, "packages", "['restic']"),
    "status_address6": or_empty(local_address),
    "status_certificates": list_of(file_path, "files", "['/etc/ssl/xmpp/example.org/fullchain.pem']"),
    "status_certificate_fail_percent": percentage,
    "status_certificate_warn_percent": percentage,
    "certificates_acme_most_names": positive,
    "certificates_renew_percent": percentage,
    "status_commands": status_commands,
    "status_hostname": one_line("the name of a host", "rosewood.example.org"),
    "status_packages": list_of(package, "packages", "['restic']"),
    "status_ports": status_ports,
    "status_states": lambda value: _entries(
        value,
        "states",
        {
            "name": one_line("a name", "backup"),
            "path": file_path,
            "lock": file_path,
            "key": one_line("a key", "last_success"),
            "do": one_line("a command", "journalctl -n 50"),
        },
    ),
    "status_units": list_of(unit, "units", "['prosody.service']"),
    "status_units_extra": list_of(unit, "units", "['example.service']"),
    "turn_certificate": file_path,
    "turn_certificate_key": file_path,
    "turn_packages": list_of(package, "packages", "['restic']"),
    "updates_announcement": one_line("an announcement", "This server restarts in {minutes} minutes."),
    "updates_packages": list_of(package, "packages", "['restic']"),
    "xmpp_certificate": file_path,
    "xmpp_certificate_group": system_group,
    "xmpp_certificate_key": file_path,
    "xmpp_certificate_rsa": file_path,
    "xmpp_certificate_rsa_key": file_path,
    "xmpp_key_backup": controller_path,
    "xmpp_turn_secret": file_path,
    "xmpp_turn_secret_group": system_group,
}
