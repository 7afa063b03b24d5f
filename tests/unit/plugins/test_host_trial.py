# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules and configurations on trial: kept, gone back from, refused, and what a reboot meanwhile would find."""

from __future__ import annotations

import stat

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import commands
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.trial import base, firewall, main, sshd


class Host:
    """A folder in place of /, and what is asked of nft, sshd and systemd."""

    def __init__(self, top, monkeypatch):
        self.top, self.calls, self.refused, self.loaded = top, [], set(), []
        for kind in (firewall.Firewall, sshd.Sshd):
            monkeypatch.setattr(kind, "live", f"{top}{kind.live}")
        monkeypatch.setattr(firewall.Firewall, "old", f"{top}/state/old")
        monkeypatch.setattr(firewall, "STATE", f"{top}/state")
        monkeypatch.setattr(firewall, "MINIMAL", f"{top}/etc/minimal")
        monkeypatch.setattr(base.Trial, "path", lambda trial, name: f"{trial.folder}/{name}")
        real = base.Trial.__init__

        def place(trial, program):
            real(trial, program)
            trial.folder = f"{top}{trial.folder}"

        monkeypatch.setattr(base.Trial, "__init__", place)
        monkeypatch.setattr(commands, "attempt", self.attempt)
        monkeypatch.setattr(commands, "run", self.run)
        monkeypatch.delenv("JOURNAL_STREAM", raising=False)
        for folder in ("etc/ssh/sshd_config.d", "state", "run"):
            (top / folder).mkdir(parents=True)

    def attempt(self, command, **_options):
        self.calls.append(command)
        if command[0] == "nft" and command[-2] == "-f":
            text = self.read(command[-1][len(str(self.top)) + 1 :])
            if text in self.refused:
                return commands.Finished(1, "", f"{text.strip()} is refused")
            if "-c" not in command:
                self.loaded.append(text)
        if command[:2] == ["nft", "-s"]:
            return commands.Finished(0, "table inet filter {\n}\n", "")
        if command[-1] == "-T":
            return commands.Finished(0, f"port 22\npidfile {self.top}/run/sshd.pid\n", "")
        if command[:2] == ["systemctl", "reload-or-restart"]:
            # What sshd reads.
            self.loaded.append(self.read("etc/ssh/sshd_config.d/00-hardening.conf"))
            (self.top / "run/sshd.pid").write_text("1\n")
        return commands.Finished(0, "", "")

    def run(self, command, **options):
        return self.attempt(command, **options).stdout

    def read(self, name):
        path = self.top / name
        return path.read_text() if path.exists() else None

    def write(self, name, text):
        (self.top / name).write_text(text)

    def type(self, program, *words):
        return main.main(words, f"/usr/local/libexec/{program}")

    def armed(self):
        """The seconds of the timer that is armed, or nothing."""
        seconds = None
        for call in self.calls:
            if call[0] == "systemd-run":
                assert call[-1] == "rollback" and call[-2].startswith("/usr/local/libexec/")
                (seconds,) = (word.partition("=")[2] for word in call if word.startswith("--on-active="))
            elif call[:2] == ["systemctl", "stop"]:
                seconds = None
        return seconds


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


LIVE = "etc/nftables.conf"


def test_rules_that_are_kept(host):
    host.write("state/kept", "old\n")
    host.write(LIVE, "new\n")
    assert host.type("firewall-trial", "start", "60") == 0
    assert (host.loaded, host.armed()) == (["new\n"], "60")
    # A host that boots now does so with the old ones.
    assert host.read(LIVE) == "old\n"
    assert host.type("firewall-trial", "keep") == 0
    assert (host.read(LIVE), host.read("state/kept"), host.armed()) == ("new\n", "new\n", None)
    assert stat.S_IMODE((host.top / LIVE).stat().st_mode) == 0o644
    # It is over: neither comes too late.
    assert host.type("firewall-trial", "rollback") == 0
    assert (host.loaded, host.type("firewall-trial", "keep")) == (["new\n"], 1)


