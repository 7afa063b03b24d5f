# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Types of records, and how the data of each is checked and written (RFC 1035, section 5)."""

from __future__ import annotations

import base64
import ipaddress
import re

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import named

SERIAL = "@SERIAL@"
PIN = "{pin}"
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


def check_labels(value):
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
        relative = check_labels(str(name))
        if f".{relative}".endswith(f".{zone}"):
            raise ValueError(
                f"{name!r} would become {name}.{zone}; write it relative to the zone, or with a dot at its end"
            )
        return relative
    absolute = check_labels(name[:-1])
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
        return check_labels(value[:-1]) + "."
    if "." in value:
        # It may be meant either way, so that neither is guessed.
        raise ValueError(
            f"{value!r} has no dot at its end; write '{value}.{zone}.' for the name inside the zone, or '{value}.' for "
            "that name itself"
        )
    return f"{check_labels(value)}.{zone}."


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
            example = "192.0.2.10" if version == 4 else "2001:db8::10"
            raise ValueError(f"{value!r} is not an IPv{version} address; write for example '{example}'")
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            raise ValueError(f"{value!r} is an IPv4 address in the form of an IPv6 one; write an A record for it")
        return str(found)

    return address


def _hexadecimal(value):
    digits = value.replace(" ", "").lower()
    if not digits or len(digits) % 2 or not re.fullmatch("[0-9a-f]+", digits):
        raise ValueError(f"{value!r} is not an even number of hexadecimal digits")
    return digits


def fields_of(data, count, shape):
    fields = data.split(None, count - 1)
    if len(fields) != count:
        raise ValueError(f"{data!r} has not the {count} parts of its type; write '{shape}'")
    return fields


def _single(data, shape):
    return fields_of(data, 1, shape)[0].strip()


def caa_data(data):
    flags, tag, value = fields_of(data, 3, '0 issue "ca.example.net"')
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
    usage, selector, matching, digest = fields_of(data, 4, "3 1 1 <hexadecimal digits>")
    digest = digest.strip()
    if digest != PIN:
        digest = _hexadecimal(digest)
        if len(digest) != {"1": 64, "2": 128}.get(matching, len(digest)):
            raise ValueError(f"{digest!r} has {len(digest)} digits; write 64 for SHA-256 (1), 128 for SHA-512 (2)")
    return f"{_number(usage, 3)} {_number(selector, 1)} {_number(matching, 2)} {digest}"


def _smimea(data):
    """SMIMEA (RFC 8162)."""
    usage, selector, matching, digest = fields_of(data, 4, "3 1 1 <hexadecimal digits>")
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
    preference, target = fields_of(data, 2, "10 mail.example.net.")
    return f"{_number(preference, 65535)} {_host(target.strip(), zone)}"


def _srv(data, zone):
    *numbers, target = fields_of(data, 4, "0 5 5222 host.example.net.")
    return " ".join([*(_number(number, 65535) for number in numbers), _host(target.strip(), zone)])


def _sshfp(data, _zone):
    algorithm, digest_type, digest = fields_of(data, 3, "4 2 <hexadecimal digits>")
    return f"{_number(algorithm, 255)} {_number(digest_type, 255)} {_hexadecimal(digest)}"


def _ds(data, _zone):
    tag, algorithm, digest_type, digest = fields_of(data, 4, "12345 13 2 <hexadecimal digits>")
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
    "CAA": lambda data, _zone: caa_data(data),
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
