# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host does in a window, what it leaves outside of one, and how it comes back from a reboot."""

from __future__ import annotations

import json
import shlex

import pytest
from conftest import DOMAIN, NAME, SCENARIO, STATE
from hosts import ansible

STATUS = "/var/lib/xmpp-status/status.json"
# An archive of Debian's security team, so to say, with two versions of two packages.
ARCHIVE = r"""
set -eu
codename=$(. /etc/os-release; echo $VERSION_CODENAME)
rm -rf /srv/acorn; mkdir -p /srv/acorn; cd /srv/acorn
for name in acorn acorn-held; do for version in 1 2; do
    mkdir -p build/DEBIAN build/usr/share/$name
    printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: A <a@nut.test>\nDescription: a test\n' $name $version >build/DEBIAN/control
    echo $version >build/usr/share/$name/version
    dpkg-deb --root-owner-group --build build ${name}_$version.deb >/dev/null
    rm -r build
done; done
for deb in *_2.deb; do
    dpkg-deb --field $deb
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' $deb $(stat -c %s $deb) $(sha256sum $deb | cut -d ' ' -f 1)
done >Packages
{
    printf 'Origin: Debian\nLabel: Debian-Security\nSuite: stable-security\nCodename: %s-security\n' $codename
    printf 'Date: %s\nArchitectures: all amd64\nSHA256:\n' "$(date -Ru)"
    printf ' %s %s Packages\n' $(sha256sum Packages | cut -d ' ' -f 1) $(stat -c %s Packages)
} >Release
dpkg --install acorn_1.deb acorn-held_1.deb >/dev/null
echo 'deb [trusted=yes] file:/srv/acorn ./' >/etc/apt/sources.list.d/acorn.list
"""
# As an upgrade does: the file is another one, and who has opened the former one still uses it.
REPLACE = "file=$(awk '/lua5.4-sec/ {print $6; exit}' /proc/$(systemctl show -P MainPID prosody)/maps); cp -p $file $file.new; mv $file.new $file; echo $file"


# Four weeks of munin's file for clients, as it would have kept them: quiet from 10 to 14 o'clock and busy otherwise.
FOUR_WEEKS = """
import glob, subprocess, time
[path] = glob.glob("/var/lib/munin/*/*-prosody_c2s-c2s_tls-g.rrd")
now = int(time.time()) // 300 * 300
subprocess.run(["rrdtool", "create", path + ".new", "--template", path, "--start", str(now - 29 * 86400)], check=True)
steps = range(now - 29 * 86400 + 300, now, 300)
values = [f"{moment}:{2 if 10 <= time.localtime(moment).tm_hour < 14 else 90}" for moment in steps]
for first in range(0, len(values), 1000):
    subprocess.run(["rrdtool", "update", path + ".new", *values[first:first + 1000]], check=True)
subprocess.run(["mv", path + ".new", path], check=True)
print(path, len(values), "values")
"""


def version(host, name):
    return host.out(f"dpkg-query -W -f '${{Version}}' {name}")


def test_the_self_test_is_green(host):
    host.updates()
    host.out("systemctl start xmpp-status.service")
    shown = host.run("xmpp-status")
    print(shown.stdout)
    state = host.state(STATUS)
    assert state["ok"] and shown.rc in (0, 1), shown.stdout
    subjects = {check["subject"] for check in state["checks"]}
    assert {
        "unit prosody.service",
        "port 5222",
        "port 5269",
        "port 443",
        "zone nut.test",
        "STUN, port 3478",
    } <= subjects
    assert host.out(f"stat -c %a {STATUS} {STATE}") == "644\n644"


def test_the_self_test_sees_what_is_broken_and_tells(host):
    host.alarms()
    host.out("systemctl stop nginx.service coturn.service")
    try:
        host.out("sed -i 's/--wait [0-9]*/--wait 0/' /etc/systemd/system/xmpp-status.service; systemctl daemon-reload")
        shown = host.run("xmpp-status")
        print(shown.stdout)
        assert shown.rc == 2
        failing = {
            check["subject"] for check in json.loads(host.run("xmpp-status --json").stdout) if check["level"] == "fails"
        }
        # By each kind of address that the host has.
        kinds = ["", " by IPv6"] if json.loads(host.out("cat /etc/xmpp/status.json"))["address6"] else [""]
        assert failing == {
            *("unit nginx.service", "unit coturn.service"),
            *(f"{what}{by}" for what in ("port 443", "port 5349", "STUN, port 3478") for by in kinds),
            "https://nut.test/.well-known/host-meta",
        }
        host.out("systemctl start xmpp-status.service")
        told = [line.removeprefix("SUBJECT ") for line in host.alarms() if line.startswith("SUBJECT")]
        assert set(told) == {f"status: {subject}" for subject in failing}
        assert not host.state(STATUS)["ok"]
    finally:
        host.out("systemctl start nginx.service coturn.service")
    host.well()
    host.out("systemctl start xmpp-status.service")
    assert set(host.alarms()) == {f"SUBJECT --over {subject}" for subject in told}


