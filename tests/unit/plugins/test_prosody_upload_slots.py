# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prosody's module upload_slots decides which requests for a slot are valid, without Prosody."""

import subprocess
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.lua import to_lua

MODULES = Path(__file__).parents[3] / "roles/prosody/templates/usr/local/lib/prosody/modules"
REQUEST = MODULES / "mod_upload_slots/request.lib.lua"
SCRIPT = r"""
local request = assert(loadfile(arg[1]))()
local condition, text = request.problem(load("return " .. arg[2])())
print(condition and text:match("^%w+ %S+") or "accepted")
"""


def judge(**attributes):
    given = {"filename": "note.txt", "size": "5", "content-type": "text/plain", **attributes}
    done = subprocess.run(
        ["lua5.4", "-", str(REQUEST), to_lua(given)], input=SCRIPT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/vnd.oasis.opendocument.text",
        "image/svg+xml",
        "text/plain;charset=utf-8",
        "text/plain ; charset=utf-8 ;  format=flowed",
        'text/plain; charset="utf-8"',
        r'text/plain; name="a \"b\" \\ ; c"; format=flowed',
        'text/plain; empty=""',
        "text/plain ",
        "text/plain;",
        "text/plain; ; charset=utf-8",
    ],
)
def test_media_types_of_rfc_9110(media_type):
    assert judge(**{"content-type": media_type}) == "accepted"


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text",
        "text/",
        "/plain",
        "text/plain/x",
        "text /plain",
        "text/plain; ;x",
        "text/plain; charset",
        "text/plain; charset=",
        "text/plain; charset =utf-8",
        'text/plain; name="a',
        'text/plain; name="a\\"',
        'text/plain; name="a" b',
        "text/plain, text/html",
        "text/plain\r\nSet-Cookie: a=b",
        'text/plain; name="\r\nSet-Cookie: a=b"',
        "text/plain\t",
        "text/plain; name=\x7f",
        "text/plain; name=ü",
        "text/" + "a" * 251,
    ],
    ids=repr,
)
def test_what_is_no_media_type(media_type):
    assert judge(**{"content-type": media_type}) == "Invalid content-type:"


def test_the_names_and_sizes_of_files():
    assert judge(filename="müsli & co, 100%.txt") == "accepted"
    assert judge(filename="ü" * 127) == "accepted"
    for name in ("", "ü" * 128, "a/b", "a\r\nb", "a\x7fb", "a\x85b"):
        assert judge(filename=name) == "Invalid filename:", repr(name)
    assert judge(size="0") == "accepted"
    for size in ("", "-1", "0x10", "1e3", "1.0", " 1", "1\r\n"):
        assert judge(size=size) == "File size", repr(size)
