# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program on the host that decides whether to reboot, loaded from where the role keeps it."""

import importlib.machinery
import importlib.util
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import names

PROGRAM = Path(__file__).parents[3] / "roles/updates/templates/usr/local/libexec/reboot-in-window"


@pytest.fixture
def program(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("reboot_in_window", str(PROGRAM))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("reboot_in_window", loader))
    loader.exec_module(module)
    for name in ("CONFIG", "REQUIRED", "PACKAGES", "DPKG_LOCK"):
        monkeypatch.setattr(module, name, str(tmp_path / name))
    return module


def clock(minute):
    return f"{minute // 60:02}:{minute % 60:02}"


def test_never_outside_the_window(program):
    """Against a window walked through minute by minute, which knows nothing of comparisons."""
    dice = random.Random(7)
    windows = [(dice.randrange(1440), dice.randrange(1, 1440)) for _ in range(120)]
    windows += [(0, 1), (1439, 1), (1439, 2), (0, 1439), (1, 1439), (720, 1439), (120, 180), (1410, 90)]
    reboots = across = 0
    for begin, length in windows:
        window = {"start": clock(begin), "end": clock((begin + length) % 1440)}
        inside = {(begin + passed) % 1440 for passed in range(length)}
        across += begin + length > 1440
        for minute in range(1440):
            reboot, again, why = program.decide(window, minute, ["a kernel"], False)
            assert reboot == (minute in inside), (window, clock(minute), why)
            assert not again
            reboots += reboot
            assert program.decide(window, minute, [], False) == (False, False, "no reboot is needed")
            assert program.decide(window, minute, ["a kernel"], True)[:2] == (False, minute in inside)
    print(f"{len(windows)} windows, {across} across midnight, {len(windows) * 1440} decisions, {reboots} reboots")
    assert reboots == sum(length for _begin, length in windows) and across > 30


def test_agrees_with_the_filter(program):
    for text in ("02:00-05:00", "23:30-01:00", "00:00-23:59"):
        window = names.reboot_window(text)
        assert program.minute_of(window["start"]) == window["start_minute"]
        assert program.minute_of(window["end"]) == window["end_minute"]


@pytest.mark.parametrize(
    ("minute", "reasons", "busy", "said"),
    [
        (0, [], False, "no reboot is needed"),
        (1, ["x is there"], False, "a reboot is needed (x is there), but it is 00:01, outside the window 02:00-05:00"),
        (119, ["x"], False, "a reboot is needed (x), but it is 01:59, outside the window 02:00-05:00"),
        (120, ["x", "y"], False, "a reboot is needed (x; y) and the window 02:00-05:00 is open"),
        (
            299,
            ["x"],
            True,
            "a reboot is needed (x) and the window 02:00-05:00 is open, but packages are being installed",
        ),
        (300, ["x"], True, "a reboot is needed (x), but it is 05:00, outside the window 02:00-05:00"),
    ],
)
def test_says_why(program, minute, reasons, busy, said):
    assert program.decide({"start": "02:00", "end": "05:00"}, minute, reasons, busy)[2] == said


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({"start": "2:00", "end": "05:00"}, "'2:00' is not a time of day; write it from 00:00 to 23:59"),
        ({"start": "02:00", "end": "24:00"}, "'24:00' is not a time of day; write it from 00:00 to 23:59"),
        ({"start": "02:60", "end": "03:00"}, "'02:60' is not a time of day; write it from 00:00 to 23:59"),
        ({"start": "02:00", "end": "02:00"}, "the window 02:00-02:00 has no length; let it end later"),
        (
            {"start": "02:00"},
            """{'start': '02:00'} is no window; write for example {"start": "02:00", "end": "05:00"}""",
        ),
        ([], """[] is no window; write for example {"start": "02:00", "end": "05:00"}"""),
    ],
)
def test_refuses_a_bad_window(program, window, said):
    with pytest.raises(ValueError) as caught:
        program.decide(window, 130, ["x"], False)
    assert str(caught.value) == said


