# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules that hold between variables, each of which has its format. A rule gets the variable's value and those of others."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import (
    checks,
    dns,
    dns_transfers,
    dns_zone,
    firewall,
    names,
    provider,
)
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.formats import mod_firewall


def _limits_of_rules(limits):
    """Limits are those of rules that some service has."""
    try:
        firewall.firewall_rules(list(firewall.SERVICES), limits=limits)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("limits: ")) from error


def _names_of_rules(rules, others=(), taken=("root", "refused")):
    """Counters of nftables are called as rules are."""
    seen = {rule["name"]: "another variable" for rule in others} | dict.fromkeys(taken, "the role itself")
    for number, rule in enumerate(rules, 1):
        name = str(rule["name"])
        if name in seen:
            raise ValueError(
                f"number {number}: {name!r} is the name of another rule, of {seen[name]}; write another name"
            )
        seen[name] = f"number {number}"


def _not_below(value, other):
    """A number that is no less than another one."""
    if value < other:
        raise ValueError(f"{value} is less than the {other} that belongs to it; write at least {other}")


def _challenge_can_be_met(challenge, provider, dns_by):
    """An authority's challenge that this host can answer."""
    if (challenge, provider, dns_by) == ("dns-01", "acme", "external"):
        raise ValueError(
            "'dns-01' needs a zone that this host writes to, and with xmpp_dns 'external' there is none; write 'http-01', or "
            "leave it out"
        )


def _warning_before_failure(levels):
    _not_below(levels["warning"], levels["critical"])


def _uploads_fit(quota, largest):
    """A quota has room for the largest upload."""
    if quota < largest:
        raise ValueError(f"{quota} is less than the largest upload, {largest}; write at least as much")


def _hosts(settings, domains):
    """Settings are for domains and components that are there."""
    known = names.names_of(checks.domains(domains))
    for name in settings:
        if checks.xmpp_domain(name) not in known:
            raise ValueError(
                f"this secret has settings of {str(name)!r}, which is not a domain or component of this host; "
                f"{checks.nearest(name, known)}"
            )


def _records(records):
    """Records that are right by themselves; whether they fit into their zone is told where it is made."""
    for number, record in enumerate(records, 1):
        name = str(record["name"])
        try:
            dns_zone.check_record(record, name[:-1] if name.endswith(".") else "example.org")
        except ValueError as error:
            raise ValueError(f"number {number}: {error}") from error


def _extra_zones(zones, nameservers):
    """Zones that are right by themselves."""
    try:
        dns.dns_extra_zones([], zones, nameservers)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("extra: ")) from error


def _firewall_script(script, settings):
    """Rules of Prosody's mod_firewall, whose chains may be the operator's own."""
    chains = settings.get("firewall_extra_chains")
    mod_firewall.script(script, chains or ())


def _names_can_be_reached(domains, zones, certificate_names, services, challenges):
    """What is served is in the DNS and in the certificate, where roles' variables were set apart from the model."""
    if wrong := dns.unreachable_names(domains, zones, certificate_names, services, challenges):
        raise ValueError("\n".join(wrong))


RULES = {
    "challenge_can_be_met": _challenge_can_be_met,
    "extra_zones": _extra_zones,
    "firewall_script": _firewall_script,
    "hosts_are_there": _hosts,
    "limits_of_rules": _limits_of_rules,
    "names_can_be_reached": _names_can_be_reached,
    "names_of_egress_rules": _names_of_rules,
    "names_of_rules": lambda rules, others=(): _names_of_rules(rules, others, ()),
    "not_below": _not_below,
    "primaries_have_keys": lambda value, *keys: dns_transfers.dns_transfers([], value, *keys),
    "provider": lambda value: provider.provider_file(value, 1, 1, 1),
    "public_addresses": checks.public_addresses,
    "records": _records,
    "secondaries_have_keys": lambda value, *keys: dns_transfers.dns_transfers(value, [], *keys),
    "ssh_host_keys": lambda value: [dns.ssh_fingerprint(key) for key in value],
    "uploads_fit": _uploads_fit,
    "warning_before_failure": _warning_before_failure,
    # A list of zones of the operator's own has passed no filter yet.
    "zones": lambda value: [dns_zone.dns_zone_file(zone) for zone in value],
}
