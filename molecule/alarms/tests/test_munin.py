# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A value passes its level, and is back."""

from __future__ import annotations

import re

PAIR = "/etc/ssl/xmpp/nut.test"
# cron may be at it at this very moment; munin does not wait, but ends with an error.
ROUND = "sh -c 'for n in $(seq 30); do runuser -u munin -- /usr/bin/munin-cron && exit; sleep 2; done; exit 1'"


def test_a_certificate_runs_out(hazel, admin):
    """The certificate that Prosody serves has three days left."""
    hazel.out(
        f"sh -c 'cd {PAIR} && cp -p fullchain.pem kept.pem && "
        "openssl req -x509 -new -key privkey.pem -subj /CN=nut.test -days 3 -addext subjectAltName=DNS:nut.test > fullchain.pem "
        "2>/dev/null && systemctl reload prosody'"
    )
    try:
        hazel.out(ROUND)
        text = admin.wait("munin: Certificates", message=False)
    finally:
        hazel.out(f"sh -c 'cd {PAIR} && mv kept.pem fullchain.pem && systemctl reload prosody'")
    print(text)
    assert text.startswith("CRITICAL: ")
    for port in (5222, 5223, 5269, 5270):
        assert re.search(rf"port {port} is (3|2\.9)\S* \(critical: 7:\)", text)
    hazel.out(ROUND)
    admin.wait("Over: munin: Certificates")
    assert admin.heads() == ["munin: Certificates", "Over: munin: Certificates"]
