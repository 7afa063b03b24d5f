# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the public pages of a host: what it promises and what the last check found of that, and how to use it.

Run by systemd after each check of xmpp-status, as a user of its own who can write nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence

from .. import files, words

CONFIG = "/etc/xmpp/page.json"
SOURCES = "/usr/local/share/xmpp-page"
FOLDER = "/var/lib/xmpp-page"


def write(pages: Mapping[str, str], folder: str) -> int:
    """Bring a folder to having these files and no others; returns how many have changed."""
    changed = 0
    for path, text in pages.items():
        there = os.path.join(folder, path)
        if files.read_text(there) != text:
            os.makedirs(os.path.dirname(there), exist_ok=True)
            # The next check writes what a loss of power has taken.
            files.replace(there, text, durable=False)
            changed += 1
    for top, folders, names in os.walk(folder, topdown=False):
        for name in names:
            if os.path.relpath(os.path.join(top, name), folder) not in pages:
                files.remove(os.path.join(top, name))
                changed += 1
        for name in folders:
            if not os.listdir(os.path.join(top, name)):
                os.rmdir(os.path.join(top, name))
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run xmpp-page, and return its exit status."""
    parser = argparse.ArgumentParser(prog="xmpp-page", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", default=CONFIG, help="another configuration than %(default)s")
    parser.add_argument("--sources", default=SOURCES, help="another folder of templates and languages than %(default)s")
    parser.add_argument("--folder", default=FOLDER, help="another folder for the pages than %(default)s")
    parser.add_argument("--state", help="another file of what the last check has found than that of the configuration")
    given = parser.parse_args(arguments)
    # Debian's packages, which --help does not need.
    from . import languages, site

    try:
        with open(given.config, encoding="utf-8") as stream:
            config = json.load(stream)
        config["state"] = given.state or config["state"]
        texts = languages.load(os.path.join(given.sources, "languages"))
        with open(os.path.join(given.sources, "clients.json"), encoding="utf-8") as stream:
            config["clients"] = json.load(stream)
        pages = dict(site.Site(config, texts, given.sources).pages())
        changed = write(pages, given.folder)
    except (OSError, ValueError) as error:
        print(f"xmpp-page: {error}; run the playbook, which installs what it needs", file=sys.stderr)
        return 1
    print(f"{words.count(len(pages), 'file')} in {words.count(len(texts), 'language')}, of which {changed} changed")
    return 0
