# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The self-test of a host: what it makes of what programs and peers answer."""

import datetime
import fcntl
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import warnings
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import alarm, dns, files, tls, words, x509
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.status import checks, local, main, network, states

MOUNTS = "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n30 22 8:2 / /var rw,relatime - ext4 /dev/sda2 rw\n"
CONFIG = {
    **{"host": "a.test", "address": "127.0.0.1", "dns_server": "127.0.0.1", "verify": False, "ca": "", "updates": ""},
    **{key: [] for key in ("units", "ports", "stun", "pages", "zones", "certificates", "commands", "disks", "states")},
    **{"disk_warn_percent": 15, "disk_fail_percent": 5, "certificate_warn_percent": 22, "certificate_fail_percent": 8},
}


@pytest.fixture(autouse=True)
def host(tmp_path, monkeypatch):
    """Places of files are below a folder of the test's."""
    places = [
        (main, "CONFIG"),
        (states, "STATE"),
        (states, "MEMORY"),
        (alarm, "PROGRAM"),
        (local, "HOOKS"),
        (local, "MOUNTS"),
    ]
    for module, name in places:
        monkeypatch.setattr(module, name, str(tmp_path / name))
    Path(local.MOUNTS).write_text(MOUNTS)


def outcome(check, *arguments):
    """Level and words of one check."""
    try:
        return "ok", check(*arguments)
    except checks.Doubtful as error:
        return "warns", str(error)
    except checks.Wrong as error:
        return "fails", str(error)


def findings(*failing):
    """Checks a, b and c, of which some fail."""
    return [
        checks.Finding(name, "fails" if name in failing else "ok", "it is", "x" if name in failing else "")
        for name in "abc"
    ]


def answers(monkeypatch, text):
    monkeypatch.setattr(local, "run", lambda *_command, **_options: text)


def answer(days, status="NOERROR", signed=True):
    until = int(time.time() + days * 86400) if signed else None
    return dns.Answer(status, [(3600, "0 5 5222 h.a.test.")] if status == "NOERROR" else [], until)


@pytest.mark.parametrize(
    ("given", "level", "said"),
    [
        (answer(14), "ok", "answers, signed for 14 days"),
        (answer(0.5), "warns", "its signatures expire in 12 hours, and are not renewed"),
        (answer(-1), "fails", "its signatures have been expired since "),
        (answer(14, signed=False), "fails", "its records are not signed"),
        (answer(14, status="NXDOMAIN"), "fails", "_xmpp-client._tcp.a.test SRV: NXDOMAIN, and no record"),
        (dns.Answer("NOERROR", []), "fails", "_xmpp-client._tcp.a.test SRV: NOERROR, and no record"),
        (dns.DnsError("127.0.0.1 does not tell"), "fails", "_xmpp-client._tcp.a.test SRV: 127.0.0.1 does not tell"),
    ],
)
def test_zones(monkeypatch, given, level, said):
    asked = []

    def ask(*words, **options):
        asked.append((words, options))
        if isinstance(given, Exception):
            raise given
        return given

    monkeypatch.setattr(dns, "ask", ask)
    found = outcome(local.check_zone, CONFIG, "a.test")
    assert found[0] == level and found[1].startswith(said)
    assert asked[0][0] == ("127.0.0.1", "_xmpp-client._tcp.a.test", "SRV") and not asked[0][1]["recurse"]


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
def test_units(monkeypatch, text, level, said):
    answers(monkeypatch, text)
    assert outcome(local.check_unit, "a.service") == (level, said)


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
def test_certificates(monkeypatch, days, left, level, said):
    """By their own lives."""
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days * left / 100)
    certificate = x509.Certificate(
        end - datetime.timedelta(days=days), end, frozenset(["a.test"]), "", "", "ECDSA", 256
    )
    monkeypatch.setattr(x509, "look", lambda _text: certificate)
    found = outcome(local.check_certificate, CONFIG, "/c.pem")
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
def test_disks(monkeypatch, free, inodes, level, said):
    shape = [1, 1, 100, free, free, 100, inodes, inodes, 0, 255]
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(shape))
    assert outcome(local.check_disk, CONFIG, "/") == (level, said)
    # After an error of the disk, the kernel does so.
    Path(local.MOUNTS).write_text(MOUNTS.replace("/dev/sda2 rw", "/dev/sda2 ro"))
    assert outcome(local.check_disk, CONFIG, "/") == (level, said)
    assert outcome(local.check_disk, CONFIG, "/var") == outcome(local.check_disk, CONFIG, "/var/lib")
    assert outcome(local.check_disk, CONFIG, "/var")[1].startswith("it can only be read")


