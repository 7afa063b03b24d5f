# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""testssl.sh finds nothing at any port of either release, as the roles set them up by default.

It mostly waits, so that all ports are looked at side by side. Suites it tries at one port of each daemon, which has one list
of them for all its ports; test_tls.py shows at each port that no other suite and no other curve is taken.
"""

from __future__ import annotations

import json
import shlex

import pytest
import yaml
from hosts import TOP, Host

INVENTORY = yaml.safe_load((TOP / "molecule/tls/inventory/hosts.yml").read_text())["all"]
HOSTS = {host["lab_release"]: host["ansible_host"] for host in INVENTORY["hosts"].values()}
DOMAIN = INVENTORY["vars"]["xmpp_domain"]
PORTS = {
    443: "",
    5222: f"--starttls xmpp --xmpphost {DOMAIN}",
    5223: "",
    5269: f"--starttls xmpp-server --xmpphost {DOMAIN}",
    5270: "",
}
# Protocols and known weaknesses; kinds of ciphers, and forward secrecy.
LOOK = "-p -U --quiet --color 0 --warnings batch --openssl-timeout 20"
SUITES = "-s -f"
FIRST = {443, 5223}


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, int], dict[str, dict]]:
    """What testssl.sh says of each port."""
    stranger = Host(HOSTS["trixie"])
    stranger.out("apt-get -qq update && apt-get -qqy install --no-install-recommends testssl.sh socat >/dev/null")
    scans = [
        f"testssl {LOOK} {SUITES if port in FIRST else ''} --ip {address} --jsonfile /tmp/testssl-{release}-{port}.json {starttls} {DOMAIN}:{port}"
        for release, address in HOSTS.items()
        for port, starttls in PORTS.items()
    ]
    stranger.out(
        f"rm -f /tmp/testssl-*; printf '%s\\n' {shlex.join(scans)} | xargs -P 10 -I SCAN sh -c 'SCAN >/dev/null; true'"
    )
    answers = {}
    for release in HOSTS:
        for port in PORTS:
            entries = json.loads(stranger.out(f"cat /tmp/testssl-{release}-{port}.json"))
            answers[release, port] = {entry["id"]: entry for entry in entries}
    return answers


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("release", HOSTS)
def test_it_finds_nothing(found, release, port):
    entries = found[release, port]
    # It misses GOST in its own OpenSSL, and knows no XMPP without STARTTLS.
    own = {"engine_problem", "service"}
    bad = {name: entry["finding"] for name, entry in entries.items() if entry["severity"] not in ("OK", "INFO")}
    bad = {name: finding for name, finding in bad.items() if name not in own}
    print(f"{release} {port}: {len(entries)} findings, {len(bad)} of them bad")
    assert bad == {}
    # That it has looked, and not run into a wall.
    for protocol, offered in (("TLS1", False), ("TLS1_1", False), ("TLS1_2", True), ("TLS1_3", True)):
        assert entries[protocol]["finding"].startswith("offered") == offered, entries[protocol]
    if port in FIRST:
        assert entries["FS"]["severity"] == "OK"
    assert len(entries) >= (40 if port in FIRST else 20)
