# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bin/bench --running and its generator of load make of figures and answers."""

from __future__ import annotations

import asyncio
import types

import bench
import load
import peers
import pytest


def servers(**figures: list[tuple[float, ...]]) -> list[peers.Server]:
    """The servers, each with the rounds of a figure that are given in the order of the servers."""
    found = peers.servers()
    for figure, rounds in figures.items():
        for values in rounds:
            for one, value in zip(found, values, strict=True):
                one.rounds.append({NAMES[figure]: value})
    return found


NAMES = {
    "login": "CPU ms per login",
    "speed": "messages/s",
    "disk": "disk KB per message",
    "idle": "KiB per idle client, 1000 of them",
    "room": "CPU µs per room delivery, room of 200",
}


def row(table: str, figure: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {figure} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_has_medians_and_ours_as_a_share_of_each_other():
    found = servers(login=[(4, 10, 20, 8), (90, 30, 10, 9), (5, 10, 8, 5)])
    assert row(peers.table(found, False), "CPU ms per login") == [
        "CPU ms per login",
        "5.00",
        "10.0 (0.50 ×)",
        "10.0 (0.50 ×)",
        "8.00 (0.62 ×)",
        "≤ 0.75 × Prosody, files",
    ]


@pytest.mark.parametrize(
    ("figure", "values", "aim"),
    [
        ("login", (7.5, 10, 1, 1), "≤ 0.75 × Prosody, files"),
        ("login", (7.6, 10, 99, 99), "≤ 0.75 × Prosody, files: **missed**"),
        ("speed", (100, 900, 900, 100), "≥ 1 × ejabberd"),
        ("speed", (99, 9, 9, 100), "≥ 1 × ejabberd: **missed**"),
        ("disk", (20, 1, 1, 1), "≤ 20"),
        ("disk", (21, 99, 99, 99), "≤ 20: **missed**"),
        ("idle", (81, 99, 99, 99), "≤ 80: **missed**"),
        ("room", (76, 100, 1, 1), "≤ 0.75 × Prosody, files: **missed**"),
    ],
)
def test_an_aim_that_is_missed_says_so(figure, values, aim):
    name = NAMES[figure]
    assert row(peers.table(servers(**{figure: [values]}), False), name)[-1] == aim


def test_on_a_busy_machine_no_speed_is_judged_and_no_cpu_time_spared():
    table = peers.table(servers(speed=[(1, 1, 1, 100)], login=[(100, 1, 1, 1)]), True)
    assert row(table, "messages/s")[0] == "messages/s \\*"
    assert row(table, "messages/s")[-1] == "≥ 1 × ejabberd"
    assert row(table, "CPU ms per login")[-1].endswith("**missed**")
    assert "did other work" in peers.said(3, 5.0)
    assert "did other work" not in peers.said(3, 0.1)


def test_what_only_some_servers_have_is_shown():
    found = peers.servers()
    found[0].rounds = [{"upload MB/s": 100}]
    found[3].rounds = [{"CPU ms per login": 3}]
    table = peers.table(found, False)
    assert row(table, "upload MB/s")[1:5] == ["100", "", "", ""]
    assert row(table, "CPU ms per login")[1:] == ["", "", "", "3.00", "≤ 0.75 × Prosody, files"]


def test_a_protection_costs_what_ours_saves_without_it():
    def runs(*values: float) -> list[dict[str, float]]:
        return [dict.fromkeys(peers.COSTS, value) for value in values]

    table = peers.protections({"": runs(200, 100, 900), "firewall": runs(150), "limits": runs(210, 1, 300)})
    assert row(table, "with all")[1:] == ["200", "200", "200"]
    assert row(table, "without `firewall`")[1:] == ["150 (+25%)"] * 3
    assert row(table, "without `limits`")[1:] == ["210 (-5%)"] * 3


def test_every_aim_is_of_a_figure_that_the_generator_has_and_of_a_server_that_is_there():
    source = peers.LOAD.read_text()
    names = {one.name for one in peers.servers()}
    for start, aim in peers.AIMS.items():
        assert start in source or start == "upload MB/s"
        assert aim.of in names | {""}


def test_only_what_is_between_the_marks_is_written(tmp_path, monkeypatch):
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{peers.BEGIN}\nold\n{peers.END}\nafter\n{bench.BEGIN}\nkept\n{bench.END}\n")
    monkeypatch.setattr(bench, "PAGE", page)
    bench.put(peers.BEGIN, peers.END, ["new"])
    assert page.read_text() == (
        f"before\n{peers.BEGIN}\n\nnew\n\n{peers.END}\nafter\n{bench.BEGIN}\nkept\n{bench.END}\n"
    )


def test_the_page_has_the_marks():
    page = bench.PAGE.read_text()
    print([page.count(mark) for mark in (bench.BEGIN, bench.END, peers.BEGIN, peers.END)])
    assert all(page.count(mark) == 1 for mark in (bench.BEGIN, bench.END, peers.BEGIN, peers.END))


def answered(answer: str, act: str) -> object:
    """What a client makes of an answer."""

    async def ask() -> object:
        client = load.Client("load1", "secret", "broccoli.test")
        client.reader = asyncio.StreamReader()
        client.reader.feed_data(answer.encode())
        client.reader.feed_eof()
        transport = types.SimpleNamespace(abort=lambda: None)
        client.writer = types.SimpleNamespace(write=lambda _data: None, transport=transport)
        return await (client.slot(1) if act == "slot" else client.manage("<remove/>"))

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "answer",
    [
        "<iq type='result' id='manage'/>",
        "<iq id='manage' to='x' type='result'/>",
        "<presence type='unavailable'/><iq xml:lang='en' from='broccoli.test' type='result' id='manage'></iq>",
    ],
)
def test_an_account_is_made_where_the_answer_is_a_result(answer):
    answered(answer, "manage")


@pytest.mark.parametrize(
    "answer",
    [
        "<iq id='manage' type='error'><error type='wait'/></iq>",
        "<iq type='result' id='roster'/><iq xml:lang='en' type='error' id='manage'><error/></iq>",
    ],
)
def test_an_account_that_is_refused_ends_the_run(answer):
    with pytest.raises(SystemExit, match="load1"):
        answered(answer, "manage")


SLOT = "<iq type='result' id='slot'><slot xmlns='urn:xmpp:http:upload:0'><get url='https://g'/><put url='https://p'{}</slot></iq>"


@pytest.mark.parametrize(
    ("put", "slot"),
    [
        ("/>", ("https://p", "", "https://g")),
        ("><header name='Authorization'>Bearer x</header></put>", ("https://p", "Bearer x", "https://g")),
    ],
)
def test_a_slot_has_an_authorization_or_none(put, slot):
    assert answered(SLOT.format(put), "slot") == slot
