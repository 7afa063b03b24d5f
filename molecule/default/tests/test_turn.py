# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls are relayed for accounts of the host, with credentials that expire, and to nowhere but the internet."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable

import pytest
from conftest import ADDRESS, DOMAIN, HOSTNAME, HOSTS, RELEASE, Host
from hosts import Journal

ADDRESS6 = HOSTS[HOSTNAME]["xmpp_addresses"][1]
PEER, PEER6 = HOSTS["internet.test"]["ansible_host"], HOSTS["internet.test"]["world_address6"]
PORTS = {"udp": 3478, "tcp": 3478, "tls": 5349}
# Another host of the lab, private networks, link-local, loopback and multicast.
DENIED = ["198.51.100.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"]
DENIED += ["127.0.0.1", "127.1.2.3", "224.0.0.251", "255.255.255.255"]
DENIED6 = ["::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fd00::1", "fe80::1", "ff02::1", "64:ff9b::7f00:1"]
DENIED6 += ["2002:7f00:1::", "2001:db8:100::1"]


@pytest.fixture(scope="module")
def turn(internet) -> Callable[..., dict]:
    """Give turn_client.py on internet.test a job, and return its answer."""

    def run(do: str, **job: object) -> dict:
        where = {"address": ADDRESS, "host": DOMAIN, "port": PORTS[job.get("transport", "udp")], "transport": "udp"}
        answer = internet.out(
            "python3 /usr/local/lib/world/turn_client.py", stdin=json.dumps({"do": do, **where, **job})
        )
        print(f"{do} {job.get('transport', 'udp')}: {answer}")
        return json.loads(answer)

    return run


def ask(client, account) -> list[dict]:
    answer = client("services", account=account.by())
    assert answer["type"] == "result"
    return answer["services"]


def credentials(services: list[dict], kind: str = "turn") -> dict:
    return next(
        {"username": item["username"], "password": item["password"]} for item in services if item["type"] == kind
    )


@pytest.fixture(scope="module")
def alice(client, accounts) -> dict:
    return credentials(ask(client, accounts["alice"]))


def made(rosewood: Host, seconds: int, name: str = "test") -> dict:
    """Credentials with the right secret, which only root can make: nothing is wrong with them but their time."""
    script = (
        "import base64, hmac, json, time; secret = open('/etc/xmpp/turn.secret', 'rb').read().strip(); "
        f"user = f'{{int(time.time()) + {seconds}}}:{name}'; digest = hmac.digest(secret, user.encode(), 'sha1'); "
        "print(json.dumps({'username': user, 'password': base64.b64encode(digest).decode()}))"
    )
    return json.loads(rosewood.out(f"python3 -c {shlex.quote(script)}"))


def test_clients_are_told(client, accounts):
    """XEP-0215: all services, under a name that the certificate has, and credentials for what needs them."""
    services = ask(client, accounts["alice"])
    told = {(item["type"], item["transport"], item["host"], item["port"]) for item in services}
    assert told == {
        *((kind, transport, DOMAIN, "3478") for kind in ("stun", "turn") for transport in ("udp", "tcp")),
        ("turns", "tcp", DOMAIN, "5349"),
    }
    for item in services:
        has = {name for name in ("username", "password", "expires", "restricted") if name in item}
        assert has == (set() if item["type"] == "stun" else {"username", "password", "expires", "restricted"}), item
    # The credentials are the account's, and do not name it.
    others = ask(client, accounts["bob"])
    names = {credentials(found)["username"].partition(":")[2] for found in (services, others, services)}
    assert len(names) == 2
    assert all(re.fullmatch("[0-9a-f]{20}", name) for name in names)


@pytest.mark.parametrize("transport", PORTS)
def test_a_call_is_relayed(turn, alice, transport):
    result = turn("relay", transport=transport, peer=PEER, **alice)
    assert result["relayed"][0] == ADDRESS
    assert 49152 <= result["relayed"][1] <= 65535
    assert result["there"] is result["back"] is True


