# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time by which certificates and waits are judged."""

from __future__ import annotations

import datetime


def now() -> datetime.datetime:
    """Return the current time, with its zone."""
    return datetime.datetime.now(datetime.UTC)
