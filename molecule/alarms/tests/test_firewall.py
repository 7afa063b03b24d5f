# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may go out, and who is kept out."""

from __future__ import annotations

import contextlib
import json
import re
import shlex

import pytest
from conftest import HOSTS, NAME, SCENARIO
from hosts import apply, until

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
            knock.bind((sys.argv[5] if len(sys.argv) > 5 else "", int(sys.argv[4])))
        knock.connect((address, port))
        knock.send(b"x")
        if protocol == "udp":
            knock.recv(1)
        print("open")
    except OSError as error:
        print("open" if error.errno == errno.ECONNREFUSED else type(error).__name__, error, file=sys.stderr)
        print("open" if error.errno == errno.ECONNREFUSED else "shut")
"""

# Begins to speak with Prosody, and prints what it says.
BEGIN = """
import socket, sys
with socket.create_connection((sys.argv[1], 5222), 60) as connection:
    connection.send(b"<")
    print(connection.recv(1000))
"""

# Greets who connects, once with the first byte and once more when it is told to.
GREET = """
import os, socket, sys, time
with socket.create_server((sys.argv[1], 9999)) as server:
    open("/run/greet-listens", "w").close()
    connection = server.accept()[0]
    connection.send(b"hello")
    while not os.path.exists("/run/greet-again"):
        time.sleep(0.05)
    connection.send(b"again")
    connection.recv(1)
"""
HEAR = """
import socket, sys
with socket.create_connection((sys.argv[1], 9999), 60) as connection:
    print(connection.recv(5), connection.recv(5))
"""

# Opens connections, keeps them for a moment, and says how many were neither kept out nor reset, and how long each took. Where no
# daemon listens, the host's kernel refuses: that has come through, too.
OPEN = """
import json, select, socket, sys, threading, time
job = json.loads(sys.argv[1])
kept, seconds, refused = [], [], []
def connect():
    begun = time.monotonic()
    try:
        kept.append(socket.create_connection((job["address"], job["port"]), job["seconds"], (job["from"], 0)))
    except ConnectionRefusedError:
        refused.append(1)
    except OSError:
        return
    seconds.append(round(time.monotonic() - begun, 3))
threads = [threading.Thread(target=connect) for _ in range(job["count"])]
for thread in threads:
    thread.start()
    if not job["at_once"]:
        thread.join()
for thread in threads:
    thread.join()
def is_reset(connection):
    try:
        return bool(select.select([connection], [], [], 0)[0]) and not connection.recv(1000)
    except OSError:
        return True
time.sleep(0.5)
print(json.dumps({"open": len([1 for connection in kept if not is_reset(connection)]) + len(refused), "seconds": seconds}))
"""

# Opens connections and closes them, again and again; prints a line once it is held off, and at the end what it has counted.
SCAN = """
import json, resource, socket, sys, threading, time
job = json.loads(sys.argv[1])
counts, lock, end = {"tried": 0, "came": 0}, threading.Lock(), time.monotonic() + job["for"]
def scan():
    while time.monotonic() < end:
        with lock:
            counts["tried"] += 1
        try:
            socket.create_connection((job["address"], job["port"]), job["seconds"], (job["from"], 0)).close()
            with lock:
                counts["came"] += 1
        except OSError:
            pass
threads = [threading.Thread(target=scan) for _ in range(job["threads"])]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(counts))
"""

# Sends packets whose sender is somebody else.
FORGE = """
import json, random, socket, struct, sys
job = json.loads(sys.argv[1])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
ends = socket.inet_aton(job["from"]) + socket.inet_aton(job["address"])
def checksum(data):
    data += b"\\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
SYN, ACK = 2, 16
for number in range(job["count"]):
    port = random.randint(20000, 60000)
    if job["protocol"] == "udp":
        question = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + b"\\3nut\\4test\\0" + struct.pack("!HH", 6, 1)
        packet = struct.pack("!HHHH", port, job["port"], 8 + len(question), 0) + question
    else:
        flags = SYN if job["protocol"] == "syn" else ACK
        packet = struct.pack("!HHIIBBHHH", port, job["port"], random.getrandbits(32), 1, 5 << 4, flags, 64240, 0, 0)
        pseudo = ends + struct.pack("!BBH", 0, 6, len(packet))
        packet = packet[:16] + struct.pack("!H", checksum(pseudo + packet)) + packet[18:]
    protocol = 17 if job["protocol"] == "udp" else 6
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(packet), 0, 0, 64, protocol, 0) + ends
    raw.sendto(head + packet, (job["address"], 0))
