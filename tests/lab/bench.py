# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time the site playbook on bare hosts against one bare apt-get install of the same packages.

Each round: a fresh host for the floor; then, for each checkout, a fresh host for the first run, a run without change, and
one with one setting changed. Checkouts take turns, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import yaml

TOP = Path(__file__).resolve().parents[2]
LAB = TOP / "tests" / "lab" / "lab"
# Of the lab in which this runs, by `lab run`, or of the default one.
KEYS = Path(os.environ.get("LAB_STATE", TOP / ".cache" / "lab" / "demo"))
RELEASE = "trixie"
PAGE = TOP / "docs" / "performance.md"
BEGIN, END = "<!-- bin/bench writes what follows -->", "<!-- bin/bench wrote what is above -->"

# The figures, in the order of the table, and what they are to be at most: seconds, or how often another figure.
FIGURES = {
    "floor": "one `apt-get install` of the same packages",
    "first": "first run",
    "again": "run without change",
    "setting": "run with one setting changed",
    "domains 10": "run without change, 10 domains",
    "domains 100": "run without change, 100 domains",
    "hosts 2": "run without change, 2 hosts",
    "hosts 5": "run without change, 5 hosts",
}
AIMS = {"first": ("floor", 1.4), "again": 5.0, "setting": 8.0, "domains 100": ("again", 1.3), "hosts 5": ("again", 2.5)}


def timed(*command: str, **options) -> tuple[float, str]:
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return time.monotonic() - started, done.stdout


def host(number: int) -> tuple[str, str]:
    """The name and the address of a host of the benchmark."""
    return f"bench{number or ''}.broccoli.test", f"198.51.100.{40 + number}"


def fresh_host(number: int = 0, kind: str = "bare") -> None:
    name, address = host(number)
    timed(str(LAB), "down", name)
    timed(str(LAB), "up", name, address, RELEASE, kind)


def inventory(hosts: int = 1, **variables) -> str:
    """An inventory of a few lines, as operators have them."""
    common = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(KEYS / "id_ed25519"),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={KEYS / 'known_hosts'}",
        "xmpp_domain": "broccoli.test",
        "xmpp_admins": ["admin@broccoli.test"],
        "xmpp_certificate_provider": "private_ca",
    }
    names = dict(map(host, range(hosts)))
    each = {name: {"ansible_host": address, "xmpp_addresses": [address]} for name, address in names.items()}
    return yaml.safe_dump({"all": {"hosts": each, "vars": {**common, **variables}}})


@dataclass
class Run:
    seconds: float
    tasks: list[tuple[str, float]]  # the name and the seconds of each task that ran


@dataclass
class Checkout:
    """A version of the collection, and what was measured of it."""

    name: str
    top: Path
    folder: Path  # for its inventories, and beside them the private authority, which all runs share
    figures: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    runs: dict[str, Run] = field(default_factory=dict)

    def play(self, figure: str, content: str) -> Run:
        """Runs the playbook, and keeps its time as a figure, unless that is empty."""
        hosts, ours = self.folder / "hosts.yml", self.folder / "ansible_collections" / "magicbroccoli" / "xmpp"
        ours.parent.mkdir(parents=True, exist_ok=True)
        hosts.write_text(content)
        if not ours.exists():
            ours.symlink_to(self.top)
        with tempfile.TemporaryDirectory() as report:
            environment = os.environ | {
                "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit",
                "ANSIBLE_COLLECTIONS_PATH": f"{self.folder}:{TOP / '.venv/collections'}",
                "JUNIT_OUTPUT_DIR": report,
            }
            command = (str(TOP / ".venv/bin/ansible-playbook"), "-i", str(hosts), "magicbroccoli.xmpp.site")
            seconds, _output = timed(*command, env=environment, cwd=TOP)
            (found,) = Path(report).glob("*.xml")
            cases = [case for case in ElementTree.parse(found).iter("testcase") if case.find("skipped") is None]
        run = Run(seconds, [(case.get("name"), float(case.get("time"))) for case in cases])
        if figure:
            self.figures[figure].append(seconds)
            self.runs[figure] = run
            print(f"  {self.name}: {FIGURES[figure]} {seconds:.1f} s, {len(run.tasks)} tasks", flush=True)
        return run


