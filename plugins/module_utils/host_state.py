# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Debian host has: packages, units and users.

The readers take a root directory and a runner, so that they can be tested on recorded data.
"""

from __future__ import annotations

import os
import re
import socket

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import upgrade_notes
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, attempt

DPKG_FORMAT = "${db:Status-Status}\t${db:Status-Want}\t${db:Status-Eflag}\t${Package}\t${Architecture}\t${Version}\n"
DPKG_QUERY = ("dpkg-query", "-W", "-f", DPKG_FORMAT)
# Only loaded units: `systemctl list-unit-files` takes half a second, because it looks into every unit file twice.
SHOW_UNITS = (
    "systemctl",
    "show",
    "--no-pager",
    "--property=Names,LoadState,ActiveState,UnitFileState",
    "*.service",
    "*.timer",
    "*.socket",
    "*.path",
)
UNIT_NAME = re.compile(r".+(?<!@)\.(service|timer|socket|path)")

# The states for which `systemctl is-enabled` exits with 0 (systemctl(1), table 1).
RUNNING = ("active", "reloading", "refreshing")
ENABLED_STATES = frozenset(["enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "transient"])
# Where unit files are, the first one wins (systemd.unit(5), "Unit File Load Path").
GENERATED = ("run/systemd/generator.early", "run/systemd/generator", "run/systemd/generator.late")
CONFIGURED = ("etc/systemd/system", "run/systemd/system")
UNIT_PATHS = (
    GENERATED[0],
    *CONFIGURED,
    GENERATED[1],
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    GENERATED[2],
)
# A unit file without one of these cannot be enabled: it is static, or enabled by another one (systemd.unit(5)).
INSTALLABLE = re.compile(r"^\s*(WantedBy|RequiredBy|UpheldBy|Alias)\s*=\s*\S", re.MULTILINE)


class HostStateError(Exception):
    """A tool of the host failed; the message says which and how."""


def run(command):
    """Runs a command and returns its standard output."""
    try:
        done = attempt(command, seconds=None, environment={"SYSTEMD_COLORS": "0", "COLUMNS": "500"})
    except CommandError as error:
        raise HostStateError(f"{error}; this module needs a Debian host") from error
    if done.status != 0:
        said = done.stderr.strip() or "no message"
        raise HostStateError(f"{' '.join(command[:2])} exited with {done.status}: {said}")
    return done.stdout


def parse_packages(text):
    """Turns the output of DPKG_QUERY into name → version of what is installed and whole."""
    rows = [fields for fields in (line.split("\t") for line in text.splitlines()) if len(fields) == 6]
    # dpkg itself is always of the native architecture; only other ones are told apart by name.
    native = {"all", *(architecture for *_unused, name, architecture, _version in rows if name == "dpkg")}
    packages = {}
    for status, want, flag, name, architecture, version in rows:
        # A package on hold is as installed as any other.
        if status == "installed" and want in ("install", "hold") and flag == "ok":
            packages[name if architecture in native else f"{name}:{architecture}"] = version
    return packages


def parse_show(text):
    """Turns the output of `systemctl show` of several units into a dictionary of properties for each."""
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]


def parse_units(text):
    """Turns the output of SHOW_UNITS into unit → active, enabled, failed; a unit is there by each of its names."""
    units = {}
    for fields in parse_show(text):
        active = fields.get("ActiveState")
        # Another unit may name one that is not there.
        if fields.get("LoadState") == "not-found" and active == "inactive":
            continue
        for name in fields.get("Names", "").split():
            units[name] = {
                "active": active in RUNNING,
                "enabled": fields.get("UnitFileState") in ENABLED_STATES,
                "failed": active == "failed",
            }
    return units


def _entries(root, directory):
    try:
        return sorted(os.scandir(os.path.join(root, directory)), key=lambda entry: entry.name)
    except OSError:
        return []


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def read_unit_files(root, loaded):
    """Tells of the unit files whose units systemd has not loaded whether they are enabled; they are not active."""
    files, linked, aliases = {}, set(), {}
    for directory in UNIT_PATHS:
        for entry in _entries(root, directory):
            if directory in (*GENERATED, *CONFIGURED) and entry.name.endswith((".wants", ".requires", ".upholds")):
                linked.update(os.listdir(entry.path) if entry.is_dir() else [])
            elif UNIT_NAME.fullmatch(entry.name) and entry.name not in files:
                files[entry.name] = (directory, entry.path)
                target = os.path.basename(os.readlink(entry.path)) if entry.is_symlink() else entry.name
                # A link to /dev/null masks a unit; one of the same name is a unit file kept elsewhere.
                if target not in ("null", entry.name):
                    aliases[entry.name] = target
                    if directory in CONFIGURED:
                        linked.add(target)
    units = {}
    for name, (directory, path) in files.items():
        if name not in loaded and name not in aliases:
            text = _read(path)
            enabled = text != "" and (name in linked or directory in GENERATED or INSTALLABLE.search(text) is None)
            units[name] = {"active": False, "enabled": enabled, "failed": False}
    for alias, name in aliases.items():
        state = loaded.get(name) or units.get(name)
        if state and alias not in loaded:
            units[alias] = dict(state)
    return units


def read_names(path):
    """Returns the first column of a file like /etc/passwd, sorted."""
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        names = [line.split(":", 1)[0] for line in stream if ":" in line]
    # "+" and "-" lines stand for a directory service (nsswitch.conf(5), compat) and name nobody.
    return sorted(name for name in set(names) if name and name[0] not in "+-#")


def disk_size(root):
    """The bytes of the file system that has /var/lib."""
    found = os.statvfs(os.path.join(root, "var/lib"))
    return found.f_blocks * found.f_frsize


def has_ipv6():
    """Whether a program can listen by IPv6 at all: a kernel that was booted with ipv6.disable=1 knows no such sockets."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def host_state(check_mode, root="/", runner=run):
    """Reads the state of the host."""
    packages = parse_packages(runner(DPKG_QUERY))
    units = {}
    if os.path.isdir(os.path.join(root, "run/systemd/system")):
        units = parse_units(runner(SHOW_UNITS))
        units.update(read_unit_files(root, units))
    return {
        "packages": packages,
        "units": units,
        "users": read_names(os.path.join(root, "etc/passwd")),
        "check_mode": bool(check_mode),
        "disk_size": disk_size(root),
        "ipv6": has_ipv6(),
        "upgrade_left": upgrade_notes.left(root),
        "apt": "python3-apt" in packages and os.path.exists(os.path.join(root, "usr/bin/python3")),
    }
