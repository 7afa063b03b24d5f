# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of what a host promises: each with a probe, a source and both languages, and docs/promises.md made from it.

RECORD=1 writes docs/promises.md anew.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import promises
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.status import probes

TOP = Path(__file__).resolve().parents[3]
PAGE = TOP / "docs" / "promises.md"
PROMISES = promises.PROMISES
HEAD = """\
# Promises

What a host says of itself in public, and what proves it. `xmpp-status` asks for all of it every quarter of an hour and notes the \
result in `/var/lib/xmpp-status/promises.json`; playbook `verify` asks from elsewhere for what can be asked there. What is \
switched off takes its promises with it. `xmpp-status --explain ID` says what was asked and answered, what would be right, and \
how to mend it.

A promise is *kept*, *broken*, *unknown* (nobody could be asked: the port or the program has a check of its own), or *weakened*: \
kept in part, as the operator has it, or waived by `status_promises_waived`.

This page is generated from `plugins/module_utils/host/promises/` (`RECORD=1 pytest tests/unit/contract/test_promises.py`).
"""
TESTERS_HEAD = """\
## Public testers

What public testers would say by their published rules. `xmpp-status` shows it in its table, and it is neither a promise nor an \
alarm: the promises behind it are. From elsewhere, of what a tester asks as an account it says that it cannot be told.
"""


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def page() -> str:
    """docs/promises.md, as the list has it."""
    lines = [HEAD]
    for topic, names in promises.TOPICS.items():
        lines += [f"## {names['en']}", ""]
        lines += ["| id | promise | made | asked | right | from elsewhere | source |", "|---|---|---|---|---|---|---|"]
        for promise in PROMISES:
            if promise.topic == topic:
                outside = "yes" if probes.PROBES[promise.probe].outside else "no"
                made = promises.CONDITIONS[promise.when][0]
                fields = [f"`{promise.id}`", promise.en, made, promise.asked, promise.right, outside, promise.source]
                lines.append(f"| {' | '.join(map(cell, fields))} |")
        lines.append("")
    lines += [
        TESTERS_HEAD,
        "| tester | `--explain` | asked | answer | from elsewhere | rules |",
        "|---|---|---|---|---|---|",
    ]
    for tester in promises.TESTERS:
        outside = "yes" if probes.PROBES[tester.probe].outside else "no"
        fields = [tester.en, tester.id, tester.asked, tester.right, outside, tester.source]
        lines.append(f"| {' | '.join(map(cell, fields))} |")
    return "\n".join(lines).rstrip("\n") + "\n"


def faults(listed, known) -> list[str]:
    """What is wrong with a list of promises, by the names of the probes that there are."""
    found = [f"{name}: twice" for name, number in Counter(promise.id for promise in listed).items() if number > 1]
    for promise in listed:
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", promise.id):
            found.append(f"{promise.id}: no kebab-case")
        found += [f"{promise.id}: no {language}" for language in promises.LANGUAGES if not promise.texts.get(language)]
        found += [
            f"{promise.id}: no {key}" for key in ("source", "asked", "right", "mend") if not getattr(promise, key)
        ]
        if promise.topic not in (*promises.TOPICS, "testers"):
            found.append(f"{promise.id}: no topic {promise.topic}")
        if promise.when not in promises.CONDITIONS:
            found.append(f"{promise.id}: no condition {promise.when}")
        if promise.probe not in known:
            found.append(f"{promise.id}: no probe {promise.probe}")
    return found + [f"{name}: no promise" for name in known if name not in {promise.probe for promise in listed}]


EVERYTHING = (*PROMISES, *promises.TESTERS)


def test_each_promise_is_whole_and_has_a_probe_and_the_reverse():
    print(f"{len(PROMISES)} promises, {len(probes.PROBES)} probes, {len(promises.TOPICS)} topics")
    assert len(PROMISES) >= 40 and faults(EVERYTHING, probes.PROBES) == []
    for names in promises.TOPICS.values():
        assert set(names) == set(promises.LANGUAGES)
    assert {promise.when for promise in PROMISES} == set(promises.CONDITIONS)
    assert {promise.topic for promise in PROMISES} == set(promises.TOPICS)
    assert {tester.topic for tester in promises.TESTERS} == {"testers"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"id": "scram"}, "scram: twice"),
        ({"id": "No_Case"}, "No_Case: no kebab-case"),
        ({"de": ""}, "debian: no de"),
        ({"source": ""}, "debian: no source"),
        ({"topic": "weather"}, "debian: no topic weather"),
        ({"when": "rains"}, "debian: no condition rains"),
        ({"probe": "guess"}, "debian: no probe guess"),
        ({"probe": "updates"}, "debian: no promise"),
    ],
)
def test_faults_of_the_list_are_found(change, fault):
    first, *rest = EVERYTHING
    values = {name: getattr(first, name) for name in first.__dataclass_fields__}
    assert fault in faults([promises.Promise(**{**values, **change}), *rest], probes.PROBES)


def test_sentences_are_sentences():
    for promise in EVERYTHING:
        for text in promise.texts.values():
            assert re.fullmatch(r"[A-ZÄÖÜ].{10,110}\.", text), text
    assert len({promise.en for promise in PROMISES}) == len({promise.de for promise in PROMISES}) == len(PROMISES)


def test_every_extension_of_the_public_page_is_promised():
    wanted = [
        "0033",
        "0045",
        "0055",
        "0065",
        "0115",
        "0124",
        "0156",
        "0163",
        "0191",
        "0198",
        "0237",
        "0280",
        "0313",
        "0352",
        "0357",
        "0363",
        "0368",
    ]
    assert {f"xep-{number}" for number in wanted} <= {promise.id for promise in PROMISES}


def test_the_page_is_current():
    if "RECORD" in os.environ:
        PAGE.write_text(page())
    assert PAGE.read_text() == page()