def test_the_self_test_of_a_full_disk(host):
    """It cannot note what it finds, nor make folders in /var/tmp: it tells, and all is well when there is room again."""
    host.alarms()
    places = "/var/lib/xmpp-status /var/tmp"
    host.out(
        f"for place in {places}; do mount -t tmpfs -o size=4k,nodev,nosuid,noexec test $place && head -c 4096 /dev/zero > $place/filler; done"
    )
    try:
        for _twice in range(2):
            host.out("systemctl start xmpp-status.service")
            told = host.alarms()
            assert told[0] == "SUBJECT status: notes of this test" and "No space left on device" in told[1]
        assert host.run("cat /var/lib/xmpp-status/status.json").rc
        host.out("rm /var/lib/xmpp-status/filler; mount -o remount,size=1m /var/lib/xmpp-status")
        host.out("systemctl start xmpp-status.service")
        assert host.alarms() == ["SUBJECT --over status: notes of this test"]
        assert host.state(STATUS)["ok"]
    finally:
        host.unmount(places)


# Prosody opens its ports when it has loaded everything.
SERVES = "timeout 120 sh -c 'until ss -Hltn sport = 5223 | grep -q .; do sleep 0.1; done'"


def test_login_in_clear_is_seen(host):
    """The check of the ports would see a server that does not insist on encryption."""
    host.out(
        "cp -a /etc/prosody/prosody.cfg.lua /root/ && echo 'c2s_require_encryption = false' >> /root/open.lua && "
        "sed 's/c2s_require_encryption = true/c2s_require_encryption = false/' -i /etc/prosody/prosody.cfg.lua && "
        f"systemctl restart prosody && {SERVES}"
    )
    try:
        shown = host.run("xmpp-status --outside")
        print(shown.stdout)
        assert shown.rc == 2 and "it does not insist on encryption" in shown.stdout
    finally:
        host.out(f"cp -a /root/prosody.cfg.lua /etc/prosody/ && systemctl restart prosody && {SERVES}")
    after = host.run("xmpp-status --outside --wait 60")
    print(after.stdout)
    assert after.rc == 0


def test_outside_the_window_nothing_happens(host):
    host.out(ARCHIVE)
    host.windows(opened=False)
    host.out(f"rm -f {STATE}")
    before = host.started("prosody")
    replaced = host.out(REPLACE)
    host.out("touch /run/reboot-required; echo linux-image-test > /run/reboot-required.pkgs")
    said = host.updates() + host.updates()
    assert "Rebooting" not in said and "Restarting" not in said and "comes in" not in said
    assert version(host, "acorn") == "1" and host.started("prosody") == before
    state = host.state()
    explained = host.out("xmpp-updates --explain")
    print(f"{replaced} replaced\n{explained}")
    assert state["upgrade"]["packages"] == ["acorn"] and state["upgrade"]["security"] == ["acorn"]
    assert "prosody.service" in state["restarts"] and state["reboot"]["why"].endswith("from linux-image-test")
    # At the first tick of the timer in the window, which may be in the next hour.
    hours = host.out("for more in 0 5; do date -d \"3 hours $more minutes\" '+%Y-%m-%d %H:'; done").splitlines()
    for line in ("They are installed ", "They are restarted ", "It happens "):
        assert any(hour in explained.split(line)[1].splitlines()[0] for hour in hours)
    assert "outside the windows" in explained
    # The self-test is not red because of something that waits for its time.
    assert "a reboot is needed" in host.run("xmpp-status").stdout
    host.out("rm -f /run/reboot-required*")


def test_in_the_window_it_upgrades_and_restarts(host, client):
    before, nginx = host.started("prosody"), host.started("nginx")
    host.windows(opened=True, announce_minutes=1, announcement="Back in {minutes} minutes.")
    said = host.updates()
    (told,), (end,) = client.saw("message"), client.saw("end")
    print(f"the stream ended {end['time'] - told['time']:.0f} s after the announcement: {end['condition']}")
    assert (told["type"], told["body"]) == ("headline", "Back in 1 minute.")
    assert 55 < end["time"] - told["time"] < 120 and end["condition"] == "system-shutdown"
    assert version(host, "acorn") == "2"
    assert version(host, "acorn-held") == "1"
    assert "prosody.service" in said and host.started("prosody") != before
    assert host.started("nginx") == nginx
    state = host.state()
    assert state["upgrade"] is None and state["problems"] == {} and "prosody.service" not in state["restarts"]
    assert "Rebooting" not in said
    host.well()


