# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The self-test of a host, loaded from where the role keeps it: what it makes of what programs and peers answer."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from programs import load_program

PROGRAM = Path(__file__).parents[3] / "roles/status/templates/usr/local/sbin/xmpp-status"
MOUNTS = "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n30 22 8:2 / /var rw,relatime - ext4 /dev/sda2 rw\n"
CONFIG = {
    **{"host": "a.test", "address": "127.0.0.1", "dns_server": "127.0.0.1", "verify": False, "ca": "", "updates": ""},
    **{key: [] for key in ("units", "ports", "stun", "pages", "zones", "certificates", "commands", "disks", "states")},
    **{"disk_warn_percent": 15, "disk_fail_percent": 5, "certificate_warn_percent": 22, "certificate_fail_percent": 8},
}


@pytest.fixture
def program(tmp_path, monkeypatch):
    module = load_program(PROGRAM)
    for name in ("CONFIG", "STATE", "MEMORY", "ALARM", "HOOKS", "MOUNTS"):
        monkeypatch.setattr(module, name, str(tmp_path / name))
    Path(module.MOUNTS).write_text(MOUNTS)
    return module


def outcome(program, check, argument, **config):
    """Level and words of one check."""
    try:
        return "ok", check({**CONFIG, **config}, argument)
    except program.Doubtful as error:
        return "warns", str(error)
    except program.Wrong as error:
        return "fails", str(error)


def answers(program, monkeypatch, text):
    monkeypatch.setattr(program, "run", lambda *_command: text)


def dig(days, status="NOERROR", signed=True):
    end = time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + days * 86400))
    name = "_xmpp-client._tcp.a.test. 3600 IN"
    lines = [f";; ->>HEADER<<- opcode: QUERY, status: {status}, id: 1", f"{name} SRV 0 5 5222 h.a.test."]
    lines += [f"{name} RRSIG SRV 13 4 3600 {end} 20260101000000 1 a.test. c2ln"] if signed else []
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "level", "said"),
    [
        (dig(14), "ok", "answers, signed for 14 days"),
        (dig(0.5), "warns", "its signatures expire in 12 hours, and are not renewed"),
        (dig(-1), "fails", "its signatures have been expired since "),
        (dig(14, signed=False), "fails", "its records are not signed"),
        (dig(14, status="SERVFAIL"), "fails", "_xmpp-client._tcp.a.test SRV: SERVFAIL, and no record"),
        (";; status: NOERROR, id: 1", "fails", "_xmpp-client._tcp.a.test SRV: NOERROR, and no record"),
        ("", "fails", "_xmpp-client._tcp.a.test SRV: no answer, and no record"),
    ],
)
def test_zones(program, monkeypatch, text, level, said):
    answers(program, monkeypatch, text)
    found = outcome(program, program.check_zone, "a.test")
    assert found[0] == level and found[1].startswith(said)


@pytest.mark.parametrize(
    ("text", "level", "said"),
    [
        ("LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\n", "ok", "active (running)"),
        (
            "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=oom-kill\n",
            "fails",
            "failed (failed, oom-kill)",
        ),
        ("LoadState=not-found\nActiveState=inactive\n", "fails", "it is not-found"),
        ("", "fails", "it is None"),
    ],
)
def test_units(program, monkeypatch, text, level, said):
    answers(program, monkeypatch, text)
    assert outcome(program, program.check_unit, "a.service") == (level, said)


@pytest.mark.parametrize("days", [90, 64, 45, 6, 1])
@pytest.mark.parametrize(
    ("left", "level", "said"),
    [
        (60, "ok", "valid for "),
        # When it should have been renewed, whether that is a third or half of its life before its end.
        (30, "ok", "valid for "),
        (20, "warns", "it expires in "),
        (5, "fails", "it expires in "),
        (-3, "fails", "it has been expired since "),
        (103, "fails", "it is not valid before "),
    ],
)
def test_certificates(program, monkeypatch, days, left, level, said):
    """By their own lives."""
    end = time.time() + days * 86400 * left / 100
    dates = {"notBefore": end - days * 86400, "notAfter": end}
    lines = [time.strftime(f"{name}=%Y-%m-%d %H:%M:%SZ", time.gmtime(moment)) for name, moment in dates.items()]
    answers(program, monkeypatch, "\n".join(lines) + "\n")
    found = outcome(program, program.check_certificate, "/c.pem")
    print(f"{days} days, {left} % left: {found}")
    assert found[0] == level and found[1].startswith(said)


