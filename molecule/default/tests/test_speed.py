# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes Prosody quick is in effect: docs/performance.md has the figures."""

from __future__ import annotations

from conftest import RELEASE, shell


def test_lua_looks_at_young_objects_first(rosewood):
    # It returns the mode before this call.
    assert shell(rosewood, 'return collectgarbage("generational")') == "generational"
    # And at all before half of the heap is garbage; Lua does not tell its own settings.
    assert shell(rosewood, 'return require "core.configmanager".get("*", "gc").major_threshold') == "25"


def test_sqlite_waits_for_the_disk_at_checkpoints_only(rosewood):
    """Debian 12 has no library by which Prosody could set that (1 is NORMAL, 2 is FULL)."""
    program = (
        'local found = require "core.modulemanager".get_module("broccoli.test", "storage_sql").module;'
        'local _, engine = next(found:shared("/*/sql/connections"));'
        'for row in engine:select("PRAGMA synchronous") do return row[1] end'
    )
    assert shell(rosewood, program) == ("2" if RELEASE == "bookworm" else "1")
