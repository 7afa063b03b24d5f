# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that tells the administrators what is wrong, loaded from where the role keeps it."""

import io
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

PROGRAM = Path(__file__).parents[3] / "roles/alarms/templates/usr/local/sbin/xmpp-alarm"
DAY = 86400
CONFIG = {
    "host": "rosewood.example.org",
    "mail_from": "rosewood@example.net",
    "mail_to": ["hostmaster@example.org", "night@example.org"],
    "jids": ["juliet@example.org", "romeo@example.net"],
    "domain": "example.org",
    "repeat_hours": 24,
}


@pytest.fixture
def program(tmp_path, monkeypatch):
    module = load_program(PROGRAM)
    for name in ("CONFIG", "SOCKET", "STATE", "QUEUE", "SENDMAIL", "PROSODY"):
        monkeypatch.setattr(module, name, str(tmp_path / name))
    module.notes = []
    monkeypatch.setattr(module, "note", lambda text, *_level: module.notes.extend(text.splitlines()))
    return module


def alarm(subject, text="", over=False, unit=None):
    return {"subject": subject, "text": text, "over": over, "unit": unit}


def test_once_then_daily_and_when_it_is_over(program):
    alarms = {}

    def at(hours, over=False):
        return program.decide(alarms, alarm("It burns", "red", over), 1000 + hours * 3600, DAY)

    assert at(0) == ("It burns", "red")
    assert [at(hours) for hours in (0.1, 1, 12, 23.9)] == [None] * 4
    assert at(24) == ("Still: It burns", "It goes on for 24 hours, and was reported 6 times.\n\nred")
    assert at(25) is None
    assert at(49) == ("Still: It burns", "It goes on for 2 days, and was reported 8 times.\n\nred")
    assert at(49.5, over=True) == ("Over: It burns", "It went on for 2 days, and was reported 8 times.")
    assert at(50, over=True) is None and alarms == {}
    assert at(51) == ("It burns", "red")
    assert at(51, over=True) == ("Over: It burns", "It went on for a minute.")


def test_a_clock_that_was_set_back_does_not_silence(program):
    alarms = {}
    program.decide(alarms, alarm("It burns"), 1000000, DAY)
    assert program.decide(alarms, alarm("It burns"), 500000, DAY)[0] == "Still: It burns"
    assert program.decide(alarms, alarm("It burns"), 500001, DAY) is None


def test_what_nobody_gives_any_more_is_forgotten(program):
    alarms = {}
    for subject, when in (("old", 0), ("young", DAY), ("given again", 0)):
        program.decide(alarms, alarm(subject), when, DAY)
    program.decide(alarms, alarm("given again"), DAY, DAY)
    program.decide(alarms, alarm("a unit", unit="a.service"), 0, DAY)
    assert program.forget(alarms, 2 * DAY, DAY) == []
    assert program.forget(alarms, 2 * DAY + 1, DAY) == ["old"]
    assert set(alarms) == {"young", "given again", "a unit"}


def test_there_is_an_end_to_alarms(program, monkeypatch):
    monkeypatch.setattr(program, "MOST_ALARMS", 3)
    alarms = {}
    for number in range(5):
        assert program.decide(alarms, alarm(f"{number}"), number, DAY)
    assert list(alarms) == ["2", "3", "4"]


def test_units_are_looked_after(program):
    alarms, failed = {}, {"a.service", "b.service"}
    for name in sorted(failed):
        program.decide(alarms, alarm(f"{name} has failed", unit=name), 0, DAY)
    program.decide(alarms, alarm("no unit"), 0, DAY)

    def look(now):
        return list(program.look_after(alarms, now, DAY, failed.__contains__))

    assert look(60) == []
    failed.discard("a.service")
    assert look(120) == [("Over: a.service has failed", "It went on for 2 minutes.")]
    assert look(DAY) == [("Still: b.service has failed", "It goes on for 24 hours.")]
    assert look(DAY + 60) == [] and set(alarms) == {"b.service has failed", "no unit"}