def test_a_call_is_relayed_by_ipv6(turn, client, accounts):
    """With the credentials for TLS, which another module of Prosody makes."""
    mine = credentials(ask(client, accounts["alice"]), "turns")
    result = turn("relay", address=ADDRESS6, transport="tls", family=6, peer=PEER6, **mine)
    assert result["relayed"][0] == ADDRESS6
    assert result["there"] is result["back"] is True


@pytest.mark.parametrize("options", ["-p 3478", "-t -p 3478", "-t -S -p 5349"], ids=list(PORTS))
def test_another_client_agrees(internet, alice, options):
    """coturn's own, which sends packets to an echo server and counts what comes back."""
    internet.out(
        f"systemd-run --quiet --collect --unit echo turnutils_peer -L {PEER} -p 3480 && until ss -Huln | grep -q :3480;"
        " do sleep 0.05; done"
    )
    try:
        said = internet.out(
            f"timeout 60 turnutils_uclient -u {alice['username']} -w {alice['password']} -e {PEER} -r 3480 -n 5 -m 1"
            f" -c {options} {ADDRESS} 2>&1"
        )
    finally:
        internet.out("systemctl stop echo")
    counts = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", said)[-1]
    print(f"sent {counts[0]}, received {counts[1]}")
    assert counts[0] == counts[1] != "0"


@pytest.mark.parametrize("address", [ADDRESS, ADDRESS6])
def test_stun(turn, internet, address):
    result = turn("stun", address=address)
    assert result["mapped"] == result["own"]
    assert result["fingerprint"] is True
    # It does not tell what it is, and its answer is hardly larger than the question (28 bytes), for IPv6 by the address.
    assert result["software"] is False
    assert result["bytes"] <= 52
    assert "reflexive" in internet.out(f"turnutils_stunclient {address}")


def test_wrong_credentials_are_refused(turn, rosewood, alice):
    assert "relayed" in turn("relay", **made(rosewood, 60))
    refusals = [
        turn("relay"),
        turn("relay", **made(rosewood, -5)),
        turn("relay", **(alice | {"password": alice["password"][::-1]})),
        turn("relay", **(alice | {"username": f"9{alice['username']}"})),
        turn("relay", username="alice", password=""),
    ]
    assert refusals == [{"refused": 401}] * len(refusals)


def test_nothing_is_relayed_into_networks_that_are_not_public(turn, alice):
    found = turn("relay", denied=[*DENIED, PEER, "8.8.8.8"], **alice)["denied"]
    assert found == dict.fromkeys(DENIED, 403) | {PEER: 0, "8.8.8.8": 0}
    found = turn("relay", family=6, denied=[*DENIED6, PEER6, "2600::1"], **alice)["denied"]
    assert found == dict.fromkeys(DENIED6, 403) | {PEER6: 0, "2600::1": 0}


LISTEN = """
import json, select, socket, sys, time
job = json.loads(sys.argv[1])
heard = []
for port in job["ports"]:
    family = socket.AF_INET6 if ":" in job["address"] else socket.AF_INET
    heard.append(socket.socket(family, socket.SOCK_DGRAM))
    heard[-1].bind((job["address"], port))
open("/run/turn-listening", "w").close()
print(json.dumps([s.getsockname()[1] for s in select.select(heard, [], [], job["seconds"])[0]]), flush=True)
"""


