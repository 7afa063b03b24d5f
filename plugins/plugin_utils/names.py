# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and times derived from the site model."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks


def named(label, check, value):
    """Runs a check and puts the name of what was checked before its message."""
    try:
        return check(value)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error


def certificate_names(domain, components=None):
    """Returns the names that the host's certificate must have: the domain first, then its components."""
    names = [named("domain", checks.domain_name, domain)]
    if components is None:
        components = {}
    if not isinstance(components, Mapping):
        raise ValueError(
            f"components: {components!r} is not a dictionary; write for example {{'muc': 'muc.example.org'}}"
        )
    for kind, name in components.items():
        names.append(named(f"components.{kind}", checks.domain_name, name))
    return list(dict.fromkeys(names))


def reboot_window(value):
    """Returns a window's begin and end, as text and in minutes since midnight, and its length in minutes."""
    start, end = checks.window(value)
    begin_text, _dash, end_text = str(value).partition("-")
    return {
        "start": begin_text,
        "end": end_text,
        "minutes": (end - start) % (24 * 60),
        "start_minute": start,
        "end_minute": end,
    }