"""

# Answers as a DHCPv6 server does that has a global address.
OFFER = """
import socket, sys
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
    server.bind(socket.getaddrinfo(sys.argv[1], 547, type=socket.SOCK_DGRAM)[0][4])
    server.sendto(b"offer", (sys.argv[2], 546, 0, socket.if_nametoindex("eth0")))
"""
LISTEN = """
import socket, sys
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
    client.bind(("::", 546))
    client.settimeout(20)
    open("/run/dhcp-listens", "w").close()
    try:
        data, source = client.recvfrom(100)
        print(data.decode(), source[0])
    except TimeoutError:
        print("nothing")
"""


@pytest.fixture(scope="module", autouse=True)
def programs(hazel, sink):
    for host, name, text in (
        (hazel, "knock", KNOCK),
        (hazel, "listen", LISTEN),
        (sink, "knock", KNOCK),
        (sink, "open", OPEN),
        (sink, "scan", SCAN),
        (sink, "forge", FORGE),
        (sink, "begin", BEGIN),
        (sink, "greet", GREET),
        (hazel, "hear", HEAR),
        (sink, "offer", OFFER),
    ):
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
        # The DNS is for those who reach something by its name, and for resolvers.
        ("_apt", "udp", 53, "", "open"),
        ("mail", "tcp", 53, "", "open"),
        ("nobody", "udp", 53, "", "shut"),
        ("munin", "tcp", 53, "", "shut"),
        ("www-data", "udp", 53, "", "shut"),
        ("turnserver", "tcp", 53, "", "shut"),
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


@contextlib.contextmanager
def forgetful(hazel):
    """The kernel's table forgets each connection after a second without a packet, as it does some after five minutes."""
    kinds = [
        f"net.netfilter.nf_conntrack_tcp_timeout_{kind}" for kind in ("established", "unacknowledged", "max_retrans")
    ]
    usual = hazel.out(f"sysctl {' '.join(kinds)}").replace(" = ", "=")
    hazel.out("sysctl --quiet --write " + " ".join(f"{kind}=1" for kind in kinds))
    try:
        yield
    finally:
        hazel.out(f"sysctl --quiet --write {' '.join(usual.splitlines())}")


def is_forgotten(hazel, port):
    """Whether a connection with the outside is open of which the table knows nothing."""
    opened = hazel.out(f"ss -Htn state established '( sport = :{port} or dport = :{port} ) and dst {OUTSIDE[4]}'")
    table = hazel.out("cat /proc/net/nf_conntrack")
    ports = [re.findall(r":(\d+)\b", line) for line in opened.splitlines()]
    return any(not re.search(f"sport={here} dport={there}|sport={there} dport={here}", table) for here, there in ports)


def in_background(host, name, *words):
    """Start one of the programs; `result` waits for its end."""
    command = shlex.join(["python3", f"/usr/local/lib/{name}.py", *words])
    host.out(f"systemd-run --quiet --collect --unit {name} sh -c {shlex.quote(f'exec {command} > /run/{name} 2>&1')}")


def result(host, name):
    return host.out(f"while systemctl --quiet is-active {name}; do sleep 0.1; done; cat /run/{name}").splitlines()[-1]


def test_what_the_host_sends_on_a_forgotten_connection_arrives(hazel, sink):
    refused = counters(hazel)["egress_refused"]
    with forgetful(hazel):
        in_background(sink, "begin", HAZEL)
        until(lambda: is_forgotten(hazel, 5222))
        hazel.out("prosodyctl shell 'c2s:closeall()'")
        came = result(sink, "begin")
    print(f"Prosody says {came}; refused were {counters(hazel)['egress_refused'] - refused} packets")
    assert "</stream:stream>" in came


