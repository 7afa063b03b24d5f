# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What xmpp-backup remembers of each repository, and other programs read."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from .. import files
from . import base, places
from .restic import shown

# What is known of one repository: its ID, when it was saved to and checked, its size, and the last error.
Entry = dict[str, Any]


class State:
    """The state of the repositories with these addresses."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses

    @staticmethod
    def load() -> dict[str, Any]:
        """Return what was kept; nothing where that is not there or broken."""
        try:
            kept: dict[str, Any] = base.read_json(places.STATE)
        except base.Failed:
            return {}
        return kept

    def summarise(self, kept: dict[str, Any]) -> dict[str, Any]:
        """Return what others read: of several repositories, the one that is worst off."""
        known = {shown(one): kept.get("repositories", {}).get(shown(one), {}) for one in self.addresses}
        errors = [f"{one['last_error']}" for one in known.values() if one.get("last_error")]

        def oldest(key: str) -> int | None:
            moments = [one.get(key) for one in known.values()]
            return min(moments) if moments and all(moments) else None

        return {
            "repositories": known,
            "last_success": oldest("last_success"),
            "last_check": oldest("last_check"),
            "size": sum(one.get("size", 0) for one in known.values()),
            "last_error": kept.get("run_error") or "\n".join(errors) or None,
            # What has kept a run from every repository.
            "run_error": kept.get("run_error"),
            # When a run began that has not ended. If none is at work, it was killed, and could note nothing any more.
            "begun": kept.get("begun"),
        }

    def save(self, kept: dict[str, Any]) -> None:
        """Keep it. Everybody may read it: the graphs and the self-test do. Raises OSError."""
        files.write_json(places.STATE, self.summarise(kept), mode=0o644)

    def note(self, **what: Any) -> None:
        """Note how far a run is. A full disk is no reason to make no backup."""
        with contextlib.suppress(OSError):
            self.save({**self.load(), **what})
