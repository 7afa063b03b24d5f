# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures how long the parts of a test run take.

timing.py record FILE       copy molecule's output, and write the seconds of each phase and of the slowest tests to FILE
timing.py order DIRECTORY   print the scenarios of a whole run, the longest first by what `record` has written there for an
                            earlier one, and else by the table SECONDS
timing.py table DIRECTORY   print a table of the files `record` has written, and of `steps` (a name and seconds per line);
                            and for how much of the time since the first line of /proc/stat was put into `processors` these
                            were busy
"""

import json
import re
import sys
import time
from pathlib import Path

SCENARIOS = Path(__file__).resolve().parents[2] / "molecule"
# Only by their names: a kernel in emulation and the packages of a whole release take long, and a checkout of the newest
# commit alone has no older version.
APART = {"machine", "older_version", "upgrade"}
# Where nothing is recorded yet, as in a fresh checkout: seconds of a whole run on two processors.
SECONDS = {
    "default": 1594,
    "debian12": 1200,
    "acme": 1100,
    "backup": 842,
    "hardening": 728,
    "two_hosts": 637,
    "tls": 531,
    "updates": 471,
    "alarms": 454,
    "abuse": 430,
    "moving_in": 330,
    "external_dns": 329,
    "web": 297,
    "cloud": 207,
    "config_tree": 76,
}
PHASES = ("create", "check", "prepare", "converge", "idempotence", "verify", "destroy")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# A phase without a playbook ends with a warning.
PHASE = re.compile(r"^(?:INFO|WARNING) +\S+ ➜ (\w+): (Executing$|Executed)")
TEST = re.compile(r"(\d+\.\d+)s (?:call|setup|teardown) +(\S+)")


def record(path):
    begun, phases, tests = {}, {}, []
    start = time.monotonic()
    for line in sys.stdin:
        sys.stdout.write(line)
        sys.stdout.flush()
        text = COLOUR.sub("", line)
        if found := PHASE.match(text):
            name, what = found.groups()
            if what == "Executing":
                begun[name] = time.monotonic()
            elif name in begun:
                phases[name] = phases.get(name, 0) + time.monotonic() - begun.pop(name)
        elif found := TEST.search(text):
            tests.append([float(found[1]), found[2]])
    # A phase that failed has no end of its own.
    for name, since in begun.items():
        phases[name] = phases.get(name, 0) + time.monotonic() - since
    path.write_text(json.dumps({"total": time.monotonic() - start, "phases": phases, "tests": tests}))


def order(directory):
    def seconds(name):
        recorded = directory / f"{name}.json"
        # What is unknown first: at the end, nothing would run beside it.
        return json.loads(recorded.read_text())["total"] if recorded.exists() else SECONDS.get(name, float("inf"))

    names = {path.parent.name for path in SCENARIOS.glob("*/molecule.yml")} - APART
    print(*sorted(names, key=lambda name: (-seconds(name), name)), sep="\n")


def busy(before, after):
    """The share of the time between two first lines of /proc/stat in which the processors worked."""
    spent = [int(now) - int(then) for then, now in zip(before.split()[1:9], after.split()[1:9], strict=True)]
    # Idle, and idle while a disk works.
    return 1 - (spent[3] + spent[4]) / max(1, sum(spent))


def table(directory):
    steps = directory / "steps"
    rows = [line.rsplit(maxsplit=1) for line in steps.read_text().splitlines()] if steps.exists() else []
    scenarios = {path.stem: json.loads(path.read_text()) for path in directory.glob("*.json")}
    width = max(map(len, [*(name for name, _ in rows), *scenarios, "seconds"]))
    print(f"{'seconds':{width}}  total" + "".join(f"{phase:>13}" for phase in PHASES if scenarios))
    for name, seconds in rows:
        print(f"{name:{width}}{seconds:>7}")
    for name, it in sorted(scenarios.items(), key=lambda item: -item[1]["total"]):
        cells = (f"{it['phases'][phase]:13.0f}" if phase in it["phases"] else f"{'-':>13}" for phase in PHASES)
        print(f"{name:{width}}{it['total']:7.0f}" + "".join(cells))
    tests = sorted(
        ([seconds, name, test] for name, it in scenarios.items() for seconds, test in it["tests"]), reverse=True
    )
    for seconds, name, test in tests[:20]:
        print(f"{seconds:7.1f}  {name}: {test}")
    with open("/proc/stat") as processors:
        share = busy((directory / "processors").read_text(), processors.readline())
    print(f"The processors were busy for {share:.0%} of the time.")


if __name__ == "__main__":
    {"record": record, "order": order, "table": table}[sys.argv[1]](Path(sys.argv[2]))
