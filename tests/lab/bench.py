# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time the site playbook on a bare host against one bare apt-get install of the same packages.

Each round: a fresh host for the floor, a fresh host for the first run, then a second run without change.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

TOP = Path(__file__).resolve().parents[2]
LAB = TOP / "tests" / "lab" / "lab"
HOST, ADDRESS, RELEASE = "bench.broccoli.test", "198.51.100.40", "trixie"
UNITS = {f"{name}.service" for name in ("ssh", "nftables", "named", "prosody", "nginx", "munin-node", "cron")}
UNITS |= {f"{name}.timer" for name in ("apt-daily", "apt-daily-upgrade", "reboot-in-window")}
INVENTORY = f"""
all:
  hosts:
    {HOST}:
      ansible_host: {ADDRESS}
      ansible_user: root
      ansible_ssh_private_key_file: {TOP}/.cache/lab/demo/id_ed25519
      ansible_ssh_common_args: -o UserKnownHostsFile={TOP}/.cache/lab/demo/known_hosts
      xmpp_domain: broccoli.test
      xmpp_admins: [admin@broccoli.test]
      xmpp_addresses: [{ADDRESS}]
      xmpp_certificate_provider: private_ca
"""


def timed(*command: str, **options) -> tuple[float, str]:
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return time.monotonic() - started, done.stdout


def fresh_host() -> None:
    timed(str(LAB), "down", HOST)
    timed(str(LAB), "up", HOST, ADDRESS, RELEASE)


def on_host(*command: str) -> str:
    return timed(str(LAB), "exec", HOST, *command)[1]


def play(inventory: Path) -> tuple[float, list[tuple[str, float]], set[str]]:
    """Runs the playbook; returns its seconds, the name and seconds of each task that ran, and the paths it changed."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "JUNIT_OUTPUT_DIR": folder,
        }
        command = (str(TOP / ".venv/bin/ansible-playbook"), "-v", "-i", str(inventory), "magicbroccoli.xmpp.site")
        seconds, output = timed(*command, env=environment, cwd=TOP)
        (report,) = Path(folder).glob("*.xml")
        cases = ElementTree.parse(report).iter("testcase")
        ran = [(case.get("name"), float(case.get("time"))) for case in cases if case.find("skipped") is None]
    paths = {path for found in re.findall(r'"paths": (\[[^]]*\])', output) for path in json.loads(found)}
    return seconds, ran, paths


def packages_of_the_site() -> list[str]:
    """What the playbook asked apt for, as apt's own log on the host has it."""
    installs = re.findall(r"^Install: (.*)$", on_host("cat", "/var/log/apt/history.log"), re.MULTILINE)
    entries = [entry for line in installs for entry in line.split("), ")]
    return sorted({re.sub(r":\w+ \(.*", "", entry) for entry in entries if "automatic" not in entry})


def main(runs: int) -> None:
    print(f"{os.cpu_count()} cores, {runs} rounds, Debian {RELEASE}, packages from the cache; medians")
    with tempfile.TemporaryDirectory() as folder:
        inventory = Path(folder) / "hosts.yml"
        inventory.write_text(INVENTORY)
        fresh_host()
        play(inventory)  # fills the package cache
        packages = packages_of_the_site()
        install = "apt-get -q update && apt-get -qy install --no-install-recommends " + " ".join(packages)
        floors, firsts, repeats, counts, per_file, per_package = [], [], [], [], [], []
        for number in range(1, runs + 1):
            fresh_host()
            floor, _ = timed(str(LAB), "exec", "--env", "DEBIAN_FRONTEND=noninteractive", HOST, "sh", "-c", install)
            fresh_host()
            first, _, paths = play(inventory)
            repeat, ran, _ = play(inventory)
            units = on_host("systemctl", "list-units", "--state=active", "--no-legend", "--plain").splitlines()
            services = [unit.split()[0] for unit in units if unit.split()[0] in UNITS]

            def spent(pattern: str, ran=ran) -> float:
                return sum(seconds for name, seconds in ran if re.search(pattern, name))

            floors.append(floor)
            firsts.append(first)
            repeats.append(repeat)
            counts.append(len(ran))
            per_file.append(1000 * spent("in place|the folders|for a trial") / len(paths))
            per_package.append(1000 * spent("already so") / (len(packages) + len(services)))
            print(f"round {number}: floor {floor:.1f} s, first run {first:.1f} s, no change {repeat:.1f} s", flush=True)
        ratio = statistics.median(first / floor for first, floor in zip(firsts, floors, strict=True))
        for what, value, unit in (
            (f"floor: one apt-get install of {len(packages)} packages", statistics.median(floors), "s"),
            ("first run", statistics.median(firsts), "s"),
            ("first run / floor (aim: at most 1.5)", ratio, ""),
            ("run without change (aim: at most 10 s)", statistics.median(repeats), "s"),
            ("tasks that ran in it", statistics.median(counts), ""),
            (f"without change, a managed file (of {len(paths)})", statistics.median(per_file), "ms"),
            (
                f"without change, a package or service (of {len(packages)} and {len(services)})",
                statistics.median(per_package),
                "ms",
            ),
        ):
            print(f"{what:64} {value:7.2f} {unit}")
        timed(str(LAB), "down", HOST)


if __name__ == "__main__":
    main(int(sys.argv[1]))
