# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of ports, as roles ask it."""

import re

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.services import SERVICES, port, tls_ports


def test_ports():
    assert [port(name) for name in ("xmpp-client", "xmpps-server", "stun", "turns", "https")] == [
        5222,
        5270,
        3478,
        5349,
        443,
    ]
    assert (port("turn-relay"), port("turn-relay", last=True)) == (49152, 65535)
    assert SERVICES == ("client", "server", "web", "dns", "proxy", "turn", "turns")


def test_ports_with_a_certificate():
    assert tls_ports(["turns", "dns", "client"]) == [
        {"port": 5222, "protocol": "jabber:client"},
        {"port": 5223},
        {"port": 5349},
    ]
    assert tls_ports(["web", "server"], {"web": "www.example.org"}, "/c.pem") == [
        {"port": 5269, "protocol": "jabber:server", "certificate": "/c.pem"},
        {"port": 5270, "certificate": "/c.pem"},
        {"port": 443, "name": "www.example.org", "certificate": "/c.pem"},
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: port("xmpp"), "'xmpp' is not a port; write one of xmpp-client, xmpps-client, "),
        (lambda: port("http", last=True), "'http' is one port and not a range; leave last out"),
        (lambda: tls_ports("web"), "services: 'web' is not a list; write for example ['client', 'server']"),
        (lambda: tls_ports([], []), "names: [] is not a dictionary; write for example {'web': 'www.example.org'}"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
