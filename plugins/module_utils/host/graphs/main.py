# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers munin for the graphs of this host.

A plugin /usr/local/lib/munin/plugins/FAMILY_ is linked below /etc/munin/plugins as FAMILY, for all graphs of env.graphs, or as
FAMILY_GRAPH. The families are the modules beside this one, each with its graphs and the variables of plugin-conf.d.
"""

from __future__ import annotations

import importlib
import os
import sys

from . import munin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FAMILIES = ("backup", "bind", "firewall", "nginx", "prosody", "status", "tls", "updates")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a plugin of munin, and return its exit status. The first argument is the program's name."""
    program, *words = sys.argv if arguments is None else arguments
    # The link has the name of a graph, or one that the operator has chosen.
    name = os.path.basename(os.path.realpath(program)).partition("_")[0]
    if name not in FAMILIES:
        print(f"{program}: {name!r} is no family of graphs; link one of {'_, '.join(FAMILIES)}_", file=sys.stderr)
        return 1
    # The others are not read.
    family: munin.Family = importlib.import_module(f".{name}", __package__).FAMILY
    return munin.answer(family, program, words[0] if words else "fetch", os.environ)
