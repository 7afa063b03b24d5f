# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every Python program is read by the linter, whatever its name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
PYTHON = re.compile(rb"#!\S*(/env )?\S*python")


def test_ruff_reads_every_python_program():
    ruff = Path(sys.executable).with_name("ruff")
    done = subprocess.run([ruff, "check", "--show-files", "."], cwd=TOP, capture_output=True, text=True, check=True)
    read = {Path(line) for line in done.stdout.splitlines()}
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    # A template is no program until it is rendered.
    paths = [TOP / name for name in listed.split("\0") if name and not name.endswith(".j2")]
    programs = {path for path in paths if path.is_file() and PYTHON.match(path.read_bytes()[:80])}
    print(f"{len(programs)} programs, {len(read)} files read")
    assert len(programs) > 20
    assert sorted(str(path.relative_to(TOP)) for path in programs - read) == []
