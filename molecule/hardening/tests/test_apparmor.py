# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the profiles of AppArmor allow all that the daemons do, from their start to their stop.

A container has no AppArmor: strace sees each file that a daemon touches, and the rules are applied here.
"""

from __future__ import annotations

import asyncio
import re
import secrets

import pytest
from apparmor import CALLS, Profile, accesses
from clients import Client
from conftest import HOSTS, NAMES
from hosts import CA
from pages import status_of

FILES = ("usr.bin.prosody", "usr.bin.turnserver", "usr.sbin.named", "usr.sbin.nginx")
UNITS = "named.service coturn.service prosody.service nginx.service"


async def talk(domain: str, address: str, password: str) -> None:
    """Log in, write into the archive and the account's own store, and log out."""
    client = await Client(f"oak@{domain}", password, (address, 5222), CA).login()
    client.say(f"oak@{domain}", "<body>acorn</body>")
    await client.body("acorn")
    await client.ask("set", "<vCard xmlns='vcard-temp'><FN>Oak</FN></vCard>")
    await client.logout()


@pytest.fixture(scope="module")
def seen(hosts) -> dict[str, set[tuple[str, str, str]]]:
    """By release, what each daemon does while it is started, used, reloaded and stopped."""
    found = {}
    for release, host in hosts.items():
        entry = HOSTS[NAMES[release]]
        domain, password = entry["xmpp_domain"], secrets.token_urlsafe(12)
        host.run(f"prosodyctl deluser oak@{domain}")
        host.out(f"prosodyctl adduser oak@{domain}", stdin=f"{password}\n" * 2)
        host.out(f"systemctl stop {UNITS}")
        # Whatever systemd starts from now on.
        host.out(
            "sh -c 'rm -f /root/trace; strace -f -y -s 4096 -qq -o /root/trace "
            f"-e trace={CALLS} -e signal=none -p 1 >/dev/null 2>&1 & echo $! >/root/strace.pid'"
        )
        try:
            host.out(f"systemctl start {UNITS}")
            host.out("sh -c 'for n in $(seq 60); do xmpp-status >/dev/null; [ $? -lt 2 ] && exit; sleep 1; done'")
            asyncio.run(talk(domain, entry["ansible_host"], password))
            for page in ("", ".well-known/host-meta", "register/", "chat/", "munin/", "nothing"):
                print(page, status_of(domain, entry["ansible_host"], page))
            host.out("systemctl reload named.service prosody.service nginx.service coturn.service")
            host.out("sh -c 'rndc sync; rndc reload; sleep 3'")
            host.out(f"systemctl restart {UNITS}")
        finally:
            host.run("sh -c 'kill $(cat /root/strace.pid)'")
            host.run(f"systemctl start {UNITS}")
        programs = {profile.program: name for name, profile in profiles(host).items()}
        found[release] = accesses(host.out("sh -c 'cat /root/trace; rm -f /root/trace'"), programs)
    return found


def profiles(host) -> dict[str, Profile]:
    return {
        name: Profile(host.out(f"apparmor_parser --preprocess --skip-cache --skip-kernel-load /etc/apparmor.d/{name}"))
        for name in FILES
    }


def resolved(host, paths: set[str]) -> dict[str, str]:
    """As AppArmor knows paths: without links, and with the /tmp of the daemon's own."""
    given = sorted(paths)
    answers = host.out("xargs -d '\\n' realpath -m --", stdin="\n".join(given)).splitlines()
    return {
        path: re.sub(r"^(/var)?/tmp/systemd-private-[^/]*/tmp", r"\1/tmp", answer) + ("/" if path.endswith("/") else "")
        for path, answer in zip(given, answers, strict=True)
    }


@pytest.mark.parametrize("name", FILES)
def test_a_daemon_may_do_what_it_does(host, release, seen, name):
    profile = profiles(host)[name]
    done = {(path, permission) for who, path, permission in seen[release] if who == name}
    real = resolved(host, {path for path, _permission in done})
    refused = sorted(
        {(real[path], permission) for path, permission in done if not profile.allows(real[path], permission)}
    )
    print(f"{name}: {len(done)} accesses, refused: {refused}")
    assert len(done) > 30
    assert refused == []


@pytest.mark.parametrize("name", FILES)
def test_a_daemon_may_not_do_what_it_need_not(host, name):
    profile = profiles(host)[name]
    for path in ("/etc/shadow", "/etc/ssh/ssh_host_ed25519_key", "/root/.ssh/authorized_keys", "/home/oak/letter"):
        assert not profile.allows(path, "r")
    for path in ("/usr/bin/true", "/etc/passwd", "/var/lib/cron", "/etc/prosody/prosody.cfg.lua", "/usr/local/sbin/x"):
        assert not profile.allows(path, "w")
    for path in ("/usr/bin/dash", "/usr/bin/bash", "/tmp/x", "/var/lib/prosody/x", "/usr/bin/python3.13"):
        assert not profile.allows(path, "x")
    # coturn may read its folder and write nowhere, as in its sandbox.
    owners = {"prosody": "usr.bin.prosody", "turn": None, "bind": "usr.sbin.named", "nginx": "usr.sbin.nginx"}
    for folder, owner in owners.items():
        assert profile.allows(f"/var/lib/{folder}/x", "w") == (owner == name)
