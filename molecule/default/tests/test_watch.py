# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No packet has left for anywhere but the lab, from the first run on. The last of the tests, by its name."""

from __future__ import annotations

import json


def counters(internet):
    items = json.loads(internet.out("nft --json list table inet watch"))["nftables"]
    strangers = [s["set"].get("elem", []) for s in items if "set" in s]
    return {c["counter"]["name"]: c["counter"]["packets"] for c in items if "counter" in c}, strangers


def test_no_packet_has_left(internet, rosewood):
    for host in (rosewood, internet):
        host.run("python3 -c \"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))\"")
    count, strangers = counters(internet)
    print(count, strangers)
    # The control: both hosts have a way out, and what takes it is counted.
    assert count["internet_probe"] > 0
    assert count["others_probe"] > 0
    assert count["internet_lab"] > 0
    assert count["others_lab"] > 0
    assert (count["internet_outside"], count["others_outside"]) == (0, 0), strangers
