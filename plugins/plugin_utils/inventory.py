# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What check_inventory needs to know of specs and templates, without Ansible."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks, dns, dns_transfers

_MARKUP = re.compile(r"\b[A-Z]+\(([^()]*)\)")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BY_TYPE = {"bool": "true", "int": "1", "float": "1.0", "list": "[]", "dict": "{}", "path": "'/etc/example'"}
_KEYS = ("bind_transfer_keys", "bind_transfer_secret", "bind_transfer_key_name")
# Checks of a variable that need others, too: name → (those others, check of the value and theirs).
RELATED = {
    "bind_secondaries": (_KEYS, lambda value, *keys: dns_transfers.dns_transfers(value, [], *keys)),
    # A list of zones of the operator's own has passed no filter yet.
    "bind_zones": ((), lambda zones: [dns.dns_zone_file(zone) for zone in zones]),
    "xmpp_addresses": (("xmpp_private_addresses",), checks.public_addresses),
    "bind_secondary_of": (_KEYS, lambda value, *keys: dns_transfers.dns_transfers([], value, *keys)),
}


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


def missing(name, option):
    """The message for a required variable that is not set."""
    hint = f"write for example {_BY_TYPE.get(option.get('type'), repr('text'))}"
    if name in checks.FORMATS:
        try:
            checks.FORMATS[name](None)
        except ValueError as error:
            hint = str(error).rpartition("; ")[2]
    about = first_sentence(option.get("description"))
    return f"{name}: is not set. {about}; {hint}" if about else f"{name}: is not set; {hint}"


def wrong_type(value, option, message):
    """What Ansible's validation says, with the value and an example."""
    shown = repr(value)
    shown = shown if len(shown) <= 100 else shown[:99] + "…"
    kind = option.get("type", "str")
    if f"unable to convert to {kind}" in message and not message.startswith("Elements value"):
        return f"{shown} is not of type {kind}; write for example {_BY_TYPE.get(kind, repr('text'))}"
    unknown, found, known = message.partition(". Supported parameters include: ")
    if found:
        return f"{shown}: {unknown} is unknown; write one of {known.rstrip('.')}"
    return f"{shown}: {message}"


def misspelt(variables, options, prefix="xmpp_"):
    """A message for each variable with the model's prefix that the model does not have."""
    return [
        f"{name}: is not a variable of the site model; {checks.nearest(name, options)}"
        for name in sorted(map(str, variables))
        if name.startswith(prefix) and name not in options
    ]


def references(name, variables, others=("ansible_facts",)):
    """The names of all variables, and of others that are none, that the value of one may depend on."""
    found, waiting = set(), [name]
    while waiting:
        words = set(_WORD.findall(str(variables.get(waiting.pop(), "")))) - found
        for word in words:
            if word in variables or word in others:
                found.add(word)
                waiting.append(word)
    return found - {name}
