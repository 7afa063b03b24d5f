# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The primary is lost, and a blank machine takes its place with the keys of the backup: nobody else notices."""

from __future__ import annotations

import base64
import collections
import os
import re
import shlex
import subprocess

import pytest
from conftest import ADDRESS, INVENTORY, PRIMARY, SECONDARY, TOP, ZONE
from hosts import until

NAME = f"two_hosts-{PRIMARY}"
VALID = "; fully validated"
# What each server answers, again and again: signed, unsigned, or nothing.
WATCH = r"""
for server in $SERVERS; do
    while :; do
        answer=$(dig -r +norec +dnssec +noall +answer +time=1 +tries=1 "@$server" "$ZONE" SOA)
        case $answer in *RRSIG*) said=signed;; *SOA*) said=unsigned;; *) said=nothing;; esac
        echo "$server $said"
        sleep 0.05
    done &
done
wait
"""
KEYS = "/var/lib/bind/keys"


def lab(*arguments):
    environment = {"LAB_DNS": INVENTORY["vars"]["lab_dns"], "LAB_HOSTNAME": PRIMARY}
    subprocess.run([TOP / "tests/lab/lab", *arguments], check=True, env={**os.environ, **environment})


def lose(host):
    """The machine is gone, and one that nobody has configured has its address. (Scenario acme has a bare one.)"""
    # Switched off first, so that no connection waits for it.
    subprocess.run([TOP / "tests/lab/lab", "exec", NAME, "systemctl", "poweroff"], check=False)
    lab("down", NAME)
    variables = INVENTORY["hosts"][PRIMARY]
    lab("up", NAME, ADDRESS[PRIMARY], variables["lab_release"], variables["lab_image"])
    assert host.run(f"ls -d /etc/ssl/xmpp {KEYS}/* /var/lib/bind/zones/*").stdout == ""


def identity(host):
    """What others know of the host: DS records, TLSA records, and the names of the key files."""
    ds = host.out(f"bind-ds-records {ZONE} grove.test")
    tlsa = host.out(f"dig +short +norec @127.0.0.1 _5222._tcp.{PRIMARY} TLSA")
    return ds, tlsa, host.out(f"cd {KEYS} && ls")


def serial(host):
    return int(host.out(f"dig +short +norec @127.0.0.1 {ZONE} SOA").split()[2])


def flat(done):
    return " ".join((done.stdout + done.stderr).split())


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    """The options of a run with the vault's secret, and where the backup is."""
    folder = tmp_path_factory.mktemp("vault")
    (folder / "secret").write_text("of no use elsewhere\n")
    return ["--vault-password-file", str(folder / "secret")], folder / "keys" / "backup"


@pytest.fixture(scope="module")
def delv_of(secondary):
    """Ask a server for the SOA record, or another, by delv, which trusts nothing but the DS record that everybody knows."""

    def ask(ds, server, kind="SOA"):
        key = ds.split()
        anchor = f'trust-anchors {{ {key[0]} static-ds {key[3]} {key[4]} {key[5]} "{key[6]}"; }};'
        command = f"delv -a /tmp/known +root={ZONE} @{ADDRESS[server]} {ZONE} {kind} 2>&1 || true"
        return secondary.out(f"echo {shlex.quote(anchor)} > /tmp/known; {command}")

    return ask


@pytest.fixture
def watched(secondary):
    """Watch both servers, and say afterwards how often each gave which answer."""
    servers = " ".join(ADDRESS[server] for server in (PRIMARY, SECONDARY))
    secondary.out("cat > /run/watch.sh", stdin=WATCH)
    secondary.out(
        f"systemd-run --quiet --collect --unit=watch --setenv=ZONE={ZONE} --setenv=SERVERS={shlex.quote(servers)} "
        "--property=StandardOutput=truncate:/run/watched sh /run/watch.sh"
    )

    def stop():
        secondary.out("systemctl stop watch")
        return collections.Counter(tuple(line.split()) for line in secondary.out("cat /run/watched").splitlines())

    yield stop
    secondary.run("systemctl stop watch")


@pytest.fixture(scope="module")
def saved(primary, play, vault):
    """A backup, and what the host was known by."""
    options, path = vault
    done = play(PRIMARY, *options, "--diff", "-vvv", playbook="backup_keys", xmpp_key_backup=str(path))
    assert done.returncode == 0 and "nothing was saved" not in flat(done), done.stdout[-3000:]
    return done, identity(primary)


def test_the_backup_is_encrypted_and_shows_no_key(primary, saved, vault):
    _options, path = vault
    done, _known = saved
    assert path.read_bytes().startswith(b"$ANSIBLE_VAULT;1.1;AES256\n")
    assert [oct(item.stat().st_mode)[-3:] for item in (path, path.parent)] == ["600", "700"]
    private = primary.out(f"cat {KEYS}/K{ZONE}.+013+*.private /etc/ssl/xmpp/{ZONE}/privkey.pem")
    words = {word for word in re.findall(r"[A-Za-z0-9+/=]{24,}", private)}
    said = done.stdout + done.stderr
    print(f"{len(words)} words of private keys in none of {len(said)} characters, of a run with -vvv")
    assert len(words) >= 4 and len(said) > 10000
    assert not [word for word in words if word in said]
    for length in (0, 1, 2):
        # Nor in Base64, at any offset.
        encoded = base64.b64encode(b"x" * length + private.encode()).decode()[4:-4]
        assert encoded[8:48] not in said


