# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The few facts of ansible.builtin.setup that the roles read, by the same names.

Ansible's own collectors come as sixty modules, which are packed and compiled anew for each run: more work than all that is
asked here. The readers take a root directory and a runner, so that they can be tested on recorded data.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Any

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, attempt

# Looked up in the table of routes, and not asked: what is public goes by the default route.
PUBLIC = {4: "1.1.1.1", 6: "2000::"}
ENVIRONMENT = ("LOGNAME", "SSH_CONNECTION", "SUDO_USER")


def run(command):
    """The output of a command. A failure is an answer, too, and what is not installed knows nothing."""
    try:
        return attempt(command, seconds=None).stdout
    except CommandError:
        return ""


def distribution(root):
    """The release, from os-release(5) and Debian's own file, which has the number of the point release."""

    def text(path):
        try:
            with open(os.path.join(root, path), encoding="utf-8") as stream:
                return stream.read()
        except FileNotFoundError:
            return ""

    fields = dict(re.findall(r"^([A-Z_]+)=[\"']?([^\"'\n]*)[\"']?$", text("etc/os-release"), re.MULTILINE))
    name, major = fields.get("NAME", "an unknown system").partition(" GNU/")[0], fields.get("VERSION_ID", "")
    return {
        "distribution": name,
        "distribution_major_version": major.partition(".")[0],
        "distribution_release": fields.get("VERSION_CODENAME", ""),
        "distribution_version": (text("etc/debian_version").strip() if name == "Debian" else "") or major,
    }


def network(runner):
    """The interfaces, their addresses, and those from which public addresses are reached."""
    links = json.loads(runner(["ip", "-json", "address"]) or "[]")
    found: dict[str, Any] = {"interfaces": [link["ifname"] for link in links if link]}
    for version, family, own in ((4, "inet", "127."), (6, "inet6", "::1")):
        addresses = [one["local"] for link in links for one in link.get("addr_info", []) if one["family"] == family]
        found[f"all_ipv{version}_addresses"] = [one for one in addresses if not one.startswith(own)]
        (route, *_more) = json.loads(
            runner(["ip", "-json", f"-{version}", "route", "get", PUBLIC[version]]) or "[]"
        ) or [{}]
        address = route.get("prefsrc")
        found[f"default_ipv{version}"] = (
            {"address": address, "interface": route["dev"], "gateway": route.get("gateway", "")}
            if address in addresses
            else {}
        )
    return found


def ssh_keys(root):
    """The public host keys of sshd, each without its type and its comment."""
    found = {}
    for algorithm in ("rsa", "ecdsa", "ed25519"):
        with contextlib.suppress(OSError, ValueError):
            with open(os.path.join(root, f"etc/ssh/ssh_host_{algorithm}_key.pub"), encoding="utf-8") as stream:
                kind, key = stream.read().split()[:2]
            found[f"ssh_host_key_{algorithm}_public"] = key
            found[f"ssh_host_key_{algorithm}_public_keytype"] = kind
    return found


def virtualization(runner):
    """What the host runs in: `container` and its kind, and the kind of virtual machine."""
    container = runner(["systemd-detect-virt", "--container"]).strip()
    machine = runner(["systemd-detect-virt", "--vm"]).strip()
    kinds = ["container", container] if container not in ("", "none") else []
    return {"virtualization_tech_guest": kinds + ([machine] if machine not in ("", "none") else [])}


def basic_facts(root="/", runner=run, environment=os.environ):
    """All of them."""
    system = os.uname()
    return {
        **distribution(root),
        **network(runner),
        **virtualization(runner),
        **ssh_keys(root),
        "architecture": system.machine,
        "env": {name: environment[name] for name in ENVIRONMENT if name in environment},
        "hostname": system.nodename.partition(".")[0],
        "kernel": system.release,
    }
