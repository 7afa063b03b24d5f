# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What check_inventory needs to know of specs and templates, without Ansible."""

from __future__ import annotations

import re
from collections.abc import Mapping

_MARKUP = re.compile(r"\b[A-Z]+\(([^()]*)\)")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BY_TYPE = {"bool": "true", "int": "1", "float": "1.0", "list": "[]", "dict": "{}", "path": "'/etc/example'"}


def without_defaults(options):
    """A spec whose documented defaults, which may be prose, do not count as values."""
    cleaned = {}
    for name, option in options.items():
        kept = {key: value for key, value in option.items() if key != "default"}
        if isinstance(kept.get("options"), Mapping):
            kept["options"] = without_defaults(kept["options"])
        cleaned[name] = kept
    return cleaned


def is_secret(option):
    """Tells whether a spec marks an option, or one within it, as not to be shown."""
    inner = option.get("options") or {}
    return option.get("no_log") is True or any(is_secret(item) for item in inner.values())


def first_sentence(description):
    """The first sentence of an option's description, without its markup and its full stop."""
    text = description if isinstance(description, str) else " ".join(str(item) for item in (description or [])[:1])
    text = _MARKUP.sub(r"\1", text).strip()
    return re.split(r"\.(?=\s|$)", text, maxsplit=1)[0]


def missing(name, option, check=None):
    """The message for a required variable that is not set; a check says what would be right."""
    hint = f"write for example {_BY_TYPE.get(option.get('type'), repr('text'))}"
    if check:
        try:
            check(None)
        except ValueError as error:
            hint = str(error).rpartition("; ")[2]
    about = first_sentence(option.get("description"))
    return f"{name}: is not set. {about}; {hint}" if about else f"{name}: is not set; {hint}"


def _example(option):
    """An item of a list."""
    inner = option.get("options") or {}
    if not inner:
        return _BY_TYPE.get(option["elements"], repr("text"))
    names = [name for name, one in inner.items() if one.get("required")] or list(inner)[:1]
    return "{" + ", ".join(f"{name}: …" for name in names) + "}"


def wrong_types(value, option, messages):
    """What Ansible's validation says, each thing once."""
    kept = [message for message in messages if not message.startswith("dictionary requested")] or messages
    return "; ".join(wrong_type(value, option, message) for message in kept)


def wrong_type(value, option, message):
    """What Ansible's validation says, with the value and an example."""
    shown = repr(value)
    shown = shown if len(shown) <= 100 else shown[:99] + "…"
    kind = option.get("type", "str")
    if f"unable to convert to {kind}" in message and not message.startswith("Elements value"):
        return f"{shown} is not of type {kind}; write for example {_BY_TYPE.get(kind, repr('text'))}"
    if message.startswith("Elements value for option"):
        return f"{shown} is not a list of type {option['elements']}; write for example [{_example(option)}]"
    inner = re.match(r"argument '(\w+)' is of type .*unable to convert to (\w+)", message)
    if inner:
        return (
            f"{shown}: {inner[1]} is not of type {inner[2]}; write for example {_BY_TYPE.get(inner[2], repr('text'))}"
        )
    unknown, found, known = message.partition(". Supported parameters include: ")
    if found:
        return f"{shown}: {unknown} is unknown; write one of {known.rstrip('.')}"
    return f"{shown}: {message}"


def blamed(name, said, default, operators):
    """The message for a default that is wrong, with the operator's variables that it is made of in place of its own name.

    A filter says first which of its arguments is wrong, and the default says which variable that is.
    """
    label, colon, rest = said.removeprefix(f"{name}: ").partition(": ")
    argument = re.search(rf"\b{re.escape(label)}=(\w+)", default) if colon else None
    if argument and argument[1] in operators:
        return f"{argument[1]}: {rest}"
    if not operators:
        return said
    return f"{', '.join(operators)}: {name} is made of {'it' if len(operators) == 1 else 'them'}: {said.removeprefix(f'{name}: ')}"


def references(name, variables, others=("ansible_facts",)):
    """The names of all variables, and of others that are none, that the value of one may depend on."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        words = set(_WORD.findall(str(variables.get(waiting.pop(), "")))) - found
        for word in words:
            if word in variables or word in others:
                found.add(word)
                waiting.append(word)
    return found - {name}
