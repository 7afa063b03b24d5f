# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook remove: the hosts of test_moving_in.py become again what they were before."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import ssl
import subprocess

import pytest
from clients import Client, Refused
from hosts import CA, TOP, ansible
from test_moving_in import CROWDED, ELDER, HOSTS, SCENARIO, STATE, host

# Numbers of accounts, which came with packages' users and went; caches; copies that programs keep of the former file.
CHANGES = re.compile(
    r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|/etc/ld\.so\.cache$|/etc/\.updated$|/etc/mailname$"
    # Data that stays: certificates with their keys.
    r"|/etc/ssl(/xmpp.*)?$|/etc/letsencrypt"
    # How services that are off are noted for init; what Debian starts where it is installed, and the lab's image does not.
    r"|/etc/rc[0-6S]\.d/|/etc/systemd/system/[a-z-]+\.target\.wants/(cron\.service|logrotate\.timer)$"
)
# What hardening's tmpfiles.d has made stricter stays so until an upgrade of its package, as the list says.
STRICTER = re.compile(r"/etc/(crontab|cron\.(d|hourly|daily|weekly|monthly|yearly)|ssh/sshd_config|sudoers\.d)$")


def remove(*options: str) -> subprocess.CompletedProcess:
    return ansible("ansible-playbook", str(TOP / "playbooks/remove.yml"), *options, inventory=SCENARIO / "inventory")


def listed(text: str) -> list[str]:
    """The list that the playbook shows, an entry a line."""
    return [line.replace("''", "'") for line in re.findall(r"^ +- '?((?:[a-z ',]+): .+?)'?$", text, re.M)]


class AnyCertificate(Client):
    """A client of a stock Prosody, whose certificate nobody has signed."""

    def get_ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


async def login(name: str, password: str) -> None:
    client = AnyCertificate(f"{name}@moved.test", password, (HOSTS[ELDER]["ansible_host"], 5222), CA)
    try:
        await client.login()
    finally:
        await client.logout()


# The removal says here that it has begun; it goes on with stopped units, what comes back, and what goes, in the order of names.
MARK, EARLY = "/var/backups/xmpp/removing.json", "/etc/apt/apt.conf.d/90updates"
# Ansible's module has no argument, as it comes by the standard input.
KILL = f"until [ -e {MARK} ] && [ ! -e {EARLY} ]; do sleep 0.002; done; pkill -KILL -f '^/usr/bin/python3$'"


@pytest.fixture(scope="module")
def removed() -> dict:
    """The elder host: before, after a list, after a refusal, in a removal that is killed, and after the next one."""
    elder = host(ELDER)
    found = {"before": elder.out(STATE)}
    found["check"] = remove(f"--limit={ELDER}", "--check")
    found["refused"] = remove(f"--limit={ELDER}")
    found["unchanged"] = elder.out(STATE)
    elder.out(f"systemd-run --quiet --collect --unit kill-removal bash -c {shlex.quote(KILL)}")
    found["killed"] = remove(f"--limit={ELDER}", f"--extra-vars=site_remove={ELDER}")
    found["mark"] = elder.out(f"cat {MARK}")
    found["done"] = remove(f"--limit={ELDER}", f"--extra-vars=site_remove={ELDER}")
    return found


# Timers and alarms go on until the removal: a job that runs at this moment.
OF_JOBS = re.compile(r"stop: (xmpp|hardening)-\S+\.service")


def test_without_the_host_s_name_the_list_is_all_that_happens(removed):
    check, refused = removed["check"], removed["refused"]
    assert check.returncode == 0, check.stdout + check.stderr
    said = (refused.stdout + refused.stderr).replace("\n", " ")
    assert refused.returncode != 0 and re.search(rf"-e\s+site_remove={ELDER}", said), said
    lines = listed(check.stdout)
    print(f"{len(lines)} lines, {sum(line.startswith('remove: ') for line in lines)} paths to remove")
    steady = [
        [line for line in listed(run.stdout) if not OF_JOBS.fullmatch(line)]
        for run in (check, refused, removed["killed"])
    ]
    assert steady[0] and steady[0] == steady[1] == steady[2]
    assert {
        "stop: nginx.service",
        "disable: nginx.service",
        "bring back as it was before: /etc/prosody/prosody.cfg.lua",
        "bring back as it was before: /etc/nginx/sites-enabled/default",
        "remove: /etc/apt/apt.conf.d/90updates",
        "remove: /etc/apparmor.d/usr.bin.prosody",
        "remove: /etc/sysctl.d/90-hardening.conf",
        "delete the group: xmpp-turn",
        "leave the group, without members, to which keys belong: xmpp-tls",
        "start again: prosody.service",
        "leave the data: /var/lib/prosody",
        "leave the data: /etc/ssl/xmpp/moved.test",
    } <= set(lines)
    changed = set(removed["unchanged"].splitlines()) ^ set(removed["before"].splitlines())
    # Daemons write their data, sources of connections are counted, and timers and alarms start their jobs.
    data = "/var/lib/(bind|munin|nginx|prosody|turn|xmpp)"
    expected = rf"{data}|/root|^\s+elements = |^(xmpp|hardening)-\S+\.(service|socket) "
    assert [line for line in changed if not re.search(expected, line)] == []