@pytest.mark.parametrize(
    ("shown", "failed"),
    [
        ("ActiveState=failed\nResult=exit-code", True),
        ("ActiveState=active\nResult=success", False),
        ("ActiveState=inactive\nResult=success", False),
        ("ActiveState=inactive\nResult=timeout", True),
        # Between two attempts.
        ("ActiveState=activating\nResult=exit-code", True),
        ("", True),
    ],
)
def test_whether_a_unit_has_failed(program, monkeypatch, shown, failed):
    monkeypatch.setattr(program.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, shown))
    assert program.has_failed("-x.service") is failed


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        ("The oven is hot", "The oven is hot"),
        ("two\nlines\tand  spaces ", "two lines and spaces"),
        ("a\x1b[31m\x00\x07b", "a?[31m??b"),
        ("\udcff", "?"),
        ("x" * 300, "x" * 200),
        (" ", "something is wrong"),
    ],
)
def test_subjects(program, given, subject):
    assert program.subject_of(given) == subject


def test_of_a_long_text_the_end_is_kept(program):
    text = program.text_of(b"begin\n" + b"x" * 70000 + "ö\nend\n".encode())
    assert text.startswith("…\nx") and text.endswith("xö\nend") and len(text.encode()) <= 65536 + 4
    assert program.text_of(b"a\xff\x00b\r\nc") == "a\ufffd?b\nc"


class Prosody(threading.Thread):
    """Takes commands as Prosody's shell does."""

    def __init__(self, path, answer):
        super().__init__(daemon=True)
        self.answer, self.commands = answer, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.start()

    def run(self):
        while True:
            connection, _address = self.listener.accept()
            with connection:
                data = b""
                while b"</repl-input>" not in data:
                    data += connection.recv(65536)
                if len(data) > 16384:
                    continue  # It hangs up.
                self.commands.append(data.decode())
                connection.sendall(
                    b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' "
                    b"xmlns='xmpp:prosody.im/admin'><repl-result>Result: " + self.answer.encode() + b"</repl-result>"
                )


def sendmail(program, tmp_path, status=0):
    Path(program.SENDMAIL).write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\ncat >> {tmp_path}/mails\necho away >&2\nexit {status}\n'
    )
    Path(program.SENDMAIL).chmod(0o755)


def item(**more):
    return {"id": "alarm-1", "time": 0, "subject": "It burns", "text": "red", "mail": True,
            "jids": list(CONFIG["jids"]), **more}  # fmt: skip


def test_an_alarm_is_told(program, tmp_path):
    sendmail(program, tmp_path)
    prosody = Prosody(program.PROSODY, "sent")
    queue = [item(text="ö" * 5000 + '\nred & "hot" ]] <b>')]
    assert program.deliver(CONFIG, queue) == [] and queue == []
    assert (
        tmp_path / "arguments"
    ).read_text() == "-f rosewood@example.net -- hostmaster@example.org night@example.org\n"
    mail = (tmp_path / "mails").read_text()
    assert "Subject: rosewood.example.org: It burns\n" in mail and "Auto-Submitted: auto-generated\n" in mail
    assert len(prosody.commands) == 2
    for command, jid in zip(prosody.commands, CONFIG["jids"], strict=True):
        numbers = command.partition('decode("')[2].partition('")')[0]
        given = json.loads(bytes(int(number) for number in numbers[1:].split("\\")))
        assert given["jid"] == jid and given["domain"] == "example.org"
        start = "rosewood.example.org: It burns\n(journalctl -t xmpp-alarm has all of it) …\nö"
        assert given["body"].startswith(start) and given["body"].endswith('ö\nred & "hot" ]] <b>')
        assert len(given["body"]) < 4100


def test_what_cannot_be_told_waits(program, tmp_path):
    sendmail(program, tmp_path, 75)
    queue = [item()]
    problems = program.deliver(CONFIG, queue)
    print(problems)
    assert problems[0] == "mail: away" and problems[1].startswith("XMPP: ") and queue == [item()]
    # The mail server is back first, then Prosody; nobody is told twice.
    sendmail(program, tmp_path)
    assert len(program.deliver(CONFIG, queue)) == 1 and queue == [item(mail=False)]
    Prosody(program.PROSODY, "sent")
    assert program.deliver(CONFIG, queue) == [] and queue == []
    assert len((tmp_path / "arguments").read_text().splitlines()) == 2