@pytest.mark.parametrize(
    ("free", "inodes", "level", "said"),
    [
        (50, 60, "ok", "50 % of its space are free"),
        (50, 14, "warns", "14 % of its inodes are free"),
        (4, 60, "fails", "4 % of its space are free"),
    ],
)
def test_disks(program, monkeypatch, free, inodes, level, said):
    shape = [1, 1, 100, free, free, 100, inodes, inodes, 0, 255]
    monkeypatch.setattr(program.os, "statvfs", lambda _path: os.statvfs_result(shape))
    assert outcome(program, program.check_disk, "/") == (level, said)
    # After an error of the disk, the kernel does so.
    Path(program.MOUNTS).write_text(MOUNTS.replace("/dev/sda2 rw", "/dev/sda2 ro"))
    assert outcome(program, program.check_disk, "/") == (level, said)
    assert outcome(program, program.check_disk, "/var") == outcome(program, program.check_disk, "/var/lib")
    assert outcome(program, program.check_disk, "/var")[1].startswith("it can only be read")


def test_checks_of_other_roles(program, monkeypatch):
    monkeypatch.setattr(program, "check_failed", lambda *_given: "none has failed")
    Path(program.HOOKS).mkdir()
    for name, text in {
        "clock": "echo 'by plain NTP'; echo 'chronyc sources'; exit 1",
        "audit": "echo off; echo 'auditctl -s'; exit 2",
        "mounts": "echo 'as they should be'; echo findmnt",
        "broken": "echo no such thing >&2; exit 127",
    }.items():
        path = Path(program.HOOKS, name)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    Path(program.HOOKS, "notes").write_text("no program")
    found = {item["subject"]: (item["level"], item["text"], item["do"]) for item in program.look(CONFIG, False)}
    assert found == {
        "units": ("ok", "none has failed", ""),
        "audit": ("fails", "off", "auditctl -s"),
        "broken": ("fails", "no such thing", f"{program.HOOKS}/broken"),
        "clock": ("warns", "by plain NTP", "chronyc sources"),
        "mounts": ("ok", "as they should be", ""),
    }


def test_ports_are_asked_by_both_families(program):
    given = {**CONFIG, "ports": [{"port": 443, "name": "a.test"}], "stun": [3478], "address6": "2001:db8::1"}
    asked = [(subject, argument) for subject, _check, argument, _do in program.plan(given, True)]
    assert asked == [
        ("port 443", {"port": 443, "name": "a.test", "address": "127.0.0.1"}),
        ("STUN, port 3478", ("127.0.0.1", 3478)),
        ("port 443 by IPv6", {"port": 443, "name": "a.test", "address": "2001:db8::1"}),
        ("STUN, port 3478 by IPv6", ("2001:db8::1", 3478)),
    ]
    assert len(list(program.plan({**given, "address6": ""}, True))) == 2


@pytest.mark.parametrize(
    ("hours", "before", "level", "said"),
    [
        (4, 64, "fails", "50 % of its space are free, and it is full in 14 hours if it goes on like this"),
        (23, 60, "ok", "50 % of its space are free"),
        # A few packages, and a sample of just now, say nothing.
        (4, 54, "ok", "50 % of its space are free"),
        (2, 90, "ok", "50 % of its space are free"),
        (4, 40, "ok", "50 % of its space are free"),
    ],
)
def test_a_disk_that_fills_is_told_of_long_before(program, monkeypatch, hours, before, level, said):
    shape = [1, 1, 100, before, before, 100, 60, 60, 0, 255]
    monkeypatch.setattr(program.os, "statvfs", lambda _path: os.statvfs_result(shape))
    now = time.time()
    program.record([], now - hours * 3600 - 86400, ["/"])
    program.record([], now - hours * 3600, ["/"])
    shape[3] = shape[4] = 50
    assert outcome(program, program.check_disk, "/") == (level, said)


