# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prosody's module addressing decides who gets a copy, and what it shows, without Prosody."""

import subprocess
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.lua import to_lua

PLAN = Path(__file__).parents[3] / "roles/prosody/templates/usr/local/lib/prosody/modules/mod_addressing/plan.lib.lua"
# Stands for util.jid.prep: lower case, and nothing with two @.
SCRIPT = r"""
local plan = assert(loadfile(arg[1]))()
local function prep(jid) return not jid:find("@.*@") and jid ~= "" and jid:lower() or nil end
local recipients, shown, blind = plan.copies(load("return " .. arg[2])(), tonumber(arg[3]), "x.test", prep)
if not recipients then print("refused", shown, blind) return end
local function show(key, address)
    local names = {}
    for name in pairs(address) do table.insert(names, name) end
    table.sort(names)
    for i, name in ipairs(names) do names[i] = name .. "=" .. address[name] end
    print(key, table.concat(names, " "))
end
for _, jid in ipairs(recipients) do
    print("to", jid)
    if blind[jid] then show("only " .. jid, blind[jid]) end
end
for _, address in ipairs(shown) do show("shown", address) end
"""
TYPES = "The type of an address is one of to, cc, bcc, replyto, replyroom, noreply and ofrom"


def plan(given, limit=25):
    done = subprocess.run(
        ["lua5.4", "-", str(PLAN), to_lua(given), str(limit)], input=SCRIPT, capture_output=True, text=True, check=True
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def to(jid, kind="to", **others):
    return {"type": kind, "jid": jid, **others}


@pytest.mark.parametrize(
    ("given", "recipients", "shown"),
    [
        ([to("a@x.test")], ["a@x.test"], ["delivered=true jid=a@x.test type=to"]),
        (
            [to("a@x.test"), to("b@x.test", "cc"), to("c@x.test", "bcc")],
            ["a@x.test", "b@x.test", "c@x.test"],
            ["delivered=true jid=a@x.test type=to", "delivered=true jid=b@x.test type=cc"],
        ),
        # Nobody is sent a copy twice, whatever the spelling.
        (
            [to("a@x.test"), to("A@X.test", "cc"), to("a@x.test", "bcc"), to("a@x.test/one")],
            ["a@x.test", "a@x.test/one"],
            [
                "delivered=true jid=a@x.test type=to",
                "delivered=true jid=A@X.test type=cc",
                "delivered=true jid=a@x.test/one type=to",
            ],
        ),
        (
            [to("a@x.test", delivered="true"), to("b@x.test")],
            ["b@x.test"],
            ["delivered=true jid=a@x.test type=to", "delivered=true jid=b@x.test type=to"],
        ),
        # What is delivered is not read, so it may be anything.
        (
            [to("@@@", delivered="true"), to("b@x.test")],
            ["b@x.test"],
            ["delivered=true jid=@@@ type=to", "delivered=true jid=b@x.test type=to"],
        ),
        # What delivers nothing is kept as it is.
        (
            [
                to("b@x.test", "bcc"),
                to("a@x.test", "replyto", desc="Answers to me"),
                to("r@x.test", "replyroom"),
                {"type": "noreply"},
                {"type": "replyto", "uri": "mailto:a@x.test"},
                to("a@x.test", "ofrom"),
            ],
            ["b@x.test"],
            [
                "desc=Answers to me jid=a@x.test type=replyto",
                "jid=r@x.test type=replyroom",
                "type=noreply",
                "type=replyto uri=mailto:a@x.test",
                "jid=a@x.test type=ofrom",
            ],
        ),
        (
            [to("a@x.test", desc="'\"<&>]]>", node="n")],
            ["a@x.test"],
            ["delivered=true desc='\"<&>]]> jid=a@x.test node=n type=to"],
        ),
        ([to(f"{n}@x.test") for n in range(25)], [f"{n}@x.test" for n in range(25)], None),
    ],
)
def test_plan(given, recipients, shown):
    lines = plan(given)
    assert [value for key, value in lines if key == "to"] == recipients
    if shown is not None:
        assert [value for key, value in lines if key == "shown"] == shown


@pytest.mark.parametrize(
    ("given", "condition", "text"),
    [
        (
            [to(f"{n}@x.test") for n in range(26)],
            "not-acceptable",
            "26 addresses are more than the 25 that are allowed",
        ),
        ([{"type": "noreply"}] * 26, "not-acceptable", "26 addresses are more than the 25 that are allowed"),
        ([to("a@x.test"), to("a@b@c")], "jid-malformed", "An address of type 'to' has no valid JID"),
        ([{"type": "bcc"}], "jid-malformed", "An address of type 'bcc' has no valid JID"),
        ([{"type": "cc", "uri": "mailto:a@x.test"}], "jid-malformed", "An address of type 'cc' has no valid JID"),
        (
            [{"type": "cc", "jid": "a@x.test", "uri": "mailto:a@x.test"}],
            "jid-malformed",
            "An address of type 'cc' has no valid JID",
        ),
        ([], "bad-request", "Nobody is left to deliver to"),
        ([to("a@x.test"), {"jid": "b@x.test"}], "bad-request", TYPES),
        ([to("a@x.test"), to("b@x.test", "\N{SNOWMAN}", delivered="true")], "bad-request", TYPES),
        ([to("x.test")], "bad-request", "Nobody is left to deliver to"),
        ([to("a@x.test", "replyto")], "bad-request", "Nobody is left to deliver to"),
        ([to("a@x.test", delivered="true")], "bad-request", "Nobody is left to deliver to"),
    ],
)
def test_refusals(given, condition, text):
    assert plan(given) == [["refused", condition, text]]


def test_a_blind_address_is_shown_to_its_owner_alone():
    lines = plan([to("a@x.test"), to("B@x.test", "bcc", desc="b"), to("c@x.test", "bcc"), to("b@x.test", "bcc")])
    assert [line for line in lines if line[0] != "to"] == [
        ["only b@x.test", "delivered=true desc=b jid=B@x.test type=bcc"],
        ["only c@x.test", "delivered=true jid=c@x.test type=bcc"],
        ["shown", "delivered=true jid=a@x.test type=to"],
    ]


def test_the_service_itself_gets_no_copy():
    lines = plan([to("X.test"), to("x.test", "bcc"), to("a@x.test")])
    assert lines == [
        ["to", "a@x.test"],
        ["shown", "delivered=true jid=X.test type=to"],
        ["shown", "delivered=true jid=a@x.test type=to"],
    ]


def test_the_limit_is_an_option():
    assert plan([to("a@x.test"), to("b@x.test")], limit=1)[0][1] == "not-acceptable"
    assert plan([to("a@x.test")], limit=1)[0] == ["to", "a@x.test"]


@pytest.mark.parametrize(
    ("recipients", "size", "cost"),
    [(1, 1, 1), (25, 10240, 25), (25, 10241, 50), (1, 262144, 26), (25, 262144, 650), (0, 100, 0)],
)
def test_large_copies_count_as_several(recipients, size, cost):
    script = "print(('%d'):format(assert(loadfile(arg[1]))().cost(tonumber(arg[2]), tonumber(arg[3]))))"
    arguments = [str(PLAN), str(recipients), str(size)]
    done = subprocess.run(["lua5.4", "-", *arguments], input=script, capture_output=True, text=True, check=True)
    assert int(done.stdout) == cost
