# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of ansible.builtin.setup that the roles read, from what programs on a host print."""

from __future__ import annotations

import json

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.basic_facts import basic_facts, distribution, run

ADDRESSES = [
    {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1"}, {"family": "inet6", "local": "::1"}]},
    {
        "ifname": "enp1s0",
        "addr_info": [
            {"family": "inet", "local": "192.0.2.10"},
            {"family": "inet6", "local": "2001:db8::10"},
            {"family": "inet6", "local": "fe80::1"},
        ],
    },
    {"ifname": "br0", "addr_info": []},
    {},
]
ROUTE = {"dst": "1.1.1.1", "gateway": "192.0.2.1", "dev": "enp1s0", "prefsrc": "192.0.2.10", "uid": 0}


def answers(**said):
    """A runner that knows some commands by their words, and says nothing to all others."""

    def runner(command):
        return said.get("_".join(word.strip("-").replace(".", "_") for word in command), "")

    return runner


def test_a_host_with_both_kinds_of_addresses(tmp_path):
    runner = answers(
        ip_json_address=json.dumps(ADDRESSES),
        ip_json_4_route_get_1_1_1_1=json.dumps([ROUTE]),
        **{"systemd-detect-virt_container": "none\n", "systemd-detect-virt_vm": "kvm\n"},
    )
    found = basic_facts(str(tmp_path), runner, {"LOGNAME": "root", "SSH_CONNECTION": "x", "TOKEN": "secret"})
    assert found["default_ipv4"] == {"address": "192.0.2.10", "interface": "enp1s0", "gateway": "192.0.2.1"}
    # No route: an address, and no way out.
    assert found["default_ipv6"] == {}
    assert found["all_ipv4_addresses"] == ["192.0.2.10"]
    assert found["all_ipv6_addresses"] == ["2001:db8::10", "fe80::1"]
    assert found["interfaces"] == ["lo", "enp1s0", "br0"]
    assert found["virtualization_tech_guest"] == ["kvm"]
    # Nothing of the environment but what is asked for.
    assert found["env"] == {"LOGNAME": "root", "SSH_CONNECTION": "x"}


@pytest.mark.parametrize(("container", "kinds"), [("lxc\n", ["container", "lxc"]), ("none\n", []), ("", [])])
def test_containers(tmp_path, container, kinds):
    runner = answers(**{"systemd-detect-virt_container": container})
    assert basic_facts(str(tmp_path), runner, {})["virtualization_tech_guest"] == kinds


def test_host_keys_of_sshd(tmp_path):
    (tmp_path / "etc/ssh").mkdir(parents=True)
    (tmp_path / "etc/ssh/ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAAC3Nz root@host\n")
    (tmp_path / "etc/ssh/ssh_host_rsa_key.pub").write_text("")
    found = basic_facts(str(tmp_path), answers(), {})
    assert {name: value for name, value in found.items() if name.startswith("ssh_")} == {
        "ssh_host_key_ed25519_public": "AAAAC3Nz",
        "ssh_host_key_ed25519_public_keytype": "ssh-ed25519",
    }


def test_a_host_without_any_of_the_programs(tmp_path):
    found = basic_facts(str(tmp_path), answers(), {})
    assert (found["interfaces"], found["all_ipv4_addresses"], found["default_ipv4"]) == ([], [], {})
    assert run(["/nowhere/ip"]) == ""


@pytest.mark.parametrize(
    ("release", "point", "expected"),
    [
        ('NAME="Debian GNU/Linux"\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n', "13.1\n", ("Debian", "13", "13.1")),
        ('NAME="Debian GNU/Linux"\nVERSION_CODENAME=forky\n', "forky/sid\n", ("Debian", "", "forky/sid")),
        ('NAME="Ubuntu"\nVERSION_ID="24.04"\n', "trixie/sid\n", ("Ubuntu", "24", "24.04")),
        ("NAME=Alpine\n", None, ("Alpine", "", "")),
        (None, None, ("an unknown system", "", "")),
    ],
)
def test_releases(tmp_path, release, point, expected):
    (tmp_path / "etc").mkdir()
    for name, text in (("os-release", release), ("debian_version", point)):
        if text is not None:
            (tmp_path / "etc" / name).write_text(text)
    found = distribution(str(tmp_path))
    assert tuple(found[f"distribution{end}"] for end in ("", "_major_version", "_version")) == expected
