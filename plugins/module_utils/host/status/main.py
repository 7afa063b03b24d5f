# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the whole host, and says what is wrong and what to type.

It asks what runs, as others would: ports by a TLS handshake, zones for signed answers, pages by HTTPS. It ends with 0
when all is well, with 1 when something is to be looked at by day, and with 2 when something does not work.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import sys
import time
from collections.abc import Sequence
from functools import partial

from .. import promises, words
from . import network, promised, show, states
from .checks import FAIL, OK, WARN, Check, Config, Finding, make, worst

CONFIG = "/etc/xmpp/status.json"
STATUS = {OK: 0, WARN: 1, FAIL: 2}


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


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what was typed."""
    parser = argparse.ArgumentParser(prog="xmpp-status", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "domain", nargs="?", default="", help="a domain of XMPP that others run, to see which promises it would keep"
    )
    parser.add_argument("--config", default=CONFIG, help="another configuration than %(default)s")
    parser.add_argument("--json", action="store_true", help="print what was found for programs")
    parser.add_argument(
        "--wait", type=int, default=0, metavar="SECONDS", help="look again for so long while something fails"
    )
    parser.add_argument(
        "--record", action="store_true", help=f"note it in {states.STATE}, and tell the operator what fails"
    )
    parser.add_argument("--outside", action="store_true", help="only what is asked by the network, as from elsewhere")
    parser.add_argument(
        "--explain",
        metavar="PROMISE",
        help="say what was asked and answered about one promise, what is right, and how to mend it",
    )
    parser.add_argument("--diff", action="store_true", help="only which promises have changed since the last --record")
    given = parser.parse_args(arguments)
    if given.domain and (given.record or given.diff):
        parser.error("--record and --diff are for the host itself, and not for a domain that others run")
    return given


def configuration(given: argparse.Namespace) -> Config:
    """Return the configuration of the host, or one for a domain that others run. Raises ValueError."""
    if given.domain:
        # It needs Debian's packages, which the controller may not have.
        from . import report as reports

        try:
            return reports.config_of(given.domain)
        except reports.NoDomain as error:
            raise ValueError(str(error)) from error
    try:
        with open(given.config, encoding="utf-8") as stream:
            config: Config = json.load(stream)
    except (OSError, ValueError) as error:
        raise ValueError(f"{given.config}: {error}; run the playbook, which writes it") from error
    return config


def explain(given: argparse.Namespace, config: Config) -> int:
    """Print why one promise is as it is, and return the exit status."""
    outside = given.outside or bool(given.domain)
    try:
        promise = promises.named(given.explain)
    except KeyError:
        known = ", ".join(promise.id for promise in promises.PROMISES)
        print(f"{words.plain(given.explain)!r} is no promise; write one of {known}", file=sys.stderr)
        return 2
    results = promised.look(config, outside, promise.id)
    if given.json:
        print(json.dumps(show.explained(promise, results), indent=1, ensure_ascii=False), flush=True)
    else:
        print("\n".join(show.explain(promise, results, outside)), flush=True)
    return STATUS[worst(promised.findings(results, outside))]


def differ(given: argparse.Namespace, config: Config) -> int:
    """Print which promises have changed since they were noted, and return the exit status."""
    before, results = promised.noted(), promised.look(config, given.outside)
    changed = show.changes(before, results)
    if given.json:
        print(json.dumps(changed, indent=1, ensure_ascii=False), flush=True)
    else:
        print("\n".join(show.shown(changed, before)), flush=True)
    return STATUS[worst(promised.findings(results, given.outside))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run xmpp-status, and return its exit status."""
    given = arguments_of(arguments)
    try:
        config = configuration(given)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if given.explain is not None:
        return explain(given, config)
    if given.diff:
        return differ(given, config)
    outside = given.outside or bool(given.domain)
    end = time.monotonic() + given.wait
    while True:
        with concurrent.futures.ThreadPoolExecutor(1) as beside:
            asked = beside.submit(promised.look, config, outside, testers=True)
            # The ports of others are looked at by the promises alone.
            findings = [] if given.domain else look(config, outside)
            results = asked.result()
        findings += promised.findings(results, outside, config["host"] if given.domain else "")
        if worst(findings) != FAIL or time.monotonic() >= end:
            break
        time.sleep(3)
    now = int(time.time())
    if given.record:
        more = partial(promised.note, results, now)
        findings = states.record(findings, now, config["disks"], more, promised.counts(results))
    if given.json:
        print(json.dumps([item.as_dict() for item in findings], indent=1), flush=True)
    else:
        print("\n".join(report(config["host"], findings, now)), flush=True)
    return STATUS[worst(findings)]