def packages_of_the_site() -> list[str]:
    """What the playbook asked apt for, as apt's own log on the host has it."""
    _seconds, log = timed(str(LAB), "exec", host(0)[0], "cat", "/var/log/apt/history.log")
    installs = re.findall(r"^Install: (.*)$", log, re.MULTILINE)
    entries = [entry for line in installs for entry in line.split("), ")]
    return sorted({re.sub(r":\w+ \(.*", "", entry) for entry in entries if "automatic" not in entry})


def by_place(run: Run) -> dict[str, float]:
    """The milliseconds of a run by role, and of the site's own tasks by their name."""
    found: dict[str, float] = defaultdict(float)
    for name, seconds in run.tasks:
        task = name.partition(": ")[2]
        role = re.match(r"magicbroccoli\.xmpp\.(\w+) : ", task)
        found[f"role {role[1]}" if role else re.split(r" \w+=", task)[0]] += 1000 * seconds
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def measure(checkouts: list[Checkout], rounds: int, wide: bool) -> None:
    fresh_host()
    checkouts[0].play("", inventory())  # fills the package cache
    packages = packages_of_the_site()
    install = "apt-get -q update && apt-get -qy install --no-install-recommends " + " ".join(packages)
    for number in range(1, rounds + 1):
        print(f"round {number}", flush=True)
        fresh_host()
        floor, _ = timed(str(LAB), "exec", "--env", "DEBIAN_FRONTEND=noninteractive", host(0)[0], "sh", "-c", install)
        print(f"  floor: {len(packages)} packages {floor:.1f} s", flush=True)
        for checkout in checkouts:
            checkout.figures["floor"].append(floor)
            fresh_host()
            checkout.play("first", inventory())
            checkout.play("again", inventory())
            checkout.play("setting", inventory(xmpp_archive_days=60))
            if wide and number == rounds:
                for number_of in (10, 100):
                    more = [{"domain": f"d{domain}.test", "components": {}} for domain in range(1, number_of)]
                    checkout.play("", inventory(xmpp_extra_domains=more))
                    checkout.play(f"domains {number_of}", inventory(xmpp_extra_domains=more))
    if wide:
        for each in range(5):
            fresh_host(each)
        for number_of in (2, 5):
            for checkout in checkouts:
                checkout.play("", inventory(number_of))
                checkout.play(f"hosts {number_of}", inventory(number_of))


def median(checkout: Checkout, figure: str) -> float | None:
    return statistics.median(checkout.figures[figure]) if checkout.figures[figure] else None


def aim(checkout: Checkout, figure: str) -> str:
    """What a figure is to be at most, and what it is as a ratio where it is one."""
    if figure not in AIMS:
        return ""
    if isinstance(AIMS[figure], float):
        return f"{AIMS[figure]:g} s"
    other, most = AIMS[figure]
    value, base = median(checkout, figure), median(checkout, other)
    return f"{most:g} × ({value / base:.2f} ×)" if value and base else f"{most:g} ×"


def table(checkouts: list[Checkout]) -> str:
    lines = [
        "| seconds | " + " | ".join(checkout.name for checkout in checkouts) + " | aim |",
        "|---" * (len(checkouts) + 2) + "|",
    ]
    for figure, what in FIGURES.items():
        values = [median(checkout, figure) for checkout in checkouts]
        if any(values):
            shown = " | ".join(f"{value:.1f}" if value else "" for value in values)
            lines.append(f"| {what} | {shown} | {aim(checkouts[0], figure)} |")
    return "\n".join(lines)


