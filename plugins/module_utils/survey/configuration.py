# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of Debian's packages that somebody has changed and ours replace."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding

# Other subjects have these.
ELSEWHERE = ("/etc/prosody/", "/etc/nginx/", "/etc/bind/", "/etc/nftables.conf", "/etc/apt/")


def find(host):
    """Yields one finding for all of them."""
    changed = [path for path in host.replaced if not path.startswith(ELSEWHERE) and host.changed(path)]
    if changed:
        yield Finding(
            id="configuration",
            found=f"changed files of Debian's packages: {', '.join(changed)}",
            effect="They would be replaced.",
            choice="take over: they are copied first.",
            keep=changed,
        )
