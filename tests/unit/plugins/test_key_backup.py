# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action and its module on this machine, with files in a temporary directory. Real hosts are in scenario two_hosts."""

from __future__ import annotations

import base64
import io
import json
import os
import pwd
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret, VaultSecretsContext
from ansible_collections.magicbroccoli.xmpp.plugins.action.key_backup import ActionModule as Action
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import key_backup
from ansible_collections.magicbroccoli.xmpp.plugins.modules import key_backup as module

KEY = "a key that nobody shall see"
ME = pwd.getpwuid(os.getuid()).pw_name


class Run:
    """A controller and a host, both on this machine."""

    def __init__(self, tmp_path, monkeypatch):
        self.monkeypatch = monkeypatch
        self.host = tmp_path / "host"
        self.backup = tmp_path / "controller" / "keys" / "host.vault"
        self.secret = tmp_path / "secret"
        self.secret.write_text("the vault's\n")
        self.host.mkdir()

    def put(self, name, content=KEY, mode=0o600):
        path = self.host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        return path

    def __call__(self, state, check=False, groups=None, secret=True):
        groups = {"a": f"{self.host}/Ka.*", "b": [f"{self.host}/Kb.*"]} if groups is None else groups
        args = {"path": str(self.backup), "state": state, "groups": groups, "volatile": ["*.state"]}
        secrets = [("default", VaultSecret(self.secret.read_bytes().strip()))] if secret else []
        loader = DataLoader()
        loader.set_vault_secrets(secrets)
        self.monkeypatch.setattr(VaultSecretsContext, "_current", VaultSecretsContext(secrets))
        task = SimpleNamespace(args=args, check_mode=check, action="key_backup", async_val=0, delegate_to=None)
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="none"))
        action = Action(task, connection, None, loader, None, None)
        action._execute_module = self.module
        self.said = ""
        try:
            done = action.run(task_vars={})
        except AnsibleActionFail as error:
            self.said = str(error)
            return None
        self.said = " ".join(done.get("warnings", []))
        assert KEY not in json.dumps(done)
        return done

    def module(self, module_name, module_args, task_vars):
        """The module in a process of its own would see the same files."""
        stdout = io.StringIO()
        self.monkeypatch.setattr(sys, "stdout", stdout)
        with patch_module_args(module_args), pytest.raises(SystemExit):
            module.main()
        self.monkeypatch.setattr(sys, "stdout", sys.__stdout__)
        for hidden in (KEY, base64.b64encode(KEY.encode()).decode()):
            assert hidden not in stdout.getvalue()
        return json.loads(stdout.getvalue())

    def load(self):
        secret = VaultSecret(self.secret.read_bytes().strip())
        return json.loads(VaultLib([("default", secret)]).decrypt(self.backup.read_bytes()))["groups"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    return Run(tmp_path, monkeypatch)


def statuses(done):
    return {name: group["status"] for name, group in done["groups"].items()}


def test_save_and_restore(run):
    private = run.put("Ka.private")
    state = run.put("Ka.state", "a state", 0o644)
    done = run("saved")
    assert done["changed"] and statuses(done) == {"a": "saved", "b": "empty"}
    assert "b: nothing on the host is of this kind" in run.said
    assert run.backup.read_bytes().startswith(b"$ANSIBLE_VAULT;1.1;AES256\n")
    assert [oct(path.stat().st_mode)[-3:] for path in (run.backup, run.backup.parent)] == ["600", "700"]
    entry = run.load()["a"][str(private)]
    assert base64.b64decode(entry["content"]).decode() == KEY and (entry["owner"], entry["mode"]) == (ME, "0600")

    assert statuses(run("restored")) == {"a": "same", "b": "absent"}
    # What changes by itself is no difference, and stays as it is.
    state.write_text("another state")
    done = run("restored")
    assert not done["changed"] and statuses(done)["a"] == "same"

    private.unlink()
    state.unlink()
    assert run("restored", check=True)["changed"] and not private.exists()
    done = run("restored")
    assert done["changed"] and done["groups"]["a"] == {"status": "restored", "files": [str(private), str(state)]}
    assert private.read_text() == KEY and oct(private.stat().st_mode)[-3:] == "600"
    assert state.read_text() == "a state"
    assert not run("restored")["changed"]


def test_saving_twice_changes_nothing_and_keeps_other_groups(run):
    run.put("Ka.private")
    run("saved")
    before = run.backup.read_bytes()
    assert not run("saved")["changed"] and run.backup.read_bytes() == before
    run.put("Kb.private", "another key")
    assert run("saved", check=True)["changed"] and run.backup.read_bytes() == before
    assert statuses(run("saved")) == {"a": "same", "b": "saved"}
    run("saved", groups={"c": f"{run.host}/Kb.*"})
    assert sorted(run.load()) == ["a", "b", "c"]
    # Keys that are lost on the host stay in the backup.
    (run.host / "Ka.private").unlink()
    run("saved")
    assert sorted(run.load()) == ["a", "b", "c"]


def test_a_backup_in_clear_is_encrypted_again(run):
    run.put("Ka.private")
    run("saved")
    run.backup.write_text(json.dumps({"groups": run.load()}))
    assert run("saved")["changed"] and run.backup.read_bytes().startswith(b"$ANSIBLE_VAULT")


@pytest.mark.parametrize(
    ("change", "details"),
    [
        (lambda run: run.put("Ka.private", "other"), "other content: Ka.private"),
        (lambda run: run.put("Ka.second", "new"), "only on the host: Ka.second"),
        (lambda run: (run.host / "Ka.public").unlink(), "only in the backup: Ka.public"),
    ],
)
def test_other_keys_are_told_of_and_left_alone(run, change, details):
    run.put("Ka.private")
    run.put("Ka.public", "public")
    run("saved")
    change(run)
    before = {path: path.read_text() for path in run.host.iterdir()}
    done = run("restored")
    assert not done["changed"] and statuses(done)["a"] == "different"
    assert f"a: the host's keys differ from those in {run.backup}, and nothing was changed ({details})." in run.said
    assert {path: path.read_text() for path in run.host.iterdir()} == before


def test_folders_of_any_depth(run):
    deep = run.put("accounts/authority/directory/x/private_key.json")
    groups = {"acme": f"{run.host}/accounts/**"}
    run("saved", groups=groups)
    subprocess.run(["rm", "-r", run.host / "accounts"], check=True)
    assert run("restored", groups=groups)["changed"] and deep.read_text() == KEY
    assert {oct(path.stat().st_mode)[-3:] for path in [deep.parent, *list(deep.parents)[:3]]} == {"700"}


def test_a_link_is_followed(run):
    run.put("real", KEY)
    (run.host / "Ka.link").symlink_to(run.host / "real")
    run("saved")
    assert base64.b64decode(run.load()["a"][str(run.host / "Ka.link")]["content"]).decode() == KEY


def test_without_a_backup_nothing_is_restored(run):
    assert statuses(run("restored", secret=False)) == {"a": "absent", "b": "absent"}


def test_without_a_secret_nothing_is_saved(run):
    run.put("Ka.private")
    assert run("saved", secret=False) is None
    assert f"there is no secret to encrypt {run.backup} by; give one by --vault-password-file" in run.said
    assert not run.backup.exists()


def test_with_another_secret_nothing_is_done(run):
    run.put("Ka.private")
    run("saved")
    before = run.backup.read_bytes()
    run.secret.write_text("another\n")
    for state in ("saved", "restored"):
        assert run(state) is None and "give the secret that it was encrypted by" in run.said
    assert run.backup.read_bytes() == before


@pytest.mark.parametrize("content", ["", "no JSON", "[]", '{"groups": []}', '{"other": {}}'])
def test_what_is_no_backup(run, content):
    run.backup.parent.mkdir(parents=True)
    run.backup.write_text(content)
    assert run("restored") is None and "holds no backup of keys; move it away" in run.said
    assert run.backup.read_text() == content


@pytest.mark.parametrize("patterns", ["relative/K*", "", ["/a", "b"], 1, {"a": "/b"}])
def test_wrong_patterns(run, patterns):
    assert run("saved", groups={"a": patterns}) is None
    assert re.search(r"groups: a: .* is not the pattern of absolute paths", run.said)


def test_an_owner_that_the_host_does_not_have(tmp_path):
    entry = {"content": "", "owner": "nobody-knows", "group": "root", "mode": "0600"}
    with pytest.raises(key_backup.BackupError, match="install the daemon that reads it first"):
        key_backup.write({str(tmp_path / "key"): entry})
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_written(tmp_path):
    path = tmp_path / "key"
    path.symlink_to("/nowhere")
    assert key_backup.write({str(path): {"content": "", "owner": ME, "group": "root", "mode": "0600"}}) == []
    assert path.is_symlink()


def test_the_seal():
    secret = base64.b64encode(b"x" * 32).decode()
    sealed = key_backup.seal({"a": KEY}, secret)
    assert key_backup.unseal(sealed, secret) == {"a": KEY}
    assert KEY.encode() not in base64.b64decode(sealed)
    assert sealed != key_backup.seal({"a": KEY}, base64.b64encode(b"y" * 32).decode())
