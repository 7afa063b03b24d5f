# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is published for those who look for an XMPP server."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.formats.web import https_url
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import named

ORGANIZATIONS = ("company", "commercial person", "private person", "governmental", "non-governmental")


def _pages(value):
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a dictionary; write for example {{'en': 'https://example.org/'}}")
    for language, url in value.items():
        if not isinstance(language, str) or not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", language):
            raise ValueError(f"{language!r} is not a language; write for example 'en' or 'de' (RFC 5646)")
        https_url(url)
    return {str(language): str(url) for language, url in value.items()}


def _organization(value):
    if value not in ORGANIZATIONS:
        raise ValueError(f"{value!r} is not a kind of organization; {checks.nearest(value, ORGANIZATIONS)}")
    return str(value)


def _country(value):
    if not isinstance(value, str) or not re.fullmatch("[a-z]{2}", value):
        raise ValueError(f"{value!r} is not a country; write two small letters, for example 'de' (ISO 3166-1)")
    return str(value)


def _date(value):
    hint = "write year, month and day in quotes, for example '2024-05-01'"
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError(f"{value!r} is not a date; {hint}")
    try:
        datetime.date.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(f"{str(value)!r} is not a date ({error}); {hint}") from error
    return str(value)


def _count(value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a number of people; write 1 or more")
    return int(value)


def _truth(value):
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false; write one of them, without quotes")
    return bool(value)


# Ours → the format's name, the check, and what says that it is not known.
KEYS = {
    "website": ("website", _pages, {}),
    "legal_notice": ("legalNotice", _pages, {}),
    "password_reset": ("passwordReset", _pages, {}),
    "organization": ("organization", _organization, ""),
    "locations": ("serverLocations", checks.list_of(_country, "countries", "['de']"), []),
    "since": ("since", _date, ""),
    "people": ("busFactor", _count, -1),
    "free_of_charge": ("freeOfCharge", _truth, False),
    "professional_hosting": ("professionalHosting", _truth, False),
    "server_testing": ("serverTesting", _truth, False),
}


def _days(value):
    """A number of days; the format has 0 for no limit."""
    return 0 if value == "never" else int(value)


def provider_file(given, archive_days, upload_days, upload_daily_quota):
    """Returns the content of xmpp-provider-v2.json, or nothing where nothing is given."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{given!r} is not a dictionary; write for example {{'organization': 'private person'}}")
    for key in given:
        if key not in KEYS:
            raise ValueError(f"{key!r} is not known of a provider; {checks.nearest(key, KEYS)}")
    if not given:
        return {}
    content = {
        name: unknown if given.get(key) is None else named(key, check, given[key])
        for key, (name, check, unknown) in KEYS.items()
    }
    return {
        **content,
        "alternativeJids": [],
        "maximumMessageArchiveManagementStorageTime": _days(archive_days),
        "maximumHttpFileUploadStorageTime": _days(upload_days),
        # Millions of bytes: all that one account can have there at once.
        "maximumHttpFileUploadTotalSize": int(upload_daily_quota) * _days(upload_days) // 1000000,
    }
