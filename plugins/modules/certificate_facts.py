#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.certificates import (
    QUESTION,
    CertificateError,
    certificates,
)

DOCUMENTATION = r"""
module: certificate_facts
short_description: Return the contents of certificate files on the host
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns the public key's digest, the names and the validity of certificates in PEM files, read by the host's
    C(openssl).
  - Private keys are compared on the host. They appear neither in the result nor on a command line.
  - A file that does not exist is no error. A file that exists and cannot be read or parsed is one, and the message
    names the file and which certificate in it is broken.
options:
  paths:
    description:
      - PEM files on the host, each with one certificate, and after it the chain.
    type: list
    elements: path
    required: true
  keys:
    description:
      - Certificate file to the file of its private key (unencrypted PEM), to find out whether they belong together.
      - Each certificate file must also be in O(paths).
    type: dict
    default: {}
  roll:
    description:
      - File on the host with the state of a key roll, as the playbook C(roll_keys) keeps it. While there is one, the
        digests of both keys are in RV(certificates.pins).
    type: path
  accounts:
    description:
      - File on the host in which C(xmpp-certificate) notes the ACME accounts that order a certificate, for
        RV(certificates.accounts).
    type: path
attributes:
  check_mode:
    support: full
    description: Reads the same in check mode.
  diff_mode:
    support: none
    description: It changes nothing, so there is no difference to show.
requirements:
  - openssl 3.0 or later (the program)
"""

EXAMPLES = r"""
- name: Read the certificate
  magicbroccoli.xmpp.certificate_facts:
    paths:
      - /etc/ssl/xmpp/fullchain.pem
    keys:
      /etc/ssl/xmpp/fullchain.pem: /etc/ssl/xmpp/privkey.pem
  register: read

- name: Show the TLSA record
  ansible.builtin.debug:
    msg: "3 1 1 {{ read.certificates['/etc/ssl/xmpp/fullchain.pem'].pin }}"
"""

RETURN = r"""
certificates:
  description: Path to what its first certificate says. Of a file that does not exist there is RV(ignore:present) only.
  returned: success
  type: dict
  contains:
    present:
      description: Whether the file exists.
      returned: always
      type: bool
    pin:
      description:
        - SHA-256 of the SubjectPublicKeyInfo, in lower-case hexadecimal, as in a TLSA record V(3 1 1) (RFC 7671).
      returned: when the file exists
      type: str
      sample: 0c72ac70b745ac19998811b131d662c9ac69dbdbe7cb23e5b514b56664c5d3d6
    pins:
      description:
        - The digests that TLSA records have to name. That of its key, and of the next or the former one while O(roll) says
          that the key is being rolled (RFC 7671, section 8.4).
      returned: when the file exists
      type: list
      elements: str
      sample: [0c72ac70b745ac19998811b131d662c9ac69dbdbe7cb23e5b514b56664c5d3d6]
    key_family:
      description: The family of its key, V(ECDSA), V(RSA) or V(other).
      returned: when the file exists
      type: str
      sample: ECDSA
    key_bits:
      description: The length of its key.
      returned: when the file exists
      type: int
      sample: 256
    accounts:
      description:
        - The ACME accounts that order it, for CAA records (RFC 8657), by what O(accounts) says. That of a staging directory
          comes first. Empty when there is none.
      returned: when the file exists
      type: list
      elements: dict
      contains:
        directory:
          description: The URL of the authority's directory (RFC 8555).
          type: str
        identities:
          description: The names by which the authority knows itself in CAA records.
          type: list
          elements: str
        uri:
          description: The account's URI.
          type: str
        method:
          description: How the names are validated, V(dns-01) or V(http-01).
          type: str
      sample:
        - directory: https://acme-v02.api.letsencrypt.org/directory
          identities: [letsencrypt.org]
          uri: https://acme-v02.api.letsencrypt.org/acme/acct/1234567890
          method: dns-01
    not_before:
      description: From when it is valid, in UTC (ISO 8601).
      returned: when the file exists
      type: str
      sample: "2025-01-01T00:00:00Z"
    not_after:
      description: Until when it is valid, in UTC (ISO 8601).
      returned: when the file exists
      type: str
      sample: "2025-04-01T00:00:00Z"
    days_left:
      description: Whole days until it expires, by the host's clock; negative when it has expired.
      returned: when the file exists
      type: int
      sample: 60
    percent_left:
      description: The percentage of its life that it has left, rounded down; negative when it has expired.
      returned: when the file exists
      type: int
      sample: 66
    life_days:
      description: For how many whole days it is valid in all.
      returned: when the file exists
      type: int
      sample: 90
    names:
      description: The DNS names it is for (subjectAltName), in its order.
      returned: when the file exists
      type: list
      elements: str
      sample: [example.org, conference.example.org]
    subject:
      description: Its subject (RFC 2253 form).
      returned: when the file exists
      type: str
      sample: CN=example.org
    issuer:
      description: Its issuer (RFC 2253 form).
      returned: when the file exists
      type: str
      sample: CN=Example CA
    self_signed:
      description: Whether its issuer is its subject.
      returned: when the file exists
      type: bool
    chain_length:
      description: How many certificates the file holds.
      returned: when the file exists
      type: int
      sample: 2
    chain_digest:
      description: SHA-256 over all its certificates in DER, one after the other, in lower-case hexadecimal.
      returned: when the file exists
      type: str
      sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    root:
      description: Its last certificate, in DER and Base64. Of a private authority, that is the authority's.
      returned: when the file exists
      type: str
    chain_linked:
      description: Whether each certificate after the first one is, by its name, the issuer of the one before.
      returned: when the file exists
      type: bool
    key_matches:
      description:
        - Whether the private key in O(keys) belongs to it. V(false) when the key's file does not exist.
        - V(null) when O(keys) names none.
      returned: when the file exists
      type: bool
"""


def main():
    module = AnsibleModule(
        argument_spec=QUESTION,
        supports_check_mode=True,
    )
    paths, keys = module.params["paths"], module.params["keys"]
    for path, key in keys.items():
        if path not in paths:
            module.fail_json(msg=f"keys: {path!r} is not in paths; write it there, too, or leave it out")
        if not isinstance(key, str) or not key:
            module.fail_json(msg=f"keys: {key!r} for {path!r} is not a path; write that of the private key's file")
    try:
        found = certificates([module.params])
    except CertificateError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, certificates=found)


if __name__ == "__main__":
    main()
