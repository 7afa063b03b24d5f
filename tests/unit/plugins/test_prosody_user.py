# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts: which steps lead from how one stands to how it is wanted, and what is said to Prosody's socket."""

import contextlib
import json
import socket
import subprocess
import threading
import xml.etree.ElementTree as ET

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import prosody_users
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.prosody import literal, program
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.prosody_users import Account, ProsodyError, plan

NEW = {"native": True, "exists": False, "enabled": False, "role": "", "fits": False, "configured": False}
OLD = NEW | {"exists": True, "enabled": True, "role": "prosody:member"}
NEW12, OLD12 = NEW | {"native": False}, OLD | {"native": False, "role": ""}
SECRET = "Zaubertrank'\"<&]]>\\ é"


@pytest.mark.parametrize(
    ("state", "wanted", "more", "steps"),
    [
        (NEW, "present", {"password": "x"}, ["create"]),
        (NEW, "enabled", {"password": "x"}, ["create"]),
        (NEW, "disabled", {"password": "x"}, ["create", "disable"]),
        (NEW, "present", {"password": "x", "role": "member"}, ["create"]),
        (NEW, "present", {"password": "x", "role": "admin"}, ["create", "role"]),
        (NEW, "absent", {}, []),
        (OLD, "present", {}, []),
        (OLD, "present", {"password": "x"}, []),
        (OLD, "present", {"password": "x", "update_password": "always"}, ["password"]),
        (OLD | {"fits": True}, "present", {"password": "x", "update_password": "always"}, []),
        (OLD, "present", {"update_password": "always"}, []),
        (OLD, "present", {"role": "member"}, []),
        (OLD, "present", {"role": "registered"}, ["role"]),
        (OLD, "present", {"role": "guest"}, ["role"]),
        (OLD, "enabled", {}, []),
        (OLD, "disabled", {"role": "admin"}, ["role", "disable"]),
        (OLD, "absent", {"password": "x", "update_password": "always", "role": "admin"}, ["delete"]),
        (OLD | {"enabled": False}, "present", {}, []),
        (OLD | {"enabled": False}, "disabled", {}, []),
        (OLD | {"enabled": False}, "enabled", {"password": "x", "update_password": "always"}, ["password", "enable"]),
        (OLD | {"role": "prosody:operator", "configured": True}, "present", {"role": "operator"}, []),
        (
            NEW | {"role": "prosody:operator", "configured": True},
            "present",
            {"password": "x", "role": "operator"},
            ["create"],
        ),
        # 0.12 tells administrators from others only.
        (NEW12, "present", {"password": "x", "role": "member"}, ["create"]),
        (OLD12, "present", {"role": "member"}, []),
        (OLD12, "present", {"role": "registered"}, []),
        (OLD12, "present", {"role": "admin"}, ["role"]),
        (OLD12 | {"role": "prosody:admin"}, "present", {"role": "admin"}, []),
        (OLD12 | {"role": "prosody:admin"}, "present", {"role": "member"}, ["role"]),
        (OLD12, "disabled", {}, ["disable"]),
    ],
)
def test_plan(state, wanted, more, steps):
    assert plan(state, wanted, *(more.get(k, d) for k, d in ARGUMENTS.items())) == steps


ARGUMENTS = {"password": None, "update_password": "on_create", "role": None}


@pytest.mark.parametrize(
    ("state", "more", "message"),
    [
        (NEW, {}, "password: is not set, and the account does not exist yet; write the one that it begins with"),
        (
            OLD12,
            {"role": "guest"},
            "role: 'guest' is not known to Prosody 0.12; write one of registered, member, admin",
        ),
        (
            OLD12,
            {"role": "operator"},
            "role: 'operator' is not known to Prosody 0.12; write one of registered, member, admin",
        ),
        (
            OLD | {"role": "prosody:operator", "configured": True},
            {"role": "member"},
            "role: 'member' is not possible, since Prosody's configuration names the account as an administrator; take it out "
            "there, or write no role",
        ),
        (
            NEW12 | {"role": "prosody:admin", "configured": True},
            {"role": "member", "password": "x"},
            "role: 'member' is not possible, since Prosody's configuration names the account as an administrator; take it out "
            "there, or write no role",
        ),
    ],
)
def test_what_is_not_possible(state, more, message):
    with pytest.raises(ProsodyError) as error:
        plan(state, "present", *(more.get(k, d) for k, d in ARGUMENTS.items()))
    assert str(error.value) == message


