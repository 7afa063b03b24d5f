# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role's meta/checks.yml asks for by name: formats of its variables, and rules that hold between them.

formats:
  bind_catalog_ttl: {from: 0, to: 86400, unit: seconds}     a number; with `never: true`, the word never, too
  bind_acme_nameserver: host_name                           a value of this format
  bind_acme_names: [domain_name]                            a list of such, each once
  bind_nameservers: {some: host_name}                       the same with at least one
  bind_catalog: {optional: domain_name}                     such a value, or an empty text, which stands for none
  backup_keep: {keys: {daily: …}}                           a dictionary, and formats of its keys
  status_ports: [{port: port, name: title}]                 a list of such dictionaries
rules:
  bind_secondaries: [secondaries_have_keys, bind_transfer_keys]    what the rule gets besides the variable
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.formats import (
    backup,
    dns,
    firewall,
    host,
    prosody,
    rules,
    times,
    web,
)

FORMATS = {
    name: check
    for module in (checks, backup, dns, firewall, host, prosody, times, web)
    for name, check in vars(module).items()
    if hasattr(check, "plural")
}
RULES = rules.RULES


def number(least, most, unit, never=False):
    """Makes a check of a number within its bounds, or of the word never; `true` is none, though Python counts with it."""
    hint = f"write {unit} from {least} to {most}" + (", or never" if never else "")

    def checked(value):
        if never and value == "never":
            return "never"
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
            raise ValueError(
                f"{str(value)!r} is text; write {value} without quotes, and on a command line -e '{{\"NAME\": {value}}}'"
            )
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{value!r} is not a number; {hint}")
        if not least <= value <= most:
            raise ValueError(f"{value} is too {'small' if value < least else 'large'}; {hint}")
        return int(value)

    return checked


def keys_of(checks_of):
    """Makes a check of a dictionary out of the checks of its keys, each of which is there if its spec says so."""

    def checked(value):
        for key, check in checks_of.items():
            if value.get(key) is not None:
                try:
                    check(value[key])
                except ValueError as error:
                    raise ValueError(f"{key}: {error}") from error
        return dict(value)

    return checked


def numbered(keys, empty=True):
    """Makes a check of a list of dictionaries out of the checks of their keys, and says which one is wrong."""
    check = keys_of(keys)

    def checked(value):
        if not value and not empty:
            raise ValueError(f"[] is empty; write at least one, with {', '.join(keys)}")
        for number_, entry in enumerate(value, 1):
            try:
                check(entry)
            except ValueError as error:
                raise ValueError(f"number {number_}: {error}") from error
            if entry in value[: number_ - 1]:
                raise ValueError(f"number {number_} appears twice in the list; write it once")
        return list(value)

    return checked


def _named(name, what, table):
    if name not in table:
        raise ValueError(f"{name!r} is not a {what}; {checks.nearest(name, table)}")
    return table[name]


def _keys(asked):
    return {key: check_of(one) for key, one in asked.items()}


def _list(item, empty):
    if isinstance(item, Mapping):
        return numbered(_keys(item), empty)
    check = _named(item, "format", FORMATS)
    return checks.list_of(check, check.plural, check.example, empty=empty)


def check_of(asked):
    """Returns the check of a format that is asked for."""
    if isinstance(asked, str):
        return _named(asked, "format", FORMATS)
    if not isinstance(asked, Mapping):
        return _list(asked[0], empty=True)
    if "from" in asked:
        return number(asked["from"], asked["to"], asked["unit"], asked.get("never", False))
    ((how, item),) = asked.items()
    if how == "keys":
        return keys_of(_keys(item))
    if how == "some":
        return _list(item, empty=False)
    return checks.optional(check_of(item))


def rule_of(asked):
    """Returns the check of a rule, and the other variables that it is given."""
    return _named(asked[0], "rule", RULES), tuple(asked[1:])
