# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Debian host has: packages, units, users and groups.

The readers take a root directory and a runner, so that they can be tested on recorded data.
"""

from __future__ import annotations

import os
import re
import subprocess

DPKG_FORMAT = "${db:Status-Status}\t${db:Status-Want}\t${db:Status-Eflag}\t${Package}\t${Architecture}\t${Version}\n"
DPKG_QUERY = ("dpkg-query", "-W", "-f", DPKG_FORMAT)
UNIT_TYPES = "service,timer,socket,path"
LIST_FILES = ("systemctl", "list-unit-files", "--no-legend", "--no-pager", "--plain", "--type=" + UNIT_TYPES)
LIST_UNITS = ("systemctl", "list-units", "--all", "--no-legend", "--no-pager", "--plain", "--full",
              "--type=" + UNIT_TYPES)

# The states for which `systemctl is-enabled` exits with 0 (systemctl(1), table 1).
ENABLED_STATES = frozenset(
    ["enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "transient"]
)
# An instance has no unit file of its own: it is enabled by a symbolic link in one of these.
WANTS_ROOTS = ("etc/systemd/system", "run/systemd/system", "run/systemd/generator", "run/systemd/generator.early",
               "run/systemd/generator.late")
ALIAS_ROOTS = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")


class HostStateError(Exception):
    """A tool of the host failed; the message says which and how."""


def run(command):
    """Runs a command and returns its standard output."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "COLUMNS": "500"}
    try:
        done = subprocess.run(command, capture_output=True, env=environment, check=False)
    except OSError as error:
        raise HostStateError(f"{command[0]}: {error.strerror or error}; this module needs a Debian host") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip() or "no message"
        raise HostStateError(f"{' '.join(command[:2])} exited with {done.returncode}: {said}")
    return done.stdout.decode("utf-8", "replace")


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


def parse_unit_files(text):
    """Turns the output of LIST_FILES into unit → state of its unit file."""
    states = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 2:
            states[fields[0]] = fields[1]
    return states


def parse_units(text):
    """Turns the output of LIST_UNITS into unit → (load state, active state)."""
    states = {}
    for line in text.splitlines():
        fields = line.split()
        # A failed or missing unit is marked with a bullet where --plain is not honoured.
        if fields and fields[0] in ("●", "*", "○", "×"):
            fields = fields[1:]
        if len(fields) >= 3:
            states[fields[0]] = (fields[1], fields[2])
    return states


def join_units(unit_files, units, wanted, aliases):
    """Joins what systemd says of unit files and of loaded units.

    wanted are the names that a .wants or .requires directory links to, aliases maps an alias to the unit it means.
    """
    states = {}
    for name, state in unit_files.items():
        states[name] = {"active": False, "enabled": state in ENABLED_STATES, "failed": False}
    for name, (load, active) in units.items():
        if load in ("not-found", "bad-setting", "error") and active not in ("active", "reloading", "failed"):
            continue
        if name not in states:
            states[name] = {"active": False, "enabled": name in wanted, "failed": False}
        states[name]["active"] = active in ("active", "reloading")
        states[name]["failed"] = active == "failed"
    for alias, name in aliases.items():
        if name in states:
            states[alias] = dict(states[name])
    return states


def read_links(root="/"):
    """Returns the names that units want, and the aliases among the unit files."""
    wanted = set()
    aliases = {}
    for directory in WANTS_ROOTS:
        try:
            entries = list(os.scandir(os.path.join(root, directory)))
        except OSError:
            continue
        for entry in entries:
            if entry.name.endswith((".wants", ".requires")) and entry.is_dir():
                wanted.update(os.listdir(entry.path))
    for directory in ALIAS_ROOTS:
        try:
            entries = list(os.scandir(os.path.join(root, directory)))
        except OSError:
            continue
        for entry in entries:
            if not entry.is_symlink() or not re.search(r"\.(service|timer|socket|path)$", entry.name):
                continue
            target = os.path.basename(os.readlink(entry.path))
            # A link to /dev/null masks the unit; a link of the same name is a unit file kept elsewhere.
            if target not in ("null", entry.name):
                aliases.setdefault(entry.name, target)
    return wanted, aliases


def read_names(path):
    """Returns the first column of a file like /etc/passwd, sorted."""
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        names = [line.split(":", 1)[0] for line in stream if ":" in line]
    # "+" and "-" lines stand for a directory service (nsswitch.conf(5), compat) and name nobody.
    return sorted(name for name in set(names) if name and name[0] not in "+-#")


def host_state(check_mode, root="/", runner=run):
    """Reads the state of the host."""
    packages = parse_packages(runner(DPKG_QUERY))
    units = {}
    if os.path.isdir(os.path.join(root, "run/systemd/system")):
        wanted, aliases = read_links(root)
        units = join_units(parse_unit_files(runner(LIST_FILES)), parse_units(runner(LIST_UNITS)), wanted, aliases)
    return {
        "packages": packages,
        "units": units,
        "users": read_names(os.path.join(root, "etc/passwd")),
        "groups": read_names(os.path.join(root, "etc/group")),
        "check_mode": bool(check_mode),
        "apt": "python3-apt" in packages and os.path.exists(os.path.join(root, "usr/bin/python3")),
    }
