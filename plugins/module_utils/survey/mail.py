# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail servers, which nullmailer takes the place of."""

from __future__ import annotations

import re

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding

EXIM = "/etc/exim4/update-exim4.conf.conf"
# Whoever installs one of these wants to use it. Debian's exim4 may have come by itself, for mail on the machine only.
SERVERS = ("postfix", "opensmtpd", "sendmail-bin", "courier-mta", "msmtp-mta", "dma", "ssmtp", "esmtp-run")


def find(host):
    """Yields one finding where a mail server was set up."""
    found = [name for name in SERVERS if name in host.packages]
    if "exim4-base" in host.packages:
        kind = re.search(r"^dc_eximconfig_configtype='([^']*)'", host.read(EXIM), re.M)
        if kind and kind.group(1) not in ("local", "none"):
            found.append("exim4")
    if found:
        yield Finding(
            id="mail",
            found=f"{', '.join(found)} sends or receives mail",
            effect="The firewall would drop what comes to it and refuse what it sends. With alarms_mail_relay, nullmailer is "
            "installed in its place.",
            choice="take over: its configuration is copied. Open its ports by firewall_rules_extra and firewall_egress_extra "
            "if it shall go on.",
            keep=[path for path in ("/etc/postfix", "/etc/exim4", "/etc/mail", "/etc/smtpd.conf") if host.exists(path)],
        )
