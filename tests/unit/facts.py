# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a host on Debian 13, for tests that evaluate variables without one."""

ADDRESS = "198.51.100.10"
STATE = {
    "apt": True,
    "check_mode": False,
    "disk_size": 10**11,
    "upgrade_left": [],
    "groups": ["root"],
    "ipv6": True,
    "packages": {},
    "units": {},
    "users": ["root"],
}
FACTS = {
    "all_ipv4_addresses": [ADDRESS],
    "all_ipv6_addresses": [],
    "certificates": {},
    "default_ipv4": {"address": ADDRESS, "interface": "eth0"},
    "default_ipv6": {},
    "distribution": "Debian",
    "distribution_major_version": "13",
    "env": {"LOGNAME": "root"},
    "host_state": STATE,
    "interfaces": ["lo", "eth0"],
    "virtualization_tech_guest": [],
}
# What Ansible itself says of it.
MAGIC = {"inventory_hostname": "host.example.org", "inventory_dir": "/nowhere", "groups": {"all": ["host.example.org"]}}
