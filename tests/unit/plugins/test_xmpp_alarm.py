# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that tells the administrators what is wrong."""

import io
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import files, prosody
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.alarms import give as giving
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.alarms import main, register, service, tell
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.alarms.give import Request as alarm
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.alarms.give import give
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.alarms.register import Register

DAY = 86400
CONFIG = {
    "host": "rosewood.example.org",
    "mail_from": "rosewood@example.net",
    "mail_to": ["hostmaster@example.org", "night@example.org"],
    "jids": ["juliet@example.org", "romeo@example.net"],
    "domain": "example.org",
    "repeat_hours": 24,
}


@pytest.fixture(autouse=True)
def notes(tmp_path, monkeypatch):
    """What is written to the journal. Places of files are below a folder of the test's."""
    places = [(main, "CONFIG"), (giving, "SOCKET"), (service, "STATE"), (service, "QUEUE"), (tell, "SENDMAIL")]
    for module, name in places:
        monkeypatch.setattr(module, name, str(tmp_path / name))
    shell = prosody.shell
    monkeypatch.setattr(prosody, "shell", lambda command: shell(command, path=str(tmp_path / "PROSODY")))
    found = []
    for module in (giving, service, tell):
        monkeypatch.setattr(module, "note", lambda text, *_level: found.extend(text.splitlines()))
    return found


def test_once_then_daily_and_when_it_is_over():
    known = Register({}, DAY)

    def at(hours, over=False):
        return known.take(alarm("It burns", "red", over), 1000 + hours * 3600)

    assert at(0) == ("It burns", "red")
    assert [at(hours) for hours in (0.1, 1, 12, 23.9)] == [None] * 4
    assert at(24) == ("Still: It burns", "It goes on for 24 hours, and was reported 6 times.\n\nred")
    assert at(25) is None
    assert at(49) == ("Still: It burns", "It goes on for 2 days, and was reported 8 times.\n\nred")
    assert at(49.5, over=True) == ("Over: It burns", "It went on for 2 days, and was reported 8 times.")
    assert at(50, over=True) is None and known.alarms == {}
    assert at(51) == ("It burns", "red")
    assert at(51, over=True) == ("Over: It burns", "It went on for a minute.")


def test_a_clock_that_was_set_back_does_not_silence():
    known = Register({}, DAY)
    known.take(alarm("It burns"), 1000000)
    assert known.take(alarm("It burns"), 500000).subject == "Still: It burns"
    assert known.take(alarm("It burns"), 500001) is None


def test_what_nobody_gives_any_more_is_forgotten():
    known = Register({}, DAY)
    for subject, when in (("old", 0), ("young", DAY), ("given again", 0)):
        known.take(alarm(subject), when)
    known.take(alarm("given again"), DAY)
    known.take(alarm("a unit", unit="a.service"), 0)
    assert known.forget(2 * DAY) == []
    assert known.forget(2 * DAY + 1) == ["old"]
    assert set(known.alarms) == {"young", "given again", "a unit"}


def test_there_is_an_end_to_alarms(monkeypatch):
    monkeypatch.setattr(register, "MOST_ALARMS", 3)
    known = Register({}, DAY)
    for number in range(5):
        assert known.take(alarm(f"{number}"), number)
    assert list(known.alarms) == ["2", "3", "4"]


def test_units_are_looked_after():
    known, failed = Register({}, DAY), {"a.service", "b.service"}
    for name in sorted(failed):
        known.take(alarm(f"{name} has failed", unit=name), 0)
    known.take(alarm("no unit"), 0)

    def look(now):
        return list(known.look_after(now, failed.__contains__))

    assert look(60) == []
    failed.discard("a.service")
    assert look(120) == [("Over: a.service has failed", "It went on for 2 minutes.")]
    assert look(DAY) == [("Still: b.service has failed", "It goes on for 24 hours.")]
    assert look(DAY + 60) == [] and set(known.alarms) == {"b.service has failed", "no unit"}


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
def test_whether_a_unit_has_failed(monkeypatch, shown, failed):
    monkeypatch.setattr(service, "run", lambda _command, seconds: shown)
    assert service.has_failed("-x.service") is failed


