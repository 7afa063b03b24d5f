# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host, and plays that run on it as an operator's do."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hosts import TOP, Host, command

SCENARIO = TOP / "molecule/config_tree"
ADDRESS = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]["hosts"]["tree.test"]["ansible_host"]
SITES = 10


class Tree(Host):
    """The host, by ssh."""

    def out(self, command: str, *arguments: str) -> str:
        """Run a shell command that has to succeed, with arguments that need no quoting, and return what it prints."""
        return super().out(self.testinfra.backend.quote(command, *arguments))

    def write(self, path: str, text: str, mode: str = "0600") -> None:
        self.out("umask 077; printf %%s %s > %s && chmod %s %s", text, path, mode, path)

    def wait_for(self, command: str, seconds: float = 120) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            result = self.testinfra.run(command)
            if result.rc == 0:
                return result.stdout.strip()
            time.sleep(0.05)
        raise AssertionError(f"{command}: not within {seconds} s")

    def snapshot(self) -> dict[str, str]:
        """{path: inode, kind, mode, owner, times, what a link points to, checksum} of all configuration."""
        listing = self.out(r"find /etc -printf '%p\t%i %y %m %u %g %T@ %l\n'").splitlines()
        found = dict(line.split("\t") for line in listing)
        for line in self.out("find /etc/nginx /etc/sudoers.d -type f -exec sha256sum {} +").splitlines():
            checksum, path = line.split("  ")
            found[path] += f" {checksum}"
        # Directories change when something is made in them and removed again.
        return {path: re.sub(r" [\d.]+ $", "", what) if " d " in what else what for path, what in found.items()}

    def leftovers(self) -> list[str]:
        """What config_tree made for itself and should have removed."""
        found = self.out("find /etc -name '.*~'; find /run/config_tree /var/lib/config_tree -mindepth 1").splitlines()
        if self.out("cat /var/lib/config_tree/unreported 2>/dev/null || echo []") == "[]":
            found = [path for path in found if path != "/var/lib/config_tree/unreported"]
        return [path for path in found if path != "/run/config_tree/lock"]

    def answers(self) -> list[str]:
        """What each site answers."""
        found = []
        for number in range(SITES):
            connection = http.client.HTTPConnection(ADDRESS, timeout=10)
            connection.request("GET", "/", headers={"Host": f"site{number}.tree.test"})
            found.append(connection.getresponse().read().decode())
            connection.close()
        return found

    def reload_nginx(self) -> None:
        """Have nginx read its files again, and wait until no worker is left that has read them before."""
        before = ",".join(self.out("pgrep -u www-data nginx").split())
        self.out("systemctl reload nginx")
        self.wait_for(f"! ps -o pid= -p {before} && pgrep -u www-data nginx")


@dataclass
class Run:
    rc: int
    text: str  # all that it has printed
    results: list[dict]  # of its tasks
    seconds: float

    @property
    def result(self) -> dict:
        assert len(self.results) == 1, self.text
        return self.results[0]


class Plays:
    """Playbooks in a directory of their own, with a copy of the scenario's templates."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.templates = directory / "templates"

    def command(self, *tasks: dict, options: tuple[str, ...] = (), **variables) -> list[str]:
        """The command that runs config_tree with each of these arguments. The variables are on no command line."""
        play = {
            "hosts": "tree.test",
            "gather_facts": False,
            "vars": {"answer": "old", **variables},
            "tasks": [{"magicbroccoli.xmpp.config_tree": {"src": str(self.templates), **task}} for task in tasks],
        }
        (self.directory / "play.yml").write_text(json.dumps([play]))
        line = ["ansible-playbook", "-v", str(self.directory / "play.yml"), *options]
        return command(*line, inventory=SCENARIO / "inventory")

    @staticmethod
    def environment(**settings: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return {
            **inherited,
            "MOLECULE_PROJECT_DIRECTORY": str(TOP),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_CALLBACK_FORMAT_PRETTY": "false",
            **settings,
        }

    def run(
        self, *tasks: dict, options: tuple[str, ...] = (), settings: dict[str, str] | None = None, **variables
    ) -> Run:
        start = time.monotonic()
        done = subprocess.run(
            self.command(*tasks, options=options, **variables),
            cwd=TOP,
            env=self.environment(**(settings or {})),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        text = done.stdout + done.stderr
        found = re.findall(r"^(?:ok|changed|fatal): \[tree\.test\].*? => (\{.*\})$", done.stdout, re.MULTILINE)
        return Run(done.returncode, text, [json.loads(result) for result in found], time.monotonic() - start)


@pytest.fixture(scope="session")
def host() -> Tree:
    return Tree(ADDRESS)


@pytest.fixture
def plays(tmp_path: Path) -> Plays:
    (tmp_path / "templates/etc/nginx/sites-enabled").mkdir(parents=True)
    for path in (SCENARIO / "templates").rglob("*"):
        if path.is_file():
            (tmp_path / path.relative_to(SCENARIO)).write_bytes(path.read_bytes())
    return Plays(tmp_path)


@pytest.fixture(scope="session")
def operator(host: Host) -> list[str]:
    """The options for plays of somebody who is not root, but may become so."""
    host.out("id admin 2>/dev/null || useradd --create-home --shell /bin/bash admin")
    host.out("install -d -m 700 -o admin /home/admin/.ssh")
    host.out("install -m 600 -o admin /root/.ssh/authorized_keys /home/admin/.ssh/")
    host.write("/etc/sudoers.d/admin", "admin ALL=(ALL) NOPASSWD: ALL\n", "0440")
    return ["--extra-vars", "ansible_user=admin", "--become"]
