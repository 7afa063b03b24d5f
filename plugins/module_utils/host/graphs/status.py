# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's self-test: status_failing and status_promises.

It reads what the self-test notes; without that there are no levels, since a host without it gives no alarm. The environment,
from plugin-conf.d:

  state    the file (default /var/lib/xmpp-status/status.json)
  max_age  seconds after which it is not believed (default 3600)
"""

from __future__ import annotations

import os
import time

from .munin import Family, Field, Graph, Unknown, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .munin import Environment, Values

STATE = "/var/lib/xmpp-status/status.json"


def noted(environment: Environment) -> Mapping[str, Any]:
    """Return what the last self-test has noted. Raises Unknown where it is too old."""
    path = environment.get("state", STATE)
    found: Mapping[str, Any] = read(path)
    if not -60 <= time.time() - found["time"] <= int(environment.get("max_age", "3600")):
        raise Unknown(f"{path} is too old")
    return found


def failing_fields(environment: Environment) -> list[Field]:
    there = os.path.exists(environment.get("state", STATE))
    return [
        Field("failing", "failing", "Promises of the host that do not hold.", critical="0:0" if there else None),
        Field("warning", "warnings", "What will not hold for long."),
    ]


def failing(environment: Environment) -> Values:
    found = noted(environment)
    return {"failing": len(found["failing"]), "warning": len(found["warning"])}


def promises(environment: Environment) -> Values:
    counts: Values = noted(environment)["promises"]
    return counts


FAMILY = Family(
    {
        "failing": Graph(
            title="Self-test",
            vlabel="checks",
            info="What the host finds wrong with itself.",
            category="system",
            fields=failing_fields,
            values=failing,
        ),
        "promises": Graph(
            title="Promises to the public",
            vlabel="promises",
            info="What the host promises to the public (docs/promises.md), each domain counted, and what became of it.",
            category="system",
            fields=lambda _: [
                # A broken one is among the failures, which have a level.
                Field("broken", "broken", draw="AREASTACK", colour="c00000"),
                Field("unknown", "unknown", "Nobody could be asked.", draw="AREASTACK", colour="808080"),
                Field(
                    "weakened", "weakened", "Kept in part, as the operator has it.", draw="AREASTACK", colour="e0a000"
                ),
                Field("kept", "kept", draw="AREASTACK", colour="00a000"),
            ],
            values=promises,
        ),
    }
)