def test_states(program, tmp_path):
    path = tmp_path / "state.json"
    state = {"name": "backup", "path": str(path), "key": "last_success", "hours": 50, "do": "x"}
    # A backup that nobody has set up is not missed.
    assert [
        item["subject"] for item in program.look({**CONFIG, "states": [state]}, False) if "backup" in item["subject"]
    ] == []
    for content, level, said in [
        ({"last_success": time.time() - 7200}, "ok", "2 hours ago"),
        ({"last_success": time.time() - 72 * 3600}, "fails", "the last success was 3 days ago"),
        ({"last_success": None}, "warns", "no last_success yet"),
    ]:
        path.write_text(json.dumps(content))
        assert outcome(program, program.check_state, state) == (level, said)
    path.write_text("{")
    assert outcome(program, program.check_state, state)[0] == "fails"


def test_a_run_that_was_killed(program, tmp_path):
    path, lock = tmp_path / "state.json", tmp_path / "lock"
    state = {"name": "backup", "path": str(path), "key": "last_success", "hours": 50, "do": "x", "lock": str(lock)}
    path.write_text(json.dumps({"last_success": time.time() - 7200, "begun": time.time() - 3600}))
    killed = ("fails", "the run that began 60 minutes ago was killed, or the machine went down")
    assert outcome(program, program.check_state, state) == killed
    with lock.open("w") as stream:
        assert outcome(program, program.check_state, state) == killed
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert outcome(program, program.check_state, state) == ("ok", "2 hours ago")
    path.write_text(json.dumps({"last_success": time.time() - 7200, "begun": None}))
    assert outcome(program, program.check_state, state) == ("ok", "2 hours ago")


def test_updates(program, tmp_path):
    path = tmp_path / "state.json"
    good = {"problems": {}, "upgrade": None, "restarts": [], "reboot": None, "refreshed": time.time() - 7200}
    for change, level, said in [
        ({}, "ok", "lists of 2 hours ago"),
        (
            {"reboot": {"why": "x"}, "restarts": ["a"]},
            "ok",
            "1 service waits for a restart; a reboot is needed; lists of",
        ),
        ({"problems": {"upgrade": "it ended with 1:\nfor a reason"}}, "fails", "it ended with 1:"),
    ]:
        path.write_text(json.dumps({**good, **change}))
        found = outcome(program, program.check_updates, str(path))
        assert found[0] == level and found[1].startswith(said)
    os.utime(path, (time.time() - 3 * 3600, time.time() - 3 * 3600))
    assert outcome(program, program.check_updates, str(path)) == ("fails", "it last ran 3 hours ago")
    assert outcome(program, program.check_updates, str(tmp_path / "none")) == ("warns", "it has not run yet")


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>", None),
        (b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "it does not insist on encryption"),
        (
            b"<starttls><required/></starttls><mechanisms><mechanism>PLAIN</mechanism></mechanisms>",
            "it does not insist",
        ),
        (b"<starttls><required/></starttls><auth xmlns='http://jabber.org/features/iq-auth'/>", "it does not insist"),
        (b"<starttls><required/></starttls><dialback xmlns='urn:xmpp:features:dialback'/>", "it does not insist"),
        (b"<mechanisms/>", "it offers no STARTTLS"),
        (None, "it hangs up before TLS"),
    ],
)
def test_login_ports_insist_on_encryption(program, features, said):
    ours, theirs = socket.socketpair()

    def peer():
        theirs.recv(4096)
        if features is None:
            theirs.close()
            return
        theirs.sendall(b"<stream:features>" + features + b"</stream:features>")
        if theirs.recv(4096):
            theirs.sendall(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")

    thread = threading.Thread(target=peer)
    thread.start()
    try:
        if said is None:
            program.start_tls(ours, "a.test", "jabber:client")
        else:
            with pytest.raises(program.Wrong, match=said):
                program.start_tls(ours, "a.test", "jabber:client")
    finally:
        ours.close()
        thread.join()
        theirs.close()


def test_a_stream_is_for_the_domain_as_xmpp_knows_it(program):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"<stream:features></stream:features>")
        with pytest.raises(program.Wrong):
            program.start_tls(ours, "xn--bcher-kva.test", "jabber:client")
        assert "to='bücher.test'" in theirs.recv(4096).decode()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 seconds"), (1, "1 second"), (119, "119 seconds"), (120, "2 minutes"), (7200, "2 hours"), (3e6, "35 days")],
)
def test_spans_of_time(program, seconds, said):
    assert program.age(seconds) == said


