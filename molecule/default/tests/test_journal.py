# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What strangers send neither fills the journal nor forges an entry of it. (For coturn, see test_turn.py.)"""

from __future__ import annotations

import collections
import json
import shlex
import time

import pytest
from conftest import DOMAIN
from hosts import Journal

FORGED = "The-house-is-on-fire"
# Sends what a daemon may log, as fast as it goes, within bounds of number and time.
FLOOD = """
import concurrent.futures, json, socket, struct, sys, time
job = json.load(sys.stdin)
evil = f"a\\n<0>{job['forged']}\\n<3>sshd[1]: {job['forged']}"
end = time.monotonic() + job["seconds"]
def name(*labels):
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\\0"
def update(number):
    # RFC 2136: to delete a name, in a zone of the host. It is refused, with a line for each.
    zone = name(*job["domain"].encode().split(b"."))
    return (struct.pack("!HHHHHH", number & 65535, 5 << 11, 1, 0, 1, 0) + zone + struct.pack("!HH", 6, 1)
            + name(b"\\n<0>" + job["forged"].encode()) [:-1] + zone + struct.pack("!HHIH", 255, 255, 0, 0))
def stream(namespace):
    return (f"<?xml version='1.0'?><stream:stream xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams'"
            f" to='{job['domain']}' from='a&#10;&lt;0&gt;{job['forged']}' version='1.0'><a>&#10;&lt;0&gt;{job['forged']}</b>").encode()
what = {"c2s": stream("jabber:client"), "s2s": stream("jabber:server"), "ssh": evil.encode() + b"\\r\\n"}
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect(("127.0.0.1", job["port"]))
def one(number):
    # A busy host takes longer for the least.
    if number >= job["least"] and time.monotonic() > end:
        return False
    if job["kind"] == "dns":
        udp.send(update(number))
        time.sleep(0.001)
        return True
    try:
        with socket.create_connection(("127.0.0.1", job["port"]), 2) as connection:
            connection.settimeout(2)
            connection.sendall(what[job["kind"]])
            while connection.recv(65536):
                pass
    except OSError:
        pass
    return True
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(one, range(job["most"]))))
"""


@pytest.fixture(scope="module")
def limits(rosewood):
    """What comes after these tests gets into the journal again."""
    yield
    rosewood.out("systemctl reset-failed systemd-journald; systemctl restart systemd-journald")


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize(
    ("kind", "port", "unit"),
    [("dns", 53, "named"), ("ssh", 22, "ssh"), ("c2s", 5222, "prosody"), ("s2s", 5269, "prosody")],
)
def test_a_flood_does_not_fill_the_journal(rosewood, kind, port, unit):
    """It comes by the loopback, where no firewall limits it: the daemon's own unit does."""
    journal, began = Journal(rosewood), time.monotonic()
    job = {"kind": kind, "port": port, "domain": DOMAIN, "forged": FORGED, "seconds": 4, "least": 400, "most": 4000}
    sent = int(rosewood.out(f"python3 -c {shlex.quote(FLOOD)}", stdin=json.dumps(job)))
    size, entries = journal.size(), journal.entries()
    mine = [entry for entry in entries if entry.get("_SYSTEMD_UNIT") == f"{unit}.service"]
    print(f"{kind}: {sent} sent, {len(mine)} entries of {unit}, {size / 1000:.0f} kB in the journal")
    assert sent > 300
    # journald counts priorities apart, 100 in 30 seconds, by up to seven where the disk is empty. The first and the
    # last of these times may have begun before the flood, and end after it; a busy host takes longer.
    times = 2 + int(time.monotonic() - began) // 30
    for priority, number in collections.Counter(entry["PRIORITY"] for entry in mine).items():
        assert number <= 700 * times, f"priority {priority}"
    assert size < 1_000_000
    for entry in entries:
        text = entry["MESSAGE"]
        if FORGED in text:
            assert int(entry["PRIORITY"]) >= 3
            assert entry["SYSLOG_IDENTIFIER"] in (unit, "sshd", "sshd-session")
            assert not text.startswith((FORGED, "<0>", "sshd[1]"))
