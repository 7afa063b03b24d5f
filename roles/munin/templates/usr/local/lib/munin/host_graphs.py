# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plugins of this host for munin have in common: how graphs are described, and values printed."""

import os
import sys


class Unknown(Exception):
    """There are no values, and this is why: munin draws a gap, and the node's log has the reason."""


def use_package():
    """Makes the package of this host's programs importable, and those of Debian that it needs: for values alone, since it is
    not read to describe a graph."""
    for path in ("/usr/local/lib/xmpp", "/usr/lib/python3/dist-packages"):
        if path not in sys.path:
            sys.path.append(path)
    # Nobody but root can write there.
    sys.dont_write_bytecode = True


def field(name, label, info="", **more):
    """One line of a graph. Further keys are munin's own: draw, type, warning, critical, min, negative, cdef."""
    return {"name": name, "label": label, "info": info or label, "min": 0, **more}


def config(graph, fields):
    """Returns the lines that describe a graph. The names of its fields are in their order."""
    lines = [f"graph_{key} {graph[key]}" for key in ("title", "args", "vlabel", "info", "category") if key in graph]
    lines.append(f"graph_scale {'yes' if graph.get('scale') else 'no'}")
    lines.append("graph_order " + " ".join(item["name"] for item in fields))
    for item in fields:
        lines += [f"{item['name']}.{key} {value}" for key, value in item.items() if key != "name" and value is not None]
    return lines


def shown(value):
    if value is None:
        return "U"
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def said(error):
    return str(error) if isinstance(error, Unknown) else repr(error)


def answer(program, graph, command, environment):
    """Returns the lines of one graph, or None where there is nothing to say; the reason is in the node's log."""
    try:
        fields = graph["fields"](environment)
    except (Unknown, OSError, ValueError, KeyError) as error:
        print(f"{program}: {said(error)}", file=sys.stderr)
        return None
    if command == "config":
        return config(graph, fields)
    values = {}
    try:
        values = graph["values"](environment)
    except (Unknown, OSError, ValueError, KeyError, TypeError) as error:
        print(f"{program}: {said(error)}", file=sys.stderr)
    return [f"{item['name']}.value {shown(values.get(item['name']))}" for item in fields]


def each(graphs, arguments, environment, ask):
    """Answers munin for the graph of the program's name, or, by the name of the family alone, for those of env.graphs: then
    one process speaks for all of them (multigraph)."""
    program, *rest = arguments
    command = rest[0] if rest else "fetch"
    family, _, name = os.path.basename(program).partition("_")
    names = [name] if name else environment.get("graphs", " ".join(graphs)).split()
    done = 1
    for graph in names:
        if graph not in graphs:
            print(
                f"{program}: {graph!r} is no graph; link this plugin as {family}_ with one of {', '.join(graphs)}",
                file=sys.stderr,
            )
            return 1
        if (lines := ask(graph, command)) is not None:
            print("\n".join(lines if name else [f"multigraph {family}_{graph}", *lines]))
            done = 0
    return done


def run(graphs, arguments, environment=os.environ):
    """Answers munin: graphs are a name to its description, with fields(), and values() as functions of the environment."""
    if arguments[1:] == ["autoconf"]:
        print("yes")
        return 0
    if arguments[1:] == ["suggest"]:
        print("\n".join(graphs))
        return 0
    return each(
        graphs, arguments, environment, lambda name, command: answer(arguments[0], graphs[name], command, environment)
    )
