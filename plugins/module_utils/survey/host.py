# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the subjects ask a host: its files below a root, its programs by a runner, and Debian's checksums."""

from __future__ import annotations

import glob
import hashlib
import os
from dataclasses import dataclass, field

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, attempt

DPKG_FORMAT = "${db:Status-Status}\t${Package}\t${Version}\n${Conffiles}\n"
DPKG_QUERY = ("dpkg-query", "-W", "-f", DPKG_FORMAT)
# "md5  path" of each file as ucf(1) has last installed it.
UCF_HASHES = "/var/lib/ucf/hashfile"


@dataclass
class Finding:
    """One thing that somebody has set up, what would happen to it, and what the operator can do.

    To take it over, the units in `pause` are stopped, the paths in `keep` and the output of the commands in `save` are
    copied, then the units in `stop` are disabled and stopped, the paths in `move`, which are in `keep`, are removed, and the
    commands in `run` are run. When the collection leaves the host, all of this is undone, and the commands in `undo` are run,
    in which `{saved}` is the file with the output of the first command in `save`.
    """

    id: str
    found: str
    effect: str
    choice: str
    keep: list[str] = field(default_factory=list)
    pause: list[str] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    save: list[list[str]] = field(default_factory=list)
    move: list[str] = field(default_factory=list)
    run: list[list[str]] = field(default_factory=list)
    undo: list[list[str]] = field(default_factory=list)


def run(command):
    """The standard output of a program, or None where it is not there or fails."""
    try:
        done = attempt(command, seconds=20)
    except CommandError:
        return None
    return done.stdout if done.status == 0 else None


def parse_dpkg(text):
    """Turns the output of DPKG_QUERY into installed packages, name → version, and conffiles, path → checksum."""
    packages, conffiles, installed = {}, {}, False
    for line in text.splitlines():
        if line.startswith(" "):
            words = line.split()
            if installed and len(words) == 2 and words[1] != "newconffile":
                conffiles[words[0]] = words[1]
        elif "\t" in line:
            status, name, version = line.split("\t")
            installed = status == "installed"
            if installed:
                packages[name] = version
    return packages, conffiles


def parse_ucf(text):
    """Turns ucf's list into path → checksum."""
    return {words[1]: words[0] for words in map(str.split, text.splitlines()) if len(words) == 2}


class Host:
    """A host, or a recorded one: `root` is where its files are, `runner` returns what a program prints, or None.

    `replaced` are the paths of the files that the collection installs, `ports` what its daemons listen at, `opened` what its
    firewall lets in beside these, both as 443/tcp, `ssh_port` the port of sshd, and `seconds` the time of the machine that asks.
    """

    def __init__(self, root="/", runner=run, *, replaced=(), ports=(), opened=(), ssh_port=22, seconds=None):
        self.root = root
        self.run = runner
        self.replaced = list(replaced)
        self.ports = set(ports)
        self.opened = set(opened)
        self.ssh_port = ssh_port
        self.seconds = seconds
        self.packages, self._conffiles = parse_dpkg(runner(DPKG_QUERY) or "")
        self._shipped = {**self._conffiles, **parse_ucf(self.read(UCF_HASHES))}

    def path(self, path):
        """Where a path of the host is."""
        return os.path.join(self.root, path.lstrip("/"))

    def read(self, path):
        """A file's text, and an empty one where there is none that can be read. A pipe would never end."""
        try:
            if not os.path.isfile(self.path(path)):
                return ""
            with open(self.path(path), encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except OSError:
            return ""

    def exists(self, path):
        """Whether there is something at a path, be it a link to nowhere."""
        return os.path.lexists(self.path(path))

    def glob(self, pattern):
        """The paths that match a pattern, sorted."""
        prefix = len(self.root.rstrip("/"))
        return sorted(path[prefix:] for path in glob.glob(self.path(pattern)))

    def changed(self, path):
        """Whether a file is not as its package installed it. Of a file that no package knows: False."""
        want = self._shipped.get(path)
        if want is None:
            return False
        try:
            with open(self.path(path), "rb") as stream:
                return hashlib.md5(stream.read(), usedforsecurity=False).hexdigest() != want
        except OSError:
            return False

    def shipped(self, path):
        """Whether a file came with a package and is as it came."""
        real = self.resolve(path)
        return real in self._shipped and not self.changed(real)

    def resolve(self, path):
        """The path of the host that a link leads to, followed below the root."""
        for _step in range(8):
            try:
                target = os.readlink(self.path(path))
            except OSError:
                break
            path = os.path.normpath(os.path.join(os.path.dirname(path), target))
        return path

    def enabled(self, unit):
        """Whether a unit of systemd is started at boot."""
        return bool(self.glob(f"/etc/systemd/system/*.wants/{unit}"))

    def active(self, unit):
        """Whether a unit of systemd runs."""
        return (self.run(("systemctl", "show", "-P", "ActiveState", unit)) or "").strip() == "active"
