# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What listens, and what can be reached, is what was promised."""

from __future__ import annotations

import pytest
from conftest import HOSTNAME, HOSTS

PROMISED = {22, 53, 80, 443, 3478, 5000, 5222, 5223, 5269, 5270, 5349}
# On the loopback address: DNS, its control channel and its counters, munin's node, Prosody's HTTP; NTP's control channel.
INSIDE = {("tcp", 53), ("udp", 53), ("tcp", 953), ("tcp", 8053), ("tcp", 4949), ("tcp", 5280), ("udp", 323)}
# All below 1024, and those of databases, caches, Prosody's other services and what people run.
KNOCK = [
    *range(1, 1025),
    1433,
    3306,
    3478,
    4949,
    5000,
    5222,
    5223,
    5269,
    5270,
    5280,
    5281,
    5347,
    5349,
    5432,
    5582,
    6379,
    8000,
    8080,
    8443,
    9090,
    11211,
    27017,
]


def test_listening_sockets(rosewood):
    public, inside = set(), set()
    for line in rosewood.out("ss --no-header --tcp --udp --listening --numeric --processes").splitlines():
        protocol, _, _, _, address = line.split()[:5]
        host, _, port = address.rpartition(":")
        # A call that is relayed now.
        if protocol == "udp" and int(port) >= 49152 and '"turnserver"' in line:
            continue
        (inside if host.startswith("127.") or host == "[::1]" else public).add((protocol, int(port)))
    print(f"public: {sorted(public)}; loopback: {sorted(inside)}")
    assert public == {("tcp", port) for port in PROMISED} | {("udp", 53), ("udp", 3478)}
    # Among them no database.
    assert inside <= INSIDE
    assert ("tcp", 5280) in inside


@pytest.mark.parametrize("address", HOSTS[HOSTNAME]["xmpp_addresses"])
def test_port_scan(client, address):
    result = client("scan", address=address, ports=KNOCK)
    assert set(result["open"]) == PROMISED
    # The firewall drops, it does not answer.
    assert result["closed"] == []
    assert len(result["silent"]) == len(KNOCK) - len(PROMISED)


def test_firewall_hides_what_listens(rosewood, client):
    """A service that somebody starts on the host is not reachable unless the firewall was told."""
    rosewood.out(
        "systemd-run --quiet --collect --unit stray python3 -m http.server 4950"
        " && until (exec 3<>/dev/tcp/198.51.100.20/4950) 2>/dev/null; do sleep 0.1; done"
    )
    try:
        for address in HOSTS[HOSTNAME]["xmpp_addresses"]:
            assert client("scan", address=address, ports=[4950, 5222]) == {
                "open": [5222],
                "closed": [],
                "silent": [4950],
            }
    finally:
        rosewood.out("systemctl stop stray")
