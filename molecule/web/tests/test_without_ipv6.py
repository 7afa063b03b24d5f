# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of this scenario have no IPv6: what the roles have started came up all the same, without a word."""

from __future__ import annotations


def test_all_is_served_without_ipv6(site):
    asked = site.host.run("python3 -c 'import socket; socket.socket(socket.AF_INET6)'")
    print(asked.stderr)
    assert "Address family not supported by protocol" in asked.stderr
    listening = {line.split()[3] for line in site.host.out("ss -Hltn").splitlines()}
    print(sorted(listening))
    assert {f"0.0.0.0:{port}" for port in (80, 443, 5222, 5223, 5269, 5270)} | {"127.0.0.1:5280"} <= listening
    complaints = site.host.run("journalctl --boot --unit prosody.service --unit nginx.service --grep 'Address family'")
    assert complaints.rc == 1, complaints.stdout
