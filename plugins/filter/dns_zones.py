# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import dns

DOCUMENTATION = r"""
name: dns_zones
short_description: Tell which DNS zones an XMPP host must publish
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Returns the zones of the XMPP domains. They depend on the arguments only, so that no change of theirs is no change of
    a zone. A domain below another one is in that one's zone.
  - NS for the name servers. A and AAAA for each domain, the host (if it is inside a zone) and each component.
  - SRV for each domain and component - C(_xmpp-client) 5222, C(_xmpps-client) 5223, C(_xmpp-server) 5269 and
    C(_xmpps-server) 5270 (RFC 6120, XEP-0368), with the host as the target.
  - SRV for STUN and TURN at each domain (RFC 8489, RFC 5928), where O(services) has V(turn), by TLS V(turns).
  - HTTPS (RFC 9460) at each domain and component C(upload), so that browsers never ask without TLS.
  - TLSA 3 1 1 at the host for the XMPP ports, 443 and TURN's 5349, and for 443 where there is HTTPS (RFC 6698, RFC 7671, RFC 7673),
    where a certificate is named and the name is inside a zone.
  - SSHFP (RFC 4255) at the host, with SHA-256, for O(host_keys).
  - MX V(0 .) (RFC 7505) and TXT V(v=spf1 -all) (RFC 7208) at each name with addresses of these, so that nobody sends mail
    there or in its name. Not where O(records) have an MX or an SPF record at that name.
  - CAA (RFC 8659) where certificate authorities are given. Wildcards are never allowed. Those of authorities without
    parameters belong to O(certificates), so that P(magicbroccoli.xmpp.dns_zone_file#filter) can have them name the ACME
    accounts that order it (RFC 8657).
  - There is no C(_xmppconnect), which XEP-0156 has withdrawn as unsafe. CDS is left to the name server that signs.
  - A component outside the zones, a name that is there twice, a CNAME beside other records (RFC 1034), an NS, MX or SRV whose target inside the zone
    has no address, different TTLs of one name and type (RFC 2181), a wrong name, address or number, and an unknown type
    are errors. The message names the argument or the record.
positional: >-
  hostname, addresses, certificate_authorities, certificates, nameservers, hostmaster, ttl, records, services, host_keys,
  private_addresses
options:
  _input:
    description: The XMPP domains, as P(magicbroccoli.xmpp.domains#filter) returns them.
    type: list
    elements: dict
    required: true
  hostname:
    description: The full name of the machine, the target of the SRV records.
    type: str
    required: true
  addresses:
    description: The machine's public IPv4 and IPv6 addresses. Private ones are errors without O(private_addresses).
    type: list
    elements: str
    required: true
  certificate_authorities:
    description:
      - Domains of the authorities that may issue certificates, with parameters after semicolons if any (RFC 8657).
      - An empty list forbids all. Without the option there is no CAA record.
    type: list
    elements: str
  certificates:
    description:
      - Paths of the certificates on the host whose keys the TLSA records pin. Without one there are none.
      - ACME accounts of the first one are in CAA records.
    type: list
    elements: str
    default: []
  nameservers:
    description: Full names of the zone's name servers, the primary one first. By default O(hostname) alone.
    type: list
    elements: str
  hostmaster:
    description: Mail address for the SOA record. By default C(hostmaster@) and the domain.
    type: str
  ttl:
    description: TTL of all records without their own, in seconds.
    type: int
    default: 3600
  records:
    description:
      - The operator's own records, with C(name), C(type), C(data) and perhaps C(ttl).
      - Types are A, AAAA, CAA, CNAME, DNAME, DS, HTTPS, LOC, MX, NAPTR, NS, OPENPGPKEY, PTR, SMIMEA, SRV, SSHFP, SVCB, TLSA, TXT,
        URI, and TYPE with the number of another (RFC 3597).
      - Names in the data end in a dot, or are one label inside the zone.
      - The data of TXT is the text itself, of any length, without quotes.
      - A name with a dot at its end may be in any of the zones; others are in that of the first domain.
    type: list
    elements: dict
    default: []
  services:
    description:
      - What the outside may reach. V(client) and V(server) have the SRV records of theirs, V(web) has HTTPS and the TLSA
        records for 443, V(turn) has those of STUN and TURN, V(turns) those of both by TLS. V(dns) and V(proxy) have none.
    type: list
    elements: str
    choices: [client, server, web, dns, proxy, turn, turns]
    default: [client, server, web]
  host_keys:
    description:
      - The SSH host keys of the machine, each as in C(/etc/ssh/ssh_host_*_key.pub), or the Base64 text in it alone.
      - Kinds are Ed25519, ECDSA and RSA.
    type: list
    elements: str
    default: []
  private_addresses:
    description: Whether O(addresses) may be such that only some network reaches them (RFC 1918, RFC 4193, RFC 6598).
    type: bool
    default: false
seealso:
  - plugin: magicbroccoli.xmpp.domains
    plugin_type: filter
  - plugin: magicbroccoli.xmpp.dns_zone_file
    plugin_type: filter
  - plugin: magicbroccoli.xmpp.dns_extra_zones
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the zone
  ansible.builtin.debug:
    msg: "{{ [{'domain': 'example.org', 'components': {'muc': 'conference.example.org'}}] | magicbroccoli.xmpp.dns_zones(
      hostname='rosewood.example.org',
      addresses=['198.51.100.10', '2001:db8::10'],
      certificate_authorities=['letsencrypt.org'],
      certificates=['/etc/ssl/xmpp/fullchain.pem'],
      records=[{'name': '@', 'type': 'MX', 'data': '10 mail.example.net.'}]) }}"
"""

RETURN = r"""
_value:
  description: The zones, for P(magicbroccoli.xmpp.dns_zone_file#filter).
  type: list
  elements: dict
  contains:
    name:
      description: The zone's name, without a dot at its end.
      type: str
    ttl:
      description: The TTL of records without their own, in seconds.
      type: int
    soa:
      description:
        - C(mname) and C(rname), absolute, and C(refresh), C(retry), C(expire) and C(minimum) in seconds.
        - There is no serial; the host counts it.
      type: dict
    records:
      description:
        - Records with C(name) (relative to the zone, or V(@)), C(type), C(data), and C(ttl) where it is not the zone's.
        - The data of a TLSA record holds V({pin}) in place of the digest of the file in C(certificate).
      type: list
      elements: dict
"""


def dns_zones(domains, *arguments, **options):
    try:
        return dns.dns_zones(domains, *arguments, **options)
    except ValueError as error:
        raise AnsibleFilterError(f"dns_zones: {error}") from error


class FilterModule:
    def filters(self):
        return {"dns_zones": dns_zones}
