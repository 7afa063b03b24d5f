# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graphs are drawn. Anybody can look at those of Prosody, and who has the password at all of them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from conftest import DOMAIN, HOSTNAME

PROSODY = ["prosody_c2s", "prosody_s2s", "prosody_stanzas", "prosody_uptime"]
GRAPHS = [
    *PROSODY,
    *("prosody_accounts", "prosody_memory", "prosody_disk"),
    *("bind_queries", "bind_answers", "bind_keys", "bind_signatures"),
    *("nginx_requests", "nginx_statuses", "tls_life", "updates_pending", "updates_age", "updates_window"),
    *("firewall_accepted", "firewall_dropped"),
]
FETCH = r"""
import socket
stream = socket.create_connection(("127.0.0.1", 4949)).makefile("rw")
def ask(words):
    stream.write(words + "\n")
    stream.flush()
stream.readline()
ask("cap multigraph")
stream.readline()
ask("list")
plugins, graph = stream.readline().split(), "%s"
ask("fetch " + (graph if graph in plugins else graph.partition("_")[0]))
wanted = graph in plugins
for line in iter(stream.readline, ".\n"):
    if line.startswith("multigraph"):
        wanted = line.split()[1] == graph
    elif wanted:
        print(line, end="")
"""


@pytest.fixture(scope="module")
def drawn(rosewood, accounts, client):
    """Two rounds of munin's cron job, after somebody has logged in: a counter needs two values."""
    client("login", account=accounts["alice"].by())
    for _ in range(2):
        # cron may be at it at this very moment; munin does not wait, but ends with an error.
        run = "runuser --user munin -- /usr/bin/munin-cron"
        rosewood.out(f"for n in $(seq 30); do {run} && exit; sleep 2; done; exit 1")


CURL = f"curl --silent --max-time 10 --user munin:graphs https://{DOMAIN}/munin/"


def test_page(internet, drawn):
    page = internet.out(f"{CURL} --fail")
    assert HOSTNAME in page


def test_strangers_see_what_is_for_them(internet, drawn):
    said = "curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}'"
    for path in (
        "",
        "index.html",
        "problems.html",
        "security-day.html",
        f"{DOMAIN}/{HOSTNAME}/updates_pending-day.png",
    ):
        answers = [
            internet.out(f"{said}{login} https://{DOMAIN}/munin/{path}") for login in ("", " --user munin:wrong")
        ]
        print(path, answers)
        assert answers == ["401", "401"]
    page = internet.out(f"curl --silent --fail --max-time 10 https://{DOMAIN}/munin/embed/")
    shown = ET.fromstring(page)
    pictures = [image.get("src") for image in shown.iter("{http://www.w3.org/1999/xhtml}img")]
    assert pictures == [f"{graph}.png" for graph in PROSODY]


def test_munin_s_pages_are_for_phones_and_screen_readers_too(internet, drawn):
    for path in ("", f"{DOMAIN}/{HOSTNAME}/index.html", f"{DOMAIN}/{HOSTNAME}/prosody_c2s.html"):
        page = internet.out(f"{CURL}{path} --fail")
        assert ' lang="en"' in page and '<meta name="viewport" content="width=device-width' in page
        assert re.search(r"<h1><a [^>]*>Munin</a>", page) and 'http-equiv="refresh"' not in page
        for landmark in ("banner", "navigation", "main", "contentinfo"):
            assert page.count(f'role="{landmark}"') == 1
        assert '<select class="peers"' not in page or 'aria-label="Other graphs"' in page
        (sheet,) = re.findall(r'<link rel="stylesheet" href="([^"]*)"', page)
        assert sheet.endswith("static/style-new.css")
    style = f"curl --silent --fail --max-time 10 https://{DOMAIN}"
    ours = internet.out(f"{style}/pages/style.css")
    assert internet.out(f"{style}/munin/static/style-new.css") == ours and "#nav" in ours
    for language in ("en", "de"):
        page = internet.out(f"{style}/munin/embed/ --header 'Accept-Language: {language}'")
        assert f'lang="{language}"' in page and "/pages/style.css" in page


def test_graphs_run_nothing_of_others(internet, drawn):
    for path, login in (("", "--user munin:graphs"), ("embed/", ""), ("embed/prosody_c2s.png", "")):
        head = internet.out(f"curl --silent --fail --head --max-time 10 {login} https://{DOMAIN}/munin/{path}").lower()
        print(head)
        assert "content-security-policy: default-src 'none'; " in head and "script-src" not in head.replace(
            "script-src 'self'", ""
        )
        assert "x-content-type-options: nosniff" in head and "strict-transport-security: max-age=" in head


@pytest.mark.parametrize("graph", GRAPHS)
def test_graph(internet, rosewood, drawn, graph):
    # By the node, with the rights that it gives.
    values = rosewood.out("python3 -", stdin=FETCH % graph)
    print(values)
    assert ".value " in values
    assert ".value U" not in values
    page = internet.out(f"{CURL}{DOMAIN}/{HOSTNAME}/index.html --fail")
    assert f"{graph}-day.png" in page


@pytest.mark.parametrize("graph", PROSODY)
def test_a_week_is_at_a_stable_address(internet, drawn, graph):
    kind = internet.out(
        f"curl --silent --fail --max-time 10 --output /dev/null --write-out '%{{content_type}} %{{size_download}}' "
        f"https://{DOMAIN}/munin/embed/{graph}.png"
    )
    print(kind)
    assert kind.startswith("image/png ") and int(kind.split()[1]) > 2000


def test_requests_are_counted_and_nobody_is_written_down(internet, rosewood):
    def counted():
        # nginx writes within five seconds.
        lines = rosewood.out("sh -c 'sleep 6 && munin-run nginx'").splitlines()
        lines = lines[1 : lines.index("multigraph nginx_statuses")]
        return {line.partition(".")[0]: int(line.split()[1]) for line in lines}

    # The self-test asks for host-meta.
    rosewood.out("systemctl stop xmpp-status.timer xmpp-status.service")
    before = counted()
    for path in ("munin/?secret=1", "http-bind", ".well-known/host-meta", "nothing-here"):
        internet.out(f"curl --silent --max-time 10 --output /dev/null https://{DOMAIN}/{path}")
    after = counted()
    rosewood.out("systemctl start xmpp-status.timer")
    grown = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    print(grown)
    assert grown == {"munin": 1, "bosh": 1, "well_known": 1, "other": 1}
    log = rosewood.out("sh -c 'cat /var/log/nginx/classes.log*'")
    assert set(" ".join(log.split("\n")).split()) <= {
        *("munin", "bosh", "well_known", "other", "websocket", "register", "upload"),
        *(str(number) for number in range(100, 600)),
    }