def test_what_is_sent_to_the_host_on_a_forgotten_connection_arrives(hazel, sink):
    sink.out("rm -f /run/greet-*")
    in_background(sink, "greet", OUTSIDE[4])
    sink.out("until [ -e /run/greet-listens ]; do sleep 0.05; done")
    dropped = counters(hazel)["drop_rest"]
    with forgetful(hazel):
        in_background(hazel, "hear", OUTSIDE[4])
        until(lambda: is_forgotten(hazel, 9999))
        sink.out("touch /run/greet-again")
        came = result(hazel, "hear")
    print(f"{came}; dropped were {counters(hazel)['drop_rest'] - dropped} packets")
    assert came == "b'hello' b'again'"


def opened(sink, port, count=1, seconds=1.0, source=OUTSIDE[4], at_once=False):
    job = {"address": HAZEL, "port": port, "count": count, "seconds": seconds, "from": source, "at_once": at_once}
    found = json.loads(sink.out(f"python3 /usr/local/lib/open.py '{json.dumps(job)}'"))
    print(f"port {port}: {found['open']} of {count} connect, the last one after {max(found['seconds'], default=0)} s")
    return found["open"]


def asked(sink, source):
    """A question by UDP: where no daemon listens, the host's kernel says so."""
    return sink.out(f"python3 /usr/local/lib/knock.py {HAZEL} udp 53 0 {source}")


def forget(hazel):
    """Nobody is held off any more."""
    hazel.out(
        "for set in $(nft list sets inet | grep -oE '[a-z_]+_(rate|over|again|tried)_v4|tried_v4'); do"
        " nft flush set inet filter $set; done"
    )


def held_off(hazel) -> dict[str, list[str]]:
    listed = json.loads(hazel.out("nft -j list sets inet"))["nftables"]
    sets = [item["set"] for item in listed if "set" in item and "_over_v" in item["set"]["name"]]
    return {item["name"]: [str(entry) for entry in item["elem"]] for item in sets if item.get("elem")}


def test_one_source_has_so_many_connections_at_the_same_time(hazel, sink):
    """The inventory says 20, and that they may come at once."""
    assert opened(sink, 5222, 24) == 20
    # Those are closed now.
    assert opened(sink, 5222, 20) == 20


VICTIM = "198.51.100.99"


def test_forged_packets_shut_nobody_out(hazel, sink):
    """Nobody has this address, so that nothing resets what is sent in its name; then somebody gets it."""
    forget(hazel)
    before = counters(hazel)
    ports = {
        "syn": (22, 53, 80, 443, 3478, 5000, 5222, 5223, 5269, 5270, 5349),
        "ack": (22, 443, 5222, 5269),
        "udp": (53,),
    }
    for protocol, numbers in ports.items():
        for port in numbers:
            job = {"protocol": protocol, "from": VICTIM, "address": HAZEL, "port": port, "count": 1000}
            sink.out(f"python3 /usr/local/lib/forge.py '{json.dumps(job)}'")
    after = counters(hazel)
    print(f"{1000 * sum(map(len, ports.values()))} packets; held off: {held_off(hazel)}")
    assert held_off(hazel) == {}
    sink.out(f"ip address replace {VICTIM}/32 dev eth0")
    try:
        for port in (22, 443, 5222, 5269, 53):
            assert opened(sink, port, source=VICTIM, seconds=10) == 1
        assert asked(sink, VICTIM) == "open"
    finally:
        sink.out(f"ip address delete {VICTIM}/32 dev eth0")
    last = counters(hazel)
    names = [name for name in before if name.startswith("drop_") and name not in ("drop_rest", "drop_invalid")]
    assert {name: last[name] - before[name] for name in names} == dict.fromkeys(names, 0), after


def scanning(sink, port, seconds, threads, during):
    """Have somebody at the address scan a port, for so many seconds; the result is what it has counted."""
    job = {"address": HAZEL, "port": port, "seconds": seconds, "for": during, "threads": threads, "from": OUTSIDE[4]}
    in_background(sink, "scan", json.dumps(job))


def scanned(sink) -> dict:
    return json.loads(result(sink, "scan"))


HONEST = 20


