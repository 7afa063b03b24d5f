# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plugins of a munin node, which are links in one directory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import named

LINKS = "/etc/munin/plugins/"
DEBIAN = "/usr/share/munin/plugins/"
PICTURES = "/var/cache/munin/www/embed/"
OURS = "/usr/local/lib/munin/plugins/"
# Our own plugins, each one program for its graphs.
GRAPHS = {
    "prosody_": ("c2s", "s2s", "stanzas", "accounts", "memory", "disk", "uptime"),
    "bind_": ("queries", "answers", "keys", "signatures"),
    "nginx_": ("requests", "statuses"),
    "tls_": ("life",),
    "updates_": ("pending", "age", "window"),
    "backup_": ("age", "size"),
    "status_": ("failing", "promises"),
    "firewall_": ("accepted", "dropped", "outgoing"),
}
# A graph whose plugin has rights of its own; for all others of a family, one process answers.
ALONE = ("prosody_disk",)
PROGRAMS = {family + graph: OURS + family for family, graphs in GRAPHS.items() for graph in graphs}
# What munin-node itself takes for the name of a plugin (Munin::Node::Service).
NAME = re.compile(r"[-\w.:]+", re.ASCII)


def _names(label, value, example):
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{label}: {value!r} is not a list; write for example {example}")
    return [named(label, plugin_name, name) for name in value]


def plugin_name(name):
    """The name of a plugin, as munin-node takes it."""
    if not isinstance(name, str) or not NAME.fullmatch(name) or name.startswith("."):
        raise ValueError(
            f"{name!r} is not the name of a plugin; write letters, digits, underscores, hyphens, dots and colons, not "
            "beginning with a dot"
        )
    return str(name)


def _pictures(graphs, hostname):
    """Returns links to the pictures of a week as config_tree takes them, at addresses that do not know the host's name."""
    if not graphs:
        return {}
    host = named("hostname", checks.host_name, hostname)
    # munin's folders are the host's domain and its name.
    folder = f"../{host.partition('.')[2]}/{host}/"
    return {
        f"{PICTURES}{name}.png": {"state": "link", "target": f"{folder}{name}-week.png"}
        for name in _names("pictures", graphs, "['prosody_c2s']")
    }


def munin_links(plugins, interfaces=(), graphs=(), extra=None, pictures=(), hostname=None):
    """Returns the names of the plugins, sorted, links as config_tree takes them, and the graphs of each family."""
    targets = {name: DEBIAN + name for name in _names("plugins", plugins, "['cpu', 'load']")}
    for name in _names("interfaces", interfaces, "['eth0']"):
        targets["if_" + name] = DEBIAN + "if_"
    for graph in _names("graphs", graphs, "['prosody_c2s', 'tls_life']"):
        if graph not in PROGRAMS:
            raise ValueError(f"graphs: {graph!r} is not one of this host's graphs; {checks.nearest(graph, PROGRAMS)}")
    families: dict[str, list[str]] = {family.rstrip("_"): [] for family in GRAPHS}
    for graph in dict.fromkeys(graphs):
        family, _, name = graph.partition("_")
        if graph not in ALONE:
            families[family].append(name)
        targets[graph if graph in ALONE else family] = PROGRAMS[graph]
    extra = {} if extra is None else extra
    if not isinstance(extra, Mapping):
        raise ValueError(f"extra: {extra!r} is not a dictionary; write for example {{'ping_a': '/opt/munin/ping_'}}")
    for name, target in extra.items():
        if not isinstance(target, str) or not target.startswith("/"):
            raise ValueError(
                f"extra.{name}: {target!r} is not the path of a program; write it from the root, for example "
                "'/usr/local/lib/munin/plugins/ping_'"
            )
        targets[named("extra", plugin_name, name)] = str(target)
    names = sorted(targets)
    families = {family: its for family, its in families.items() if its}
    return {
        "names": names,
        "families": families,
        "files": {LINKS + name: {"state": "link", "target": targets[name]} for name in names}
        | _pictures(pictures, hostname),
    }
