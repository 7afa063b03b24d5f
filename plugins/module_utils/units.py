# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start and stop the units of a role, now and at boot, in as few calls of systemctl as it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, Finished, attempt
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host_state import RUNNING, parse_show

# A start may wait for the daemon's own limit (systemd's default is 90 s) and for units that it needs.
SECONDS = 600
LINES = 15
PROPERTIES = ("LoadState", "ActiveState", "Result", "UnitFileState", "NeedDaemonReload")


class UnitError(Exception):
    """A unit that does not do what it should; the message has what its journal says."""


def run(command: Sequence[str]) -> Finished:
    try:
        return attempt(command, seconds=SECONDS, environment={"SYSTEMD_COLORS": "0"})
    except CommandError as error:
        raise UnitError(str(error)) from error


def states(units: Sequence[str], runner: Callable[[Sequence[str]], Finished]) -> dict[str, dict[str, str]]:
    """The properties of each unit, by the name that it was asked for."""
    said = runner(("systemctl", "show", "--no-pager", f"--property={','.join(PROPERTIES)}", *units)).stdout
    return dict(zip(units, parse_show(said), strict=True))


def _fail(act: str, units: Sequence[str], done: Finished, runner: Callable[[Sequence[str]], Finished]) -> None:
    """Raises what systemctl and the journals of the units at fault say."""
    found = states(units, runner)
    wrong = [name for name in units if found[name]["ActiveState"] == "failed" or found[name]["Result"] != "success"]
    said = [f"{' and '.join(wrong or units)} did not {act}: {done.said or 'systemctl said nothing'}"]
    for name in wrong:
        last = runner(("journalctl", "--no-pager", "--quiet", f"--lines={LINES}", "--output=short-iso", "--unit", name))
        said.append(f"journalctl -u {name}, the last lines:\n{last.stdout.strip() or 'nothing'}")
    raise UnitError("\n".join(said))


def apply(
    started: Sequence[str],
    stopped: Sequence[str],
    check: bool = False,
    runner: Callable[[Sequence[str]], Finished] = run,
) -> list[str]:
    """Has units run and others not, now and at the next boot; returns those that were changed. Raises UnitError.

    Units that must run are started by one call, so that systemd orders them. A unit to stop that is not there is stopped.
    """
    units = [*started, *stopped]
    found = states(units, runner) if units else {}
    old = [name for name in units if found[name]["NeedDaemonReload"] == "yes"]
    if not check and (old or any(found[name]["LoadState"] == "not-found" for name in started)):
        done = runner(("systemctl", "daemon-reload"))
        if done.status:
            raise UnitError(f"systemctl daemon-reload: {done.said}")
        found = states(units, runner)
    here = [name for name in stopped if found[name]["LoadState"] not in ("not-found", "masked")]
    off = [name for name in here if found[name]["UnitFileState"] in ("enabled", "enabled-runtime")]
    stop = [name for name in here if found[name]["ActiveState"] not in ("inactive", "failed")]
    on = [
        name for name in started if found[name]["UnitFileState"] in ("disabled", "enabled-runtime", "masked", "bad", "")
    ]
    start = [name for name in started if found[name]["ActiveState"] not in RUNNING]
    if not check:
        for act, names in (("disable", off), ("stop", stop), ("enable", on), ("start", start)):
            if names and (done := runner(("systemctl", act, *names))).status:
                _fail(act, names, done, runner)
    return sorted({*off, *stop, *on, *start})
