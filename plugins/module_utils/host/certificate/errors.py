# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why something is not done."""

from __future__ import annotations


class Refused(Exception):
    """What was asked for is not done, and this is why."""


class Incomplete(Refused):
    """The certificate is renewed, but not for all names, and this is why."""
