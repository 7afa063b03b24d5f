# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the scenario, and what is done to them."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives import serialization
from hosts import PLAIN, TOP, Host, command

DER = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
INVENTORY = TOP / "molecule/acme/inventory"
DOMAIN, HOSTNAME = "acme.test", "maple.acme.test"
IDN = "büro.test"
# With the machine's own, which is below the domain.
NAMES = [
    DOMAIN,
    *(f"{name}.{DOMAIN}" for name in ("conference", "maple", "proxy", "search", "upload")),
    IDN.encode("idna").decode(),
]
PORTS = {
    5222: f"-starttls xmpp -xmpphost {DOMAIN}",
    5223: "",
    5269: f"-starttls xmpp-server -xmpphost {DOMAIN}",
    5270: "",
    443: "",
}


@pytest.fixture(scope="session")
def maple() -> Host:
    """The host under test."""
    return Host("198.51.100.80")


@pytest.fixture(scope="session")
def authority() -> Host:
    """The authority, and the resolver by which it validates."""
    return Host("198.51.100.81")


KINDS = {"ECDSA": "ECDSA+SHA256:ECDSA+SHA384", "RSA": "RSA-PSS+SHA256:RSA+SHA256"}


def served(authority: Host, parts: str = "-serial", kind: str = "ECDSA") -> dict[int, str]:
    """What a stranger is served at each port who knows one kind of key only; nothing where there is none."""
    answers = {}
    for port, starttls in PORTS.items():
        answers[port] = authority.out(
            f"openssl s_client -connect 198.51.100.80:{port} -servername {DOMAIN} {starttls}"
            f" -sigalgs {KINDS[kind]} </dev/null 2>/dev/null | openssl x509 -noout {parts} 2>/dev/null || true"
        )
    return answers


def served_keys(authority: Host) -> list[str]:
    """The digests of the keys of both kinds, the same at every port."""
    digests = set()
    for kind in KINDS:
        keys = set(served(authority, "-pubkey", kind).values())
        assert len(keys) == 1, kind
        digests |= {
            hashlib.sha256(serialization.load_pem_public_key(key.encode()).public_bytes(*DER)).hexdigest()
            for key in keys
            if key
        }
    return sorted(digests)


def records(authority: Host) -> list[str]:
    """The digests of the TLSA records, the same at every port."""
    answers = {authority.out(f"dig +short @198.51.100.80 _{port}._tcp.{HOSTNAME} TLSA | sort") for port in PORTS} | {
        authority.out(f"dig +short @198.51.100.80 _443._tcp.{name} TLSA | sort")
        for name in (DOMAIN, f"upload.{DOMAIN}")
    }
    assert len(answers) == 1
    return sorted("".join(line.split()).lower().removeprefix("311") for line in answers.pop().splitlines())


def renew(maple: Host, **changes: str):
    """Order a certificate, with another configuration than the host's where something is changed."""
    config = json.loads(maple.out("cat /etc/xmpp/certificate.json")) | changes
    path = "/run/other-certificate.json" if changes else "/etc/xmpp/certificate.json"
    if changes:
        maple.out(f"printf %s {shlex.quote(json.dumps(config))} > {path}")
    result = maple.run(f"xmpp-certificate --force --config {path}")
    print(f"{result.rc}: {result.stdout}{result.stderr}")
    return result


def playbook(name: str, *variables: str, options: Sequence[str] = ()) -> subprocess.Popen:
    """Start a playbook of the collection on the host under test, as its operator would."""
    arguments = [word for variable in (f"site_hosts={HOSTNAME}", *variables) for word in ("--extra-vars", variable)]
    return subprocess.Popen(
        command(
            "ansible-playbook",
            f"magicbroccoli.xmpp.{name}",
            *arguments,
            *options,
            inventory=INVENTORY,
        ),
        cwd=TOP,
        env=PLAIN,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def play(name: str, *variables: str, options: Sequence[str] = ()) -> tuple[int, str]:
    """Run a playbook; returns how it ended and what it said, in one line."""
    process = playbook(name, *variables, options=options)
    output = process.communicate()[0]
    return process.returncode, " ".join(output.split())


@pytest.fixture(scope="session")
def validating(maple, authority):
    """The resolvers know the zone's key-signing key: nothing unsigned or forged is taken from that zone."""
    anchor = maple.out(f"bind-ds-records {DOMAIN}")
    authority.out(
        f"echo {shlex.quote('trust-anchor: ' + chr(34) + anchor + chr(34))} > /etc/unbound/anchors/{DOMAIN}.conf"
        f" && echo {shlex.quote(anchor)} > /etc/unbound/anchors/{DOMAIN}.key && systemctl restart unbound unbound-peers"
    )
    for resolver in ("198.51.100.81", "127.0.0.1 -p 5353"):
        assert " ad" in re.search(r"flags: ([a-z ]+);", authority.out(f"dig +dnssec @{resolver} {DOMAIN} SOA"))[0]
