#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host_state import HostStateError, host_state

DOCUMENTATION = r"""
module: host_facts
short_description: Ask a host once what it already has
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns the installed packages, the state of all systemd units, the users, the groups and the size of the disk of a
    Debian host.
  - Run once at the start of a play, it lets package and service tasks be skipped where nothing is to do, by the
    tests P(magicbroccoli.xmpp.missing_on#test) and P(magicbroccoli.xmpp.stopped_on#test).
  - It has no options, changes nothing and takes about a tenth of a second on the host.
  - It fails when C(dpkg-query) or C(systemctl) is missing or fails, and says what that command printed.
attributes:
  check_mode:
    support: full
    description: Runs the same in check mode, and notes it in RV(ansible_facts.host_state.check_mode).
  diff_mode:
    support: none
    description: It changes nothing, so there is no difference to show.
options: {}
requirements:
  - Debian's dpkg
  - systemd (a host that was not booted with it has no units)
seealso:
  - plugin: magicbroccoli.xmpp.missing_on
    plugin_type: test
  - plugin: magicbroccoli.xmpp.stopped_on
    plugin_type: test
  - name: systemctl(1)
    description: The table of C(is-enabled) says which states count as enabled.
    link: https://www.freedesktop.org/software/systemd/man/latest/systemctl.html
"""

EXAMPLES = r"""
- name: Ask what the host already has
  magicbroccoli.xmpp.host_facts:

- name: Install nginx
  ansible.builtin.apt:
    name: nginx
  when: "['nginx'] is magicbroccoli.xmpp.missing_on(ansible_facts['host_state'])"
"""

RETURN = r"""
ansible_facts:
  description: The facts, also found in C(ansible_facts) by the tasks that follow.
  returned: success
  type: dict
  contains:
    host_state:
      description: What the host has.
      returned: success
      type: dict
      contains:
        packages:
          description:
            - Name to version of every package that is installed and whole, held ones included.
            - Names are without an architecture, except those of a foreign one, for example V(libc6:i386).
          returned: success
          type: dict
          sample: {"nginx": "1.26.3-3+deb13u1"}
        units:
          description:
            - Name to state of every unit of the types service, timer, socket and path, aliases included.
            - V(active) says that it runs (for a oneshot service that remains after exit - that it ran).
            - V(enabled) is true where C(systemctl is-enabled) exits with 0.
            - V(failed) says that its last run failed.
            - Empty on a host that was not booted with systemd.
          returned: success
          type: dict
          sample: {"nginx.service": {"active": true, "enabled": true, "failed": false}}
        users:
          description: The names in C(/etc/passwd), sorted.
          returned: success
          type: list
          elements: str
          sample: ["root", "www-data"]
        groups:
          description: The names in C(/etc/group), sorted.
          returned: success
          type: list
          elements: str
          sample: ["root", "ssl-cert"]
        disk_size:
          description: The bytes of the file system that has C(/var/lib), used or not.
          returned: success
          type: int
          sample: 21474836480
        ipv6:
          description:
            - Whether the kernel has sockets of IPv6, which one that was booted with C(ipv6.disable=1) does not.
            - Where it has, a host may still be without an address.
          returned: success
          type: bool
        check_mode:
          description: Whether the module ran in check mode.
          returned: success
          type: bool
        apt:
          description:
            - Whether the host's own Python can C(import apt), which M(ansible.builtin.apt) needs.
            - In check mode that module does not install it and fails.
          returned: success
          type: bool
"""


def main():
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        state = host_state(module.check_mode)
    except (HostStateError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, ansible_facts={"host_state": state})


if __name__ == "__main__":
    main()
