# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom chrony follows, by this host's own configuration, with servers of the tests in the place of those of the internet.

A container has no clock of its own: chronyd leaves it alone here, and does all the rest.
"""

from __future__ import annotations

import pytest
from conftest import DOMAIN
from hosts import TOP

FOLDER = "/run/clock"
CHECK = (TOP / "roles/hardening/templates/etc/xmpp/status.d/clock").read_text()
PAIR = f"/etc/ssl/xmpp/{DOMAIN}"


def configuration(text):
    """The host's configuration, whose server with NTS and plain ones are here, and are asked often."""
    lines, plain, proving = [], 0, 0
    for line in text.splitlines():
        if line.startswith("server ") and " nts" in line:
            options = line.split(maxsplit=2)[2]
            if not proving:
                lines.append(f"server {DOMAIN} port 12123 ntsport 14460 {options} minpoll -2 maxpoll -2")
            proving += 1
        elif line.startswith("server "):
            plain += 1
            lines.append(
                f"server 127.0.0.{plain} port 11123 {line.partition(' ')[2].partition(' ')[2]} minpoll -2 maxpoll -2"
            )
        elif not line.startswith(("sourcedir", "confdir", "driftfile", "ntsdumpdir", "logdir", "keyfile", "rtcsync")):
            lines.append(line)
    assert proving > 1 and plain > 2, text
    return "\n".join(
        [
            *lines,
            f"ntstrustedcerts {FOLDER}/ca.pem",
            f"bindcmdaddress {FOLDER}/client.sock",
            f"pidfile {FOLDER}/client.pid",
            "",
        ]
    )


@pytest.fixture
def clock(host):
    server = "cmdport 0\nlocal stratum 3\nallow\n"
    files = {
        "plain.conf": f"port 11123\n{server}bindcmdaddress {FOLDER}/plain.sock\npidfile {FOLDER}/plain.pid\n",
        "client.conf": configuration(host.out("cat /etc/chrony/chrony.conf")),
        "chronyc": f'#!/bin/sh\nexec /usr/bin/chronyc -h {FOLDER}/client.sock "$@"\n',
        "check": CHECK,
        "hosts": f"127.0.0.1 localhost {DOMAIN}\n",
    }
    host.out(
        f"mkdir -p {FOLDER}; chmod 750 {FOLDER}; awk '/BEGIN/ {{n++}} n == 2' {PAIR}/fullchain.pem > {FOLDER}/ca.pem"
    )
    for name, text in files.items():
        host.out(f"cat > {FOLDER}/{name}; chmod 755 {FOLDER}/{name}", stdin=text)

    def start(name):
        host.out(
            f"systemd-run --unit=clock-{name} -p BindReadOnlyPaths={FOLDER}/hosts:/etc/hosts chronyd -x -d -u root -f {FOLDER}/{name}.conf"
        )

    yield start
    host.run(f"systemctl stop clock-plain clock-client; systemctl reset-failed; rm -r {FOLDER}")


def test_plain_servers_are_followed_where_none_with_nts_answers(host, clock):
    """Its port is closed here."""
    clock("plain")
    clock("client")

    def judged():
        result = host.run(f"PATH={FOLDER}:$PATH {FOLDER}/check")
        return result if "synchronised to " in result.stdout else None

    result = host.wait(120, judged, "chrony follows a server")
    print(host.out(f"{FOLDER}/chronyc -N sources"))
    print(result.stdout)
    assert result.rc == 1 and "by plain NTP, which anybody on the way can forge" in result.stdout
