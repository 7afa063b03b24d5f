# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of packages, what apt says, and which step of an upgrade comes next."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import debian_postgresql
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import debian_sources as sources
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import debian_upgrade as it
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, Finished

DEBIAN = {"http://mirror.example.net/debian/", "http://security.example.net/debian-security/"}


def test_the_one_line_format_gets_the_new_release_for_debian_s_sources_only():
    old = """\
# deb http://mirror.example.net/debian bookworm main
deb http://mirror.example.net/debian bookworm main contrib non-free-firmware # bookworm
deb-src [signed-by=/usr/share/keyrings/debian.gpg arch=amd64] http://mirror.example.net/debian/ bookworm-updates main
deb http://security.example.net/debian-security oldstable-security main
deb http://mirror.example.net/debian bookworm-backports main
deb http://mirror.example.net/debian trixie main
  deb\thttps://other.example.org/bookworm bookworm main

"""
    assert (
        sources.upgraded_list(old, DEBIAN)
        == """\
# deb http://mirror.example.net/debian bookworm main
deb http://mirror.example.net/debian trixie main contrib non-free-firmware # bookworm
deb-src [signed-by=/usr/share/keyrings/debian.gpg arch=amd64] http://mirror.example.net/debian/ trixie-updates main
deb http://security.example.net/debian-security trixie-security main
deb http://mirror.example.net/debian bookworm-backports main
deb http://mirror.example.net/debian trixie main
  deb\thttps://other.example.org/bookworm bookworm main

"""
    )


def test_the_deb822_format_gets_the_new_release_for_debian_s_sources_only():
    old = """\
# Debian's own. bookworm
Types: deb deb-src
URIs: http://mirror.example.net/debian
Suites: bookworm bookworm-updates
 bookworm-proposed-updates
Components: main
Signed-By: /usr/share/keyrings/bookworm.gpg

Types: deb
uris: http://security.example.net/debian-security/
suites: bookworm-security
Components: main

Types: deb
URIs: https://other.example.org/debian
Suites: bookworm
Components: main
"""
    new = sources.upgraded_stanzas(old, DEBIAN)
    assert new == old.replace(
        "bookworm bookworm-updates\n bookworm-proposed", "trixie trixie-updates\n trixie-proposed"
    ).replace("suites: bookworm-security", "suites: trixie-security")
    assert sources.upgraded_stanzas(new, DEBIAN) == new


@pytest.mark.parametrize(
    ("line", "debian"),
    [
        ("Debian\tbookworm\tbookworm\thttp://mirror.example.net/debian/", True),
        ("Debian\tbookworm-security\tbookworm-security\thttp://security.example.net/debian-security/", True),
        # An operator who has begun by hand.
        ("Debian\ttrixie\ttrixie\thttp://mirror.example.net/debian/", True),
        ("Debian Backports\tbookworm-backports\tbookworm-backports\thttp://mirror.example.net/debian/", False),
        ("Debian\tsid\tunstable\thttp://mirror.example.net/debian/", False),
        ("Example\tbookworm\tbookworm\thttps://other.example.org/", False),
        # Its lists were never fetched.
        ("\t\tbookworm\thttps://other.example.org/", False),
    ],
)
def test_a_source_is_debian_s_release_or_foreign(line, debian):
    (target,) = sources.parse_targets(f"{line}\n")
    assert sources.is_debian(target) is debian


def test_a_source_that_was_never_fetched_is_foreign(host):
    rows = {"bookworm": "http://mirror.example.net/debian", "stable": "https://other.example.org/"}
    host.answers |= {
        "--no-release-info": (0, "".join(f"$(ORIGIN)\t$(CODENAME)\t{key}\t{uri}\n" for key, uri in rows.items()))
    }
    # The order of the answers counts.
    host.answers["indextargets"] = host.answers.pop("indextargets")
    assert [(one["uri"], sources.is_debian(one)) for one in sources.targets()] == [
        ("http://mirror.example.net/debian/", True),
        ("https://other.example.org/", False),
    ]


def test_what_apt_would_do_is_counted():
    text = """\
Reading package lists...
Remv libssl3 [3.0.22-1~deb12u2] [nginx:amd64 ]
Inst libc6 [2.36-9+deb12u14] (2.41-12 Debian:13/stable [amd64])
Inst postgresql-17 (17.6-0+deb13u1 Debian:13/stable [amd64])
Conf libc6 (2.41-12 Debian:13/stable [amd64])
"""
    assert it.parse_simulation(text) == {"new": ["postgresql-17"], "upgraded": ["libc6"], "removed": ["libssl3"]}


@pytest.mark.parametrize(
    ("text", "download", "added"),
    [
        (
            "Need to get 184 MB of archives.\nAfter this operation, 349 MB of additional disk space will be used.",
            184e6,
            349e6,
        ),
        ("Need to get 1,024 kB/1.5 GB of archives.\nAfter this operation, 12.5 MB disk space will be freed.", 1.5e9, 0),
        ("nothing", 0, 0),
    ],
)
def test_the_room_that_apt_wants(text, download, added):
    assert it.parse_room(text) == (int(download), int(added))


