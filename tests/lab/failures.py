# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints why a scenario failed, out of molecule's output: each failed task with its message, each failed test with its error.

failures.py FILE
"""

import re
import sys
from pathlib import Path

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
FRAME = "  │ "
# What the tests that passed have printed is between these two.
PASSES = re.compile(r"=+ PASSES")
SUMMARY = re.compile(r"=+ short test summary")
FATAL = re.compile(r"(fatal|failed): |.* \| (FAILED|UNREACHABLE)! =>")
TEST = re.compile(r"E  |[^ ]*test_.*(Error|Exception|Failed)|FAILED|ERROR|.*failed=[1-9]|.*unreachable=[1-9]")
# Of what a failed task returns, what an operator reads.
KEY = re.compile(r"    (msg|stderr|stdout|errors|cmd|exception|reason):")
MOST, MOST_OF_ONE = 80, 30


def reasons(lines):
    """The lines that say what failed."""
    found, passes, result = [], False, None
    for line in lines:
        framed = line.startswith(FRAME.rstrip())
        text = line[len(FRAME) :] if framed else line
        passes = (passes or bool(PASSES.match(text))) and not SUMMARY.match(text)
        if passes or not framed:
            # The result of a task is within molecule's frame.
            result = None
            continue
        if FATAL.match(text):
            found.append(text)
            result = {"left": MOST_OF_ONE, "wanted": False}
        elif result and text.startswith("  "):
            # A key of the result; what is indented further, or a list at its own depth, belongs to it, and so does the
            # rest of a line that molecule has folded.
            if text.startswith("    ") and not text.startswith(("     ", "    -")):
                result["wanted"] = bool(KEY.match(text))
            if result["wanted"] and result["left"]:
                result["left"] -= 1
                found.append(text)
        else:
            result = None
            if TEST.match(text):
                found.append(text)
    return found


def main(path):
    lines = [COLOUR.sub("", line.rstrip("\n")) for line in path.read_text(errors="replace").splitlines()]
    # What did not get as far as a task or a test has its last lines.
    found = reasons(lines)[-MOST:] or lines[-20:]
    print("\n".join(f"    {line}" for line in found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
