# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures how long the parts of a test run take.

timing.py record FILE       copy molecule's output, and write the seconds of each phase and of the slowest tests to FILE
timing.py order DIRECTORY   print the scenarios, the longest first by what `record` has written there for an earlier run
timing.py table DIRECTORY   print a table of the files `record` has written, and of `steps` (a name and seconds per line)
"""

import json
import re
import sys
import time
from pathlib import Path

SCENARIOS = Path(__file__).resolve().parents[2] / "molecule"
PHASES = ("create", "check", "prepare", "converge", "idempotence", "verify", "destroy")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PHASE = re.compile(r"^INFO +\S+ ➜ (\w+): (Executing|Executed)")
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
    def key(name):
        recorded = directory / f"{name}.json"
        # What is unknown first: at the end, nothing would run beside it. Of these, the two that are known to be long.
        seconds = json.loads(recorded.read_text())["total"] if recorded.exists() else float("inf")
        return -seconds, name not in ("default", "debian12"), name

    print(*sorted((path.parent.name for path in SCENARIOS.glob("*/molecule.yml")), key=key), sep="\n")


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


if __name__ == "__main__":
    {"record": record, "order": order, "table": table}[sys.argv[1]](Path(sys.argv[2]))
