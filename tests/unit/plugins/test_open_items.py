# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.action.open_items import ActionModule
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns, open_items

ZONES = dns.dns_zones(
    [{"domain": "example.org"}],
    hostname="host.example.org",
    addresses=["198.51.100.10", "2001:db8::10"],
    nameservers=["host.example.org", "ns.example.net"],
)
DS = ["12345 13 2 00FF"]


def state(status: str, reason: str) -> dict:
    return {"example.org": {"ds": DS, "parent": {"status": status, "reason": reason}}}


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        ({}, []),
        (state("right", "the parent's DS record fits"), []),
        (
            state("missing", open_items.UNKNOWN_ZONE),
            [
                "delegation of example.org: the parent does not know the zone; give the registrar these name servers: "
                "host.example.org (198.51.100.10, 2001:db8::10), ns.example.net",
                "DS of example.org: it can be entered with the name servers, or later; give the registrar: "
                "example.org. IN DS 12345 13 2 00FF",
            ],
        ),
        (
            state("missing", "the parent has no DS record"),
            ["DS of example.org: the parent has no DS record; give the registrar: example.org. IN DS 12345 13 2 00FF"],
        ),
        (
            state("unknown", "no resolver answered"),
            [
                "delegation of example.org: it could not be checked, because no resolver answered; to check it: playbook "
                "dns_records"
            ],
        ),
    ],
)
def test_zones(found, lines):
    assert open_items.of_zones(ZONES, found) == lines


def test_the_reason_is_that_of_dnssec_info():
    from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import dnssec

    answer = {"status": "NXDOMAIN", "flags": ["qr"], "records": []}
    assert dnssec.compare("example.org", [], answer)["reason"] == open_items.UNKNOWN_ZONE


@pytest.mark.parametrize(
    ("facts", "why", "line"),
    [
        ({"present": True, "self_signed": False, "not_after": "2027-01-01T00:00:00Z"}, "", ""),
        (
            {"present": True, "self_signed": True},
            "The certificate stays\nas it is: no route",
            "certificate: /x is self-signed, which no stranger accepts, because The certificate stays as it is: no route; the host "
            "tries again by itself; at once: xmpp-certificate",
        ),
        (
            {"present": True, "self_signed": False, "not_after": "2027-01-01T00:00:00Z"},
            "forbidden",
            "certificate: /x is valid until 2027-01-01T00:00:00Z and was not renewed, because forbidden; the host tries again by "
            "itself; at once: xmpp-certificate",
        ),
        (
            {"present": False},
            "",
            "certificate: /x does not exist; the host tries again by itself; at once: xmpp-certificate",
        ),
    ],
)
def test_certificate(facts, why, line):
    assert open_items.of_certificate("/x", facts, why) == ([line] if line else [])


def test_ports():
    """An open port, a closed one, and an address that this machine cannot reach."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ports = [listener.getsockname()[1], closed.getsockname()[1]]
        refused, unreachable = ActionModule._ask(["127.0.0.1"], ports, 3)
        assert refused == {"127.0.0.1": [ports[1]]} and unreachable == []
    # No machine has a route to an interface that is not there.
    refused, unreachable = ActionModule._ask(["::ffff:0.0.0.0%nowhere", "127.0.0.1"], [], 3)
    assert not any(refused.values()) and unreachable == []
    lines = open_items.of_ports({"198.51.100.10": [443, 5222], "198.51.100.11": []}, ["2001:db8::10"])
    assert [line.split(";")[0] for line in lines] == [
        "ports of 198.51.100.10: 443, 5222 did not answer this machine",
        "ports of 2001:db8::10: not checked, because this machine has no route there",
    ]
