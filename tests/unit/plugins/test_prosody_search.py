# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prosody's module search decides what a search may be and whom it finds, without Prosody."""

import subprocess
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.lua import to_lua

MATCH = Path(__file__).parents[3] / "roles/prosody/templates/usr/local/lib/prosody/modules/mod_search/match.lib.lua"
# Stands for stringprep: lower case, of one letter beyond ASCII as well.
SCRIPT = r"""
local match = assert(loadfile(arg[1]))()
local function fold(text) return (text:lower():gsub("Ö", "ö")) end
local wanted, problem = match.terms(load("return " .. arg[2])(), tonumber(arg[4]), fold)
if not wanted then print("refused: " .. problem) return end
for _, person in ipairs(load("return " .. arg[3])()) do
    if match.matches(match.prepare(person, fold), wanted) then print(person.nick[1]) end
end
"""
PEOPLE = [
    {
        "nick": ["juliet", "Jule 100%"],
        "first": ["Juliet", "Juliet Anna Öztürk-Capulet"],
        "last": ["Öztürk-Capulet", "Juliet Anna Öztürk-Capulet"],
        "email": ["Juliet@Example.org "],
    },
    {"nick": ["romeo"], "first": ["Romeo"], "last": ["Montague"], "email": []},
    {"nick": ["nurse"]},
]
SHORT = "Write more of each name: its length must be at least 3, without wildcards"
NOTHING = "Write a name, a nickname or a mail address"
WHOLE = "Mail addresses are only found whole"


def search(minimum=3, **given):
    done = subprocess.run(
        ["lua5.4", "-", str(MATCH), to_lua(given), to_lua(PEOPLE), str(minimum)],
        input=SCRIPT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"first": "Juliet"}, ["juliet"]),
        ({"first": "JUL"}, ["juliet"]),
        ({"first": "jul*"}, ["juliet"]),
        ({"first": "  jul  "}, ["juliet"]),
        # Beginnings of words, and of words in a row, but not their middles.
        ({"first": "ann"}, ["juliet"]),
        ({"first": "anna özt"}, ["juliet"]),
        ({"first": "nna"}, []),
        ({"first": "Juliet Öztürk"}, []),
        # No word reaches from one text into the next.
        ({"first": "juliet juliet"}, []),
        ({"last": "ÖZT"}, ["juliet"]),
        ({"last": "cap"}, ["juliet"]),
        ({"last": "Öztürk-Cap"}, ["juliet"]),
        ({"nick": "rom"}, ["romeo"]),
        ({"nick": "100"}, ["juliet"]),
        ({"nick": "nurse", "first": ""}, ["nurse"]),
        # All of it has to fit.
        ({"first": "rom", "last": "mon"}, ["romeo"]),
        ({"first": "rom", "last": "cap"}, []),
        ({"email": "juliet@example.org"}, ["juliet"]),
        ({"email": " JULIET@EXAMPLE.ORG"}, ["juliet"]),
        ({"email": "juliet@example.or"}, []),
        ({"email": "juliet@example.org", "first": "rom"}, []),
        # Lua's patterns are text here.
        ({"nick": "...abc"}, []),
        ({"nick": "%a%a%a"}, []),
        ({"nick": "[abc-xyz]"}, []),
        ({"email": ".+@.+"}, []),
    ],
)
def test_found(given, found):
    assert search(**given) == found


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, NOTHING),
        ({"first": " ", "email": "\t"}, NOTHING),
        ({"unknown": "juliet"}, NOTHING),
        ({"first": "ju"}, SHORT),
        ({"first": "ju*"}, SHORT),
        ({"first": "***"}, SHORT),
        ({"first": "%%%%"}, SHORT),
        ({"first": "j u"}, SHORT),
        ({"nick": "..."}, SHORT),
        # Characters count, not bytes.
        ({"first": "öö"}, SHORT),
        # One that is too short is not forgotten over one that is long enough.
        ({"first": "juliet", "last": "c"}, SHORT),
        ({"email": "@"}, WHOLE),
        ({"email": "juliet"}, WHOLE),
        ({"email": "*@example.org @"}, WHOLE),
    ],
)
def test_refused(given, reason):
    assert search(**given) == [f"refused: {reason}"]


def test_the_minimum_is_an_option():
    assert search(2, first="ju") == ["juliet"]
    assert search(2, first="öö") == []


def test_the_end_of_a_very_long_text_is_cut():
    assert search(nick="romeo" + " " * 10000) == ["romeo"]
    assert search(nick="romeo" + "x" * 10000) == []
