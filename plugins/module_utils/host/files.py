# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read files, replace them at one go, keep state as JSON, and hold locks."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import tempfile
import time

# Not read for annotations alone: munin starts programs that import this every five minutes.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# No program takes as long to write a file. A draft that is older is of one that was killed.
OLD_SECONDS = 3600


def read_text(path: str) -> str:
    """Return a file's text, and an empty one where there is no file. Bytes that are no UTF-8 are replaced."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def replace(
    path: str,
    text: str | bytes,
    *,
    mode: int = 0o644,
    user: int | None = None,
    group: int | None = None,
    durable: bool = True,
) -> None:
    """Replace a file at one go: a reader sees the old text or the new one, and whole.

    `durable` writes the text to the disk first, so that it is one of the two after a loss of power, too. The draft is in
    the same folder, and readable by its owner only until it has its mode. Raises OSError, and leaves no draft behind; those
    that a kill has left behind are removed.
    """
    handle, draft = tempfile.mkstemp(dir=os.path.dirname(path), prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode() if isinstance(text, str) else text)
            stream.flush()
            if user is not None or group is not None:
                os.fchown(stream.fileno(), -1 if user is None else user, -1 if group is None else group)
            os.fchmod(stream.fileno(), mode)
            if durable:
                os.fsync(stream.fileno())
        os.rename(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    sweep(path)


def sweep(path: str, older: float = OLD_SECONDS) -> None:
    """Remove the drafts of a file that were left behind so many seconds ago; another program may be writing a newer one."""
    for draft in glob.glob(drafts(path)):
        with contextlib.suppress(OSError):
            if time.time() - os.lstat(draft).st_mtime >= older:
                os.unlink(draft)


def drafts(path: str) -> str:
    """Return the pattern for glob of the drafts of a file that `replace` leaves behind when it is killed, or the host loses its power."""
    folder, name = os.path.split(path)
    return os.path.join(glob.escape(folder), f".{glob.escape(name)}.????????")


def remove(path: str) -> None:
    """Remove a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def read_json(path: str, default: Any = None) -> Any:
    """Return what a JSON file holds; `default` where there is no file or it is empty. Raises OSError and ValueError."""
    text = read_text(path)
    return json.loads(text) if text.strip() else default


def write_json(path: str, value: Any, *, mode: int = 0o644, durable: bool = True) -> None:
    """Replace a JSON file at one go."""
    replace(path, json.dumps(value, indent=1) + "\n", mode=mode, durable=durable)


@contextlib.contextmanager
def locked(path: str, *, wait: bool = True, inherited: bool = False) -> Iterator[None]:
    """Hold a lock file for the time of a block. Without `wait`, raises BlockingIOError when another program holds it.

    `inherited` lets programs hold it, too, that are run with `inherit`: where we are killed, they may work on.
    """
    with open(path, "a", encoding="ascii") as stream:
        os.set_inheritable(stream.fileno(), inherited)
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def is_locked(path: str, *, posix: bool = False) -> bool:
    """Tell whether another program holds a lock file, by flock(2), or `posix` by fcntl(2) as dpkg does."""
    try:
        with open(path, "rb") as stream:
            (fcntl.lockf if posix else fcntl.flock)(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
