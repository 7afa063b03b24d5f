# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prosody's module inactive_accounts decides whose account is deleted, without Prosody."""

import random
import subprocess
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.lua import to_lua

PLAN = (
    Path(__file__).parents[3]
    / "roles/prosody/templates/usr/local/lib/prosody/modules/mod_inactive_accounts/plan.lib.lua"
)
DAY, NOW = 86400, 2_000_000_000
SCRIPT = r"""
local plan = assert(loadfile(arg[1]))()
for _, case in ipairs(load("return " .. arg[2])()) do
    print(plan.decide(case.now, case.record, case.days, case.warning_days))
end
"""


def decide(*cases):
    given = [{"now": NOW, "days": 365, "warning_days": 30} | case for case in cases]
    done = subprocess.run(
        ["lua5.4", "-", str(PLAN), to_lua(given)], input=SCRIPT, capture_output=True, text=True, check=True
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def ago(days, warned=None):
    return {"seen": int(NOW - days * DAY)} | ({} if warned is None else {"warned": int(NOW - warned * DAY)})


@pytest.mark.parametrize(
    ("record", "step"),
    [
        ({}, "begin"),
        (ago(0), "keep"),
        (ago(364.9), "keep"),
        (ago(365), "warn"),
        (ago(5000), "warn"),
        (ago(366, warned=0), "keep"),
        (ago(394, warned=29.9), "keep"),
        (ago(395, warned=30), "delete"),
        # Somebody has logged in since.
        (ago(366, warned=400), "warn"),
        (ago(1, warned=40), "keep"),
        # A clock that was wrong, then or now.
        (ago(-1), "begin"),
        (ago(5000, warned=-1), "begin"),
    ],
)
def test_steps(record, step):
    assert decide({"record": record})[0][0] == step


def test_nobody_is_deleted_without_a_warning_in_time():
    """Whatever the records and the clock, and however seldom it runs."""
    chance = random.Random(7)
    for _ in range(20):
        record, now, warned_at, cases = {}, NOW, None, 0
        days, warning_days = chance.randint(1, 400), chance.randint(1, 60)
        while cases < 30:
            now += chance.choice([1, 3600, DAY, 10 * DAY, 200 * DAY])
            if chance.random() < 0.1:
                record, warned_at = {"seen": now}, None
            ((step, _since),) = decide({"now": now, "record": record, "days": days, "warning_days": warning_days})
            cases += 1
            if step == "begin":
                record = {"seen": now}
            elif step == "warn":
                record, warned_at = {"seen": record["seen"], "warned": now}, now
                assert now - record["seen"] >= days * DAY
            elif step == "delete":
                assert warned_at is not None
                assert now - warned_at >= warning_days * DAY
                record, warned_at = {}, None
