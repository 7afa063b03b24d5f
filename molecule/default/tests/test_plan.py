# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook plan names what differs from the inventory, playbook site mends it, and nothing else runs."""

from __future__ import annotations

import pytest
from conftest import HOSTNAME, INVENTORY, SCENARIO
from hosts import ansible, apply

# One fault of each kind and for each role: what breaks it, and what the plan says of it.
FAULTS = {
    "hardening": ("echo >> /etc/issue.net", "1 file to change: /etc/issue.net"),
    "firewall": ("echo >> /etc/nftables-minimal.conf", "1 file to change: /etc/nftables-minimal.conf"),
    "alarms": ("systemctl stop xmpp-alarm.socket", "1 unit to start: xmpp-alarm.socket"),
    "updates": ("chmod 600 /etc/apt/apt.conf.d/90updates", "1 file to change: /etc/apt/apt.conf.d/90updates"),
    "certificates": ("chmod 700 /etc/ssl/xmpp/broccoli.test", "1 file to change: /etc/ssl/xmpp/broccoli.test"),
    "bind": ("echo >> /etc/bind/named.conf", "1 file to change: /etc/bind/named.conf"),
    "turn": ("rm /etc/sysctl.d/90-turn.conf", "1 file to change: /etc/sysctl.d/90-turn.conf"),
    "prosody": (
        "gpasswd --delete prosody xmpp-tls; chown prosody /usr/local/sbin/xmpp-invite",
        "2 files to change: /etc/sysusers.d/xmpp-prosody.conf, /usr/local/sbin/xmpp-invite",
    ),
    "nginx": ("echo >> /etc/nginx/nginx.conf", "1 file to change: /etc/nginx/nginx.conf"),
    "munin": ("systemctl disable munin-node.service", "1 unit to start: munin-node.service"),
    "backup": ("chmod 700 /var/lib/xmpp-backup", "1 file to change: /var/lib/xmpp-backup"),
    "status": ("systemctl disable --now xmpp-status.timer", "1 unit to start: xmpp-status.timer"),
}


MORE = ("--limit", HOSTNAME, f"--inventory={SCENARIO.parent}")


def play(name: str, *options: str) -> str:
    done = ansible("ansible-playbook", f"magicbroccoli.xmpp.{name}", *options, *MORE, inventory=INVENTORY)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.any_release(
    "how differences are named is decided on the controller; the runs in check mode and without change find them"
)
def test_what_was_changed_by_hand_is_named_and_mended(rosewood):
    for command, _said in FAULTS.values():
        rosewood.out(command)
    said = play("plan")
    print(said)
    missed = [line for role, (_command, what) in FAULTS.items() if (line := f"{role}: {what}") not in said]
    assert missed == []
    checked = play("site", "--check", "--diff")
    print(checked)
    assert [line for role, (_command, what) in FAULTS.items() if (line := f"{role}: {what}") not in checked] == []
    # All in one call to the host, the differences of the files before the list, and the sums last.
    assert "--- before: /etc/nginx/nginx.conf" in checked and "changed=1 " in checked
    assert checked.partition("TASK [Show what is to change]")[2].partition("PLAY RECAP")[0].strip().endswith(HOSTNAME)
    assert play("plan") == said
    mended = play("site")
    print(mended)
    again = play("plan")
    print(again)
    assert f"nothing to change on {HOSTNAME}" in again


def test_a_unit_that_does_not_start_is_shown_with_its_journal(rosewood):
    unit = "/etc/systemd/system/stubborn.service"
    rosewood.out(
        f"printf '[Service]\\nType=oneshot\\nExecStart=/bin/sh -c \"echo there is no port; exit 3\"\\n' > {unit}"
    )
    try:
        what = ("-m", "magicbroccoli.xmpp.units", "-a", '{"started": ["cron.service", "stubborn.service"]}', "--become")
        done = ansible("ansible", HOSTNAME, *what, inventory=INVENTORY)
        print(done.stdout)
        assert done.returncode != 0
        assert "stubborn.service did not start" in done.stdout
        assert "there is no port" in done.stdout
    finally:
        rosewood.out(f"rm {unit}; systemctl daemon-reload; systemctl reset-failed")


@pytest.mark.any_release("what an upgrade has left is read from its notes")
def test_nothing_comes_in_between_of_an_upgrade(rosewood):
    """One that has stopped while PostgreSQL's data is in the old version: neither the site nor a role alone changes a thing."""
    notes = "/var/lib/xmpp-upgrade"
    rosewood.out(f"mkdir {notes}")
    rosewood.out(f"cat > {notes}/state.json", stdin='{"done": ["sources", "packages"]}')
    try:
        site = ansible("ansible-playbook", "magicbroccoli.xmpp.site", *MORE, inventory=INVENTORY)
        alone = apply(["nginx"], HOSTNAME, *MORE, inventory=INVENTORY)
    finally:
        rosewood.out(f"rm -r {notes}")
    for done in (site, alone):
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 2 and "changed=0" in said, said[-3000:]
        assert (
            f"{HOSTNAME} is in the middle of an upgrade to Debian 13, which lacks the steps postgresql. "
            "Run playbook upgrade_debian again: it goes on from there." in said
        ), said[-3000:]
