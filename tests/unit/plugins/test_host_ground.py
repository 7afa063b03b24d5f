# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ground floor of the package on the host: commands, files, words and questions to name servers."""

import contextlib
import json
import os
import socket
import stat
import threading
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import commands, files, words
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import dns as questions

# --- commands


def test_a_program_and_what_it_printed():
    done = commands.attempt(["sh", "-c", "cat; echo wrong >&2; exit 3"], stdin="given\n")
    assert done == commands.Finished(3, "given\n", "wrong\n") and done.said == "given\n\nwrong"
    assert commands.run(["sh", "-c", 'echo "$LC_ALL $MORE"'], environment={"MORE": "x"}) == "C.UTF-8 x\n"


@pytest.mark.parametrize(
    ("command", "said", "ended"),
    [
        (["sh", "-c", "echo out; echo err >&2; exit 3"], "sh: out\n\nerr", True),
        (["sh", "-c", "exit 4"], "sh: ended with 4", True),
        (["/none/such"], "/none/such: No such file or directory", False),
        (["sleep", "60"], "sleep: no end within 0.2 s", False),
    ],
)
def test_a_program_that_fails(command, said, ended):
    with pytest.raises(commands.CommandError) as caught:
        commands.run(command, seconds=0.2 if command[0] == "sleep" else 60)
    assert str(caught.value) == said and (caught.value.finished is not None) is ended


def test_bytes_that_are_no_text_break_nothing():
    assert commands.run(["printf", r"a\377b"]) == "a\ufffdb"


def test_a_program_reads_and_writes_files_of_ours(tmp_path):
    (tmp_path / "in").write_bytes(b"a\377")
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as target:
        done = commands.attempt(["sh", "-c", "cat; echo wrong >&2"], source=source, target=target)
    assert done == commands.Finished(0, "", "wrong\n") and (tmp_path / "out").read_bytes() == b"a\377"


def test_a_program_on_our_terminal(capfd):
    assert commands.call(["sh", "-c", "echo $MORE; exit 3"], environment={"MORE": "x"}) == 3
    assert capfd.readouterr().out == "x\n"


# --- files


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "state"
    files.replace(str(path), "one", mode=0o640)
    assert path.read_text() == "one" and stat.S_IMODE(path.stat().st_mode) == 0o640
    before = path.stat().st_ino
    files.replace(str(path), "two")
    assert path.read_text() == "two" and path.stat().st_ino != before and stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["state"]


def test_drafts_that_a_kill_has_left_behind_go_with_the_next_write(tmp_path):
    path, hour_ago = tmp_path / "state", time.time() - 3601
    names = {".state.abcd1234": hour_ago, ".state.efgh5678": time.time(), ".state.note": hour_ago, ".other.abcd1234": 0}
    for name, moment in names.items():
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (moment, moment))
    files.replace(str(path), "new")
    # Somebody else may be writing the second one at this moment.
    assert sorted(os.listdir(tmp_path)) == [".other.abcd1234", ".state.efgh5678", ".state.note", "state"]
    files.sweep(str(path), older=0)
    assert not (tmp_path / ".state.efgh5678").exists()


@pytest.mark.parametrize("broken", ["fsync", "fchmod", "rename"])
def test_what_cannot_be_written_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch, broken):
    path = tmp_path / "state"
    path.write_text("old")

    def fail(*_given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="No space left"):
        files.replace(str(path), "new")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["state"]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "rename"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, name=name, real=real: (done.append(name), real(*given))[1])
    files.replace(str(tmp_path / "a"), "x")
    files.replace(str(tmp_path / "b"), "x", durable=False)
    assert done == ["fsync", "rename", "rename"]


def test_state_as_json(tmp_path):
    path = str(tmp_path / "state.json")
    assert files.read_json(path, {"a": 1}) == {"a": 1} and files.read_text(path) == ""
    files.write_json(path, {"b": "ü"}, mode=0o600)
    assert files.read_json(path) == {"b": "ü"} and stat.S_IMODE(os.stat(path).st_mode) == 0o600
    files.replace(path, "{")
    with pytest.raises(json.JSONDecodeError):
        files.read_json(path)
    files.remove(path)
    files.remove(path)


def test_a_lock_is_held_by_one(tmp_path):
    path = str(tmp_path / "lock")
    assert not files.is_locked(path)
    with files.locked(path):
        assert files.is_locked(path)
        with pytest.raises(BlockingIOError), files.locked(path, wait=False):
            pass
    assert not files.is_locked(path)


# --- words


