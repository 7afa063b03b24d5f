# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import datetime
import random
import re
import subprocess

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.lua import to_lua, to_lua_assignments

# Reads chunks, each after a line with its length, loads each as Lua and writes what came out, one line per chunk.
DUMP = r"""
local function dump(value)
  local kind = type(value)
  if kind == "string" then
    return "s" .. value:gsub(".", function (byte) return string.format("%02x", byte:byte()) end)
  elseif kind == "number" then
    return "n" .. string.format("%.17g", value)
  elseif kind == "table" then
    local items = {}
    for key, item in pairs(value) do items[#items + 1] = dump(key) .. "=" .. dump(item) end
    table.sort(items)
    return "{" .. table.concat(items, ",") .. "}"
  end
  return tostring(value)
end
local load_text = loadstring or load
while true do
  local length = io.read("*l")
  if not length then break end
  local chunk = assert(load_text(io.read(tonumber(length))))
  io.write(dump(chunk()), "\n")
end
"""


def dump(value):
    """What DUMP writes for the value."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, bytes)):
        return "s" + (value if isinstance(value, bytes) else value.encode()).hex()
    if isinstance(value, (int, float)):
        return "n" + format(float(value), ".17g")
    pairs = value.items() if isinstance(value, dict) else enumerate(value, 1)
    return "{" + ",".join(sorted(f"{dump(key)}={dump(item)}" for key, item in pairs if item is not None)) + "}"


def run_lua(chunks):
    data = b"".join(b"%d\n%s" % (len(chunk.encode()), chunk.encode()) for chunk in chunks)
    done = subprocess.run(["lua5.4", "-e", DUMP], input=data, capture_output=True, check=True)
    return done.stdout.decode().splitlines()


HOSTILE = [
    "",
    "plain",
    "it's",
    'say "hi"',
    "back\\slash",
    "\\",
    '\\"',
    "]]",
    "]==]",
    "--[[",
    "a\nb",
    "a\r\nb",
    "\r",
    "\t",
    "\0",
    "\x000",
    "\x001",
    "\x7f9",
    "\x1b[31m",
    "bröccoli 🥦",
    "\u2028",
    "\ufeff",
    "\x85",
    "${x}",
    "{{ x }}",
    "%d",
    '" .. os.exit() .. "',
    "nil",
    "end",
    "\\065",
    "\\x41",
    "\\z  ",
    "\u202e",
]
NUMBERS = [0, 1, -1, 2**53, -(2**53), 0.5, -0.25, 1e300, 5e-324, 1.0, 3.141592653589793, 255, 65536]


def value(source, depth=0):
    kind = source.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return source.choice([True, False])
    if kind == 1:
        return source.choice(NUMBERS) if source.random() < 0.5 else source.randint(-(2**53), 2**53)
    if kind == 2:
        return source.uniform(-1e9, 1e9) * 10.0 ** source.randint(-200, 200)
    if kind in (3, 4):
        return text(source)
    if kind == 5:
        return [value(source, depth + 1) for _ in range(source.randrange(5))]
    pairs = [
        (text(source) if source.random() < 0.8 else source.randint(-9, 9), value(source, depth + 1))
        for _ in range(source.randrange(5))
    ]
    return dict(pairs)


def text(source):
    if source.random() < 0.4:
        return source.choice(HOSTILE)
    ranges = [(0, 0x7F), (0, 0x7F), (0x20, 0x7E), (0x80, 0x7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)]
    return "".join(chr(source.randint(*source.choice(ranges))) for _ in range(source.randrange(12)))


@pytest.mark.parametrize("indent", [0, 4])
def test_lua_reads_back_what_was_written(indent):
    source = random.Random(6120)
    values = [value(source) for _ in range(3000)] + HOSTILE + NUMBERS + [None, True, [], {}, [[]], [{}], {"a": {}}]
    written = [to_lua(item, indent=indent) for item in values]
    read = run_lua(["return " + chunk for chunk in written])
    assert len(read) == len(values)
    wrong = [(item, chunk) for item, chunk, line in zip(values, written, read, strict=True) if dump(item) != line]
    print(f"{len(values)} values, {sum(map(len, written))} characters of Lua, {len(wrong)} read back differently")
    assert wrong == []


def test_escapes_are_those_of_lua_5_1():
    source = random.Random(51)
    written = "".join(to_lua(text(source), indent=0) for _ in range(2000))
    escapes = set(re.findall(r"\\(\d{3}|.)", written, re.DOTALL))
    print(f"escapes used: {sorted(escapes)}")
    assert {"n", "r", '"', "\\", "000"} <= escapes
    assert {escape for escape in escapes if not escape.isdigit()} <= set('nrt"\\')
    assert all(int(escape) < 256 for escape in escapes if escape.isdigit())
    assert not re.search("[\x00-\x1f\x7f]", written)


@pytest.mark.parametrize(
    ("item", "options", "expected"),
    [
        (
            {"admins": ["juliet@example.org"], "allow-registration": False},
            {"indent": 0},
            '{ admins = { "juliet@example.org" }, ["allow-registration"] = false }',
        ),
        (
            {"b": 1, "a": {"end": 2, "goto": 3, 5: "x", "2": "y"}},
            {},
            '{\n    b = 1,\n    a = {\n        ["end"] = 2,\n        ["goto"] = 3,\n        [5] = "x",\n        ["2"] = "y",\n'
            "    },\n}",
        ),
        ([1, 2.0], {"indent": 2, "level": 1}, "{\n    1,\n    2.0,\n  }"),
        ({"gone": None, "kept": ""}, {"indent": 0}, '{ kept = "" }'),
        ({"b", "a"}, {"indent": 0}, '{ "a", "b" }'),
        (("a", 1), {"indent": 0}, '{ "a", 1 }'),
        (iter("ab"), {"indent": 0}, '{ "a", "b" }'),
        (b'\x00\xff"\\\n', {}, '"\\000\\255\\"\\\\\\010"'),
        ('a\x001\n"\\ü', {}, '"a\\0001\\n\\"\\\\ü"'),
        ({"ünïcode": 1, "a\n": 2, "": 3}, {"indent": 0}, '{ ["ünïcode"] = 1, ["a\\n"] = 2, [""] = 3 }'),
        (None, {}, "nil"),
        ({"a": None}, {}, "{}"),
    ],
)
def test_written_form(item, options, expected):
    assert to_lua(item, **options) == expected


def nested(depth):
    item = 1
    for _ in range(depth):
        item = [item]
    return item


def test_the_deepest_nesting_allowed_loads():
    assert run_lua(["return " + to_lua(nested(100))]) == [dump(nested(100))]


@pytest.mark.parametrize(
    ("item", "options", "message"),
    [
        ({"a": [1, None]}, {}, "value.a[1]: null would end the list for Lua; leave the item out, or write false"),
        (
            {"a b": 2**53 + 1},
            {},
            "value['a b']: 9007199254740993 is beyond 2^53 = 9007199254740992, up to which every Lua "
            "reads integers exactly; write it as a string, in quotes",
        ),
        (-(2**64), {}, "value: -18446744073709551616 is beyond 2^53"),
        ({2**60: 1}, {}, "1152921504606846976 is beyond 2^53"),
        ([float("nan")], {}, "value[0]: nan has no Lua literal; write a finite number"),
        (float("-inf"), {}, "value: -inf has no Lua literal"),
        ({True: 1}, {}, "the key True is neither a string nor an integer; write it in quotes, for example 'True'"),
        ({None: 1}, {}, "the key None is neither a string nor an integer"),
        ({1.5: 1}, {}, "the key 1.5 is neither a string nor an integer"),
        ({"secret": "hunter2\ud800"}, {}, "value.secret: U+D800 is half of a character and cannot be written as UTF-8"),
        ({"\udfff": 1}, {}, "U+DFFF is half of a character"),
        (
            {"day": datetime.date(2025, 1, 2)},
            {},
            "value.day: date has no Lua form; write a string (in quotes), a number",
        ),
        ({1, "a"}, {}, "value: a set of different types has no order; write a list"),
        (nested(101), {}, "nested deeper than 100 levels; Lua cannot read it"),
        (1, {"indent": -1}, "indent: -1 is not a number from 0 to 16"),
        (1, {"indent": "4"}, "indent: '4' is not a number from 0 to 16"),
        (1, {"level": True}, "level: True is not a number from 0 to 16"),
    ],
)
def test_errors(item, options, message):
    with pytest.raises(ValueError) as caught:
        to_lua(item, **options)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_assignments_load():
    options = {"a": 1, "none": None, "modules": ["x", "]]"], "deep": {"k-k": {"z": "\0"}}, "_b2": '"'}
    source = to_lua_assignments(options, indent=2, level=1)
    assert source.startswith('  a = 1\n  modules = {\n    "x",\n')
    names = ", ".join(f"{name} = {name}" for name in options)
    assert run_lua([f"{source} return {{ {names} }}"]) == [dump(options)]
    assert to_lua_assignments({}) == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["a"], "value: list is not a dictionary; write option names with their values"),
        ({"a-b": 1}, "value['a-b']: 'a-b' is not a Lua name; write letters, digits and underscores"),
        ({"end": 1}, "'end' is not a Lua name"),
        ({"a = 1; os": 1}, "'a = 1; os' is not a Lua name"),
        ({"a\n": 1}, "'a\\n' is not a Lua name"),
        ({1: 1}, "1 is not a Lua name"),
        ({"a": [None]}, "value.a[0]: null would end the list"),
    ],
)
def test_assignment_errors(options, message):
    with pytest.raises(ValueError) as caught:
        to_lua_assignments(options)
    assert message in str(caught.value)
