# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prosody's module bosh_limit tells sources of sessions apart, without Prosody."""

import subprocess
from pathlib import Path

import pytest

MODULES = Path(__file__).parents[3] / "roles/prosody/templates/usr/local/lib/prosody/modules"
# What the module takes of Prosody, and sessions that note whether they were closed.
HEAD = f"""
local mapped = ("\\0"):rep(10) .. "\\255\\255"
package.preload["util.net"] = function () return {{ pton = function (text) return ({{
    ["192.0.2.1"] = "\\192\\0\\2\\1", ["192.0.2.2"] = "\\192\\0\\2\\2",
    ["::ffff:192.0.2.1"] = mapped .. "\\192\\0\\2\\1", ["::ffff:192.0.2.2"] = mapped .. "\\192\\0\\2\\2",
    ["2001:db8::1"] = "\\32\\1\\13\\184" .. ("\\0"):rep(11) .. "\\1", ["2001:db8::2"] = "\\32\\1\\13\\184" .. ("\\0"):rep(11) .. "\\2",
    ["2001:db8:0:1::1"] = "\\32\\1\\13\\184\\0\\0\\0\\1" .. ("\\0"):rep(7) .. "\\1",
}})[text] end }} end
package.preload["util.encodings"] = function () return {{ stringprep = {{ nameprep = function (text) return text end }} }} end
local on_session
module = {{ host = "h", add_timer = function () end, get_option_number = function () return 2 end,
    hook_global = function (_, _, handler) on_session = handler end,
    require = function (_, name) return assert(loadfile("{MODULES}/" .. name .. ".lib.lua"))() end }}
assert(loadfile("{MODULES}/mod_bosh_limit.lua"))()
local function closed(...)
    local count = 0
    for _, ip in ipairs({{...}}) do
        on_session({{ session = {{ host = "h", ip = ip, type = "c2s_unauthed", close = function (its) its.destroyed = true count = count + 1 end }} }})
    end
    print(count)
end
"""


@pytest.mark.parametrize(
    ("addresses", "ended"),
    [
        (["192.0.2.1", "192.0.2.1"], 0),
        (["192.0.2.1", "192.0.2.1", "192.0.2.1"], 1),
        (["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"], 0),
        (["::ffff:192.0.2.1", "::ffff:192.0.2.2", "::ffff:192.0.2.1", "::ffff:192.0.2.2"], 0),
        (["::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"], 1),
        (["2001:db8::1", "2001:db8::2", "2001:db8::1"], 1),
        (["2001:db8::1", "2001:db8::1", "2001:db8:0:1::1"], 0),
    ],
)
def test_the_oldest_session_of_a_source_ends(addresses, ended):
    script = HEAD + f"closed({', '.join(map(repr, addresses))})"
    done = subprocess.run(["lua5.4", "-"], input=script, capture_output=True, text=True, check=True)
    assert int(done.stdout) == ended
