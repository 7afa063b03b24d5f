# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones and options of BIND that somebody has added to Debian's."""

from __future__ import annotations

import os
import re
from typing import Any

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.words import count
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding

CONFIG = "/etc/bind/named.conf"
OPTIONS = "/etc/bind/named.conf.options"
DIRECTORY = "/var/cache/bind"
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|#[^\n]*|("(?:\\.|[^"\\\n])*")', re.S)
ZONE = re.compile(r'(?<![\w-])zone\s+"([^"]+)"(?:\s+\w+)?\s*\{(.*?)\}\s*;', re.S)
FILE = re.compile(r'(?<![\w-])file\s+"([^"]+)"')
INCLUDE = re.compile(r'(?<![\w-])include\s+"([^"]+)"')


def without_comments(text):
    """A configuration of BIND without its comments."""
    return COMMENT.sub(lambda match: match.group(1) or " ", text)


def parse_zones(text):
    """Zone → its file, or an empty path, of one configuration file."""
    found = {}
    for name, body in ZONE.findall(without_comments(text)):
        path = FILE.search(body)
        found[name] = path.group(1) if path else ""
    return found


def files(host, path=CONFIG, depth=8):
    """The configuration's files with all that they include."""
    found = [path]
    for pattern in INCLUDE.findall(without_comments(host.read(path))) if depth else ():
        for included in host.glob(os.path.join("/etc/bind", pattern)):
            found += files(host, included, depth - 1)
    return list(dict.fromkeys(found))


def find(host):
    """Yields a finding for the zones that are not Debian's, and one for other options."""
    paths = [path for path in files(host) if not host.shipped(path)]
    zones: dict[str, Any] = {}
    for path in paths:
        zones |= parse_zones(host.read(path))
    if zones:
        names = ", ".join(zones)
        yield Finding(
            id="bind:zones",
            found=f"{count(len(zones), 'zone')} in {', '.join(path for path in paths if parse_zones(host.read(path)))}: {names}",
            effect=f"{CONFIG} would be replaced, and would serve the zones of the inventory only.",
            choice="take over: the configuration and the files of the zones are copied first. What still has to be served is "
            "for bind_zones of the inventory, or for another name server.",
            keep=["/etc/bind", *(os.path.join(DIRECTORY, path) for path in zones.values() if path)],
        )
    if changed := [
        path
        for path in dict.fromkeys([*files(host), OPTIONS])
        if host.changed(path) and not parse_zones(host.read(path))
    ]:
        yield Finding(
            id="bind:options",
            found=f"changed files of Debian's package: {', '.join(changed)}",
            effect="It would not be read any more. BIND would be authoritative only, and resolve names for nobody.",
            choice="take over: the folder /etc/bind is copied first.",
            keep=["/etc/bind"],
        )
