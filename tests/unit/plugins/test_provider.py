# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.provider import provider_file

LIMITS = {"archive_days": 30, "upload_days": 7, "upload_daily_quota": 1073741824}


def test_what_is_not_known_is_not_said_to_be_good():
    assert provider_file({"since": "2024-02-29"}, **LIMITS) == {
        "website": {},
        "legalNotice": {},
        "passwordReset": {},
        "organization": "",
        "serverLocations": [],
        "since": "2024-02-29",
        "busFactor": -1,
        "freeOfCharge": False,
        "professionalHosting": False,
        "serverTesting": False,
        "alternativeJids": [],
        "maximumMessageArchiveManagementStorageTime": 30,
        "maximumHttpFileUploadStorageTime": 7,
        "maximumHttpFileUploadTotalSize": 7516,
    }


def test_everything_is_said():
    given = {
        "website": {"en": "https://example.org/", "de": "https://example.org/de/"},
        "legal_notice": {"de": "https://example.org/impressum"},
        "password_reset": {"en": "https://example.org/reset"},
        "organization": "private person",
        "locations": ["de", "fi"],
        "since": "2024-05-01",
        "people": 2,
        "free_of_charge": True,
        "professional_hosting": True,
        "server_testing": True,
    }
    found = provider_file(given, **LIMITS)
    assert [found[name] for name in ("website", "legalNotice", "passwordReset", "organization", "serverLocations")] == [
        given[name] for name in ("website", "legal_notice", "password_reset", "organization", "locations")
    ]
    assert [found[name] for name in ("since", "busFactor", "freeOfCharge", "professionalHosting", "serverTesting")] == [
        *("2024-05-01", 2, True, True, True)
    ]


def test_nothing_given_is_nothing_said():
    assert provider_file({}, **LIMITS) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "[] is not a dictionary; write for example {'organization': 'private person'}"),
        ({"web": {}}, "'web' is not known of a provider; did you mean 'website'?"),
        ({"zzz": {}}, "'zzz' is not known of a provider; write one of free_of_charge, legal_notice, locations"),
        ({"website": "https://example.org/"}, "website: 'https://example.org/' is not a dictionary; write for example"),
        ({"website": {"english": "https://example.org/"}}, "website: 'english' is not a language; write for example"),
        ({"website": {"en": "http://example.org/"}}, "website: 'http://example.org/' is not an HTTPS URL"),
        ({"organization": "privat person"}, "'privat person' is not a kind of organization; did you mean 'private pe"),
        ({"locations": ["DE"]}, "locations: 'DE' is not a country; write two small letters, for example 'de'"),
        ({"locations": "de"}, "locations: 'de' is not a list of countries"),
        ({"since": "1.5.2024"}, "since: '1.5.2024' is not a date; write year, month and day in quotes"),
        ({"since": "2023-02-29"}, "since: '2023-02-29' is not a date (day is out of range for month); write"),
        ({"people": 0}, "people: 0 is not a number of people; write 1 or more"),
        ({"people": True}, "people: True is not a number of people"),
        ({"free_of_charge": "yes"}, "free_of_charge: 'yes' is neither true nor false; write one of them"),
    ],
)
def test_errors(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        provider_file(given, **LIMITS)
