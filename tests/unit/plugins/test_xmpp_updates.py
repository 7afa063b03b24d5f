# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program on the host that decides when to upgrade, restart and reboot, loaded from where the role keeps it."""

import datetime
import json
import os
import random
import subprocess
import sys
import zoneinfo
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from programs import load_program

PROGRAM = Path(__file__).parents[3] / "roles/updates/templates/usr/local/sbin/xmpp-updates"
UTC = datetime.UTC
# Half and quarter hours, clock changes north and south, of half an hour, at midnight, and on other days than in Europe.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Asia/Kathmandu",
    "Asia/Beirut",
    "Africa/Casablanca",
    "Pacific/Chatham",
    "America/Sao_Paulo",
]


@pytest.fixture
def program(tmp_path, monkeypatch):
    module = load_program(PROGRAM)
    for name in ("CONFIG", "STATE", "REQUIRED", "PACKAGES", "DPKG_LOCK", "ANNOUNCE", "ALARM", "BOOT", "INIT"):
        monkeypatch.setattr(module, name, str(tmp_path / name))
    boot(module, 1)
    return module


def boot(program, number):
    """The same kernel as before, and another first process: so a container boots."""
    Path(program.BOOT).write_text("5b6c\n")
    Path(program.INIT).write_text(f"1 (a ) S b) S {' '.join(['0'] * 18)} {number} 0\n")


def config(windows=("02:00-05:00",), fleet=("a",), host="a", deadline=7, announce=5):
    """What the role writes, from what the inventory says."""
    return {
        **checks.update_windows(list(windows)),
        "deadline_days": deadline,
        "host": host,
        "fleet": list(fleet),
        "announce_minutes": announce,
        "announcement": "Back soon, in {minutes} minutes.",
        "stale_days": 2,
    }


def at(text, zone="UTC"):
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone)).timestamp())


def clock_of(zone):
    """The wall clock of a zone, as the host's own library shows it to the program."""
    known = zoneinfo.ZoneInfo(zone)

    def clock(moment):
        shown = datetime.datetime.fromtimestamp(moment, known)
        return shown.weekday(), shown.hour * 60 + shown.minute

    return clock


def clock_changes(zone, year):
    """The moments of a year at which a zone's clocks change."""
    known, found = zoneinfo.ZoneInfo(zone), []
    hour = datetime.datetime(year, 1, 1, tzinfo=UTC)
    before = hour.astimezone(known).utcoffset()
    while hour.year == year:
        hour += datetime.timedelta(hours=1)
        if (now := hour.astimezone(known).utcoffset()) != before:
            found.append(int(hour.timestamp()))
        before = now
    return found


CHANGES = [(zone, moment) for zone in ZONES for year in (2025, 2026, 2027) for moment in clock_changes(zone, year)]


def windows_of(dice):
    """One to three windows, a third of them across midnight, some shorter than a turn, some of a few days only."""
    texts = set()
    for _number in range(dice.choice([1, 1, 2, 3])):
        start = dice.randrange(1440)
        end = (start + dice.choice([1, 10, 30, 60, 180, 180, 600, 1439])) % 1440
        days = dice.choice(["", "", "sat,sun ", "mon-fri ", "wed ", "fri-mon "])
        texts.add(f"{days}{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}")
    return sorted(texts)


def walked(windows):
    """Every minute of the week that is in a window, found by walking each window minute by minute."""
    minutes = set()
    for window in windows:
        begin, end = [int(text[:2]) * 60 + int(text[3:]) for text in (window["start"], window["end"])]
        for day in window["days"]:
            minutes.update(range(day * 1440 + begin, day * 1440 + begin + (end - begin) % 1440))
    return {minute % 10080 for minute in minutes}


def test_a_window_is_open_as_walked_through():
    program, dice, seen = load_program(PROGRAM), random.Random(3), 0
    for _number in range(60):
        given = config(windows_of(dice))
        read, minutes = program.read_config(json.dumps(given)), walked(given["windows"])
        for _again in range(60):
            weekday, minute = dice.randrange(7), dice.randrange(1440)
            inside = program.in_windows(read["windows"], weekday, minute)
            assert inside == (weekday * 1440 + minute in minutes), (given["windows"], weekday, minute)
            seen += inside
    print(f"3600 minutes, {seen} of them in a window")
    assert 500 < seen < 3100


