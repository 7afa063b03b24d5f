# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAA records: which authority may issue for a name, by which account and method (RFC 8659, RFC 8657)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .records import Records

ISSUE = re.compile(r'\d+ issue "([^"]*)"')


@dataclass(frozen=True)
class Issuer:
    """An authority's names in CAA records, our account there, and the method by which names are proven."""

    identities: Sequence[str]
    account: str
    method: str

    def is_permitted(self, value: str) -> bool:
        """Tell whether the value of a CAA record lets this issuer issue."""
        domain, *parameters = [part.strip() for part in value.split(";")]
        found = dict(parameter.partition("=")[::2] for parameter in parameters if parameter)
        methods = found.get("validationmethods", self.method).split(",")
        return (
            domain in self.identities
            and found.get("accounturi", self.account) == self.account
            and self.method in methods
        )


def forbidden(records: Records, names: Collection[str], issuer: Issuer) -> dict[str, str]:
    """Return the names whose order CAA records forbid, and why: the authority would count such an order as a failure."""
    found = {}
    for name in names if issuer.identities else ():
        labels = name.split(".")
        for first in range(len(labels) - 1):
            place = ".".join(labels[first:])
            values = [match[1] for text in records.look_up(place, "CAA") if (match := ISSUE.fullmatch(text))]
            if values and not any(map(issuer.is_permitted, values)):
                found[name] = (
                    f"the CAA records of {place} let {' or '.join(map(repr, values))} issue, and the authority is "
                    f"{' or '.join(issuer.identities)}, by {issuer.method} for the account {issuer.account}; have it among "
                    "the site's certificate authorities, run xmpp-certificate --register and then the playbook, which "
                    "publishes the account"
                )
            # The nearest records count alone (RFC 8659, section 3).
            if values:
                break
    return found