def test_a_unit_of_which_nothing_is_known_has_failed(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert service.has_failed("-x.service")


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
def test_subjects(given, subject):
    assert giving.subject_of(given) == subject


def test_of_a_long_text_the_end_is_kept():
    text = giving.text_of(b"begin\n" + b"x" * 70000 + "ö\nend\n".encode())
    assert text.startswith("…\nx") and text.endswith("xö\nend") and len(text.encode()) <= 65536 + 4
    assert giving.text_of(b"a\xff\x00b\r\nc") == "a\ufffd?b\nc"


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


def sendmail(tmp_path, status=0):
    Path(tell.SENDMAIL).write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\ncat >> {tmp_path}/mails\necho away >&2\nexit {status}\n'
    )
    Path(tell.SENDMAIL).chmod(0o755)


def item(**more):
    return {"id": "alarm-1", "time": 0, "subject": "It burns", "text": "red", "mail": True,
            "jids": list(CONFIG["jids"]), **more}  # fmt: skip


def test_an_alarm_is_told(tmp_path):
    sendmail(tmp_path)
    prosody = Prosody(str(tmp_path / "PROSODY"), "sent")
    queue = [item(text="ö" * 5000 + '\nred & "hot" ]] <b>')]
    assert tell.deliver(CONFIG, queue) == [] and queue == []
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


def test_what_cannot_be_told_waits(tmp_path):
    sendmail(tmp_path, 75)
    queue = [item()]
    problems = tell.deliver(CONFIG, queue)
    print(problems)
    assert problems[0] == "mail: away" and problems[1].startswith("XMPP: ") and queue == [item()]
    # The mail server is back first, then Prosody; nobody is told twice.
    sendmail(tmp_path)
    assert len(tell.deliver(CONFIG, queue)) == 1 and queue == [item(mail=False)]
    Prosody(str(tmp_path / "PROSODY"), "sent")
    assert tell.deliver(CONFIG, queue) == [] and queue == []
    assert len((tmp_path / "arguments").read_text().splitlines()) == 2


@pytest.mark.parametrize("text", ["x" * 65536, "ö\n" * 20000, "\U0001f525" * 16000, '"' * 60000])
def test_prosody_takes_the_longest_alarm(tmp_path, text):
    prosody = Prosody(str(tmp_path / "PROSODY"), "sent")
    queue = [item(mail=False, subject="s" * giving.SUBJECT_LENGTH, text=text)]
    assert tell.deliver(CONFIG, queue) == [] and queue == []
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
def test_what_prosody_answers(tmp_path, notes, answer, waits, said):
    Prosody(str(tmp_path / "PROSODY"), answer)
    queue = [item(mail=False)]
    problems = tell.deliver(CONFIG, queue)
    assert bool(queue) is waits and said in problems + notes


