# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Graphs that only some may look at, and a host that draws none any more."""

from __future__ import annotations

import base64

import pytest
from conftest import HOSTS, NAMES, SCENARIO
from hosts import apply
from pages import status_of

PASSWORD = "acorn: ü$"


@pytest.fixture(scope="module")
def run():
    """Run both roles, and in the end as the inventory has them."""

    def roles(**variables: object) -> str:
        done = apply(["nginx", "munin"], "all", "--diff", inventory=SCENARIO / "inventory", **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    yield roles
    roles()


def test_a_password_and_no_graphs(run, hosts):
    digest = hosts["trixie"].out("openssl passwd -6 -stdin", stdin=f"{PASSWORD}\n")
    said = run(nginx_munin_password_hash=digest, munin_draw=False)
    assert digest not in said
    for release, host in hosts.items():
        entry = HOSTS[NAMES[release]]
        # Of a host that is new, nothing has been drawn yet.
        page = "/var/cache/munin/www/index.html"
        host.out(f"sh -c 'test -e {page} || {{ echo graphs >{page}; chown munin: {page}; }}'")
        for password, status in ((None, 401), ("wrong", 401), (PASSWORD, 200)):
            token = base64.b64encode(f"munin:{password}".encode()).decode()
            headers = {"Authorization": f"Basic {token}"} if password else {}
            assert status_of(entry["xmpp_domain"], entry["ansible_host"], "munin/", headers) == status
        assert host.out("stat -c '%a %U:%G' /etc/nginx/munin.password") == "640 root:www-data"
        # It measures; nothing of munin's fails every five minutes.
        assert host.out("munin-run load").startswith("load.value")
        assert host.run("test -e /etc/munin/munin.conf").rc != 0
        job = "if [ -x /usr/bin/munin-cron ]; then /usr/bin/munin-cron; fi"
        assert host.out(f"runuser -u munin -- sh -c '{job}' 2>&1; true") == ""
    assert "changed=0" in run(nginx_munin_password_hash=digest, munin_draw=False)
