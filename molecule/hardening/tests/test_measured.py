# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of others judge the hosts; what is not followed has a waiver; docs/hardening.md says what was measured."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from difflib import ndiff
from pathlib import Path

import findings
import pytest
import yaml
from hosts import TOP

WAIVERS = yaml.safe_load((TOP / "tests/lab/waivers.yml").read_text())
PAGE = TOP / "docs/hardening.md"
LEAST_INDEX = 85
PROFILE = "xccdf_org.ssgproject.content_profile_anssi_bp28_high"
# Daemons that are there for the network, though they listen to nobody or by a socket only.
UNITS = {"chrony.service", "cron.service"}
ROLES = TOP / "roles"
# What chrony may not have in a container.
LAB = "/etc/systemd/system/chrony.service.d/zz-lab.conf"


def ours() -> dict[str, str]:
    """All units of the roles, whether this host has them or not, as what their template says where it computes something."""
    found = {}
    for path in ROLES.glob("*/templates/etc/systemd/system/*.service*"):
        name = path.name.removesuffix(".j2")
        if path.is_file() and name.endswith(".service"):
            found[name] = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "/var/lib/nothing", path.read_text())
    return found


def units(host) -> list[str]:
    """The units that listen, those that stand beside them, and all of ours."""
    listening = host.out("ss -Hlntup")
    pids = sorted(set(re.findall(r"pid=(\d+)", listening)))
    cgroups = host.out(f"sh -c 'cat {' '.join(f'/proc/{pid}/cgroup' for pid in pids)}'")
    found = set(re.findall(r"/([^/\n]+\.service)$", cgroups, re.M))
    postgresql = host.out("systemctl list-units --plain --no-legend postgresql@*.service").split()[0]
    return sorted(found | UNITS | {postgresql} | {name.replace("@.", "@measured.") for name in ours()})


def lynis(host) -> findings.Result:
    host.out(
        "lynis audit system --quick --no-colors --quiet --no-log >/dev/null 2>&1; test -s /var/log/lynis-report.dat"
    )
    return findings.lynis(host.out("cat /var/log/lynis-report.dat"))


def scap(host) -> findings.Result:
    # 2: it has found something.
    done = host.run(f"oscap xccdf eval --profile {PROFILE} /root/scap.xml 2>/dev/null")
    assert done.rc in (0, 2), done
    return findings.scap(done.stdout)


def ssh(host) -> findings.Result:
    program = str(Path(sys.executable).with_name("ssh-audit"))
    done = subprocess.run(
        [program, "--json", "--skip-rate-test", host.address], capture_output=True, text=True, check=False
    )
    return findings.ssh(done.stdout)


def systemd(host) -> findings.Result:
    # Before chrony runs in a container, the lab takes its right to set the clock. Units that belong to an option which this
    # host does not have are measured, too.
    host.out(f"sh -c 'mv {LAB} /run/zz-lab.conf'")
    missing = {name: text for name, text in ours().items() if host.run(f"test -e /etc/systemd/system/{name}").rc != 0}
    try:
        for name, text in missing.items():
            host.out(f"sh -c 'cat >/run/systemd/system/{name}'", stdin=text)
        host.out("systemctl daemon-reload")
        lines = [f"systemd-analyze security --no-pager {unit} | tail -n 1" for unit in units(host)]
        result = findings.systemd(host.out(f"sh -c '{'; '.join(lines)}'"))
    finally:
        for name in missing:
            host.run(f"rm -f /run/systemd/system/{name}")
        host.out(f"sh -c 'mv /run/zz-lab.conf {LAB} && systemctl daemon-reload'")
    # PostgreSQL's unit has its version in its name.
    result.numbers = {re.sub(r"@(\S+-main|measured)", "@", unit): level for unit, level in result.numbers.items()}
    result.findings = {re.sub(r"@(\S+-main|measured)", "@", unit) for unit in result.findings}
    return result


@pytest.fixture(scope="module")
def results(hosts) -> dict[str, dict[str, findings.Result]]:
    with ThreadPoolExecutor() as pool:
        return {
            tool: dict(zip(hosts, pool.map(measure, hosts.values()), strict=True))
            for tool, measure in {"systemd": systemd, "ssh": ssh, "scap": scap, "lynis": lynis}.items()
        }


@pytest.mark.parametrize("tool", findings.TOOLS)
def test_what_is_not_followed_has_a_waiver(results, tool, release):
    result = results[tool][release]
    print(f"{tool} on {release}: {result.numbers}, {len(result.findings)} findings")
    assert result.numbers
    assert findings.unwaived(result.findings, WAIVERS.get(tool), release) == []


@pytest.mark.parametrize("tool", findings.TOOLS)
def test_no_waiver_is_left_over(results, tool, release):
    assert findings.unneeded(results[tool][release].findings, WAIVERS.get(tool), release) == []


def test_the_numbers(results, release):
    index = results["lynis"][release].numbers["index"]
    held = results["scap"][release].numbers["pass"]
    exposed = results["systemd"][release].numbers
    print(f"{release}: lynis {index:g}, ANSSI-BP-028 (high) {held:g} rules hold, exposed {exposed}")
    assert index >= LEAST_INDEX
    assert held >= 80
    assert {"prosody.service", "named.service", "nginx.service", "coturn.service", "munin-node.service"} <= set(exposed)
    assert set(ours()) <= set(exposed)


def test_the_page_says_what_was_measured(results):
    page = findings.page(results, WAIVERS)
    if os.environ.get("HARDENING_RECORD"):
        PAGE.write_text(page)
    was, now = findings.without_index(PAGE.read_text()), findings.without_index(page)
    print(f"lynis: {now[1]}, recorded: {was[1]}")
    difference = [line for line in ndiff(was[0].splitlines(), now[0].splitlines()) if line[0] in "+-"]
    assert difference == [], "run bin/test hardening, which writes docs/hardening.md"
    # A few points depend on the machine beneath the containers.
    assert [index for index, before in zip(now[1], was[1], strict=True) if abs(index - before) > 3] == []
