# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose public address is not its own: coturn relays from its own one, and tells clients the public one."""

from __future__ import annotations

import json

from conftest import ADDRESS, DOMAIN, HOSTNAME, HOSTS, INVENTORY
from hosts import apply

PUBLIC, PEER = "203.0.113.20", HOSTS["internet.test"]["ansible_host"]


def test_coturn_tells_the_public_address(rosewood, internet):
    before = rosewood.out("cat /etc/turnserver.conf")
    try:
        done = apply(["turn"], HOSTNAME, inventory=INVENTORY, xmpp_addresses=[PUBLIC])
        assert done.returncode == 0, done.stdout[-3000:]
        lines = rosewood.out("grep -E '^(listening-ip|relay-ip|external-ip)=' /etc/turnserver.conf").splitlines()
        assert lines == [f"listening-ip={ADDRESS}", f"relay-ip={ADDRESS}", f"external-ip={PUBLIC}/{ADDRESS}"]
        job = {"do": "relay", "peer": PEER, "address": ADDRESS, "host": DOMAIN, "port": 3478, "transport": "udp"}
        script = (
            "import base64, hmac, json, time; secret = open('/etc/xmpp/turn.secret', 'rb').read().strip(); "
            "user = f'{int(time.time()) + 60}:nat'; digest = hmac.digest(secret, user.encode(), 'sha1'); "
            "print(json.dumps({'username': user, 'password': base64.b64encode(digest).decode()}))"
        )
        job |= json.loads(rosewood.out(f'python3 -c "{script}"'))
        said = json.loads(internet.out("python3 /usr/local/lib/world/turn_client.py", stdin=json.dumps(job)))
        print(said)
        # The lab translates no addresses: the peer sees the host's own one, and what it answers arrives.
        assert said["relayed"][0] == PUBLIC and said["relayed"][1] >= 49152 and said["back"] is True
    finally:
        done = apply(["turn"], HOSTNAME, inventory=INVENTORY)
    assert done.returncode == 0, done.stdout[-3000:]
    assert rosewood.out("cat /etc/turnserver.conf") == before
