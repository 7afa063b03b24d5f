# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever writes a log on a host rotates it, and goes on in the new file."""

from __future__ import annotations

import re
import time

from conftest import HOSTS, NAMES
from pages import status_of

# Of a fixed size, written once or anew each time; or of programs of munin's that do not run here.
ELSEWHERE = r"/var/log/(journal/.*|lastlog|faillog|fontconfig\.log|README|private/.*|apt/eipp\.log\.xz|lynis.*|munin/munin-(cgi|node-conf).*)"


def files(host) -> set[str]:
    return set(host.out("find /var/log -type f").split())


def test_every_log_is_rotated(host):
    assert host.out("systemctl is-enabled logrotate.timer") == "enabled"
    assert host.out("systemctl is-active logrotate.timer") == "active"
    said = host.out("sh -c 'logrotate -d /etc/logrotate.conf 2>&1'")
    considered = set(re.findall(r"considering log (\S+)", said))
    left = sorted(path for path in files(host) - considered if not re.fullmatch(ELSEWHERE, path))
    print(f"{len(considered)} logs are rotated; left: {left}")
    assert "error:" not in said
    assert "/var/log/nginx/classes.log" in considered
    # What has been rotated has a number.
    assert [path for path in left if not re.search(r"\.\d+(\.gz)?$", path)] == []


def test_a_daemon_goes_on_in_the_new_file(host, release):
    entry = HOSTS[NAMES[release]]
    log, domain, address = "/var/log/nginx/classes.log", entry["xmpp_domain"], entry["ansible_host"]

    def ask() -> None:
        assert status_of(domain, address, ".well-known/host-meta") == 200

    def wait(size: str) -> None:
        end = time.monotonic() + 60
        while host.run(f"test {size} {log}").rc and time.monotonic() < end:
            ask()
            time.sleep(0.5)
        assert host.run(f"test {size} {log}").rc == 0

    wait("-s")
    former = host.out(f"stat -c %i {log}")
    # As the timer starts it: in its own sandbox, but not before its time.
    host.out(
        "sh -c 'mkdir -p /run/systemd/system/logrotate.service.d; cd /run/systemd/system/logrotate.service.d; "
        'printf "[Service]\nExecStart=\nExecStart=/usr/sbin/logrotate --force /etc/logrotate.conf\n" >force.conf; '
        "systemctl daemon-reload; systemctl start logrotate.service; code=$?; rm -r $PWD; systemctl daemon-reload; exit $code'"
    )
    wait("-s")
    new = host.out(f"stat -c %i {log} {log}.1").split()
    print(f"{release}: {log} was {former}; now it and the rotated one are {new}")
    assert new[1] == former != new[0]
    assert host.out("systemctl is-active nginx prosody named munin-node").split() == ["active"] * 4
