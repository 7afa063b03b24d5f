# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authority is shown by HTTP that the names are ours."""

from __future__ import annotations

from conftest import play, renew, served


def test_by_http_where_the_dns_is_elsewhere(maple, authority):
    """And what the playbook changes for it: nginx serves the challenges, BIND has no place for them any more."""
    ended, output = play("site", "xmpp_acme_challenge=http-01")
    assert ended == 0, output[-3000:]
    assert "_acme-challenge" not in maple.out("cat /etc/bind/named.conf")
    before = served(authority)
    result = renew(maple)
    assert result.rc == 0
    assert not set(served(authority).values()) & set(before.values())
    fetch = "curl -s -o /dev/null -w '%{http_code} %{redirect_url}' --resolve"
    assert authority.out(f"{fetch} acme.test:80:198.51.100.80 http://acme.test/x") == "301 https://acme.test/x"
    assert authority.run("curl -s http://198.51.100.80/").rc in (52, 56)
