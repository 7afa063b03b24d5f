# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites and settings of nginx that somebody has added to Debian's."""

from __future__ import annotations

import os
import re

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding

CONFIG = "/etc/nginx/nginx.conf"
NAMES = re.compile(r"(?<![\w$])server_name\s+([^;{}]+);")
DEFAULT = re.compile(r"(?<![\w$])listen\s+[^;{}]*\bdefault(_server)?\b[^;{}]*;")


def parse_site(text):
    """The names of a file's servers, and whether one of them is the default."""
    text = re.sub(r"(^|\s)#[^\n]*", r"\1", text)
    names = [name for group in NAMES.findall(text) for name in group.split() if name != "_"]
    return list(dict.fromkeys(names)), DEFAULT.search(text) is not None


def find(host):
    """Yields a finding for each site, and one where Debian's own configuration was changed."""
    for path in host.glob("/etc/nginx/sites-enabled/*") + host.glob("/etc/nginx/conf.d/*.conf"):
        if host.shipped(path):
            continue
        names, default = parse_site(host.read(host.resolve(path)))
        yield Finding(
            id=f"nginx:{os.path.basename(path)}",
            found=f"{path} serves {', '.join(names) or 'no name of its own'}{', and is default_server' if default else ''}",
            effect="nginx could not start: it has another default_server."
            if default
            else "It would be served beside ours by another nginx.conf, with other modules and in a sandbox; nobody has tried that.",
            choice=f"take over: {path} is moved away. To keep the site, give it another host and see playbook `website`.",
            keep=[path, host.resolve(path)],
            move=[path],
        )
    if host.changed(CONFIG):
        yield Finding(
            id="nginx",
            found=f"{CONFIG} is not as Debian's package has it",
            effect="It would be replaced.",
            choice="take over: the folder /etc/nginx is copied first.",
            keep=["/etc/nginx"],
        )
