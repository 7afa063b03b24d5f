# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What strangers send neither fills the journal nor forges an entry of it. (For coturn, see test_turn.py.)"""

from __future__ import annotations

import json
import shlex

import pytest
from conftest import ADDRESS, DOMAIN

FORGED = "The-house-is-on-fire"
# Sends what a daemon may log, as fast as it goes, within bounds of number and time.
FLOOD = """
import json, socket, struct, sys, time
job = json.load(sys.stdin)
evil = f"a\\n<0>{job['forged']}\\n<3>sshd[1]: {job['forged']}"
end, sent = time.monotonic() + job["seconds"], 0
def question(label):
    data = bytes([len(label)]) + label + b"\\x04evil\\x07invalid\\0"
    return struct.pack("!HHHHHH", sent & 65535, 0x0100, 1, 0, 0, 0) + data + struct.pack("!HH", 1, 1)
def stream(namespace):
    return (f"<?xml version='1.0'?><stream:stream xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams'"
            f" to='{job['domain']}' from='a&#10;&lt;0&gt;{job['forged']}' version='1.0'><a>&#10;&lt;0&gt;{job['forged']}</b>").encode()
what = {"c2s": stream("jabber:client"), "s2s": stream("jabber:server"), "ssh": evil.encode() + b"\\r\\n"}
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while sent < job["most"] and time.monotonic() < end:
    sent += 1
    if job["kind"] == "dns":
        udp.sendto(question(b"\\n<0>" + job["forged"].encode()), (job["address"], job["port"]))
        if sent % 100 == 0:
            time.sleep(0.01)
        continue
    try:
        with socket.create_connection((job["address"], job["port"]), 2) as connection:
            connection.settimeout(2)
            connection.sendall(what[job["kind"]])
            while connection.recv(65536):
                pass
    except OSError:
        pass
print(sent)
"""


@pytest.mark.parametrize(
    ("kind", "port", "unit"),
    [("dns", 53, "named"), ("ssh", 22, "ssh"), ("c2s", 5222, "prosody"), ("s2s", 5269, "prosody")],
)
def test_a_flood_does_not_fill_the_journal(internet, rosewood, kind, port, unit):
    rosewood.out("journalctl --sync")
    cursor = rosewood.out("journalctl --lines 0 --show-cursor --quiet").rpartition(" ")[2]
    job = {
        "kind": kind,
        "address": ADDRESS,
        "port": port,
        "domain": DOMAIN,
        "forged": FORGED,
        "seconds": 4,
        "most": 10000,
    }
    try:
        sent = internet.out(f"python3 -c {shlex.quote(FLOOD)}", stdin=json.dumps(job))
    finally:
        # The tests after this one come from the same address.
        rosewood.out(
            "for set in $(nft list sets inet | grep -oE '[a-z]+_(over|rate)_v4'); do nft flush set inet filter $set; done"
        )
    rosewood.out("journalctl --sync")
    size = int(rosewood.out(f"journalctl --output=export --after-cursor='{cursor}' | wc -c"))
    lines = rosewood.out(f"journalctl --output=json --no-pager --after-cursor='{cursor}'").splitlines()
    entries = [json.loads(line) for line in lines]
    mine = [entry for entry in entries if entry.get("_SYSTEMD_UNIT") == f"{unit}.service"]
    print(f"{kind}: {sent} sent, {len(mine)} entries of {unit}, {size / 1000:.0f} kB in the journal")
    assert size < 1_000_000
    for entry in entries:
        message = entry["MESSAGE"]
        text = message if isinstance(message, str) else bytes(message).decode(errors="replace")
        if FORGED in text:
            assert int(entry["PRIORITY"]) >= 3
            assert entry["SYSLOG_IDENTIFIER"] in (unit, "sshd", "sshd-session")
            assert not text.startswith((FORGED, "<0>", "sshd[1]"))