def test_a_failing_upgrade_is_told(host):
    host.alarms()
    host.out("dpkg --install --force-downgrade /srv/acorn/acorn_1.deb >/dev/null 2>&1")
    host.out("rm /srv/acorn/acorn_2.deb; rm -f /var/cache/apt/archives/acorn*")
    state = host.state()
    host.out(f"cat > {STATE}", stdin=json.dumps({**state, "turn": 0, "upgraded": 0}))
    host.updates()
    said = host.alarms()
    assert said[:2] == ["SUBJECT updates: an upgrade has failed", "unattended-upgrade ended with 1:"]
    assert "upgrade" in host.state()["problems"] and host.run("xmpp-status").rc == 2
    host.out("rm /etc/apt/sources.list.d/acorn.list")
    host.out(f"cat > {STATE}", stdin=json.dumps({**host.state(), "turn": 0, "upgraded": 0, "failed": {}}))
    host.updates()
    assert host.state()["problems"] == {} and host.alarms() == ["SUBJECT --over updates: an upgrade has failed"]


def test_a_mirror_that_is_away_is_told_when_the_lists_are_stale(host):
    host.windows(opened=False)
    host.out("echo 'deb [trusted=yes] file:/srv/nowhere ./' > /etc/apt/sources.list.d/nowhere.list")
    try:
        state = host.state()
        host.out(f"cat > {STATE}", stdin=json.dumps({**state, "tried": 0}))
        host.updates()
        assert host.state()["problems"] == {} and host.alarms() == []
        host.out(f"cat > {STATE}", stdin=json.dumps({**state, "tried": 0, "refreshed": state["refreshed"] - 3 * 86400}))
        host.updates()
        subject, text, *_more = host.alarms()
        assert subject == "SUBJECT updates: the package lists are stale"
        assert text.startswith("the package lists have not been refreshed since ")
        assert host.run("xmpp-status").rc == 2
    finally:
        host.out("rm /etc/apt/sources.list.d/nowhere.list")
    host.out(f"cat > {STATE}", stdin=json.dumps({**host.state(), "tried": 0}))
    host.updates()
    assert host.state()["problems"] == {}


def test_a_broken_program_is_told(host):
    """What the program cannot tell itself, role alarms does for its unit, as for any other."""
    config = host.out("cat /etc/xmpp/updates.json")
    told = "journalctl -q -o cat -u xmpp-alarm@xmpp-updates.service.service | grep -c ^Starting"
    before = int(host.run(told).stdout)
    host.out("echo '{' > /etc/xmpp/updates.json")
    try:
        assert host.run("systemctl reset-failed xmpp-updates.service; systemctl start xmpp-updates.service").rc != 0
        host.wait(120, lambda: int(host.run(told).stdout) > before, "it is told")
    finally:
        host.out("cat > /etc/xmpp/updates.json", stdin=config)
    # The recorder of these tests is not what the alarm's own unit has room for.
    host.out("systemctl reset-failed")
    host.updates()


def test_the_quietest_hours_by_munin(host):
    """Too little is known at first, and the window is as given; then munin's own file has four weeks."""
    host.windows(opened=False, auto=True)
    host.out("for n in 1 2 3 4 5 6; do runuser --user munin -- /usr/bin/munin-cron && exit; sleep 5; done; exit 1")
    for known in (False, True):
        if known:
            print(host.out("python3 -", stdin=FOUR_WEEKS))
        host.out(f"cat > {STATE}", stdin=json.dumps({**host.state(), "tried": 0}))
        host.updates()
        explained = host.out("xmpp-updates --explain").splitlines()
        print(explained[0])
        assert (host.state()["profile"] is not None) == known
        assert explained[0].endswith("the quietest hours by munin." if known else "since munin has too little data.")
    # A window of an hour is given.
    hours = explained[0].partition("every day ")[2][:11]
    assert hours in ("10:00-11:00", "11:00-12:00", "12:00-13:00", "13:00-14:00")


def test_the_window_is_drawn(host):
    for opened, shown in ((False, {"until.value 3", "open.value 0"}), (True, {"until.value 0", "open.value 1"})):
        host.windows(opened=opened)
        host.updates()
        found = set(host.out("munin-run updates").partition("multigraph updates_window\n")[2].splitlines())
        print(found)
        # A few seconds are gone, of which two places show some.
        assert found == shown or (not opened and found & shown and any(v.startswith("until.value 2.9") for v in found))


