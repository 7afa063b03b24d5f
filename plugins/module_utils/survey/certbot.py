# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that certbot renews for somebody else."""

from __future__ import annotations

import os

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding


def find(host):
    """Yields one finding where certbot has certificates."""
    names = [os.path.basename(path).removesuffix(".conf") for path in host.glob("/etc/letsencrypt/renewal/*.conf")]
    if names:
        yield Finding(
            id="certbot",
            found=f"certbot renews {', '.join(names)} (/etc/letsencrypt)",
            effect="Nobody would renew them: certbot.timer is masked, and xmpp-certificate has one certificate for the names "
            "of the inventory.",
            choice="take over: the folder /etc/letsencrypt is copied, and stays.",
            keep=["/etc/letsencrypt"],
        )