def test_sizes_and_moments():
    assert [words.size(number) for number in (0, 1023, 1536, 5 * 2**30, 3 * 2**40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 GiB",
        "3.0 TiB",
    ]
    assert words.utc(0) == "1970-01-01 00:00 UTC"


# --- questions to name servers


class Server(threading.Thread):
    """A name server on loopback, by UDP and TCP, that answers from a list and counts questions."""

    def __init__(self, answer):
        super().__init__(daemon=True)
        self.answer, self.asked = answer, []
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(("127.0.0.1", 0))
        self.port = self.datagrams.getsockname()[1]
        self.stream = socket.socket()
        self.stream.bind(("127.0.0.1", self.port))
        self.stream.listen()
        threading.Thread(target=self.by_tcp, daemon=True).start()
        self.start()

    def respond(self, data, by_tcp):
        question = dns.message.from_wire(data)
        self.asked.append((question, by_tcp))
        reply = self.answer(question, by_tcp)
        return reply and reply.to_wire()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.datagrams.recvfrom(4096)
                if reply := self.respond(data, False):
                    self.datagrams.sendto(reply, peer)

    def by_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _peer = self.stream.accept()
                with connection:
                    reply = self.respond(connection.recv(4096)[2:], True)
                    connection.sendall(len(reply).to_bytes(2, "big") + reply)

    def close(self):
        self.datagrams.close()
        self.stream.close()


@pytest.fixture
def serve(monkeypatch):
    servers = []

    def start(answer):
        server = Server(answer)
        servers.append(server)
        monkeypatch.setattr(questions, "PORT", server.port)
        return server

    yield start
    for server in servers:
        server.close()


def reply(question, *records, rcode=dns.rcode.NOERROR):
    made = dns.message.make_response(question)
    made.set_rcode(rcode)
    made.answer = [dns.rrset.from_text(*record) for record in records]
    return made


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_server_that_is_down_is_known_at_once(monkeypatch, address):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((address, 0))
        monkeypatch.setattr(questions, "PORT", free.getsockname()[1])
    began = time.monotonic()
    with pytest.raises(questions.DnsError) as refused:
        questions.ask(address, "a.test", "CAA", seconds=20)
    took = time.monotonic() - began
    print(f"{refused.value}, after {took:.3f} s")
    assert str(refused.value) == f"{address} does not tell the CAA records of a.test: no answer (Connection refused)"
    assert took < 10


def test_records_and_their_ttl(serve):
    pins = ("_443._tcp.a.test.", 300, "IN", "TLSA", "3 1 1 " + "ab" * 32, "3 1 1 " + "cd" * 32)
    server = serve(lambda question, _tcp: reply(question, pins))
    found = questions.ask("127.0.0.1", "_443._tcp.a.test", "TLSA")
    assert sorted(found.texts) == ["3 1 1 " + "ab" * 32, "3 1 1 " + "cd" * 32]
    assert {ttl for ttl, _text in found.records} == {300} and found.signed_until is None
    ((question, by_tcp),) = server.asked
    assert question.flags & dns.flags.RD and not by_tcp


def test_signatures_and_no_recursion(serve):
    end = int(time.time()) + 86400
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(end))
    records = [
        ("a.test.", 300, "IN", "SRV", "0 5 5222 h.a.test."),
        ("a.test.", 300, "IN", "RRSIG", f"SRV 13 2 300 {stamp} 20260101000000 1 a.test. c2ln"),
    ]
    server = serve(lambda question, _tcp: reply(question, *records))
    found = questions.ask("127.0.0.1", "a.test", "SRV", signatures=True, recurse=False)
    assert found.signed_until == end and found.texts == ["0 5 5222 h.a.test."]
    question = server.asked[0][0]
    assert not question.flags & dns.flags.RD and question.ednsflags & dns.flags.DO


def test_a_name_that_is_not_there_has_no_records(serve):
    serve(lambda question, _tcp: reply(question, rcode=dns.rcode.NXDOMAIN))
    assert questions.ask("127.0.0.1", "a.test", "A") == questions.Answer("NXDOMAIN", [])


def test_a_long_answer_comes_by_tcp(serve):
    def answer(question, by_tcp):
        if by_tcp:
            return reply(question, ("a.test.", 60, "IN", "A", "192.0.2.1"))
        cut = reply(question)
        cut.flags |= dns.flags.TC
        return cut

    server = serve(answer)
    assert questions.ask("127.0.0.1", "a.test", "A").texts == ["192.0.2.1"]
    assert [by_tcp for _question, by_tcp in server.asked] == [False, True]


def test_no_answer_is_said_after_some_tries(serve):
    server = serve(lambda _question, _tcp: None)
    with pytest.raises(questions.DnsError, match="127.0.0.1 does not tell the A records of a.test: no answer"):
        questions.ask("127.0.0.1", "a.test", "A", seconds=0.2)
    assert len(server.asked) == questions.TRIES


def test_an_error_of_the_server_is_said(serve):
    serve(lambda question, _tcp: reply(question, rcode=dns.rcode.SERVFAIL))
    with pytest.raises(questions.DnsError, match="does not tell the A records of a.test: SERVFAIL"):
        questions.ask("127.0.0.1", "a.test", "A")


@pytest.mark.parametrize(("inherited", "inherit"), [(True, True), (True, False), (False, True)])
def test_a_lock_goes_on_only_to_programs_that_are_to_hold_it(tmp_path, inherited, inherit):
    path = str(tmp_path / "lock")
    with files.locked(path, inherited=inherited):
        held = commands.attempt(["sh", "-c", "ls -l /proc/self/fd"], inherit=inherit).stdout
    assert (f"-> {path}\n" in held) is (inherited and inherit)
