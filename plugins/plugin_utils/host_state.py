# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions to the answer of the module host_facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def _names(value, what, example):
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{value!r} is not a list of {what}; write one, for example {example}")
    for name in value:
        if not isinstance(name, str) or not name:
            raise ValueError(f"{name!r} is not a name of one of the {what}; write a string, for example {example}")
    return value


def _part(host_state, key, kind):
    if not isinstance(host_state, Mapping) or not isinstance(host_state.get(key), kind):
        raise ValueError(
            f"the host state has no {key!r}; run magicbroccoli.xmpp.host_facts first and give "
            "ansible_facts['host_state']"
        )
    return host_state[key]


def missing(packages, host_state):
    """Returns the packages that are not installed, where apt can be asked for them."""
    names = _names(packages, "packages", "['nginx']")
    installed = _part(host_state, "packages", Mapping)
    if _part(host_state, "check_mode", bool) and not _part(host_state, "apt", bool):
        return []
    return [name for name in names if name not in installed]


def missing_on(packages, host_state):
    """Tells whether one of the packages is not installed and apt can be asked for it."""
    return bool(missing(packages, host_state))


def _unit_names(units):
    for name in _names(units, "units", "['nginx.service']"):
        if "." not in name:
            raise ValueError(f"{name!r} is not a full unit name; write it with its type, for example '{name}.service'")
    return units


def running(units, host_state):
    """Returns the units that are active."""
    known = _part(host_state, "units", Mapping)
    return [name for name in _unit_names(units) if known.get(name, {"active": False})["active"]]


def running_on(units, host_state):
    """Tells whether all of the units are active."""
    return len(running(units, host_state)) == len(units)


def stopped(units, host_state):
    """Returns the units that are not both active and enabled."""
    names = _unit_names(units)
    known = _part(host_state, "units", Mapping)
    # In check mode, the package of one that is not there is not there yet, either: nothing could be started.
    unknown = dict.fromkeys(("enabled", "active"), _part(host_state, "check_mode", bool))
    units = {name: known.get(name, unknown) for name in names}
    return [name for name, unit in units.items() if not (unit["enabled"] and unit["active"])]


def stopped_on(units, host_state):
    """Tells whether one of the units is not enabled or not active."""
    return bool(stopped(units, host_state))