def test_rules_that_are_not_kept(host, capsys):
    host.write(LIVE, "new\n")
    assert host.type("firewall-trial", "start", "60") == 0
    assert host.type("firewall-trial", "rollback") == 0
    assert host.read(LIVE) == host.read("state/old") == host.loaded[-1]
    # There were none of ours: what was loaded comes back.
    assert host.loaded[-1].endswith("table inet filter\ndelete table inet filter\ntable inet filter {\n}\n")
    assert host.read("run/firewall-trial/refused") == "new\n"
    assert host.type("firewall-trial", "keep") == 1
    said = capsys.readouterr().err
    assert "the old ones are back, the refused ones in" in said and "there is no trial" in said
    tags = [call for call in host.calls if call[0] == "logger"]
    assert tags and all(call[:4] == ["logger", "-t", "firewall-trial", "--"] for call in tags)


def test_rules_that_nft_refuses(host):
    host.write("state/kept", "old\n")
    host.write(LIVE, "new\n")
    host.refused = {"new\n"}
    assert host.type("firewall-trial", "start", "60") == 1
    assert (host.loaded, host.armed(), host.read("run/firewall-trial/trial")) == ([], None, None)


@pytest.mark.parametrize("minimal", ["right", "refused"])
def test_old_rules_that_cannot_be_loaded_again(host, minimal):
    host.write("state/kept", "old\n")
    host.write("etc/minimal", "minimal\n")
    host.write(LIVE, "new\n")
    host.refused = {"old\n"} | ({"minimal\n"} if minimal == "refused" else set())
    assert host.type("firewall-trial", "start", "60") == (minimal == "refused")
    if minimal == "refused":
        assert (host.loaded, host.armed(), host.read(LIVE)) == ([], None, "new\n")
        return
    assert host.type("firewall-trial", "rollback") == 0
    assert host.loaded == ["new\n", "minimal\n"]


def test_old_rules_that_are_refused_at_the_rollback(host):
    host.write("state/kept", "old\n")
    host.write("etc/minimal", "minimal\n")
    host.write(LIVE, "new\n")
    assert host.type("firewall-trial", "start", "60") == 0
    host.refused = {"old\n"}
    assert host.type("firewall-trial", "rollback") == 0
    assert host.loaded == ["new\n", "minimal\n"]


def test_a_second_trial_goes_back_to_what_was_before_the_first(host):
    host.write("state/kept", "old\n")
    for text in ("new\n", "newer\n"):
        host.write(LIVE, text)
        assert host.type("firewall-trial", "start", "60") == 0
    assert host.type("firewall-trial", "rollback") == 0
    assert host.loaded == ["new\n", "newer\n", "old\n"]


FILE = "etc/ssh/sshd_config.d/00-hardening.conf"
BESIDE = "etc/ssh/sshd_config.d/.00-hardening.conf.x"


@pytest.mark.parametrize("former", ["old\n", None])
@pytest.mark.parametrize("act", ["keep", "rollback"])
def test_a_configuration_of_sshd(host, former, act):
    host.write(FILE, "new\n")
    host.write(f"{BESIDE}.old~" if former else f"{BESIDE}.new~", former or "new\n")
    assert host.type("sshd-trial", "start", "30") == 0
    assert (host.loaded, host.armed(), host.read(FILE)) == (["new\n"], "30", former)
    assert host.type("sshd-trial", act) == 0
    if act == "keep":
        assert (host.read(FILE), host.loaded, host.armed()) == ("new\n", ["new\n"], None)
        assert stat.S_IMODE((host.top / FILE).stat().st_mode) == 0o600
    else:
        assert (host.read(FILE), host.loaded) == (former, ["new\n", former])
        assert host.read("run/sshd-trial/refused") == "new\n"


def test_a_configuration_that_has_not_changed_is_not_tried(host):
    host.write(FILE, "old\n")
    assert host.type("sshd-trial", "start", "30") == 0
    assert (host.loaded, host.armed(), host.read(FILE)) == ([], None, "old\n")


@pytest.mark.parametrize("words", [["start"], ["start", "x"], ["start", "-1"], ["keep", "1"], ["status"], []])
def test_what_is_no_act_changes_nothing(host, words, capsys):
    assert host.type("sshd-trial", *words) == 2
    assert host.calls == [] and "keep " in capsys.readouterr().err


def test_the_state_of_the_rules(host, capsys):
    host.write(LIVE, "new\n")
    assert host.type("firewall-trial", "status") == 0
    assert capsys.readouterr().out == "all rules are loaded\n"
    host.refused = {"new\n"}
    assert host.type("firewall-trial", "status") == 1
    assert "is refused: after the next boot" in capsys.readouterr().err