@pytest.mark.parametrize(("patience", "least"), [(0.3, HONEST), (5, 1)], ids=["that goes on", "that waits"])
def test_others_behind_the_address_of_a_scanner_still_connect(hazel, sink, patience, least):
    """The rule lets one address complete 60 connections at once and one a second (see the inventory)."""
    forget(hazel)
    try:
        scanning(sink, 5269, patience, 10, 15)
        for _ in range(100):
            if "server_over_v4" in held_off(hazel):
                break
        assert list(held_off(hazel)) == ["server_over_v4"]
        came = opened(sink, 5269, HONEST, 20, at_once=True)
        others = {port: opened(sink, port) for port in (22, 443, 5222, 53)}
        assert asked(sink, OUTSIDE[4]) == "open"
        found = scanned(sink)
        print(f"{came} of {HONEST} others connect; the scanner: {found['came']} of {found['tried']}")
        assert came >= least
        assert others == dict.fromkeys(others, 1)
        assert found["came"] < found["tried"]
        assert counters(hazel)["drop_server"] > 0
    finally:
        sink.run("systemctl stop scan")
        forget(hazel)
    assert opened(sink, 5269) == 1


@pytest.mark.parametrize("source", ["2001:db8:100::41", "link-local"])
def test_a_dhcpv6_server_answers_from_any_of_its_addresses(hazel, sink, source):
    def link_local(host):
        return host.out("ip -6 -o address show dev eth0 scope link | awk '{print $4}'").partition("/")[0]

    hazel.out("rm -f /run/dhcp-listens")
    in_background(hazel, "listen")
    hazel.out("until [ -e /run/dhcp-listens ]; do sleep 0.05; done")
    own = f"{link_local(sink)}%eth0" if source == "link-local" else source
    sink.out(f"python3 /usr/local/lib/offer.py {own} {link_local(hazel)}")
    heard = result(hazel, "listen")
    print(f"from {own}: {heard}")
    assert heard.startswith("offer ")


def test_rules_that_are_refused_leave_the_minimal_ones(hazel, sink, admin):
    """A user that they name is gone: nft refuses the whole file."""
    status = "/usr/local/libexec/firewall-trial status"
    assert hazel.out(status) == "all rules are loaded"
    hazel.out("cp /etc/nftables.conf /run/nftables.conf && useradd --system gone")
    hazel.out("echo 'add rule inet filter output meta skuid { \"gone\" } accept' >> /etc/nftables.conf")
    # These are also the rules that a trial would go back to.
    hazel.out("nft -c -f /etc/nftables.conf && userdel gone && cp /etc/nftables.conf /var/lib/firewall-trial/kept")
    try:
        # It is known before the next boot.
        assert "is refused" in hazel.run(status).stderr
        assert hazel.run("systemctl restart nftables.service").rc != 0
        said = hazel.run(status)
        print(said.stderr)
        assert said.rc != 0
        assert [opened(sink, port) for port in (22, 5222, 5269, 443, 53)] == [1, 0, 0, 0, 0]
        chains = hazel.out("nft list chain inet filter input")
        assert "policy drop" in chains and "5222" not in chains
        assert hazel.out("systemctl is-failed nftables.service") == "failed"
        # New rules still get their trial, and mend it.
        done = apply(["firewall"], NAME, inventory=SCENARIO / "inventory")
        assert done.returncode == 0, done.stdout + done.stderr
        assert hazel.out(status) == "all rules are loaded"
        assert opened(sink, 5222) == 1
    finally:
        hazel.out(
            "tee /etc/nftables.conf /var/lib/firewall-trial/kept < /run/nftables.conf > /dev/null; systemctl restart nftables.service"
        )
    assert hazel.out(status) == "all rules are loaded"
    # Its alarm is over before another test counts alarms.
    admin.wait("Over: nftables.service has failed")


def test_a_blocked_network(hazel, sink):
    address = "203.0.113.9"
    sink.out(f"ip address replace {address}/32 dev eth0")
    hazel.out(f"ip route replace {address} via {OUTSIDE[4]}")
    assert opened(sink, 5222, source=address) == 0
    assert opened(sink, 22, source=address) == 1
    assert counters(hazel)["drop_blocked"] > 0
