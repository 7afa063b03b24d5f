# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes Prosody quick is in effect: docs/performance.md has the figures."""

from __future__ import annotations

from test_abuse import shell


def test_lua_looks_at_young_objects_first(rosewood):
    # It returns the mode before this call.
    assert shell(rosewood, 'return collectgarbage("generational")') == "generational"
