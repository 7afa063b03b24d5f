# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pure part of config_tree on the controller: from templates and the table of files to what the host is sent."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence

SUFFIX = ".j2"
STATES = ("file", "absent", "directory", "link")
KEYS = ("owner", "group", "mode", "state", "target", "content", "validate", "secret", "conceals", "serial", "exclusive")
# What a state has no use for. An absent path may keep all of its attributes, so that its state can be data.
USELESS = {
    "file": ("target", "exclusive"),
    "absent": (),
    "directory": ("target", "content", "validate", "secret", "conceals", "serial"),
    "link": ("mode", "content", "validate", "secret", "conceals", "serial", "exclusive"),
}


def destination(relative):
    """The absolute path for a file below the templates directory, or None when it is there to be included only."""
    parts = relative.split("/")
    if any(part.startswith("_") for part in parts):
        return None
    path = "/" + relative
    return path.removesuffix(SUFFIX) if len(parts[-1]) > len(SUFFIX) else path


def destinations(relatives):
    """{absolute path: file below the templates directory}."""
    found: dict[str, str] = {}
    for relative in sorted(relatives):
        path = destination(relative)
        if path in found:
            raise ValueError(f"src: {found[path]!r} and {relative!r} both are {path}; remove one of them")
        if path is not None:
            found[path] = relative
    return found


def command(value, option, placeholder=False):
    """A command as a list of words; `placeholder`: one of them has to have %s."""
    if value is None:
        return None
    words = value
    if isinstance(value, str):
        try:
            words = shlex.split(value)
        except ValueError as e:
            raise ValueError(f"{option}: {value!r} is not a command ({e}); close its quotes, or write a list") from None
    is_list = isinstance(words, Sequence) and not isinstance(words, (str, bytes))
    if not is_list or not all(isinstance(word, str) and "\0" not in word for word in words) or not any(words):
        raise ValueError(f"{option}: {value!r} is not a command; write a list of strings, or one string")
    words = [str(word) for word in words]
    if not words[0]:
        raise ValueError(f"{option}: {value!r} has no program; its first word has to be one")
    if placeholder and not any("%s" in word for word in words):
        raise ValueError(f"{option}: {value!r} has no %s, which stands for what it has to check; add it")
    return words


def _check_path(path):
    where = f"files[{path!r}]"
    if not isinstance(path, str):
        raise ValueError(f"{where}: a path has to be a string")
    if not path.startswith("/"):
        raise ValueError(f"{where}: a path has to be absolute, such as '/etc/example.conf'")
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        raise ValueError(f"{where}: a path must not have control characters")
    if path == "/" or path.startswith("//") or posixpath.normpath(path) != path:
        raise ValueError(f"{where}: a path must have a name and no '.', '..', '//' or '/' at its end")


def _account(where, key, value):
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?", value):
        raise ValueError(f"{where}: {key}: {value!r} is not a name or number of an account; write one, such as 'root'")
    return str(value)