def test_needs_of_one_file_system_add_up(tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    needed = [(str(tmp_path), 600 << 20), (str(tmp_path / "one"), 600 << 20)]
    free = 1300 << 20
    monkeypatch.setattr(it.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": free})())
    assert it.missing_room(needed) == []
    free = 1000 << 20
    assert it.missing_room(needed) == [f"{tmp_path}: 1000 MiB are free, and the upgrade needs 1200 MiB; make room"]


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host whose programs only note that they were called."""
    calls, answers = [], {}

    def attempt(command, **_options):
        calls.append([word for word in command if not word.startswith("--option=")])
        status, text = next((answer for key, answer in answers.items() if key in " ".join(command)), (0, ""))
        return Finished(status, text, "")

    (tmp_path / "parts").mkdir()
    (tmp_path / "sources.list").write_text("deb http://mirror.example.net/debian bookworm main\n")
    for name, value in {
        "FOLDER": str(tmp_path / "state"),
        "STATE": str(tmp_path / "state/state.json"),
        "LOCK": str(tmp_path / "state/lock"),
        "SOURCES": str(tmp_path / "sources.list"),
        "SOURCES_PARTS": str(tmp_path / "parts"),
        "PREFERENCES": (str(tmp_path / "preferences"), str(tmp_path / "preferences.d")),
        "POLICY": str(tmp_path / "policy-rc.d"),
        "attempt": attempt,
        "run": lambda command, **options: attempt(command, **options).stdout,
        "release": lambda: "bookworm",
    }.items():
        monkeypatch.setattr(it, name, value)
    monkeypatch.setattr(sources, "run", it.run)
    monkeypatch.setattr(debian_postgresql, "clusters", dict)
    answers["indextargets"] = (0, "Debian\tbookworm\tbookworm\thttp://mirror.example.net/debian/\n")
    answers["list-units"] = (
        0,
        "prosody.service loaded active\nssh.service loaded active\nxmpp-updates.timer loaded active\n",
    )
    host = type("Host", (), {"calls": calls, "answers": answers, "top": tmp_path})()
    host.upgrade = it.Upgrade(["xmpp-updates.timer", "prosody.service", "nginx.service"], False)
    return host


def state(host):
    return json.loads((host.top / "state/state.json").read_text())


def test_a_failed_step_is_the_next_one_of_the_next_run(host):
    host.answers["full-upgrade --download-only"] = (100, "E: Failed to fetch")
    with pytest.raises(
        it.UpgradeError, match=r"(?s)full-upgrade --download-only: E: Failed to fetch; .* same command again"
    ):
        host.upgrade.run()
    assert state(host).get("done", []) == [] and (host.top / "sources.list").read_text().split()[2] == "trixie"
    # Nothing but timers has stopped so far.
    assert [call for call in host.calls if call[0] == "systemctl" and call[1] == "stop"] == [
        ["systemctl", "stop", "xmpp-updates.timer"]
    ]

    del host.answers["full-upgrade --download-only"]
    host.answers["--without-new-pkgs"] = (100, "E: Sub-process /usr/bin/dpkg returned an error code (1)")
    with pytest.raises(it.UpgradeError, match="Sub-process"):
        host.upgrade.run()
    assert state(host)["done"] == ["sources"]
    assert ["systemctl", "stop", "xmpp-updates.timer", "prosody.service"] in host.calls
    assert os.access(host.top / "policy-rc.d", os.X_OK)

    del host.answers["--without-new-pkgs"]
    host.calls.clear()
    # In the middle, the host says this of itself.
    it.release = lambda: "trixie"
    assert host.upgrade.run() is True
    words = [call for call in host.calls if call[0] in ("dpkg", "apt-get")]
    assert words[0][:2] == ["dpkg", "--configure"] and ["apt-get", "--yes", "install", "--fix-broken"] in words
    assert ["apt-get", "--yes", "update"] not in words
    assert state(host)["done"] == ["sources", "packages", "postgresql"]
    assert not (host.top / "policy-rc.d").exists()

    host.calls.clear()
    assert host.upgrade.run() is False
    assert it.finish() is True and it.finish() is False and it.noted() == {}
    assert host.upgrade.run() is False


def test_another_update_of_the_lists_is_waited_for(host, monkeypatch):
    busy = (100, "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 6693 (apt-get)")
    host.answers["Timeout=900 update"] = busy
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            del host.answers["Timeout=900 update"]

    monkeypatch.setattr(it.time, "sleep", sleep)
    assert host.upgrade.run() is True and len(waits) == 3

    host.answers["Timeout=900 update"] = (100, "E: Failed to fetch")
    (host.top / "state/state.json").unlink()
    with pytest.raises(it.UpgradeError, match="Failed to fetch"):
        host.upgrade.run()
    # Not for ever.
    host.answers["Timeout=900 update"] = busy
    monkeypatch.setattr(it, "LOCK_SECONDS", -1)
    with pytest.raises(it.UpgradeError, match="Could not get lock"):
        host.upgrade.run()
    assert len(waits) == 3


def test_packages_start_no_service_of_ours_and_no_new_one(host):
    host.answers["--without-new-pkgs"] = (100, "stop here")
    with pytest.raises(it.UpgradeError):
        host.upgrade.run()

    def answer(*words):
        return subprocess.run([host.top / "policy-rc.d", *words], check=False).returncode

    assert answer("ssh", "restart") == answer("ssh.service", "restart") == 0
    for name in ("prosody", "prosody.service", "nginx", "postgresql@17-main.service", "brand-new"):
        assert answer(name, "start") == answer(name, "restart") == 101
        assert answer(name, "stop") == 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (debian_postgresql.ClusterError("No space left"), "pg_upgradecluster: No space left; mend that"),
        (CommandError(["pg_dropcluster"], "could not stop server"), "pg_dropcluster: could not stop server; mend that"),
    ],
)
def test_postgresql_that_does_not_move_is_the_next_step_of_the_next_run(host, monkeypatch, error, told):
    moves = [error, None]

    def move(old, new):
        assert (old, new) == ("15", "17")
        # Nothing of ours writes to the data meanwhile, though the host may have lost its power and booted.
        assert host.calls[-1] == ["systemctl", "stop", "xmpp-updates.timer", "prosody.service"]
        if error := moves.pop(0):
            raise error

    monkeypatch.setattr(debian_postgresql, "move", move)
    monkeypatch.setattr(debian_postgresql, "standing", lambda _old, _new: "PostgreSQL: version 15 has all data")
    with pytest.raises(it.UpgradeError, match=told):
        host.upgrade.run()
    assert it.progress(state(host)) == [
        "goes on: of its steps, done: sources, packages",
        "PostgreSQL: version 15 has all data",
    ]
    assert host.upgrade.run() is True and moves == []
    assert it.progress(state(host)) == ["goes on: of its steps, done: sources, packages, postgresql"]


def refused(host, monkeypatch):
    monkeypatch.setattr(it.os.path, "exists", lambda path: path == it.STATUS)
    return host.upgrade.problems()


def test_all_that_is_wrong_is_in_one_list(host, monkeypatch):
    (host.top / "preferences.d").mkdir()
    monkeypatch.setattr(it, "POLICY", it.STATUS)
    (host.top / "preferences.d/own").write_text("Package: nginx\nPin: version 1.*\nPin-Priority: 1001\n")
    host.answers |= {
        "dpkg --audit": (0, "The following packages are only half configured:\n libc6 GNU C Library\n"),
        "apt-mark showhold": (0, "nginx\n"),
        "indextargets": (
            0,
            "Debian Backports\tbookworm-backports\tbookworm-backports\thttp://mirror.example.net/debian/\n",
        ),
        it.STATUS: (
            2,
            json.dumps([{"level": "fails", "subject": "unit prosody.service", "text": "inactive"}, {"level": "ok"}]),
        ),
    }
    assert refused(host, monkeypatch) == [
        "the self-test fails: unit prosody.service: inactive; mend it first",
        "not whole: libc6; type dpkg --configure -a and apt-get --fix-broken install",
        "on hold: nginx; type apt-mark unhold nginx",
        f"{it.POLICY}: it decides which services packages start; move it away until the upgrade is over",
        f"{host.top}/preferences.d/own: it chooses versions of packages; move it away until the upgrade is over",
        f"no source of apt is Debian's bookworm; write it into {host.top}/sources.list, and see what apt-get update says",
        "foreign source of packages: http://mirror.example.net/debian/ bookworm-backports; remove it, or set "
        "upgrade_foreign_sources=true if its packages fit Debian 13, too",
    ]


def test_the_check_calls_nothing_that_changes_the_host(host, monkeypatch):
    """apt-get takes --yes from the host's own configuration, too, so --assume-no would not do."""
    host.answers["apt-mark showmanual"] = (0, "prosody\nnginx\nlibdb5.3\n")
    host.answers["dpkg-query"] = (0, "prosody\tnet\nlibdb5.3\tlibs\nlibssl3\tlibs\n")
    host.answers["--simulate"] = (
        0,
        "Remv prosody [0.12]\nRemv libdb5.3 [5.3]\nRemv libssl3 [3.0]\nInst nginx [1.22] (1.26)\n",
    )
    found = refused(host, monkeypatch)
    assert found == [
        "prosody: Debian 13 would remove this package; remove it first, or type apt-mark auto prosody if you do not need it"
    ]
    assert "packages: 1 are upgraded, 0 are new, 3 are removed; 0 MB are downloaded" in host.upgrade.plan
    acts = [call for call in host.calls if call[0] not in ("apt-mark", it.STATUS)]
    print(*acts, sep="\n")
    for call in acts:
        assert call[0] in ("apt-get", "dpkg", "dpkg-query")
        assert {"--show", "--audit", "indextargets", "--simulate", "--print-uris", "update"} & set(call), call
    assert not (host.top / "state").exists() and "trixie" not in (host.top / "sources.list").read_text()


def test_another_release_is_refused(host, monkeypatch):
    monkeypatch.setattr(it, "release", lambda: "sid")
    assert host.upgrade.problems() == ["it runs sid, and this upgrades Debian 12 (bookworm) only"]
