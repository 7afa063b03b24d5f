# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import json
import shutil
import socket
import sys
import time

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import host_state as reader
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.host_state import missing_on, running_on, stopped_on

PACKAGES = (
    "installed\tinstall\tok\tdpkg\tamd64\t1.22.22\n"
    "installed\tinstall\tok\tnginx\tamd64\t1.26.3-3+deb13u1\n"
    "installed\thold\tok\tprosody\tamd64\t13.0.1-1\n"
    "installed\tinstall\tok\tlibc6\tamd64\t2.41-12\n"
    "installed\tinstall\tok\tlibc6\ti386\t2.41-13\n"
    "installed\tinstall\tok\tpython3-apt\tall\t3.0.0\n"
    "config-files\tdeinstall\tok\tbind9\tamd64\t1:9.20.11\n"
    "half-configured\tinstall\tok\tmunin\tall\t2.0.76-6\n"
    "installed\tinstall\treinstreq\tcoturn\tamd64\t4.6.1-2\n"
    "not-installed\tunknown\tok\tgpm\tamd64\t\n"
)
UNITS = "\n".join(
    f"Names={names}\nLoadState={load}\nActiveState={active}\nUnitFileState={file}\n"
    for names, load, active, file in [
        ("nginx.service", "loaded", "active", "enabled"),
        ("ssh.service sshd.service", "loaded", "active", "disabled"),
        ("systemd-journald.service", "loaded", "active", "static"),
        ("systemd-timesyncd.service", "masked", "inactive", "masked"),
        ("apt-daily.timer", "loaded", "inactive", "enabled"),
        ("linked.service", "loaded", "inactive", "linked"),
        ("munin.service", "loaded", "reloading", "generated"),
        ("postgresql@17-main.service", "loaded", "active", "enabled-runtime"),
        ("broken.service", "loaded", "failed", "enabled"),
        ("auditd.service", "not-found", "inactive", ""),
        ("bind9.service", "not-found", "failed", ""),
        ("starting.service", "loaded", "activating", "indirect"),
        ("run-u7.service", "loaded", "active", "transient"),
    ]
)
INSTALL = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"


def state(active, enabled, failed=False):
    return {"active": active, "enabled": enabled, "failed": failed}


def recorded(command):
    return {reader.DPKG_QUERY: PACKAGES, reader.SHOW_UNITS: UNITS}[command]


@pytest.fixture
def root(tmp_path):
    for directory in (
        "var/lib",
        "etc/systemd/system/multi-user.target.wants",
        "run/systemd/system",
        "usr/bin",
        "run/systemd/generator",
        "run/systemd/generator.late",
        "usr/lib/systemd/system/x.target.wants",
    ):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nprosody:x:104:110::/:/bin/false\n+::::::\n\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nssl-cert:x:110:prosody\n")
    (tmp_path / "usr/bin/python3").touch()
    etc, shipped = tmp_path / "etc/systemd/system", tmp_path / "usr/lib/systemd/system"
    for name in (
        "idle.service",
        "wanted.service",
        "aliased.service",
        "hidden.service",
        "template@.service",
        "offered.service",
        "nginx.service",
        "readme.txt",
    ):
        (shipped / name).write_text(INSTALL)
    (shipped / "static.service").write_text("[Service]\nExecStart=/bin/true\n# WantedBy=x\n")
    (shipped / "also.socket").write_text("[Install]\nAlso=other.service\n")
    (shipped / "empty.service").touch()
    (shipped / "x.target.wants/offered.service").symlink_to("../offered.service")
    (etc / "multi-user.target.wants/wanted.service").symlink_to("/usr/lib/systemd/system/wanted.service")
    (etc / "other-name.service").symlink_to("/usr/lib/systemd/system/aliased.service")
    (etc / "web.service").symlink_to("/usr/lib/systemd/system/nginx.service")
    (etc / "hidden.service").symlink_to("/dev/null")
    (tmp_path / "run/systemd/generator.late/sysv.service").write_text(INSTALL)
    return tmp_path


def test_packages_are_those_installed_and_whole():
    assert reader.parse_packages(PACKAGES) == {
        "dpkg": "1.22.22",
        "nginx": "1.26.3-3+deb13u1",
        "prosody": "13.0.1-1",
        "libc6": "2.41-12",
        "libc6:i386": "2.41-13",
        "python3-apt": "3.0.0",
    }


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("nginx.service", state(True, True)),
        ("ssh.service", state(True, False)),
        ("sshd.service", state(True, False)),
        ("systemd-journald.service", state(True, True)),
        ("systemd-timesyncd.service", state(False, False)),
        ("apt-daily.timer", state(False, True)),
        ("linked.service", state(False, False)),
        ("munin.service", state(True, True)),
        ("postgresql@17-main.service", state(True, True)),
        ("broken.service", state(False, True, True)),
        ("bind9.service", state(False, False, True)),
        ("starting.service", state(False, True)),
        ("run-u7.service", state(True, True)),
        ("auditd.service", None),
        ("idle.service", state(False, False)),
        ("wanted.service", state(False, True)),
        ("offered.service", state(False, False)),
        ("aliased.service", state(False, True)),
        ("other-name.service", state(False, True)),
        ("web.service", state(True, True)),
        ("hidden.service", state(False, False)),
        ("static.service", state(False, True)),
        ("also.socket", state(False, True)),
        ("empty.service", state(False, False)),
        ("sysv.service", state(False, True)),
        ("template@.service", None),
        ("readme.txt", None),
        ("null", None),
    ],
)
def test_unit(root, unit, expected):
    assert reader.host_state(False, str(root), recorded)["units"].get(unit) == expected


