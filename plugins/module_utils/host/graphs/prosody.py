# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Graphs of a Prosody server: prosody_c2s, prosody_s2s, prosody_stanzas, prosody_accounts, prosody_memory, prosody_disk and
prosody_uptime.

It reads the numbers that Prosody's module host_counters writes, and needs no right but to read that file; for prosody_disk it
has to be Prosody's user. The environment, from plugin-conf.d:

  counters  the file (default /run/prosody/host_counters)
  max_age   seconds after which its numbers are not believed, because Prosody no longer runs (default 60)
  data      Prosody's folder (default /var/lib/prosody)
  database  the name of its PostgreSQL database, where it has one
"""

from __future__ import annotations

import os
import time

from .munin import ARGS, Family, Field, Graph, NoAnswer, Unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .munin import Environment, Values

COUNTERS = "/run/prosody/host_counters"
DATA = "/var/lib/prosody"


def read_counters(text: str, now: float, max_age: int) -> dict[str, int | str]:
    """Return the numbers of the file by their names, and none when they are too old to be believed.

    Raises ValueError and KeyError.
    """
    counters = {}
    for line in text.splitlines():
        name, _, number = line.partition(" ")
        counters[name] = int(number)
    # A clock that was set back makes them seem to come from the future.
    if not -max_age <= now - counters["time"] <= max_age:
        return {}
    return {**counters, "uptime": str(round((counters["time"] - counters["start"]) / 86400, 3))}


def counted(environment: Environment) -> Values:
    """Return what Prosody counts, and nothing where it does not run. Raises NoAnswer."""
    path = environment.get("counters", COUNTERS)
    try:
        with open(path, encoding="ascii") as stream:
            return read_counters(stream.read(), time.time(), int(environment.get("max_age", "60")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError) as error:
        raise NoAnswer(f"{path}: {error!r} while reading the counters") from error


def database_size(name: str) -> int | None:
    """Return the size of a PostgreSQL database, or None where it cannot be asked. Raises Unknown."""
    from .. import commands

    try:
        done = commands.attempt(
            ["psql", "--no-psqlrc", "-Atc", "select pg_database_size(current_database())", name], seconds=30
        )
    except commands.CommandError as error:
        raise Unknown(str(error)) from error
    return int(done.stdout) if done.status == 0 else None


def on_the_disk(environment: Environment) -> Values:
    """Return how much Prosody keeps in its folder and its database."""
    uploads = files = 0
    for place, _folders, names in os.walk(environment.get("data", DATA)):
        for name in names:
            try:
                size = os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue  # It has just expired.
            if name.startswith("prosody.sqlite"):
                files += size
            elif "/http_file_share" in place:
                uploads += size
    database = database_size(environment["database"]) if "database" in environment else files
    return {"database": database, "uploads": uploads}


def autoconf(environment: Environment) -> str:
    path = environment.get("counters", COUNTERS)
    return "yes" if os.access(path, os.R_OK) else f"no ({path} is not there; load host_counters in Prosody)"


def graph(
    title: str,
    vlabel: str,
    info: str,
    *fields: Field,
    args: str = ARGS,
    scale: bool = False,
    values: Callable[[Environment], Values] = counted,
) -> Graph:
    return Graph(
        title=title,
        args=args,
        vlabel=vlabel,
        info=info,
        category="chat",
        scale=scale,
        fields=lambda _: fields,
        values=values,
    )


def both_ways(name: str, label: str, info: str) -> tuple[Field, Field]:
    """Return the fields of what comes in, drawn below the line, and of what goes out."""
    # A restart sets the counters to 0: DERIVE with a minimum leaves a gap there, COUNTER would show a spike.
    return (
        Field(f"{name}_in", label, info, type="DERIVE", graph="no"),
        Field(f"{name}_out", label, info, type="DERIVE", negative=f"{name}_in"),
    )


FAMILY = Family(
    {
        "c2s": graph(
            "XMPP clients",
            "sessions",
            "Sessions of logged-in clients, by the way they are connected.",
            Field("c2s_tls", "encrypted stream", "Over TCP with TLS, by STARTTLS or direct.", draw="AREASTACK"),
            Field("c2s_websocket", "WebSocket", "Over WebSocket (RFC 7395).", draw="AREASTACK"),
            Field("c2s_bosh", "BOSH", "Over HTTP (XEP-0206).", draw="AREASTACK"),
            Field(
                "c2s_hibernating",
                "away for a moment",
                "The connection is lost, and the session waits for it to come back (XEP-0198).",
                draw="AREASTACK",
            ),
            Field(
                "c2s_unencrypted",
                "not encrypted",
                "Over TCP without TLS. This server allows none.",
                draw="AREASTACK",
                critical="0:0",
            ),
        ),
        "s2s": graph(
            "XMPP servers",
            "connections",
            "Connections with other servers.",
            Field("s2s_in", "incoming", "Authenticated, opened by the other server.", draw="LINE1"),
            Field("s2s_out", "outgoing", "Authenticated, opened by this server.", draw="LINE1"),
            Field(
                "s2s_connecting",
                "not yet authenticated",
                "On the way to one of these, or to be refused.",
                draw="LINE1",
            ),
        ),
        "stanzas": graph(
            "XMPP stanzas",
            "received (-) / sent (+) per ${graph_period}",
            "Stanzas that came from and went to clients, servers and components.",
            *both_ways("message", "messages", "Messages, chat states and receipts."),
            *both_ways("presence", "presence", "Who is there and who is not."),
            *both_ways("iq", "queries", "Queries and their answers (iq)."),
            args="--base 1000",
        ),
        "accounts": graph(
            "XMPP accounts",
            "accounts",
            "Accounts of all domains.",
            Field("accounts", "accounts", "All that there are, those that wait for approval, too.", draw="AREA"),
        ),
        "memory": graph(
            "XMPP server's memory",
            "bytes",
            "What Prosody occupies of the machine's memory.",
            Field("memory", "resident", "The resident set of Prosody's process.", draw="AREA"),
            args="--base 1024 --lower-limit 0",
            scale=True,
        ),
        "disk": graph(
            "XMPP data",
            "bytes",
            "What Prosody keeps on the disk.",
            Field(
                "database",
                "archive and accounts",
                "The database, with messages, rosters and all the rest.",
                draw="AREASTACK",
            ),
            Field("uploads", "uploads", "Files of XEP-0363, until they expire.", draw="AREASTACK"),
            args="--base 1024 --lower-limit 0",
            scale=True,
            values=on_the_disk,
        ),
        "uptime": graph(
            "XMPP server uptime",
            "days",
            "How long Prosody has been running.",
            Field("uptime", "uptime", "Days since Prosody started.", draw="AREA"),
        ),
    },
    autoconf,
)
