# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bytes Prosody's module upload_ranges takes a Range header to ask for, without Prosody."""

import subprocess
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.lua import to_lua

MODULE = Path(__file__).parents[3] / "roles/prosody/templates/usr/local/lib/prosody/modules/mod_upload_ranges"
SCRIPT = "print(assert(loadfile(arg[1]))().bounds(load('return ' .. arg[2])(), tonumber(arg[3])))"


def bounds(header, size):
    command = ["lua5.4", "-", str(MODULE / "range.lib.lua"), to_lua(header), str(size)]
    done = subprocess.run(command, input=SCRIPT, capture_output=True, text=True, check=True)
    return done.stdout.strip().split("\t")


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ("bytes=0-", 10, ["0", "9"]),
        ("bytes=4-", 10, ["4", "9"]),
        ("bytes=9-9", 10, ["9", "9"]),
        ("Bytes= 2-4 ", 10, ["2", "4"]),
        ("bytes=7-99", 10, ["7", "9"]),
        ("bytes=-3", 10, ["7", "9"]),
        ("bytes=-99", 10, ["0", "9"]),
        ("bytes=-0", 10, ["false"]),
        ("bytes=10-", 10, ["false"]),
        ("bytes=0-", 0, ["false"]),
        ("bytes=-1", 0, ["false"]),
        *(
            (header, 10, ["nil"])
            for header in ("bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes=0x1-2")
        ),
        ("bytes=99999999999999999999-", 10, ["nil"]),
        # The last one is before the first: no valid range at all (RFC 9110, section 14.1.2).
        ("bytes=4-2", 10, ["nil"]),
    ],
)
def test_bounds(header, size, expected):
    assert bounds(header, size) == expected
