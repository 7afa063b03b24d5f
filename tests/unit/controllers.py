# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controllers that an operator may have: Pythons, and environments with the oldest and the newest ansible-core.

As a program, builds those environments in .cache where they are missing: requirements-controllers.txt names their packages
by version and hash.
"""

from __future__ import annotations

import fcntl
import hashlib
import pathlib
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
REQUIREMENTS = TOP / "requirements-controllers.txt"
CACHE = TOP / ".cache/controllers"


def pythons() -> dict[str, str]:
    """The interpreters of this machine that ansible-core 2.19 and newer run on: 3.11 to 3.14."""
    places = [
        *pathlib.Path.home().glob(".pyenv/versions/*/bin"),
        pathlib.Path("/usr/bin"),
        pathlib.Path("/usr/local/bin"),
    ]
    found = {}
    for number in (11, 12, 13, 14):
        for place in places:
            if (path := place / f"python3.{number}").exists():
                found.setdefault(f"3.{number}", str(path))
    return found


def environments() -> dict[str, tuple[str, pathlib.Path]]:
    """Which ansible-core → the Python and the folder of its environment, as far as this machine has these Pythons.

    The requirements have the oldest ansible-core for Python 3.11, and the newest one for later Pythons.
    """
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    interpreters = pythons()
    chosen = {"oldest": "3.11", "newest": max(interpreters, key=lambda version: int(version[2:]))}
    return {
        name: (interpreters[version], CACHE / f"{digest}-{version}")
        for name, version in chosen.items()
        if version in interpreters and (name == "oldest") == (version == "3.11")
    }


def build(python: str, folder: pathlib.Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    pip = [folder / "bin/python", "-m", "pip", "-qq", "--disable-pip-version-check", "--require-virtualenv"]
    subprocess.run([*pip, "install", "--require-hashes", "-r", REQUIREMENTS], check=True)
    (folder / "complete").touch()


def main() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        # Worktrees may share the cache.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, (python, folder) in environments().items():
            if not (folder / "complete").exists():
                print(f"Building an environment of the {name} ansible-core with {python}", file=sys.stderr)
                build(python, folder)


if __name__ == "__main__":
    main()
