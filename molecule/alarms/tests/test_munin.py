# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A value passes its level, and is back."""

from __future__ import annotations

import re

from conftest import HOSTS, NAME

PAIR = "/etc/ssl/xmpp/nut.test"
# cron may be at it at this very moment; munin does not wait, but ends with an error.
ROUND = "sh -c 'for n in $(seq 30); do runuser -u munin -- /usr/bin/munin-cron && exit; sleep 2; done; exit 1'"


def test_a_certificate_runs_out(hazel, admin):
    """Of the six days that Prosody's certificate was valid, seven hours are left: 5 %, and not days, is what counts."""
    moments = [hazel.out(f"date -u -d '{moment} hours' +%Y%m%d%H%M%SZ") for moment in (-137, 7)]
    hazel.out(
        f"sh -c 'cd {PAIR} && cp -p fullchain.pem kept.pem && "
        f"openssl req -x509 -new -key privkey.pem -subj /CN=nut.test -not_before {moments[0]} -not_after {moments[1]} "
        "-addext subjectAltName=DNS:nut.test > fullchain.pem 2>/dev/null && systemctl reload prosody'"
    )
    try:
        hazel.out(ROUND)
        text = admin.wait("munin: Certificates", message=False)
    finally:
        hazel.out(f"sh -c 'cd {PAIR} && mv kept.pem fullchain.pem && systemctl reload prosody'")
    print(text)
    assert text.startswith("CRITICAL: ")
    for port in (5222, 5223, 5269, 5270):
        assert re.search(rf"port {port} is 4\.[5-9]\d* \(critical: 8:\)", text)
    hazel.out(ROUND)
    admin.wait("Over: munin: Certificates")
    # Rounds that follow each other at once may find other values at odds.
    heads = [head for head in admin.heads() if "Certificates" in head]
    assert heads == ["munin: Certificates", "Over: munin: Certificates"]


def test_a_master_elsewhere_fetches(hazel, sink):
    """By ssh, and with a key that is good for nothing else."""
    key = hazel.out("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")
    known = f"{HOSTS[NAME]['ansible_host']} {key}"
    sink.out("sh -c 'cat > /var/lib/munin/.ssh/known_hosts'", stdin=known + "\n")
    sink.out("runuser -u munin -- sh -c 'rm -f /var/lib/munin/nut.test/*; /usr/share/munin/munin-update'")
    fetched = sink.out("ls /var/lib/munin/nut.test").split()
    print(f"{len(fetched)} series")
    assert any("prosody_c2s-c2s_tls" in name for name in fetched) and any("-df-" in name for name in fetched)
    login = f"runuser -u munin -- ssh munin-fetch@{HOSTS[NAME]['ansible_host']}"
    assert sink.run(f"{login} id </dev/null").stdout.strip() == f"# munin node at {NAME}"
    refused = sink.out(f"sh -c '{login} -N -o ExitOnForwardFailure=yes -R 4950:127.0.0.1:22 2>&1; true'")
    assert "failed for listen port 4950" in refused
