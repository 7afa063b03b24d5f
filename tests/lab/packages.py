# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints every package that a role may ask for on a Debian release, whatever is switched on.

These are the lists within the expressions of `ROLE_packages`.
"""

import sys
from pathlib import Path

import yaml
from jinja2 import Environment, nodes

# What a release does not have, and no role asks for there.
MISSING = {"bookworm": {"lua-lsqlite3"}}
ROLES = Path(__file__).resolve().parents[2] / "roles"


def packages(value):
    if isinstance(value, list):
        return value
    return [item.value for found in Environment().parse(value).find_all(nodes.List) for item in found.items]


if __name__ == "__main__":
    found = set()
    for defaults in ROLES.glob("*/defaults/main.yml"):
        role = defaults.parts[-3]
        found.update(packages(yaml.safe_load(defaults.read_text()).get(f"{role}_packages", [])))
    print(*sorted(found - MISSING.get(sys.argv[1], set())), sep="\n")