def test_giving_an_alarm_never_fails(notes, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(b"red\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main.main(["It burns"]) == 0
    assert notes[:2] == ["It burns", "red"]
    assert notes[2].startswith("this is in the journal only: ")
    assert main.main(["--over", "It burns"]) == 0


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--over"], ["--help"]])
def test_wrong_use_is_said(capsys, arguments):
    assert main.main(arguments) == 2
    assert "xmpp-alarm SUBJECT" in capsys.readouterr().err


def test_from_the_one_end_to_the_other(tmp_path, monkeypatch, notes):
    """Through the socket, with what is no alarm among them, until there is nothing to do."""
    monkeypatch.setattr(service, "IDLE", 1)
    sendmail(tmp_path)
    Prosody(str(tmp_path / "PROSODY"), "sent")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(giving.SOCKET)
    listener.listen()
    thread = threading.Thread(target=service.Service(listener, CONFIG).serve)
    thread.start()
    for garbage in (b"", b"[]", b'{"subject": 1}', b"\xff"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(giving.SOCKET)
            connection.sendall(garbage)
    for given in (alarm("It burns", "red"), alarm("It burns", "red"), alarm("It burns", over=True)):
        give(given)
    thread.join(20)
    assert not thread.is_alive()
    subjects = [line for line in (tmp_path / "mails").read_text().splitlines() if line.startswith("Subject: ")]
    assert subjects == ["Subject: rosewood.example.org: It burns", "Subject: rosewood.example.org: Over: It burns"]
    assert sum(note.startswith("what was given is no alarm") for note in notes) == 4
    assert json.loads(Path(service.STATE).read_text()) == {} and json.loads(Path(service.QUEUE).read_text()) == []


def test_a_user_gives_and_ends_alarms_of_its_own_only():
    """Munin's user, should it be taken over, does not end AIDE's alarm, nor hide it among many."""
    known, given, now = Register({}, DAY), {}, 10**9
    known.take(alarm("Files of the system have changed"), 0)

    def objection(subject, over=False, unit=None, now=now):
        return register.objection(alarm(subject, over=over, unit=unit), "munin", known, given, now)

    for subject in ("Files of the system have changed", "munin", "munin:x", "Munin: x", " munin: x"):
        assert "begins with 'munin: '" in objection(subject) and "begins with" in objection(subject, over=True)
    assert "begins with" in objection("munin: x", unit="ssh.service")
    assert objection("munin: Load") is None and objection("munin: Load", over=True) is None
    for number in range(register.MOST_OF_ONE):
        known.take(alarm(f"munin: {number}"), now)
    assert "50 alarms that are not over" in objection("munin: one more")
    assert objection("munin: 7") is None and objection("munin: 7", over=True) is None
    given["munin"] = [now] * register.MOST_AN_HOUR
    assert "within an hour" in objection("munin: 7")
    assert objection("munin: 7", now=now + 3600) is None


def test_the_kernel_says_who_gives_an_alarm(notes, monkeypatch, tmp_path):
    """Another user connects to the socket itself, and names a subject of root's."""
    told = []
    monkeypatch.setattr(service, "IDLE", 1)
    monkeypatch.setattr(tell, "deliver", lambda _config, queue: told.extend(queue) or queue.clear() or [])
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:-2]:
        folder.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(giving.SOCKET)
        Path(giving.SOCKET).chmod(0o666)
        listener.listen()
        thread = threading.Thread(target=service.Service(listener, CONFIG).serve)
        thread.start()
        give(alarm("Files of the system have changed"))
        for over, subject in (
            (True, "Files of the system have changed"),
            (False, "ssh.service has failed"),
            (False, "nobody: x"),
        ):
            if (child := os.fork()) == 0:
                os.setgid(65534)
                os.setuid(65534)
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(giving.SOCKET)
                    connection.sendall(json.dumps({"subject": subject, "over": over}).encode())
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        thread.join(timeout=20)
    print(notes)
    assert [item["subject"] for item in told] == ["Files of the system have changed", "nobody: x"]
    assert sum("not taken of nobody" in line for line in notes) == 2


def test_broken_files_are_begun_anew(notes):
    Path(service.STATE).write_text("{")
    assert service.read(service.STATE, {}) == {}
    assert "broken" in notes[0]


def test_the_list(capsys):
    known = Register({}, DAY)
    known.take(alarm("It burns"), time.time())
    known.alarms["It burns"].count = 3
    Path(service.STATE).write_text(json.dumps(known.as_json()))
    assert main.main(["--list"]) == 0
    assert capsys.readouterr().out.endswith("     3  It burns\n")


@pytest.fixture
def running(tmp_path, monkeypatch):
    """The service behind the socket, which ends when it has nothing to do."""
    monkeypatch.setattr(service, "IDLE", 1)
    monkeypatch.setattr(service, "PAUSE", 0.2)
    sendmail(tmp_path)
    Prosody(str(tmp_path / "PROSODY"), "sent")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(giving.SOCKET)
    listener.listen()
    thread = threading.Thread(target=service.Service(listener, CONFIG).serve)
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


def test_a_disk_that_takes_nothing_silences_nobody(tmp_path, monkeypatch, running):
    """As a full one, or one that may only be read: what cannot be written is kept in memory, and said."""
    with monkeypatch.context() as broken:

        def write(path, _value, mode):
            raise OSError(28, "No space left on device", path)

        broken.setattr(files, "write_json", write)
        give(alarm("It burns", "red"))
        mails = told(tmp_path, "It burns", "alarms cannot be kept on disk")
        assert "No space left on device" in mails and "df -h" in mails
        # It stays, though it has nothing to do: nobody else knows of these alarms.
        time.sleep(1.5)
        assert running.is_alive() and not Path(service.STATE).exists()
        give(alarm("It burns", over=True))
        told(tmp_path, "It burns", "alarms cannot be kept on disk", "Over: It burns")
    told(tmp_path, "It burns", "alarms cannot be kept on disk", "Over: It burns", "Over: alarms cannot be kept on disk")
    running.join(20)
    assert not running.is_alive() and json.loads(Path(service.STATE).read_text()) == {}


@pytest.mark.parametrize("kept", ["{", "[]", '"x"', '{"It burns": {"since": 1}}', '{"It burns": []}', "\0"])
def test_broken_notes_silence_nobody(tmp_path, kept, request):
    for path in (service.STATE, service.QUEUE):
        Path(path).write_text(kept if path == service.STATE or kept[0] != "[" else '[{"id": 1}, []]')
    request.getfixturevalue("running")
    give(alarm("It burns", "red"))
    told(tmp_path, "It burns")
