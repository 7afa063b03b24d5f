#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import tls

DOCUMENTATION = r"""
module: tls_ciphers
short_description: Choose TLS ciphers from what the host's OpenSSL offers
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Asks the host's own C(openssl) which ciphers and groups it can use, and keeps those that a policy allows.
  - Only forward secrecy (ECDHE) with authenticated encryption (AES-GCM, ChaCha20-Poly1305) is ever allowed - no DHE, no
    CBC, no SHA-1 MAC, no static RSA, no PSK, no SRP, no ARIA, no Camellia, no CCM.
  - Groups are V(X25519MLKEM768) where OpenSSL knows it, V(X25519), V(secp384r1) and V(prime256v1), in this order.
  - A policy that leaves nothing is an error which names the policy, the version of OpenSSL and what it offers. A host
    without the program C(openssl) is an error, too.
  - See RFC 9325 (recommendations for TLS), RFC 7590 (TLS in XMPP) and RFC 8446 (TLS 1.3).
options:
  policy:
    description:
      - V(strict) allows TLS 1.2 and 1.3, V(modern) TLS 1.3 only.
      - Many XMPP servers still federate by TLS 1.2 only.
    type: str
    choices: [strict, modern]
    default: strict
attributes:
  check_mode:
    support: full
    description: Asks the same in check mode.
  diff_mode:
    support: none
    description: It changes nothing, so there is no difference to show.
requirements:
  - openssl 3.0 or later (the program)
"""

EXAMPLES = r"""
- name: Choose the ciphers
  magicbroccoli.xmpp.tls_ciphers:
    policy: strict

- name: Show them in the words of nginx
  ansible.builtin.debug:
    var: ansible_facts['tls_ciphers']['nginx']
"""

RETURN = r"""
ansible_facts:
  description: The facts, also found in C(ansible_facts) by the tasks that follow.
  returned: success
  type: dict
  contains:
    tls_ciphers:
      description: What the policy leaves, best first.
      returned: success
      type: dict
      contains:
        policy:
          description: The policy asked for.
          returned: success
          type: str
        openssl:
          description: The version of the host's OpenSSL.
          returned: success
          type: str
          sample: 3.5.1
        protocols:
          description: The protocol versions, in OpenSSL's names.
          returned: success
          type: list
          elements: str
          sample: [TLSv1.2, TLSv1.3]
        ciphers:
          description: The ciphers of TLS 1.2, in OpenSSL's names. Empty under V(modern), which has no TLS 1.2.
          returned: success
          type: list
          elements: str
          sample: [ECDHE-ECDSA-CHACHA20-POLY1305, ECDHE-RSA-CHACHA20-POLY1305]
        ciphersuites:
          description: The cipher suites of TLS 1.3.
          returned: success
          type: list
          elements: str
          sample: [TLS_CHACHA20_POLY1305_SHA256, TLS_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]
        groups:
          description: The groups for the key exchange, in OpenSSL's names.
          returned: success
          type: list
          elements: str
          sample: [X25519MLKEM768, X25519, secp384r1, prime256v1]
        prosody:
          description:
            - The same for Prosody's option C(ssl) - C(protocol), C(ciphers), C(ciphersuites), C(curveslist) and
              C(options).
            - C(ciphers) holds the list for TLS 1.2 under every policy, so that none wider can come back.
          returned: success
          type: dict
          sample: {"protocol": "tlsv1_2+", "ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
            "ciphersuites": "TLS_CHACHA20_POLY1305_SHA256", "curveslist": ["X25519"],
            "options": {"cipher_server_preference": true}}
        nginx:
          description:
            - The same for nginx - C(ssl_protocols), C(ssl_ciphers), C(ssl_prefer_server_ciphers), C(ssl_ecdh_curve),
              and C(ssl_conf_command), which is a list of its arguments.
          returned: success
          type: dict
          sample: {"ssl_protocols": "TLSv1.2 TLSv1.3", "ssl_ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305",
            "ssl_prefer_server_ciphers": "on", "ssl_ecdh_curve": "X25519:secp384r1",
            "ssl_conf_command": ["Ciphersuites TLS_CHACHA20_POLY1305_SHA256"]}
        coturn:
          description:
            - The same for coturn 4.6 - C(cipher-list), and the switches C(no-tlsv1), C(no-tlsv1_1) and C(no-tls).
            - It speaks no TLS 1.3, so that V(modern) leaves it without TLS. Its C(ec-curve-name) takes one group only;
              give it the groups by RV(ansible_facts.tls_ciphers.openssl_cnf).
          returned: success
          type: dict
          sample: {"cipher-list": "ECDHE-ECDSA-CHACHA20-POLY1305", "no-tlsv1": true, "no-tlsv1_1": true, "no-tls": false}
        openssl_cnf:
          description:
            - The same for the section C(system_default) of an openssl.cnf(5), for programs that have no options for it -
              C(MinProtocol), C(CipherString), C(Ciphersuites) and C(Groups).
          returned: success
          type: dict
          sample: {"MinProtocol": "TLSv1.2", "CipherString": "ECDHE-ECDSA-CHACHA20-POLY1305",
            "Ciphersuites": "TLS_CHACHA20_POLY1305_SHA256", "Groups": "X25519:secp384r1"}
"""


def main():
    module = AnsibleModule(
        argument_spec={"policy": {"type": "str", "choices": list(tls.POLICIES), "default": "strict"}},
        supports_check_mode=True,
    )
    try:
        chosen = tls.select(module.params["policy"], *tls.ask())
    except tls.TlsError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, ansible_facts={"tls_ciphers": chosen})


if __name__ == "__main__":
    main()
