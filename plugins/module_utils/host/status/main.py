# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the whole host, and says what is wrong and what to type.

It asks what runs, as others would: ports by a TLS handshake, zones for signed answers, pages by HTTPS. It ends with 0
when all is well, with 1 when something is to be looked at by day, and with 2 when something does not work.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

from .. import words
from . import network, states
from .checks import FAIL, OK, WARN, Check, Config, Finding, make, worst

CONFIG = "/etc/xmpp/status.json"


def plan(config: Config, outside: bool) -> list[Check]:
    """Return the checks in the order in which they are made; from outside, only what the network shows."""
    if outside:
        return list(network.checks(config))
    # It needs Debian's packages, which the controller may not have.
    from . import local

    return [*local.unit_checks(config), *network.checks(config), *local.checks(config)]


def look(config: Config, outside: bool) -> list[Finding]:
    """Make all checks, and return what they found."""
    return [make(check) for check in plan(config, outside)]


def report(host: str, findings: Sequence[Finding], now: float) -> list[str]:
    """Return the findings in lines, the worst first."""
    counts = {level: sum(item.level == level for item in findings) for level in (OK, WARN, FAIL)}
    head = f"{host}: failures: {counts[FAIL]} of {words.count(len(findings), 'check')}; warnings: {counts[WARN]}"
    if not counts[FAIL] and not counts[WARN]:
        head = f"{host}: all is well, by {words.count(len(findings), 'check')}"
    lines = [f"{head}. {words.utc(now)}"]
    width = max([len(item.subject) for item in findings], default=0)
    for level in (FAIL, WARN, OK):
        for item in findings:
            if item.level == level:
                lines.append(f"{level.upper() if level == FAIL else level:6}{item.subject:{width}}  {item.text}")
                if item.do:
                    lines.append(f"{'':6}{'':{width}}  type: {item.do}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run xmpp-status, and return its exit status."""
    parser = argparse.ArgumentParser(prog="xmpp-status", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", default=CONFIG, help="another configuration than %(default)s")
    parser.add_argument("--json", action="store_true", help="print what was found for programs")
    parser.add_argument(
        "--wait", type=int, default=0, metavar="SECONDS", help="look again for so long while something fails"
    )
    parser.add_argument(
        "--record", action="store_true", help=f"note it in {states.STATE}, and tell the operator what fails"
    )
    parser.add_argument("--outside", action="store_true", help="only what is asked by the network, as from elsewhere")
    given = parser.parse_args(arguments)
    try:
        with open(given.config, encoding="utf-8") as stream:
            config = json.load(stream)
    except (OSError, ValueError) as error:
        print(f"{given.config}: {error}; run the playbook, which writes it", file=sys.stderr)
        return 2
    end = time.monotonic() + given.wait
    while worst(findings := look(config, given.outside)) == FAIL and time.monotonic() < end:
        time.sleep(3)
    now = int(time.time())
    if given.record:
        findings = states.record(findings, now, config["disks"])
    if given.json:
        print(json.dumps([item.as_dict() for item in findings], indent=1), flush=True)
    else:
        print("\n".join(report(config["host"], findings, now)), flush=True)
    return {OK: 0, WARN: 1, FAIL: 2}[worst(findings)]
