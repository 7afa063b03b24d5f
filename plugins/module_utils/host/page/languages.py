# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The languages of the pages: one file each, so that another one is another file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

# Where a text is missing, and for visitors who ask for none of the languages.
FIRST = "en"


def load(folder: str) -> dict[str, dict[str, Any]]:
    """Return each language's texts, the first language first. Raises OSError and ValueError."""
    names = sorted(name for name in os.listdir(folder) if re.fullmatch(r"[a-z]{2,3}\.json", name))
    found = {}
    for name in names:
        with open(os.path.join(folder, name), encoding="utf-8") as stream:
            found[name[:-5]] = json.load(stream)
    first = found.pop(FIRST)
    return {FIRST: first, **{language: {**first, **texts} for language, texts in found.items()}}


def chosen(texts: Mapping[str, str] | str | None, language: str) -> str:
    """Return the text of a language, or that of the first one, or any."""
    if isinstance(texts, str):
        return texts
    if not texts:
        return ""
    return texts.get(language) or texts.get(FIRST) or next(iter(texts.values()))
