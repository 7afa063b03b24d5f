# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian 12 becomes Debian 13 in place: refused, told, killed twice in the middle, and done, with all that people had."""

from __future__ import annotations

import json
import re
import time

import pytest
from conftest import done, end, play, read, started
from hosts import until

# All but what the running host writes by itself, such as lists of packages.
STATE = """
dpkg-query --show --showformat '${Package} ${Version} ${Status}\\n'
find /etc /usr /boot /root -xdev -type f -print0 | sort -z | xargs -0 sha256sum
ls -A /var/tmp /var/lib/xmpp-upgrade 2>/dev/null | grep -v systemd-private
systemctl is-active prosody named nginx coturn xmpp-updates.timer || true
"""
FOREIGN, PINS = "/etc/apt/sources.list.d/foreign.list", "/etc/apt/preferences.d/own"


def test_a_host_that_is_not_ready_is_refused(cedar, people):
    """All that keeps it from being upgraded is in one list, and nothing has changed."""
    cedar.out("apt-mark hold nginx; systemctl stop coturn")
    cedar.out(f"echo 'deb http://packages.example.org/debian bookworm main' > {FOREIGN}")
    cedar.out(f"printf 'Package: *\\nPin: release n=bookworm\\nPin-Priority: 900\\n' > {PINS}")
    try:
        before = cedar.out(STATE)
        refused = play()
        assert set(cedar.out(STATE).splitlines()) ^ set(before.splitlines()) == set()
    finally:
        cedar.out(f"apt-mark unhold nginx; rm {FOREIGN} {PINS}; systemctl start coturn")
    said = " ".join(refused.stdout.split())
    print(*re.findall(r"\d+ problems:.*?(?=PLAY RECAP)", said)[:1])
    assert refused.returncode == 2 and " changed=0 " in said
    for one in (
        "on hold: nginx; type apt-mark unhold nginx",
        "foreign source of packages: http://packages.example.org/debian/ bookworm",
        f"{PINS}: it chooses versions of packages",
        "the self-test fails: unit coturn.service",
    ):
        assert one in said, said[-3000:]


def test_check_mode_says_what_would_happen_and_changes_nothing(cedar, people):
    before = cedar.out(STATE)
    told = play("--check")
    assert told.returncode == 0, told.stdout[-3000:]
    said = " ".join(told.stdout.split())
    found = re.search(r"packages: (\d+) are upgraded, (\d+) are new, (\d+) are removed; (\d+) MB are downloaded", said)
    assert found and int(found[1]) > 200 and int(found[4]) > 50, said[:3000]
    print(found[0])
    assert "in /etc/apt/sources.list: bookworm becomes trixie" in said
    assert "the data of version 15 is copied to version 17" in said
    assert set(cedar.out(STATE).splitlines()) ^ set(before.splitlines()) == set()


@pytest.fixture(scope="module")
def upgraded(cedar, people, tmp_path_factory):
    """dpkg is killed in the middle, then the operator's machine is lost, and the third run of the same command ends well."""
    logs = tmp_path_factory.mktemp("runs")
    first = started(logs / "first")
    until(lambda: first.poll() is not None or unpacked(cedar) > 5, 600)
    found = unpacked(cedar)
    cedar.out("pkill -KILL -x dpkg; pkill -KILL -x apt-get; true")
    assert first.wait(300) == 2, (logs / "first").read_text()[-3000:]
    said = " ".join((logs / "first").read_text().split())
    assert "run the same command again: it goes on from there" in said, said[-3000:]
    print(f"dpkg was killed with {found} packages half there:", *re.findall(r"Module failed: (.{,300})", said))
    # Nothing runs with half a configuration.
    assert cedar.run("systemctl is-active prosody nginx named coturn").stdout.split() == ["inactive"] * 4

    second = started(logs / "second")
    until(lambda: second.poll() is not None or unpacked(cedar) > found + 20, 600)
    assert second.poll() is None, (logs / "second").read_text()[-3000:]
    end(second)

    # The packages go on meanwhile, and are waited for.
    assert cedar.run("pgrep -x apt-get").rc == 0
    begin = time.monotonic()
    third = play()
    assert third.returncode == 0, third.stdout[-5000:]
    print(f"the third run took {time.monotonic() - begin:.0f} s")
    return third


def unpacked(cedar) -> int:
    """How many packages are half there."""
    return int(cedar.out("dpkg --audit | grep -c '^ ' || true"))


def test_it_is_debian_13_and_whole(cedar, upgraded):
    assert cedar.out(". /etc/os-release; echo $VERSION_CODENAME") == "trixie"
    assert cedar.out("dpkg --audit") == ""
    assert cedar.out("apt-get --simulate full-upgrade | grep -c ^Inst || true") == "0"
    assert "bookworm" not in cedar.out("cat /etc/apt/sources.list")
    for path in ("/usr/sbin/policy-rc.d", "/var/lib/xmpp-upgrade/state.json"):
        assert cedar.run(f"test -e {path}").rc == 1, path
    assert cedar.out("systemctl --failed --no-legend --plain") == ""


def test_people_log_in_with_their_old_passwords_and_read_old_messages(people, upgraded):
    for name, had in people.items():
        found = done(read(name, had["password"]))
        assert len(had["archive"]) >= 21 and found == had["archive"]
        print(f"{name}: {len(found)} messages, the same")


def test_postgresql_has_the_data_in_its_new_version(cedar, upgraded):
    clusters = {line.split()[0]: line.split()[2:4] for line in cedar.out("pg_lsclusters --no-header").splitlines()}
    assert clusters["17"] == ["5432", "online"]
    # The old data is a way back until the operator removes it.
    assert clusters["15"][1] == "down"


def test_the_host_is_well(cedar, upgraded):
    status = cedar.run("xmpp-status --json")
    failing = [one for one in json.loads(status.stdout) if one["level"] == "fails"]
    print(f"{len(json.loads(status.stdout))} checks")
    assert failing == []
    for unit in ("prosody", "named", "nginx", "coturn", "munin-node", "xmpp-updates.timer", "xmpp-backup.timer"):
        assert cedar.out(f"systemctl is-active {unit}") == "active", unit


def test_again_it_changes_nothing(upgraded):
    again = play()
    assert again.returncode == 0 and " changed=0 " in again.stdout, again.stdout[-3000:]
    assert "runs Debian 13 already" in again.stdout
