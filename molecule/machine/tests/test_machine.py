# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role hardening asks of the kernel, which in a container is that of the machine beneath it."""

from __future__ import annotations

import json

import pytest
from conftest import Machine

READ_SETTINGS = """
import glob, json, re
wrong, seen = {}, 0
for line in open("/etc/sysctl.d/90-hardening.conf"):
    found = re.match(r"-?([^#\\s=]+)\\s*=\\s*(.*)", line)
    if not found or line.startswith("#"):
        continue
    # A dot separates, and a slash is part of a name, which no setting of ours has.
    for path in glob.glob("/proc/sys/" + found[1].replace(".", "/")):
        seen += 1
        is_there = open(path).read().strip()
        if is_there != found[2].strip():
            wrong[path] = f"{is_there}, and should be {found[2].strip()}"
print(json.dumps({"seen": seen, "wrong": wrong, "interfaces": sorted(glob.glob("/proc/sys/net/ipv4/conf/*"))}))
"""


def settings(machine: Machine, interface: str) -> dict:
    found = json.loads(machine.out("python3 -", stdin=READ_SETTINGS))
    print(f"{interface}: {found['seen']} settings, {len(found['wrong'])} wrong")
    assert f"/proc/sys/net/ipv4/conf/{interface}" in found["interfaces"]
    assert found["seen"] > 60
    return found["wrong"]


def test_kernel_settings_hold_on_every_interface(machine):
    """After the first run, after a reboot, and on an interface that is added later."""
    wrong = {"after the run": settings(machine, "ens3")}
    machine.reboot()
    wrong["after a reboot"] = settings(machine, "ens3")
    machine.out("ip link add late0 type dummy && ip link set late0 up && udevadm settle")
    wrong["on a new interface"] = settings(machine, "late0")
    machine.out("ip link del late0")
    assert wrong == dict.fromkeys(wrong, {})


@pytest.mark.parametrize("name", ["apparmor", "audit"])
def test_the_self_test_finds_it_well(machine, name):
    result = machine.run(f"/etc/xmpp/status.d/{name}")
    print(result.stdout)
    assert result.rc == 0


def test_a_clock_without_servers_is_noticed(machine):
    """None can be reached from the lab."""
    result = machine.run("/etc/xmpp/status.d/clock")
    print(result.stdout)
    assert result.rc in (1, 2)
    assert result.stdout.startswith("not synchronised: no time server has answered")


def test_the_profiles_are_enforced(machine):
    profiles = json.loads(machine.out("aa-status --json"))["profiles"]
    ours = {name: profiles.get(name) for name in ("named", "nginx", "prosody", "turnserver")}
    print(ours)
    assert set(ours.values()) == {"enforce"}
    # And the daemons run under them.
    confined = {
        unit: machine.out(f"cat /proc/$(systemctl show -P MainPID {unit})/attr/current")
        for unit in ("coturn", "nginx", "prosody")
    }
    print(confined)
    assert confined == {"coturn": "turnserver (enforce)", "nginx": "nginx (enforce)", "prosody": "prosody (enforce)"}
    denied = machine.run("journalctl -k --no-pager -g 'apparmor=.DENIED.'").stdout
    print(denied)
    assert not [line for line in denied.splitlines() if any(f'profile="{name}"' in line for name in ours)]


def test_the_kernel_notes_a_change_of_the_firewall(machine):
    count = "ausearch --input-logs --raw -k firewall | wc -l"
    before = int(machine.out(count))
    machine.out("touch /etc/nftables.conf")
    machine.wait_for(f'test "$({count})" -gt {before}')