def test_checks_of_other_roles(monkeypatch):
    monkeypatch.setattr(local, "check_failed", lambda: "none has failed")
    Path(local.HOOKS).mkdir()
    for name, text in {
        "clock": "echo 'by plain NTP'; echo 'chronyc sources'; exit 1",
        "audit": "echo off; echo 'auditctl -s'; exit 2",
        "mounts": "echo 'as they should be'; echo findmnt",
        "broken": "echo no such thing >&2; exit 127",
    }.items():
        path = Path(local.HOOKS, name)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    Path(local.HOOKS, "notes").write_text("no program")
    found = {item.subject: (item.level, item.text, item.do) for item in main.look(CONFIG, False)}
    assert found == {
        "units": ("ok", "none has failed", ""),
        "audit": ("fails", "off", "auditctl -s"),
        "broken": ("fails", "no such thing", f"{local.HOOKS}/broken"),
        "clock": ("warns", "by plain NTP", "chronyc sources"),
        "mounts": ("ok", "as they should be", ""),
    }


def test_ports_are_asked_by_both_families(monkeypatch):
    given = {**CONFIG, "ports": [{"port": 443, "name": "a.test"}], "stun": [3478], "address6": "2001:db8::1"}
    asked = []
    monkeypatch.setattr(network, "check_port", lambda _config, port, address: asked.append((port["port"], address)))
    monkeypatch.setattr(network, "check_stun", lambda address, port: asked.append((port, address)))
    subjects = [finding.subject for finding in main.look(given, True)]
    assert subjects == ["port 443", "STUN, port 3478", "port 443 by IPv6", "STUN, port 3478 by IPv6"]
    assert asked == [(443, "127.0.0.1"), (3478, "127.0.0.1"), (443, "2001:db8::1"), (3478, "2001:db8::1")]
    assert len(main.plan({**given, "address6": ""}, True)) == 2


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
def test_a_disk_that_fills_is_told_of_long_before(monkeypatch, hours, before, level, said):
    shape = [1, 1, 100, before, before, 100, 60, 60, 0, 255]
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(shape))
    now = time.time()
    states.record([], now - hours * 3600 - 86400, ["/"])
    states.record([], now - hours * 3600, ["/"])
    shape[3] = shape[4] = 50
    assert outcome(local.check_disk, CONFIG, "/") == (level, said)


def test_states(monkeypatch, tmp_path):
    path = tmp_path / "state.json"
    state = {"name": "backup", "path": str(path), "key": "last_success", "hours": 50, "do": "x"}
    # A backup that nobody has set up is not missed.
    monkeypatch.setattr(local, "check_failed", lambda: "none has failed")
    assert [item.subject for item in main.look({**CONFIG, "states": [state]}, False)] == ["units"]
    for content, level, said in [
        ({"last_success": time.time() - 7200}, "ok", "2 hours ago"),
        ({"last_success": time.time() - 72 * 3600}, "fails", "the last success was 3 days ago"),
        ({"last_success": None}, "warns", "no last_success yet"),
    ]:
        path.write_text(json.dumps(content))
        assert outcome(states.check_state, state) == (level, said)
    path.write_text("{")
    assert outcome(states.check_state, state)[0] == "fails"


def test_a_run_that_was_killed(tmp_path):
    path, lock = tmp_path / "state.json", tmp_path / "lock"
    state = {"name": "backup", "path": str(path), "key": "last_success", "hours": 50, "do": "x", "lock": str(lock)}
    path.write_text(json.dumps({"last_success": time.time() - 7200, "begun": time.time() - 3600}))
    killed = ("fails", "the run that began 60 minutes ago was killed, or the machine went down")
    assert outcome(states.check_state, state) == killed
    with lock.open("w") as stream:
        assert outcome(states.check_state, state) == killed
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert outcome(states.check_state, state) == ("ok", "2 hours ago")
    path.write_text(json.dumps({"last_success": time.time() - 7200, "begun": None}))
    assert outcome(states.check_state, state) == ("ok", "2 hours ago")


def test_updates(tmp_path):
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
        found = outcome(states.check_updates, str(path))
        assert found[0] == level and found[1].startswith(said)
    os.utime(path, (time.time() - 3 * 3600, time.time() - 3 * 3600))
    assert outcome(states.check_updates, str(path)) == ("fails", "it last ran 3 hours ago")
    assert outcome(states.check_updates, str(tmp_path / "none")) == ("warns", "it has not run yet")


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
def test_login_ports_insist_on_encryption(features, said):
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
            tls.start_tls(ours, "a.test", "jabber:client")
        else:
            with pytest.raises(tls.TlsError, match=said):
                tls.start_tls(ours, "a.test", "jabber:client")
    finally:
        ours.close()
        thread.join()
        theirs.close()