@pytest.mark.parametrize("text", ["x" * 65536, "ö\n" * 20000, "\U0001f525" * 16000, '"' * 60000])
def test_prosody_takes_the_longest_alarm(program, text):
    prosody = Prosody(program.PROSODY, "sent")
    queue = [item(mail=False, subject="s" * program.SUBJECT_LENGTH, text=text)]
    assert program.deliver(CONFIG, queue) == [] and queue == []
    print([len(command) for command in prosody.commands])
    assert len(prosody.commands) == 2


@pytest.mark.parametrize(
    ("answer", "waits", "said"),
    [
        ("unknown", False, "juliet@example.org has no account, so it is not told: It burns"),
        ("absent", True, "XMPP: example.org is no domain of this Prosody"),
        ("attempt to index nil", True, "XMPP: attempt to index nil"),
    ],
)
def test_what_prosody_answers(program, answer, waits, said):
    Prosody(program.PROSODY, answer)
    queue = [item(mail=False)]
    problems = program.deliver(CONFIG, queue)
    assert bool(queue) is waits and said in problems + program.notes


def test_giving_an_alarm_never_fails(program, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(b"red\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert program.main(["It burns"]) == 0
    assert program.notes[:2] == ["It burns", "red"]
    assert program.notes[2].startswith("this is in the journal only: ")
    assert program.main(["--over", "It burns"]) == 0


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--over"], ["--help"]])
def test_wrong_use_is_said(program, capsys, arguments):
    assert program.main(arguments) == 2
    assert "xmpp-alarm SUBJECT" in capsys.readouterr().err


def test_from_the_one_end_to_the_other(program, tmp_path, monkeypatch):
    """Through the socket, with what is no alarm among them, until there is nothing to do."""
    monkeypatch.setattr(program, "IDLE", 1)
    sendmail(program, tmp_path)
    Prosody(program.PROSODY, "sent")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(program.SOCKET)
    listener.listen()
    service = threading.Thread(target=program.serve, args=(listener, CONFIG))
    service.start()
    for garbage in (b"", b"[]", b'{"subject": 1}', b"\xff"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(program.SOCKET)
            connection.sendall(garbage)
    for given in (alarm("It burns", "red"), alarm("It burns", "red"), alarm("It burns", over=True)):
        program.give(given)
    service.join(20)
    assert not service.is_alive()
    subjects = [line for line in (tmp_path / "mails").read_text().splitlines() if line.startswith("Subject: ")]
    assert subjects == ["Subject: rosewood.example.org: It burns", "Subject: rosewood.example.org: Over: It burns"]
    assert sum(note.startswith("what was given is no alarm") for note in program.notes) == 4
    assert json.loads(Path(program.STATE).read_text()) == {} and json.loads(Path(program.QUEUE).read_text()) == []


def test_a_user_gives_and_ends_alarms_of_its_own_only(program, monkeypatch):
    """Munin's user, should it be taken over, does not end AIDE's alarm, nor hide it among many."""
    alarms, given, now = {"Files of the system have changed": {"last": 0}}, {}, 10**9

    def objection(subject, over=False, unit=None, now=now):
        return program.objection(alarm(subject, over=over, unit=unit), "munin", alarms, given, now)

    for subject in ("Files of the system have changed", "munin", "munin:x", "Munin: x", " munin: x"):
        assert "begins with 'munin: '" in objection(subject) and "begins with" in objection(subject, over=True)
    assert "begins with" in objection("munin: x", unit="ssh.service")
    assert objection("munin: Load") is None and objection("munin: Load", over=True) is None
    alarms |= {f"munin: {number}": {} for number in range(program.MOST_OF_ONE)}
    assert "50 alarms that are not over" in objection("munin: one more")
    assert objection("munin: 7") is None and objection("munin: 7", over=True) is None
    given["munin"] = [now] * program.MOST_AN_HOUR
    assert "within an hour" in objection("munin: 7")
    assert objection("munin: 7", now=now + 3600) is None


def test_the_kernel_says_who_gives_an_alarm(program, monkeypatch, tmp_path):
    """Another user connects to the socket itself, and names a subject of root's."""
    told = []
    monkeypatch.setattr(program, "IDLE", 1)
    monkeypatch.setattr(program, "deliver", lambda _config, queue: told.extend(queue) or queue.clear() or [])
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:-2]:
        folder.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(program.SOCKET)
        Path(program.SOCKET).chmod(0o666)
        listener.listen()
        service = threading.Thread(target=program.serve, args=(listener, CONFIG))
        service.start()
        program.give(alarm("Files of the system have changed"))
        for over, subject in (
            (True, "Files of the system have changed"),
            (False, "ssh.service has failed"),
            (False, "nobody: x"),
        ):
            if (child := os.fork()) == 0:
                os.setgid(65534)
                os.setuid(65534)
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(program.SOCKET)
                    connection.sendall(json.dumps({"subject": subject, "over": over}).encode())
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        service.join(timeout=20)
    print(program.notes)
    assert [item["subject"] for item in told] == ["Files of the system have changed", "nobody: x"]
    assert sum("not taken of nobody" in line for line in program.notes) == 2


def test_broken_files_are_begun_anew(program):
    Path(program.STATE).write_text("{")
    assert program.read(program.STATE, {}) == {}
    assert "broken" in program.notes[0]


def test_the_list(program, capsys):
    program.decide(alarms := {}, alarm("It burns"), time.time(), DAY)
    alarms["It burns"]["count"] = 3
    Path(program.STATE).write_text(json.dumps(alarms))
    assert program.main(["--list"]) == 0
    assert capsys.readouterr().out.endswith("     3  It burns\n")


@pytest.fixture
def service(program, tmp_path, monkeypatch):
    """The service behind the socket, which ends when it has nothing to do."""
    monkeypatch.setattr(program, "IDLE", 1)
    monkeypatch.setattr(program, "PAUSE", 0.2)
    sendmail(program, tmp_path)
    Prosody(program.PROSODY, "sent")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(program.SOCKET)
    listener.listen()
    thread = threading.Thread(target=program.serve, args=(listener, CONFIG))
    thread.start()
    yield thread
    thread.join(20)
    assert not thread.is_alive()


def told(tmp_path, *subjects):
    """Waits until these mails have come."""
    expected, end = [f"Subject: rosewood.example.org: {subject}" for subject in subjects], time.monotonic() + 20
    while True:
        mails = (tmp_path / "mails").read_text() if (tmp_path / "mails").exists() else ""
        found = [line for line in mails.splitlines() if line.startswith("Subject: ")]
        if found == expected:
            return mails.replace("=\n", "")
        assert time.monotonic() < end, found
        time.sleep(0.05)


def test_a_disk_that_takes_nothing_silences_nobody(program, tmp_path, monkeypatch, service):
    """As a full one, or one that may only be read: what cannot be written is kept in memory, and said."""
    with monkeypatch.context() as broken:

        def write(path, _value):
            raise OSError(28, "No space left on device", path)

        broken.setattr(program, "write", write)
        program.give(alarm("It burns", "red"))
        mails = told(tmp_path, "It burns", "alarms cannot be kept on disk")
        assert "No space left on device" in mails and "df -h" in mails
        # It stays, though it has nothing to do: nobody else knows of these alarms.
        time.sleep(1.5)
        assert service.is_alive() and not Path(program.STATE).exists()
        program.give(alarm("It burns", over=True))
        told(tmp_path, "It burns", "alarms cannot be kept on disk", "Over: It burns")
    told(tmp_path, "It burns", "alarms cannot be kept on disk", "Over: It burns", "Over: alarms cannot be kept on disk")
    service.join(20)
    assert not service.is_alive() and json.loads(Path(program.STATE).read_text()) == {}


@pytest.mark.parametrize("kept", ["{", "[]", '"x"', '{"It burns": {"since": 1}}', '{"It burns": []}', "\0"])
def test_broken_notes_silence_nobody(program, tmp_path, kept, request):
    for path in (program.STATE, program.QUEUE):
        Path(path).write_text(kept if path == program.STATE or kept[0] != "[" else '[{"id": 1}, []]')
    request.getfixturevalue("service")
    program.give(alarm("It burns", "red"))
    told(tmp_path, "It burns")
