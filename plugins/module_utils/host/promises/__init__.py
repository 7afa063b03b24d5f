# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host promises to the public: one list, from which the self-test, the pages and the documentation are made."""

from .extensions import EXTENSIONS
from .kinds import CONDITIONS, LANGUAGES, STATES, TOPICS, Config, Domain, Promise
from .server import SERVER
from .testers import TESTERS

PROMISES: tuple[Promise, ...] = (*SERVER, *EXTENSIONS)

__all__ = [
    "CONDITIONS",
    "LANGUAGES",
    "PROMISES",
    "STATES",
    "TESTERS",
    "TOPICS",
    "Config",
    "Domain",
    "Promise",
    "applying",
    "graded",
    "named",
]


_BY_ID = {promise.id: promise for promise in (*PROMISES, *TESTERS)}


def named(identity: str) -> Promise:
    """Return the promise with an id, or what a tester would say. Raises KeyError."""
    return _BY_ID[identity]


def applying(config: Config, domain: Domain) -> list[Promise]:
    """Return the promises that a domain makes, by what the host is configured to offer."""
    return [promise for promise in PROMISES if promise.applies(config, domain)]


def graded(config: Config, domain: Domain) -> list[Promise]:
    """Return what testers would say of a domain, by what the host is configured to offer."""
    return [promise for promise in TESTERS if promise.applies(config, domain)]
