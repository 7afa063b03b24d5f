# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files take effect whose place says how: accounts first; profiles, directories and units afterwards."""

from __future__ import annotations

import grp
import pwd

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import activation, config_tree
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.activation import accounts_missing, activate
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError

ROOT = pwd.getpwuid(0).pw_name
FIRST = grp.getgrgid(pwd.getpwuid(0).pw_gid).gr_name


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", False),
        ("# only words\n\n", False),
        (f"g {FIRST} -", False),
        ("g xmpp-nobody-has-this -", True),
        (f'u {ROOT} - "the superuser" /root /bin/sh', False),
        (f"u! {ROOT} 0", False),
        ("u xmpp-nobody - -", True),
        (f"m {ROOT} {FIRST}", False),  # the first group of a user has no list of members
        (f"m {ROOT} nogroup", True),
        (f"m xmpp-nobody {FIRST}", True),
        ("r - 500-900", False),
        ("g", True),  # systemd-sysusers says what is wrong with it
        ('u "open', True),
    ],
)
def test_what_is_missing(text, missing):
    assert accounts_missing(text) is missing


class Recorder:
    def __init__(self, refuse=None):
        self.calls, self.refuse = [], refuse

    def __call__(self, command, stdin="", seconds=0):
        self.calls.append((*command, stdin) if stdin else tuple(command))
        if command[0] == self.refuse:
            raise CommandError(command, "no")


@pytest.mark.parametrize(
    ("placed", "removed", "calls"),
    [
        (["/etc/prosody/prosody.cfg.lua"], [], []),
        (
            ["/etc/tmpfiles.d/b.conf", "/etc/tmpfiles.d/a.conf"],
            [],
            [("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/a.conf", "/etc/tmpfiles.d/b.conf")],
        ),
        ([], ["/etc/tmpfiles.d/a.conf"], []),
        (
            ["/etc/systemd/system/a.service", "/etc/systemd/system/b.service.d/c.conf"],
            [],
            [("systemctl", "daemon-reload")],
        ),
        ([], ["/etc/systemd/system/a.timer"], [("systemctl", "daemon-reload")]),
        (["/etc/systemd/journald.conf"], [], []),
        (["/etc/sysctl.d/a.conf", "/etc/sysctl.d/b.conf"], [], [(activation.SYSCTL,)]),
        ([], ["/etc/sysctl.d/a.conf"], []),
        (["/usr/share/pam-configs/a"], [], [("pam-auth-update", "--package")]),
        ([], ["/usr/share/pam-configs/a"], [("pam-auth-update", "--package")]),
    ],
)
def test_what_is_done(placed, removed, calls, tmp_path):
    recorder = Recorder()
    activate(placed, removed, recorder, running=str(tmp_path), contained=lambda: False)
    assert recorder.calls == calls
    recorder = Recorder()
    activate(placed, removed, recorder, running=str(tmp_path / "not-booted"), contained=lambda: False)
    assert [call for call in calls if call[0] != "systemctl"] == recorder.calls


def test_a_container_sets_the_keys_of_its_network_alone(tmp_path):
    recorder = Recorder()
    activate(["/etc/sysctl.d/a.conf"], [], recorder, running=str(tmp_path), contained=lambda: True)
    assert recorder.calls == [(activation.SYSCTL, "--prefix=net")]


def test_profiles_are_loaded_first(tmp_path):
    calls = []
    record = lambda *command, **options: calls.append(command[0])  # noqa: E731
    placed = ["/etc/apparmor.d/usr.sbin.nginx", "/etc/systemd/system/a.service", "/etc/xmpp/apparmor.d/x"]
    activate(
        placed, ["/etc/apparmor.d/disable/usr.sbin.nginx", "/etc/apparmor.d/disable/b"], record, str(tmp_path), record
    )
    assert calls == ["b", "usr.sbin.nginx", ("systemctl", "daemon-reload")]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A ConfigTree, whose sysusers.d is below the temporary directory, and what it runs."""
    recorder = Recorder()
    for name in ("make_accounts", "activate"):
        function = getattr(activation, name)
        monkeypatch.setattr(activation, name, lambda *a, function=function: function(*a, run=recorder))
    monkeypatch.setattr(activation, "SYSUSERS", activation.re.compile(r".*/sysusers\.d/[^/]+\.conf"))
    monkeypatch.setattr(activation, "TMPFILES", activation.re.compile(r".*/tmpfiles\.d/[^/]+\.conf"))

    def run(files, check=False, refuse=None):
        recorder.refuse, recorder.calls = refuse, []
        entries = [
            {
                "path": str(tmp_path / path),
                "state": "file",
                "owner": "root",
                "group": "root",
                "mode": "0644",
                "content": text,
            }
            for path, text in sorted(files.items())
        ]
        with config_tree.ConfigTree(str(tmp_path / "state"), str(tmp_path / "run"), check=check) as one:
            found = one.run({"files": entries})
            one.reported()
        return [path.removeprefix(f"{tmp_path}/") for path in found["paths"] if path.endswith(".conf")], recorder.calls

    return run


def test_accounts_come_before_the_files(tree, tmp_path):
    files = {"sysusers.d/a.conf": "g xmpp-nobody -\n"}
    assert tree(files, check=True) == (["sysusers.d/a.conf"], [])
    assert not (tmp_path / "sysusers.d").exists()
    assert tree(files) == (["sysusers.d/a.conf"], [("systemd-sysusers", "-", "g xmpp-nobody -\n")])
    # The file is there, and the group is not: somebody has removed it.
    assert tree(files) == (["sysusers.d/a.conf"], [("systemd-sysusers", "-", "g xmpp-nobody -\n")])
    assert tree({"sysusers.d/a.conf": f"g {FIRST} -\n"}) == (["sysusers.d/a.conf"], [])
    assert tree({"sysusers.d/a.conf": f"g {FIRST} -\n"}) == ([], [])


def test_accounts_that_cannot_be_made_leave_the_host_alone(tree, tmp_path):
    with pytest.raises(
        config_tree.ConfigTreeError, match=r"sysusers\.d/a\.conf: systemd-sysusers: no\nNothing was changed"
    ):
        tree({"sysusers.d/a.conf": "g xmpp-nobody -\n"}, refuse="systemd-sysusers")
    assert not (tmp_path / "sysusers.d").exists()


def test_what_was_refused_is_done_by_the_next_run(tree, tmp_path):
    files = {"tmpfiles.d/a.conf": "d /run/a\n"}
    with pytest.raises(config_tree.ConfigTreeError, match="The new files are in place"):
        tree(files, refuse="systemd-tmpfiles")
    call = ("systemd-tmpfiles", "--create", f"{tmp_path}/tmpfiles.d/a.conf")
    assert tree(files) == (["tmpfiles.d/a.conf"], [call])
    assert tree(files) == ([], [])
    # Where another file was lost, so may be what these make.
    assert tree({**files, "other.conf": "new"}) == (["other.conf"], [call])
