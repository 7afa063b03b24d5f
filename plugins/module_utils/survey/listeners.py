# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that listen at ports of our daemons, or at ports that our firewall closes."""

from __future__ import annotations

import re

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding

SS = ("ss", "-Hltnup")
PROCESS = re.compile(r'\("([^"]+)",pid=(\d+)')
UNIT = re.compile(r"/([^/\n]+\.service)(?:/|$)", re.M)
# Whose configuration is another subject's.
DAEMONS = {"sshd", "nginx", "named", "prosody", "turnserver", "munin-node", "postgres"}
DAEMONS |= {"lua5.1", "lua5.2", "lua5.3", "lua5.4", "beam.smp", "epmd"}
# What comes with the network of a bare host. systemd-resolved's addresses are its own.
BASE = {"systemd", "systemd-network", "systemd-networ", "systemd-networkd", "systemd-resolve", "systemd-timesyn"}
BASE |= {"chronyd", "ntpd", "dhclient", "dhcpcd", "NetworkManager", "avahi-daemon"}
# Above it are the ports from which clients ask (RFC 6335, and Linux).
EPHEMERAL = 32768


def parse(text):
    """Turns the output of SS into (protocol, address, port, process, pid), each once."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 5 or words[0] not in ("tcp", "udp"):
            continue
        address, _colon, port = words[4].rpartition(":")
        if not port.isdigit():
            continue
        match = PROCESS.search(line)
        entry = (words[0], address.partition("%")[0].strip("[]"), int(port), *(match.groups() if match else ("", "")))
        if entry not in found:
            found.append(entry)
    return found


def is_local(address):
    """Whether nobody but the machine itself reaches an address."""
    return address.startswith("127.") or address in ("::1", "::ffff:127.0.0.1")


def find(host):
    """Yields a finding for each port with a program that is not ours, those that our daemons need first."""
    seen = set()

    def place(entry):
        protocol, address, port, *_program = entry
        return f"{port}/{protocol}" not in host.ports, port, protocol, address

    # The kernel lists them in no order.
    for protocol, address, port, process, pid in sorted(parse(host.run(SS) or ""), key=place):
        wanted = f"{port}/{protocol}" in host.ports
        if process in BASE or (protocol, port) in seen or (protocol == "udp" and port >= EPHEMERAL and not wanted):
            continue
        if process in DAEMONS or (not wanted and (is_local(address) or f"{port}/{protocol}" in host.opened)):
            continue
        seen.add((protocol, port))
        unit = UNIT.search(host.read(f"/proc/{pid}/cgroup"))
        program = f"{process or 'a program'}{f' ({unit.group(1)})' if unit else ''}"
        if not wanted:
            choice = (
                "open it by firewall_rules_extra, with firewall_egress_extra if it sends by itself; or accept that."
            )
        elif unit:
            choice = f"take over: {unit.group(1)} is stopped and disabled."
        else:
            choice = "stop it, and run again."
        yield Finding(
            id=f"port:{port}/{protocol}",
            found=f"{program} listens at {address}, port {port}/{protocol}",
            effect="A daemon of ours needs this port and could not start."
            if wanted
            else "The firewall would drop what comes to it, and refuse what it sends by itself.",
            choice=choice,
            stop=[unit.group(1)] if wanted and unit else [],
        )
