# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prosody's module login_limits decides which attempts to log in are looked at, without Prosody."""

import subprocess
from pathlib import Path

import pytest

LIB = (
    Path(__file__).parents[3]
    / "roles/prosody/templates/usr/local/lib/prosody/modules/mod_login_limits/attempts.lib.lua"
)
HEAD = f"""
local attempts = assert(loadfile('{LIB}'))()
local networks = assert(loadfile('{LIB.parents[1] / "networks.lib.lua"}'))()
local function new_store()
    local its = {{}}
    return {{ get = function (_, key) return its[key] end, set = function (_, key, value) its[key] = value end }}
end
local guard = attempts.guard(new_store, {{
    address = 10, address_period = 600, account = 3, account_period = 3600, familiar = 2, lines = 3,
}})
-- How many wrong passwords of so many are looked at; n and a are the network and its area.
local function wrong(count, user, n, a, familiar, now)
    local seen, by, lines = 0, nil, 0
    for _ = 1, count do
        local counted, why, is_first = guard.attempt(user, n, a, familiar or false, now or 0)
        if counted then seen = seen + 1 else by = why; lines = lines + (is_first and 1 or 0) end
    end
    return seen, by, lines
end
local function right(user, n, a, familiar, now)
    local counted = guard.attempt(user, n, a, familiar or false, now or 0)
    if counted then guard.succeeded(counted, now or 0) end
    return counted ~= nil
end
"""


def lua(script):
    done = subprocess.run(["lua5.4", "-"], input=HEAD + script, capture_output=True, text=True, check=True)
    return done.stdout.strip().split("\t") if done.stdout.strip() else []


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        # One network that guesses one account, and another that did not.
        ("print(wrong(50, 'juliet', 'n1', 'a1'))", ["3", "account", "1"]),
        ("wrong(50, 'juliet', 'n1', 'a1'); print(right('juliet', 'n1', 'a1'), right('juliet', 'n2', 'a2'))", ["false", "true"]),
        ("wrong(50, 'juliet', 'n1', 'a1'); print(wrong(5, 'juliet', 'n2', 'a2'))", ["1", "account", "0"]),
        # The owner mistypes, and logs in, from where that was done before.
        ("wrong(50, 'juliet', 'n1', 'a1'); print(wrong(1, 'juliet', 'n1', 'a1', true), right('juliet', 'n1', 'a1', true))",
         ["1", "true"]),
        # A stranger behind the same NAT who guesses many accounts, and people there who have logged in before, or not.
        ("for n = 1, 50 do wrong(1, 'u' .. n, 'n1', 'a1') end "
         "print(right('juliet', 'n1', 'a1', true), right('romeo', 'n1', 'a1'))", ["true", "false"]),
        ("local seen = 0; for n = 1, 50 do seen = seen + wrong(1, 'u' .. n, 'n1', 'a1') end print(seen)", ["10"]),
        # Many networks of one neighbourhood.
        ("local seen = 0; for n = 1, 500 do seen = seen + wrong(1, 'u' .. n, 'n' .. n, 'a1') end print(seen)", ["100"]),
        # Right passwords count nothing.
        ("for n = 1, 50 do assert(right('juliet', 'n1', 'a1')) end print(wrong(50, 'juliet', 'n1', 'a1'))",
         ["3", "account", "1"]),
        # It comes back with time: one of three an hour in twenty minutes.
        ("wrong(50, 'juliet', 'n1', 'a1'); print(right('juliet', 'n1', 'a1', false, 1199), right('juliet', 'n1', 'a1', false, 1201))",
         ["false", "true"]),
        # Not by a clock that was put back, and not for ever.
        ("wrong(50, 'juliet', 'n1', 'a1', false, 5000); print(right('juliet', 'n1', 'a1', false, 0), "
         "right('juliet', 'n1', 'a1', false, 1300))", ["false", "true"]),
        # Attempts that are under way at the same time are counted before their end.
        ("local n = 0; for _ = 1, 9 do if guard.attempt('juliet', 'n1', 'a1', false, 0) then n = n + 1 end end print(n)", ["3"]),
        # One line a burst; a later burst has one of its own, and there are no more than three an hour.
        ("wrong(50, 'juliet', 'n1', 'a1'); print(wrong(50, 'juliet', 'n1', 'a1', false, 4000))", ["3", "account", "1"]),
        ("local lines = 0; for n = 1, 20 do lines = lines + select(3, wrong(9, 'u' .. n, 'n' .. n, 'a' .. n)) end print(lines)",
         ["3"]),
    ],
)  # fmt: skip
def test_attempts(script, outcome):
    assert lua(script) == outcome


@pytest.mark.parametrize(
    ("packed", "network", "area"),
    [
        ("\\198\\051\\100\\020", 4, 3),
        # A /64, and a /48, of IPv6; and an IPv4 address that is mapped into it.
        ("\\032\\001\\013\\184" + "\\000" * 12, 8, 6),
        ("\\000" * 10 + "\\255\\255\\198\\051\\100\\020", 4, 3),
    ],
)
def test_networks_and_their_neighbourhoods(packed, network, area):
    assert lua(f'local n, a = networks.places("{packed}"); print(#n, #a)') == [str(network), str(area)]
    assert lua("local n, a = networks.places(nil); print(n == '', a == '')") == ["true", "true"]


def test_areas_are_remembered_for_a_while():
    script = """
    local day = 86400
    local known = attempts.remember({}, "a", 100 * day, 90, 2)
    assert(attempts.remember(known, "a", 100 * day + 60, 90, 2) == nil)
    known = attempts.remember(known, "b", 101 * day, 90, 2)
    known = attempts.remember(known, "c", 102 * day, 90, 2)
    print(attempts.is_known(known, "a", 102 * day, 90), attempts.is_known(known, "b", 102 * day, 90),
        attempts.is_known(known, "b", 191 * day, 90))
    """
    assert lua(script) == ["false", "true", "false"]
