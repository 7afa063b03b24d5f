# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to come in by ssh that the hardened sshd closes."""

from __future__ import annotations

import os
import re

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding

SSHD = ("sshd", "-T")
NO_SHELL = re.compile(r"(^|/)(nologin|false|sync)$")


def parse_settings(text):
    """Turns the output of `sshd -T` into key → values."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _space, value = line.strip().partition(" ")
        found.setdefault(key.lower(), []).append(value)
    return found


def password_users(passwd, shadow):
    """Name → home of the accounts with a shell and a password, root left out: it has never come in by one."""
    hashes = {fields[0]: fields[1] for fields in (line.split(":") for line in shadow.splitlines()) if len(fields) > 1}
    found = {}
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) != 7 or fields[2] == "0" or NO_SHELL.search(fields[6]):
            continue
        if hashes.get(fields[0], "")[:1] in ("$", "_") or re.fullmatch(r"[./0-9A-Za-z]{13}", hashes.get(fields[0], "")):
            found[fields[0]] = fields[5]
    return found


def find(host):
    """Yields a finding for ports that the firewall closes, and one for users who have nothing but a password."""
    settings = parse_settings(host.run(SSHD) or "")
    extra = [
        port for port in settings.get("port", []) if port != str(host.ssh_port) and f"{port}/tcp" not in host.opened
    ]
    if extra:
        yield Finding(
            id="ssh:ports",
            found=f"sshd listens at port {', '.join(extra)}",
            effect=f"The firewall lets port {host.ssh_port} in, and no other: nobody comes in there any more.",
            choice="set firewall_ssh_port of the inventory, or open the port by firewall_rules_extra; name it here if it may close.",
        )
    if settings.get("passwordauthentication", ["yes"]) == ["no"]:
        return
    users = password_users(host.read("/etc/passwd"), host.read("/etc/shadow"))
    keys = (".ssh/authorized_keys", ".ssh/authorized_keys2")
    users = [
        name for name, home in users.items() if not any(host.read(os.path.join(home, key)).strip() for key in keys)
    ]
    if users:
        yield Finding(
            id="ssh:passwords",
            found=f"users with a password and no key, who may log in by ssh: {', '.join(users)}",
            effect="sshd would accept keys only: they do not come in any more.",
            choice="add their keys to ~/.ssh/authorized_keys first, or accept that.",
        )