def test_a_reboot_waits_for_a_backup(host):
    host.windows(opened=True, announce_minutes=0)
    host.out("touch /run/reboot-required")
    # A unit in the backup's place that works for as long as it may.
    host.out(
        "printf '[Service]\nType=oneshot\nExecStart=/bin/sleep infinity\n' > /run/systemd/system/xmpp-backup.service &&"
        "systemctl daemon-reload && systemctl start --no-block xmpp-backup.service"
    )
    try:
        said = host.updates()
        assert "A reboot is needed, but a backup is being made." in said and host.running()
        assert "A backup is being made now." in host.out("xmpp-updates --explain")
    finally:
        host.out(
            "rm -f /run/reboot-required /run/systemd/system/xmpp-backup.service; systemctl stop xmpp-backup.service"
        )
        host.out("systemctl daemon-reload; systemctl reset-failed")


def test_the_announcement_takes_any_text(host, client):
    text = "Grüße \\ ' \" ]] %s\nzweite Zeile; $(id)"
    said = host.out(f"/etc/xmpp/announce.d/prosody {shlex.quote(text)}")
    (told,) = host.wait(120, lambda: client.saw("message"), "it is told")
    print(said, told)
    assert (told["type"], told["body"], told["sender"]) == ("headline", text, DOMAIN)


def test_a_reboot(host, client):
    host.windows(opened=True, announce_minutes=1, announcement="Gone in {minutes} minutes. Grüße!")
    host.out("touch /run/reboot-required")
    host.out("systemctl reset-failed xmpp-updates.service; systemctl start --no-block xmpp-updates.service")
    (told,) = host.wait(120, lambda: client.saw("message"), "the client is told")
    assert (told["type"], told["body"]) == ("headline", "Gone in 1 minute. Grüße!")
    assert host.run("systemctl is-active prosody.service").stdout.strip() == "active"
    host.wait(180, lambda: not host.running(), "it is down")
    (end,) = client.saw("end")
    print(f"the stream ended {end['time'] - told['time']:.0f} s later: {end['condition']}")
    assert end["condition"] == "system-shutdown", "the stop was not a clean one"
    host.lab("start", host.container)
    host.wait(120, lambda: host.run("true").rc == 0, "ssh answers")

    def tested():
        """By itself: the boot starts the self-test, too."""
        state = json.loads(host.run(f"cat {STATUS}").stdout or "{}")
        return state if state.get("time", 0) > end["time"] else None

    state = host.wait(240, tested, "the self-test has been made")
    print(host.run("xmpp-status").stdout)
    assert state["ok"], state
    assert host.out("systemctl is-active xmpp-updates.timer xmpp-status.timer") == "active\nactive"
    noted = host.state()
    assert noted["rebooted"] >= told["time"] and "Reboot: none is needed." in host.out("xmpp-updates --explain")
    # Something asks for it again after the boot, as does a kernel that is not the one that boots.
    host.alarms()
    host.out("touch /run/reboot-required")
    try:
        assert "A reboot is needed" not in host.updates() + host.updates()
        said = host.alarms()
        assert said[0] == "SUBJECT updates: a reboot has not helped" and "It is not rebooted for it again." in said[1]
        assert "Reboot: none is made, since the last one has not helped." in host.out("xmpp-updates --explain")
    finally:
        host.out("rm /run/reboot-required")
    host.updates()
    assert host.alarms() == ["SUBJECT --over updates: a reboot has not helped"]


def test_the_playbook_verify_asks_from_outside(host):
    def run():
        return ansible(
            "ansible-playbook",
            "magicbroccoli.xmpp.verify",
            # The lab's controller has no IPv6, and nobody here validates the zone.
            *(
                "--extra-vars",
                json.dumps({"site_hosts": NAME, "verify_dns": False, "verify_addresses": [host.address]}),
            ),
            inventory=SCENARIO / "inventory",
        )

    done = run()
    print(done.stdout)
    assert done.returncode == 0 and done.stdout.count("after STARTTLS only") == 2, done.stdout + done.stderr
    host.out("systemctl stop prosody")
    try:
        done = run()
        said = done.stdout + done.stderr
        assert done.returncode != 0 and "FAILS port 5222" in said, said
    finally:
        host.out("systemctl start prosody")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"updates_windows": ["auto"]}, "updates_windows: ['auto'] has no window to use while munin has no data"),
        ({"updates_windows": ["someday 02:00-05:00"]}, "'someday' is not a day of the week"),
        ({"updates_reboot_deadline": 0}, "updates_reboot_deadline: 0 is too small; write days from 1 to 365"),
        ({"updates_announce_minutes": 90}, "updates_announce_minutes: 90 is too large; write minutes from 0 to 60"),
        ({"updates_fleet": ["other.test"]}, "lacks hazel.nut.test"),
        ({"updates_origins": ["backports"]}, "updates_origins: "),
    ],
)
def test_bad_input(variables, said):
    done = ansible(
        "ansible-playbook",
        "magicbroccoli.xmpp.site",
        *("--check", "--extra-vars", json.dumps({"site_hosts": NAME, **variables})),
        inventory=SCENARIO / "inventory",
    )
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and said in text, text[-1500:]
