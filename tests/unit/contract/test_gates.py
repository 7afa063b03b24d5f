# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every program is read by its linter, whatever its name, and also when it is a template."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest

TOP = Path(__file__).resolve().parents[3]
PYTHON = re.compile(rb"#!\S*(/env )?\S*python")
SHELL = re.compile(rb"#!\S*(/env )?\S*\b(ba|da)?sh\b")


def tracked() -> list[Path]:
    """The files of the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    return [path for path in (TOP / name for name in listed.split("\0") if name) if path.is_file()]


def test_ruff_reads_every_python_program():
    ruff = Path(sys.executable).with_name("ruff")
    done = subprocess.run([ruff, "check", "--show-files", "."], cwd=TOP, capture_output=True, text=True, check=True)
    read = {Path(line) for line in done.stdout.splitlines()}
    # A template is no program until it is rendered.
    programs = {path for path in tracked() if path.suffix != ".j2" and PYTHON.match(path.read_bytes()[:80])}
    print(f"{len(programs)} programs, {len(read)} files read")
    assert len(programs) > 20
    assert sorted(str(path.relative_to(TOP)) for path in programs - read) == []


class Plain(jinja2.Undefined):
    """A plain word for each variable, and for whatever is in it."""

    def __str__(self) -> str:
        return "value"

    def __getattr__(self, name: str):
        # Jinja and Python look here for what they treat in their own way.
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key):
        return self


def rendered(path: Path) -> str:
    environment = jinja2.Environment(undefined=Plain, trim_blocks=True, keep_trailing_newline=True)
    environment.filters["to_json"] = lambda value: json.dumps(value, default=str)
    return environment.from_string(path.read_text()).render()


LINTERS = {
    SHELL: [["shellcheck", "-"]],
    PYTHON: [["ruff", "check", "--stdin-filename", "program.py", "-"], ["ruff", "format", "--diff", "-"]],
}
TEMPLATES = {
    str(path.relative_to(TOP)): commands
    for path in tracked()
    for first, commands in LINTERS.items()
    if path.suffix == ".j2" and first.match(path.read_bytes()[:80])
}


def test_templates_of_both_kinds_are_found():
    print(*TEMPLATES, sep="\n")
    assert [commands for commands in LINTERS.values() if commands not in TEMPLATES.values()] == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_program_that_is_a_template_is_linted_as_rendered(name):
    text = rendered(TOP / name)
    assert "{{" not in text and "value" in text
    for program, *arguments in TEMPLATES[name]:
        command = [Path(sys.executable).with_name(program), *arguments]
        done = subprocess.run(command, cwd=TOP, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
