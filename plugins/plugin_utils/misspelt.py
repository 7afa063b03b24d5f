# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which variables of an inventory are probably misspelt ones of the collection.

An inventory may have variables of other roles whose names begin alike, such as nginx_version: one is refused only if it is so
near to one of ours that hardly anything else can be meant.
"""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks

ALLOWED = "xmpp_other_variables"
# Variables of former releases that would be without effect, and what they are called now.
RENAMED = {"hardening_apparmor": "xmpp_apparmor"}


def distance(one, other, most):
    """How many letters are missing, added, replaced or swapped with their neighbours; more than the most is the most and one."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before, row = [], list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, its in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != its))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == its:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]


def _slips(name):
    """How many slips a name of this length may have."""
    return 1 if len(name) < 10 else 2 if len(name) < 18 else 3


def _same_words(one, other):
    """Whether two lists of words differ in their order only, or in one word that is left out, or in the role alone."""
    if sorted(one) == sorted(other):
        return True
    short, long = sorted((one, other), key=len)
    if len(long) == len(short) + 1 and (len(short) > 2 or long[-1] == "extra"):
        return any(long[:place] + long[place + 1 :] == short for place in range(len(long)))
    return len(one) == len(other) > 2 and one[1:] == other[1:]


def nearest(name, known):
    """The variable that a name was probably meant to be, or nothing. `known` has all of them by the first word."""
    words, best = name.split("_"), None
    for first, names in known.items():
        near = any(distance(begin, first, 2) <= 2 for begin in (words[0], name[: len(first)]))
        for candidate in names:
            if near and (slips := distance(name, candidate, _slips(candidate))) <= _slips(candidate):
                best = min(best or (slips, candidate), (slips, candidate))
            elif words[0] in known and _same_words(words, candidate.split("_")):
                best = best or (4, candidate)
    return best[1] if best else None


def misspelt(variables, known, model, allowed=()):
    """A message for each variable that is not known and looks as if it should be, and for each of the model's prefix."""
    by_role: dict[str, list[str]] = {}
    for name in known:
        by_role.setdefault(name.partition("_")[0], []).append(name)
    wrong = []
    for name in sorted(set(map(str, variables)) - set(known) - set(allowed)):
        if name in RENAMED:
            wrong.append(f"{name}: is called {RENAMED[name]} now; rename it")
        elif name.startswith("xmpp_"):
            wrong.append(f"{name}: is not a variable of the site model; {checks.nearest(name, model)}")
        elif "_" in name and not name.startswith(("_", "ansible_")) and (meant := nearest(name, by_role)):
            wrong.append(
                f"{name}: is not a variable of this collection; did you mean {meant!r}? If it is meant for something else, "
                f"write {ALLOWED}: [{name}]"
            )
    return wrong
