# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Graphs of a web server: nginx_requests and nginx_statuses.

nginx writes a line for each request, a class of paths and the status, and nothing of who asked. The environment, from
plugin-conf.d:

  log  the file (default /var/log/nginx/classes.log)
"""

from __future__ import annotations

import os

from .munin import Family, Field, Graph, keep, kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .munin import Environment, Values

LOG = "/var/log/nginx/classes.log"
CLASSES = {
    "bosh": "BOSH",
    "websocket": "WebSocket",
    "upload": "uploads and downloads",
    "register": "registration",
    "well_known": "host-meta and the like",
    "munin": "graphs",
    "other": "other",
}
STATUSES = {"2": "2xx, done", "3": "3xx, elsewhere", "4": "4xx, the client's fault", "5": "5xx, the server's fault"}


def count(environment: Environment, name: str) -> Mapping[str, int]:
    """Return how often each class and each status was there; what was read is not read again.

    What was read is kept under the name of a graph: each of the two counts for itself.
    """
    state = kept(environment, name) or {"inode": 0, "offset": 0, "totals": {}}
    totals: dict[str, int] = state["totals"]
    with open(environment.get("log", LOG), "rb") as stream:
        about = os.fstat(stream.fileno())
        if (about.st_ino, about.st_size >= state["offset"]) != (state["inode"], True):
            state["offset"] = 0
        stream.seek(state["offset"])
        for line in stream:
            if not line.endswith(b"\n"):
                break
            state["offset"] += len(line)
            kind, _, status = line.decode("ascii", "replace").strip().partition(" ")
            for key in (kind, status[:1]):
                totals[key] = totals.get(key, 0) + 1
    state["inode"] = about.st_ino
    keep(environment, name, state)
    return totals


def requests(environment: Environment) -> Values:
    totals = count(environment, "nginx_requests")
    return {name: totals.get(name, 0) for name in CLASSES}


def statuses(environment: Environment) -> Values:
    totals = count(environment, "nginx_statuses")
    return {f"status{first}": totals.get(first, 0) for first in STATUSES}


FAMILY = Family(
    {
        "requests": Graph(
            title="Web requests",
            vlabel="requests per ${graph_period}",
            info="What is asked of the web server. A WebSocket counts when it ends.",
            category="webserver",
            fields=lambda _: [Field(name, label, type="DERIVE", draw="AREASTACK") for name, label in CLASSES.items()],
            values=requests,
        ),
        "statuses": Graph(
            title="Web answers",
            vlabel="answers per ${graph_period}",
            info="How the web server answers.",
            category="webserver",
            fields=lambda _: [
                Field(f"status{first}", label, type="DERIVE", warning="0:1" if first == "5" else None)
                for first, label in STATUSES.items()
            ],
            values=statuses,
        ),
    }
)
