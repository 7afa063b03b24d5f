# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all families of graphs have in common: how graphs are described and values printed, in munin's protocol.

munin starts a plugin for each family every five minutes, on slow machines, too. A start reads little: nothing for annotations
alone, and none of the modules that only values need.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    # Variables of plugin-conf.d.
    Environment = Mapping[str, str]
    # What a field has now; None is unknown.
    Values = Mapping[str, float | str | None]

PLUGSTATE = "/var/lib/munin-node/plugin-state"
# Of rrdgraph(1): what most graphs have, a scale in thousands that begins at 0.
ARGS = "--base 1000 --lower-limit 0"


class Unknown(Exception):
    """There are no values, and this is why: munin draws a gap, and the node's log has the reason."""


class NoAnswer(Exception):
    """The plugin fails for a graph; the text says why."""


class Field:
    """A line of a graph. `more` are munin's own attributes: draw, type, warning, critical, min, negative, colour; None is none."""

    def __init__(self, name: str, label: str, info: str = "", **more: str | float | None) -> None:
        self.name = name
        self.attributes = {"label": label, "info": info or label, "min": 0, **more}


class Graph:
    """A graph: what munin shows of it, and its fields and their values as functions of the environment."""

    def __init__(
        self,
        *,
        title: str,
        vlabel: str,
        info: str,
        category: str,
        fields: Callable[[Environment], Iterable[Field]],
        values: Callable[[Environment], Values],
        args: str = ARGS,
        scale: bool = False,
    ) -> None:
        self.attributes = {
            **{"title": title, "args": args, "vlabel": vlabel, "info": info, "category": category},
            "scale": "yes" if scale else "no",
        }
        self.fields = fields
        self.values = values


class Family:
    """The graphs of a plugin by their names. `autoconf` says whether the host has what they show."""

    def __init__(
        self, graphs: Mapping[str, Graph], autoconf: Callable[[Environment], str] = lambda environment: "yes"
    ) -> None:
        self.graphs = graphs
        self.autoconf = autoconf


def config(graph: Graph, fields: Sequence[Field]) -> list[str]:
    """Return the lines that describe a graph. The names of its fields are in their order."""
    lines = [f"graph_{key} {value}" for key, value in graph.attributes.items()]
    lines.append("graph_order " + " ".join(field.name for field in fields))
    for field in fields:
        lines += [f"{field.name}.{key} {value}" for key, value in field.attributes.items() if value is not None]
    return lines


def shown(value: float | str | None) -> str:
    """Return a value as munin reads it."""
    if value is None:
        return "U"
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def log(program: str, error: Exception) -> None:
    """Write a reason to the node's log."""
    print(f"{program}: {error if isinstance(error, Unknown) else repr(error)}", file=sys.stderr)


def lines_of(program: str, graph: Graph, command: str, environment: Environment) -> list[str] | None:
    """Return the lines of one graph, or None where there is nothing to say; the reason is in the node's log."""
    try:
        fields = list(graph.fields(environment))
    except (Unknown, OSError, ValueError, KeyError) as error:
        log(program, error)
        return None
    if command == "config":
        return config(graph, fields)
    values: Values = {}
    try:
        values = graph.values(environment)
    except NoAnswer as error:
        print(error, file=sys.stderr)
        return None
    except (Unknown, OSError, ValueError, KeyError, TypeError) as error:
        log(program, error)
    return [f"{field.name}.value {shown(values.get(field.name))}" for field in fields]


def answer(family: Family, program: str, command: str, environment: Environment) -> int:
    """Answer munin, and return the plugin's exit status.

    The program's name tells the graph. By the name of the family alone, one process speaks for all graphs of env.graphs
    (multigraph).
    """
    if command == "autoconf":
        print(family.autoconf(environment))
        return 0
    if command == "suggest":
        print("\n".join(family.graphs))
        return 0
    kind, _, name = os.path.basename(program).partition("_")
    names = [name] if name else environment.get("graphs", " ".join(family.graphs)).split()
    status = 1
    for graph in names:
        if graph not in family.graphs:
            print(
                f"{program}: {graph!r} is no graph; link this plugin as {kind}_ with one of {', '.join(family.graphs)}",
                file=sys.stderr,
            )
            return 1
        lines = lines_of(program, family.graphs[graph], command, environment)
        if lines is not None:
            print("\n".join(lines if name else [f"multigraph {kind}_{graph}", *lines]))
            status = 0
    return status


def output(*command: str, seconds: float = 60) -> str:
    """Return what a program prints. Raises Unknown where it fails or takes longer."""
    from .. import commands

    try:
        return commands.run(command, seconds=seconds)
    except commands.CommandError as error:
        raise Unknown(str(error)) from error


def read(path: str) -> Any:
    """Return what a JSON file holds. Raises OSError and ValueError."""
    import json

    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def kept(environment: Environment, name: str) -> Any:
    """Return what this plugin's user has kept under a name, or None."""
    try:
        return read(place(environment, name))
    except (FileNotFoundError, ValueError):
        return None


def keep(environment: Environment, name: str, value: Any) -> None:
    """Keep something until the next start."""
    from .. import files

    files.write_json(place(environment, name), value, durable=False)


def place(environment: Environment, name: str) -> str:
    """Return the path of what is kept."""
    return os.path.join(environment.get("MUNIN_PLUGSTATE", PLUGSTATE), f"{name}.json")
