# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may go out, and who is kept out."""

from __future__ import annotations

import json

import pytest
from conftest import HOSTS, NAME

HAZEL = HOSTS[NAME]["ansible_host"]
OUTSIDE = {4: HOSTS["mail.test"]["ansible_host"], 6: "2001:db8:100::41"}

# Where nobody listens, the other end refuses: so the packet has come there.
KNOCK = """
import errno, socket, sys
address, protocol, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as knock:
    knock.settimeout(5)
    try:
        if len(sys.argv) > 4:
            knock.bind(("", int(sys.argv[4])))
        knock.connect((address, port))
        knock.send(b"x")
        if protocol == "udp":
            knock.recv(1)
        print("open")
    except OSError as error:
        print("open" if error.errno == errno.ECONNREFUSED else type(error).__name__, error, file=sys.stderr)
        print("open" if error.errno == errno.ECONNREFUSED else "shut")
"""

# Opens connections and keeps them until its input ends; says how many came through.
OPEN = """
import json, socket, sys
job = json.loads(sys.argv[1])
kept = []
for _ in range(job["count"]):
    try:
        kept.append(socket.create_connection((job["address"], job["port"]), job["seconds"], (job["from"], 0)))
    except OSError:
        pass
print(len(kept))
"""


@pytest.fixture(scope="module", autouse=True)
def programs(hazel, sink):
    for host, name, text in ((hazel, "knock", KNOCK), (sink, "open", OPEN)):
        host.out(f"sh -c 'cat > /usr/local/lib/{name}.py'", stdin=text)


@pytest.mark.parametrize("version", OUTSIDE)
@pytest.mark.parametrize(
    ("user", "protocol", "port", "source", "way"),
    [
        ("prosody", "tcp", 5269, "", "open"),
        ("prosody", "tcp", 5270, "", "open"),
        ("prosody", "tcp", 443, "", "open"),
        ("prosody", "tcp", 53, "", "open"),
        ("prosody", "udp", 53, "", "open"),
        ("prosody", "tcp", 22, "", "shut"),
        ("prosody", "tcp", 8080, "", "shut"),
        ("prosody", "udp", 123, "", "shut"),
        ("turnserver", "udp", 40000, "50000", "open"),
        ("turnserver", "udp", 40000, "40000", "shut"),
        ("turnserver", "tcp", 5269, "", "shut"),
        ("_apt", "tcp", 443, "", "open"),
        ("_apt", "tcp", 13142, "", "open"),
        ("_apt", "tcp", 5269, "", "shut"),
        ("mail", "tcp", 587, "", "open"),
        ("www-data", "tcp", 443, "", "shut"),
        ("nobody", "tcp", 80, "", "shut"),
        ("munin", "udp", 40000, "", "shut"),
        ("root", "tcp", 8080, "", "open"),
    ],
)
def test_who_may_go_out(hazel, user, protocol, port, source, way, version):
    found = hazel.run(
        f"runuser -u {user} -- timeout 10 python3 /usr/local/lib/knock.py {OUTSIDE[version]} {protocol} {port} {source}"
    )
    print(f"{user} to {protocol} {port} by IPv{version}: {found.stdout.strip()} {found.stderr.strip()}")
    assert found.stdout.strip() == way


def counters(hazel):
    listed = json.loads(hazel.out("nft -j list counters table inet filter"))["nftables"]
    return {item["counter"]["name"]: item["counter"]["packets"] for item in listed if "counter" in item}


def test_what_was_refused_is_counted(hazel):
    before = counters(hazel)
    hazel.run(f"runuser -u nobody -- python3 /usr/local/lib/knock.py {OUTSIDE[4]} tcp 80")
    after = counters(hazel)
    assert after["egress_refused"] > before["egress_refused"]
    values = dict(
        line.split(".value ")
        for line in hazel.out("munin-run firewall").partition("multigraph firewall_outgoing\n")[2].splitlines()
    )
    print(values)
    assert int(values["refused"]) >= after["egress_refused"]


def opened(sink, port, count=1, seconds=1, source=OUTSIDE[4]):
    job = {"address": HAZEL, "port": port, "count": count, "seconds": seconds, "from": source}
    return int(sink.out(f"python3 /usr/local/lib/open.py '{json.dumps(job)}'"))


def test_one_source_has_so_many_connections_at_the_same_time(sink):
    """The inventory says 20, and that they may come at once."""
    assert opened(sink, 5222, 24) == 20
    # Those are closed now.
    assert opened(sink, 5222, 20) == 20


def test_who_connects_too_often_is_let_in_nowhere_but_by_ssh(hazel, sink):
    assert opened(sink, 5222) == 1
    came = opened(sink, 5269, 130, 0.05)
    print(f"{came} of 130 connections came through")
    assert 50 <= came < 130
    try:
        assert opened(sink, 5222) == 0
        assert opened(sink, 22) == 1
        assert counters(hazel)["drop_abuse"] > 0
    finally:
        hazel.out("nft flush set inet filter abuse_v4")
    assert opened(sink, 5222) == 1


def test_a_blocked_network(hazel, sink):
    address = "203.0.113.9"
    sink.out(f"ip address replace {address}/32 dev eth0")
    hazel.out(f"ip route replace {address} via {OUTSIDE[4]}")
    assert opened(sink, 5222, source=address) == 0
    assert opened(sink, 22, source=address) == 1
    assert counters(hazel)["drop_blocked"] > 0
