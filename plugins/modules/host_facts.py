#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import tls
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.basic_facts import basic_facts
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.certificates import (
    QUESTION,
    CertificateError,
    certificates,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.dnssec import DnssecError, all_keys, served, zones
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host_state import HostStateError, host_state

DOCUMENTATION = r"""
module: host_facts
short_description: Ask a host once what it already has
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns the installed packages, the state of all systemd units, the users and the size of the disk of a Debian host.
  - Run once at the start of a play, it lets package and service tasks be skipped where nothing is to do, by the
    tests P(magicbroccoli.xmpp.missing_on#test) and P(magicbroccoli.xmpp.stopped_on#test).
  - Other questions can be asked in the same call, so that a host is asked once a play.
  - It changes nothing.
  - It fails when C(dpkg-query) or C(systemctl) is missing or fails, and says what that command printed.
attributes:
  check_mode:
    support: full
    description: Runs the same in check mode, and notes it in RV(ansible_facts.host_state.check_mode).
  diff_mode:
    support: none
    description: It changes nothing, so there is no difference to show.
options:
  gather_subset:
    description:
      - V(state) is RV(ansible_facts.host_state). V(ansible) are the few of M(ansible.builtin.setup)'s facts that the roles
        read, by the same names. An inventory that needs others has to gather them itself.
    type: list
    elements: str
    choices: [ansible, state]
    default: [ansible, state]
  tls_policy:
    description:
      - The policy for which RV(ansible_facts.tls_ciphers) is returned; see M(magicbroccoli.xmpp.tls_ciphers).
      - Where the host has no C(openssl) yet, the fact is missing.
    type: str
    choices: [strict, modern]
  certificates:
    description: Certificates that RV(ansible_facts.certificates) describes; see M(magicbroccoli.xmpp.certificate_facts).
    type: list
    elements: dict
    default: []
    suboptions:
      paths:
        description: Their files.
        type: list
        elements: path
        required: true
      keys:
        description: The file of each one's private key, by its path. It is compared, and never read out.
        type: dict
        default: {}
      roll:
        description: The state of a key roll, whose keys are pins of its certificate, too.
        type: path
      accounts:
        description: What C(xmpp-certificate) noted of ACME accounts.
        type: path
  dnssec_key_directory:
    description:
      - Where BIND keeps the keys of its zones. RV(ansible_facts.dnssec) says of each zone that has some what
        M(magicbroccoli.xmpp.dnssec_info) says, without waiting for keys.
      - Where the host has no C(dig) yet, the fact is missing.
    type: path
  dnssec_configuration:
    description:
      - BIND's configuration, which names the zones that are of interest. BIND keeps the keys of a zone that it does not serve any
        more, whose parent would be asked in vain.
      - Without it, all zones are of interest that have keys.
    type: path
    version_added: 0.2.0
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

- name: Ask again what a certificate says, and nothing else
  magicbroccoli.xmpp.host_facts:
    gather_subset: []
    certificates: [{paths: [/etc/ssl/xmpp/fullchain.pem]}]
"""

RETURN = r"""
ansible_facts:
  description: The facts, also found in C(ansible_facts) by the tasks that follow.
  returned: success
  type: dict
  contains:
    certificates:
      description: What each certificate says, by its path; see RV(magicbroccoli.xmpp.certificate_facts#module:certificates).
      returned: when O(certificates) is not empty
      type: dict
    dnssec:
      description: What is known of each zone with keys; see RV(magicbroccoli.xmpp.dnssec_info#module:zones).
      returned: when O(dnssec_key_directory) is set and the host has dig
      type: dict
    tls_ciphers:
      description: See RV(magicbroccoli.xmpp.tls_ciphers#module:ansible_facts.tls_ciphers).
      returned: when O(tls_policy) is set and the host has OpenSSL
      type: dict
    default_ipv4:
      description:
        - The address from which public addresses are reached, with C(interface) and C(gateway). Empty without a route.
        - The same by IPv6 is C(default_ipv6).
        - With it come C(all_ipv4_addresses), C(all_ipv6_addresses), C(architecture), C(distribution),
          C(distribution_major_version), C(distribution_release), C(distribution_version), C(hostname), C(interfaces),
          C(kernel), C(ssh_host_key_ed25519_public) and its like, C(virtualization_tech_guest), and C(env) with
          C(LOGNAME), C(SSH_CONNECTION) and C(SUDO_USER).
      returned: when O(gather_subset) has V(ansible)
      type: dict
      sample: {"address": "192.0.2.10", "interface": "eth0", "gateway": "192.0.2.1"}
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
        upgrade_left:
          description:
            - The steps that are left of an upgrade of Debian that has stopped in its middle.
            - They are those of M(magicbroccoli.xmpp.debian_upgrade). None where none has begun.
          returned: success
          type: list
          elements: str
          sample: ["postgresql"]
        apt:
          description:
            - Whether the host's own Python can C(import apt), which M(ansible.builtin.apt) needs.
            - In check mode that module does not install it and fails.
          returned: success
          type: bool
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "gather_subset": {
                "type": "list",
                "elements": "str",
                "choices": ["ansible", "state"],
                "default": ["ansible", "state"],
            },
            "tls_policy": {"type": "str", "choices": list(tls.POLICIES)},
            "certificates": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": QUESTION,
            },
            # A folder, not a key: nothing to hide.
            "dnssec_key_directory": {"type": "path", "no_log": False},
            "dnssec_configuration": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    facts: dict = {}
    try:
        if "ansible" in params["gather_subset"]:
            facts |= basic_facts()
        if "state" in params["gather_subset"]:
            facts["host_state"] = host_state(module.check_mode)
        # On a host that was not set up yet, there may be no OpenSSL: who needs the answer asks again.
        if params["tls_policy"] and module.get_bin_path("openssl"):
            facts["tls_ciphers"] = tls.select(params["tls_policy"], *tls.ask())
        if params["certificates"]:
            facts["certificates"] = certificates(params["certificates"])
        if params["dnssec_key_directory"] and module.get_bin_path("dig"):
            names = served(params["dnssec_configuration"]) if params["dnssec_configuration"] else None
            facts["dnssec"] = zones(all_keys(params["dnssec_key_directory"], names))
    except (HostStateError, tls.TlsError, CertificateError, DnssecError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, ansible_facts=facts)


if __name__ == "__main__":
    main()
