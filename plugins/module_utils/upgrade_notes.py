# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where playbook upgrade_debian notes how far an upgrade is: for itself, and for whoever must not come in between."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import files

FOLDER = "/var/lib/xmpp-upgrade"
STATE = f"{FOLDER}/state.json"
# In this order. Before the first is done, the host is what it was.
STEPS = ("sources", "packages", "postgresql")


def left(root: str = "/") -> list[str]:
    """Return the steps that are left of an upgrade in its middle; none where none has begun, or it has come to its end."""
    state: dict[str, Any] = files.read_json(os.path.join(root, STATE.lstrip("/")), {})
    done = state.get("done", [])
    return [step for step in STEPS if step not in done] if STEPS[0] in done else []
