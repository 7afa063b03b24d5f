# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role's plan says of a host."""

from __future__ import annotations

import json
import types

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import pack
from ansible_collections.magicbroccoli.xmpp.plugins.modules import plan as module
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.answers import problem
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.plan import (
    Changes,
    compare_packages,
    compare_state,
    due,
    listed,
    only_files,
    summary,
    untold,
)

RUNS = {"active": True, "enabled": True, "failed": False}
STATE = {
    "packages": {"nginx": "1.26"},
    "units": {
        "nginx.service": RUNS,
        "logrotate.timer": {**RUNS, "active": False},
        "cron.service": {**RUNS, "enabled": False},
    },
    "check_mode": False,
    "apt": True,
}


def of(plan: dict) -> list[str]:
    changes = Changes()
    compare_packages(plan, STATE, changes)
    compare_state(plan, STATE, changes)
    return changes.lines()


def test_a_host_that_has_everything_needs_nothing():
    assert of({"packages": ["nginx"], "units": ["nginx.service"], "units_off": ["x.timer"]}) == []
    assert of({}) == []
    assert not Changes()


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        ({"packages": ["nginx", "coturn"]}, "1 package to install: coturn"),
        (
            {"units": ["nginx.service", "logrotate.timer", "cron.service"]},
            "2 units to start: cron.service, logrotate.timer",
        ),
        ({"units": ["new.service"]}, "1 unit to start: new.service"),
        ({"units_off": ["nginx.service", "logrotate.timer"]}, "1 unit to stop: nginx.service"),
        ({"due": ["the certificate is to be issued"]}, "the certificate is to be issued"),
    ],
)
def test_each_kind_of_thing_that_is_missing_is_named(plan, line):
    assert of(plan) == [line]


def test_long_lists_are_cut():
    assert listed("file", list("edcba"), "to change") == "5 files to change: a, b, c and 2 more"


def test_a_role_follows_the_one_that_changes_what_its_files_depend_on():
    changes = {"certificates": Changes(reasons=["renewal"]), "bind": Changes(), "nginx": Changes()}
    plans = {"certificates": {}, "bind": {"after": ["certificates"]}, "nginx": {}}
    assert due(changes, plans) == ["certificates", "bind"]
    assert due({**changes, "certificates": Changes()}, plans) == []
    # Only one before it.
    assert due({"bind": Changes(), "certificates": Changes(reasons=["renewal"])}, plans) == ["certificates"]


@pytest.mark.parametrize(
    ("plan", "together"),
    [
        ({"files": {}}, True),
        ({"files": {}, "exists": [], "due": [], "units": ["new.service"]}, True),
        ({}, False),
        ({"files": None}, False),
        ({"files": {}, "exists": ["/srv/archive"]}, False),
        ({"files": {}, "due": ["a package is to be removed"]}, False),
        # A handler restarts it, which would be lost if another role failed before.
        ({"files": {}, "units": ["nginx.service"]}, False),
        ({"files": {}, "units": ["runs.timer", "cron.service"]}, True),
    ],
)
def test_which_roles_are_given_their_files_together(plan, together):
    state = {**STATE, "units": {**STATE["units"], "runs.timer": RUNS, "cron.service": RUNS}}
    assert only_files({"role": plan}, state) == (["role"] if together else [])


def test_the_last_line_has_the_sums():
    changes = {"nginx": Changes(), "turn": Changes(), "bind": Changes()}
    assert summary(changes, [], "rosewood") == ["nothing to change on rosewood"]
    changes["nginx"].add("file", "to change", ["/etc/nginx/nginx.conf", "/etc/nginx/x"])
    changes["turn"].add("file", "to change", ["/etc/turnserver.conf"])
    changes["turn"].add("unit", "to start", ["coturn.service"])
    assert summary(changes, ["nginx", "turn", "bind"], "rosewood") == [
        "nginx: 2 files to change: /etc/nginx/nginx.conf, /etc/nginx/x",
        "turn: 1 file to change: /etc/turnserver.conf; 1 unit to start: coturn.service",
        "bind: after a role before it",
        "3 files, 1 unit to change on rosewood",
    ]
    assert summary({"bind": Changes(reasons=["DS"])}, ["bind"], "rosewood")[-1] == "1 role to change on rosewood"


def test_check_mode_runs_the_roles_that_only_themselves_can_say_what_they_do():
    changes = {"nginx": Changes(), "certificates": Changes(reasons=["renewal"]), "bind": Changes(), "turn": Changes()}
    changes["nginx"].add("file", "to change", ["/etc/nginx/nginx.conf"])
    changes["turn"].add("file", "to change", ["/etc/turnserver.conf"])
    changes["turn"].reasons.append("its secret is missing")
    assert untold(changes, ["nginx", "certificates", "bind", "turn"]) == ["certificates", "bind", "turn"]


def test_a_complete_list_has_all_names():
    changes = {"nginx": Changes()}
    changes["nginx"].add("file", "to change", list("abcde"))
    assert summary(changes, ["nginx"], "rosewood", 5)[0] == "nginx: 5 files to change: a, b, c, d, e"


def test_the_module_compares_the_trees_of_roles(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CONFIG_TREE_PREFIX", str(tmp_path))
    there = tmp_path / "there"
    there.write_text("x")
    there.chmod(0o600)
    entry = {"state": "file", "owner": "root", "group": "root", "mode": "0600", "content": "x", "secret": False}
    trees = {name: {"files": [{**entry, "path": str(tmp_path / name)}]} for name in ("there", "new")}
    payload = pack({"trees": trees, "exists": {"one": [str(there), str(tmp_path / "gone")]}})
    with patch_module_args({"_payload": payload}), pytest.raises(SystemExit):
        module.main()
    result = json.loads(capsys.readouterr().out)
    assert result["differ"] == {"there": [], "new": [str(tmp_path / "new")]}
    assert result["missing"] == {"one": [str(tmp_path / "gone")]}
    assert (result["changed"], result["skipped_validators"], result["diff"]) == (False, [], [])


def test_an_error_of_a_module_that_has_ended_is_shown():
    crash = types.SimpleNamespace(event=types.SimpleNamespace(msg="no attribute 'x'"))
    assert problem({"failed": True, "exception": crash}) == "no attribute 'x'"
    assert problem({"failed": True, "msg": "no", "exception": crash}) == "no"
    assert problem({"failed": True}) == "the host did not answer"
