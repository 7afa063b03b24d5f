# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does all the work, on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: open_items
short_description: List what a host that is set up still needs of others
version_added: 0.2.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Lists the delegation, the glue and the DS records that the registrar has to enter, a certificate that no stranger accepts yet,
    with the authority's error, and ports that do not answer the controller, each with what to do.
  - An open item is no error. The module fails only if its options are wrong.
  - Runs on the controller only. It connects to each port once and sends nothing.
options:
  zones:
    description: The zones, as the filter P(magicbroccoli.xmpp.dns_zones#filter) returns them.
    type: list
    elements: dict
    default: []
  dnssec:
    description: The state of these zones, as RV(magicbroccoli.xmpp.dnssec_info#module:zones).
    type: dict
    default: {}
  certificate_path:
    description: The path of the certificate on the host.
    type: path
    required: true
  certificate:
    description: What it says, from RV(magicbroccoli.xmpp.certificate_facts#module:certificates).
    type: dict
    required: true
  certificate_error:
    description: Why the last order failed; empty if it did not.
    type: str
    default: ""
  addresses:
    description: The public addresses of the host.
    type: list
    elements: str
    default: []
  ports:
    description: The TCP ports that are to answer.
    type: list
    elements: int
    default: []
  seconds:
    description: Seconds for each connection.
    type: int
    default: 3
attributes:
  check_mode:
    support: full
    description: Asks the same in check mode.
  diff_mode:
    support: none
    description: It changes nothing, so there is no difference to show.
"""

EXAMPLES = r"""
- name: List what is open
  magicbroccoli.xmpp.open_items:
    certificate_path: /etc/ssl/xmpp/example.org/fullchain.pem
    certificate: "{{ read.certificates['/etc/ssl/xmpp/example.org/fullchain.pem'] }}"
    addresses: [198.51.100.10]
    ports: [443, 5222, 5269]
"""

RETURN = r"""
items:
  description: A line for each open item, in the order in which they are to be done.
  returned: success
  type: list
  elements: str
  sample: ["certificate: /etc/ssl/xmpp/example.org/fullchain.pem is self-signed, which no stranger accepts; ..."]
msg:
  description: The same, below a line that names the host.
  returned: success
  type: list
  elements: str
"""
