# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The validators of config_tree: run on the host, and what they say, without the secrets of the files."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_change import ConfigTreeError
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import locate, redact

SECONDS = 300
OUTPUT_CHARACTERS = 8000
SBIN = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]


class Validators:
    """Runs the validators of one tree at a time."""

    def __init__(self, check):
        self.check = check
        self.skipped = []  # what check mode had to do without, and why
        self._paths = []
        self._secrets = []

    def know(self, entries):
        """Remember of one tree what messages may show, and what not."""
        self._paths = [entry["path"] for entry in entries]
        self._secrets = [(entry["content"], entry.get("public", "")) for entry in entries if entry.get("secret")]
        self._secrets += [("\n".join(entry["concealed"]), "") for entry in entries if entry.get("concealed")]

    def environment(self, command):
        """What to run a command in, or None when check mode has to do without the command."""
        search = os.pathsep.join([os.environ.get("PATH", ""), *SBIN]).strip(os.pathsep)
        if shutil.which(command[0], path=search) is not None:
            return {**os.environ, "PATH": search, "LC_ALL": "C.UTF-8"}
        if not self.check:
            raise ConfigTreeError(
                f"The validator `{shlex.join(command)}` cannot run: {command[0]} is not installed on this host. "
                "Install it before its configuration, or correct the command."
            )
        self.skipped.append(f"{shlex.join(command)}: {command[0]} is not installed")
        return None

    def run(self, command, what, place=None, root=None):
        """Run one validator with `place` for %s; `root` is what its messages must not show."""
        env = self.environment(command)
        if env is None:
            return
        words = [word.replace("%s", place) for word in command] if place else command
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=env,
                timeout=SECONDS,
                check=False,
            )
            output, end = done.stdout, f"exit status {done.returncode}"
            if done.returncode == 0:
                return
        except subprocess.TimeoutExpired as e:
            output, end = e.stdout or b"", f"no answer for {SECONDS} s"
        said = output.decode("utf-8", "replace").strip()
        if root:
            for name in sorted({root, os.path.realpath(root)}, key=len, reverse=True):
                said = said.replace(name + "/", "/").replace(name, "/")
        if len(said) > OUTPUT_CHARACTERS:
            said = said[:OUTPUT_CHARACTERS] + "\n[more]"
        # Here, and not on the controller: Ansible keeps copies of a message that leaves the host.
        said = redact(said, self._secrets, self._paths)
        path, line = locate(said, self._paths)
        if root and place != root:
            path = place[len(root) :]
        raise ConfigTreeError(
            f"{what}: `{shlex.join(command)}` says ({end}):\n{said}", output=said, path=path, line=line
        )