@pytest.mark.slow
def test_never_outside_a_window_and_never_two_at_once():
    """Fleets of hosts in different zones, around changes of their clocks: what any of them may begin."""
    program, dice = load_program(PROGRAM), random.Random(11)
    fleets = hosts = begun = across = late = 0
    holding, held = program.holding, {}
    # What holds does not change from one moment to the next.
    program.holding = lambda _config, _profile, overdue: held[overdue]
    for _number in range(2000):
        fleets += 1
        names = [f"h{index}" for index in range(dice.choice([1, 2, 2, 3, 4, 7, 12]))]
        zone, change = dice.choice(CHANGES)
        begin = (change - dice.randrange(8 * 3600)) // 300 * 300
        outages = []
        for name in names:
            hosts += 1
            own = zone if dice.random() < 0.7 else dice.choice(ZONES)
            auto = dice.random() < 0.3
            given = config([*(["auto"] if auto else []), *windows_of(dice)], names, name, dice.choice([1, 7, 30]))
            read, clock = program.read_config(json.dumps(given)), clock_of(own)
            minutes = walked(given["windows"])
            profile = [dice.choice([0, 1, 5, 9.5]) for _hour in range(168)] if dice.random() < 0.5 else None
            held |= {overdue: holding(read, profile, overdue) for overdue in (False, True)}
            need = {"why": "x", "important": dice.random() < 0.5, "since": begin - dice.randrange(40 * 86400)}
            across += own == zone
            for tick in range(begin, begin + 8 * 3600, 300):
                moment = tick + given["announce_minutes"] * 60
                if not program.permitted(read, profile, need, moment, clock):
                    continue
                begun += 1
                outages.append((moment, name))
                overdue = need["important"] and moment - need["since"] >= given["deadline_days"] * 86400
                late += overdue
                if not overdue and not (auto and profile):
                    weekday, minute = clock(moment)
                    assert weekday * 1440 + minute in minutes, (given, own, moment)
        outages.sort()
        for (first, one), (second, other) in zip(outages, outages[1:], strict=False):
            assert one == other or second - first >= program.OUTAGE, (names, one, other, first, second)
    print(f"{fleets} fleets, {hosts} hosts, {across} over a clock change, {begun} moments, {late} beyond a deadline")
    assert begun > 5000 and late > 500


def test_nothing_sooner_than_the_deadline():
    program = load_program(PROGRAM)
    given = program.read_config(json.dumps(config(["sun 03:00-04:00"], deadline=5)))
    since = at("2026-11-23T12:00")  # a Monday
    for important, days, said in [(True, 4.9, False), (True, 5.1, True), (False, 30, False)]:
        need = {"why": "x", "important": important, "since": since}
        tuesday = at("2026-12-01T03:05")
        assert (
            program.permitted(given, None, {**need, "since": tuesday - int(days * 86400)}, tuesday, clock_of("UTC"))
            == said
        )
    need = {"why": "x", "important": True, "since": since}
    # The Saturday, when the deadline is over, and not the Sunday after; for an unimportant one the Sunday.
    assert program.next_moment(given, None, need, since, 300, clock_of("UTC")) == at("2026-11-29T03:00")
    assert program.next_moment(given, None, {**need, "since": since - 86400}, since, 300, clock_of("UTC")) == at(
        "2026-11-28T03:00"
    )
    need["important"] = False
    assert program.next_moment(given, None, need, since, 300, clock_of("UTC")) == at("2026-11-29T03:00")


def test_every_host_has_its_turn_in_the_shortest_window():
    """However many hosts, and even if the window is once a week and shorter than a turn."""
    program, longest = load_program(PROGRAM), 0
    for count in (1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 21, 24):
        names = [f"h{index:02}" for index in range(count)]
        for name in (names[0], names[-1]):
            # A window of a quarter of an hour, at each half-hour's begin, found by the clock of UTC.
            read = program.read_config(json.dumps(config(["02:00-02:15"], names, name)))
            found = program.next_moment(read, None, None, at("2026-03-01T12:00"), 0, clock_of("UTC"))
            assert found is not None, (count, name)
            longest = max(longest, (found - at("2026-03-01T12:00")) / 86400)
            assert program.turns(names) >= count and program.turns([*names, *names]) == program.turns(names)
    print(f"the longest wait is {longest:.1f} days")


