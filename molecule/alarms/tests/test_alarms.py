# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each alarm is provoked and received, by mail and by XMPP."""

from __future__ import annotations

import pytest
from conftest import HOSTS, NAME, RUN, SCENARIO
from hosts import apply

LISTENS = "sh -c 'until ss -Hlnt sport = :465 | grep -q .; do sleep 0.2; done'"


def test_an_alarm_is_told_once_and_when_it_is_over(hazel, admin, give):
    give("The oven is hot", text="90 °C\n.\nFrom here on <b>it</b> burns\n")
    text = admin.wait("The oven is hot")
    assert text.splitlines() == ["90 °C", ".", "From here on <b>it</b> burns"]
    (mail,) = admin.mails
    assert mail["X-To"] == "hostmaster@mail.test, night@mail.test" and mail["Auto-Submitted"] == "auto-generated"
    assert "The oven is hot" in hazel.out("xmpp-alarm --list")
    give("The oven is hot")
    give("--over", "The oven is hot")
    give("--over", "Never told")
    admin.wait("Over: The oven is hot")
    assert admin.subjects() == admin.heads() == ["The oven is hot", "Over: The oven is hot"]
    assert hazel.out("xmpp-alarm --list") == ""
    assert "90 °C" in hazel.out("journalctl -t xmpp-alarm --no-pager")


def test_mail_goes_by_starttls_where_it_is_asked_for(admin, give):
    """The server takes nothing before TLS there."""

    def mail(**variables):
        done = apply(["alarms"], NAME, inventory=SCENARIO / "inventory", **variables)
        assert done.returncode == 0, done.stdout + done.stderr

    mail(alarms_mail_port=587)
    try:
        give("The cellar is wet")
        admin.wait("The cellar is wet")
        assert [mail["X-Port"] for mail in admin.mails] == ["587"]
    finally:
        mail()
    give("--over", "The cellar is wet")
    admin.wait("Over: The cellar is wet")
    assert admin.mails[-1]["X-Port"] == "465"


def test_a_service_fails_and_runs_again(hazel, admin):
    """A real daemon that does not come up any more, without anything that knows of alarms."""
    drop = "/run/systemd/system/coturn.service.d"
    broken = "[Service]\nRestart=no\nExecStart=\nExecStart=/bin/sh -c 'echo the wheel is off; exit 3'\n"
    hazel.out(f"sh -c 'mkdir -p {drop} && cat > {drop}/zz.conf && systemctl daemon-reload'", stdin=broken)
    hazel.run("systemctl restart coturn")
    text = admin.wait("coturn.service has failed")
    assert "the wheel is off" in text
    hazel.out(f"sh -c 'rm -r {drop} && systemctl daemon-reload && systemctl restart coturn'")
    admin.wait("Over: coturn.service has failed", seconds=90)


def test_a_timer_s_job_fails(hazel, admin):
    """What ends by itself is over when it has ended well."""
    hazel.run("systemd-run --unit=nightly --wait sh -c 'echo no disk; exit 1'")
    assert "no disk" in admin.wait("nightly.service has failed")
    hazel.out("systemctl reset-failed nightly")
    admin.wait("Over: nightly.service has failed", seconds=90)


def test_prosody_fails(hazel, admin):
    """The mail comes at once; the message, when there is somebody to carry it. It waits though the service is killed, as
    where memory is short."""
    hazel.out("systemctl stop prosody")
    hazel.run("systemd-run --unit=meanwhile --wait false")
    admin.wait("meanwhile.service has failed", message=False)
    assert admin.messages == []
    hazel.out("systemctl kill --signal=KILL xmpp-alarm.service")
    hazel.out("systemctl start prosody")
    admin.wait("meanwhile.service has failed", seconds=90)
    assert admin.subjects().count("meanwhile.service has failed") == 1
    hazel.run("systemctl reset-failed meanwhile")
    # It would come into the next test.
    admin.wait("Over: meanwhile.service has failed", seconds=90)


def test_the_mail_server_is_away(hazel, sink, admin, give):
    sink.out("systemctl stop mail-sink")
    try:
        give(f"Nobody takes mails {RUN}")
        admin.wait(f"Nobody takes mails {RUN}", mail=False)
        assert admin.mails == []
    finally:
        sink.out("systemctl start mail-sink")
        sink.out(LISTENS)
    # The next one takes it along; else it would be tried again within a minute.
    give(f"Mails are taken again {RUN}")
    admin.wait(f"Mails are taken again {RUN}")
    admin.wait(f"Nobody takes mails {RUN}")


KEEPING = "alarms cannot be kept on disk"


