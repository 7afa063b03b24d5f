# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A moment as the operator's clock shows it."""

from __future__ import annotations

import time


def say(moment: float) -> str:
    """Return a moment as Mon 2026-01-26 02:00 CET."""
    return time.strftime("%a %Y-%m-%d %H:%M %Z", time.localtime(moment))