@pytest.mark.parametrize(
    ("windows", "zone", "begin", "expected"),
    [
        # The hour from 02:00 to 03:00 is skipped: a window in it is not open that day.
        (["02:10-02:50"], "Europe/Berlin", "2026-03-28T12:00", "2026-03-30T02:10"),
        (["01:30-03:30"], "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T01:30"),
        # It is there twice: the window is open in both.
        (["02:30-02:45"], "Europe/Berlin", "2026-10-24T12:00", "2026-10-25T02:30"),
        # Half an hour back.
        (["01:30-01:45"], "Australia/Lord_Howe", "2026-04-04T12:00", "2026-04-05T01:30"),
        (["sat 23:30-01:00"], "UTC", "2026-11-25T12:00", "2026-11-28T23:30"),
        (["sat 23:30-01:00"], "UTC", "2026-11-29T00:01", "2026-11-29T00:05"),
        (["sat 23:30-01:00"], "UTC", "2026-11-29T01:00", "2026-12-05T23:30"),
    ],
)
def test_the_next_moment(windows, zone, begin, expected):
    program = load_program(PROGRAM)
    read = program.read_config(json.dumps(config(windows)))
    moment = program.next_moment(read, None, None, at(begin, zone), 0, clock_of(zone))
    known = zoneinfo.ZoneInfo(zone)
    assert datetime.datetime.fromtimestamp(moment, known).isoformat()[:16] == expected


def series(busy, weeks=4, step=7200, end="2026-11-23T00:00", zone="UTC"):
    """What munin knows, in steps: sessions by weekday and hour."""
    clock, found = clock_of(zone), []
    last = at(end)
    for begin in range(last - weeks * 7 * 86400, last, step):
        weekday, minute = clock(begin)
        found.append((begin, begin + step, busy(weekday, minute // 60)))
    return found


def test_the_quietest_hours():
    program, clock = load_program(PROGRAM), clock_of("UTC")
    # Busy but from 14 to 18 on weekends, and from 04 to 08 on the other days.
    quiet = {day: (14, 18) if day >= 5 else (4, 8) for day in range(7)}
    profile = program.week_profile(series(lambda day, hour: 1 if quiet[day][0] <= hour < quiet[day][1] else 50), clock)
    read = program.read_config(json.dumps(config(["auto", "02:00-05:00"])))
    found = program.holding(read, profile, False)
    print(program.spans(found))
    assert program.spans(found) == "Mon-Fri 04:00-07:00; Sat,Sun 15:00-18:00"
    # Only the days that are given, until a deadline is over.
    read = program.read_config(json.dumps(config(["auto", "sun 02:00-04:00"])))
    assert program.spans(program.holding(read, profile, False)) == "Sun 16:00-18:00"
    assert program.spans(program.holding(read, profile, True)) == "Mon-Fri 04:00-06:00; Sat,Sun 16:00-18:00"
    # Without auto, only a deadline asks for the quietest hours.
    read = program.read_config(json.dumps(config(["sun 02:00-04:00"])))
    assert program.spans(program.holding(read, profile, False)) == "Sun 02:00-04:00"
    assert program.spans(program.holding(read, profile, True)) == "Mon-Fri 04:00-06:00; Sat,Sun 16:00-18:00"
    assert program.spans(program.holding(read, None, True)) == "every day 02:00-04:00"


def test_too_little_is_known():
    program, clock = load_program(PROGRAM), clock_of("UTC")
    assert program.week_profile([], clock) is None
    assert program.week_profile(series(lambda day, hour: 1, weeks=1), clock) is None
    assert program.week_profile(series(lambda day, hour: 1, weeks=2), clock) == [1.0] * 168
    # No Sunday is known.
    assert program.week_profile([step for step in series(lambda day, hour: 1) if clock(step[0])[0] != 6], clock) is None
    # A server that nobody uses stays where it was told.
    read = program.read_config(json.dumps(config(["auto", "23:30-01:30"])))
    assert program.spans(program.holding(read, [0.0] * 168, False)) in (
        "every day 23:00-01:00",
        "every day 00:00-02:00",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"windows": []}, "there is no window; write one"),
        ({"windows": [{"days": [0], "start": "2:00", "end": "05:00"}]}, "'2:00' is not a time of day"),
        ({"windows": [{"days": [0], "start": "02:00", "end": "24:00"}]}, "'24:00' is not a time of day"),
        ({"windows": [{"days": [0], "start": "02:00", "end": "02:00"}]}, "the window 02:00-02:00 has no length"),
        ({"windows": [{"days": [7], "start": "02:00", "end": "03:00"}]}, "[7] are no days of the week"),
        ({"windows": [{"days": [], "start": "02:00", "end": "03:00"}]}, "[] are no days of the week"),
        ({"fleet": ["b"]}, "'a' is not in the fleet; add it"),
    ],
)
def test_refuses_a_bad_configuration(program, monkeypatch, capsys, change, said):
    Path(program.CONFIG).write_text(json.dumps({**config(), **change}))
    monkeypatch.setattr(program.subprocess, "run", lambda *_given, **_more: pytest.fail("something was run"))
    monkeypatch.setattr(sys, "argv", ["xmpp-updates"])
    assert program.main() == 1
    error = capsys.readouterr().err
    assert said in error and "nothing is done" in error


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_a_broken_configuration_does_nothing(program, monkeypatch, capsys, text):
    if text is not None:
        Path(program.CONFIG).write_text(text)
    monkeypatch.setattr(program.subprocess, "run", lambda *_given, **_more: pytest.fail("something was run"))
    monkeypatch.setattr(sys, "argv", ["xmpp-updates"])
    assert program.main() == 1
    assert "nothing is done" in capsys.readouterr().err