def test_what_is_saved_already_is_no_change(play, saved, vault):
    options, path = vault
    before = path.read_bytes()
    done = play(PRIMARY, *options, playbook="backup_keys", xmpp_key_backup=str(path))
    assert done.returncode == 0 and re.search(r"changed=0 ", done.stdout), done.stdout[-2000:]
    assert path.read_bytes() == before


def test_without_a_secret_nothing_is_written(play, saved, tmp_path):
    done = play(PRIMARY, playbook="backup_keys", xmpp_key_backup=str(tmp_path / "backup"))
    assert done.returncode != 0 and "there is no secret to encrypt" in flat(done)
    assert list(tmp_path.iterdir()) == []


def test_a_blank_machine_gets_the_keys_back(primary, secondary, play, delv_of, saved, vault, watched):
    options, path = vault
    _done, known = saved
    seen = serial(secondary)
    lose(primary)
    assert delv_of(known[0], SECONDARY).startswith(VALID)
    done = play(PRIMARY, *options, "--diff", "-vvv", xmpp_key_backup=str(path))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "the host's keys differ" not in flat(done)
    assert identity(primary) == known
    private = primary.out(f"cat {KEYS}/K{ZONE}.+013+*.private /etc/ssl/xmpp/{ZONE}/privkey.pem")
    assert not [word for word in re.findall(r"[A-Za-z0-9+/=]{24,}", private) if word in done.stdout + done.stderr]
    assert primary.out(f"stat -c '%U %G %a' {KEYS}/K{ZONE}.+013+*.private").split("\n") == ["bind bind 600"] * 2
    for server in (PRIMARY, SECONDARY):
        answer = delv_of(known[0], server)
        assert answer.startswith(VALID), answer
    # The serial is ahead of what the secondary remembers, so that it follows.
    assert serial(primary) > seen
    until(lambda: serial(secondary) == serial(primary), 30)
    assert delv_of(known[0], SECONDARY).startswith(VALID)
    seen_by_others = watched()
    print(seen_by_others)
    for server in (PRIMARY, SECONDARY):
        assert seen_by_others[ADDRESS[server], "signed"] and not seen_by_others[ADDRESS[server], "unsigned"]
    assert not seen_by_others[ADDRESS[SECONDARY], "nothing"]
    # On a quick machine named would have signed them between two questions.
    assert primary.out("journalctl --unit=named --output=cat").count("Zone fully signed") == 2
    print(
        f"serial {seen} before, {serial(primary)} after; the same {len(known[0].splitlines())} DS records and key files"
    )


def test_the_second_run_changes_nothing(play, vault):
    options, path = vault
    done = play(PRIMARY, *options, xmpp_key_backup=str(path))
    assert done.returncode == 0 and "changed=0 " in done.stdout, done.stdout[-2000:]


def test_another_secret_stops_the_run(play, saved, vault, tmp_path):
    _options, path = vault
    (tmp_path / "secret").write_text("another\n")
    done = play(PRIMARY, "--vault-password-file", str(tmp_path / "secret"), xmpp_key_backup=str(path))
    assert done.returncode != 0 and "give the secret that it was encrypted by" in flat(done)


def test_other_keys_are_told_of_and_left_alone(primary, secondary, play, delv_of, saved, vault):
    """A host that was set up without the backup has new keys: nobody knows them, and yet they are not taken away."""
    options, path = vault
    _done, known = saved
    lose(primary)
    done = play(PRIMARY)
    assert done.returncode == 0, done.stdout[-3000:]
    new = identity(primary)
    assert not set(new[0].splitlines()) & set(known[0].splitlines()) and new[1] != known[1]
    done = play(PRIMARY, *options, xmpp_key_backup=str(path))
    assert done.returncode == 0, done.stdout[-3000:]
    for name in (f"DNSSEC keys of {ZONE}", "DNSSEC keys of grove.test", f"Key of /etc/ssl/xmpp/{ZONE}/fullchain.pem"):
        assert f"{name}: the host's keys differ from those in" in flat(done)
    assert identity(primary) == new
    assert "changed=0 " in done.stdout
    # That is how it looks without a backup: the keys that the world knows are lost.
    until(lambda: serial(secondary) == serial(primary), 30)
    assert VALID not in delv_of(known[0], SECONDARY)


def test_no_signature_of_a_key_that_is_gone_stays(primary, secondary, play, delv_of, saved, vault):
    """The known keys take the place of those that the host has made meanwhile, and of all that these have signed."""
    options, path = vault
    _done, known = saved
    # While named signs a zone, its serial gets ahead of the time: here by more than the run takes.
    ahead = serial(primary) + 1000
    primary.out(f"rndc signing -serial {ahead} {ZONE}")
    until(lambda: serial(primary) == ahead, 10)
    primary.out(f"rndc notify {ZONE}")
    until(lambda: serial(secondary) == ahead, 10)
    primary.out(f"systemctl stop named && rm {KEYS}/*")
    done = play(PRIMARY, *options, xmpp_key_backup=str(path))
    assert done.returncode == 0, done.stdout[-3000:]
    assert identity(primary)[0] == known[0]
    print(f"serial {ahead} before, {serial(primary)} after")
    assert serial(primary) > ahead
    print(f"the secondary has it after {until(lambda: serial(secondary) == serial(primary), 30):.1f} s")
    for server in (PRIMARY, SECONDARY):
        for kind in ("SOA", "NS", "DNSKEY"):
            answer = delv_of(known[0], server, kind)
            assert answer.startswith(VALID), answer