@pytest.mark.parametrize(
    ("what", "breaks", "mends"),
    [
        ("full", "head -c 65536 /dev/zero > $place/filler", "size=1m"),
        # As the kernel does it after an error.
        ("to be read only", "mount -o remount,ro $place", "rw,size=1m"),
    ],
)
def test_a_disk_takes_nothing(hazel, admin, give, what, breaks, mends):
    """/var is full, or cannot be written: the alarm comes as ever, and that nothing can be kept comes, too."""
    places = "/var/lib/xmpp-alarm /var/tmp"
    hazel.out("systemctl stop xmpp-alarm.service")
    hazel.out(f"bash -ec 'for place in {places}; do mount -t tmpfs -o size=64k,mode=700 test $place; done'")
    try:
        if what != "full":
            # It is at work when that happens; of a full disk it learns at its start.
            give("--over", "nothing")
            hazel.out("timeout 120 sh -c 'until [ -e /var/lib/xmpp-alarm/queue.json ]; do sleep 0.1; done'")
        hazel.out(f"bash -ec 'for place in {places}; do {breaks}; done'")
        give(f"The disk is {what} {RUN}", text="df says so\n")
        assert admin.wait(f"The disk is {what} {RUN}").strip() == "df says so"
        text = admin.wait(KEEPING)
        print(text)
        assert "What to type: df -h /var/lib/xmpp-alarm/alarms.json" in text
        give("--over", f"The disk is {what} {RUN}")
        admin.wait(f"Over: The disk is {what} {RUN}")
        pid = hazel.out("systemctl show -P MainPID xmpp-alarm.service")
        # It is mended, and nobody restarts anything.
        hazel.out(f"mount -o remount,{mends} /var/lib/xmpp-alarm")
        admin.wait(f"Over: {KEEPING}", seconds=60)
        assert pid == hazel.out("systemctl show -P MainPID xmpp-alarm.service")
        assert hazel.out("cat /var/lib/xmpp-alarm/alarms.json") == "{}"
    finally:
        hazel.out("systemctl stop xmpp-alarm.service")
        hazel.unmount(places)


def test_the_mail_queue_takes_nothing(hazel, admin, give):
    """Where the queue of mails cannot be written, the message comes at once, and the mail when it can."""
    place = "/var/spool/nullmailer/tmp"
    hazel.out(f"chmod a-w {place}")
    try:
        give(f"The queue is shut {RUN}")
        admin.wait(f"The queue is shut {RUN}", mail=False)
        assert admin.mails == []
    finally:
        hazel.out(f"chmod u+w {place}")
    admin.wait(f"The queue is shut {RUN}", seconds=90)


def test_names_are_not_resolved(hazel, admin, give):
    """Who carries the message needs no DNS; the mail waits for it."""
    hazel.out(
        "bash -ec 'grep -v mail.test /etc/hosts > /run/hosts; echo nameserver 192.0.2.1 > /run/resolv.conf; "
        "for file in hosts resolv.conf; do mount --bind /run/$file /etc/$file; done; systemctl restart nullmailer'"
    )
    try:
        give(f"No names {RUN}")
        admin.wait(f"No names {RUN}", mail=False)
        assert admin.mails == []
    finally:
        hazel.unmount("/etc/hosts /etc/resolv.conf")
    give(f"Names again {RUN}")
    admin.wait(f"Names again {RUN}", seconds=90)
    admin.wait(f"No names {RUN}", seconds=90)


def test_a_stranger_gets_neither_mail_nor_password(hazel, sink, admin, give):
    """Whoever sits at the mail server's address without its certificate."""
    key = "-newkey rsa:2048 -nodes -subj /CN=mail.test -addext subjectAltName=DNS:mail.test"
    sink.out(
        "sh -c 'cd /etc/ssl/mail && mkdir -p kept && cp *.pem kept && "
        f"openssl req -x509 {key} -keyout privkey.pem -out fullchain.pem -days 2 2>/dev/null && systemctl restart mail-sink'"
    )
    sink.out(LISTENS)
    try:
        give(f"This is private {RUN}")
        admin.wait(f"This is private {RUN}", mail=False)
        hazel.out(
            "sh -c 'for n in $(seq 50); do journalctl -u nullmailer --since -60s | grep -q untrusted && exit; sleep 0.2; done; exit 1'"
        )
        assert admin.mails == [] and "This is private" in hazel.out("sh -c 'cat /var/spool/nullmailer/queue/*'")
    finally:
        sink.out("sh -c 'cd /etc/ssl/mail && mv kept/* . && rmdir kept && systemctl restart mail-sink'")
    sink.out(LISTENS)
    give(f"The right one is back {RUN}")
    admin.wait(f"The right one is back {RUN}")
    admin.wait(f"This is private {RUN}")


def test_what_programs_write_to_root(hazel, admin):
    """As cron does; and any user may."""
    for user in ("root", "www-data"):
        hazel.out(f"runuser -u {user} -- /usr/sbin/sendmail -i root", stdin=f"Subject: the job of {user}\n\ndone\n")
        admin.wait(f"the job of {user}", message=False)
    assert {mail["X-To"] for mail in admin.mails} == {"hostmaster@mail.test, night@mail.test"}


def test_the_password_is_nobody_else_s(hazel):
    assert hazel.out("stat -c '%U %a' /etc/xmpp/mail.remote") == "mail 400"
    secret = HOSTS[NAME]["alarms_mail_password"]
    assert secret in hazel.out("cat /etc/xmpp/mail.remote").replace("'\"'\"'", "'")
    places = "/etc/nullmailer /var/cache/debconf /var/log /etc/xmpp/alarm.json"
    assert hazel.run(f"grep -rlF 'd : $e' {places}").stdout == ""


def test_an_upgrade_of_nullmailer_changes_nothing(hazel, admin, give):
    """Its package writes its configuration anew by debconf, which would break this password."""
    hazel.out("env DEBIAN_FRONTEND=noninteractive dpkg-reconfigure nullmailer")
    give(f"After the upgrade {RUN}")
    admin.wait(f"After the upgrade {RUN}")


def test_who_is_not_in_the_group_gives_no_alarm(hazel, admin):
    result = hazel.run("runuser -u www-data -- xmpp-alarm 'I am root'")
    assert result.rc == 0
    assert "in the journal only" in hazel.out("journalctl -t xmpp-alarm --no-pager -n 5")
    assert "I am root" not in hazel.out("xmpp-alarm --list")
