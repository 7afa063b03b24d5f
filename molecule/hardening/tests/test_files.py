# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of changed files when a kernel is installed: what an intruder has changed, and nothing of what dpkg's triggers make."""

from __future__ import annotations

import re

import pytest
from hosts import Journal

KERNEL = "linux-image-cloud-amd64"
APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y"


def look(host) -> list[str]:
    """Have AIDE look as its timer does, and return what is told."""
    journal = Journal(host)
    host.out("systemctl start hardening-check@files.service")
    said = journal.text(unit="hardening-check@files.service")
    return re.findall(r"^(?:added|changed|removed): (\S+)", said, re.M)


@pytest.fixture
def kernel(hosts):
    """A kernel with its initrd, of which AIDE has not heard."""
    host = hosts["trixie"]
    host.out(f"sh -c '{APT} install --no-install-recommends initramfs-tools >/dev/null 2>&1'")
    before = look(host)
    host.out(f"sh -c '{APT} install --no-install-recommends {KERNEL} >/dev/null 2>&1'")
    version = host.out("ls /usr/lib/modules")
    assert host.run(f"test -s /boot/initrd.img-{version} -a -s /usr/lib/modules/{version}/modules.dep").rc == 0
    print(f"{version}; before it {len(before)} changes were told")
    yield host, version
    host.out(f"sh -c '{APT} purge {KERNEL} linux-image-{version} initramfs-tools >/dev/null 2>&1; rm -f /boot/*.evil'")
    # A host that is measured later needs no reboot.
    host.out("rm -f /run/reboot-required /run/reboot-required.pkgs")
    host.out(f"sh -c '{APT} autoremove --purge >/dev/null 2>&1; systemctl start hardening-check@files.service'")


def test_a_kernel_is_installed_and_an_intruder_is_there(kernel):
    host, version = kernel
    modules, boot = f"/usr/lib/modules/{version}", "/boot"
    host.out(f"sh -c 'echo >{modules}/evil.txt; echo >>{boot}/config-{version}'")
    host.out(f"cp {boot}/initrd.img-{version} {boot}/initrd.img-{version}.evil")
    told = look(host)
    print(told)
    assert sorted(path for path in told if path.startswith((modules, boot))) == [
        f"{boot}/config-{version}",
        f"{boot}/initrd.img-{version}.evil",
        f"{modules}/evil.txt",
    ]
