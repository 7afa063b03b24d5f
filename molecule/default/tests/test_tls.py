# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No port speaks a TLS without forward secrecy and AEAD, by handshakes."""

from __future__ import annotations

import re

import pytest
from conftest import DOMAIN, HOSTNAME

PORTS = {
    5222: f"-starttls xmpp -xmpphost {DOMAIN}",
    5223: "",
    5269: f"-starttls xmpp-server -xmpphost {DOMAIN}",
    5270: "",
    443: "",
}
GOOD = {
    "TLS 1.3": ("-tls1_3", "TLSv1.3", r"TLS_(AES_\d+_GCM|CHACHA20_POLY1305)_SHA\d+"),
    "TLS 1.2": (
        "-tls1_2 -cipher ALL:@SECLEVEL=0",
        "TLSv1.2",
        r"ECDHE-(ECDSA|RSA)-(AES\d+-GCM-SHA\d+|CHACHA20-POLY1305)",
    ),
}
BAD = {
    "TLS 1.0": "-tls1 -cipher ALL:@SECLEVEL=0",
    "TLS 1.1": "-tls1_1 -cipher ALL:@SECLEVEL=0",
    "CBC": "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
    ":ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:@SECLEVEL=0",
    "static RSA": "-tls1_2 -cipher AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA:@SECLEVEL=0",
    "DHE": "-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0",
    "no authentication": "-tls1_2 -cipher aNULL:@SECLEVEL=0",
}
# handshake_failure, protocol_version, insufficient_security (RFC 8446, section 6)
ALERTS = {"40", "70", "71"}


def handshake(internet, address, options):
    """Version and cipher, or the number of the server's alert, or what else openssl says."""
    result = internet.run(f"timeout 15 openssl s_client -connect {address} {options} </dev/null 2>&1")
    agreed = re.search(r"^New, (\S+), Cipher is (\S+)$", result.stdout, re.MULTILINE)
    if result.rc == 0 and agreed and agreed[2] != "(NONE)":
        # The first is the version the cipher is defined for; the session tells the one in use.
        version = re.search(r"Protocol *: (\S+)", result.stdout)
        return (version[1] if version else agreed[1]), agreed[2]
    alert = re.search(r"SSL alert number (\d+)", result.stdout)
    return alert[1] if alert else result.stdout


@pytest.fixture(scope="module")
def weak(internet):
    """A server that takes everything: what the client offers is seen to be on offer."""
    internet.out(
        "openssl req -quiet -x509 -newkey rsa:2048 -noenc -days 1 -subj /CN=weak.test"
        " -keyout /tmp/weak.key -out /tmp/weak.crt"
        " && systemd-run --quiet --collect --unit weak openssl s_server -quiet -accept 198.51.100.53:4433"
        " -key /tmp/weak.key -cert /tmp/weak.crt -cipher ALL:COMPLEMENTOFALL:@SECLEVEL=0 -min_protocol TLSv1"
        " && until (exec 3<>/dev/tcp/198.51.100.53/4433) 2>/dev/null; do sleep 0.1; done"
    )
    yield "198.51.100.53:4433"
    internet.out("systemctl stop weak")


@pytest.mark.parametrize("bad", BAD)
def test_the_client_can_do_what_must_be_refused(internet, weak, bad):
    agreed = handshake(internet, weak, BAD[bad])
    print(agreed)
    assert isinstance(agreed, tuple), agreed


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("good", GOOD)
def test_accepted(internet, port, good):
    options, version, cipher = GOOD[good]
    agreed = handshake(
        internet,
        f"{HOSTNAME}:{port}",
        f"-servername {DOMAIN} {PORTS[port]} {options} -verify_return_error -verify_hostname {DOMAIN}",
    )
    print(agreed)
    assert isinstance(agreed, tuple), agreed
    assert agreed[0] == version
    assert re.fullmatch(cipher, agreed[1])


@pytest.mark.parametrize("port", PORTS)
def test_refused(internet, port):
    shape = f"-servername {DOMAIN} {PORTS[port]} "
    assert isinstance(handshake(internet, f"{HOSTNAME}:{port}", shape + GOOD["TLS 1.2"][0]), tuple)
    refusals = {bad: handshake(internet, f"{HOSTNAME}:{port}", shape + options) for bad, options in BAD.items()}
    print(refusals)
    assert set(map(str, refusals.values())) <= ALERTS


def test_certificate_of_every_name(internet):
    for name in (DOMAIN, f"upload.{DOMAIN}"):
        agreed = handshake(
            internet, f"{HOSTNAME}:443", f"-servername {name} -verify_return_error -verify_hostname {name}"
        )
        assert isinstance(agreed, tuple), agreed


def test_unknown_name_is_refused(internet):
    address = f"{HOSTNAME}:443"
    assert isinstance(handshake(internet, address, f"-servername {DOMAIN}"), tuple)
    # unrecognized_name
    assert handshake(internet, address, "-servername unknown.test") == "112"
    assert handshake(internet, address, "-noservername") == "112"