@pytest.mark.parametrize("password", ["", "a\nb", "a\x00b", "\x7f"])
def test_passwords_that_no_client_could_send(password):
    with pytest.raises(ProsodyError, match="password: (is empty|has a control character)"):
        prosody_users.check_password(password)


@pytest.mark.parametrize("password", [" ", "é", "日本", SECRET, "x" * 1000])
def test_other_passwords(password):
    prosody_users.check_password(password)


@pytest.mark.parametrize("text", ["", "plain", SECRET, "]]\n\0\x7f", '" .. os.exit() .. "', "日本 \N{PILE OF POO}"])
def test_lua_reads_a_literal_as_it_was_written(text):
    script = f"local text = {literal(text)}; for i = 1, #text do io.write(text:byte(i), ' ') end"
    read = subprocess.run(["lua5.4", "-"], input=script, capture_output=True, text=True, check=True).stdout.split()
    assert bytes(map(int, read)).decode() == text


def test_lua_understands_the_program():
    command = program(prosody_users.PROGRAM, {"password": SECRET, "steps": []})
    assert command.startswith(">")
    assert SECRET not in command
    subprocess.run(["lua5.4", "-e", "assert(load(io.read('a')))"], input=command[1:], text=True, check=True)


@contextlib.contextmanager
def prosody(path, answer):
    """Something that listens where Prosody does, and answers the first command so; it keeps what it was told."""
    told = []

    def serve():
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                parser = ET.XMLPullParser(["end"])
                while not told and (data := connection.recv(65536)):
                    parser.feed(data)
                    told.extend(
                        element.text for _, element in parser.read_events() if element.tag.endswith("repl-input")
                    )
                if answer is not None:
                    connection.sendall(answer.encode())
                    connection.recv(1)
                else:
                    connection.shutdown(socket.SHUT_RDWR)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield told
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def says(text, kind=""):
    return (
        "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='xmpp:prosody.im/admin'>"
        f"<repl-output>before</repl-output><repl-result{kind}>{text}</repl-result>"
    )


def account(path, password=SECRET, timeout=1):
    return Account("juliet@example.org", password, str(path), timeout)


def test_an_account_is_asked_for(tmp_path):
    path = tmp_path / "socket"
    state = {"backend": "internal_hashed", **OLD}
    with prosody(path, says("Result: " + json.dumps(state))) as told:
        assert account(path).run(["password"], "admin") == state
    assert len(told) == 1
    assert "steps.password" in told[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (says("no such thing", " type='error'"), "Prosody's shell says: no such thing"),
        (says("Result: what"), "Prosody's shell does not answer as expected: what"),
        (
            says('Result: {"hosts": ["example.net", "example.com"]}'),
            "jid: 'juliet@example.org': 'example.org' is not a domain of this Prosody; write an account of example.net or example.com",
        ),
        (
            says('Result: {"step": "create", "problem": "disk full"}'),
            "jid: 'juliet@example.org': Prosody could not create: disk full",
        ),
        (
            says('Result: {"backend": "ldap"}'),
            "jid: 'juliet@example.org': the accounts of 'example.org' are kept by 'ldap', not by 'internal_hashed'; change them "
            "there",
        ),
        ("SSH-2.0-OpenSSH\r\n", "is that Prosody's socket?"),
        (None, "closed without an answer; see `journalctl -u prosody`"),
        ("", "no answer within 1 s; see `journalctl -u prosody`, or write a longer timeout"),
    ],
)
def test_answers_that_are_none(tmp_path, answer, message):
    path = tmp_path / "socket"
    with prosody(path, answer), pytest.raises(ProsodyError) as error:
        account(path).run()
    print(error.value)
    assert message in str(error.value)
    assert "Zaubertrank" not in str(error.value)


def test_no_prosody(tmp_path):
    with pytest.raises(ProsodyError, match=r"socket: '.*': No such file or directory; start Prosody with its module"):
        account(tmp_path / "socket", timeout=0).run()


def test_it_waits_for_a_prosody_that_restarts(tmp_path):
    path = tmp_path / "socket"
    started = threading.Event()

    def later():
        started.wait(0.3)
        with prosody(path, says("Result: " + json.dumps({"backend": "internal_hashed", **OLD}))):
            done.wait(5)

    done = threading.Event()
    thread = threading.Thread(target=later)
    thread.start()
    try:
        assert account(path, timeout=5).run()["exists"]
    finally:
        done.set()
        thread.join()
