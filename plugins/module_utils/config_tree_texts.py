# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts of config_tree: what is sent, serial numbers, and what a validator or a diff may show."""

from __future__ import annotations

import base64
import json
import re
import zlib


def pack(payload):
    """A payload as one ASCII string: nothing in it can be mistaken for, or found in, another value."""
    return base64.b64encode(zlib.compress(json.dumps(payload).encode("ascii"))).decode("ascii")


def unpack(text):
    """The payload that pack() was given."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def to_bytes(text):
    """The bytes of a file's content. Bytes that are no UTF-8 travel as lone surrogates."""
    return text.encode("utf-8", "surrogateescape")


def next_serial(live, now):
    """The serial number to follow `live` (None: there is none), in the arithmetic of RFC 1982.

    `now` is the time in seconds since 1970, so that a host that was set up anew is ahead of what others remember of the
    former one. It is taken when it is ahead of the live number, else live + 1.
    """
    if live is None or 0 < (now - live) % 2**32 < 2**31:
        return now
    return (live + 1) % 2**32 or 1


def find_serial(live, before, after):
    """The serial number in the file `live`: of its SOA record, else at the place that has the same line around it."""
    plain = re.sub(rb";[^\n]*", b"", live).translate(bytes.maketrans(b"()", b"  "))
    match = re.search(rb"\bSOA\s+\S+\s+\S+\s+(\d{1,10})(?!\S)", plain, re.IGNORECASE)
    if match is None:
        left = re.escape(before.rpartition(b"\n")[2])
        right = re.escape(after.partition(b"\n")[0])
        match = re.search(rb"^" + left + rb"(\d{1,10})" + right + rb"$", live, re.MULTILINE)
    if match is None or int(match[1]) >= 2**32:
        return None
    return int(match[1])


def with_serial(content, token, live, now):
    """`content` with `token` replaced by a number: the live one when the live file is the same but for it."""
    before, after = content.split(token)
    if live is None:
        return before + b"%d" % now + after
    number = live[len(before) : len(live) - len(after)]
    if re.fullmatch(rb"\d{1,10}", number) and live == before + number + after and int(number) < 2**32:
        return live
    return before + b"%d" % next_serial(find_serial(live, before, after), now) + after


def locate(output, paths):
    """The first (path, line) that a validator names; either may be None."""
    names = "|".join(re.escape(path) for path in sorted(paths, key=len, reverse=True))
    match = re.search(rf"({names})[\"']?(?:[:,]?\s*(?:on |at |near )?line\s+|:)(\d+)", output) if names else None
    if match:
        return match[1], int(match[2])
    path = re.search(names, output) if names else None
    line = re.search(r"\bline\s+(\d+)|:(\d+):", output)
    return path and path[0], line and int(line[1] or line[2])


def _words(text):
    """The words of a text, each whole and in its parts, that are worth hiding: of a validator's output."""
    whole = re.split(r"[\s\"'`,;(){}<>\[\]]+", text)
    parts = re.split(r"\W+", text)
    return {word for word in (*whole, *parts) if len(word) >= 4 and not (word.isdecimal() and len(word) < 6)}


# What can hold a value in Lua: comments, texts in any form, and numbers.
LUA_VALUES = re.compile(
    r"""--\[(?P<a>=*)\[.*?\](?P=a)\]|--[^\n]*|\[(?P<b>=*)\[.*?\](?P=b)\]|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|\b\d[\w.]*""",
    re.DOTALL,
)


def conceal(text, public):
    """A text of Lua without the values that its public form does not have; names of options stay."""
    known = {found[0] for found in LUA_VALUES.finditer(public)}
    return LUA_VALUES.sub(lambda found: found[0] if found[0] in known else "[secret]", text)


def redact(output, secrets, paths):
    """A validator's output without the words of secret files.

    `secrets` are pairs of a secret file's text and of what in it is public: its template. The managed `paths` stay.
    """
    hidden = set()
    for text, public in secrets:
        hidden |= _words(text) - _words(public)
    hidden -= set(paths)
    if not hidden:
        return output
    kept = set(paths)
    # A long word is hidden inside another one, too. A short one would hide parts of what the validator has to say.
    pattern = "|".join(
        re.escape(word) if len(word) >= 8 or word in kept else rf"(?<!\w){re.escape(word)}(?!\w)"
        for word in sorted(hidden | kept, key=len, reverse=True)
    )
    return re.sub(pattern, lambda match: match[0] if match[0] in kept else "[secret]", output)