@pytest.mark.parametrize("address", [ADDRESS, ADDRESS6])
def test_two_relayed_clients_talk_and_reach_nothing_else_of_the_host(turn, client, accounts, rosewood, alice, address):
    bob = credentials(ask(client, accounts["bob"]))
    # Below the relay's ports, where another program may have opened one; and what the host offers to all.
    ports, offered = [4953, 40000, 49151], [53, 3478]
    last = 40001
    job = {"address": address, "ports": [*ports, last], "seconds": 30}
    rosewood.out("cat > /run/turn-listen.py; rm -f /run/turn-listening /run/turn-heard", stdin=LISTEN)
    rosewood.out(
        "systemd-run --quiet --collect --unit listen sh -c"
        f" {shlex.quote(f'exec python3 /run/turn-listen.py {shlex.quote(json.dumps(job))} > /run/turn-heard')}"
        "; until [ -e /run/turn-listening ]; do sleep 0.05; done"
    )
    before = rosewood.out("nft list counter inet turn refused")
    found = turn(
        "meet",
        address=address,
        family=6 if ":" in address else 4,
        credentials=[alice, bob],
        ports=ports + offered,
        payload="knock",
    )
    after = rosewood.out("nft list counter inet turn refused")
    # It still listens: the packet of another program of this host arrives as the first one.
    heard = rosewood.out(
        "python3 -c \"import socket; family = socket.AF_INET6 if ':' in '"
        + address
        + f"' else socket.AF_INET; socket.socket(family, socket.SOCK_DGRAM).sendto(b'x', ('{address}', {last}))\""
        "; while systemctl --quiet is-active listen; do sleep 0.05; done; cat /run/turn-heard"
    )
    packets = [int(re.search(r"packets (\d+)", text)[1]) for text in (before, after)]
    print(f"refused: {packets[1] - packets[0]} of {len(ports + offered)} packets; heard at {heard}")
    assert found["there"] is found["back"] is found["after"] is True
    assert packets[1] - packets[0] == len(ports + offered)
    assert json.loads(heard) == [last]


FORGED = "The house is on fire"


def test_a_flood_of_wrong_credentials_does_not_fill_the_journal(turn, rosewood):
    """Nor does a user name with line breaks write an entry of its own."""
    journal = Journal(rosewood)
    names = [
        f"9999999999:a\n<0>{FORGED}\n<3>sshd[1]: {FORGED}",
        "9999999999:b",
        f"c\r\n<0>{FORGED}",
        f"\n<0>{FORGED}",
    ]
    sent = [turn("flood", username=name, password="x", seconds=3, most=3000)["sent"] for name in names]
    written = journal.size()
    mine = journal.entries("coturn.service")
    print(f"{sent} requests: {len(mine)} entries, {written / 1000:.0f} kB")
    assert sum(sent) > 1000
    assert written < 1_000_000
    for entry in journal.entries():
        message = entry["MESSAGE"]
        if FORGED in message:
            assert entry["_SYSTEMD_UNIT"] == "coturn.service"
            assert not message.startswith(FORGED)
            assert entry["SYSLOG_IDENTIFIER"] == "turnserver"
            assert int(entry["PRIORITY"]) >= 3
    if RELEASE == "trixie":
        assert [entry["MESSAGE"] for entry in mine if "check_stun_auth" in entry["MESSAGE"]] == []


def test_an_account_has_a_quota(turn, client, accounts, rosewood, alice):
    """Asking again for credentials does not give more of it, and another account has its own."""
    first = credentials(ask(client, accounts["bob"]))
    later = made(rosewood, 999, first["username"].partition(":")[2])
    assert first["username"] != later["username"]
    result = turn("fill", most=60, credentials=[first, later], other=alice)
    assert (result["allocated"], result["refused"]) == (40, 486)
    assert result["other"][0] == ADDRESS


def test_prosody_finds_it_well(rosewood):
    said = rosewood.out("prosodyctl check turn")
    print(said)
    assert "Success!" in said