class Machine:
    """Records what would be run; answers as needrestart does."""

    def __init__(self, kernel_state):
        self.answer = f"NEEDRESTART-VER: 3.11\nNEEDRESTART-KCUR: 6.1\nNEEDRESTART-KEXP: 6.12\n{kernel_state}\n"
        self.ran = []

    def run(self, command, **_options):
        self.ran.append(" ".join(command))
        return subprocess.CompletedProcess(command, 0, stdout=self.answer, stderr="")

    @property
    def rebooted(self):
        return "/usr/bin/systemctl reboot" in self.ran


@pytest.mark.parametrize(
    ("arguments", "minute", "required", "kernel", "rebooted", "said"),
    [
        ([], 130, True, "1", True, "Rebooting: a reboot is needed (REQUIRED is there, from libc6, linux-image)"),
        ([], 130, False, "3", True, "Rebooting: a reboot is needed (kernel 6.12 is installed, 6.1 runs)"),
        ([], 130, False, "2", True, "Rebooting: a reboot is needed (kernel 6.12 is installed, 6.1 runs)"),
        ([], 130, False, "1", False, "Not rebooting: no reboot is needed"),
        ([], 130, False, "0", False, "Not rebooting: no reboot is needed"),
        ([], 301, True, "3", False, "outside the window"),
        (["--explain"], 130, True, "3", False, "Rebooting: "),
        (["--dry-run"], 130, True, "3", False, "Rebooting: "),
    ],
)
def test_reboots_only_when_it_should(program, monkeypatch, capsys, arguments, minute, required, kernel, rebooted, said):
    machine = Machine(f"NEEDRESTART-KSTA: {kernel}")
    Path(program.CONFIG).write_text(json.dumps({"start": "02:00", "end": "05:00"}))
    if required:
        Path(program.REQUIRED).touch()
        Path(program.PACKAGES).write_text("linux-image\nlibc6\nlinux-image\n")
    monkeypatch.setattr(program.subprocess, "run", machine.run)
    monkeypatch.setattr(program, "local_minute", lambda: minute)
    monkeypatch.setattr(sys, "argv", ["reboot-in-window", *arguments])
    assert program.main() == 0
    assert said in capsys.readouterr().out.replace(program.REQUIRED, "REQUIRED")
    assert machine.rebooted == rebooted


def test_waits_for_dpkg_but_not_beyond_the_window(program, monkeypatch, capsys):
    machine, minutes = Machine("NEEDRESTART-KSTA: 3"), iter([298, 299, 300])
    Path(program.CONFIG).write_text(json.dumps({"start": "02:00", "end": "05:00"}))
    monkeypatch.setattr(program.subprocess, "run", machine.run)
    monkeypatch.setattr(program, "local_minute", lambda: next(minutes))
    monkeypatch.setattr(program, "dpkg_is_busy", lambda: True)
    monkeypatch.setattr(program.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(sys, "argv", ["reboot-in-window"])
    assert program.main() == 0
    assert not machine.rebooted
    assert capsys.readouterr().out.count("packages are being installed") == 2


def test_sees_who_holds_the_lock_of_dpkg(program):
    assert not program.dpkg_is_busy()
    Path(program.DPKG_LOCK).touch()
    assert not program.dpkg_is_busy()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX);"
            "print('held', flush=True); sys.stdin.read()",
            program.DPKG_LOCK,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    assert program.dpkg_is_busy()
    holder.communicate()
    assert not program.dpkg_is_busy()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file or directory"),
        ("{", "Expecting property name"),
        ("[]", "is no window"),
    ],
)
def test_a_broken_configuration_reboots_nothing(program, monkeypatch, capsys, text, said):
    machine = Machine("NEEDRESTART-KSTA: 3")
    if text is not None:
        Path(program.CONFIG).write_text(text)
    monkeypatch.setattr(program.subprocess, "run", machine.run)
    monkeypatch.setattr(sys, "argv", ["reboot-in-window"])
    assert program.main() == 1
    error = capsys.readouterr().err
    assert said in error and program.CONFIG in error and "nothing is rebooted" in error
    assert not machine.rebooted
