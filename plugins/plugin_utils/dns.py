# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DNS zones from the site model, and zone files from zones (RFC 1035, section 5)."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Mapping, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import named, names_of, web_of

SERIAL = "@SERIAL@"
PIN = "{pin}"
# RFC 6120, section 3.2.1, and XEP-0368.
XMPP_SERVICES = (
    ("client", "_xmpp-client", 5222),
    ("client", "_xmpps-client", 5223),
    ("server", "_xmpp-server", 5269),
    ("server", "_xmpps-server", 5270),
)
# RFC 8489, section 8.1, and RFC 5928.
TURN_SERVICES = (
    ("turn", "_stun._udp", 3478),
    ("turn", "_stun._tcp", 3478),
    ("turns", "_stuns._tcp", 5349),
    ("turn", "_turn._udp", 3478),
    ("turn", "_turn._tcp", 3478),
    ("turns", "_turns._tcp", 5349),
)
# What has records of its own; the others of the model have none, and are taken as they come.
SERVICES = ("client", "server", "web", "dns", "proxy", "turn", "turns")
ZONE_KEYS = ("name", "records", "nameservers", "hostmaster", "ttl")
# The numbers of RFC 4255, RFC 6594 and RFC 7479.
SSH_ALGORITHMS = {
    "ssh-rsa": 1,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-ed25519": 4,
}
RECORD_KEYS = ("name", "type", "data", "ttl", "certificate")
SOA_TIMES = {"refresh": 7200, "retry": 3600, "expire": 1209600}
# A slash is part of names in reverse zones (RFC 2317).
LABEL = re.compile(r"(\*|[A-Za-z0-9_]([A-Za-z0-9_/-]{0,61}[A-Za-z0-9_])?)")
# A character-string of a zone file, in quotes or not (RFC 1035, section 5.1).
TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|((?:[!#-\x27*-:<-\[\]-~]|\\.)+)')
# The keys of service bindings that BIND of both Debian releases knows by name, in the order of their numbers (RFC 9460, RFC 9461).
BINDING_KEYS = ("mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath")


def _number(value, most):
    if not re.fullmatch(r"[0-9]{1,10}", value) or int(value) > most:
        raise ValueError(f"{value!r} is not a number from 0 to {most}")
    return str(int(value))


def _labels(value):
    for label in value.split("."):
        if not LABEL.fullmatch(label):
            raise ValueError(
                f"{value!r} is not a DNS name: the label {label!r} is not one; write 1 to 63 letters, digits, hyphens, "
                "underscores and slashes between dots"
            )
    if "*" in value.split(".")[1:] or len(value) > 253:
        raise ValueError(f"{value!r} is not a DNS name: '*' may only be its first label, and 253 characters its length")
    return value.lower()


def file_of(zone):
    """A zone's name as BIND has it in the names of files."""
    return zone.replace("/", "%2F")


def owner_name(name, zone):
    """Returns a record's name relative to the zone, or @ for the zone itself."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"{name!r} is not a record's name; write it relative to the zone, for example 'www' or '@'")
    if name == "@":
        return "@"
    if not name.endswith("."):
        relative = _labels(str(name))
        if f".{relative}".endswith(f".{zone}"):
            raise ValueError(
                f"{name!r} would become {name}.{zone}; write it relative to the zone, or with a dot at its end"
            )
        return relative
    absolute = _labels(name[:-1])
    if absolute == zone:
        return "@"
    if not absolute.endswith(f".{zone}"):
        raise ValueError(
            f"{name!r} is not inside the zone {zone}; write a name that ends in '.{zone}.', or a relative one"
        )
    return absolute[: -len(zone) - 1]


def _target(value, zone):
    """A name within a record's data, absolute with a final dot."""
    if value == ".":
        return "."
    if value == "@":
        return f"{zone}."
    if value.endswith("."):
        return _labels(value[:-1]) + "."
    if "." in value:
        # It may be meant either way, so that neither is guessed.
        raise ValueError(
            f"{value!r} has no dot at its end; write '{value}.{zone}.' for the name inside the zone, or '{value}.' for "
            "that name itself"
        )
    return f"{_labels(value)}.{zone}."


def _host(value, zone):
    """The same where it has to be the name of a host, as BIND checks it (RFC 1123)."""
    target = _target(value, zone)
    if "_" in target or "/" in target or "*" in target:
        raise ValueError(f"{value!r} is not the name of a host; write letters, digits and hyphens between dots")
    return target


def _strings(data, count, shape):
    """The character-strings of a record's data, as bytes without their quotes and escapes."""
    found, rest = [], data.strip()
    while rest:
        token = TOKEN.match(rest)
        if token is None or rest[token.end() :][:1].strip():
            raise ValueError(f"{data!r} has a quote, a bracket or a semicolon that is out of place; write '{shape}'")
        text = token[2] if token[1] is None else token[1]
        escapes = re.findall(r"\\(\d{3}|.)", text)
        if any(escape.isdigit() and (len(escape) < 3 or int(escape) > 255) for escape in escapes):
            raise ValueError(f"{data!r} has a number that is no byte after a backslash; write 3 digits, up to \\255")
        found.append(
            re.sub(
                rb"\\(\d{3}|.)",
                lambda escaped: bytes([int(escaped[1])]) if len(escaped[1]) == 3 else escaped[1],
                text.encode(),
            )
        )
        rest = rest[token.end() :].lstrip()
    if len(found) != count:
        raise ValueError(f"{data!r} has not the {count} parts of its type; write '{shape}'")
    return found


def _quoted(data):
    """A character-string of at most 255 bytes (RFC 1035, section 5.1)."""
    pieces = []
    for byte in data:
        if byte in b'"\\':
            pieces.append(f"\\{chr(byte)}")
        else:
            pieces.append(chr(byte) if 32 <= byte < 127 else f"\\{byte:03d}")
    # The host replaces the token of the serial: text that happens to hold it stays as it is.
    return '"' + "".join(pieces).replace(SERIAL, "\\064" + SERIAL[1:]) + '"'


def _text(value):
    data = value.encode("utf-8")
    return " ".join(_quoted(data[start : start + 255]) for start in range(0, max(len(data), 1), 255))


def _address(version):
    def address(value):
        try:
            found = ipaddress.ip_address(value)
        except ValueError:
            found = None
        if found is None or found.version != version or "%" in value:
            raise ValueError(f"{value!r} is not an IPv{version} address")
        if version == 6 and found.ipv4_mapped:
            raise ValueError(f"{value!r} is an IPv4 address in the form of an IPv6 one; write an A record for it")
        return str(found)

    return address


def _hexadecimal(value):
    digits = value.replace(" ", "").lower()
    if not digits or len(digits) % 2 or not re.fullmatch("[0-9a-f]+", digits):
        raise ValueError(f"{value!r} is not an even number of hexadecimal digits")
    return digits


def _fields(data, count, shape):
    fields = data.split(None, count - 1)
    if len(fields) != count:
        raise ValueError(f"{data!r} has not the {count} parts of its type; write '{shape}'")
    return fields


def _single(data, shape):
    return _fields(data, 1, shape)[0].strip()


def _caa(data):
    flags, tag, value = _fields(data, 3, '0 issue "ca.example.net"')
    if _number(flags, 255) not in ("0", "128"):
        raise ValueError(f"{flags!r} is not 0, nor 128 for critical (RFC 8659)")
    if not re.fullmatch("[A-Za-z0-9]{1,15}", tag):
        raise ValueError(f"{tag!r} is not a CAA tag; write for example issue, issuewild or iodef (RFC 8659)")
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if not value.isascii() or not value.isprintable() or '"' in value or "\\" in value or len(value) > 255:
        raise ValueError(f"{value!r} is not a CAA value; write printable ASCII without quotes and backslashes")
    return f"{int(flags)} {tag.lower()} {_quoted(value.encode())}"


def _tlsa(data):
    usage, selector, matching, digest = _fields(data, 4, "3 1 1 <hexadecimal digits>")
    digest = digest.strip()
    if digest != PIN:
        digest = _hexadecimal(digest)
        if len(digest) != {"1": 64, "2": 128}.get(matching, len(digest)):
            raise ValueError(f"{digest!r} has {len(digest)} digits; write 64 for SHA-256 (1), 128 for SHA-512 (2)")
    return f"{_number(usage, 3)} {_number(selector, 1)} {_number(matching, 2)} {digest}"


def _smimea(data):
    """SMIMEA (RFC 8162)."""
    usage, selector, matching, digest = _fields(data, 4, "3 1 1 <hexadecimal digits>")
    digest = _hexadecimal(digest)
    if len(digest) != {"1": 64, "2": 128}.get(matching, len(digest)):
        raise ValueError(f"{digest!r} has {len(digest)} digits; write 64 for SHA-256 (1), 128 for SHA-512 (2)")
    return f"{_number(usage, 3)} {_number(selector, 1)} {_number(matching, 2)} {digest}"


def _naptr(data, zone):
    """NAPTR (RFC 3403, section 4.1)."""
    shape = '100 10 "s" "SIP+D2U" "" _sip._udp.example.net.'
    order, preference, flags, service, expression, target = _strings(data, 6, shape)
    if not re.fullmatch(b"[A-Za-z0-9]*", flags):
        raise ValueError(
            f"{flags.decode('latin-1')!r} is not a text of flags; write letters and digits, for example 'u'"
        )
    target = _target(target.decode("latin-1"), zone)
    if expression:
        delimiter = re.escape(expression[:1])
        body = rb"(?:(?!%b)[^\\]|\\.)*" % delimiter
        if target != "." or not re.fullmatch(
            rb"%b%b%b%b%bi?" % (delimiter, body, delimiter, body, delimiter), expression
        ):
            raise ValueError(
                f"{expression.decode('latin-1')!r} is not an expression with its replacement, or has a name after it, too; write "
                "for example '!^.*$!sip:info@example.net!' with '.' after it, and each backslash twice"
            )
    texts = []
    for item in (flags, service, expression):
        if len(item) > 255:
            raise ValueError(
                f"{item.decode('latin-1')[:40]!r}… has {len(item)} bytes; a character-string has at most 255"
            )
        texts.append(_quoted(item))
    numbers = [_number(number.decode("latin-1"), 65535) for number in (order, preference)]
    return " ".join([*numbers, *texts, target])


def _uri(data):
    """URI (RFC 7553)."""
    priority, weight, target = _strings(data, 3, '10 1 "https://example.net/path"')
    if not re.fullmatch(rb"[A-Za-z][A-Za-z0-9+.-]*:[!#-\[\]-~]+", target):
        raise ValueError(f"{target.decode('latin-1')!r} is not a URI; write for example 'https://example.net/path'")
    numbers = [_number(number.decode("latin-1"), 65535) for number in (priority, weight)]
    return " ".join([*numbers, _quoted(target)])


def _base64(value):
    packed = "".join(value.split())
    try:
        known = base64.b64decode(packed, validate=True)
    except ValueError:
        known = b""
    if not known:
        raise ValueError(f"{value[:40]!r} is not Base64 (RFC 4648); write what `gpg --export` gives, by `base64`")
    return packed


def _loc(data):
    """LOC (RFC 1876, section 3), as BIND writes it."""
    angle = r"(\d{1,3})(?: (\d{1,2})(?: (\d{1,2}(?:\.\d{1,3})?))?)? "
    metres = r"(\d{1,8}(?:\.\d{1,2})?)m?"
    found = re.fullmatch(
        rf"{angle}([NS]) {angle}([EW]) (-?\d{{1,8}}(?:\.\d{{1,2}})?)m?(?: {metres})?(?: {metres})?(?: {metres})?",
        " ".join(data.upper().replace("M", "m").split()),
    )
    if not found:
        raise ValueError(f"{data!r} is not a place; write for example '52 22 23.000 N 4 53 32.000 E 10m'")
    parts = []
    for place, most in ((0, 90), (4, 180)):
        degrees, minutes, seconds, side = found.groups("0")[place : place + 4]
        if int(minutes) > 59 or float(seconds) >= 60 or int(degrees) + int(minutes) / 60 + float(seconds) / 3600 > most:
            raise ValueError(
                f"{data!r} is not a place: no angle is above {most} degrees, 59 minutes and 59.999 seconds"
            )
        parts.append(f"{int(degrees)} {int(minutes)} {float(seconds):.3f} {side}")
    altitude, *sizes = found.groups()[8:]
    if not -100000 <= float(altitude) <= 42849672.95:
        raise ValueError(f"{data!r} is not a place: its height is outside -100000m and 42849672.95m")
    parts.append(f"{float(altitude):.2f}m")
    for size, usual in zip(sizes, ("1", "10000", "10"), strict=True):
        # Of a size, the record holds the first digit and how many follow.
        digits = str(round(float(size or usual) * 100))
        whole = int(digits[0]) * 10 ** (len(digits) - 1)
        if len(digits) > 10:
            raise ValueError(f"{data!r} is not a place: {size}m is more than 90000000m")
        parts.append(f"{whole // 100}m" if whole % 100 == 0 and whole else f"{whole / 100:.2f}m")
    return " ".join(parts)


def _generic(data):
    """The data of a type that has no form of its own here (RFC 3597, section 5)."""
    found = re.fullmatch(r"\\# (\d{1,5})((?: [0-9A-Fa-f]+)*)", " ".join(data.split()))
    digits = found[2].replace(" ", "").lower() if found else ""
    if not found or len(digits) != 2 * int(found[1]) or int(found[1]) > 65535:
        raise ValueError(
            rf"{data!r} is not data of an unknown type; write '\#', the count of bytes, and these as hexadecimal digits, for "
            r"example '\# 4 0a000001' (RFC 3597)"
        )
    return " ".join(["\\#", str(int(found[1])), *([digits] if digits else [])])


def _binding_key(name):
    """A key of a service binding by its name, or key and its number."""
    if name in BINDING_KEYS:
        return name
    number = re.fullmatch(r"key(0|[1-9]\d{0,4})", name)
    if not number or int(number[1]) > 65534:
        raise ValueError(
            f"{name!r} is not a key of a service binding; write one of {', '.join(BINDING_KEYS)}, or 'key' and a number (RFC 9460)"
        )
    return BINDING_KEYS[int(number[1])] if int(number[1]) < len(BINDING_KEYS) else name


def _binding_value(key, value):
    """Checks the value of a key, None where there is none."""
    hints = {"ipv4hint": _address(4), "ipv6hint": _address(6)}
    if (value is None or value == "") != (key == "no-default-alpn") and not re.match(r"key\d", key):
        raise ValueError(f"{key}: {value!r} is not its value; write for example 'alpn=h2', and 'no-default-alpn' alone")
    if key == "port":
        _number(value, 65535)
    elif key in hints:
        for item in value.split(","):
            named(key, hints[key], item)
    elif key == "ech":
        named(key, _base64, value)
    elif key == "dohpath" and not re.fullmatch(r"/[^{}]*(\{[^{}]*\}[^{}]*)*", value):
        raise ValueError(f"dohpath: {value!r} is not a path; write for example '/dns-query{{?dns}}' (RFC 9461)")
    elif key == "dohpath" and not re.search(r"\{[?&+/;.]?(\w+,)*dns(,\w+)*\}", value):
        raise ValueError(
            f"dohpath: {value!r} lacks the variable dns; write for example '/dns-query{{?dns}}' (RFC 9461)"
        )


def _service_binding(data, zone):
    priority, target, *parameters = data.split()
    keys, written = {}, []
    for parameter in parameters:
        found = re.fullmatch(r'([a-z0-9-]+)(?:=("?)([!#-\x27*-:<-\[\]-~]*)\2)?', parameter)
        if not found:
            raise ValueError(
                f"{parameter!r} is not a parameter of a service binding; write for example 'alpn=h2' (RFC 9460)"
            )
        key, value = _binding_key(found[1]), found[3]
        _binding_value(key, value)
        if key in keys:
            raise ValueError(f"{found[1]!r} is listed twice; write each key once (RFC 9460)")
        keys[key] = value
        plain = value is None or re.fullmatch(r"[A-Za-z0-9.,:+/_=-]*", value)
        written.append(parameter if plain else f'{found[1]}="{value}"')
    for key in map(_binding_key, (keys.get("mandatory") or "").split(",") if keys.get("mandatory") else ()):
        if key not in keys or key == "mandatory":
            raise ValueError(
                f"mandatory: {key!r} is not one of the other keys here; add it, or leave it out (RFC 9460)"
            )
    if _number(priority, 65535) == "0" and keys:
        raise ValueError(f"{data!r} is an alias by its 0, and has no parameters; write a priority from 1 (RFC 9460)")
    return " ".join([_number(priority, 65535), _target(target, zone), *written])


def presentation(kind, data, zone):
    """Returns a record's data as it stands in a zone file, with every name absolute."""
    if kind == "TXT":
        return _text(data)
    if not data.isascii() or not data.isprintable():
        raise ValueError(f"{data!r} holds a character that is not printable ASCII; leave it out")
    return PRESENTATIONS.get(kind, lambda text, _zone: _generic(text))(data, zone)


def _mx(data, zone):
    preference, target = _fields(data, 2, "10 mail.example.net.")
    return f"{_number(preference, 65535)} {_host(target.strip(), zone)}"


def _srv(data, zone):
    *numbers, target = _fields(data, 4, "0 5 5222 host.example.net.")
    return " ".join([*(_number(number, 65535) for number in numbers), _host(target.strip(), zone)])


def _sshfp(data, _zone):
    algorithm, digest_type, digest = _fields(data, 3, "4 2 <hexadecimal digits>")
    return f"{_number(algorithm, 255)} {_number(digest_type, 255)} {_hexadecimal(digest)}"


def _ds(data, _zone):
    tag, algorithm, digest_type, digest = _fields(data, 4, "12345 13 2 <hexadecimal digits>")
    return f"{_number(tag, 65535)} {_number(algorithm, 255)} {_number(digest_type, 255)} {_hexadecimal(digest)}"


def _svcb(data, zone):
    if len(data.split()) < 2:
        raise ValueError(f"{data!r} has not the parts of its type; write '1 . alpn=h2'")
    return _service_binding(data, zone)


def _name(data, zone):
    return _target(_single(data, "host.example.net."), zone)


# Type → how its data is checked and written. Other types are written by their number (RFC 3597).
PRESENTATIONS = {
    "A": lambda data, _zone: _address(4)(data),
    "AAAA": lambda data, _zone: _address(6)(data),
    "CAA": lambda data, _zone: _caa(data),
    "CNAME": _name,
    "DNAME": _name,
    "DS": _ds,
    "HTTPS": _svcb,
    "LOC": lambda data, _zone: _loc(data),
    "MX": _mx,
    "NAPTR": _naptr,
    "NS": lambda data, zone: _host(_single(data, "host.example.net."), zone),
    "OPENPGPKEY": lambda data, _zone: _base64(data),
    "PTR": _name,
    "SMIMEA": lambda data, _zone: _smimea(data),
    "SRV": _srv,
    "SSHFP": _sshfp,
    "SVCB": _svcb,
    "TLSA": lambda data, _zone: _tlsa(data),
    "TXT": lambda data, _zone: _text(data),
    "URI": lambda data, _zone: _uri(data),
}
TYPES = tuple(PRESENTATIONS)
TYPE_NUMBERS = {
    **{1: "A", 2: "NS", 5: "CNAME", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR"},
    **{39: "DNAME", 43: "DS", 44: "SSHFP", 52: "TLSA", 53: "SMIMEA", 61: "OPENPGPKEY", 64: "SVCB", 65: "HTTPS"},
    **{256: "URI", 257: "CAA"},
}
# BIND makes these by itself, or they are no data: SOA, those of DNSSEC, and what only messages have (RFC 6895, section 3.1).
NOT_DATA = {0, 6, 24, 25, 30, 41, 46, 47, 48, 50, 51, 59, 60, *range(128, 256), 65535}


def record_type(value):
    """A type by its name, or TYPE and its number (RFC 3597)."""
    if value in PRESENTATIONS:
        return str(value)
    number = re.fullmatch(r"TYPE(0|[1-9]\d{0,4})", value) if isinstance(value, str) else None
    if not number or int(number[1]) > 65535:
        raise ValueError(
            f"{value!r} is not a known record type; write one of {', '.join(TYPES)}, or TYPE and the number of another (RFC 3597)"
        )
    if int(number[1]) in TYPE_NUMBERS:
        raise ValueError(f"{value!r} is {TYPE_NUMBERS[int(number[1])]}; write that name, and its data in its own form")
    if int(number[1]) in NOT_DATA:
        raise ValueError(
            f"{value!r} is not a type for records of your own: BIND makes them, or no zone has them; leave it out"
        )
    return str(value)


def check_record(record, zone):
    """Returns a record with its keys checked, its name relative, and its data as given."""
    if not isinstance(record, Mapping):
        raise ValueError(f"{record!r} is not a record; write a dictionary with name, type and data")
    for key in record:
        if key not in RECORD_KEYS:
            raise ValueError(f"{key!r} is not a key of a record; {checks.nearest(key, RECORD_KEYS)}")
    name = owner_name(record.get("name"), zone)
    kind = named(name, record_type, record.get("type"))
    if kind in ("A", "AAAA", "MX") and re.search("[_/]", name):
        raise ValueError(
            f"{name} {kind}: {name!r} is not the name of a host; write letters, digits and hyphens (RFC 1123)"
        )
    if kind in ("NS", "DNAME") and name.startswith("*"):
        raise ValueError(
            f"{name} {kind}: a wildcard neither delegates nor redirects; write each name (RFC 4592, section 4)"
        )
    data = record.get("data")
    if not isinstance(data, str) or (not data and kind != "TXT"):
        raise ValueError(f"{name} {kind}: {data!r} is not a record's data; write it as text, in quotes")
    named(f"{name} {kind}", lambda text: presentation(kind, text, zone), str(data))
    checked = {"name": name, "type": str(kind), "data": str(data)}
    if record.get("ttl") is not None:
        checked["ttl"] = named(f"{name} {kind}: ttl", checks.ttl, record["ttl"])
    certificate = record.get("certificate")
    if certificate is not None:
        checked["certificate"] = checks.text(certificate, "the path of a certificate", "/etc/ssl/fullchain.pem")
    if kind == "TLSA" and (PIN in data) != (certificate is not None):
        raise ValueError(f"{name} TLSA: {PIN} and a certificate belong together; write both or none")
    if kind not in ("TLSA", "CAA") and certificate is not None:
        raise ValueError(f"{name} {kind}: no certificate belongs to it; leave it out")
    return checked


def _inside(name, domain):
    return name == domain or name.endswith(f".{domain}")


class Owners:
    """Which types a name of a zone is answered with; names are relative to the zone, @ for the zone itself."""

    def __init__(self, records):
        self.types = {"@": {"SOA"}}
        for record in records:
            self.types.setdefault(record["name"], set()).add(record["type"])
        # A name exists when one below it does (empty non-terminals, RFC 4592, section 2.2.2).
        self.existing = {above for name in self.types for above in _upwards(name)}

    def leads_to(self, name):
        """The delegation (NS) or redirection (DNAME) that hides what this zone has at a name, or None."""
        for above in reversed(list(_upwards(name))):
            types = self.types.get(above, ())
            if above != "@" and "NS" in types:
                return above
            if above != name and "DNAME" in types:
                return above
        return None

    def at(self, name):
        """The types at a name: its own, or those of the wildcard of its closest encloser (RFC 4592, section 3.3.1)."""
        if name in self.existing:
            return self.types.get(name, set())
        encloser = next(above for above in _upwards(name) if above in self.existing)
        return self.types.get("*" if encloser == "@" else f"*.{encloser}", set())


def _upwards(name):
    """A relative name and every name above it, up to the zone itself."""
    while name != "@":
        yield name
        name = name.partition(".")[2] or "@"
    yield "@"


def check_records(records, zone):
    """Returns checked records, each once; refuses what a name server would refuse."""
    if isinstance(records, (str, Mapping)) or not isinstance(records, Sequence):
        raise ValueError(f"records: {records!r} is not a list; write dictionaries with name, type and data")
    checked, seen = [], {}
    for number, given in enumerate(records, 1):
        record = named(f"record {number}", lambda item: check_record(item, zone), given)
        key = (
            record["name"],
            record["type"],
            presentation(record["type"], record["data"], zone),
            record.get("certificate"),
        )
        if key not in seen:
            seen[key] = record
            checked.append(record)
    owners, times = Owners(checked), {}
    for record in checked:
        ttl = times.setdefault((record["name"], record["type"]), record.get("ttl"))
        if ttl != record.get("ttl"):
            raise ValueError(
                f"{record['name']} {record['type']}: its records have different TTLs; give all the same (RFC 2181)"
            )
    aliases = [record["name"] for record in checked if record["type"] == "CNAME"]
    for name in aliases:
        others = sorted(owners.types[name] - {"CNAME"})
        if others or aliases.count(name) > 1:
            raise ValueError(
                f"{name} CNAME: an alias allows no other record at its name, and there is "
                f"{', '.join(others) or 'another'}; leave out the one or the other (RFC 1034, section 3.6.2)"
            )
    for record in checked:
        above = owners.leads_to(record["name"])
        if above and "DNAME" in owners.types[above] and above != record["name"]:
            raise ValueError(
                f"{record['name']} {record['type']}: {above} DNAME leads everything below it elsewhere; leave out the one or the "
                "other (RFC 6672, section 2.4)"
            )
        if (
            record["type"] == "DNAME"
            and sum(other["type"] == "DNAME" and other["name"] == record["name"] for other in checked) > 1
        ):
            raise ValueError(
                f"{record['name']} DNAME: there is another; a name leads to one place (RFC 6672, section 2.4)"
            )
        if record["type"] in ("NS", "MX", "SRV"):
            target = presentation(record["type"], record["data"], zone).split()[-1]
            if _inside(target[:-1], zone):
                name = owner_name(target, zone)
                cut = owners.leads_to(name)
                # Another server has the addresses below a delegation; only its own name needs one here (glue), and a
                # wildcard gives none.
                if cut and "NS" in owners.types[cut] and record["type"] != "NS":
                    continue
                types = owners.types.get(name, set()) if cut else owners.at(name)
                if not types & {"A", "AAAA"}:
                    raise ValueError(
                        f"{record['name']} {record['type']}: its target {target} has no address in the zone; add an A "
                        "or AAAA record for it, or name another host"
                    )
    return checked


def _soa_values(nameservers, hostmaster, ttl):
    """Returns the SOA record's values but the serial, which the host counts."""
    hostmaster = named("hostmaster", checks.bare_jid, hostmaster)
    local, _at, mail_domain = hostmaster.rpartition("@")
    if not re.fullmatch(r"[A-Za-z0-9._+-]{1,63}", local):
        raise ValueError(f"hostmaster: {hostmaster!r} is not a mailbox; write for example 'hostmaster@example.org'")
    return {
        "mname": f"{nameservers[0]}.",
        "rname": local.replace(".", "\\.") + f".{checks.xmpp_domain(mail_domain)}.",
        **SOA_TIMES,
        "minimum": min(ttl, 3600),
    }


_nameservers = checks.list_of(checks.host_name, "name servers", "['ns1.example.org']", False)


def _items(label, value, shape):
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise ValueError(f"{label}: {value!r} is not a list; write dictionaries with {shape}")
    return enumerate(value, 1)


def _keys(value, known, what):
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not {what}; write a dictionary with {', '.join(known)}")
    for key in value:
        if key not in known:
            raise ValueError(f"{key!r} is not a key of {what}; {checks.nearest(key, known)}")


def ssh_fingerprint(key):
    """Returns the data of the SSHFP record of an OpenSSH public key (RFC 4255, RFC 6594, RFC 7479)."""
    hint = "write what is in /etc/ssh/ssh_host_ed25519_key.pub, for example 'ssh-ed25519 AAAA…'"
    checks.text(key, "an SSH public key", "ssh-ed25519 AAAA…")
    encoded = next((part for part in key.split() if part.startswith("AAAA")), "")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except ValueError:
        blob = b""
    length = int.from_bytes(blob[:4], "big")
    kind = blob[4 : 4 + length].decode("ascii", "replace")
    if len(blob) <= 4 + length or kind not in SSH_ALGORITHMS:
        raise ValueError(f"{str(key)[:60]!r} is not an SSH public key of a known kind; {hint}")
    return f"{SSH_ALGORITHMS[kind]} 2 {hashlib.sha256(blob).hexdigest()}"


def dns_zones(
    domains,
    hostname,
    addresses,
    certificate_authorities=None,
    certificates=(),
    nameservers=None,
    hostmaster=None,
    ttl=3600,
    records=(),
    services=("client", "server", "web"),
    host_keys=(),
    private_addresses=False,
):
    """Returns the zones that a host with these domains must publish."""
    entries = named("domains", checks.some_domains, domains)
    hostname = named("hostname", checks.host_name, hostname)
    addresses = named("addresses", lambda value: checks.public_addresses(value, private_addresses), addresses)
    services = named("services", checks.list_of(_service, "services", "['client', 'server', 'web']"), services)
    names = [entry["domain"] for entry in entries]
    # A domain below another one is in the zone of that one.
    apexes = [name for name in names if not any(name != other and _inside(name, other) for other in names)]
    zones = {apex: [] for apex in apexes}
    for entry in entries:
        for kind, name in entry.get("components", {}).items():
            if not any(name.endswith(f".{zone}") for zone in apexes):
                raise ValueError(
                    f"{entry['domain']}: components.{kind}: {name!r} is not inside the zone {entry['domain']}; write a "
                    f"name that ends in '.{entry['domain']}'"
                )
    nameservers = named("nameservers", _nameservers, [hostname] if nameservers is None else nameservers)
    ttl = named("ttl", checks.ttl, ttl)

    def zone_of(name):
        return next((apex for apex in apexes if _inside(name, apex)), None)

    def add(name, kind, data, prefix="", **rest):
        zone = zone_of(name)
        if zone is not None:
            relative = owner_name(f"{name}.", zone)
            owner = f"{prefix}.{relative}" if prefix and relative != "@" else prefix or relative
            zones[zone].append({"name": owner, "type": kind, "data": data, **rest})

    for apex in apexes:
        for name in nameservers:
            add(apex, "NS", f"{name}.")
    xmpp = names_of(entries)
    uploads = [entry["components"]["upload"] for entry in entries if "upload" in entry.get("components", {})]
    fronts = [web_of(entry) for entry in entries]
    web = [*fronts, *uploads] if "web" in services else []
    # Another server has the address of a domain whose website is there.
    elsewhere = set(names) - set(fronts)
    hosts = list(dict.fromkeys([*fronts, hostname, *(name for name in xmpp if name not in elsewhere)]))
    for name in hosts:
        for address in addresses:
            add(name, "AAAA" if ":" in address else "A", address)
    for name in xmpp:
        for service, label, port in XMPP_SERVICES:
            if service in services:
                add(name, "SRV", f"0 5 {port} {hostname}.", f"{label}._tcp")
    for name in names:
        for service, label, port in TURN_SERVICES:
            if service in services:
                add(name, "SRV", f"0 5 {port} {hostname}.", label)
    for name in web:
        add(name, "HTTPS", "1 .")
    certificates = named("certificates", checks.list_of(str, "paths", "['/etc/ssl/fullchain.pem']"), certificates)
    if certificates:
        # RFC 7673: at the SRV target for XMPP; RFC 6698: at the name itself for HTTPS.
        ends = [(hostname, port) for service, _label, port in XMPP_SERVICES if service in services]
        ends += [(name, 443) for name in ([hostname, *web] if web else [])]
        ends += [(hostname, 5349)] if "turns" in services else []
        for name, port in dict.fromkeys(ends):
            for certificate in certificates:
                add(name, "TLSA", f"3 1 1 {PIN}", f"_{port}._tcp", certificate=certificate)
    for key in checks.list_of(lambda item: named("host_keys", ssh_fingerprint, item), "keys", "['ssh-ed25519 AAAA…']")(
        host_keys
    ):
        add(hostname, "SSHFP", key)
    if certificate_authorities is not None:
        issuers = named(
            "certificate_authorities", checks.FORMATS["xmpp_certificate_authorities"], certificate_authorities
        )
        for apex in apexes:
            for issuer in issuers or [";"]:
                # An issuer with parameters of its own is the operator's decision.
                bound = {"certificate": certificates[0]} if certificates and ";" not in issuer else {}
                add(apex, "CAA", f'0 issue "{issuer}"', **bound)
            add(apex, "CAA", '0 issuewild ";"')
    mail = set()
    for number, item in _items("records", records, "name, type and data"):
        given = item.get("name") if isinstance(item, Mapping) else None
        absolute = isinstance(given, str) and given.endswith(".")
        zone = (zone_of(given[:-1].lower()) if absolute else None) or apexes[0]
        own = named(f"records: number {number}", lambda value, apex=zone: check_record(value, apex), item)
        zones[zone].append(own)
        if own["type"] == "MX" or (own["type"] == "TXT" and own["data"].lower().startswith("v=spf1")):
            mail.add((zone, own["name"]))
    # Who has an address and no MX would be sent mail to that address (RFC 5321): say that there is none.
    for name in [*hosts, *sorted(elsewhere)]:
        zone = zone_of(name)
        if zone is not None and (zone, owner_name(f"{name}.", zone)) not in mail:
            add(name, "MX", "0 .")
            add(name, "TXT", "v=spf1 -all")
    return [
        {
            "name": apex,
            "ttl": ttl,
            "soa": _soa_values(nameservers, f"hostmaster@{apex}" if hostmaster is None else hostmaster, ttl),
            "records": check_records(zones[apex], apex),
        }
        for apex in apexes
    ]


def _service(value):
    if value not in SERVICES:
        raise ValueError(f"{value!r} is not a service; {checks.nearest(value, SERVICES)}")
    return str(value)


def dns_extra_zones(zones, extra, nameservers):
    """Returns zones, and after them the operator's own, complete with NS and SOA records."""
    usual = named("nameservers", _nameservers, nameservers)
    made = [zone for _number, zone in _items("the zones before", zones, ", ".join(ZONE_KEYS))]
    for number, given in _items("extra", extra, ", ".join(ZONE_KEYS)):
        where = f"extra: number {number}"
        named(where, lambda value: _keys(value, ZONE_KEYS, "a zone"), given)
        name = named(f"{where}: name", checks.zone_name, given.get("name"))
        if name in [zone["name"] for zone in made]:
            raise ValueError(f"{where}: {name!r} is listed twice; put all records into one zone")
        nameservers = named(f"{name}: nameservers", _nameservers, given.get("nameservers") or usual)
        ttl = named(f"{name}: ttl", checks.ttl, 3600 if given.get("ttl") is None else given["ttl"])
        records = [item for _number, item in _items(f"{name}: records", given.get("records") or [], "name, type, data")]
        records += [{"name": "@", "type": "NS", "data": f"{server}."} for server in nameservers]
        soa = named(
            name,
            lambda value, ns=nameservers, t=ttl: _soa_values(ns, value, t),
            # There is no mail at a name with a slash.
            given.get("hostmaster") or f"hostmaster@{nameservers[0] if '/' in name else name}",
        )
        checked = named(name, lambda value, apex=name: check_records(value, apex), records)
        made.append({"name": name, "ttl": ttl, "soa": soa, "records": checked})
    return made


def unreachable_names(domains, zones, certificate_names, services=("client", "server"), challenges=()):
    """Returns, for each domain and component, what keeps others from finding it or from trusting it."""
    entries = named("domains", checks.some_domains, domains)
    known = named("certificate_names", checks.list_of(str, "names", "['example.org']"), certificate_names)
    challenges = named("challenges", checks.list_of(str, "names", "['example.org']"), challenges)
    contents = {}
    for _number, zone in _items("zones", zones, ", ".join(ZONE_KEYS)):
        apex = zone["name"]
        records = [{"name": owner_name(item["name"], apex), "type": item["type"]} for item in zone["records"]]
        # The delegations of ACME's challenges make the names above them exist, so that no wildcard covers these.
        records += [
            {"name": owner_name(f"_acme-challenge.{name}.", apex), "type": "NS"}
            for name in challenges
            if _inside(name, apex)
        ]
        contents[apex] = Owners(records)
    apexes = list(contents)

    def lacks(name, wanted):
        """Whether the zone that the name is in answers with none of these types, and leads to no other one."""
        zone = max((apex for apex in apexes if _inside(name, apex)), key=len)
        relative = owner_name(f"{name}.", zone)
        return not contents[zone].leads_to(relative) and not contents[zone].at(relative) & wanted

    wrong = []
    for entry in entries:
        for name in dict.fromkeys([*names_of([entry]), web_of(entry)]):
            if name not in known and "*." + name.partition(".")[2] not in known:
                wrong.append(f"{name} is not in the certificate: add it to certificates_names")
            if not any(_inside(name, apex) for apex in apexes):
                wrong.append(f"{name} is in none of the zones {apexes}: add its zone to bind_zones")
                continue
            elsewhere = name == entry["domain"] != web_of(entry)
            if not elsewhere and lacks(name, {"A", "AAAA", "CNAME"}):
                wrong.append(f"{name} has no address in its zone: add an A or AAAA record to bind_zones")
            for service in ("client", "server"):
                # Clients log in to a domain; its components they reach by it.
                if name not in names_of([entry]) or service == "client" and name != entry["domain"]:
                    continue
                if service in services and lacks(f"_xmpp-{service}._tcp.{name}", {"SRV"}):
                    wrong.append(
                        f"{name} has no SRV record _xmpp-{service}._tcp in its zone (RFC 6120): add it to bind_zones"
                    )
    return wrong


def _soa(soa):
    if not isinstance(soa, Mapping):
        raise ValueError(f"soa: {soa!r} is not a dictionary; write mname, rname, refresh, retry, expire and minimum")
    names = []
    for key in ("mname", "rname"):
        value = soa.get(key)
        if not isinstance(value, str) or not value.endswith("."):
            raise ValueError(f"soa.{key}: {value!r} is not an absolute name; write for example 'ns1.example.org.'")
        # A dot within the mailbox's local part is escaped (RFC 1035, section 8).
        named(f"soa.{key}", _labels, re.sub(r"[+]", "-", value[:-1].replace("\\.", "-")))
        names.append(str(value))
    times = [str(named(f"soa.{key}", checks.ttl, soa.get(key))) for key in ("refresh", "retry", "expire", "minimum")]
    return " ".join([*names, SERIAL, *times])


def _pins(pins):
    """Returns the digests that are to be published of each certificate."""
    pins = {} if pins is None else pins
    if not isinstance(pins, Mapping):
        raise ValueError(f"pins: {pins!r} is not a dictionary; write the path of a certificate and its digests")
    checked = {}
    for path, given in pins.items():
        several = isinstance(given, Sequence) and not isinstance(given, str)
        checked[path] = list(given) if several else [given]
        for pin in checked[path]:
            if not isinstance(pin, str) or not re.fullmatch("[0-9a-f]{64}", pin):
                raise ValueError(f"pins: {pin!r} for {path!r} is not a digest; write 64 lower-case hexadecimal digits")
    return checked


def _accounts(accounts):
    """Returns the ACME accounts that order each certificate."""
    accounts = {} if accounts is None else accounts
    if not isinstance(accounts, Mapping):
        raise ValueError(
            f"accounts: {accounts!r} is not a dictionary; write the path of a certificate and its accounts"
        )
    for path, several in accounts.items():
        for _number, account in _items(f"accounts: {path}", several, "identities, uri and method"):
            uri, method = account.get("uri"), account.get("method")
            if not isinstance(uri, str) or not re.fullmatch(r"[a-z]+:[!#-:<-\[\]-~]+", uri):
                raise ValueError(f"accounts: {uri!r} for {path!r} is not the URI of an ACME account")
            if method not in ("dns-01", "http-01"):
                raise ValueError(f"accounts: {method!r} for {path!r} is not a method; write dns-01 or http-01")
    return accounts


def _issuers(data, accounts):
    """Returns what a CAA record becomes that lets these accounts alone order (RFC 8657)."""
    flags, tag, value = _fields(data, 3, '0 issue "ca.example.net"')
    issuer = value.strip('"')
    ours = [account for account in accounts if tag == "issue" and issuer in account["identities"]]
    return [
        _caa(f'{flags} {tag} "{issuer}; accounturi={account["uri"]}; validationmethods={account["method"]}"')
        for account in ours
    ] or [data]


def zone_records(zone, pins=None, accounts=None):
    """Returns the zone's name, its TTL, and its records with their data as in a zone file: name, TTL or nothing, type, data."""
    if not isinstance(zone, Mapping):
        raise ValueError(f"{zone!r} is not a zone; write a dictionary with name, ttl, soa and records")
    name = named("name", checks.zone_name, zone.get("name"))
    pins, accounts = _pins(pins), _accounts(accounts)
    ttl = named("ttl", checks.ttl, zone.get("ttl"))
    rows = []
    for record in check_records(zone.get("records"), name):
        data = presentation(record["type"], record["data"], name)
        # While a key is rolled, its record and that of the next one are there, side by side (RFC 7671, section 8.4).
        several = [data]
        if "certificate" in record and record["type"] == "CAA":
            several = _issuers(data, accounts.get(record["certificate"], ()))
        elif "certificate" in record:
            several = [data.replace(PIN, pin) for pin in pins.get(record["certificate"], ())]
        rows += [(record["name"], record.get("ttl"), record["type"], one) for one in several]
    # Two certificates may have the same key.
    return name, ttl, list(dict.fromkeys(rows))


def of_certificates(certificates):
    """Returns what zones need of what certificate_facts says: the digests and the accounts of each certificate."""
    there = {path: facts for path, facts in (certificates or {}).items() if facts["present"]}
    return (
        {path: facts["pins"] for path, facts in there.items()},
        {path: facts.get("accounts", ()) for path, facts in there.items()},
    )


def dns_zone_file(zone, pins=None, accounts=None):
    """Returns the text of a zone's file."""
    name, ttl, rows = zone_records(zone, pins, accounts)
    lines = [f"$ORIGIN {name}.", f"$TTL {ttl}", f"@ IN SOA {_soa(zone.get('soa'))}"]
    for owner, own_ttl, kind, data in rows:
        lines.append(f"{owner} {'' if own_ttl is None else f'{own_ttl} '}IN {kind} {data}")
    return "\n".join(lines) + "\n"


def dns_zone_files(zones, directory, certificates=None, group="bind"):
    """Returns the zones as entries of config_tree's option files."""
    names = [zone["name"] for zone in zones]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is listed twice; put all records into one zone")
    pins, accounts = of_certificates(certificates)
    return {
        f"{directory}/{file_of(zone['name'])}.zone": {
            "content": dns_zone_file(zone, pins, accounts),
            "serial": SERIAL,
            "group": group,
            "mode": "0640",
            # Its default asks the resolver about names of others, and waits where that cannot answer: a blank name server
            # may be the one that it would have to ask.
            "validate": ["named-checkzone", "-i", "local", zone["name"], "%s"],
        }
        for zone in zones
    }
