# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a daemon that was taken over could do: a program in its place, in its sandbox, as its user, tries.

Settings are not looked at: systemd passes over what it cannot do.
"""

from __future__ import annotations

import json
import re

import pytest
from hosts import Journal

KEYS = {
    "certificate": "/etc/ssl/xmpp/{domain}/privkey.pem",
    "zone": "/var/lib/bind/keys",
    "accounts": "/var/lib/prosody/prosody.sqlite",
    "turn": "/etc/xmpp/turn.secret",
    "databases": "/var/lib/postgresql/{postgresql}/main",
    "ssh": "/etc/ssh/ssh_host_ed25519_key",
    "passwords": "/etc/shadow",
}
# All that each daemon can write to, and which keys it may read.
DAEMONS = {
    "prosody.service": (["/var/lib/prosody", "/run/prosody"], ["certificate", "turn", "accounts"]),
    "named.service": (["/var/lib/bind", "/var/cache/bind", "/run/named"], ["zone"]),
    "nginx.service": (["/run/nginx", "/var/lib/nginx", "/var/log/nginx"], ["certificate"]),
    "coturn.service": (["/run/coturn"], ["certificate", "turn"]),
    "munin-node.service": (
        ["/run/munin-node", "/var/lib/munin-node"],
        ["certificate", "zone", "accounts", "turn", "databases"],
    ),
    "postgresql@.service": (["/var/lib/postgresql", "/var/log/postgresql", "/run/postgresql"], ["databases"]),
    "chrony.service": (["/var/lib/chrony", "/var/log/chrony", "/run/chrony"], []),
}
# Programs of ours, which run now and then.
PROGRAMS = {
    "xmpp-alarm.service": ["/var/lib/xmpp-alarm"],
    "xmpp-alarm@probe.service": [],
    # chronyc has its end of the socket beside chronyd's, and what was told is noted where no disk can be full.
    "xmpp-status.service": ["/var/lib/xmpp-status", "/run/chrony", "/run/xmpp-status"],
    # It looks for what somebody has left in the folders for all.
    "hardening-check@files.service": ["/dev", "/var/lib/aide", "/var/lib/hardening"],
}
# Memory that programs share, and folders that are each sandbox's own.
ALL = {"/dev/hugepages", "/dev/mqueue", "/dev/shm", "/tmp", "/var/tmp"}


@pytest.fixture
def probe(host, release):
    """Run the probe as a service with all that systemd knows of a daemon but its commands."""
    version = {"trixie": "17", "bookworm": "15"}[release]

    def run(unit: str, **wanted: object) -> dict:
        unit = unit.replace("@.", f"@{version}-main.")
        name = unit.rpartition("@")[2].removesuffix(".service")
        # As systemd has put it together, with the drop-ins in their order.
        text = (host.out(f"systemctl cat {unit}") + "\n").replace("%i", name).replace("%I", name.replace("-", "/"))
        text = re.sub(
            r"^(Exec\w+|Type|PIDFile|Restart\w*|OnFailure|EnvironmentFile|ConditionPathExists|User\b|Group\b)=.*\n",
            "",
            text,
            flags=re.M,
        )
        shown = host.out(f"systemctl show -P User -P Group {unit}").splitlines()
        user, group = (shown + ["", ""])[:2]
        argument = json.dumps(json.dumps({"own": "", **wanted}).replace("%", "%%"))
        text += (
            # The daemon goes on, and needs its folder.
            f"\n[Service]\nRuntimeDirectoryPreserve=yes\nType=oneshot\nUser={user}\nGroup={group}\nExecStart=/usr/local/libexec/probe {argument}\n"
        )
        host.out("sh -c 'cat > /run/systemd/system/probe.service'", stdin=text)
        host.out("sh -c 'systemctl daemon-reload; systemctl reset-failed probe.service 2>/dev/null; true'")
        journal = Journal(host)
        host.run("systemctl start probe.service")
        said = journal.text(unit="probe.service")
        answers = [line for line in said.splitlines() if line.startswith("{")]
        assert answers, said
        return json.loads(answers[-1])

    yield run
    host.run("sh -c 'rm -f /run/systemd/system/probe.service; systemctl daemon-reload'")


@pytest.mark.parametrize("daemon", DAEMONS)
def test_it_can_do_nothing_else(host, release, probe, daemon):
    writes, reads = DAEMONS[daemon]
    domain = host.out("ls /etc/ssl/xmpp")
    version = {"trixie": "17", "bookworm": "15"}[release]
    keys = {name: path.format(domain=domain, postgresql=version) for name, path in KEYS.items()}
    host.out("sh -c 'mkdir -p /home/somebody && chmod 755 /home/somebody && echo x >/home/somebody/letter'")
    host.out(
        "sh -c 'cd /var/lib/prosody; test -s prosody.sqlite || { echo x >prosody.sqlite; chmod 600 prosody.sqlite; "
        "chown prosody:prosody prosody.sqlite; }'"
    )
    answer = probe(daemon, read=[*keys.values(), "/home/somebody/letter", "/root"])
    print(f"{daemon} on {release}: {answer}")
    assert set(answer["write"]) - ALL == set(writes)
    assert [name for name, path in keys.items() if answer["read"][path] is True and name not in reads] == []
    assert answer["read"]["/home/somebody/letter"] is not True
    assert answer["read"]["/root"] is not True
    for what in ("raw socket", "packet socket", "mount", "namespace", "memory to write and run"):
        assert answer[what] is not True, what
    assert answer["no_new_privileges"] == "1"


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_write_only_what_is_theirs(release, probe, program):
    answer = probe(program, read=[])
    print(f"{program} on {release}: {answer}")
    assert set(answer["write"]) - ALL == set(PROGRAMS[program])
    assert answer["mount"] is not True


@pytest.mark.parametrize("daemon", DAEMONS)
def test_no_daemon_takes_all_memory(host, release, daemon):
    """The lab has no part in the machine's memory, so that systemd is asked what it would tell the kernel."""
    unit = daemon.replace("@.", f"@{ {'trixie': '17', 'bookworm': '15'}[release] }-main.")
    limit, there = (
        host.out(f"systemctl show -P MemoryMax {unit}"),
        host.out("awk '/^MemTotal/ {print $2}' /proc/meminfo"),
    )
    print(f"{unit}: {limit} of {int(there) * 1024} bytes")
    assert 0 < int(limit) <= int(there) * 1024 * 0.6


def test_the_probe_can_see_what_is_open(host, probe):
    """Without a sandbox the same program can do all of it: what is refused above is the sandbox's doing."""
    host.out("sh -c 'mkdir -p /home/somebody && echo x >/home/somebody/letter'")
    host.out(
        "sh -c 'printf \"[Service]\\nExecStart=/bin/true\\n\" > /run/systemd/system/open.service; systemctl daemon-reload'"
    )
    answer = probe("open.service", read=["/home/somebody/letter", "/root", "/etc/shadow"])
    print(answer)
    assert answer["write"] == ["/"] and set(answer["read"].values()) == {True}
    for what in ("mount", "namespace", "memory to write and run"):
        assert answer[what] is True, what