def plot(checkouts: list[Checkout]) -> str:
    """Bars of the medians, as SVG that follows the reader's colours."""
    bars, y, width = [], 10, 420
    longest = max(value for one in checkouts for figure in FIGURES if (value := median(one, figure)))
    for figure, what in FIGURES.items():
        values = [(one.name, value) for one in checkouts if (value := median(one, figure))]
        if not values:
            continue
        bars.append(f'<text x="0" y="{y + 12}">{what.replace("`", "")}</text>')
        y += 18
        for number, (name, value) in enumerate(values):
            opacity = 1 if number == 0 else 0.45
            length = max(1, round(width * value / longest))
            bars.append(f'<rect x="0" y="{y}" width="{length}" height="12" fill="#3b7a57" fill-opacity="{opacity}"/>')
            bars.append(f'<text x="{length + 6}" y="{y + 11}">{value:.1f} s, {name}</text>')
            y += 16
        y += 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {y}" font-family="sans-serif" font-size="12" '
        'fill="#767676" role="img" aria-label="Seconds of each run">\n' + "\n".join(bars) + "\n</svg>\n"
    )


def write(checkouts: list[Checkout], said: str) -> None:
    """Puts the table and the plot into docs/performance.md."""
    places = []
    for figure in ("first", "again"):
        found = by_place(checkouts[0].runs[figure])
        rows = [f"| {place} | {milliseconds:.0f} |" for place, milliseconds in list(found.items())[:20]]
        places += [f"Where a {FIGURES[figure]} spends its time:", "", "| place | ms |", "|---|---|", *rows, ""]
    (PAGE.parent / "performance.svg").write_text(plot(checkouts))
    put(BEGIN, END, [said, "", table(checkouts), "", "![Seconds of each run](performance.svg)", "", *places])


def put(begin: str, end: str, lines: list[str]) -> None:
    """Replaces what is between two marks of docs/performance.md."""
    before, rest = PAGE.read_text().split(begin)
    after = rest.split(end)[1]
    PAGE.write_text(before + begin + "\n\n" + "\n".join(lines).rstrip() + "\n\n" + end + after)


def medians(rounds: int) -> str:
    return f"medians of {rounds} rounds" if rounds > 1 else "one round"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="rounds, of which the medians are printed (3)")
    parser.add_argument("--against", metavar="REF", help="a commit or tag to measure in the same run")
    parser.add_argument("--wide", action="store_true", help="10 and 100 domains, two and five hosts, too")
    parser.add_argument("--write", action="store_true", help="write the result into docs/performance.md")
    running = parser.add_argument_group("the running host")
    running.add_argument(
        "--running",
        action="store_true",
        help="measure not the playbook, but what load costs the running host, Debian's Prosody (files, SQLite) and ejabberd",
    )
    running.add_argument("--clients", type=int, default=1000, help="how many are idle (1000)")
    running.add_argument(
        "--occupants", type=int, default=0, help="a room of so many in the last round; filling it costs by the square"
    )
    running.add_argument("--protections", action="store_true", help="ours without each of its protections, too")
    arguments = parser.parse_args()
    if arguments.running:
        # It imports this module.
        import peers

        peers.run(arguments)
        return
    said = (
        f"{os.cpu_count()} cores, over ssh to a Debian 13 in a container of the same machine, packages from a cache; "
        f"{medians(arguments.runs)}."
    )
    print(said)
    with tempfile.TemporaryDirectory() as folder:
        checkouts = [Checkout("this checkout", TOP, Path(folder, "this"))]
        if arguments.against:
            other = Path(folder, "other")
            timed("git", "-C", str(TOP), "worktree", "add", "--detach", str(other), arguments.against)
            checkouts.append(Checkout(arguments.against, other, Path(folder, "against")))
        try:
            measure(checkouts, arguments.runs, arguments.wide)
        finally:
            if arguments.against:
                timed("git", "-C", str(TOP), "worktree", "remove", "--force", str(Path(folder, "other")))
            for number in range(5):
                timed(str(LAB), "down", host(number)[0])
    print(table(checkouts))
    for figure in ("first", "again"):
        places = {place: round(spent) for place, spent in by_place(checkouts[0].runs[figure]).items()}
        print(f"ms by place, {FIGURES[figure]}: {json.dumps(places)}")
    if arguments.write:
        write(checkouts, said)


if __name__ == "__main__":
    main()
