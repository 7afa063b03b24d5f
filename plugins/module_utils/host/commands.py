# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run programs: their result, or an error that says what they said."""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

# Not read for annotations alone: munin starts programs that import this every five minutes.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO


class Finished(NamedTuple):
    """A program that has ended: its exit status and what it printed."""

    status: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """All that it printed, without blank ends."""
        return f"{self.stdout}\n{self.stderr}".strip()


class CommandError(Exception):
    """A program could not be started, took too long, or ended with an error.

    `finished` is what it printed, or None where it did not end by itself.
    """

    def __init__(self, command: Sequence[str], reason: str, finished: Finished | None = None) -> None:
        super().__init__(f"{command[0]}: {reason}")
        self.command = list(command)
        self.reason = reason
        self.finished = finished


def attempt(
    command: Sequence[str],
    *,
    stdin: str = "",
    seconds: float | None = 60,
    environment: Mapping[str, str] | None = None,
    cwd: str | None = None,
    source: IO[bytes] | None = None,
    target: IO[bytes] | None = None,
    inherit: bool = False,
) -> Finished:
    """Run a program and return how it ended, whatever its exit status.

    `environment` is added to ours, in which programs speak English (C.UTF-8). `seconds` limits the run; None does not.
    A file as `source` is read in place of `stdin`, and one as `target` written in place of what is returned. `inherit`
    passes inheritable files on, such as a lock that has to be held until this program, too, has ended.
    Raises CommandError when the program cannot be started or takes longer.
    """
    try:
        done = subprocess.run(
            command,
            input=None if source else stdin,
            stdin=source,
            stdout=target or subprocess.PIPE,
            stderr=subprocess.PIPE,
            close_fds=not inherit,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(command, f"no end within {seconds:g} s") from error
    except OSError as error:
        raise CommandError(command, error.strerror or str(error)) from error
    return Finished(done.returncode, done.stdout or "", done.stderr)


def run(
    command: Sequence[str],
    *,
    stdin: str = "",
    seconds: float | None = 60,
    environment: Mapping[str, str] | None = None,
    cwd: str | None = None,
) -> str:
    """Run a program as `attempt` does and return its standard output; any exit status but 0 raises CommandError."""
    finished = attempt(command, stdin=stdin, seconds=seconds, environment=environment, cwd=cwd)
    if finished.status:
        raise CommandError(command, finished.said or f"ended with {finished.status}", finished)
    return finished.stdout


def call(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> int:
    """Run a program for who called us, on the same terminal, and return its exit status. Raises OSError."""
    return subprocess.run(command, check=False, env={**os.environ, **(environment or {})}).returncode


def as_user(user: str, group: str, *command: str) -> list[str]:
    """Return a command that runs another one with the rights of a user and no others (setpriv(1))."""
    return [
        "setpriv",
        f"--reuid={user}",
        f"--regid={group}",
        "--init-groups",
        "--no-new-privs",
        "--reset-env",
        *command,
    ]
