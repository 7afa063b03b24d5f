# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody else has set up on a Debian host, before anything on it changes.

Each subject is one file with a function that takes a Host and yields findings. Nothing on the host is changed or started.
"""

from __future__ import annotations

import difflib

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey import (
    bind,
    certbot,
    configuration,
    containers,
    ejabberd,
    firewalls,
    listeners,
    machine,
    mail,
    nginx,
    prosody,
    ssh,
    updates,
)

# Subject, the part of an identifier before a colon → what finds it. The report has them in this order.
SUBJECTS = {
    "prosody": prosody.find,
    "ejabberd": ejabberd.find,
    "nginx": nginx.find,
    "bind": bind.find,
    "port": listeners.find,
    "ufw": firewalls.find_ufw,
    "firewalld": firewalls.find_firewalld,
    "fail2ban": firewalls.find_fail2ban,
    "packet-filter": firewalls.find_filters,
    "ssh": ssh.find,
    "updates": updates.find,
    "certbot": certbot.find,
    "mail": mail.find,
    "containers": containers.find,
    "configuration": configuration.find,
    "memory": machine.find_memory,
    "disk": machine.find_disk,
    "clock": machine.find_clock,
    "virtualisation": machine.find_virtualisation,
    "hostname": machine.find_hostname,
}


def survey(host):
    """All findings of a host, in the order of the subjects."""
    return [finding for find in SUBJECTS.values() for finding in find(host)]


def unknown(wanted):
    """A message for each name that is no subject's, with the nearest one."""
    messages = []
    for name in wanted:
        subject = name.partition(":")[0]
        if subject not in SUBJECTS:
            close = difflib.get_close_matches(subject, SUBJECTS, 1, 0.6)
            hint = f"did you mean {close[0]!r}?" if close else f"write one of {', '.join(SUBJECTS)}"
            messages.append(f"{name!r} is nothing that can be taken over; {hint}")
    return messages


def refused(findings, wanted):
    """The findings that the operator has not named, by themselves or by their subject."""
    return [one for one in findings if one.id not in wanted and one.id.partition(":")[0] not in wanted]


def report(findings):
    """The findings as text, one paragraph each."""
    return "\n".join(
        f"  {one.id}\n    found:   {one.found}\n    effect:  {one.effect}\n    choice:  {one.choice}"
        for one in findings
    )
