# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL's data moves from one version to the next, and a kill at any moment loses nothing.

All programs on the host look for their data at one port. The old cluster has it until the copy has ended and was compared
with the original, so a new cluster at another port is empty or half of a copy, and is made anew.
"""

from __future__ import annotations

import os
import shutil

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import files
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import (
    CommandError,
    as_user,
    attempt,
    run,
)

# The one cluster that Debian's package makes, and its port.
NAME = "main"
PORT = "5432"
CONFIGURATION = "/etc/postgresql"
DATA = "/var/lib/postgresql"
PROGRAMS = "/usr/lib/postgresql"
# pg_upgradecluster runs in a unit of its own: with it ends everything that it has started, whatever was killed.
UNIT = "xmpp-upgrade-postgresql.service"

# All relations of a database, with the rows of each table and the state of each sequence.
CONTENTS = """
SELECT format('%s %I.%I', CASE relkind WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index' ELSE 'table' END, nspname, relname),
    (xpath('/row/n/text()', query_to_xml(format(CASE
        WHEN relkind IN ('r', 'm') THEN 'SELECT count(*) AS n FROM %I.%I'
        WHEN relkind = 'S' THEN 'SELECT concat_ws('' '', last_value, is_called) AS n FROM %I.%I'
        ELSE 'SELECT 0 AS n' END, nspname, relname), false, true, '')))[1]
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
"""
ROLES = "SELECT 'role ' || quote_ident(rolname), NULL FROM pg_roles WHERE rolname !~ '^pg_'"
DATABASES = "SELECT datname FROM pg_database WHERE datallowconn"


class ClusterError(Exception):
    """What has kept the data from being moved."""


def parse_clusters(text: str) -> dict[tuple[str, str], dict[str, str]]:
    """Turn the output of `pg_lsclusters --no-header` into version and name → port, state and folder."""
    rows = [line.split() for line in text.splitlines()]
    return {(row[0], row[1]): {"port": row[2], "status": row[3], "data": row[5]} for row in rows if len(row) >= 6}


def clusters() -> dict[tuple[str, str], dict[str, str]]:
    if not os.path.exists("/usr/bin/pg_lsclusters"):
        return {}
    return parse_clusters(run(["pg_lsclusters", "--no-header"]))


def _known(old: str, new: str) -> dict[tuple[str, str], dict[str, str]]:
    """Return the clusters, without the new one if its configuration cannot be read: a loss of power leaves half a file."""
    try:
        return clusters()
    except CommandError as error:
        if f"{CONFIGURATION}/{new}/{NAME}/" not in str(error):
            raise
        return parse_clusters(run(["pg_lsclusters", "--no-header", old]))


def is_moved(there: dict[tuple[str, str], dict[str, str]], old: str, new: str) -> bool:
    """Tell whether the new cluster has the port, which it gets last."""
    return (new, NAME) in there and there[new, NAME]["port"] == PORT != there[old, NAME]["port"]


def standing(old: str, new: str) -> str:
    """Return where the data is, in words; nothing where no cluster is to be moved."""
    there = _known(old, new)
    if (old, NAME) not in there:
        return ""
    if is_moved(there, old, new):
        return f"PostgreSQL: version {new} has all data"
    return f"PostgreSQL: version {old} has all data; what version {new} has is removed, and copied anew"


def move(old: str, new: str) -> bool:
    """Copy the cluster's data to the new version, unless that is done; tell whether it was to be done."""
    there = _known(old, new)
    if (old, NAME) not in there or is_moved(there, old, new):
        return False
    _stop(old, new)
    _reset(old, new)
    _copy(old, new)
    _compare(old, new)
    _exchange(old, new)
    return True


def _stop(old: str, new: str) -> None:
    """End what runs, a killed run's included."""
    for unit in (UNIT, *(f"postgresql@{version}-{NAME}.service" for version in (old, new))):
        # One that is not loaded is right, too; and one that has failed since is not left for the self-test to find.
        attempt(["systemctl", "stop", unit], seconds=4000)
        attempt(["systemctl", "reset-failed", unit])
    if _known(old, new)[old, NAME]["status"].startswith("online"):
        run(["pg_ctlcluster", old, NAME, "stop"], seconds=600)


def _reset(old: str, new: str) -> None:
    """Have the old cluster as it was before any attempt, and no new one."""
    there = _known(old, new)
    if there[old, NAME]["port"] != PORT:
        run(["pg_conftool", old, NAME, "set", "port", PORT])
    # The new cluster gets the same file.
    start = f"{CONFIGURATION}/{old}/{NAME}/start.conf"
    if "manual" in files.read_text(start).split():
        status = os.stat(start)
        files.replace(start, "auto\n", user=status.st_uid, group=status.st_gid)
    # Not every kill has left a whole cluster. Above all, pg_upgradecluster copies the old configuration before it changes
    # the folder of data there: in between, to remove the new cluster would be to remove the old one's data.
    if (new, NAME) in there:
        data = there[new, NAME]["data"]
        if files.read_text(f"{data}/PG_VERSION").strip() == new:
            run(["pg_dropcluster", "--stop", new, NAME], seconds=600)
    # Data without a configuration would be taken for a whole cluster.
    for top in (CONFIGURATION, DATA):
        if os.path.lexists(f"{top}/{new}/{NAME}"):
            shutil.rmtree(f"{top}/{new}/{NAME}")


def _copy(old: str, new: str) -> None:
    """The data is dumped into a new cluster, so that its indexes fit the new C library, too."""
    unit = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--unit={UNIT}", "--setenv=LC_ALL=C.UTF-8"]
    # PostgreSQL's servers end at once, and in order.
    unit += ["--property=KillSignal=SIGINT", "--property=TimeoutStopSec=600"]
    # Role postgresql starts it, whose unit forbids the network that its configuration still asks for.
    done = attempt(
        [*unit, "pg_upgradecluster", "--keep-port", "--no-start", "-v", new, old, NAME], seconds=None, cwd="/"
    )
    if done.status:
        raise ClusterError(done.said or f"it ended with {done.status}")


def _compare(old: str, new: str) -> None:
    """Compare the copy with the original: pg_upgradecluster does not see whether pg_restore has come to its end."""
    try:
        found = [_contents(version) for version in (old, new)]
    finally:
        for version in (old, new):
            attempt(["pg_ctlcluster", version, NAME, "stop"], seconds=600)
    if missing := differences(*found):
        raise ClusterError(
            f"the copy in version {new} is not whole: {'; '.join(missing)}. "
            f"Version {old} still has all data; see /var/log/postgresql and what journalctl -k says of memory"
        )


def _contents(version: str) -> dict[str, str]:
    """Start a cluster, to which nobody can write, and return what is in it."""
    data = clusters()[version, NAME]["data"]
    options = f"-c config_file={CONFIGURATION}/{version}/{NAME}/postgresql.conf -c default_transaction_read_only=on"
    log = f"/var/log/postgresql/postgresql-{version}-{NAME}.log"
    start = [f"{PROGRAMS}/{version}/bin/pg_ctl", "start", "--silent", "--wait", "--timeout=600", "-D", data, "-l", log]
    run(as_user("postgres", "postgres", *start, "-o", options), seconds=700, cwd="/")

    def ask(database: str, query: str) -> list[str]:
        words = ("psql", "--cluster", f"{version}/{NAME}", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet")
        asked = as_user(
            "postgres", "postgres", *words, "--field-separator=\t", "--dbname", database, "--command", query
        )
        return [line for line in run(asked, seconds=None, cwd="/").splitlines() if line]

    found = dict(line.split("\t", 1) for line in ask("template1", ROLES))
    for database in ask("template1", DATABASES):
        found[f"database {database}"] = ""
        rows = [line.split("\t", 1) for line in ask(database, CONTENTS)]
        found |= {f"{database}: {name}": value for name, value in rows}
    return found


def differences(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Return what the copy lacks or has otherwise, the first few."""
    found = []
    for name, value in sorted(old.items()):
        if name not in new:
            found.append(f"{name} is missing")
        elif new[name] != value:
            found.append(f"{name} has {new[name]}, and had {value}")
    return found[:5] + ([f"and {len(found) - 5} more"] if len(found) > 5 else [])


def _exchange(old: str, new: str) -> None:
    """The new cluster gets the port, last of all: then the move is done."""
    os.sync()
    run(["pg_conftool", old, NAME, "set", "port", clusters()[new, NAME]["port"]])
    # Role postgresql has enabled it, which counts more than its start.conf.
    run(["systemctl", "disable", f"postgresql@{old}-{NAME}.service"])
    run(["pg_conftool", new, NAME, "set", "port", PORT])
    run(["systemctl", "daemon-reload"])
    os.sync()
