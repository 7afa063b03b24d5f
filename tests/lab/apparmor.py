# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a profile of AppArmor allows, held against what strace has seen a daemon do.

No container has AppArmor, so nothing here is enforced: whether the kernel would allow a file is decided by the rules of
the profile, as its own parser has put them together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

# The calls that name a file, or use it in a way of which AppArmor asks, and those that make a process.
CALLS = (
    "open,openat,creat,execve,execveat,mmap,flock,fcntl,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir,"
    "link,linkat,symlink,symlinkat,chmod,fchmodat,chown,fchownat,truncate,chdir,connect,bind,clone,clone3,fork,vfork"
)


class Profile:
    """The rules for files of a profile that `apparmor_parser --preprocess` has put together."""

    def __init__(self, text: str):
        variables: dict[str, list[str]] = {}
        for name, values in re.findall(r"^\s*(@\{\w+\})\s*\+?=\s*(.+)$", text, re.MULTILINE):
            variables.setdefault(name, []).extend(values.split())
        found = re.search(r"^\s*profile\s+\S+\s+(/\S+)", text, re.MULTILINE)
        self.program = found[1]
        self.rules: list[tuple[re.Pattern, str]] = []
        self.denied: list[tuple[re.Pattern, str]] = []
        rule = re.compile(
            r"^\s*(deny\s+)?(?:audit\s+)?(?:owner\s+)?\"?((?:/|@\{)[^\s\"]*)\"?\s+([rwamklixpPuUcC]+)\s*,", re.M
        )
        for denied, path, permissions in rule.findall(text):
            (self.denied if denied else self.rules).append((re.compile(pattern(path, variables)), permissions))

    def allows(self, path: str, permission: str) -> bool:
        """Whether it allows r, w, k, l, m or x of a file; what appends may write is not told apart."""
        return any(permission in granted and rule.fullmatch(path) for rule, granted in self.rules) and not any(
            permission in taken and rule.fullmatch(path) for rule, taken in self.denied
        )


def pattern(path: str, variables: dict[str, list[str]]) -> str:
    """A path of AppArmor's as a regular expression."""
    while found := re.search(r"@\{\w+\}", path):
        # Some values end in a slash, which is once more in the rule.
        values = [value.strip('"').rstrip("/") for value in variables.get(found[0], ["/nowhere"])]
        path = path[: found.start()] + "{" + ",".join(values) + "}" + path[found.end() :]
    path, text, depth = re.sub(r"/{2,}", "/", path), "", 0
    for found in re.finditer(r"\\.|\*+|\[[^]]*\]|.", path):
        token = found[0]
        if token[0] == "*":
            # One that fills a whole part of the path is not empty: /x/** is not /x/ itself.
            text += "[^/]" if text.endswith("/") and path[found.end() :][:1] in ("", "/") else ""
            text += "[^/]*" if token == "*" else ".*"
        elif token == "?":
            text += "[^/]"
        elif token == "{":
            text, depth = text + "(?:", depth + 1
        elif token == "}":
            text, depth = text + ")", depth - 1
        elif token == "," and depth:
            text += "|"
        else:
            text += token if token[0] in "[\\" else re.escape(token)
    return text


def calls(trace: str) -> Iterator[tuple[int, str, str, str]]:
    """Yields who has called what, with which arguments and result, of the calls that succeeded."""
    begun: dict[int, str] = {}
    for line in trace.splitlines():
        number, _, rest = line.partition(" ")
        if not number.isdigit():
            continue
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[int(number)] = rest.removesuffix("<unfinished ...>")
            continue
        if found := re.match(r"<\.\.\. \w+ resumed>", rest):
            rest = begun.pop(int(number), "") + rest[found.end() :]
        if found := re.match(r"(\w+)\((.*)\)\s+= (\d+\S*|0x[0-9a-f]+)", rest):
            yield int(number), found[1], found[2], found[3]


def path_of(folder: str, name: str) -> str:
    """A path as the process means it: strace shows a descriptor with its folder."""
    within = re.search(r"<(.*)>", folder)
    return os.path.normpath(os.path.join(within[1] if within else "/", name)).replace("//", "/")


def accesses(trace: str, programs: dict[str, str]) -> set[tuple[str, str, str]]:
    """What each of the programs has done: its name, a path and what was done with it. `programs` are paths to names."""
    who: dict[int, str] = {}
    # The working directory, which threads share.
    where: dict[int, list[str]] = {}
    found: set[tuple[str, str, str]] = set()
    for number, call, arguments, result in calls(trace):
        if call in ("clone", "clone3", "fork", "vfork"):
            if number in who and result.isdigit():
                folder = where.setdefault(number, ["/"])
                who[int(result)], where[int(result)] = who[number], folder if "CLONE_FS" in arguments else [*folder]
            continue
        strings = re.findall(r'"((?:[^"\\]|\\.)*)"', arguments)
        folders = re.findall(r"(?:AT_FDCWD|\d+)<[^>]*>", arguments)
        if call == "chdir":
            folder = where.setdefault(number, ["/"])
            folder[0] = os.path.join(folder[0], strings[0])
            continue
        if call == "execve":
            program = strings[0]
            if number in who:
                found.add((who[number], program, "x"))
            elif program in programs:
                who[number] = programs[program]
            continue
        name = who.get(number)
        if not name:
            continue
        path, permissions = None, ""
        if call in ("open", "openat", "creat"):
            opened = re.search(r"<(/.*)>", result)
            path = opened[1] if opened else None
            permissions = {"O_WRONLY": "w", "O_RDWR": "rw"}.get(
                next(iter(re.findall(r"O_WRONLY|O_RDWR", arguments)), ""), "r"
            )
            permissions += "w" if "O_CREAT" in arguments or call == "creat" else ""
            path = f"{path}/" if path and "O_DIRECTORY" in arguments else path
            permissions = "" if "O_PATH" in arguments else permissions
        elif call in ("mmap", "flock", "fcntl"):
            opened = re.search(r"<(/[^>]*)>", arguments)
            path = opened[1] if opened else None
            if call == "mmap":
                permissions = "m" if "PROT_EXEC" in arguments else ""
            else:
                permissions = "k" if call == "flock" or re.search(r"F_(OFD_)?SETLK", arguments) else ""
        elif call in ("connect", "bind"):
            socket = re.search(r'sun_path="(/[^"]*)"', arguments)
            path, permissions = (socket[1], "w") if socket else (None, "")
        elif strings:
            for index, text in enumerate(strings[:2] if "rename" in call or call.startswith("link") else strings[-1:]):
                target = path_of(folders[index] if index < len(folders) else f"<{where.get(number, ['/'])[0]}>", text)
                found.add((name, target, "l" if call.startswith("link") and index else "w"))
            continue
        if path and not path.endswith("(deleted)") and path.startswith("/"):
            found |= {(name, path, permission) for permission in permissions}
    return found
