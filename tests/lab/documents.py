# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What documents ask their readers to write and type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """The blocks of YAML of a page."""
    return BLOCK.findall(page.read_text())


def plays() -> Iterator[tuple[Path, str]]:
    """Each play of README.md and of the roles' own, with its page; one that several pages have comes once."""
    seen = set()
    for page in [*sorted(TOP.glob("roles/*/README.md")), TOP / "README.md"]:
        for text in blocks(page):
            if isinstance(yaml.safe_load(text), list) and text not in seen:
                seen.add(text)
                yield page, text


def commands(page: Path) -> list[str]:
    """The command lines of a page, which are indented blocks, without their comments."""
    lines = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL).splitlines()
    return [re.sub(r"\s{2,}# .*", "", line.strip()) for line in lines if line.startswith("    ") and line.strip()]
