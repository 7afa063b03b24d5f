# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the move of PostgreSQL's data is cut off: at moments that last until the test has seen them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from conftest import NAME, end, started
from hosts import LAB, Host, until

# As long as it is there, version 17 does not come to the end of copying table `gate`, which is before the archive.
GATE = "/srv/gate"
# A table with a row of its own, in Prosody's database.
TABLE = f"""
CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
    WHILE current_setting('server_version_num')::int >= 170000 AND (pg_stat_file('{GATE}', true)).size IS NOT NULL
    LOOP PERFORM pg_sleep(0.1); END LOOP;
    RETURN true;
END $$;
CREATE TABLE prosody_gate (note text CHECK (gate()));
ALTER TABLE prosody_gate OWNER TO prosody;
INSERT INTO prosody_gate VALUES ('before the upgrade');
"""
COPYING = "SELECT 1 FROM pg_stat_activity WHERE query ILIKE 'COPY%gate%' AND wait_event = 'PgSleep'"

# What runs of the move is dead at once, as soon as initdb has written the first file, when no configuration names it yet.
KILL_INITDB = """
until grep -q '"packages"' /var/lib/xmpp-upgrade/state.json; do sleep 0.2; done
data=/var/lib/postgresql/17/main/PG_VERSION configuration=/etc/postgresql/17/main/postgresql.conf
while [ -e $data ]; do sleep 0.1; done
until [ -e $data ] && [ ! -e $configuration ]; do :; done
kill -KILL $(pgrep -f '[p]g_(upgrade|create)cluster|[i]nitdb'; pgrep -x postgres)
[ -e $data ] && [ ! -e $configuration ] && ls -A /var/lib/postgresql/17/main
"""

REACHED = "/run/reached"
# Does its work first. What it runs for is where it waits.
WRAPPER = f"""#!/bin/sh
%s.real "$@" || exit
case "$*" in
%s) touch {REACHED}; while :; do sleep 60; done ;;
esac
"""


def psql(host: Host, query: str, version: int = 15, database: str = "prosody") -> str:
    """Ask a cluster by its own socket, wherever its port is."""
    words = f"psql --cluster {version}/main --no-psqlrc -v ON_ERROR_STOP=1 -qAt {database}"
    return host.out(f"setpriv --reuid=postgres --regid=postgres --init-groups {words}", stdin=query)


def clusters(host: Host) -> str:
    """Show where they are, in a test's output."""
    found = host.out("pg_lsclusters --no-header")
    print(found)
    return found


@contextlib.contextmanager
def waiting(host: Host, program: str, arguments: str) -> Iterator[str]:
    """Have a program wait after a call whose arguments fit a pattern of the shell; give the command that sees it wait."""
    divert = f"dpkg-divert --quiet --local --rename --divert {program}.real"
    host.out(f"{divert} --add {program}")
    host.out(f"{{ cat > {program} && chmod 755 {program}; }}", stdin=WRAPPER % (program, arguments.replace(" ", "?")))
    try:
        yield f"test -e {REACHED}"
    finally:
        host.out(f"rm {program} && {divert} --remove {program}")


def lose_power(host: Host, log: Path, reached: str) -> None:
    """Run the playbook until a moment is there, then all that runs on the host is gone, and it boots."""
    run = started(log)
    until(lambda: run.poll() is not None or host.run(reached).rc == 0, 300)
    assert run.poll() is None, log.read_text()[-3000:]
    container = f"{os.environ['MOLECULE_SCENARIO_NAME']}-{NAME}"
    subprocess.run([LAB, "podman", "kill", "--signal", "KILL", container], check=True, capture_output=True)
    end(run)
    subprocess.run([LAB, "podman", "wait", container], check=True, capture_output=True)
    subprocess.run([LAB, "start", container], check=True)
    clusters(host)
