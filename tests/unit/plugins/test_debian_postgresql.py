# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's data moves once, whatever a kill has left, and the original is never touched."""

from __future__ import annotations

import shutil

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import debian_postgresql as it
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, Finished

ROWS = {
    "prosody": "table public.prosody\t{accounts}\ntable public.prosodyarchive\t{archive}\nsequence public.sort_id\t{archive} t\n"
}


class Debian:
    """A host with PostgreSQL's folders, whose programs do to them what Debian's do."""

    def __init__(self, top):
        self.top, self.calls, self.rows = top, [], {}
        self.copied = {"accounts": 2, "archive": 40}
        self.fails = ""
        self.cluster("15", "5432", rows={"accounts": 2, "archive": 40})

    def cluster(self, version, port, *, data="", rows=None, whole=True):
        """Make one, by default empty; `data` is the folder that its configuration names."""
        configuration, folder = self.top / f"etc/{version}/main", self.top / f"lib/{version}/main"
        configuration.mkdir(parents=True)
        (configuration / "postgresql.conf").write_text(f"{port} {data or folder}")
        (configuration / "start.conf").write_text("# Whether it starts\nauto\n")
        if whole:
            folder.mkdir(parents=True)
            (folder / "PG_VERSION").write_text(f"{version}\n")
        self.rows[version] = rows or {"accounts": 0, "archive": 0}

    def conf(self, version):
        return self.top / f"etc/{version}/main/postgresql.conf"

    def ports(self):
        return {
            version: self.conf(version).read_text().split()[0]
            for version in ("15", "17")
            if self.conf(version).exists()
        }

    def attempt(self, command, **_options):
        command = list(command)
        words = command[command.index("--reset-env") + 1 :] if command[0] == "setpriv" else command
        if words[0] == "systemd-run":
            words = words[next(n for n, word in enumerate(words) if word == "pg_upgradecluster") :]
        self.calls.append(" ".join(words))
        return Finished(*self.answer(words[0].rsplit("/", 1)[-1], words[1:]), "")

    def run(self, command, **options):
        done = self.attempt(command, **options)
        if done.status:
            raise CommandError(command, done.said, done)
        return done.stdout

    def answer(self, program, words):
        if program == "pg_lsclusters":
            rows = []
            for version in words[1:] or self.ports():
                if "Half" in self.conf(version).read_text():
                    return 1, f"Error: invalid line 1 in {self.conf(version)}: Half a li"
                port, data = self.conf(version).read_text().split()
                rows.append(f"{version} main {port} down postgres {data} /var/log/postgresql/{version}.log\n")
            return 0, "".join(rows)
        if program == "pg_conftool":
            _port, data = self.conf(words[0]).read_text().split()
            self.conf(words[0]).write_text(f"{words[-1]} {data}")
        if program == "pg_dropcluster":
            shutil.rmtree(self.conf(words[1]).read_text().split()[1])
            shutil.rmtree(self.conf(words[1]).parent)
        if program == "pg_upgradecluster":
            if self.fails:
                return 1, self.fails
            assert not (self.top / "etc/17/main").exists() and not (self.top / "lib/17/main").exists()
            assert self.ports() == {"15": "5432"} and "manual" not in (self.top / "etc/15/main/start.conf").read_text()
            self.cluster("17", "5433", rows=self.copied)
            (self.top / "etc/15/main/start.conf").write_text("manual\n")
        if program == "psql":
            query = words[-1]
            if query == it.ROLES:
                return 0, "role postgres\t\nrole prosody\t\n"
            if query == it.DATABASES:
                return 0, "template1\nprosody\n"
            rows = ROWS.get(words[words.index("--dbname") + 1], "")
            return 0, rows.format(**self.rows[words[words.index("--cluster") + 1].split("/")[0]])
        return 0, ""


@pytest.fixture
def debian(tmp_path, monkeypatch):
    debian = Debian(tmp_path)
    for name, value in {
        "CONFIGURATION": f"{tmp_path}/etc",
        "DATA": f"{tmp_path}/lib",
        "run": debian.run,
        "attempt": debian.attempt,
    }.items():
        monkeypatch.setattr(it, name, value)
    monkeypatch.setattr(it, "clusters", lambda: it.parse_clusters(debian.run(["pg_lsclusters", "--no-header"])))
    return debian


def nothing(_debian):
    """Debian's package has not made a cluster."""


def of_the_package(debian):
    debian.cluster("17", "5433")


def half_a_copy(debian):
    debian.cluster("17", "5433", rows={"accounts": 2, "archive": 0})


def data_without_configuration(debian):
    debian.cluster("17", "5433")
    shutil.rmtree(debian.conf("17").parent)


def configuration_without_data(debian):
    debian.cluster("17", "5433", whole=False)