class Machine:
    """Answers as the machine's programs do, records what is run, and has a clock that passes by sleeping only."""

    def __init__(self, program, monkeypatch, now, pending=(), security=(), kernel="1", mirror=True, services=()):
        self.program, self.now, self.ran = program, now, []
        self.pending, self.security, self.mirror, self.services = list(pending), set(security), mirror, list(services)
        self.kernel, self.upgrade_error, self.announced, self.alarms = kernel, None, [], []
        self.busy = self.backup = lambda: False
        # What a reboot does, or does not.
        self.boots, self.helps, self.versions = 1, True, {}
        monkeypatch.setattr(program, "run", self.run)
        monkeypatch.setattr(program.time, "time", lambda: self.now)
        monkeypatch.setattr(program.time, "sleep", self.sleep)
        monkeypatch.setattr(program, "wall", clock_of("UTC"))
        monkeypatch.setattr(program.permitted, "__defaults__", (program.wall,))
        monkeypatch.setattr(program.next_moment, "__defaults__", (program.wall,))
        monkeypatch.setattr(program.week_profile, "__defaults__", (program.wall,))
        monkeypatch.setattr(program, "of_security", lambda names: [name for name in names if name in self.security])
        monkeypatch.setattr(program, "upgrade", self.upgrade)
        monkeypatch.setattr(program, "dpkg_is_busy", lambda: self.busy())
        monkeypatch.setattr(program.subprocess, "run", self.alarm)
        Path(program.ANNOUNCE).mkdir()
        Path(program.ALARM).touch()

    def sleep(self, seconds):
        self.now += seconds

    def upgrade(self, still_open):
        assert still_open()
        self.ran.append("upgrade")
        if not self.upgrade_error:
            self.pending = []
        return self.upgrade_error

    def alarm(self, command, **options):
        self.alarms.append((" ".join(command[1:]), options.get("input")))
        return subprocess.CompletedProcess(command, 0)

    def run(self, command, _seconds=0, env=None):
        words = " ".join(command)
        name = words.rsplit("/", 1)[-1] if command[0].startswith("/") else words
        if name.startswith("needrestart -b -k"):
            return 0, f"NEEDRESTART-KCUR: 6.1\nNEEDRESTART-KEXP: 6.12\nNEEDRESTART-KSTA: {self.kernel}\n"
        if name.startswith("needrestart -b -l"):
            return 0, "".join(f"NEEDRESTART-SVC: {service}\n" for service in self.services)
        if name.startswith("systemctl is-active"):
            return 3, "activating\n" if self.backup() else "inactive\n"
        if "--dry-run" in words:
            listed = f"Packages that will be upgraded: {' '.join(self.pending)}\n" if self.pending else ""
            return 0, listed or "No packages found that can be upgraded unattended\n"
        if name.startswith("dpkg-query"):
            return 0, "".join(f"{package}={self.versions.get(package, '1')}\n" for package in command[3:])
        self.ran.append(words)
        if words.endswith("systemctl reboot"):
            self.boots += 1
            boot(self.program, self.boots)
            if self.helps:
                self.kernel = "1"
                for path in (self.program.REQUIRED, self.program.PACKAGES):
                    Path(path).unlink(missing_ok=True)
        if words.startswith("apt-get update"):
            return (0, "") if self.mirror else (100, "E: Failed to fetch\n")
        if words.startswith("run-parts"):
            self.announced.append((self.now, words))
        if "needrestart -r a" in words:
            self.services, self.restarted = [], self.now
        return 0, ""

    def ticks(self, count, **given):
        """Lets the timer fire, every five minutes."""
        read = self.program.read_config(json.dumps(config(**given)))
        reboots = []
        for _number in range(count):
            before = len(self.ran)
            start = self.now
            self.program.tick(read, self.program.load_state())
            for words in self.ran[before:]:
                if words.endswith("systemctl reboot"):
                    reboots.append(self.now)
            self.now = max(start + 300, -(-self.now // 300) * 300)
        return reboots

    def did(self, part):
        return sum(part in words for words in self.ran)


def test_a_day_and_a_night(program, monkeypatch):
    machine = Machine(
        program, monkeypatch, at("2026-11-25T09:00"), pending=["libc6", "prosody"], services=["nginx.service"]
    )
    assert machine.ticks(203) == []  # until 01:55
    assert machine.did("upgrade") == 0 and machine.did("needrestart -r") == 0 and machine.did("apt-get update") == 2
    machine.kernel = "3"
    reboots = machine.ticks(36)
    assert machine.did("upgrade") == 1 and machine.did("needrestart -r") == 1
    assert [datetime.datetime.fromtimestamp(moment, UTC).isoformat()[:16] for moment in reboots[:1]] == [
        "2026-11-26T02:05"
    ]
    ((told, words), *_more) = machine.announced
    assert reboots[0] - told == 300
    assert words == f"run-parts --report --arg=Back soon, in 5 minutes. {program.ANNOUNCE}"


def test_nothing_without_need(program, monkeypatch):
    machine = Machine(program, monkeypatch, at("2026-11-25T02:00"))
    assert machine.ticks(36) == []
    # An upgrade is tried once a day, since the lists may be older than what there is.
    assert machine.did("upgrade") == 1 and machine.did("needrestart -r") == 0 and not machine.announced


def test_outside_the_window_with_a_reboot_required(program, monkeypatch, capsys):
    machine = Machine(program, monkeypatch, at("2026-11-25T09:02"), security=["libc6"])
    Path(program.REQUIRED).touch()
    os.utime(program.REQUIRED, (machine.now - 3600, machine.now - 3600))
    Path(program.PACKAGES).write_text("linux-image\nlibc6\nlinux-image\n")
    assert machine.ticks(12) == []
    assert not machine.announced
    Path(program.CONFIG).write_text(json.dumps(config(fleet=["a", "b"])))
    monkeypatch.setattr(sys, "argv", ["xmpp-updates", "--explain"])
    assert program.main() == 0
    said = capsys.readouterr().out
    print(said)
    assert "outside the windows: every day 02:00-05:00." in said
    assert "This host is number 1 of 2: its turn comes each 2.5 h." in said
    assert ", important (" in said and "is there, from libc6, linux-image)" in said
    assert "It happens Thu 2026-11-26 0" in said and "Who is connected is told 5 minutes before." in said


def test_waits_for_dpkg_but_not_beyond_the_window(program, monkeypatch):
    machine = Machine(program, monkeypatch, at("2026-11-25T02:00"), kernel="3")
    machine.busy = lambda: machine.now < at("2026-11-25T04:20")
    assert machine.ticks(36)[0] == at("2026-11-25T04:25")


def test_waits_for_a_backup_but_not_beyond_the_window(program, monkeypatch, capsys):
    machine = Machine(program, monkeypatch, at("2026-11-25T02:00"), kernel="3")
    machine.backup = lambda: machine.now < at("2026-11-25T04:20")
    assert machine.ticks(24) == [] and not machine.announced
    Path(program.CONFIG).write_text(json.dumps(config()))
    monkeypatch.setattr(sys, "argv", ["xmpp-updates", "--explain"])
    assert program.main() == 0
    assert "A backup is being made now. While one is, no reboot begins" in capsys.readouterr().out
    assert machine.ticks(12)[0] == at("2026-11-25T04:25")
    # One that begins after the announcement, and lasts until the day after.
    machine.now, machine.announced, machine.kernel = at("2026-11-26T02:00"), [], "3"
    machine.versions = {"linux-image-6.12": "2"}
    machine.backup = lambda: bool(machine.announced) and machine.now < at("2026-11-27T01:00")
    assert machine.ticks(24 * 12)[0] == at("2026-11-27T02:00") and len(machine.announced) == 2
    assert program.main() == 0 and "A backup" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("announce", "windows", "fleet", "minutes"),
    [
        (5, "02:00-05:00", "a", 5),
        (1, "02:00-05:00", "a", 1),
        # What there is room for: of the first half of a turn of one's own, which some of has gone, or of the window.
        (30, "02:00-05:00", "a", 10),
        (30, "02:00-05:00", "abc", 10),
        (5, "02:00-02:04", "a", 3),
        (0, "02:00-05:00", "a", 0),
    ],
)
def test_a_restart_is_announced_to_who_is_connected(program, monkeypatch, announce, windows, fleet, minutes):
    services = ["nginx.service", "prosody.service"]
    machine = Machine(program, monkeypatch, at("2026-11-25T01:00"), services=services)
    Path(program.ANNOUNCE, "prosody").touch()
    Path(program.ANNOUNCE, "other").touch()
    machine.ticks(12 * 12, announce=announce, windows=[windows], fleet=fleet)
    assert machine.did("needrestart -r") == 1
    if not minutes:
        assert not machine.announced
        return
    ((told, words),) = machine.announced
    assert machine.restarted - told == minutes * 60
    assert words == (
        f"run-parts --report --regex=^(prosody)$ --arg=Back soon, in {minutes} minute{'s' * (minutes > 1)}. "
        f"{program.ANNOUNCE}"
    )
    given = program.read_config(json.dumps(config(fleet=fleet, windows=[windows])))
    assert program.permitted(given, None, None, machine.restarted)


def test_a_restart_that_nobody_notices_is_not_announced(program, monkeypatch):
    machine = Machine(
        program, monkeypatch, at("2026-11-25T02:00"), services=["nginx.service"], pending=["prosody-modules"]
    )
    Path(program.ANNOUNCE, "prosody").touch()
    machine.ticks(1)
    assert machine.did("needrestart -r") == machine.did("upgrade") == 1 and not machine.announced


def test_new_packages_that_restart_who_has_clients_are_announced(program, monkeypatch):
    machine = Machine(program, monkeypatch, at("2026-11-25T02:00"), pending=["prosody"])
    Path(program.ANNOUNCE, "prosody").touch()
    machine.ticks(1)
    ((told, _words),) = machine.announced
    assert (told, machine.now) == (at("2026-11-25T02:00"), at("2026-11-25T02:05")) and machine.did("upgrade") == 1
    # Meanwhile, dpkg is busy, or the window is over: not in this one.
    machine.pending, machine.announced, machine.now = ["prosody"], [], at("2026-11-26T02:00")
    machine.busy = lambda: bool(machine.announced)
    machine.ticks(1)
    assert machine.did("upgrade") == 1 and len(machine.announced) == 1


def test_a_reboot_that_follows_restarts_as_well(program, monkeypatch):
    """Who is connected is disturbed once, and not twice within minutes."""
    machine = Machine(program, monkeypatch, at("2026-11-25T02:00"), kernel="3", services=["prosody.service"])
    Path(program.ANNOUNCE, "prosody").touch()
    assert machine.ticks(1) == [at("2026-11-25T02:05")]
    assert machine.did("needrestart -r") == 0 and len(machine.announced) == 1
    # A backup keeps the reboot waiting, but not the restart.
    machine.announced, machine.now, machine.backup = [], at("2026-11-26T02:00"), lambda: True
    machine.kernel, machine.services, machine.versions = "3", ["prosody.service"], {"linux-image-6.12": "2"}
    assert machine.ticks(1) == [] and machine.did("needrestart -r") == 1 and len(machine.announced) == 1


def test_the_next_window(program, monkeypatch):
    def shown(windows, moment, zone="UTC"):
        read = program.read_config(json.dumps(config(windows)))
        found = program.next_window(read, None, False, at(moment, zone), clock_of(zone))
        return [value and (value - at(moment, zone)) / 3600 for value in (found["opens"], found["closes"])]

    assert shown(["02:00-05:00"], "2026-11-25T00:30") == [1.5, 4.5]
    assert shown(["02:00-05:00"], "2026-11-25T03:00") == [0, 2]
    assert shown(["02:00-05:00"], "2026-11-25T05:00") == [21, 24]
    assert shown(["sun 23:30-01:00", "mon 00:30-02:00"], "2026-11-25T23:30") == [96, 98.5]
    # An hour that is skipped once.
    assert shown(["sun 02:10-02:50"], "2026-03-28T12:00", "Europe/Berlin") == [181 + 1 / 6, 181 + 5 / 6]
    assert shown(["00:00-12:00", "12:00-00:00"], "2026-11-25T12:00") == [0, None]
    machine = Machine(program, monkeypatch, at("2026-11-25T09:02"))
    machine.ticks(1)
    assert program.load_state()["window"] == {"opens": at("2026-11-26T02:00"), "closes": at("2026-11-26T05:00")}


def test_the_clock_is_read_again_at_the_last_moment(program, monkeypatch):
    """A sleep that lasts too long, as of a suspended machine, ends outside, and nothing is rebooted."""
    machine = Machine(program, monkeypatch, at("2026-11-25T02:00"), kernel="3")
    monkeypatch.setattr(program.time, "sleep", lambda seconds: machine.sleep(3 * 3600))
    assert machine.ticks(1) == []
    assert len(machine.announced) == 1
    # dpkg began meanwhile.
    machine.now = at("2026-11-26T02:00")
    monkeypatch.setattr(program.time, "sleep", machine.sleep)
    machine.busy = lambda: bool(machine.announced[1:])
    assert machine.ticks(1) == [] and len(machine.announced) == 2


def test_tells_of_an_upgrade_that_fails_and_of_a_mirror_that_is_away(program, monkeypatch):
    machine = Machine(program, monkeypatch, at("2026-11-25T02:00"), pending=["libc6"])
    machine.upgrade_error = "unattended-upgrade ended with 1:\nthe reason"
    machine.ticks(1)
    assert machine.alarms == [("updates: an upgrade has failed", "unattended-upgrade ended with 1:\nthe reason\n")]
    machine.upgrade_error = None
    machine.ticks(24 * 12)
    assert machine.alarms[-1] == ("--over updates: an upgrade has failed", None)
    assert json.loads(Path(program.STATE).read_text())["problems"] == {}
    machine.alarms, machine.mirror = [], False
    machine.ticks(24 * 12 * 2)
    assert machine.alarms == [], "two days without a mirror are none of the operator's business"
    machine.ticks(24 * 12)
    assert machine.alarms[0][0] == "updates: the package lists are stale"
    assert machine.alarms[0][1].startswith("the package lists have not been refreshed since ")
    machine.mirror = True
    machine.ticks(24 * 12)
    assert machine.alarms[-1] == ("--over updates: the package lists are stale", None)


def test_what_becomes_important_has_not_waited_before(program, monkeypatch):
    machine = Machine(program, monkeypatch, at("2026-11-25T09:00"), pending=["a"])
    days = 24 * 12
    machine.ticks(days, windows=["sun 03:00-04:00"], deadline=1)
    first = json.loads(Path(program.STATE).read_text())["upgrade"]
    machine.pending, machine.security = ["a", "b"], {"b"}
    machine.ticks(days // 2, windows=["sun 03:00-04:00"], deadline=1)
    second = json.loads(Path(program.STATE).read_text())["upgrade"]
    assert (first["important"], second["important"]) == (False, True)
    assert second["since"] > first["since"] and machine.did("upgrade") == 0
    machine.ticks(days * 3 // 2, windows=["sun 03:00-04:00"], deadline=1)
    assert machine.did("upgrade") == 1


def test_sees_who_holds_the_lock_of_dpkg(program):
    assert not program.dpkg_is_busy()
    Path(program.DPKG_LOCK).touch()
    assert not program.dpkg_is_busy()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX);"
            "print('held', flush=True); sys.stdin.read()",
            program.DPKG_LOCK,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    assert program.dpkg_is_busy()
    holder.communicate()
    assert not program.dpkg_is_busy()


def test_munin_s_files_are_read_as_munin(program, monkeypatch, tmp_path):
    """rrdtool breaks at what is no database of its own: what munin has written, root does not give it to read."""
    (tmp_path / "a.rrd").write_text("x")
    commands = []
    rows = "            42\n\n1000000300: 1.0e+00\n1000000600: nan\n1000000900: 3.0e+00\n"
    monkeypatch.setattr(program, "RRD", str(tmp_path / "*.rrd"))
    monkeypatch.setattr(program.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(program, "run", lambda command: (commands.append(command), (0, rows))[1])
    assert list(program.munin_series(10**9)) == [(10**9, 10**9 + 300, 1.0), (10**9 + 600, 10**9 + 900, 3.0)]
    words = commands[0][: commands[0].index("rrdtool")]
    assert words[0] == "setpriv" and {"--reuid=munin", "--regid=munin", "--clear-groups", "--no-new-privs"} <= set(
        words
    )


def nights(machine, *days):
    """Lets the timer fire around each window, whose hours are 02:00 to 05:00."""
    reboots = []
    for day in days:
        machine.now = at(f"2026-11-{day}T01:00")
        reboots += machine.ticks(5 * 12)
    return reboots


def survived(machine):
    return [text for subject, text in machine.alarms if subject == "updates: a reboot has not helped"]


def test_a_kernel_that_does_not_boot_is_told_and_not_rebooted_for_again(program, monkeypatch):
    """A provider's own kernel, a pinned entry of GRUB, or a /boot that was not written."""
    machine = Machine(program, monkeypatch, at("2026-11-25T01:00"), kernel="3")
    machine.helps = False
    reboots = nights(machine, 25, 26, 27)
    print(f"{len(reboots)} reboots in three nights", *survived(machine)[:1], sep="\n")
    assert reboots == [at("2026-11-25T02:00")] and len(machine.announced) == 1
    assert survived(machine)[0].startswith(
        "kernel 6.12 is installed, 6.1 runs, though the machine was rebooted for that"
    )
    assert "remove linux-image-6.12" in survived(machine)[0]
    Path(program.CONFIG).write_text(json.dumps(config()))
    monkeypatch.setattr(sys, "argv", ["xmpp-updates", "--explain"])
    assert program.main() == 0
    # The next build of that kernel deserves a reboot of its own; and one that boots is the end of it.
    machine.versions, machine.alarms = {"linux-image-6.12": "2"}, []
    assert nights(machine, 28) == [at("2026-11-28T02:00")]
    machine.kernel = "1"
    machine.ticks(1)
    assert machine.alarms[-1] == ("--over updates: a reboot has not helped", None)
    nights(machine, 30)
    assert program.load_state()["attempts"] == {}


@pytest.mark.parametrize("packages", ["", "dbus\n"])
def test_what_asks_for_a_reboot_after_each_boot_gets_one(program, monkeypatch, packages):
    machine = Machine(program, monkeypatch, at("2026-11-25T01:00"))
    found = []

    def ask():
        Path(program.REQUIRED).touch()
        if packages:
            Path(program.PACKAGES).write_text(packages)

    ask()
    for day in (25, 26, 27):
        # A few minutes after the boot, and not with it.
        for hour in ("01:00", "02:20", "03:20", "04:20"):
            machine.now = at(f"2026-11-{day}T{hour}")
            found += machine.ticks(5)
            ask()
    assert found == [at("2026-11-25T02:25")] and survived(machine)
    # An upgrade of the same package later is another reason.
    if packages:
        machine.versions = {"dbus": "2"}
        assert nights(machine, 28) == [at("2026-11-28T02:00")]


def test_a_reboot_that_does_not_come_is_tried_again_in_the_next_night(program, monkeypatch):
    machine = Machine(program, monkeypatch, at("2026-11-25T01:00"), kernel="3")
    machine.helps = False
    monkeypatch.setattr(sys.modules[__name__], "boot", lambda *_given: None)
    assert nights(machine, 25) == [at("2026-11-25T02:00")]
    assert "updates: the reboot has failed" in {subject for subject, _text in machine.alarms} and not survived(machine)
    assert nights(machine, 26) == [at("2026-11-26T02:00")]


def test_what_fails_disturbs_nobody_in_every_turn(program, monkeypatch):
    """An upgrade that fails, and services that do not restart: once in a night, and not in each half-hour of it."""
    machine = Machine(program, monkeypatch, at("2026-11-25T01:00"), pending=["prosody"])
    Path(program.ANNOUNCE, "prosody").touch()
    machine.upgrade_error = "unattended-upgrade ended with 1"
    nights(machine, 25, 26)
    assert machine.did("upgrade") == len(machine.announced) == 2
    # What there is newly deserves another attempt.
    machine.pending += ["libc6"]
    nights(machine, 27)
    assert machine.did("upgrade") == 3
    machine.pending, machine.services, machine.upgrade_error, machine.announced = [], ["prosody.service"], None, []
    monkeypatch.setattr(program, "restart", lambda: machine.ran.append("restart") or "needrestart ended with 1")
    nights(machine, 28, 29)
    assert machine.did("restart") == len(machine.announced) == 2
