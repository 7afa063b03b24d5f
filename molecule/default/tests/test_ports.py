# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What listens, and what can be reached, is what was promised."""

from __future__ import annotations

import time

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


def listening(host) -> tuple[set, set]:
    """Protocol and port of all that listens, at public addresses and at those of loopback."""
    public, inside = set(), set()
    for line in host.out("ss --no-header --tcp --udp --listening --numeric --processes").splitlines():
        protocol, _, _, _, address = line.split()[:5]
        place, _, port = address.rpartition(":")
        # A call that is relayed now.
        if protocol == "udp" and int(port) >= 49152 and '"turnserver"' in line:
            continue
        (inside if place.startswith("127.") or place == "[::1]" else public).add((protocol, int(port)))
    return public, inside


def test_listening_sockets(rosewood):
    expected = {("tcp", port) for port in PROMISED} | {("udp", 53), ("udp", 3478)}
    deadline = time.monotonic() + 60
    public, inside = listening(rosewood)
    # A question to the DNS has a socket of its own until it is answered.
    while public - expected and time.monotonic() < deadline:
        time.sleep(0.5)
        again, inside = listening(rosewood)
        public &= again | expected
    print(f"public: {sorted(public)}; loopback: {sorted(inside)}")
    assert public == expected
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


def test_the_self_test_sees_rules_that_the_next_boot_would_refuse(rosewood):
    def found() -> list[str]:
        return [line for line in rosewood.run("xmpp-status").stdout.splitlines() if " firewall " in line]

    rosewood.out(
        "cp /etc/nftables.conf /run/nftables.conf && echo 'meta skuid nobody_here accept' >> /etc/nftables.conf"
    )
    try:
        (line,) = found()
        print(line)
        assert line.startswith("FAILS") and "after the next boot only the rules of /etc/nftables-minimal.conf" in line
    finally:
        rosewood.out("cp /run/nftables.conf /etc/nftables.conf")
    (line,) = found()
    assert line.startswith("ok ")


SETTINGS = {
    "ipv4": {
        **dict.fromkeys(("accept_redirects", "secure_redirects", "send_redirects", "accept_source_route"), "0"),
        **{"rp_filter": "2", "log_martians": "1"},
    },
    "ipv6": {"accept_redirects": "0", "accept_source_route": "0"},
}
SYSCTL = "/usr/lib/systemd/systemd-sysctl"


def test_kernel_settings_reach_every_interface(rosewood):
    """By effect, on those that are there and on one that comes later, also when they bring values of their own."""

    def found() -> dict[str, str]:
        names = "|".join(sorted({name for keys in SETTINGS.values() for name in keys}))
        lines = rosewood.out(f"grep -EH . $(find /proc/sys/net/ipv[46]/conf/*/ | grep -E '/({names})$')").splitlines()
        return dict(line.removeprefix("/proc/sys/net/").split(":") for line in lines)

    def wrong(interface: str = "") -> dict[str, str]:
        values = {path: value for path, value in found().items() if interface in path.split("/")[2]}
        assert values
        return {path: value for path, value in values.items() if value != SETTINGS[path[:4]][path.rpartition("/")[2]]}

    def spoil(interface: str) -> None:
        for family, keys in SETTINGS.items():
            for key, value in keys.items():
                rosewood.out(f"echo {1 if value == '0' else 0} > /proc/sys/net/{family}/conf/{interface}/{key}")

    print(f"{len(found())} settings of {len({path.split('/')[2] for path in found()})} interfaces")
    assert wrong() == {}
    spoil("eth0")
    assert wrong("eth0")
    # As at boot.
    rosewood.out("systemctl restart systemd-sysctl.service")
    assert wrong() == {}
    rosewood.out("ip link add later.5 type veth peer name later.6")
    try:
        assert wrong("later.5") == {}
        spoil("later.5")
        # As udev does for each interface that comes (99-systemd.rules).
        rosewood.out(f"{SYSCTL} --prefix=/net/ipv4/conf/later.5 --prefix=/net/ipv6/conf/later.5")
        assert wrong("later.5") == {}
    finally:
        rosewood.out("ip link delete later.5")
