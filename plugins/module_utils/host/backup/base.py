# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of xmpp-backup share: how they fail, what they print, and how they run programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import commands, files


class Failed(Exception):
    """What was asked for is not done, and this is why."""


def say(text: str) -> None:
    print(text, flush=True)


def attempt(command: Sequence[str], **options: Any) -> commands.Finished:
    """Run a program for as long as it takes, and return how it ended. Raises Failed where it cannot be started."""
    try:
        return commands.attempt(command, seconds=None, **options)
    except commands.CommandError as error:
        raise Failed(str(error)) from error


def run(command: Sequence[str], **options: Any) -> str:
    """Run a program, and return its standard output. Raises Failed where it does not end well."""
    done = attempt(command, **options)
    if done.status:
        raise Failed(f"{' '.join(command[:4])}: {done.said or f'ended with {done.status}'}")
    return done.stdout


def read_json(path: str) -> Any:
    """Return what a JSON file holds, and an empty dictionary where there is none. Raises Failed."""
    try:
        return files.read_json(path, {})
    except ValueError as error:
        raise Failed(f"{path}: {error}") from error
