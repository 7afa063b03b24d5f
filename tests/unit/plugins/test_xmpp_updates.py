# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program on the host that decides when to upgrade, restart and reboot."""

import datetime
import json
import os
import random
import subprocess
import sys
import time
import zoneinfo
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import alarm as alarms
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.updates import (
    keeper,
    machine,
    main,
    schedule,
    state,
)
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.formats import times

Schedule = schedule.Schedule
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


@pytest.fixture(autouse=True)
def host(tmp_path, monkeypatch):
    """Places of files are below a folder of the test's."""
    places = [(main, "CONFIG"), (state, "STATE"), (keeper, "ANNOUNCE"), (alarms, "PROGRAM")]
    places += [(machine, name) for name in ("REQUIRED", "PACKAGES", "DPKG_LOCK", "BOOT", "INIT")]
    for module, name in places:
        monkeypatch.setattr(module, name, str(tmp_path / name))
    boot(1)


def boot(number):
    """The same kernel as before, and another first process: so a container boots."""
    Path(machine.BOOT).write_text("5b6c\n")
    Path(machine.INIT).write_text(f"1 (a ) S b) S {' '.join(['0'] * 18)} {number} 0\n")


def config(windows=("02:00-05:00",), fleet=("a",), host="a", deadline=7, announce=5):
    """What the role writes, from what the inventory says."""
    return {
        **times.update_windows(list(windows)),
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
    dice, seen = random.Random(3), 0
    for _number in range(60):
        given = config(windows_of(dice))
        windows, minutes = Schedule(given).windows, walked(given["windows"])
        for _again in range(60):
            weekday, minute = dice.randrange(7), dice.randrange(1440)
            inside = schedule.in_windows(windows, weekday, minute)
            assert inside == (weekday * 1440 + minute in minutes), (given["windows"], weekday, minute)
            seen += inside
    print(f"3600 minutes, {seen} of them in a window")
    assert 500 < seen < 3100


@pytest.mark.slow
def test_never_outside_a_window_and_never_two_at_once():
    """Fleets of hosts in different zones, around changes of their clocks: what any of them may begin."""
    dice = random.Random(11)
    fleets = hosts = begun = across = late = 0
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
            clock = clock_of(own)
            profile = [dice.choice([0, 1, 5, 9.5]) for _hour in range(168)] if dice.random() < 0.5 else None
            need = {"why": "x", "important": dice.random() < 0.5, "since": begin - dice.randrange(40 * 86400)}
            across += own == zone
            plan, minutes = Schedule(given, profile, clock), walked(given["windows"])
            for tick in range(begin, begin + 8 * 3600, 300):
                moment = tick + given["announce_minutes"] * 60
                if not plan.permits(need, moment):
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
            assert one == other or second - first >= schedule.OUTAGE, (names, one, other, first, second)
    print(f"{fleets} fleets, {hosts} hosts, {across} over a clock change, {begun} moments, {late} beyond a deadline")
    assert begun > 5000 and late > 500


def test_nothing_sooner_than_the_deadline():
    plan = Schedule(config(["sun 03:00-04:00"], deadline=5), None, clock_of("UTC"))
    since = at("2026-11-23T12:00")  # a Monday
    for important, days, said in [(True, 4.9, False), (True, 5.1, True), (False, 30, False)]:
        need = {"why": "x", "important": important, "since": since}
        tuesday = at("2026-12-01T03:05")
        assert plan.permits({**need, "since": tuesday - int(days * 86400)}, tuesday) == said
    need = {"why": "x", "important": True, "since": since}
    # The Saturday, when the deadline is over, and not the Sunday after; for an unimportant one the Sunday.
    assert plan.next_moment(need, since, 300) == at("2026-11-29T03:00")
    assert plan.next_moment({**need, "since": since - 86400}, since, 300) == at("2026-11-28T03:00")
    need["important"] = False
    assert plan.next_moment(need, since, 300) == at("2026-11-29T03:00")


def test_every_host_has_its_turn_in_the_shortest_window():
    """However many hosts, and even if the window is once a week and shorter than a turn."""
    longest = 0
    for count in (1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 21, 24):
        names = [f"h{index:02}" for index in range(count)]
        for name in (names[0], names[-1]):
            # A window of a quarter of an hour, at each half-hour's begin, found by the clock of UTC.
            plan = Schedule(config(["02:00-02:15"], names, name), None, clock_of("UTC"))
            found = plan.next_moment(None, at("2026-03-01T12:00"), 0)
            assert found is not None, (count, name)
            longest = max(longest, (found - at("2026-03-01T12:00")) / 86400)
            assert schedule.turns(names) >= count and schedule.turns([*names, *names]) == schedule.turns(names)
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
    moment = Schedule(config(windows), None, clock_of(zone)).next_moment(None, at(begin, zone), 0)
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
    clock = clock_of("UTC")
    # Busy but from 14 to 18 on weekends, and from 04 to 08 on the other days.
    quiet = {day: (14, 18) if day >= 5 else (4, 8) for day in range(7)}
    profile = schedule.week_profile(series(lambda day, hour: 1 if quiet[day][0] <= hour < quiet[day][1] else 50), clock)
    given = config(["auto", "02:00-05:00"])
    found = Schedule(given, profile).holding(False)
    print(schedule.spans(found))
    assert schedule.spans(found) == "Mon-Fri 04:00-07:00; Sat,Sun 15:00-18:00"
    # Only the days that are given, until a deadline is over.
    given = config(["auto", "sun 02:00-04:00"])
    assert schedule.spans(Schedule(given, profile).holding(False)) == "Sun 16:00-18:00"
    assert schedule.spans(Schedule(given, profile).holding(True)) == "Mon-Fri 04:00-06:00; Sat,Sun 16:00-18:00"
    # Without auto, only a deadline asks for the quietest hours.
    given = config(["sun 02:00-04:00"])
    assert schedule.spans(Schedule(given, profile).holding(False)) == "Sun 02:00-04:00"
    assert schedule.spans(Schedule(given, profile).holding(True)) == "Mon-Fri 04:00-06:00; Sat,Sun 16:00-18:00"
    assert schedule.spans(Schedule(given, None).holding(True)) == "every day 02:00-04:00"


def test_too_little_is_known():
    clock = clock_of("UTC")
    assert schedule.week_profile([], clock) is None
    assert schedule.week_profile(series(lambda day, hour: 1, weeks=1), clock) is None
    assert schedule.week_profile(series(lambda day, hour: 1, weeks=2), clock) == [1.0] * 168
    # No Sunday is known.
    assert (
        schedule.week_profile([step for step in series(lambda day, hour: 1) if clock(step[0])[0] != 6], clock) is None
    )
    # A server that nobody uses stays where it was told.
    given = config(["auto", "23:30-01:30"])
    assert schedule.spans(Schedule(given, [0.0] * 168).holding(False)) in (
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
def test_refuses_a_bad_configuration(monkeypatch, capsys, change, said):
    Path(main.CONFIG).write_text(json.dumps({**config(), **change}))
    monkeypatch.setattr(subprocess, "run", lambda *_given, **_more: pytest.fail("something was run"))
    assert main.main([]) == 1
    error = capsys.readouterr().err
    assert said in error and "nothing is done" in error


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_a_broken_configuration_does_nothing(monkeypatch, capsys, text):
    if text is not None:
        Path(main.CONFIG).write_text(text)
    monkeypatch.setattr(subprocess, "run", lambda *_given, **_more: pytest.fail("something was run"))
    assert main.main([]) == 1
    assert "nothing is done" in capsys.readouterr().err


class Machine:
    """Answers as the machine's programs do, records what is run, and has a clock that passes by sleeping only."""

    def __init__(self, monkeypatch, now, pending=(), security=(), kernel="1", mirror=True, services=()):
        self.now, self.ran = now, []
        self.pending, self.security, self.mirror, self.services = list(pending), set(security), mirror, list(services)
        self.kernel, self.upgrade_error, self.announced, self.alarms = kernel, None, [], []
        self.busy = self.backup = lambda: False
        # What a reboot does, or does not.
        self.boots, self.helps, self.versions = 1, True, {}
        monkeypatch.setattr(machine, "run", self.run)
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)
        monkeypatch.setattr(Schedule.__init__, "__defaults__", (None, clock_of("UTC")))
        monkeypatch.setattr(schedule.week_profile, "__defaults__", (clock_of("UTC"),))
        monkeypatch.setattr(machine, "of_security", lambda names: [name for name in names if name in self.security])
        monkeypatch.setattr(machine, "upgrade", self.upgrade)
        monkeypatch.setattr(machine, "dpkg_is_busy", lambda: self.busy())
        monkeypatch.setattr(alarms, "run", self.alarm)
        Path(keeper.ANNOUNCE).mkdir()
        Path(alarms.PROGRAM).touch()

    def sleep(self, seconds):
        self.now += seconds

    def upgrade(self, still_open):
        assert still_open()
        self.ran.append("upgrade")
        if not self.upgrade_error:
            self.pending = []
        return self.upgrade_error

    def alarm(self, command, stdin):
        self.alarms.append((" ".join(command[1:]), stdin))

    def run(self, command, _seconds=0):
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
            boot(self.boots)
            if self.helps:
                self.kernel = "1"
                for path in (machine.REQUIRED, machine.PACKAGES):
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
        read = main.read_config(json.dumps(config(**given)))
        reboots = []
        for _number in range(count):
            before = len(self.ran)
            start = self.now
            keeper.Keeper(read, state.load()).tick()
            for words in self.ran[before:]:
                if words.endswith("systemctl reboot"):
                    reboots.append(self.now)
            self.now = max(start + 300, -(-self.now // 300) * 300)
        return reboots

    def did(self, part):
        return sum(part in words for words in self.ran)


def test_a_day_and_a_night(monkeypatch):
    box = Machine(monkeypatch, at("2026-11-25T09:00"), pending=["libc6", "prosody"], services=["nginx.service"])
    assert box.ticks(203) == []  # until 01:55
    assert box.did("upgrade") == 0 and box.did("needrestart -r") == 0 and box.did("apt-get update") == 2
    box.kernel = "3"
    reboots = box.ticks(36)
    assert box.did("upgrade") == 1 and box.did("needrestart -r") == 1
    assert [datetime.datetime.fromtimestamp(moment, UTC).isoformat()[:16] for moment in reboots[:1]] == [
        "2026-11-26T02:05"
    ]
    ((told, words), *_more) = box.announced
    assert reboots[0] - told == 300
    assert words == f"run-parts --report --arg=Back soon, in 5 minutes. {keeper.ANNOUNCE}"


def test_nothing_without_need(monkeypatch):
    box = Machine(monkeypatch, at("2026-11-25T02:00"))
    assert box.ticks(36) == []
    # An upgrade is tried once a day, since the lists may be older than what there is.
    assert box.did("upgrade") == 1 and box.did("needrestart -r") == 0 and not box.announced


def test_outside_the_window_with_a_reboot_required(monkeypatch, capsys):
    box = Machine(monkeypatch, at("2026-11-25T09:02"), security=["libc6"])
    Path(machine.REQUIRED).touch()
    os.utime(machine.REQUIRED, (box.now - 3600, box.now - 3600))
    Path(machine.PACKAGES).write_text("linux-image\nlibc6\nlinux-image\n")
    assert box.ticks(12) == []
    assert not box.announced
    Path(main.CONFIG).write_text(json.dumps(config(fleet=["a", "b"])))
    assert main.main(["--explain"]) == 0
    said = capsys.readouterr().out
    print(said)
    assert "outside the windows: every day 02:00-05:00." in said
    assert "This host is number 1 of 2: its turn comes each 2.5 h." in said
    assert ", important (" in said and "is there, from libc6, linux-image)" in said
    assert "It happens Thu 2026-11-26 0" in said and "Who is connected is told 5 minutes before." in said


def test_waits_for_dpkg_but_not_beyond_the_window(monkeypatch):
    box = Machine(monkeypatch, at("2026-11-25T02:00"), kernel="3")
    box.busy = lambda: box.now < at("2026-11-25T04:20")
    assert box.ticks(36)[0] == at("2026-11-25T04:25")


def test_waits_for_a_backup_but_not_beyond_the_window(monkeypatch, capsys):
    box = Machine(monkeypatch, at("2026-11-25T02:00"), kernel="3")
    box.backup = lambda: box.now < at("2026-11-25T04:20")
    assert box.ticks(24) == [] and not box.announced
    Path(main.CONFIG).write_text(json.dumps(config()))
    assert main.main(["--explain"]) == 0
    assert "A backup is being made now. While one is, no reboot begins" in capsys.readouterr().out
    assert box.ticks(12)[0] == at("2026-11-25T04:25")
    # One that begins after the announcement, and lasts until the day after.
    box.now, box.announced, box.kernel = at("2026-11-26T02:00"), [], "3"
    box.versions = {"linux-image-6.12": "2"}
    box.backup = lambda: bool(box.announced) and box.now < at("2026-11-27T01:00")
    assert box.ticks(24 * 12)[0] == at("2026-11-27T02:00") and len(box.announced) == 2
    assert main.main(["--explain"]) == 0 and "A backup" not in capsys.readouterr().out


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
def test_a_restart_is_announced_to_who_is_connected(monkeypatch, announce, windows, fleet, minutes):
    services = ["nginx.service", "prosody.service"]
    box = Machine(monkeypatch, at("2026-11-25T01:00"), services=services)
    Path(keeper.ANNOUNCE, "prosody").touch()
    Path(keeper.ANNOUNCE, "other").touch()
    box.ticks(12 * 12, announce=announce, windows=[windows], fleet=fleet)
    assert box.did("needrestart -r") == 1
    if not minutes:
        assert not box.announced
        return
    ((told, words),) = box.announced
    assert box.restarted - told == minutes * 60
    assert words == (
        f"run-parts --report --regex=^(prosody)$ --arg=Back soon, in {minutes} minute{'s' * (minutes > 1)}. "
        f"{keeper.ANNOUNCE}"
    )
    assert Schedule(config(fleet=fleet, windows=[windows])).permits(None, box.restarted)


def test_a_restart_that_nobody_notices_is_not_announced(monkeypatch):
    box = Machine(monkeypatch, at("2026-11-25T02:00"), services=["nginx.service"], pending=["prosody-modules"])
    Path(keeper.ANNOUNCE, "prosody").touch()
    box.ticks(1)
    assert box.did("needrestart -r") == box.did("upgrade") == 1 and not box.announced


def test_new_packages_that_restart_who_has_clients_are_announced(monkeypatch):
    box = Machine(monkeypatch, at("2026-11-25T02:00"), pending=["prosody"])
    Path(keeper.ANNOUNCE, "prosody").touch()
    box.ticks(1)
    ((told, _words),) = box.announced
    assert (told, box.now) == (at("2026-11-25T02:00"), at("2026-11-25T02:05")) and box.did("upgrade") == 1
    # Meanwhile, dpkg is busy, or the window is over: not in this one.
    box.pending, box.announced, box.now = ["prosody"], [], at("2026-11-26T02:00")
    box.busy = lambda: bool(box.announced)
    box.ticks(1)
    assert box.did("upgrade") == 1 and len(box.announced) == 1


def test_a_reboot_that_follows_restarts_as_well(monkeypatch):
    """Who is connected is disturbed once, and not twice within minutes."""
    box = Machine(monkeypatch, at("2026-11-25T02:00"), kernel="3", services=["prosody.service"])
    Path(keeper.ANNOUNCE, "prosody").touch()
    assert box.ticks(1) == [at("2026-11-25T02:05")]
    assert box.did("needrestart -r") == 0 and len(box.announced) == 1
    # A backup keeps the reboot waiting, but not the restart.
    box.announced, box.now, box.backup = [], at("2026-11-26T02:00"), lambda: True
    box.kernel, box.services, box.versions = "3", ["prosody.service"], {"linux-image-6.12": "2"}
    assert box.ticks(1) == [] and box.did("needrestart -r") == 1 and len(box.announced) == 1


def test_the_next_window(monkeypatch):
    def shown(windows, moment, zone="UTC"):
        found = Schedule(config(windows), None, clock_of(zone)).next_window(False, at(moment, zone))
        return [value and (value - at(moment, zone)) / 3600 for value in (found["opens"], found["closes"])]

    assert shown(["02:00-05:00"], "2026-11-25T00:30") == [1.5, 4.5]
    assert shown(["02:00-05:00"], "2026-11-25T03:00") == [0, 2]
    assert shown(["02:00-05:00"], "2026-11-25T05:00") == [21, 24]
    assert shown(["sun 23:30-01:00", "mon 00:30-02:00"], "2026-11-25T23:30") == [96, 98.5]
    # An hour that is skipped once.
    assert shown(["sun 02:10-02:50"], "2026-03-28T12:00", "Europe/Berlin") == [181 + 1 / 6, 181 + 5 / 6]
    assert shown(["00:00-12:00", "12:00-00:00"], "2026-11-25T12:00") == [0, None]
    box = Machine(monkeypatch, at("2026-11-25T09:02"))
    box.ticks(1)
    assert state.load()["window"] == {"opens": at("2026-11-26T02:00"), "closes": at("2026-11-26T05:00")}


def test_the_clock_is_read_again_at_the_last_moment(monkeypatch):
    """A sleep that lasts too long, as of a suspended machine, ends outside, and nothing is rebooted."""
    box = Machine(monkeypatch, at("2026-11-25T02:00"), kernel="3")
    monkeypatch.setattr(time, "sleep", lambda seconds: box.sleep(3 * 3600))
    assert box.ticks(1) == []
    assert len(box.announced) == 1
    # dpkg began meanwhile.
    box.now = at("2026-11-26T02:00")
    monkeypatch.setattr(time, "sleep", box.sleep)
    box.busy = lambda: bool(box.announced[1:])
    assert box.ticks(1) == [] and len(box.announced) == 2


def test_tells_of_an_upgrade_that_fails_and_of_a_mirror_that_is_away(monkeypatch):
    box = Machine(monkeypatch, at("2026-11-25T02:00"), pending=["libc6"])
    box.upgrade_error = "unattended-upgrade ended with 1:\nthe reason"
    box.ticks(1)
    assert box.alarms == [("updates: an upgrade has failed", "unattended-upgrade ended with 1:\nthe reason\n")]
    box.upgrade_error = None
    box.ticks(24 * 12)
    assert box.alarms[-1] == ("--over updates: an upgrade has failed", "")
    assert json.loads(Path(state.STATE).read_text())["problems"] == {}
    box.alarms, box.mirror = [], False
    box.ticks(24 * 12 * 2)
    assert box.alarms == [], "two days without a mirror are none of the operator's business"
    box.ticks(24 * 12)
    assert box.alarms[0][0] == "updates: the package lists are stale"
    assert box.alarms[0][1].startswith("the package lists have not been refreshed since ")
    box.mirror = True
    box.ticks(24 * 12)
    assert box.alarms[-1] == ("--over updates: the package lists are stale", "")


def test_what_becomes_important_has_not_waited_before(monkeypatch):
    box = Machine(monkeypatch, at("2026-11-25T09:00"), pending=["a"])
    days = 24 * 12
    box.ticks(days, windows=["sun 03:00-04:00"], deadline=1)
    first = json.loads(Path(state.STATE).read_text())["upgrade"]
    box.pending, box.security = ["a", "b"], {"b"}
    box.ticks(days // 2, windows=["sun 03:00-04:00"], deadline=1)
    second = json.loads(Path(state.STATE).read_text())["upgrade"]
    assert (first["important"], second["important"]) == (False, True)
    assert second["since"] > first["since"] and box.did("upgrade") == 0
    box.ticks(days * 3 // 2, windows=["sun 03:00-04:00"], deadline=1)
    assert box.did("upgrade") == 1


def test_sees_who_holds_the_lock_of_dpkg():
    assert not machine.dpkg_is_busy()
    Path(machine.DPKG_LOCK).touch()
    assert not machine.dpkg_is_busy()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX);"
            "print('held', flush=True); sys.stdin.read()",
            machine.DPKG_LOCK,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    assert machine.dpkg_is_busy()
    holder.communicate()
    assert not machine.dpkg_is_busy()


def test_munin_s_files_are_read_as_munin(monkeypatch, tmp_path):
    """rrdtool breaks at what is no database of its own: what munin has written, root does not give it to read."""
    (tmp_path / "a.rrd").write_text("x")
    commands = []
    rows = "            42\n\n1000000300: 1.0e+00\n1000000600: nan\n1000000900: 3.0e+00\n"
    monkeypatch.setattr(machine, "RRD", str(tmp_path / "*.rrd"))
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(machine, "run", lambda command: (commands.append(command), (0, rows))[1])
    assert list(machine.sessions(10**9)) == [(10**9, 10**9 + 300, 1.0), (10**9 + 600, 10**9 + 900, 3.0)]
    words = commands[0][: commands[0].index("rrdtool")]
    assert words[0] == "setpriv" and {"--reuid=munin", "--regid=munin", "--clear-groups", "--no-new-privs"} <= set(
        words
    )


def nights(box, *days):
    """Lets the timer fire around each window, whose hours are 02:00 to 05:00."""
    reboots = []
    for day in days:
        box.now = at(f"2026-11-{day}T01:00")
        reboots += box.ticks(5 * 12)
    return reboots


def survived(box):
    return [text for subject, text in box.alarms if subject == "updates: a reboot has not helped"]


def test_a_kernel_that_does_not_boot_is_told_and_not_rebooted_for_again(monkeypatch):
    """A provider's own kernel, a pinned entry of GRUB, or a /boot that was not written."""
    box = Machine(monkeypatch, at("2026-11-25T01:00"), kernel="3")
    box.helps = False
    reboots = nights(box, 25, 26, 27)
    print(f"{len(reboots)} reboots in three nights", *survived(box)[:1], sep="\n")
    assert reboots == [at("2026-11-25T02:00")] and len(box.announced) == 1
    assert survived(box)[0].startswith("kernel 6.12 is installed, 6.1 runs, though the machine was rebooted for that")
    assert "remove linux-image-6.12" in survived(box)[0]
    Path(main.CONFIG).write_text(json.dumps(config()))
    assert main.main(["--explain"]) == 0
    # The next build of that kernel deserves a reboot of its own; and one that boots is the end of it.
    box.versions, box.alarms = {"linux-image-6.12": "2"}, []
    assert nights(box, 28) == [at("2026-11-28T02:00")]
    box.kernel = "1"
    box.ticks(1)
    assert box.alarms[-1] == ("--over updates: a reboot has not helped", "")
    nights(box, 30)
    assert state.load()["attempts"] == {}


@pytest.mark.parametrize("packages", ["", "dbus\n"])
def test_what_asks_for_a_reboot_after_each_boot_gets_one(monkeypatch, packages):
    box = Machine(monkeypatch, at("2026-11-25T01:00"))
    found = []

    def ask():
        Path(machine.REQUIRED).touch()
        if packages:
            Path(machine.PACKAGES).write_text(packages)

    ask()
    for day in (25, 26, 27):
        # A few minutes after the boot, and not with it.
        for hour in ("01:00", "02:20", "03:20", "04:20"):
            box.now = at(f"2026-11-{day}T{hour}")
            found += box.ticks(5)
            ask()
    assert found == [at("2026-11-25T02:25")] and survived(box)
    # An upgrade of the same package later is another reason.
    if packages:
        box.versions = {"dbus": "2"}
        assert nights(box, 28) == [at("2026-11-28T02:00")]


def test_a_reboot_that_does_not_come_is_tried_again_in_the_next_night(monkeypatch):
    box = Machine(monkeypatch, at("2026-11-25T01:00"), kernel="3")
    box.helps = False
    monkeypatch.setattr(sys.modules[__name__], "boot", lambda *_given: None)
    assert nights(box, 25) == [at("2026-11-25T02:00")]
    assert "updates: the reboot has failed" in {subject for subject, _text in box.alarms} and not survived(box)
    assert nights(box, 26) == [at("2026-11-26T02:00")]


def test_what_fails_disturbs_nobody_in_every_turn(monkeypatch):
    """An upgrade that fails, and services that do not restart: once in a night, and not in each half-hour of it."""
    box = Machine(monkeypatch, at("2026-11-25T01:00"), pending=["prosody"])
    Path(keeper.ANNOUNCE, "prosody").touch()
    box.upgrade_error = "unattended-upgrade ended with 1"
    nights(box, 25, 26)
    assert box.did("upgrade") == len(box.announced) == 2
    # What there is newly deserves another attempt.
    box.pending += ["libc6"]
    nights(box, 27)
    assert box.did("upgrade") == 3
    box.pending, box.services, box.upgrade_error, box.announced = [], ["prosody.service"], None, []
    monkeypatch.setattr(machine, "restart", lambda: box.ran.append("restart") or "needrestart ended with 1")
    nights(box, 28, 29)
    assert box.did("restart") == len(box.announced) == 2
