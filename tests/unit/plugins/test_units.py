# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units are started and stopped by few calls, and who does not start is named with its journal."""

from __future__ import annotations

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import Finished
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.units import UnitError, apply


class Systemd:
    """As much of systemctl and journalctl as is asked for. `broken` units do not start."""

    def __init__(self, broken=(), changed=(), **units):
        self.units = {f"{name}.service": list(state) for name, state in units.items()}
        self.broken = broken
        self.changed = set(changed)  # by files that systemd has not read yet
        self.calls = []

    def __call__(self, command):
        program, act, *names = command
        self.calls.append(" ".join([act, *names]) if program == "systemctl" else program)
        if program == "journalctl":
            return Finished(0, f"{names[-1]}: cannot bind to port 443\n", "")
        if act == "show":
            blocks = []
            for name in names[2:]:
                active, enabled = self.units.get(name, ("inactive", ""))
                load = "loaded" if name in self.units else "not-found"
                result = "exit-code" if active == "failed" else "success"
                blocks.append(
                    f"Id={name}\nLoadState={load}\nActiveState={active}\nResult={result}\nUnitFileState={enabled}"
                    f"\nNeedDaemonReload={'yes' if name in self.changed else 'no'}"
                )
            return Finished(0, "\n\n".join(blocks) + "\n", "")
        if act == "daemon-reload":
            self.changed.clear()
        status = 0
        for name in names:
            if act == "start":
                status |= name in self.broken
                self.units[name][0] = "failed" if name in self.broken else "active"
            if act == "stop":
                self.units[name][0] = "inactive"
            if act in ("enable", "disable"):
                self.units[name][1] = f"{act}d"
        return Finished(status, "", "Job failed." if status else "")


def test_what_is_right_is_left_alone():
    systemd = Systemd(nginx=("active", "enabled"), getty=("active", "static"), old=("inactive", "disabled"))
    assert apply(["nginx.service", "getty.service"], ["old.service", "gone.service"], runner=systemd) == []
    assert [call.partition(" ")[0] for call in systemd.calls] == ["show"]


def test_systemd_reads_its_files_anew_where_a_unit_has_changed():
    systemd = Systemd(changed=["a.service"], a=("active", "enabled"))
    assert apply(["a.service"], [], runner=systemd) == []
    assert [call.partition(" ")[0] for call in systemd.calls] == ["show", "daemon-reload", "show"]


def test_several_units_take_one_call_each():
    systemd = Systemd(
        a=("inactive", "disabled"), b=("failed", "enabled"), c=("active", "disabled"), d=("active", "enabled")
    )
    changed = apply(["a.service", "b.service", "c.service"], ["d.service"], runner=systemd)
    print(systemd.calls)
    assert changed == ["a.service", "b.service", "c.service", "d.service"]
    assert systemd.calls[1:] == [
        "disable d.service",
        "stop d.service",
        "enable a.service c.service",
        "start a.service b.service",
    ]
    assert apply(["a.service", "b.service", "c.service"], ["d.service"], runner=systemd) == []


def test_check_mode_changes_nothing():
    systemd = Systemd(a=("inactive", "disabled"))
    assert apply(["a.service"], [], check=True, runner=systemd) == ["a.service"]
    assert [call.partition(" ")[0] for call in systemd.calls] == ["show"]


def test_the_journal_of_the_unit_at_fault_is_shown():
    systemd = Systemd(broken=["b.service"], a=("inactive", "enabled"), b=("inactive", "enabled"))
    with pytest.raises(UnitError) as error:
        apply(["a.service", "b.service"], [], runner=systemd)
    print(error.value)
    assert str(error.value).startswith("b.service did not start: Job failed.")
    assert "b.service: cannot bind to port 443" in str(error.value)
    assert "a.service" not in str(error.value)
    assert systemd.units["a.service"][0] == "active"