def test_a_call_survives_a_new_certificate(rosewood, internet, turn, alice):
    """5349 serves a renewed certificate at once, and neither coturn nor what it relays is interrupted."""
    folder = f"/etc/ssl/xmpp/{DOMAIN}"

    def serial() -> str:
        return internet.out(
            f"openssl s_client -connect {ADDRESS}:5349 -servername {DOMAIN} </dev/null 2>/dev/null"
            " | openssl x509 -noout -serial"
        )

    before, running = serial(), rosewood.out("systemctl show --property MainPID --value coturn")
    job = {"do": "hold", "address": ADDRESS, "host": DOMAIN, "port": 5349, "transport": "tls", "peer": PEER, **alice}
    job |= {"ready": "/run/turn-ready", "until": "/run/turn-renewed"}
    internet.out("cat > /run/turn-job; rm -f /run/turn-ready /run/turn-renewed", stdin=json.dumps(job))
    internet.out(
        "systemd-run --quiet --collect --unit held sh -c"
        " 'python3 /usr/local/lib/world/turn_client.py < /run/turn-job > /run/turn-result 2>&1'"
        "; n=0; until [ -e /run/turn-ready ] || [ $n -gt 200 ]; do n=$((n + 1)); sleep 0.05; done"
    )
    # The key stays; a certificate of the same key with another serial stands for a renewed one.
    rosewood.out(
        f"cp -a {folder}/fullchain.pem /run/fullchain.pem"
        f" && openssl req -x509 -new -key {folder}/privkey.pem -subj /CN={DOMAIN} -days 1 -out /run/renewed.pem"
        f" && cat /run/renewed.pem > {folder}/fullchain.pem && run-parts --exit-on-error --report /etc/xmpp/deploy.d"
    )
    try:
        # The signal is not answered.
        after = next((found for found in (serial() for _ in range(50)) if found != before), before)
        internet.out("touch /run/turn-renewed; while systemctl --quiet is-active held; do sleep 0.05; done")
        result = json.loads(internet.out("cat /run/turn-result"))
    finally:
        rosewood.out(f"cat /run/fullchain.pem > {folder}/fullchain.pem && run-parts --exit-on-error /etc/xmpp/deploy.d")
    print(f"{before} → {after}; {result}")
    assert before != after
    assert result == {
        "before": {"there": True, "back": True},
        "waited_for_it": True,
        "after": {"there": True, "back": True},
    }
    assert rosewood.out("systemctl show --property MainPID --value coturn") == running


def test_the_secret_is_made_before_prosody_reads_it(rosewood):
    """Both are started by one call, and by every boot."""
    assert "coturn.service" in rosewood.out("systemctl show --property After --value prosody").split()


def test_the_secret_stays_where_it_is(rosewood, site):
    """No other user can read it, and it is in no process list, no unit, no log and no fact."""
    secret = rosewood.out("cat /etc/xmpp/turn.secret")
    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert rosewood.out("stat -c '%U:%G %a' /etc/xmpp/turn.secret") == "root:xmpp-turn 640"
    assert rosewood.out("stat -c '%U %a' /run/coturn") == "turnserver 700"
    for user in ("nobody", "www-data"):
        assert rosewood.run(f"runuser -u {user} -- cat /etc/xmpp/turn.secret").rc != 0
    result = site("--diff", "-vv", "--check")
    assert result.returncode == 0
    pieces = {
        "processes": rosewood.out("cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' ' '; true"),
        "units": rosewood.out("systemctl show coturn prosody"),
        "journal": rosewood.out("journalctl --no-pager --output cat"),
        "configuration": rosewood.out("cat /etc/turnserver.conf /etc/prosody/prosody.cfg.lua"),
        "run": result.stdout + result.stderr,
    }
    print({name: len(text) for name, text in pieces.items()})
    assert [name for name, text in pieces.items() if secret in text] == []
    assert all(pieces.values())


def test_it_is_shut_in(rosewood):
    """By effect, in its own namespace: it can write to nothing but its own folder."""
    pid = rosewood.out("systemctl show --property MainPID --value coturn")
    for path in ("/etc/xmpp/x", "/var/lib/turn/x", "/usr/x", "/home/x"):
        assert rosewood.run(f"nsenter --target {pid} --mount -- touch {path}").rc != 0, path
    status = rosewood.out(f"cat /proc/{pid}/status")
    facts = dict(re.findall(r"^(CapBnd|CapEff|NoNewPrivs|Seccomp):\s*(\S+)", status, re.MULTILINE))
    assert facts == {"CapBnd": "0" * 16, "CapEff": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
    exposure = rosewood.out("systemd-analyze security coturn.service").splitlines()[-1]
    print(exposure)
    # No socket of another program is given a port that the firewall opens for relayed packets.
    assert rosewood.out("sysctl -n net.ipv4.ip_local_port_range").split() == ["32768", "49151"]