def test_numbers_agree_with_their_nouns(program):
    assert [program.count(n, "service", "wait") for n in (0, 1, 2)] == [
        "0 services wait",
        "1 service waits",
        "2 services wait",
    ]


def test_a_check_that_breaks_is_a_failure_and_stops_no_other(program, monkeypatch, capsys):
    monkeypatch.setattr(program, "check_disk", lambda *_given: 1 / 0)
    monkeypatch.setattr(program, "check_failed", lambda *_given: "none has failed")
    monkeypatch.setattr(program, "check_command", lambda _config, command: command["name"])
    Path(program.CONFIG).write_text(
        json.dumps({**CONFIG, "disks": ["/"], "commands": [{"name": "modules", "argv": ["true"]}]})
    )
    monkeypatch.setattr(sys, "argv", ["xmpp-status"])
    assert program.main() == 2
    lines = capsys.readouterr().out.splitlines()
    print(*lines, sep="\n")
    assert lines[0].startswith("a.test: failures: 1 of 3 checks; warnings: 0. 20")
    # What matters is first, and says what to type.
    assert lines[1].startswith("FAILS disk /") and "it could not be checked: ZeroDivisionError" in lines[1]
    assert lines[2].strip().startswith("type: du -xh") and len(lines) == 5


def test_tells_of_each_failure_and_when_it_is_over(program, monkeypatch):
    told = []

    def run(command, **options):
        told.append((" ".join(command[1:]), options["input"]))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(program.subprocess, "run", run)
    Path(program.ALARM).touch()

    def found(*failing):
        return [
            {"subject": name, "level": "fails" if name in failing else "ok", "text": "it is", "do": "x"}
            for name in "abc"
        ]

    program.record(found("a", "b"), 1)
    program.record(found("b"), 2)
    program.record(found(), 3)
    print(*told, sep="\n")
    assert told == [
        ("status: a", "it is\nWhat to type: x\n"),
        ("status: b", "it is\nWhat to type: x\n"),
        ("status: b", "it is\nWhat to type: x\n"),
        ("--over status: a", ""),
        ("--over status: b", ""),
    ]
    state = json.loads(Path(program.STATE).read_text())
    assert state["ok"] and state["time"] == 3 and Path(program.STATE).stat().st_mode & 0o777 == 0o644


def test_a_disk_that_takes_nothing_silences_nobody(program, monkeypatch):
    """What fails is told, and what no longer does; that nothing can be noted, too; and it is over when it can."""
    said = []
    monkeypatch.setattr(program, "alarm", lambda words, text="": said.append(" ".join(words)))
    Path(program.STATE).write_text(json.dumps({"failing": ["a"]}))
    real, full = program.replace, True

    def replace(path, state):
        if full and path == program.STATE:
            raise OSError(28, "No space left on device")
        real(path, state)

    monkeypatch.setattr(program, "replace", replace)

    def run(*failing):
        said.clear()
        found = [
            {"subject": name, "level": "fails" if name in failing else "ok", "text": "it is", "do": "x"}
            for name in "abc"
        ]
        found = program.record(found, 1)
        return [item["text"] for item in found if item["subject"] == "notes of this test"], list(said)

    note = "status: notes of this test"
    assert run("b") == ([f"{program.STATE}: No space left on device"], ["status: b", note, "--over status: a"])
    # By the memory, since the disk has nothing of it.
    assert run("c")[1] == ["status: c", note, "--over status: a", "--over status: b"]
    full = False
    assert run("c") == ([], ["status: c", "--over status: a", f"--over {note}"])
    assert json.loads(Path(program.STATE).read_text())["failing"] == ["c"] and not Path(program.MEMORY).exists()


@pytest.mark.parametrize("text", [None, "{"])
def test_without_configuration_it_fails(program, monkeypatch, capsys, text):
    if text is not None:
        Path(program.CONFIG).write_text(text)
    monkeypatch.setattr(sys, "argv", ["xmpp-status"])
    assert program.main() == 2
    assert "run the playbook, which writes it" in capsys.readouterr().err