@pytest.mark.parametrize(
    ("old", "said"),
    [("silent", ("ok", "TLSv1.3")), ("served", ("fails", "it speaks TLSv1.1"))],
)
def test_a_port_that_does_not_answer_outdated_clients_is_not_waited_for(tmp_path, old, said):
    """As coturn does; and one that answers them, though late, is found."""
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-noenc",
        "-subj",
        "/CN=a.test",
    ]
    subprocess.run([*new, "-keyout", key, "-out", chain], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(chain, key)
    waited = []

    def serve():
        with listener.accept()[0] as stream, context.wrap_socket(stream, server_side=True):
            pass
        with listener.accept()[0] as stream:
            if old == "silent":
                accepted = time.monotonic()
                while stream.recv(4096):
                    pass
                waited.append(time.monotonic() - accepted)
            else:
                time.sleep(0.3)
                context.wrap_socket(stream, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        found = outcome(network.check_port, CONFIG, {"port": listener.getsockname()[1], "name": "a.test"}, "127.0.0.1")
        thread.join()
    print(f"{found}; the outdated client waited {waited} s")
    assert found == said
    assert len(waited) == (old == "silent") and sum(waited) < tls.SECONDS - 1


def test_a_stream_is_for_the_domain_as_xmpp_knows_it():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"<stream:features></stream:features>")
        with pytest.raises(tls.TlsError):
            tls.start_tls(ours, "xn--bcher-kva.test", "jabber:client")
        assert "to='bücher.test'" in theirs.recv(4096).decode()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 seconds"), (1, "1 second"), (119, "119 seconds"), (120, "2 minutes"), (7200, "2 hours"), (3e6, "35 days")],
)
def test_spans_of_time(seconds, said):
    assert words.age(seconds) == said


def test_numbers_agree_with_their_nouns():
    assert [words.count(n, "service", "wait") for n in (0, 1, 2)] == [
        "0 services wait",
        "1 service waits",
        "2 services wait",
    ]


def test_a_check_that_breaks_is_a_failure_and_stops_no_other(monkeypatch, capsys):
    monkeypatch.setattr(local, "check_disk", lambda *_given: 1 / 0)
    monkeypatch.setattr(local, "check_failed", lambda: "none has failed")
    monkeypatch.setattr(local, "check_command", lambda _argv: "as they should be")
    Path(main.CONFIG).write_text(
        json.dumps({**CONFIG, "disks": ["/"], "commands": [{"name": "modules", "argv": ["true"]}]})
    )
    assert main.main([]) == 2
    lines = capsys.readouterr().out.splitlines()
    print(*lines, sep="\n")
    assert lines[0].startswith("a.test: failures: 1 of 3 checks; warnings: 0. 20")
    # What matters is first, and says what to type.
    assert lines[1].startswith("FAILS disk /") and "it could not be checked: ZeroDivisionError" in lines[1]
    assert lines[2].strip().startswith("type: du -xh") and len(lines) == 5


def test_tells_of_each_failure_and_when_it_is_over(monkeypatch):
    told = []
    monkeypatch.setattr(alarm, "run", lambda command, stdin: told.append((" ".join(command[1:]), stdin)))
    Path(alarm.PROGRAM).touch()
    states.record(findings("a", "b"), 1)
    states.record(findings("b"), 2)
    states.record(findings(), 3)
    print(*told, sep="\n")
    assert told == [
        ("status: a", "it is\nWhat to type: x\n"),
        ("status: b", "it is\nWhat to type: x\n"),
        ("status: b", "it is\nWhat to type: x\n"),
        ("--over status: a", ""),
        ("--over status: b", ""),
    ]
    state = json.loads(Path(states.STATE).read_text())
    assert state["ok"] and state["time"] == 3 and Path(states.STATE).stat().st_mode & 0o777 == 0o644
    assert state["checks"][0] == {"subject": "a", "level": "ok", "text": "it is", "do": ""}


def test_a_disk_that_takes_nothing_silences_nobody(monkeypatch):
    """What fails is told, and what no longer does; that nothing can be noted, too; and it is over when it can."""
    said = []
    monkeypatch.setattr(alarm, "_tell", lambda words, text: said.append(" ".join(words)))
    Path(states.STATE).write_text(json.dumps({"failing": ["a"]}))
    real, full = files.write_json, True

    def write_json(path, state, **options):
        if full and path == states.STATE:
            raise OSError(28, "No space left on device")
        real(path, state, **options)

    monkeypatch.setattr(files, "write_json", write_json)

    def run(*failing):
        said.clear()
        found = states.record(findings(*failing), 1)
        return [item.text for item in found if item.subject == "notes of this test"], list(said)

    note = "status: notes of this test"
    assert run("b") == ([f"{states.STATE}: No space left on device"], ["status: b", note, "--over status: a"])
    # By the memory, since the disk has nothing of it.
    assert run("c")[1] == ["status: c", note, "--over status: a", "--over status: b"]
    full = False
    assert run("c") == ([], ["status: c", "--over status: a", f"--over {note}"])
    assert json.loads(Path(states.STATE).read_text())["failing"] == ["c"] and not Path(states.MEMORY).exists()


@pytest.mark.parametrize("text", [None, "{"])
def test_without_configuration_it_fails(capsys, text):
    if text is not None:
        Path(main.CONFIG).write_text(text)
    assert main.main([]) == 2
    assert "run the playbook, which writes it" in capsys.readouterr().err
