# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both machines are lost, and blank ones become what they were."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest
from clients import archive, roster
from conftest import LOOP, SITES, play, playing
from hosts import PLAIN, TOP, lose, until

PROGRAM = "/usr/local/sbin/xmpp-backup"
# Of a host that did not come back.
STATE = "id prosody; ls -lan /etc/ssl/xmpp /etc/ssl/xmpp/*; journalctl --unit prosody --lines 60 --no-pager"


async def belongings(site) -> dict:
    """What each account has on the server, as its client sees it, and what is kept for the one who is away."""
    found = {}
    for name in ("alice", "bob"):
        client = await site.login(name)
        found[name] = {"roster": await roster(client), "archive": await archive(client)}
        await client.logout()
    return found


@pytest.fixture(scope="module")
def before():
    """A backup of everything, and what was there."""
    had = {}
    for site in SITES.values():
        had[site.name] = {
            "people": LOOP.run_until_complete(belongings(site)),
            "identity": site.identity(),
            "uploads": site.digests(),
        }
        site.host.out("systemctl start xmpp-backup.service")
    return had


@pytest.fixture(scope="module")
def restored(before):
    """One run of playbook restore for both, whose first attempt ends half-way."""
    for site in SITES.values():
        # The one with Debian 12, too, comes back on the newer one.
        lose(site.host, site.name, "trixie", site.address)
    begin = time.monotonic()
    first = subprocess.Popen(
        playing("restore", ":".join(SITES)),
        cwd=TOP,
        env=PLAIN,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for site in SITES.values():
        # As soon as there is something of the backup on the host.
        until(lambda host=site.host: host.run("ls /var/lib/xmpp-backup/restore/*").rc == 0, 400)
        site.host.out("pkill -KILL -f xmpp-backup.restore")
    said = first.communicate()[0]
    assert first.returncode != 0, said[-2000:]
    killed = time.monotonic() - begin
    assert all(site.host.run("test -e /var/lib/prosody/prosody.sqlite").rc != 0 for site in SITES.values())
    begin = time.monotonic()
    done = play("restore", "--diff")
    for site in SITES.values() if done.returncode else ():
        print(site.host.run(f"bash -c '{STATE}'").stdout)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    print(f"ended half-way after {killed:.0f} s; the second run took {time.monotonic() - begin:.0f} s")
    return done


def test_it_says_what_came_back(restored):
    for site in SITES.values():
        said = " ".join(restored.stdout.split())
        assert re.search(rf"accounts: \d+ at {site.jid}", said)
        print(*re.findall(r"put back [^\"]*? s\b|is here: [^\"]*? s\b", said), sep="\n")
        print(*re.findall(rf"{site.name} is back \d+ s after the restore began", said))
        assert f"{site.name} is back " in said


def test_others_know_the_host(site, before, restored):
    assert site.identity() == before[site.name]["identity"]
    print(site.identity()["DS records"])


def test_everybody_has_what_they_had(site, before, restored):
    """All log in with the passwords that they had."""
    people = LOOP.run_until_complete(belongings(site))
    for name, had in before[site.name]["people"].items():
        assert len(had["archive"]) >= 40 and people[name]["archive"][: len(had["archive"])] == had["archive"]
        assert len(people[name]["archive"]) == len(had["archive"])
        if name == "alice":
            assert len(had["roster"]) == 12
        assert people[name]["roster"] == had["roster"]
        print(f"{site.name}: {name}: {len(had['archive'])} messages and {len(had['roster'])} contacts, the same")


async def test_what_waited_for_somebody_is_delivered(site, before, restored):
    away = await site.login("away")
    for number in (0, 39):
        await away.body(f"For later {number}")
    await away.logout()


def test_uploads_are_the_same(site, before, restored):
    assert len(site.uploads) == 3
    assert site.digests() == before[site.name]["uploads"] == site.uploads
    print(f"{site.name}: {len(site.uploads)} files, the same by SHA-256")


def test_every_daemon_runs(site, restored):
    assert site.host.out("systemctl --failed --no-legend --plain") == ""
    for unit in ("prosody", "named", "nginx", "coturn", "xmpp-backup.timer"):
        assert site.host.out(f"systemctl is-active {unit}") == "active"


def test_again_it_changes_nothing(restored):
    done = play("restore")
    assert done.returncode == 0, done.stdout[-3000:]
    assert done.stdout.count("changed=0 ") == 2 and "has been put back already" in done.stdout, done.stdout[-3000:]


def test_a_later_backup_goes_on_in_the_same_repository(site, restored):
    site.host.out("systemctl start xmpp-backup.service")
    snapshots = json.loads(site.host.out(f"{PROGRAM} restic snapshots --json"))
    # Debian 12's restic keeps the last one of a day, and newer ones the first one of all, too.
    assert len(snapshots) in (1, 2) and {one["hostname"] for one in snapshots} == {site.name}
    assert snapshots[-1]["id"] != json.loads(site.host.out("cat /var/lib/xmpp-backup/restored.json"))["snapshot"]


async def test_newer_data_is_not_lost_unless_asked_for(site, restored):
    """What was written after the backup stops a restore, which then replaces all where that is wanted."""
    alice = await site.login("alice")
    alice.say(site.accounts["bob"].jid, "<body>newer than the backup</body>")
    await alice.ping()
    await alice.logout()
    # So that its time is not of the second in which the backup was made.
    site.host.out("rm -f /var/lib/xmpp-backup/restored.json")
    refused = site.host.run(f"{PROGRAM} restore")
    print(refused.stderr)
    assert refused.rc != 0 and "newer than the backup of" in refused.stderr and "would be lost" in refused.stderr
    assert "backup_restore_overwrite=true" in refused.stderr
    bob = await site.login("bob")
    await bob.body("newer than the backup")
    await bob.logout()
    begin = time.monotonic()
    print(site.host.out(f"{PROGRAM} restore --overwrite"))
    print(f"{time.monotonic() - begin:.1f} s")
    bob = await site.login("bob")
    assert "newer than the backup" not in [text for _id, _to, text in await archive(bob)]
    await bob.logout()
    assert site.host.out("find / -xdev -name '*.replaced' -o -xdev -name '*.restoring'") == ""


def test_a_backup_of_another_store_is_refused(site, restored):
    kind = "sqlite" if site.name.startswith("willow") else "postgresql"
    site.host.out("cp /etc/xmpp/backup.json /root/")
    site.host.out(f'sed -i \'s/"{kind}":/"none":/; s/"keep":/"{kind}": [], "keep":/\' /etc/xmpp/backup.json')
    refused = site.host.run(f"{PROGRAM} restore --overwrite")
    site.host.out("cp /root/backup.json /etc/xmpp/backup.json")
    assert refused.rc != 0 and "have it want what it did" in refused.stderr, refused.stderr
