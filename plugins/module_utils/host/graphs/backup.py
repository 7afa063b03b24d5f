# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Graphs of the host's backups: backup_age and backup_size.

It reads what the backup notes; without that there are no levels, since a host without backups gives no alarm. The
environment, from plugin-conf.d:

  state  the file (default /var/lib/xmpp-backup/state.json)
"""

from __future__ import annotations

import re
import time

from .munin import Family, Field, Graph, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from .munin import Environment, Values

STATE = "/var/lib/xmpp-backup/state.json"


def repositories(environment: Environment) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield each repository: a field's name, its own, and what is noted of it."""
    try:
        found = read(environment.get("state", STATE))["repositories"]
    except FileNotFoundError:
        return
    for number, (place, noted) in enumerate(sorted(found.items())):
        # An address may hold a user's name, and is no name of a field.
        label = re.sub(r"[^\x20-\x7e]|//[^/@]*@", "", place)
        yield f"repository{number}", label, noted


def days(moment: float | None) -> float | None:
    """Return how many days ago something was, if it ever was."""
    return round((time.time() - moment) / 86400, 2) if moment else None


def age_fields(environment: Environment) -> Iterator[Field]:
    for name, label, _noted in repositories(environment):
        yield Field(
            f"{name}_backup",
            f"{label}: since a backup",
            "Days since the last whole backup.",
            warning="1.5",
            critical="3",
        )
        yield Field(
            f"{name}_check",
            f"{label}: since a check",
            "Days since the repository was read and found sound.",
            warning="9",
            critical="16",
        )


def ages(environment: Environment) -> Values:
    values = {}
    for name, _label, noted in repositories(environment):
        values[f"{name}_backup"] = days(noted.get("last_success"))
        values[f"{name}_check"] = days(noted.get("last_check"))
    return values


def sizes(environment: Environment) -> Values:
    return {name: noted.get("size") for name, _label, noted in repositories(environment)}


FAMILY = Family(
    {
        "age": Graph(
            title="Age of backups",
            vlabel="days",
            info="When each repository had its last backup and its last check.",
            category="backup",
            fields=age_fields,
            values=ages,
        ),
        "size": Graph(
            title="Size of backups",
            args="--base 1024 --lower-limit 0",
            vlabel="bytes",
            info="What each repository holds.",
            category="backup",
            scale=True,
            fields=lambda environment: [Field(name, label) for name, label, _noted in repositories(environment)],
            values=sizes,
        ),
    }
)