def _entry(path, given, source):
    """One path's entry for the host, checked; its content is still missing when it has a template."""
    where = f"files[{path!r}]"
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise ValueError(f"{where}: {given!r} has to be a dictionary of attributes; an empty one means the defaults")
    given = {key: value for key, value in given.items() if value is not None}
    for key in given:
        if key not in KEYS:
            raise ValueError(f"{where}: {key!r} is not an attribute; the attributes are {', '.join(KEYS)}")
    state = given.get("state", "file")
    if state not in STATES:
        raise ValueError(f"{where}: state: {state!r} is not a state; write one of {', '.join(STATES)}")
    for key in USELESS[state]:
        if key in given:
            raise ValueError(f"{where}: {key} has no meaning for state '{state}'; remove it")

    mode = given.get("mode", "0755" if state == "directory" else "0644")
    if not isinstance(mode, str) or not re.fullmatch(r"0?[0-7]{3}|[0-7]{4}", mode):
        raise ValueError(f'{where}: mode: {mode!r} is not a file mode; write a quoted octal number, such as "0644"')
    entry = {
        "path": str(path),
        "state": str(state),
        "owner": _account(where, "owner", given.get("owner", "root")),
        "group": _account(where, "group", given.get("group", "root")),
        "mode": str(mode),
    }
    content = given.get("content")
    if content is not None and not isinstance(content, str):
        kind = type(content).__name__
        raise ValueError(f"{where}: content has to be a string, and is of the type {kind}; quote or serialise it")
    secret = given.get("secret", False)
    if not isinstance(secret, bool):
        raise ValueError(f"{where}: secret: {secret!r} is not a boolean; write true or false")
    if state == "absent":
        return entry
    if source is not None and state != "file":
        raise ValueError(f"{where}: state '{state}' and the template {source!r} exclude each other; remove one of them")
    if state == "directory":
        exclusive = given.get("exclusive", False)
        if not isinstance(exclusive, bool):
            raise ValueError(f"{where}: exclusive: {exclusive!r} is not a boolean; write true or false")
        return {**entry, "exclusive": True} if exclusive else entry
    if state == "link":
        target = given.get("target")
        if not isinstance(target, str) or not target or "\0" in target:
            raise ValueError(f"{where}: target: {target!r} is not a path; a link needs what it points to")
        return {**entry, "target": str(target)}

    if content is not None and source is not None:
        raise ValueError(f"{where}: content and the template {source!r} exclude each other; remove one of them")
    if content is None and source is None:
        raise ValueError(
            f"{where}: there is no template for it; add templates{path}{SUFFIX}, content, or another state"
        )
    entry["secret"] = secret
    conceals = given.get("conceals")
    if conceals is not None:
        named = isinstance(conceals, Sequence) and not isinstance(conceals, str)
        if not named or not all(isinstance(name, str) and name.isidentifier() for name in conceals) or source is None:
            raise ValueError(
                f"{where}: conceals: {conceals!r} is not a list of variables of a template; write for example ['example_options']"
            )
        entry["conceals"] = [str(name) for name in conceals]
    if content is not None:
        entry["content"] = str(content)
    validate = command(given.get("validate"), f"{where}: validate", placeholder=True)
    if validate:
        entry["validate"] = validate
    serial = given.get("serial")
    if serial is not None:
        if not isinstance(serial, str) or not re.search(r"[^\d\s]", serial):
            raise ValueError(
                f"{where}: serial: {serial!r} is not a token; write one that the text has once, as '@SERIAL@'"
            )
        entry["serial"] = str(serial)
    return entry


def plan(files, sources):
    """The entries for the host, in the order of their paths. `sources` is {path: template}.

    Raises ValueError for the first thing that is wrong.
    """
    if not isinstance(files, Mapping):
        raise ValueError(f"files: {files!r} has to be a dictionary of absolute paths and their attributes")
    for path in files:
        _check_path(path)
    entries = {
        path: _entry(path, files.get(path), sources.get(path))
        for path in sorted({*map(str, files), *sources}, key=lambda path: path.split("/"))
    }
    gone = set()
    for path, entry in entries.items():
        parent = posixpath.dirname(path)
        while parent != "/":
            state = entries.get(parent, {}).get("state", "directory")
            if state == entry["state"] == "absent":
                # It goes with what it is in.
                gone.add(path)
            elif state != "directory":
                raise ValueError(
                    f"files[{path!r}]: it is below {parent}, which is of the state '{entries[parent]['state']}'; "
                    "remove one of them"
                )
            parent = posixpath.dirname(parent)
    return [entry for path, entry in entries.items() if path not in gone]


def check_apart(trees):
    """Refuses a path that several of these lists of entries have, unless it is the same directory. Raises ValueError."""
    known: dict[str, tuple[str, dict]] = {}
    for name, entries in trees.items():
        for entry in entries:
            other, same = known.setdefault(entry["path"], (name, entry))
            if other != name and (entry["state"] != "directory" or entry != same):
                raise ValueError(f"roles: {other} and {name} both have {entry['path']}; it can belong to one of them")


def leaves(value):
    """The texts and numbers in a value, without the keys that lead to them."""
    if isinstance(value, Mapping):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [leaf for item in value for leaf in leaves(item)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def masked(value):
    """The same shape with nothing in it that could be secret."""
    if isinstance(value, Mapping):
        return {str(key): masked(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [masked(item) for item in value]
    return value if value is None or isinstance(value, bool) else "" if isinstance(value, str) else 0


def check_serial(entry):
    """An entry's rendered text has to have its serial number's token exactly once."""
    if "serial" in entry:
        count = entry["content"].count(entry["serial"])
        if count != 1:
            raise ValueError(
                f"files[{entry['path']!r}]: serial: its text has {entry['serial']!r} {count} times; "
                "it has to be there once"
            )
