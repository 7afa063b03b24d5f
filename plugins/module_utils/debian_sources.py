# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""apt's sources of packages, and how they name the next release of Debian."""

from __future__ import annotations

import re
from collections.abc import Collection

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import run

OLD, NEW = "bookworm", "trixie"
NUMBERS = {OLD: "12", NEW: "13"}
# What is asked of `apt-get indextargets`.
TARGETS = "$(ORIGIN)\t$(CODENAME)\t$(RELEASE)\t$(REPO_URI)"


def parse_targets(text: str) -> list[dict[str, str]]:
    """Turn the output of `apt-get indextargets` in the form TARGETS into what is known of each source."""
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == 3]
    keys = ("origin", "codename", "suite", "uri")
    return [dict(zip(keys, [*row[:3], with_slash(row[3])], strict=True)) for row in rows]


def targets(*options: str) -> list[dict[str, str]]:
    """Return what apt knows of each source; of those whose lists were not fetched, the place alone."""
    ask = ["apt-get", "indextargets", "--format", TARGETS, *options]
    found = {}
    for one in parse_targets(run([*ask, "--no-release-info", "Created-By: Packages"])):
        found[one["uri"], one["suite"]] = {**one, "origin": "", "codename": ""}
    for one in parse_targets(run([*ask, "Created-By: Packages"])):
        found[one["uri"], one["suite"]] = one
    return [found[key] for key in sorted(found)]


def is_debian(target: dict[str, str]) -> bool:
    """Tell whether a source is the release, its updates or its security updates; backports are not."""
    return target["origin"] == "Debian" and target["codename"].partition("-")[0] in NUMBERS


SUITE = re.compile(rf"(?:{OLD}|oldstable)(-updates|-security|-proposed-updates)?")
ONE_LINE = re.compile(r"^(\s*deb(?:-src)?\s+(?:\[[^\]]*\]\s+)?)(\S+)(\s+)(\S+)(.*)$")


def upgraded_suite(suite: str) -> str:
    """Return the suite of the new release in place of that of the old one; others stay."""
    known = SUITE.fullmatch(suite)
    return f"{NEW}{known[1] or ''}" if known else suite


def upgraded_list(text: str, uris: Collection[str]) -> str:
    """Return a file in the one-line format (sources.list(5)) with the new release, for sources at these addresses."""

    def line_of(line: str) -> str:
        found = ONE_LINE.match(line)
        if not found or with_slash(found[2]) not in uris:
            return line
        return f"{found[1]}{found[2]}{found[3]}{upgraded_suite(found[4])}{found[5]}"

    return "\n".join(map(line_of, text.split("\n")))


def upgraded_stanzas(text: str, uris: Collection[str]) -> str:
    """The same for a file in the deb822 format. A field's value may go on in lines that begin with a blank."""

    def stanza_of(stanza: str) -> str:
        places = re.search(r"^URIs:((?:.*\n?)(?:[ \t].*\n?)*)", stanza, re.I | re.M)
        if not places or not {with_slash(uri) for uri in places[1].split()} & set(uris):
            return stanza
        return re.sub(
            r"^(Suites:)((?:.*\n?)(?:[ \t].*\n?)*)",
            lambda field: field[1] + re.sub(r"\S+", lambda word: upgraded_suite(word[0]), field[2]),
            stanza,
            flags=re.I | re.M,
        )

    return "".join(map(stanza_of, re.split(r"(\n[ \t]*\n)", text)))


def with_slash(uri: str) -> str:
    return uri if uri.endswith("/") else f"{uri}/"
