# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps apt busy, and how long packages wait for that."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.magicbroccoli.xmpp.plugins.action import packages
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import apt_first, apt_locks
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, Finished

HOLD = (
    "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True);"
    "sys.stdin.read()"
)


@pytest.fixture
def locks(tmp_path, monkeypatch):
    paths = [str(tmp_path / name) for name in ("frontend", "lists")]
    monkeypatch.setattr(apt_locks, "LOCKS", paths)
    monkeypatch.setattr(apt_locks, "CLOUD_INIT", str(tmp_path / "cloud-init"))
    return paths


def test_who_holds_a_lock(locks, tmp_path):
    assert apt_locks.busy() == ""
    program = tmp_path / "unattended-upgrade"
    program.write_text(HOLD)
    for path in locks:
        holder = subprocess.Popen(
            [sys.executable, str(program), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout.readline() == "held\n"
        print(apt_locks.busy())
        assert apt_locks.busy() == f"unattended-upgrade (process {holder.pid}) holds {path}"
        holder.communicate()
        assert apt_locks.busy() == ""


def test_cloud_init_is_waited_for_but_by_what_it_starts(locks, tmp_path):
    program = tmp_path / "cloud-init"
    for said, expected in (("status: running", "cloud-init has not ended yet"), ("status: done", "")):
        program.write_text(f"#!/bin/sh\necho '{said}'\n")
        program.chmod(0o755)
        assert apt_locks.busy() == expected
    program.write_text(f"#!{sys.executable}\nprint('status: running')\n")
    asks = (
        f"import sys; sys.path[:] = {sys.path!r}; from {apt_locks.__package__} import apt_locks;"
        f"apt_locks.CLOUD_INIT = {str(program)!r}; print(apt_locks.cloud_init_runs())"
    )
    (tmp_path / "bin").mkdir()
    for name, expected in (("cloud-init", "False"), ("operator", "True")):
        inside = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {asks!r}])"
        wrapper = tmp_path / "bin" / name
        wrapper.write_text(inside)
        done = subprocess.run([sys.executable, str(wrapper)], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected, name


class Action(packages.ActionModule):
    """The host answers as it is told, and the clock passes by waiting."""

    def __init__(self, busy, apt, check_mode=False, diff=False, state="present", first=()):
        self.busy, self.apt, self.now, self.calls = list(busy), list(apt), 0.0, []
        self._task = SimpleNamespace(check_mode=check_mode, diff=diff)
        self.state, self.first = state, list(first)

    def validate_argument_spec(self, _spec):
        return None, {"name": ["nginx"], "state": self.state, "wait_seconds": 60}

    def _execute_module(self, module_name, module_args, task_vars):
        self.calls.append((module_name, module_args))
        if module_name == "ansible.builtin.apt":
            return self.apt.pop(0) if self.apt else {"changed": True}
        self.now += module_args["_seconds"] or 1
        answer = {"busy": self.busy.pop(0) if self.busy else ""}
        if self.first and module_args["_first"] and not answer["busy"]:
            answer["installed"] = self.first.pop(0)
        return answer


@pytest.fixture
def run(monkeypatch):
    said = []

    def start(busy=(), apt=(), **options):
        action = Action(busy, apt, **options)
        monkeypatch.setattr(packages.ActionBase, "run", lambda *_: {})
        monkeypatch.setattr(packages.time, "monotonic", lambda: action.now)
        monkeypatch.setattr(packages.Display, "display", lambda _self, text, *_, **__: said.append(text))
        monkeypatch.setattr(packages.Display, "warning", lambda _self, text, *_, **__: said.append(text))
        result = action.run(task_vars={"inventory_hostname": "a.test"})
        return result, said, [name for name, _arguments in action.calls]

    return start


FIRST, SECOND = "apt-get (process 7) holds /var/lib/apt/lists/lock", "dpkg (process 8) holds /var/lib/dpkg/lock"
LOCKED = {"failed": True, "msg": "'/usr/bin/apt-get install' failed: E: Could not get lock /var/lib/dpkg/lock-frontend"}


def test_nobody_is_waited_for_where_nobody_is(run):
    result, said, calls = run()
    assert result == {"changed": True, "waited_for": []} and said == []
    assert calls == ["magicbroccoli.xmpp.packages", "ansible.builtin.apt"]


def test_it_waits_and_says_for_whom(run):
    result, said, _calls = run(busy=[FIRST, SECOND])
    assert result["changed"] and result["waited_for"] == [FIRST, SECOND]
    assert said[0] == f"a.test: apt is busy: {FIRST}. Waiting up to 60 s for it to end." and len(said) == 2


def test_who_was_quicker_is_waited_for_too(run):
    result, said, calls = run(busy=["", FIRST, ""], apt=[LOCKED, {"changed": True}])
    assert result["changed"] and not result.get("failed") and FIRST in said[0]
    assert calls.count("ansible.builtin.apt") == 2


def test_another_failure_is_not_repeated(run):
    result, _said, calls = run(apt=[{"failed": True, "msg": "No package matching 'nginx' is available"}])
    assert result["failed"] and calls.count("ansible.builtin.apt") == 1


def test_there_is_an_end_to_waiting(run):
    with pytest.raises(
        AnsibleActionFail, match=r"^apt is busy: apt-get \(process 7\) holds .*, for more than 60 s. See"
    ):
        run(busy=[FIRST] * 9)
    # It has no lock, and some of them never end.
    result, said, _calls = run(busy=["cloud-init has not ended yet"] * 9)
    assert result["changed"] and "its packages are installed all the same" in said[-1]


def test_check_mode_waits_for_nobody(run):
    assert run(busy=[FIRST], check_mode=True)[2] == ["ansible.builtin.apt"]


def test_the_first_packages_of_a_host_need_no_python_apt(run):
    result, _said, calls = run(first=[{"changed": True}])
    assert result == {"changed": True, "waited_for": []} and calls == ["magicbroccoli.xmpp.packages"]
    # Who was quicker is waited for, as ever.
    result, _said, calls = run(busy=["", FIRST, ""], first=[LOCKED, {"changed": True}])
    assert result == {"changed": True, "waited_for": [FIRST]} and "ansible.builtin.apt" not in calls
    result, _said, calls = run(first=[{"failed": True, "msg": "no"}])
    assert result["failed"] and "ansible.builtin.apt" not in calls
    for options in ({"diff": True}, {"state": "absent"}, {"check_mode": True}):
        assert run(first=[{"changed": True}], **options)[2][-1] == "ansible.builtin.apt", options


def test_which_packages_are_the_first(tmp_path):
    places = {"bindings": str(tmp_path / "apt"), "policy": str(tmp_path / "policy-rc.d")}
    assert apt_first.applies(["nginx", "lua-dbi-sqlite3"], **places)
    for name in ("nginx=1.26", "nginx-", "nginx+", "nginx*", "lua5.4", "nginx:i386", "nginx/sid", "-o", ""):
        assert not apt_first.applies(["nginx", name], **places), name
    # A policy of somebody else, be it a link to nowhere.
    (tmp_path / "policy-rc.d").symlink_to("gone")
    assert not apt_first.applies(["nginx"], **places)
    (tmp_path / "policy-rc.d").unlink()
    (tmp_path / "apt").mkdir()
    assert not apt_first.applies(["nginx"], **places)


@pytest.fixture
def first(tmp_path):
    """Installs the first packages of a host; returns the result and what was run, with what of systemd reaches the scripts."""
    (tmp_path / "running").mkdir()
    exe, calls = tmp_path / "exe", []
    exe.symlink_to("/usr/lib/systemd/systemd")
    policy = tmp_path / "policy-rc.d"
    needrestart = tmp_path / "needrestart"

    def install(fails=""):
        def runner(command, seconds, environment=None):
            calls.append((*command, *(f"{name}={value}" for name, value in (environment or {}).items())))
            if fails == "begin":
                raise CommandError(command, "No such file or directory")
            if command[0] == "apt-get":
                assert subprocess.run([policy, "nginx", "start"], check=False).returncode == 101
                assert environment["DEBIAN_FRONTEND"] == "noninteractive" and seconds is None
            return Finished(100, "", "E: Could not get lock") if fails in command else Finished(0, "done", "")

        places = {"policy": policy, "needrestart": needrestart, "running": tmp_path / "running", "exe": exe}
        answer = apt_first.install(["nginx"], runner=runner, **{name: str(path) for name, path in places.items()})
        assert not policy.exists()
        return answer, calls

    install.exe, install.needrestart, install.running = exe, needrestart, tmp_path / "running"
    return install


@pytest.mark.parametrize(("fails", "ran"), [("update", 1), ("install", 3), ("begin", 1), ("daemon-reload", 3)])
def test_the_first_packages_that_fail_say_why(fails, ran, first):
    answer, calls = first(fails)
    print(answer)
    assert answer["failed"] and len(calls) == ran
    assert bool(packages.LOCKED.search(answer["msg"])) is (fails in ("update", "install"))
    if fails == "daemon-reload":
        assert "systemctl daemon-reload failed" in answer["msg"]


def test_systemd_reads_the_units_of_the_first_packages_once(first):
    answer, calls = first()
    assert answer == {"changed": True, "stdout": "done"}
    update, install, reload = calls
    assert "update" in update and "SYSTEMD_OFFLINE=1" not in update
    options = {"--no-upgrade", "nginx", "python3-apt", "APT::Install-Recommends=no", "SYSTEMD_OFFLINE=1"}
    assert options < set(install)
    assert reload == ("systemctl", "daemon-reload")


def test_systemd_that_was_replaced_starts_anew(first):
    first.exe.unlink()
    first.exe.symlink_to("/usr/lib/systemd/systemd (deleted)")
    assert first()[1][-1] == ("systemctl", "daemon-reexec")


def test_where_needrestart_restarts_daemons_it_reaches_systemd(first):
    first.needrestart.mkdir()
    _answer, calls = first()
    assert len(calls) == 2 and "SYSTEMD_OFFLINE=1" not in calls[-1]


def test_a_host_that_was_not_booted_has_no_units_to_read(first):
    first.running.rmdir()
    assert [call[0] for call in first()[1]] == ["apt-get", "apt-get"]
