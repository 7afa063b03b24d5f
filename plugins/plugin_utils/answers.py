# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module that an action has run says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def problem(answer: Mapping[str, Any]) -> str:
    """Why a module has failed: its message, or the error that it has ended with."""
    event = getattr(answer.get("exception"), "event", None)
    return answer.get("msg") or getattr(event, "msg", None) or "the host did not answer"