def configuration_of_the_old_one(debian):
    debian.cluster("17", "5432", data=debian.top / "lib/15/main")


def configuration_without_contents(debian):
    """After a loss of power, a file may be empty: pg_lsclusters then knows no port."""
    debian.cluster("17", "<unknown>", data="<unknown>")


def configuration_cut_in_half(debian):
    """pg_lsclusters then tells of no cluster."""
    debian.cluster("17", "Half a", data="li")


def copied_but_not_exchanged(debian):
    debian.cluster("17", "5433", rows=debian.copied)
    (debian.top / "etc/15/main/start.conf").write_text("# This cluster was upgraded\nmanual\n")


def half_exchanged(debian):
    copied_but_not_exchanged(debian)
    debian.conf("15").write_text(f"5433 {debian.top}/lib/15/main")


def half_exchanged_and_removed(debian):
    half_exchanged(debian)
    shutil.rmtree(debian.conf("17").parent)
    shutil.rmtree(debian.top / "lib/17/main")


STATES = [
    nothing,
    of_the_package,
    half_a_copy,
    data_without_configuration,
    configuration_without_data,
    configuration_of_the_old_one,
    configuration_without_contents,
    configuration_cut_in_half,
    copied_but_not_exchanged,
    half_exchanged,
    half_exchanged_and_removed,
]


@pytest.mark.parametrize("left", STATES)
def test_whatever_a_kill_has_left_the_data_moves_whole_and_once(debian, left):
    left(debian)
    assert "version 15 has all data" in it.standing("15", "17")
    assert it.move("15", "17") is True
    assert debian.ports() == {"15": "5433", "17": "5432"} and debian.rows["17"] == debian.rows["15"]
    assert (debian.top / "lib/15/main/PG_VERSION").read_text() == "15\n"
    # No boot starts the old one.
    assert "systemctl disable postgresql@15-main.service" in debian.calls
    assert "version 17 has all data" in it.standing("15", "17")
    debian.calls.clear()
    assert it.move("15", "17") is False
    assert set(debian.calls) == {"pg_lsclusters --no-header"}


@pytest.mark.parametrize("left", STATES)
def test_a_copy_that_is_not_whole_never_gets_the_port(debian, left):
    left(debian)
    debian.copied = {"accounts": 2, "archive": 17}
    with pytest.raises(it.ClusterError) as error:
        it.move("15", "17")
    assert (
        "prosody: sequence public.sort_id has 17 t, and had 40 t; prosody: table public.prosodyarchive has 17, and had 40"
        in str(error.value)
    )
    assert "Version 15 still has all data" in str(error.value)
    assert debian.ports() == {"15": "5432", "17": "5433"}
    # All that was started for the comparison is stopped.
    assert debian.calls[-2:] == [f"pg_ctlcluster {version} main stop" for version in ("15", "17")]


def test_a_failed_copy_is_told_with_what_was_printed(debian):
    debian.fails = "Error: No space left on device"
    with pytest.raises(it.ClusterError, match="No space left"):
        it.move("15", "17")
    assert debian.ports() == {"15": "5432"}


def test_a_host_without_the_old_version_has_nothing_to_move(debian):
    shutil.rmtree(debian.top / "etc/15")
    assert it.standing("15", "17") == "" and it.move("15", "17") is False


def test_a_configuration_of_the_old_version_that_cannot_be_read_is_told(debian):
    half_a_copy(debian)
    debian.conf("15").write_text("Half a li")
    for ask in (it.standing, it.move):
        with pytest.raises(CommandError, match="invalid line 1 in .*/15/main/postgresql.conf"):
            ask("15", "17")
    assert debian.conf("17").exists()


def test_what_runs_of_a_killed_run_ends_before_anything_is_removed(debian):
    half_a_copy(debian)
    it.move("15", "17")
    first = [
        next(n for n, call in enumerate(debian.calls) if word in call)
        for word in (it.UNIT, "@17-main", "pg_dropcluster")
    ]
    assert first == sorted(first)


def test_differences_are_told_briefly():
    old = {f"database d{number}": "" for number in range(8)} | {"d0: table public.x": "3"}
    assert it.differences(old, dict(old)) == []
    assert it.differences(old, {}) == [*(f"{name} is missing" for name in sorted(old)[:5]), "and 4 more"]
    # What only the new version has does not count.
    assert it.differences({"d0: table public.x": "3"}, {"d0: table public.x": "2", "more": ""}) == [
        "d0: table public.x has 2, and had 3"
    ]


def test_clusters_are_read():
    found = it.parse_clusters(
        "15  main    5433 down   postgres /var/lib/postgresql/15/main /var/log/postgresql/postgresql-15-main.log\n"
    )
    assert found == {("15", "main"): {"port": "5433", "status": "down", "data": "/var/lib/postgresql/15/main"}}