def test_a_removal_that_is_killed_goes_on(removed):
    """What is left to do is in the list of the next one, and the following tests see that nothing is missing."""
    killed, mark, left = removed["killed"], json.loads(removed["mark"]), listed(removed["done"].stdout)
    print(f"noted: {mark}; then {len(left)} lines were left of {len(listed(killed.stdout))}")
    assert killed.returncode != 0 and mark["ours"]
    assert 0 < len(left) < len(listed(killed.stdout))
    assert "start again: prosody.service" in left and not any(EARLY in line for line in left)


def test_the_host_is_what_it_was(removed):
    done = removed["done"]
    assert done.returncode == 0, done.stdout + done.stderr
    elder = host(ELDER)
    for what, command in (
        ("attributes", "find /etc /usr/local /usr/share/pam-configs -xdev -printf '%p %u %g %m %l\\n' | sort"),
        ("contents", "find /etc /usr/local /usr/share/pam-configs -xdev -type f -exec sha256sum {} + | sort"),
    ):
        was = set(elder.out(f"cat /root/before.{what}").splitlines())
        now = set(elder.out(command).splitlines())
        different = {line: "+" if line in now else "-" for line in was ^ now}

        def path_of(line, what=what):
            return line.split()[0] if what == "attributes" else line.split(None, 1)[1]

        wrong = [f"{side} {line}" for line, side in sorted(different.items()) if not CHANGES.search(path_of(line))]
        if what == "attributes":
            wrong = [line for line in wrong if not STRICTER.search(line.split()[1])]
        print(f"{what}: {len(now)} entries, {len(different)} differ")
        assert len(was) > 500 and wrong == []


def test_nothing_of_the_collection_runs_or_is_in_the_kernel(removed):
    elder = host(ELDER)
    units = elder.out(
        "systemctl list-units --all --plain --no-legend 'xmpp-*' 'hardening-*' | grep -v not-found || true"
    )
    rules = elder.out("nft list tables")
    listening = set(re.findall(r":(\d+) ", elder.out("ss -Hltn | awk '{print $4\" \"}'")))
    print(f"units: {units or 'none'}; rules: {rules or 'none'}; ports: {sorted(listening)}")
    assert units == "" and rules == ""
    assert listening == {"22", "5222", "5269"}
    assert elder.out("systemctl --failed --plain --no-legend") == ""
    # The keys are its, and its number must not be another's tomorrow.
    assert re.fullmatch(r"xmpp-tls:x:\d+:", elder.out("getent group | grep xmpp-"))
    assert elder.out("find / -xdev \\( -nouser -o -nogroup \\)") == ""


def test_the_old_server_has_its_people_again(removed):
    for name in ("anna", "bert", "cleo"):
        asyncio.run(login(name, f"of {name}"))
    with pytest.raises(Refused):
        asyncio.run(login("anna", "of bert"))
    elder = host(ELDER)
    assert elder.out("systemctl is-enabled prosody.service") == "enabled"
    # What the new server has got stays.
    assert elder.run("test -s /var/lib/prosody/prosody.sqlite").rc == 0


def test_a_second_removal_changes_nothing(removed):
    again = remove(f"--limit={ELDER},blank.moved.test")
    assert again.returncode == 0, again.stdout + again.stderr
    for name in (ELDER, "blank.moved.test"):
        assert re.search(rf"{name} +: .*changed=0 ", again.stdout), again.stdout
    assert again.stdout.count("Nothing of the collection is on this host") == 2


def test_all_kinds_of_services_come_back():
    """The crowded host was taken over, and nothing was set up yet: what was switched off is on again."""
    crowded = host(CROWDED)
    assert crowded.run("test -e /var/backups/xmpp/take-over.json").rc == 0
    done = remove(f"--limit={CROWDED}", f"--extra-vars=site_remove={CROWDED}")
    assert done.returncode == 0, done.stdout + done.stderr
    active = crowded.run("systemctl is-active ejabberd firewalld fail2ban own-5269 own-8443 nginx named").stdout.split()
    print(active)
    assert "ENABLED=yes" in crowded.out("cat /etc/ufw/ufw.conf")
    assert "dport 5222 drop" in crowded.out("nft list table ip guard")
    assert crowded.out("readlink /etc/nginx/sites-enabled/shop.conf") == "../sites-available/shop"
    assert "shop.test" in crowded.out("cat /etc/bind/named.conf.local")
    assert crowded.out("dig +short @127.0.0.1 ns.shop.test A || true") == "198.51.100.61"
    enabled = crowded.run("systemctl is-enabled ejabberd firewalld fail2ban").stdout.split()
    assert enabled == ["enabled"] * 3
