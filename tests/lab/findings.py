# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs of others find on a host, held against the waivers, and written down."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

TOOLS = {
    "lynis": "lynis",
    "scap": "OpenSCAP, profile ANSSI-BP-028 (high)",
    "ssh": "ssh-audit",
    "systemd": "systemd-analyze security",
}
RELEASES = {"trixie": "Debian 13", "bookworm": "Debian 12"}
MOST_EXPOSED = 3.0


@dataclass
class Result:
    """What one tool says of one host: what it found, its numbers, and how many rules hold."""

    findings: set[str] = field(default_factory=set)
    numbers: dict[str, float] = field(default_factory=dict)


def lynis(report: str) -> Result:
    """Read lynis-report.dat. Findings are tests; where a test has many objects, TEST:OBJECT."""
    result = Result()
    for line in report.splitlines():
        key, _, value = line.partition("=")
        parts = value.split("|")
        if key in ("suggestion[]", "warning[]"):
            name = parts[0]
            if name == "SSH-7408":
                name += ":" + parts[2].split()[0]
            if name != "KRNL-6000":
                result.findings.add(name)
        elif key == "details[]" and parts[0] == "KRNL-6000":
            result.findings.add("KRNL-6000:" + re.search(r"field:([^;]+)", value)[1])
        elif key == "hardening_index":
            result.numbers["index"] = int(value)
    return result


def scap(output: str) -> Result:
    """Read what oscap prints of each rule. An error counts as a finding, since nobody knows then."""
    result = Result(numbers={"pass": 0, "fail": 0, "notapplicable": 0})
    for rule, verdict in re.findall(r"^Rule\s+\S+?content_rule_(\S+)\n(?:.+\n)*?Result\s+(\w+)$", output, re.M):
        if verdict in ("fail", "error", "unknown"):
            result.findings.add(rule)
            verdict = "fail"
        if verdict in result.numbers:
            result.numbers[verdict] += 1
    return result


def ssh(output: str) -> Result:
    """Read the JSON of ssh-audit: what it warns of, or worse, by kind and algorithm."""
    result = Result(numbers={"algorithms": 0})
    report = json.loads(output)
    for kind in ("kex", "key", "enc", "mac"):
        for entry in report[kind]:
            result.numbers["algorithms"] += 1
            if set(entry.get("notes") or {}) & {"fail", "warn"}:
                result.findings.add(f"{kind}:{entry['algorithm']}")
    return result


def systemd(output: str) -> Result:
    """Read the last lines of systemd-analyze security for several units."""
    result = Result()
    for unit, level in re.findall(r"Overall exposure level for (\S+): ([\d.]+)", output):
        result.numbers[unit] = float(level)
        if float(level) > MOST_EXPOSED:
            result.findings.add(unit)
    return result


def check_waivers(waivers: dict) -> None:
    """Raise ValueError for a waiver that says nothing, or that nobody could understand."""
    for tool, entries in waivers.items():
        if tool not in TOOLS:
            raise ValueError(f"{tool!r} is no tool; write one of {', '.join(TOOLS)}")
        for pattern, waiver in (entries or {}).items():
            where = f"{tool}: {pattern}"
            if unknown := set(waiver) - {"reason", "only", "varies"}:
                raise ValueError(f"{where}: {', '.join(sorted(unknown))} is unknown; write reason, only or varies")
            if len(str(waiver.get("reason", ""))) < 20:
                raise ValueError(f"{where}: without a reason; write why the finding is not followed")
            if waiver.get("only") not in (None, *RELEASES):
                raise ValueError(f"{where}: only: {waiver['only']!r} is no release; write {' or '.join(RELEASES)}")


def applying(entries: dict | None, release: str) -> dict:
    return {pattern: w for pattern, w in (entries or {}).items() if w.get("only") in (None, release)}


def unwaived(findings: set[str], entries: dict | None, release: str) -> list[str]:
    patterns = applying(entries, release)
    return sorted(f for f in findings if not any(fnmatchcase(f, pattern) for pattern in patterns))


def unneeded(findings: set[str], entries: dict | None, release: str) -> list[str]:
    """The waivers of nothing. What the machine beneath the containers decides may come and go."""
    return sorted(
        pattern
        for pattern, waiver in applying(entries, release).items()
        if not waiver.get("varies") and not any(fnmatchcase(finding, pattern) for finding in findings)
    )


def number(value: float) -> str:
    return f"{value:g}"


def page(results: dict[str, dict[str, Result]], waivers: dict) -> str:
    """Write docs/hardening.md: results by tool and release."""
    releases = [release for release in RELEASES if release in results["lynis"]]
    head = f"| | {' | '.join(RELEASES[release] for release in releases)} |\n|---|{'---|' * len(releases)}\n"

    def row(name: str, tool: str, key: str) -> str:
        values = (results[tool][release].numbers.get(key) for release in releases)
        return f"| {name} | {' | '.join('–' if value is None else number(value) for value in values)} |\n"

    warned = "those with a warning waived below" if waivers.get("ssh") else "none with a warning"
    units = sorted({unit for release in releases for unit in results["systemd"][release].numbers})
    text = (
        "<!-- Written by `bin/test hardening` from its results. Changes are overwritten. -->\n"
        "# Hardening, measured\n\n"
        "`bin/test hardening` sets up the whole site on both releases and has programs of others judge it. Its hosts are"
        " containers: what belongs to the machine beneath them (kernel, clock, boot loader, partitions) is not judged, or"
        " found wanting and waived. OpenSCAP takes the host for a machine all the same, and Debian 13 for Debian 12, whose"
        " rules are the newest that there are.\n\n"
        "## Numbers\n\n"
        + head
        + row("lynis: hardening index", "lynis", "index")
        + row("ANSSI-BP-028 (high): rules that hold", "scap", "pass")
        + row("ANSSI-BP-028 (high): rules that do not, all waived below", "scap", "fail")
        + row(f"ssh-audit: algorithms, {warned}", "ssh", "algorithms")
        + "\n## How exposed each unit is\n\n"
        f"`systemd-analyze security`, from 0 (not at all) to 10, of all daemons that listen and of all units of the roles, those"
        f" that belong to an option included; more than {number(MOST_EXPOSED)} needs a reason, below.\n\n"
        + head
        + "".join(row(f"`{unit}`", "systemd", unit) for unit in units)
        + "\n## What is not followed, and why\n"
    )
    for tool, title in TOOLS.items():
        if not waivers.get(tool):
            continue
        text += f"\n### {title}\n\n| finding | why it is not followed |\n|---|---|\n"
        for pattern, waiver in waivers[tool].items():
            only = f" ({RELEASES[waiver['only']]})" if waiver.get("only") else ""
            text += f"| `{pattern}`{only} | {' '.join(waiver['reason'].split())} |\n"
    return text


def without_index(text: str) -> tuple[str, list[int]]:
    """Take lynis' index out of the page: some of its points are for settings of the machine beneath the containers."""
    line = re.search(r"^\| lynis: .*$", text, re.M)
    if not line:
        return text, []
    return text.replace(line[0], ""), [int(value) for value in re.findall(r"\| (\d+)", line[0])]
