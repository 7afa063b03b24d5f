# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of hosts that are in use, and that go wrong. test_restore.py, which comes after it, loses the hosts."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path

import pytest
from clients import CLIENT, archive
from conftest import LOOP, PASSPHRASE, SITES, play, playing
from hosts import PLAIN, TOP, until

KEY = "BEGIN OPENSSH PRIVATE KEY"


def start(site) -> None:
    site.host.out("systemctl start xmpp-backup.service")


def state(site) -> dict:
    return json.loads(site.host.out("cat /var/lib/xmpp-backup/state.json"))


def sizes(site) -> str:
    """What the last run says of its snapshots."""
    return site.host.out(
        "sh -c 'journalctl --quiet --output=cat "
        "_SYSTEMD_INVOCATION_ID=$(systemctl show --value --property=InvocationID xmpp-backup.service)'"
    )


async def test_a_backup_of_hosts_in_use(willow):
    """Everybody goes on talking while playbook backup runs on both hosts, and no secret is anywhere to be seen."""
    talks = {}
    for site in SITES.values():
        site.host.run(
            "systemd-run --quiet --unit=watch-arguments sh -c 'while :; do cat /proc/[0-9]*/cmdline; done "
            "2>/dev/null | tr \\\\0 \\\\n > /run/arguments'"
        )
        talks[site.name] = asyncio.ensure_future(talk(site))
    command = playing("backup", ":".join(SITES))
    run = await asyncio.create_subprocess_exec(
        *command, "--diff", "-vvv", cwd=TOP, env=PLAIN, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = (await run.communicate())[0].decode()
    assert run.returncode == 0, said[-3000:]
    for task in talks.values():
        task.cancel()
    results = dict(zip(talks, await asyncio.gather(*talks.values()), strict=True))
    for site in SITES.values():
        sent, slowest = results[site.name]
        site.host.run("systemctl stop watch-arguments")
        print(f"{site.name}: {sent} messages arrived meanwhile, the slowest after {slowest * 1000:.0f} ms")
        print(sizes(site))
        assert sent > 50
        # None is missing in the archive: Prosody does not wait for a database that somebody reads.
        bob = await site.login("bob")
        texts = [text for _id, _to, text in await archive(bob) if text.startswith("talk ")]
        await bob.logout()
        assert texts[:sent] == [f"talk {number}" for number in range(sent)]
        arguments = site.host.out("cat /run/arguments")
        assert "restic" in arguments and "sftp" in arguments
        assert PASSPHRASE not in arguments and KEY not in arguments
        journal = site.host.out("journalctl --quiet --boot")
        assert PASSPHRASE not in journal and KEY not in journal
        assert re.search(rf"accounts: \d+ at {site.jid}", said)
    assert PASSPHRASE not in said and KEY not in said


async def talk(site) -> tuple[int, float]:
    """Messages from one to the other, each of which has to arrive, until it is cancelled."""
    alice, bob = await site.login("alice"), await site.login("bob")
    sent, slowest = 0, 0.0
    try:
        while True:
            begin = time.monotonic()
            alice.say(bob.boundjid.bare, f"<body>talk {sent}</body>")
            await asyncio.shield(bob.body(f"talk {sent}", 60))
            slowest = max(slowest, time.monotonic() - begin)
            sent += 1
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        await alice.logout()
        await bob.logout()
    return sent, slowest


def test_nobody_else_reads_it(site):
    """Only what is for others is: when the last backup was, and how large it is."""
    readable = site.host.out(
        "find /etc/xmpp/backup.* /var/lib/xmpp-backup /var/cache/xmpp-backup -type f -perm /077 -o "
        "-path '*/cache/*' -type d -perm /077"
    )
    assert readable.split() == ["/var/lib/xmpp-backup/state.json"]
    known = site.host.out("setpriv --reuid=nobody --clear-groups cat /var/lib/xmpp-backup/state.json")
    print(known)
    found = json.loads(known)
    assert found["last_error"] is None and found["size"] > 0
    assert time.time() - found["last_success"] < 600 and time.time() - found["last_check"] < 600
    assert len(found["repositories"]) == len(site.repositories)


def test_the_target_cannot_read_it(willow, cellar):
    """Nothing of a certificate, an account or a message is in clear there."""
    found = cellar.run(f"grep -rla -e @{willow.domain} -e 'BEGIN' -e alice -e 'talk 1' /srv/backup/willow")
    assert (found.rc, found.stdout) == (1, "")
    assert "data" in cellar.out("ls /srv/backup/willow")


def test_the_second_backup_is_small(site):
    """Of a whole database what has changed is new."""
    start(site)
    said = sizes(site)
    print(said)
    parts = re.findall(r"files: \d+, ([\d.]+) (\w+), ([\d.]+) (\w+) of it new", said)
    units = {"B": 1, "KiB": 1024, "MiB": 2**20}
    assert parts
    for whole, unit, new, unit_of_new in parts:
        # A megabyte that is the same all through makes large chunks.
        assert float(new) * units[unit_of_new] < float(whole) * units[unit] / 2


def test_old_ones_are_forgotten_and_pruned(willow):
    before = json.loads(willow.host.out("xmpp-backup restic snapshots --json"))
    start(willow)
    after = json.loads(willow.host.out("xmpp-backup restic snapshots --json"))
    # Of one day stays the last one; newer versions of restic keep the first one of all, too, until there are more days.
    assert before[-1]["id"] != after[-1]["id"] and len(after) <= 2


def test_it_is_sandboxed_and_gives_way(willow):
    assert willow.host.run("systemd-run --wait --quiet true").rc == 0
    exposure = willow.host.out("systemd-analyze security --no-pager xmpp-backup.service | tail -n 1")
    print(exposure)
    assert float(re.search(r"([\d.]+) ", exposure)[1]) <= 4.5
    assert "00:30" in willow.host.out("systemctl cat xmpp-backup.timer")
    print(willow.host.out("systemctl list-timers --no-pager xmpp-backup.timer | sed -n 2p"))


@pytest.fixture
def alarm(willow):
    """Has a backup go wrong, and returns the alarm. The service goes on, and the next backup is a good one."""

    def failing(words: list[str], command: str = "systemctl start xmpp-backup.service") -> str:
        begin = willow.host.out("date +%s.%N")
        done = willow.host.run(command)
        assert done.rc != 0, done.stdout
        told = f"journalctl --quiet --output=cat --identifier=xmpp-alarm --since=@{begin}"
        until(lambda: "xmpp-backup.service has failed" in willow.host.out(told))
        text = willow.host.out(told)
        print(text[-3000:])
        for word in words:
            assert word in text
        assert PASSPHRASE not in text
        assert state(willow)["last_error"]
        return text

    yield failing
    LOOP.run_until_complete(asyncio.wait_for(serves(willow), 60))
    start(willow)
    assert state(willow)["last_error"] is None


async def serves(site) -> None:
    client = await site.login("alice")
    await client.ping()
    await client.logout()


SFTP = "sftp:keeper@198.51.100.72:/srv/backup/willow"


def test_a_target_that_is_away(willow, alarm):
    before = state(willow)["repositories"]
    admin = LOOP.run_until_complete(willow.login("admin"))
    willow.host.out("ip route add unreachable 198.51.100.72")
    try:
        alarm([f"{SFTP}: the target cannot be reached", "/srv/disk/backup: snapshot"])
    finally:
        willow.host.out("ip route del unreachable 198.51.100.72")
    # Its administrator is told by XMPP.
    told = LOOP.run_until_complete(
        admin.take(
            lambda message: (
                "willow.orchard.test: xmpp-backup.service has failed" in (message.findtext(f"{CLIENT}body") or "")
            ),
            150,
        )
    )
    LOOP.run_until_complete(admin.logout())
    assert "the target cannot be reached" in told.findtext(f"{CLIENT}body")
    # The other one has a new one.
    after = state(willow)["repositories"]
    assert after["/srv/disk/backup"]["last_success"] > before["/srv/disk/backup"]["last_success"]
    assert after[SFTP]["last_success"] == before[SFTP]["last_success"]


def test_a_target_that_is_somebody_else(willow, alarm):
    willow.host.out(
        "sh -c 'cp -p /etc/xmpp/backup.known-hosts /root/; sed -i s/AAAA..../AAAAB3Nz/ /etc/xmpp/backup.known-hosts'"
    )
    willow.host.out(
        'sh -c \'ssh-keygen -q -t ed25519 -N "" -f /root/other; '
        'printf "198.51.100.72 " > /etc/xmpp/backup.known-hosts; cat /root/other.pub >> /etc/xmpp/backup.known-hosts\''
    )
    try:
        alarm([f"{SFTP}: the target's SSH key is not in backup_ssh_host_keys"])
    finally:
        willow.host.out("cp -p /root/backup.known-hosts /etc/xmpp/backup.known-hosts")


def test_a_wrong_passphrase(willow, alarm):
    willow.host.out("cp -p /etc/xmpp/backup.passphrase /root/")
    willow.host.out("sh -c 'echo another-one-that-is-long > /etc/xmpp/backup.passphrase'")
    try:
        alarm([f"{SFTP}: the passphrase is not that of this repository; correct backup_passphrase"])
    finally:
        willow.host.out("cp -p /root/backup.passphrase /etc/xmpp/backup.passphrase")


def test_a_disk_that_is_not_mounted(willow, alarm):
    """Its folder is empty: nothing is made there."""
    willow.host.out("mv /srv/disk/backup /srv/disk/elsewhere")
    try:
        alarm(["/srv/disk/backup: there is no repository any more; have its disk mounted", f"{SFTP}: snapshot"])
        assert willow.host.run("ls /srv/disk/backup").rc != 0
    finally:
        willow.host.out("mv /srv/disk/elsewhere /srv/disk/backup")


def test_a_target_that_is_full(willow, cellar, alarm):
    willow.host.out("sh -c 'head -c 3000000 /dev/urandom > /var/lib/prosody/large'")
    cellar.out("sh -c 'dd if=/dev/zero of=/srv/backup/filler bs=1M 2>/dev/null; df /srv/backup'" + " || true")
    try:
        alarm([f"{SFTP}: there is no space left"])
    finally:
        cellar.out("rm /srv/backup/filler")
        willow.host.out("rm /var/lib/prosody/large")


def test_no_room_for_the_copy(willow, alarm):
    """The disk that daemons write to, too, is not filled."""
    willow.host.out("cp /var/lib/xmpp-backup/state.json /root/")
    willow.host.out("mount -t tmpfs -o size=300k tmpfs /var/lib/xmpp-backup")
    try:
        willow.host.out("cp /root/state.json /var/lib/xmpp-backup/")
        alarm(["there is no space for a copy of /var/lib/prosody/prosody.sqlite", "are left to others"])
    finally:
        willow.host.unmount("/var/lib/xmpp-backup")


def test_a_full_cache_is_no_matter(willow):
    willow.host.out("mount -t tmpfs -o size=4k,mode=0700 tmpfs /var/cache/xmpp-backup")
    try:
        start(willow)
        assert state(willow)["last_error"] is None
    finally:
        willow.host.unmount("/var/cache/xmpp-backup")


def test_one_that_is_killed(willow, alarm):
    alarm(
        [],
        command="sh -c 'systemctl start --no-block xmpp-backup.service; "
        "until pgrep -x restic; do sleep 0.01; done; systemctl kill --signal=KILL xmpp-backup.service; "
        "until systemctl is-failed xmpp-backup.service; do sleep 0.1; done; false'",
    )
    assert "has not ended: it is at work, or was killed" in state(willow)["last_error"]
    # A machine that lost its power has no failed unit, and its next boot starts the self-test.
    willow.host.out("systemctl reset-failed xmpp-backup.service")
    assert willow.host.run("xmpp-status --record").rc == 2
    checks = {check["subject"]: check for check in json.loads(willow.host.run("xmpp-status --json").stdout)}
    print(checks["backup"])
    assert (checks["backup"]["level"], checks["units"]["level"]) == ("fails", "ok")
    assert "was killed, or the machine went down" in checks["backup"]["text"]
    until(lambda: "status: backup" in willow.host.out("journalctl --quiet --output=cat --identifier=xmpp-alarm"))
    # While one is at work, nothing is wrong with it.
    willow.host.out("systemctl start --no-block xmpp-backup.service")
    until(lambda: willow.host.run("pgrep -x restic").rc == 0)
    assert '"begun": 1' in willow.host.out("cat /var/lib/xmpp-backup/state.json")
    assert "was killed" not in willow.host.run("xmpp-status").stdout
    until(lambda: state(willow)["begun"] is None)
    willow.host.run("xmpp-status --record")
    assert "backup" not in json.loads(willow.host.out("cat /var/lib/xmpp-status/status.json"))["failing"]


def test_a_damaged_repository(willow, alarm):
    """The check finds what a backup does not look at."""
    willow.host.out("systemctl start xmpp-backup.service")
    pack = willow.host.out("sh -c 'find /srv/disk/backup/data -type f -size +100k | head -n 1'")
    willow.host.out(f"cp -p {pack} /root/pack")
    willow.host.out(f"sh -c 'chmod u+w {pack}; printf damaged | dd of={pack} bs=1 seek=5000 conv=notrunc 2>/dev/null'")
    # A week later.
    willow.host.out('sed -i \'s/"last_check": [0-9]*/"last_check": 1/\' /var/lib/xmpp-backup/state.json')
    try:
        alarm(["/srv/disk/backup: the repository is damaged; see `xmpp-backup restic check`"])
    finally:
        willow.host.out(f"cp -p /root/pack {pack}")


def test_a_damaged_database(willow, alarm):
    """It is noticed at once, while there are backups of it."""
    bad = "/var/lib/prosody/bad.sqlite"
    willow.host.out(f"sh -c 'cp -p /etc/xmpp/backup.json /root/; cp -p /var/lib/prosody/prosody.sqlite {bad}'")
    willow.host.out(f"dd if=/dev/urandom of={bad} bs=4096 seek=2 count=12 conv=notrunc")
    willow.host.out(f'sed -i \'s#"/var/lib/prosody/prosody.sqlite"#"{bad}"#\' /etc/xmpp/backup.json')
    try:
        alarm([f"{bad}: the database is damaged: "])
    finally:
        willow.host.out("cp -p /root/backup.json /etc/xmpp/backup.json")
        willow.host.out(f"sh -c 'rm -f {bad}*'")


def test_a_rest_server_is_shown_the_password_and_nobody_else():
    """Debian 12's restic takes it in the address alone."""
    site = SITES["hazel.copse.test"]
    site.host.out("sh -c 'cat > /root/rest_server.py'", stdin=(Path(__file__).parent / "rest_server.py").read_text())
    site.host.out("sh -c 'mkdir -p /root/etc && cp -p /etc/xmpp/backup.* /var/lib/xmpp-backup/state.json /root/etc/'")
    site.host.out("systemd-run --quiet --unit=rest-server python3 /root/rest_server.py /srv/rest me:hunter-2/@")
    try:
        site.host.out(
            "sh -c 'cat >> /etc/xmpp/backup.env'", stdin="RESTIC_REST_USERNAME=me\nRESTIC_REST_PASSWORD=hunter-2/@\n"
        )
        site.host.out('sed -i \'s#"sftp:.*"#"rest:http://127.0.0.1:8000/"#\' /etc/xmpp/backup.json')
        assert "made rest:http://127.0.0.1:8000/" in site.host.out("xmpp-backup init")
        start(site)
        said = site.host.out("xmpp-backup list") + sizes(site)
        print(said)
        assert f"rest:http://127.0.0.1:8000/: snapshots of {site.name}: 1, " in said
        assert "hunter" not in said + json.dumps(state(site))
        site.host.out("sed -i 's/hunter-2/another/' /etc/xmpp/backup.env")
        refused = site.host.run("xmpp-backup list")
        print(refused.stderr)
        assert refused.rc != 0 and "refuses access" in refused.stderr and "another" not in refused.stderr
    finally:
        site.host.out("systemctl stop rest-server")
        site.host.out("sh -c 'cp -p /root/etc/backup.* /etc/xmpp/; cp -p /root/etc/state.json /var/lib/xmpp-backup/'")


def test_a_wrong_inventory_stops_before_the_host_is_asked():
    for variables, words in (
        (
            {"backup_passphrase": "short"},
            ["backup_passphrase: this secret has a length of 5, so that it could be guessed"],
        ),
        ({"backup_repositories": ["/"]}, ["backup_repositories: '/' is not the path of a file"]),
        (
            {"backup_repositories": ["rest:https://me:secret@backup.test/"]},
            ["backup_repositories: this repository has a password in its address", "RESTIC_REST_PASSWORD"],
        ),
        (
            {"backup_ssh_host_keys": ["cellar.test"]},
            ["backup_ssh_host_keys: 'cellar.test' is not a line of a file known"],
        ),
        ({"backup_time": "24:00"}, ["backup_time: '24:00' is not a time"]),
    ):
        done = play("site", **variables)
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode != 0 and re.search(r"ok=0 +changed=0", done.stdout), done.stdout[-2000:]
        for word in words:
            assert word in said
        assert "secret@" not in said
