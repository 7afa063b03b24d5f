# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ejabberd, of which a host with Prosody cannot have the ports."""

from __future__ import annotations

import re

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding

CONFIG = "/etc/ejabberd/ejabberd.yml"
DATA = "/var/lib/ejabberd"


def parse_hosts(text):
    """The domains of a configuration, of its list C(hosts)."""
    block = re.search(r"^hosts:[ \t]*(\[[^\]]*\]|(?:[ \t]*(?:#[^\n]*)?\n[ \t]*-[^\n]*)+)", text, re.M)
    names = re.findall(r'(?:^\s*-|[\[,])\s*["\']?([^"\',\s\]#]+)', block.group(1), re.M) if block else []
    return list(dict.fromkeys(names))


def find(host):
    """Yields one finding where ejabberd is installed: Debian's package starts it."""
    if "ejabberd" not in host.packages:
        return
    domains = ", ".join(parse_hosts(host.read(CONFIG))) or "no domain that its configuration shows"
    yield Finding(
        id="ejabberd",
        found=f"ejabberd {host.packages['ejabberd']} with {domains}; its data is in {DATA}",
        effect="It has the ports of Prosody, which could not start.",
        choice="take over: ejabberd is stopped and disabled, and its configuration and its data are copied. "
        "Before that, let `ejabberdctl export_piefxis FOLDER` write its accounts; playbook `import` brings them into Prosody.",
        keep=["/etc/ejabberd", DATA],
        pause=["ejabberd.service"],
        stop=["ejabberd.service"],
    )
