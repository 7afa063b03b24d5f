# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine lacks."""

from __future__ import annotations

import os
import re
import time

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.words import count
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding

# All daemons, and what apt takes while it installs them. Machines that are sold with 1 GB show somewhat less.
MEMORY_MB = 700
# The packages, and some room for archives and uploads.
DISK_MB = 2500
CLOCK_SECONDS = 300
# Machines that share a kernel of another's, which loads no nftables and gives services no namespaces of their own.
UNSUPPORTED = {"openvz", "wsl", "uml", "proot", "chroot"}


def find_memory(host):
    """Yields a finding where memory and swap are too small."""
    fields = dict(re.findall(r"^(MemTotal|SwapTotal):\s+(\d+) kB", host.read("/proc/meminfo"), re.M))
    megabytes = sum(map(int, fields.values())) // 1024
    if fields and megabytes < MEMORY_MB:
        yield Finding(
            id="memory",
            found=f"{megabytes} MB of memory and swap",
            effect=f"The kernel would end daemons: all of them, and updates, need {MEMORY_MB} MB.",
            choice="give the machine more memory, or add swap; or accept that.",
        )


def find_disk(host):
    """Yields a finding where the disk has too little room."""
    room = os.statvfs(host.path("/var/lib"))
    megabytes = room.f_bavail * room.f_frsize // 1000000
    if megabytes < DISK_MB:
        yield Finding(
            id="disk",
            found=f"{megabytes} MB are free in /var/lib",
            effect=f"Packages, archives and uploads need {DISK_MB} MB, and the run may stop in the middle.",
            choice="make room; or accept that.",
        )


def find_clock(host, now=time.time):
    """Yields a finding where the clock is not that of the machine that asks."""
    if host.seconds is None or abs(off := now() - host.seconds) <= CLOCK_SECONDS:
        return
    minutes = count(round(abs(off) / 60), "minute")
    yield Finding(
        id="clock",
        found=f"the clock is {minutes} {'ahead of' if off > 0 else 'behind'} that of the machine that runs Ansible",
        effect="Certificates, signatures of packages and DNSSEC look as if they were not valid.",
        choice="set the clock of the wrong machine (date --set); or accept that.",
    )


def find_virtualisation(host):
    """Yields a finding for a machine whose kernel lacks what the firewall and the sandboxes need."""
    kind = (host.run(("systemd-detect-virt",)) or "").strip()
    if kind in UNSUPPORTED or not host.exists("/run/systemd/system"):
        what = (
            f"this machine is of the kind {kind}" if kind in UNSUPPORTED else "this machine was not booted with systemd"
        )
        yield Finding(
            id="virtualisation",
            found=what,
            effect="The firewall cannot be loaded, or services start without their sandboxes.",
            choice="take a machine with a kernel of its own (KVM, Xen, VMware, Hyper-V); or accept that.",
        )


def find_hostname(host):
    """Yields a finding where the machine has no name of its own."""
    name = host.read("/proc/sys/kernel/hostname").strip() or host.read("/etc/hostname").strip()
    if name.partition(".")[0] in ("", "localhost"):
        yield Finding(
            id="hostname",
            found=f"the machine's name is {name!r}",
            effect="Mails, logs and graphs name it so, and one machine cannot be told from another.",
            choice="give it a name (hostnamectl hostname NAME); or accept that.",
        )
