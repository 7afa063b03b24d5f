# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in a cloud and a host with IPv6 alone do what any other host does."""

from __future__ import annotations

import json
import re

import pytest
from conftest import BEHIND_NAT, HOSTS, IPV6_ALONE, ROUTER, SCENARIO
from hosts import Host, ansible, until

ROUTER6 = "2001:db8:100::105"
NAT = HOSTS[BEHIND_NAT]


def program(router: Host, name: str, **job: object) -> dict:
    """What came of a job that a program on the router was given."""
    said = router.out(f"python3 /usr/local/lib/world/{name}.py", stdin=json.dumps(job))
    print(f"{job['do']}: {said}")
    return json.loads(said)


def account(host: Host, name: str, domain: str) -> dict:
    host.out(f"prosodyctl register {name} {domain} 'a long password'")
    return {"jid": f"{name}@{domain}", "password": "a long password"}


@pytest.fixture(scope="module")
def accounts(lime: Host, fig: Host) -> dict[str, dict]:
    return {
        name: account(host, "juliet", HOSTS[name]["xmpp_domain"])
        for name, host in ((BEHIND_NAT, lime), (IPV6_ALONE, fig))
    }


def test_they_are_what_they_should_be(lime: Host, fig: Host):
    ours = {host: host.out("ip -brief addr show dev eth0 scope global") for host in (lime, fig)}
    print(*ours.values(), sep="\n")
    public, router_made = NAT["xmpp_addresses"]
    assert NAT["cloud_private_address"] in ours[lime] and public not in ours[lime]
    assert router_made in ours[lime] and HOSTS[IPV6_ALONE]["ansible_host"] in ours[fig]
    assert re.findall(r"\d+\.\d+\.\d+\.\d+", ours[fig]) == []


@pytest.mark.parametrize("via", ["tcp", "tls", "websocket"])
@pytest.mark.parametrize("name", [BEHIND_NAT, IPV6_ALONE])
def test_clients_from_elsewhere_log_in(router: Host, accounts, name, via):
    said = program(router, "xmpp_client", do="login", account={**accounts[name], "via": via})
    assert said["jid"].startswith(accounts[name]["jid"])


def test_the_two_talk(router: Host, accounts):
    """One server has no IPv4 and the other one no IPv4 address of its own: they meet by IPv6."""
    said = program(router, "xmpp_client", do="talk", sender=accounts[BEHIND_NAT], receiver=accounts[IPV6_ALONE])
    assert said.get("received") == said.get("sent") and said["sent"]


def test_what_is_published_can_be_reached_from_elsewhere(lime: Host, fig: Host, router: Host):
    for name, host in ((BEHIND_NAT, lime), (IPV6_ALONE, fig)):
        domain = HOSTS[name]["xmpp_domain"]
        server = HOSTS[name]["ansible_host"]
        found = set()
        for at in (domain, name, f"upload.{domain}"):
            for kind in ("A", "AAAA"):
                found |= set(router.out(f"dig +short @{server} {at} {kind}").split())
        print(f"{domain}: {found}")
        assert found == set(HOSTS[name].get("xmpp_addresses", [HOSTS[name]["ansible_host"]]))
        assert NAT["cloud_private_address"] not in host.out(f"cat /var/lib/bind/zones/{domain}.zone")


def test_an_address_of_router_advertisements_stays(lime: Host):
    """Its life is a minute, and each advertisement that the firewall lets in makes it longer."""

    def left() -> int:
        shown = lime.out("ip -6 addr show dev eth0 scope global dynamic")
        return int(re.search(r"valid_lft (\d+)sec", shown)[1])

    lives = [left()]

    def is_longer() -> bool:
        lives.append(left())
        return lives[-1] > lives[-2]

    until(is_longer, 60)
    print(f"seconds of life left: {lives}")


@pytest.mark.parametrize("transport", ["udp", "tls"])
@pytest.mark.parametrize("name", [BEHIND_NAT, IPV6_ALONE])
def test_calls_are_relayed_by_the_public_address(router: Host, accounts, name, transport):
    """A client behind a host with IPv6 alone asks for an address of it (RFC 8656, section 7.1)."""
    told = program(router, "xmpp_client", do="services", account=accounts[name])["services"]
    mine = next({"username": one["username"], "password": one["password"]} for one in told if one["type"] == "turn")
    address = HOSTS[name]["ansible_host"]
    family = {"family": 6, "peer": ROUTER6} if ":" in address else {"peer": HOSTS[ROUTER]["ansible_host"]}
    port = {"udp": 3478, "tls": 5349}[transport]
    where = {"address": address, "host": HOSTS[name]["xmpp_domain"], "port": port, "transport": transport}
    said = program(router, "turn_client", do="relay", **where, **family, **mine)
    assert said["relayed"][0] == address
    assert said["there"] is said["back"] is True


@pytest.mark.parametrize("name", [BEHIND_NAT, IPV6_ALONE])
def test_the_self_test_is_content(lime: Host, fig: Host, name):
    """But for what this lab has not: a signed root of the DNS, and an authority that strangers trust."""
    host = {BEHIND_NAT: lime, IPV6_ALONE: fig}[name]
    shown = host.run("xmpp-status")
    print(shown.stdout)
    failing = {one["subject"] for one in json.loads(host.run("xmpp-status --json").stdout) if one["level"] == "fails"}
    assert failing <= {"promise dnssec", "promise valid-certificate"}


@pytest.mark.parametrize("name", [BEHIND_NAT, IPV6_ALONE])
def test_playbooks_of_the_operator(name):
    for playbook in ("verify", "plan"):
        done = ansible(
            "ansible-playbook",
            f"magicbroccoli.xmpp.{playbook}",
            # The lab's DNS has no signed root.
            *("--extra-vars", f"site_hosts={name} verify_dns=false"),
            inventory=SCENARIO / "inventory",
        )
        print(done.stdout[-3000:], done.stderr[-2000:])
        assert done.returncode == 0, playbook
