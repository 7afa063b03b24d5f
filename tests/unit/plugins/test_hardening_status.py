# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role hardening has the self-test look at: the clock, auditing, AppArmor and mounts."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import load_program

FOLDER = Path(__file__).parents[3] / "roles/hardening/templates/etc/xmpp/status.d"
NOW = 1_800_000_000.0
# Answers of chronyc 4.6: of NTS servers whose port is closed, and of plain ones.
NTS = ["ptbtime1.ptb.de", "NTS", "0", "0", "0", "4294967295", "5", "0", "0", "0"]
PLAIN = ["0.debian.pool.ntp.org", "-", "0", "0", "0", "4294967295", "0", "0", "0", "0"]


def tracking(*, offset="0.000012", since=60, leap="Normal"):
    numbers = ["0.1"] * 7
    return ["C0000201", "192.0.2.1", "2", str(NOW - since), offset, "0", *numbers, leap]


def source(name, state, reach="377"):
    return ["^", state, name, "1", "6", reach, "12", "0", "0", "0"]


@pytest.mark.parametrize(
    ("found", "level", "said"),
    [
        ((tracking(), [source(NTS[0], "*"), source(PLAIN[0], "-")], [NTS, PLAIN], 9e4), 0, "to ptbtime1.ptb.de by NTS"),
        # Port 4460 is closed.
        (
            (tracking(), [source(NTS[0], "?", "0"), source(PLAIN[0], "*")], [NTS, PLAIN], 9e4),
            1,
            "synchronised to 0.debian.pool.ntp.org by plain NTP, which",
        ),
        # The operator has chosen plain NTP.
        ((tracking(), [source(PLAIN[0], "*")], [PLAIN], 9e4), 0, "synchronised to 0.debian.pool.ntp.org"),
        (
            (tracking(leap="Not synchronised"), [source(NTS[0], "?", "0")], [NTS], 9e4),
            2,
            "not synchronised: no time server has answered",
        ),
        ((tracking(leap="Not synchronised"), [source(NTS[0], "?", "0")], [NTS], 60), 1, "not synchronised: no time"),
        (
            (tracking(leap="Not synchronised"), [source(NTS[0], "x"), source(PLAIN[0], "x")], [NTS, PLAIN], 9e4),
            2,
            "not synchronised: no time server is right",
        ),
        (
            (tracking(since=9 * 3600), [source(NTS[0], "?", "0")], [NTS], 9e4),
            2,
            "no time server has answered for 9 hours",
        ),
        ((tracking(offset="-4.2"), [source(NTS[0], "*")], [NTS], 9e4), 1, "4.2 s off"),
    ],
)
def test_the_clock(found, level, said):
    told, seen, proofs, up = found
    judged = load_program(FOLDER / "clock").judge(told, seen, proofs, NOW, up)
    print(judged)
    assert judged[0] == level and said in judged[1]


RULES = (
    "-D\n-b 8192\n-i\n-w /etc/passwd -p wa -k accounts\n-w /etc/bind/ -p wa -k settings\n-a always,exit -S adjtimex\n"
)
STATUS = "enabled 1\nfailure 1\npid 321\nlost 0\n"


@pytest.mark.parametrize(
    ("status", "loaded", "level", "said"),
    [
        (STATUS, "-w /etc/passwd -p wa -k accounts\n-w /etc/bind -p wa -k settings\n-a x\n", 0, "active, rules: 3"),
        # A folder that was not there voids no list, but is not watched either.
        (STATUS, "-w /etc/passwd -p wa -k accounts\n", 1, "not watched: /etc/bind"),
        (STATUS, "No rules\n", 2, "no rules are loaded"),
        (STATUS.replace("321", "0"), "", 2, "auditd does not run"),
        (STATUS.replace("enabled 1", "enabled 0"), "", 2, "the kernel notes nothing"),
    ],
)
def test_auditing(status, loaded, level, said):
    judged = load_program(FOLDER / "audit").judge(status, loaded, RULES)
    assert judged[0] == level and said in judged[1], judged


def test_apparmor(tmp_path):
    program = load_program(FOLDER / "apparmor")
    folder, ours = tmp_path / "apparmor.d", tmp_path / "ours"
    (folder / "disable").mkdir(parents=True)
    ours.mkdir()
    for name in ("man", "nginx", "prosody"):
        path = folder / f"usr.bin.{name}"
        path.write_text(f"# Whatever it says.\nprofile {name} /usr/bin/{name} flags=(complain) {{\n")
        if name != "man":
            (ours / path.name).symlink_to(path)
    names = program.wanted(str(ours), str(folder))
    assert names == ["nginx", "prosody"]
    loaded = "man (enforce)\nnginx (enforce)\nprosody (complain)\n"
    assert program.judge("Y\n", loaded, names) == (0, "on, with the profiles nginx (enforce), prosody (complain)")
    assert program.judge("Y\n", "man (enforce)\n", names) == (2, "profiles that are not loaded: nginx, prosody")
    assert program.judge("N\n", "", names) == (2, "off in this kernel")
    (folder / "disable/usr.bin.prosody").symlink_to(folder / "usr.bin.prosody")
    assert program.wanted(str(ours), str(folder)) == ["nginx"]
    assert program.wanted(str(tmp_path / "none"), str(folder)) == []


MOUNTS = """22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:1 /tmp /tmp rw,relatime - ext4 /dev/sda1 rw
31 30 8:1 /tmp /tmp rw,nosuid,nodev,noexec,relatime - ext4 /dev/sda1 rw
32 22 0:20 / /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/tmp"], (0, "as they should be")),
        (["/tmp", "/dev/shm", "/var/tmp"], (2, "/dev/shm lacks noexec; /var/tmp is not mounted apart")),
    ],
)
def test_mounts(paths, expected):
    template = (FOLDER.parents[1] / "systemd/system/hardening-mounts.service.j2").read_text()
    (line,) = [line for line in template.splitlines() if line.startswith("ExecStart=")]
    unit = "\n".join(line.replace("{{ path }}", path).replace("{{ options }}", "nodev,nosuid,noexec") for path in paths)
    assert load_program(FOLDER / "mounts").judge(unit, MOUNTS) == expected