def test_users_and_modes(root):
    found = reader.host_state(True, str(root), recorded)
    assert found["users"] == ["prosody", "root"]
    assert (found["check_mode"], found["apt"]) == (True, True)


@pytest.mark.parametrize(
    ("noted", "left"),
    [
        (None, []),
        # Debian 12 as it was, which the upgrade has only looked at.
        ({"running": []}, []),
        ({"done": ["sources"]}, ["packages", "postgresql"]),
        ({"done": ["sources", "packages"]}, ["postgresql"]),
        ({"done": ["sources", "packages", "postgresql"]}, []),
    ],
)
def test_an_upgrade_that_has_stopped(root, noted, left):
    if noted is not None:
        folder = root / "var/lib/xmpp-upgrade"
        folder.mkdir()
        (folder / "state.json").write_text(json.dumps(noted))
    assert reader.host_state(False, str(root), recorded)["upgrade_left"] == left


def test_the_disk_is_that_of_var_lib(root):
    found = reader.host_state(False, str(root), recorded)["disk_size"]
    assert found == shutil.disk_usage(root / "var/lib").total > 0


def test_a_kernel_without_ipv6(root, monkeypatch):
    real = socket.socket

    def kernel(family, *arguments):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *arguments)

    monkeypatch.setattr(socket, "socket", kernel)
    assert reader.host_state(False, str(root), recorded)["ipv6"] is False
    monkeypatch.undo()
    assert isinstance(reader.host_state(False, str(root), recorded)["ipv6"], bool)


def test_apt_needs_the_hosts_python_and_its_binding(root):
    (root / "usr/bin/python3").unlink()
    assert reader.host_state(False, str(root), recorded)["apt"] is False
    (root / "usr/bin/python3").touch()
    without = {reader.DPKG_QUERY: PACKAGES.replace("python3-apt", "python3-six")}
    assert reader.host_state(False, str(root), lambda command: without.get(command, ""))["apt"] is False


def test_without_systemd_there_are_no_units(root):
    (root / "run/systemd/system").rmdir()

    def runner(command):
        assert command[0] != "systemctl"
        return recorded(command)

    assert reader.host_state(False, str(root), runner)["units"] == {}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["/none/dpkg-query"], "/none/dpkg-query: No such file or directory; this module needs a Debian host"),
        (["sh", "-c", "echo no bus >&2; exit 3"], "sh -c exited with 3: no bus"),
        (["false"], "false exited with 1: no message"),
    ],
)
def test_a_tool_that_fails_is_named(command, message):
    with pytest.raises(reader.HostStateError) as caught:
        reader.run(command)
    assert str(caught.value) == message


def test_on_this_machine():
    assert shutil.which("dpkg-query"), "the unit tests run on a Debian machine"
    begin = time.perf_counter()
    found = reader.host_state(False)
    seconds = time.perf_counter() - begin
    print(f"{len(found['packages'])} packages, {len(found['units'])} units in {seconds * 1000:.0f} ms", file=sys.stderr)
    assert "dpkg" in found["packages"] and "root" in found["users"]


def host(check_mode=False, apt=True):
    return {
        "packages": {"bash": "5"},
        "check_mode": check_mode,
        "apt": apt,
        "users": [],
        "units": {"up.service": state(True, True), "off.service": state(True, False), "down.timer": state(False, True)},
    }


@pytest.mark.parametrize(
    ("packages", "check_mode", "apt", "expected"),
    [
        (["bash"], False, True, False),
        (["bash", "nginx"], False, True, True),
        ([], False, True, False),
        (("nginx",), False, False, True),
        (["nginx"], True, True, True),
        (["nginx"], True, False, False),
    ],
)
def test_missing_on(packages, check_mode, apt, expected):
    assert missing_on(packages, host(check_mode, apt)) is expected


@pytest.mark.parametrize(
    ("units", "check_mode", "expected"),
    [
        (["up.service"], False, False),
        (["up.service", "off.service"], False, True),
        (["down.timer"], False, True),
        (["none.service"], False, True),
        (["none.service"], True, False),
        (["none.service", "off.service"], True, True),
        ([], False, False),
    ],
)
def test_stopped_on(units, check_mode, expected):
    assert stopped_on(units, host(check_mode)) is expected


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        (["up.service"], True),
        (["up.service", "off.service"], True),
        (["up.service", "down.timer"], False),
        (["none.service"], False),
        ([], True),
    ],
)
def test_running_on(units, expected):
    assert running_on(units, host()) is expected


STATE_ERROR = "run magicbroccoli.xmpp.host_facts first and give ansible_facts['host_state']"


@pytest.mark.parametrize(
    ("test", "arguments", "message"),
    [
        (
            missing_on,
            ("nginx", host()),
            "'nginx' is not a list of packages; write one, for example ['nginx']",
        ),
        (missing_on, ([7], host()), "7 is not a name of one of the packages; write a string, for example"),
        (missing_on, (["nginx"], None), "the host state has no 'packages'; " + STATE_ERROR),
        (missing_on, (["nginx"], {"packages": {}}), "the host state has no 'check_mode'; " + STATE_ERROR),
        (stopped_on, ({"a": 1}, host()), "{'a': 1} is not a list of units; write one, for example"),
        (stopped_on, (["nginx"], host()), "'nginx' is not a full unit name; write it with its type, for example"),
        (running_on, (["nginx"], host()), "'nginx' is not a full unit name; write it with its type, for"),
        (stopped_on, (["up.service"], {}), "the host state has no 'units'; " + STATE_ERROR),
    ],
)
def test_errors(test, arguments, message):
    with pytest.raises(ValueError) as caught:
        test(*arguments)
    assert message in str(caught.value)
