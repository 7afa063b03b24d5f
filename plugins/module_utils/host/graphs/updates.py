# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Graphs of Debian's updates: updates_pending, updates_age and updates_window.

What waits is simulated by apt, when its lists or the installed packages have changed, and kept until then.
"""

from __future__ import annotations

import os
import time

from .munin import Family, Field, Graph, Unknown, keep, kept, output, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .munin import Environment, Values

WATCHED = ("/var/lib/apt/lists", "/var/lib/dpkg/status")
# The first that is there says when it was done last; what was never done, as long as the machine is there.
STAMPS = {
    "lists": ("/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/periodic/update-stamp", "/etc/machine-id"),
    "upgrade": (
        "/var/lib/apt/periodic/unattended-upgrades-stamp",
        "/var/lib/apt/periodic/upgrade-stamp",
        "/etc/machine-id",
    ),
}
REBOOT = "/run/reboot-required"
STATE = "/var/lib/xmpp-updates/state.json"
# xmpp-updates notes the window every five minutes. What is older than this says that it does not run.
FRESH = 1800


def simulate() -> dict[str, int]:
    """Return how many packages apt would upgrade. Raises Unknown."""
    said = output("apt-get", "--simulate", "--no-download", "-o", "Debug::NoLocking=1", "dist-upgrade")
    lines = [line for line in said.splitlines() if line.startswith("Inst ")]
    security = sum("-security" in line or "Debian-Security" in line for line in lines)
    return {"security": security, "other": len(lines) - security}


def pending(environment: Environment) -> Values:
    marks = [os.stat(path).st_mtime for path in WATCHED]
    last = kept(environment, "updates_pending") or {}
    if last.get("marks") != marks:
        last = {"marks": marks, "values": simulate()}
        keep(environment, "updates_pending", last)
    values: Values = last["values"]
    return values


def age(paths: Iterable[str]) -> float | None:
    """Return how many days ago the first file that is there was changed."""
    for path in paths:
        try:
            return round((time.time() - os.stat(path).st_mtime) / 86400, 2)
        except FileNotFoundError:
            continue
    return None


def ages(_environment: Environment) -> Values:
    return {**{name: age(paths) for name, paths in STAMPS.items()}, "reboot": age([REBOOT]) or 0}


def window(_environment: Environment) -> Values:
    state = read(STATE)
    noted, now = state.get("window"), time.time()
    if not noted or noted["opens"] is None:
        raise Unknown(f"{STATE} has no window")
    # It works for long in a window.
    is_open = noted["opens"] <= now and (noted["closes"] is None or now < noted["closes"])
    if not is_open and now - state["checked"] > FRESH:
        raise Unknown(f"{STATE} was written {(now - state['checked']) / 3600:.1f} hours ago; see xmpp-updates.service")
    return {"until": round(max(0, noted["opens"] - now) / 3600, 2), "open": int(is_open)}


FAMILY = Family(
    {
        "pending": Graph(
            title="Updates that wait",
            vlabel="packages",
            info="Packages of which there is a newer version.",
            category="security",
            fields=lambda _: [
                Field("security", "security", draw="AREASTACK"),
                Field("other", "other", draw="AREASTACK"),
            ],
            values=pending,
        ),
        "age": Graph(
            title="Age of updates",
            vlabel="days",
            info="When the mirror was last reached and updates were last made, and how long a reboot has been needed.",
            category="security",
            fields=lambda _: [
                Field("lists", "since the mirror was reached", warning="2", critical="5"),
                Field("upgrade", "since updates were made", warning="3", critical="7"),
                Field("reboot", "a reboot is needed", warning="7", critical="14"),
            ],
            values=ages,
        ),
        "window": Graph(
            title="Window for updates",
            vlabel="hours",
            info="How long it is until this host may be upgraded, restarted and rebooted, and when it may be.",
            category="security",
            fields=lambda _: [
                Field("until", "hours until the next window"),
                Field("open", "a window is open", "1 in a window, 0 outside", draw="AREA"),
            ],
            values=window,
        ),
    }
)
