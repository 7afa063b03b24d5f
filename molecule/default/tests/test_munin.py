# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graphs of Prosody are drawn, and anybody can look at them."""

from __future__ import annotations

import pytest
from conftest import DOMAIN, HOSTNAME

GRAPHS = ["prosody_c2s", "prosody_s2s", "prosody_stanzas", "prosody_uptime"]


@pytest.fixture(scope="module")
def drawn(rosewood, accounts, client):
    """Two rounds of munin's cron job, after somebody has logged in: a counter needs two values."""
    client("login", account=accounts["alice"].by())
    for _ in range(2):
        # cron may be at it at this very moment; munin does not wait, but ends with an error.
        run = "runuser --user munin -- /usr/bin/munin-cron"
        rosewood.out(f"for n in $(seq 30); do {run} && exit; sleep 2; done; exit 1")


def test_page(internet, drawn):
    page = internet.out(f"curl --silent --fail --max-time 10 https://{DOMAIN}/munin/")
    assert HOSTNAME in page


@pytest.mark.parametrize("graph", GRAPHS)
def test_graph(internet, rosewood, drawn, graph):
    values = rosewood.out(f"munin-run {graph}")
    print(values)
    assert ".value " in values
    assert ".value U" not in values
    page = internet.out(f"curl --silent --fail --max-time 10 https://{DOMAIN}/munin/{DOMAIN}/{HOSTNAME}/index.html")
    assert f"{graph}-day.png" in page
