# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers in sentences agree with their nouns: no text says "1 minutes"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[3]
FOLDERS = ("roles", "plugins", "playbooks")
# What the collection counts.
NOUNS = (
    "accounts|addresses|alarms|attempts|backups|blocks|bytes|certificates|characters|checks|clients|connections|"
    "copies|days|degrees|digits|domains|entries|errors|failures|files|graphs|groups|hosts|hours|invitations|items|keys|kinds|"
    "labels|letters|levels|lines|messages|minutes|months|names|networks|packages|packets|parts|percents|pictures|places|"
    "ports|programs|records|repositories|requests|restarts|rooms|rules|seconds|services|sessions|slots|snapshots|sources|"
    "steps|streams|times|tokens|turns|units|updates|uploads|users|values|variables|warnings|weeks|windows|words|years|zones"
)
# Other words with this ending that may follow a number.
VERBS = "is|was|has|does|as|its|this|waits|needs|holds|lacks"
PLURAL = rf" (?:(?!the\b|of\b|to\b|and\b|in\b|an\b|a\b)[a-z]+ )?(?:{NOUNS})\b"
ANY_PLURAL = rf" (?:[a-z]+ )?(?!(?:{VERBS})\b)[a-z]+[^s\W]s\b"
# One is told apart where these are written, or cannot be there.
GUARDED = {
    "{known.count} times": "only where there is more than one",
    "{mine} alarms": "only where there are as many as one user may give",
    "{minutes} minutes": "a text of the operator's, in which the program writes both",
    "{len(newer)} things": "a number of files, of which a host that runs has hundreds",
    "{age / 3600} hours": "more than six",
    "%d addresses": "more than are allowed",
    "{self._checked} variables": "the model alone has more",
    "{families.count(family)} kinds": "more than one",
    "{count} times": "more or less than one",
    "{count} parts": "no type with one part is counted",
    "{len(digest)} digits": "an even number",
    "{len(item)} bytes": "more than 255",
    "{len(value)} characters": "more than 253",
    "{len(label)} characters": "more than 63",
    "{most} degrees": "90 or 180",
    "{rule['burst']} packets": "what nftables reads",
    "{kind} records": "a type of records, and no number",
    "{dict(value)} names": "a verb",
    "{family} keys": "a kind of keys, and no number",
}


def is_number(value: ast.FormattedValue) -> bool:
    """Whether an expression in a text looks like a number, whatever its noun is."""
    spec = value.format_spec and ast.unparse(value.format_spec)
    text = ast.unparse(value.value)
    return bool(spec and re.search(r"[dfg]'$", spec)) or bool(
        re.search(r"^(len|sum|round|int|max|min)\(|\.count\(|^count$", text)
    )


def of_python(text: str) -> Iterator[tuple[int, str]]:
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr) and "== 1" not in lines[node.lineno - 1]:
            for value, after in zip(node.values, node.values[1:], strict=False):
                if not (isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant)):
                    continue
                name = ast.unparse(value.value)
                # A constant is known to be none or several, and "1.0 minutes" is right.
                fraction = value.format_spec and re.search(r"\.[1-9]f", ast.unparse(value.format_spec))
                if (
                    not name.isupper()
                    and not fraction
                    and (found := re.match(ANY_PLURAL if is_number(value) else PLURAL, after.value))
                ):
                    yield node.lineno, f"{{{name}}}{found[0]}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from ((node.lineno, found[0]) for found in re.finditer(rf"%d{ANY_PLURAL}", node.value))
            yield from ((node.lineno, found[0]) for found in re.finditer(rf"(?:%s|\{{\w*\}}){PLURAL}", node.value))


def of_lines(text: str, comment: str, numbers: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith(comment) and "== 1" not in line:
            yield from ((number, found[0]) for found in re.finditer(numbers, line))


def sentences(path: Path) -> list[tuple[int, str]] | None:
    """The numbers with nouns of a file, or None where it is none that says something."""
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return None
    first = text.partition("\n")[0]
    if path.suffix == ".py" or re.match("#!.*python", first):
        return list(of_python(text))
    if path.suffix == ".lua" or re.match("#!.*lua", first):
        return list(of_lines(text, "--", rf'%d{ANY_PLURAL}|%s{PLURAL}|\.\. "{PLURAL}'))
    if re.match("#!.*sh", first):
        return list(of_lines(text, "#", rf"\$\{{?\w+\}}?{PLURAL}"))
    if path.suffix == ".yml" and path.parent.name in ("tasks", "handlers", "playbooks"):
        return list(of_lines(text, "#", rf"\}}\}}{PLURAL}"))
    return None


def test_numbers_agree_with_their_nouns():
    paths = sorted(path for folder in FOLDERS for path in (TOP / folder).rglob("*") if path.is_file())
    found = {path.relative_to(TOP): sentences(path) for path in paths}
    read = {path: its for path, its in found.items() if its is not None}
    wrong = [
        f"{path}:{line}: {text!r} for 1; write the noun first, as 'accounts: 1', or tell one apart"
        for path, its in read.items()
        for line, text in its
        if text not in GUARDED
    ]
    print(f"{len(read)} files read")
    assert len(read) > 150
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", 'print(f"{len(found)} things fail")'),
        ("a.py", 'print(f"{age / 60:.0f} minutes")'),
        ("a.py", 'print(f"{waiting} packages wait")'),
        ("a.py", 'print("%d new clients" % number)'),
        ("a.py", 'print("{} clients".format(number))'),
        ("a.lua", 'log("info", "%d rooms are gone", count);'),
        ("a.lua", 'local text = days .. " days";'),
        ("a", '#!/bin/sh\necho "$count files"'),
        ("tasks/a.yml", 'msg: "{{ found | length }} names"'),
    ],
)
def test_what_does_not_agree(tmp_path, name, text):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert len(sentences(path)) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", 'print(f"clients: {len(found)}")'),
        ("a.py", "print(f\"{n} {'client' if n == 1 else 'clients'}\")"),
        ("a.py", 'print(f"{path} belongs to a user")'),
        ("a.lua", 'log("info", "rooms that are gone: %d", count);'),
        ("a.lua", 'local text = days == 1 and "1 day" or days .. " days";'),
    ],
)
def test_what_agrees(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert sentences(tmp_path / name) == []
