# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator of the oldest released version installs this one, and runs it."""

from __future__ import annotations

import json
import re

from clients import done
from conftest import FORMER, NOW, POPLAR, WALNUT, has, play

# What runs and what is written meanwhile, as graphs, is in /var.
HAS = """
find /etc /usr /opt /srv -xdev ! -type d -printf '%M %u:%g %p -> %l\\n'
getent passwd | cut -d : -f 1,6,7; getent group | cut -d : -f 1,4
dpkg-query --show --showformat '${Package} ${Status}\\n'; apt-mark showmanual | sed 's/^/manual /'
systemctl list-unit-files --no-legend --plain
"""


def recap(output: str) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", output.rpartition("PLAY RECAP")[2])}


def test_former_names_are_refused_with_the_new_ones(walnut, people, now):
    refused = play(now, **FORMER)
    said = " ".join(refused.stdout.split())
    print(said[said.find("fatal") :][:3000])
    assert refused.returncode == 2 and recap(refused.stdout)["changed"] == 0
    for old, new in (("hardening_apparmor", "xmpp_apparmor"), ("prosody_room_expire_days", "never")):
        assert re.search(rf"{old}.{{0,200}}{new}", said), (old, new)


def test_check_mode_changes_nothing(walnut, now):
    look = "find /etc /usr/local /var/lib/xmpp* -xdev -type f -print0 | sort -z | xargs -0 sha256sum; systemctl list-units --failed"
    before = walnut.out(look)
    told = play(now, "--check", **NOW)
    print(*told.stdout.splitlines()[-12:], sep="\n")
    assert told.returncode == 0, told.stdout[-5000:]
    assert walnut.out(look).splitlines() == before.splitlines()


def test_it_becomes_this_version(walnut, people, now):
    """People log in with their passwords, and have what they had; the host is well, and a second run changes nothing."""
    run = play(now, **NOW)
    print(*run.stdout.splitlines()[-3:], sep="\n")
    assert run.returncode == 0, run.stdout[-5000:]
    for name, one in people.items():
        found = done(has(name, one["password"]))
        print(name, len(found["archive"]), "messages,", found["roster"])
        assert found["archive"] == one["archive"] and len(found["archive"]) == 20
        assert found["roster"] == one["roster"]
    again = play(now, **NOW)
    assert (again.returncode, recap(again.stdout)["changed"]) == (0, 0), again.stdout[-5000:]


def test_the_host_is_well(walnut, now):
    failed = walnut.out("systemctl --failed --no-legend --plain")
    assert failed == ""
    report = json.loads(walnut.run("xmpp-status --json").stdout)
    bad = {one["subject"]: one["text"] for one in report if one["level"] == "fails"}
    print(len(report), "results,", bad)
    assert bad == {}


def test_nothing_of_the_oldest_version_is_left(walnut, poplar):
    """The host has the files, accounts, packages and units of one that never had another version."""
    upgraded, fresh = (
        {line.replace(name, "NAME").replace(name.partition(".")[2], "DOMAIN") for line in host.out(HAS).splitlines()}
        for host, name in ((walnut, WALNUT), (poplar, POPLAR))
    )
    print(len(upgraded), len(fresh))
    assert len(fresh) > 10000
    assert (sorted(upgraded - fresh), sorted(fresh - upgraded)) == ([], [])
