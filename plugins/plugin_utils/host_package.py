# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the package plugins/module_utils/host is on a host, and the programs that call it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

FOLDER = "/usr/local/lib/xmpp"
PACKAGE = "xmpp_host"
SBIN = "/usr/local/sbin"

# -I: neither the environment nor the current folder decides what is imported. No bytecode: programs with a sandbox could
# not write it, and it would outlive the files that it is of.
STUB = """\
#!/usr/bin/python3 {flags}
# Calls {folder}/{package}/{room}/main.py, where its documentation is.{marks}
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "{folder}"){path}

from {package}.{room}.main import main

sys.exit(main())
"""
USUAL = {"flags": "-I", "marks": "", "path": ""}
# munin starts these programs every five minutes. Without the module site (-S) they start faster, and need the path of Debian's
# packages. munin-node-configure(1p) reads the marks.
GRAPHS = {
    "flags": "-IS",
    "marks": "\n#\n#%# family=auto contrib\n#%# capabilities=autoconf suggest",
    "path": '\nsys.path.append("/usr/lib/python3/dist-packages")',
}


def package(sources: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Return entries of config_tree for the whole package, so that no program ever meets half of another version.

    `sources` are the texts of the package's files by their paths below its folder.
    """
    # A file that has left the package leaves the host.
    found: dict[str, dict[str, object]] = {f"{FOLDER}/{PACKAGE}": {"state": "directory", "exclusive": True}}
    return found | {f"{FOLDER}/{PACKAGE}/{path}": {"content": text} for path, text in sources.items()}


def stubs(paths: Iterable[str], programs: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Return entries of config_tree for programs that call the package.

    `paths` are those of the package's files below its folder, `programs` the names of programs in /usr/local/sbin, or their
    paths elsewhere, and the rooms whose main.py they call; none, where only others import the package. Raises ValueError.
    """
    if not isinstance(programs, Mapping):
        raise ValueError(
            f"programs: {programs!r} has to be a dictionary of names and rooms, as {{xmpp-status: status}}"
        )
    rooms = sorted({path.partition("/")[0] for path in paths if path.endswith("/main.py")})
    found: dict[str, dict[str, object]] = {}
    for name, room in programs.items():
        if not isinstance(name, str) or not re.fullmatch(r"(/[a-z]+)*/[a-z][a-z0-9-]*_?|[a-z][a-z0-9-]*", name):
            raise ValueError(f"programs: {name!r} is no name of a program; write one as xmpp-status")
        if room not in rooms:
            raise ValueError(f"programs: {name}: {room!r} is no room of the package; write one of {', '.join(rooms)}")
    for name, room in programs.items():
        more = GRAPHS if room == "graphs" else USUAL
        text = STUB.format(folder=FOLDER, package=PACKAGE, room=room, **more)
        found[posixpath.join(SBIN, name)] = {"content": text, "mode": "0755"}
    return found
