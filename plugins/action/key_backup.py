# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in plugins/modules/key_backup.py.

from __future__ import annotations

import base64
import json
import os
import secrets
import tempfile
from collections.abc import Mapping

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecretsContext, is_encrypted_file
from ansible.plugins.action import ActionBase
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import key_backup
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import pack

MODULE = "magicbroccoli.xmpp.key_backup"


def _names(paths):
    return ", ".join(sorted(os.path.basename(path) for path in paths))


class ActionModule(ActionBase):
    """Keeps what the module reads in an encrypted file, and has it put back what the host lacks."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            {
                "path": {"type": "path", "required": True},
                "groups": {"type": "dict", "required": True},
                "volatile": {"type": "list", "elements": "str", "default": []},
                "state": {"type": "str", "choices": ["saved", "restored"], "required": True},
            }
        )
        self._path, self._volatile, self._vars = args["path"], args["volatile"], task_vars
        self._check = self._task.check_mode
        groups = {}
        for name, patterns in args["groups"].items():
            patterns = [patterns] if isinstance(patterns, str) else patterns
            if not isinstance(patterns, list) or not all(isinstance(one, str) and one[:1] == "/" for one in patterns):
                raise AnsibleActionFail(
                    f"groups: {name}: {patterns!r} is not the pattern of absolute paths, nor a list of them; write for "
                    "example '/var/lib/bind/keys/Kexample.org.+*'"
                )
            groups[str(name)] = [str(one) for one in patterns]
        result.update(self._save(groups) if args["state"] == "saved" else self._restore(groups))
        return result

    def _ask(self, **payload):
        """What the module answers. A failure of it is one of the task, but shows nothing of the answer."""
        answer = self._execute_module(module_name=MODULE, module_args={"_payload": pack(payload)}, task_vars=self._vars)
        if answer.get("failed"):
            raise AnsibleActionFail(answer.get("msg") or "the host did not answer")
        return answer

    def _load(self):
        """The groups of the backup; nothing of it is written down in clear."""
        if not os.path.exists(self._path):
            return {}
        try:
            groups = json.loads(self._loader.get_text_file_contents(self._path))["groups"]
        except AnsibleError as error:
            raise AnsibleActionFail(f"{self._path}: {error}; give the secret that it was encrypted by") from error
        except (ValueError, KeyError, TypeError):
            groups = None
        if not isinstance(groups, Mapping):
            raise AnsibleActionFail(
                f"{self._path} holds no backup of keys; move it away, and run playbook backup_keys"
            ) from None
        return groups

    def _write(self, groups):
        known = VaultSecretsContext.current(optional=True)
        if not known or not known.secrets:
            raise AnsibleActionFail(
                f"there is no secret to encrypt {self._path} by; give one by --vault-password-file or --ask-vault-pass"
            )
        text = VaultLib(known.secrets).encrypt(json.dumps({"groups": groups}, sort_keys=True))
        folder = os.path.dirname(self._path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=folder, prefix=".key-backup-")
        with os.fdopen(handle, "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(handle)
        os.rename(draft, self._path)

    def _save(self, groups):
        backup = self._load()
        secret = base64.b64encode(secrets.token_bytes(32)).decode("ascii")
        found = key_backup.unseal(self._ask(do="read", groups=groups, seal=secret)["sealed"], secret)
        told = {}
        for name, files in found.items():
            status = "empty" if not files else "same" if backup.get(name) == files else "saved"
            told[name] = {"status": status, "files": sorted(files)}
        merged = {**backup, **{name: files for name, files in found.items() if files}}
        changed = bool(merged) and (merged != backup or not self._encrypted())
        if changed and not self._check:
            self._write(merged)
        warnings = [
            f"{name}: nothing on the host is of this kind, so that nothing was saved; see {', '.join(groups[name])}"
            for name, files in found.items()
            if not files
        ]
        return {"changed": changed, "groups": told, **({"warnings": warnings} if warnings else {})}

    def _encrypted(self):
        with open(self._path, "rb") as stream:
            return is_encrypted_file(stream)

    def _restore(self, groups):
        backup = self._load()
        there = self._ask(do="look", groups=groups)["groups"] if backup else {}
        told, wanted, warnings = {}, {}, []
        for name in groups:
            saved, live = backup.get(name, {}), there.get(name, {})
            if not saved:
                told[name] = {"status": "absent", "files": []}
            elif not live:
                told[name] = {"status": "restored", "files": sorted(saved)}
                wanted.update(saved)
            else:
                warning, files = self._differences(name, saved, live)
                told[name] = {"status": "different" if files else "same", "files": files}
                warnings += warning
        if wanted and not self._check:
            self._ask(do="write", files=wanted)
        return {"changed": bool(wanted), "groups": told, **({"warnings": warnings} if warnings else {})}

    def _differences(self, name, saved, live):
        digests = {path: key_backup.digest(base64.b64decode(entry["content"])) for path, entry in saved.items()}
        saved, live = (key_backup.lasting(files, self._volatile) for files in (digests, live))
        parts = {
            "only on the host": set(live) - set(saved),
            "only in the backup": set(saved) - set(live),
            "other content": {path for path in set(live) & set(saved) if live[path] != saved[path]},
        }
        files = sorted(set().union(*parts.values()))
        if not files:
            return [], []
        details = "; ".join(f"{what}: {_names(paths)}" for what, paths in parts.items() if paths)
        return [
            f"{name}: the host's keys differ from those in {self._path}, and nothing was changed ({details}). If the host's "
            "are right, run playbook backup_keys; if not, move them away, and run this again."
        ], files
