# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian 12 becomes Debian 13 in place: refused, told, cut off at every bad moment, and done, with all that people had."""

from __future__ import annotations

import json
import re
import time

import pytest
from clients import done
from conftest import end, play, read, started
from cuts import COPYING, GATE, KILL_INITDB, TABLE, clusters, lose_power, psql, waiting
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
def packages(cedar, people, tmp_path_factory):
    """dpkg is killed in the middle, then the operator's machine is lost, and the packages go on."""
    psql(cedar, TABLE)
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
    return logs


@pytest.fixture(scope="module")
def cut_off(cedar, packages):
    """The move of PostgreSQL's data is cut off at its worst moments; each run has to mend what the one before it has left."""
    # initdb is killed: its folder would be taken for a whole cluster. First in the run whose operator is lost, which goes on
    # by itself, then in the one that has waited for it.
    killed = started(packages / "initdb")
    for _ in range(2):
        print("left by initdb:", *cedar.out("timeout 900 bash", stdin=KILL_INITDB).split())
    assert killed.wait(300) == 2, (packages / "initdb").read_text()[-3000:]
    assert "run the same command again" in " ".join((packages / "initdb").read_text().split())

    # The configuration of version 17 names the folder of version 15, which goes with it if it is removed as it is.
    with waiting(cedar, "/usr/bin/install", "*/15/main/postgresql.conf /etc/postgresql/17/main") as reached:
        lose_power(cedar, packages / "configuration", reached)
    assert clusters(cedar).count("/var/lib/postgresql/15/main") == 2

    # pg_restore is killed, with half of the data: pg_upgradecluster does not notice, and calls that a success.
    cedar.out(f"touch {GATE}")
    copying = f'test -n "$(setpriv --reuid=postgres --regid=postgres --init-groups psql --cluster 17/main -qAt -c "{COPYING}")"'
    short = started(packages / "restore")
    until(lambda: short.poll() is not None or cedar.run(copying).rc == 0, 300)
    assert short.poll() is None, (packages / "restore").read_text()[-3000:]
    assert psql(cedar, "SELECT count(*) FROM prosodyarchive", 17) == "0"
    cedar.out("pkill -KILL -x pg_restore")
    assert short.wait(300) == 2, (packages / "restore").read_text()[-3000:]
    said = " ".join((packages / "restore").read_text().split())
    found = re.search(
        r"pg_upgradecluster: the copy in version 17 is not whole: .*? Version 15 still has all data", said
    )
    assert found and "run the same command again" in said, said[-3000:]
    print(found[0])
    # This run was told of the one before it.
    assert "PostgreSQL: version 15 has all data; what version 17 has is removed, and copied anew" in said, said[:3000]

    # Power is lost with half of the data copied. Whatever is written after the boot is part of the data.
    lose_power(cedar, packages / "data", copying)
    until(lambda: cedar.run("pg_isready --quiet --port 5432").rc == 0)
    psql(cedar, "INSERT INTO prosody_gate VALUES ('after the loss of power')")
    cedar.out(f"rm {GATE}")

    # Power is lost when the copy is whole and neither version has the port.
    with waiting(cedar, "/usr/bin/pg_conftool", "15 main set port 543[!2]") as reached:
        lose_power(cedar, packages / "port", reached)


@pytest.fixture(scope="module")
def upgraded(cut_off):
    """The next run of the same command ends well."""
    begin = time.monotonic()
    last = play()
    assert last.returncode == 0, last.stdout[-5000:]
    print(f"the last run took {time.monotonic() - begin:.0f} s")
    return last


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
    found = {line.split()[0]: line.split()[2:4] for line in clusters(cedar).splitlines()}
    assert found["17"] == ["5432", "online"]
    # The old data is a way back until the operator removes it.
    assert found["15"][1] == "down"
    assert cedar.run("systemctl is-enabled postgresql@15-main").stdout.strip() == "disabled"
    assert cedar.out("cat /etc/postgresql/17/main/start.conf").split()[-1] == "auto"
    notes = psql(cedar, "SELECT note FROM prosody_gate", 17).splitlines()
    assert notes == ["before the upgrade", "after the loss of power"]


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
