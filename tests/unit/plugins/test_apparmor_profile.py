# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile reaches the kernel, leaves it when it is switched off, and a container's kernel is left alone."""

from __future__ import annotations

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import apparmor
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, Finished

NAME = "usr.bin.prosody"


class Host:
    """The files and programs that are asked."""

    def __init__(self, folder, enabled="Y\n", loaded="", container=False, refuses=False):
        (folder / "disable").mkdir()
        (folder / NAME).write_text("abi <abi/3.0>,\nprofile prosody /usr/bin/prosody flags=(complain) {\n}\n")
        (folder / "enabled").write_text(enabled)
        (folder / "loaded").write_text(loaded)
        self.folder, self.container, self.refuses, self.calls = folder, container, refuses, []

    def __call__(self, command):
        if command[0] == "systemd-detect-virt":
            return Finished(0 if self.container else 1, "", "")
        self.calls.append([word.replace(str(self.folder), "") for word in command])
        return Finished(1, "", "syntax error") if self.refuses else Finished(0, "", "")

    def apply(self):
        files = {name: str(self.folder / name) for name in ("enabled", "loaded")}
        return apparmor.apply(NAME, folder=str(self.folder), runner=self, **files)

    def disable(self):
        (self.folder / "disable" / NAME).symlink_to(self.folder / NAME)


def test_it_is_loaded(tmp_path):
    host = Host(tmp_path)
    assert host.apply() is True
    assert host.calls == [["apparmor_parser", "--replace", "--write-cache", f"/{NAME}"]]


@pytest.mark.parametrize("loaded", [True, False])
def test_one_that_is_switched_off_is_removed(tmp_path, loaded):
    host = Host(tmp_path, loaded="man (enforce)\n" + ("prosody (complain)\n" if loaded else ""))
    host.disable()
    assert host.apply() is loaded
    assert host.calls == ([["apparmor_parser", "--remove", f"/{NAME}"]] if loaded else [])


@pytest.mark.parametrize("there", [{"container": True}, {"enabled": "N\n"}, {"enabled": ""}])
def test_without_a_kernel_of_its_own_nothing_is_done(tmp_path, there):
    host = Host(tmp_path, **there)
    assert host.apply() is False and host.calls == []


def test_what_the_parser_says_is_told(tmp_path):
    with pytest.raises(CommandError, match="--replace .*/usr.bin.prosody: syntax error"):
        Host(tmp_path, refuses=True).apply()
