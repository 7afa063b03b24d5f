# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lua source from plain data, for Lua 5.1 to 5.4."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence, Set

KEYWORDS = frozenset(
    [
        "and",
        "break",
        "do",
        "else",
        "elseif",
        "end",
        "false",
        "for",
        "function",
        "goto",
        "if",
        "in",
        "local",
        "nil",
        "not",
        "or",
        "repeat",
        "return",
        "then",
        "true",
        "until",
        "while",
    ]
)
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Lua 5.1 and 5.2 know only doubles: beyond 2^53 they would read another number.
MAX_INTEGER = 2**53
# Lua's parser refuses about 200 levels.
MAX_DEPTH = 100
SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def is_identifier(name):
    """Tells whether a string is a name in every Lua from 5.1 to 5.4."""
    return isinstance(name, str) and IDENTIFIER.fullmatch(name) is not None and name not in KEYWORDS


def _quote(text, where):
    pieces = []
    for character in text:
        code = ord(character)
        if character in SHORT_ESCAPES:
            pieces.append(SHORT_ESCAPES[character])
        elif code < 32 or code == 127:
            # Always three digits, lest a digit that follows be taken for a part of it.
            pieces.append(f"\\{code:03d}")
        elif 0xD800 <= code <= 0xDFFF:
            raise ValueError(f"{where}: U+{code:04X} is half of a character and cannot be written as UTF-8; write text")
        else:
            pieces.append(character)
    return '"' + "".join(pieces) + '"'


def _quote_bytes(data):
    pieces = (chr(byte) if 32 <= byte < 127 else f"\\{byte:03d}" for byte in data)
    return '"' + "".join(SHORT_ESCAPES.get(piece, piece) for piece in pieces) + '"'


def _integer(value, where):
    if abs(value) > MAX_INTEGER:
        raise ValueError(
            f"{where}: {int(value)} is beyond 2^53 = {MAX_INTEGER}, up to which every Lua reads integers exactly; "
            "write it as a string, in quotes"
        )
    return str(int(value))


def _key(key, where):
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise ValueError(
            f"{where}: the key {key!r} is neither a string nor an integer; write it in quotes, for example '{key}'"
        )
    if isinstance(key, int):
        return f"[{_integer(key, where)}]"
    return str(key) if is_identifier(key) else f"[{_quote(key, where)}]"


def _step(key):
    return f".{key}" if is_identifier(key) else f"[{key!r}]"


def _table(items, indent, level):
    if not items:
        return "{}"
    if not indent:
        return "{ " + ", ".join(items) + " }"
    inner = "\n" + " " * (indent * (level + 1))
    return "{" + inner + ("," + inner).join(items) + ",\n" + " " * (indent * level) + "}"


def _expression(value, indent, level, where, depth=0):
    """Returns a Lua expression for the value, which is at this depth and place of another one."""
    if depth > MAX_DEPTH:
        raise ValueError(f"{where[:60]}…: nested deeper than {MAX_DEPTH} levels; Lua cannot read it, write it flatter")
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quote(value, where)
    if isinstance(value, (bytes, bytearray)):
        return _quote_bytes(value)
    if isinstance(value, int):
        return _integer(value, where)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where}: {value} has no Lua literal; write a finite number")
        return repr(float(value))
    if isinstance(value, Mapping):
        items = []
        for key, item in value.items():
            # A table cannot hold nil: such a key is absent, as Lua would have it.
            if item is not None:
                here = where + _step(key)
                items.append(f"{_key(key, here)} = {_expression(item, indent, level + 1, here, depth + 1)}")
        return _table(items, indent, level)
    if isinstance(value, Set):
        try:
            value = sorted(value)
        except TypeError as error:
            raise ValueError(f"{where}: a set of different types has no order; write a list") from error
    if isinstance(value, (Sequence, Iterator)):
        items = []
        for number, item in enumerate(value):
            if item is None:
                raise ValueError(
                    f"{where}[{number}]: null would end the list for Lua; leave the item out, or write false"
                )
            items.append(_expression(item, indent, level + 1, f"{where}[{number}]", depth + 1))
        return _table(items, indent, level)
    raise ValueError(
        f"{where}: {type(value).__name__} has no Lua form; write a string (in quotes), a number, a boolean, a list or "
        "a dictionary"
    )


def to_lua(value, indent=4, level=0):
    """Returns a Lua expression for the value."""
    _check_layout(indent, level)
    return _expression(value, indent, level, "value")


def to_lua_assignments(options, indent=4, level=0):
    """Returns a Lua assignment for each item of a dictionary."""
    _check_layout(indent, level)
    if not isinstance(options, Mapping):
        raise ValueError(f"value: {type(options).__name__} is not a dictionary; write option names with their values")
    lines = []
    for key, value in options.items():
        if not is_identifier(key):
            raise ValueError(
                f"value{_step(key)}: {key!r} is not a Lua name; write letters, digits and underscores, "
                "not beginning with a digit, and no keyword of Lua"
            )
        if value is not None:
            lines.append(" " * (indent * level) + f"{key} = {_expression(value, indent, level, f'value.{key}')}\n")
    return "".join(lines)


def _check_layout(indent, level):
    """Checks the two numbers that a caller may choose."""
    for name, number, most in (("indent", indent, 16), ("level", level, 16)):
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= most:
            raise ValueError(f"{name}: {number!r} is not a number from 0 to {most}; write for example 4")
