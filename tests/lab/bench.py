# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time the site playbook on a bare host against one bare apt-get install of the same packages.

Each round: a fresh host for the floor, a fresh host for the first run, then a second run without change.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
LAB = TOP / "tests" / "lab" / "lab"
HOST, ADDRESS, RELEASE = "bench.broccoli.test", "198.51.100.40", "trixie"
INVENTORY = f"""
all:
  hosts:
    {HOST}:
      ansible_host: {ADDRESS}
      ansible_user: root
      ansible_ssh_private_key_file: {TOP}/.cache/lab/id_ed25519
      ansible_ssh_common_args: -o UserKnownHostsFile={TOP}/.cache/lab/known_hosts
      xmpp_domain: broccoli.test
      xmpp_admins: [admin@broccoli.test]
      xmpp_addresses: [{ADDRESS}]
"""


def timed(*command: str, **options) -> float:
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return time.monotonic() - started


def fresh_host() -> None:
    timed(str(LAB), "down", HOST)
    timed(str(LAB), "up", HOST, ADDRESS, RELEASE)


def on_host(*command: str) -> str:
    return subprocess.run([str(LAB), "exec", HOST, *command], check=True, capture_output=True, text=True).stdout


def play(inventory: Path) -> tuple[float, list[tuple[str, float]]]:
    """Runs the playbook; returns its seconds and, of each task that ran, the name and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit", "JUNIT_OUTPUT_DIR": folder}
        seconds = timed(
            str(TOP / ".venv/bin/ansible-playbook"),
            "-i",
            str(inventory),
            "magicbroccoli.xmpp.site",
            env=environment,
            cwd=TOP,
        )
        (report,) = Path(folder).glob("*.xml")
        cases = ElementTree.parse(report).iter("testcase")
        ran = [(case.get("name"), float(case.get("time"))) for case in cases if case.find("skipped") is None]
    return seconds, ran


def packages_of_the_site() -> list[str]:
    """What the playbook asked apt for, as apt's own log on the host has it."""
    log = on_host("cat", "/var/log/apt/history.log")
    installs = re.findall(r"^Install: (.*)$", log, re.MULTILINE)
    asked = [
        re.sub(r":\w+ \(.*", "", entry) for line in installs for entry in line.split("), ") if "automatic" not in entry
    ]
    return sorted(set(asked))


def main(runs: int) -> None:
    print(f"{os.cpu_count()} cores, {runs} rounds, Debian {RELEASE}, packages from the cache; medians")
    with tempfile.TemporaryDirectory() as folder:
        inventory = Path(folder) / "hosts.yml"
        inventory.write_text(INVENTORY)
        fresh_host()
        play(inventory)  # fills the package cache
        packages = packages_of_the_site()
        floors, firsts, seconds_runs, ratios, tasks = [], [], [], [], []
        for number in range(1, runs + 1):
            fresh_host()
            floors.append(
                timed(
                    str(LAB),
                    "exec",
                    "--env",
                    "DEBIAN_FRONTEND=noninteractive",
                    HOST,
                    "sh",
                    "-c",
                    "apt-get -q update && apt-get -qy install --no-install-recommends " + " ".join(packages),
                )
            )
            fresh_host()
            first, _ = play(inventory)
            second, ran = play(inventory)
            firsts.append(first)
            seconds_runs.append(second)
            ratios.append(first / floors[-1])
            tasks.append(ran)
            print(
                f"round {number}: floor {floors[-1]:.1f} s, first run {first:.1f} s, no change {second:.1f} s",
                flush=True,
            )

        def share(pattern: str) -> float:
            return statistics.median(sum(s for name, s in ran if re.search(pattern, name)) for ran in tasks)

        files = int(
            on_host(
                "sh",
                "-c",
                "find /etc /usr/local /var/www /var/lib/bind/zones -type f -newer /root/.ssh/authorized_keys "
                "-exec grep -lI 'Ansible, role\\|Serial\\|magicbroccoli' {} + | wc -l",
            )
        )
        services = len(
            on_host(
                "systemctl", "list-units", "--type=service", "--state=running", "--no-legend", "--plain"
            ).splitlines()
        )
        print(f"floor (one apt-get install of {len(packages)} packages)  {statistics.median(floors):6.1f} s")
        print(f"first run                                        {statistics.median(firsts):6.1f} s")
        print(f"first run / floor                                {statistics.median(ratios):6.2f}   (aim: at most 1.5)")
        print(
            f"run without change                               {statistics.median(seconds_runs):6.1f} s (aim: at most 10)"
        )
        print(f"tasks that ran in it, of all hosts               {statistics.median(len(ran) for ran in tasks):6.0f}")
        print(
            f"no change, per managed file ({files} files)       {1000 * share('config_tree|in place|folders') / max(files, 1):6.1f} ms"
        )
        print(
            f"no change, per package ({len(packages)} packages)      {1000 * share('Install') / len(packages):6.2f} ms"
        )
        print(
            f"no change, per running service ({services} services) {1000 * share('Enable and start') / services:6.2f} ms"
        )
        timed(str(LAB), "down", HOST)


if __name__ == "__main__":
    main(int(sys.argv[1]))
