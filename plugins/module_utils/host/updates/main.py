# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs updates, restarts services and reboots this machine, each in its windows and in its turn only.

A timer runs it every five minutes. A window is of the local wall clock; a turn is of UTC, so that the clocks of a fleet,
whatever their zones, agree on whose it is. The clock is read again at the last moment before anything is done.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from . import state
from .explain import explain
from .keeper import Keeper
from .schedule import Schedule

CONFIG = "/etc/xmpp/updates.json"


def read_config(text: str) -> dict[str, Any]:
    """Return the configuration. Raises ValueError and KeyError for what is wrong in it."""
    config = json.loads(text)
    if not isinstance(config, dict):
        raise ValueError("it is no configuration; run the playbook, which writes it")
    Schedule(config)
    return config


def main(arguments: Sequence[str] | None = None) -> int:
    """Run xmpp-updates, and return its exit status."""
    parser = argparse.ArgumentParser(prog="xmpp-updates", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--explain", action="store_true", help="say what is done next, when, and why")
    parser.add_argument("--json", action="store_true", help="the same for programs")
    parser.add_argument("--dry-run", action="store_true", help="neither install, restart nor reboot")
    given = parser.parse_args(arguments)
    try:
        with open(CONFIG, encoding="utf-8") as stream:
            config = read_config(stream.read())
        keeper = Keeper(config, state.load())
        if given.explain or given.json:
            now = time.time()
            keeper.note_reboot(now)
            keeper.note_restarts()
            if given.json:
                upgrade, reboot = keeper.state["upgrade"], keeper.state["reboot"]
                keeper.state["next_upgrade"] = keeper.schedule.next_moment(upgrade, now, 0)
                keeper.state["next_reboot"] = keeper.schedule.next_moment(reboot, now, keeper.lead)
                print(json.dumps(keeper.state, indent=1))
            else:
                print("\n".join(explain(keeper, now)))
            return 0
        keeper.tick(given.dry_run)
    except (OSError, KeyError, TypeError) as error:
        print(f"{error!r}; nothing is done", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"{CONFIG}: {error}; nothing is done", file=sys.stderr)
        return 1
    return 0
