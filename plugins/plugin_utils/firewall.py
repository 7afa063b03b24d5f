# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Firewall rules from the site model, and nftables statements from the rules (nft(8))."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import named
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.services import numbers, span
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.services import port as number_of

# Service → name, protocol, ports, new connections per second and source, burst, connections of a source at the same time; 0 is
# any number. Behind one address there may be a whole university. Packets of UDP are not
# counted by their source, which anybody can forge, and no resolver is kept from the DNS: BIND limits its answers itself.
SERVICES: dict[str, list[tuple]] = {
    "client": [("client", "tcp", numbers("client", "tcp"), 20, 100, 500)],
    "server": [("server", "tcp", numbers("server", "tcp"), 20, 100, 100)],
    "web": [("web", "tcp", numbers("web", "tcp"), 50, 200, 500)],
    "dns": [("dns_tcp", "tcp", numbers("dns", "tcp"), 0, 0, 50), ("dns_udp", "udp", numbers("dns", "udp"), 0, 0, 0)],
    "proxy": [("proxy", "tcp", numbers("proxy", "tcp"), 10, 50, 100)],
    "turn": [
        ("turn_tcp", "tcp", numbers("turn", "tcp"), 20, 100, 200),
        ("turn_udp", "udp", numbers("turn", "udp"), 0, 0, 0),
        ("turn_relay", "udp", [span("turn-relay")], 0, 0, 0),
    ],
    "turns": [("turns", "tcp", numbers("turns", "tcp"), 20, 100, 200)],
}
KEYS = ("name", "protocol", "ports", "rate", "burst", "connections", "sources")
# The users of programs that resolve names for others.
RESOLVERS = ["bind", "unbound", "dnsmasq", "systemd-resolve"]
# Who opens which connections: name, users, protocol, ports, and the ports that they come from. An empty list is any.
EGRESS: dict[str, list[tuple]] = {
    "always": [
        ("apt", ["_apt"], "tcp", [80, 443], []),
        ("time", ["_chrony", "systemd-timesync"], "udp", [123], []),
        ("time_nts", ["_chrony"], "tcp", [4460], []),
        ("dhcp", ["systemd-network"], "udp", [67, 547], []),
        ("mail", ["mail"], "tcp", [25, 465, 587], []),
    ],
    "server": [("prosody", ["prosody"], "tcp", [number_of("https"), *numbers("server", "tcp")], [])],
    # A relay sends to whoever is called, from the ports that it has given away, and to its client, however long that was silent.
    "turn": [("turn", ["turnserver"], "udp", ["1-65535"], [*numbers("turn", "udp"), span("turn-relay")])],
}
EGRESS_KEYS = ("name", "users", "protocol", "ports", "source_ports", "destinations")
USER = re.compile(checks.SYSTEM_NAME)
NAME = re.compile(r"[a-z][a-z0-9_]{0,23}")
# A host has a whole /64 of IPv6 addresses to choose from: that is its source.
SETS = (("v4", "ipv4_addr", "ip", ""), ("v6", "ipv6_addr", "ip6", " & ffff:ffff:ffff:ffff::"))
# The bit of the conntrack mark that says that a connection has been counted.
COUNTED = "0x10000000"
RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


def _count(value):
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000000:
        raise ValueError(f"{value!r} is not a count; write a number from 1 to 1000000, for example 20")
    return int(value)


def _limit(value):
    return 0 if value == 0 and not isinstance(value, bool) else _count(value)


def _users(value):
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{value!r} is not a list of users; write for example ['prosody'], or [] for any")
    for name in value:
        if not isinstance(name, str) or not USER.fullmatch(name):
            raise ValueError(f"{name!r} is not a system user; write its name, for example 'prosody'")
    return [str(name) for name in value]


def _sources(value):
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{value!r} is not a list of networks; write for example ['198.51.100.0/24'], or [] for any")
    return [checks.canonical(checks.network(item)) for item in value]


def _ports(value):
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError(f"{value!r} is not a list of ports; write for example [5222, 5223]")
    ports = []
    for item in value:
        found = RANGE.fullmatch(item) if isinstance(item, str) else None
        if found:
            low, high = checks.port(int(found[1])), checks.port(int(found[2]))
            if low >= high:
                raise ValueError(f"{str(item)!r} is not a range of ports; write the lower one first, as '49152-65535'")
            ports.append(f"{low}-{high}")
        else:
            ports.append(checks.port(item))
    return ports


def check_rule(rule):
    """Returns one rule with nothing in it that is not checked."""
    if not isinstance(rule, Mapping):
        raise ValueError(f"{rule!r} is not a rule; write a dictionary with {', '.join(KEYS)}")
    for key in rule:
        if key not in KEYS:
            raise ValueError(f"{key!r} is not a key of a rule; {checks.nearest(key, KEYS)}")
    name = rule.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"name: {name!r} is not a rule's name; write a letter, then letters, digits and underscores, 24 at most, "
            "all lower-case"
        )
    protocol = rule.get("protocol")
    if protocol not in ("tcp", "udp"):
        raise ValueError(f"{name}: protocol: {protocol!r} is not a protocol; write tcp or udp")
    limits = {key: named(f"{name}: {key}", _limit, rule.get(key, 0)) for key in ("rate", "burst", "connections")}
    if protocol == "udp" and any(limits.values()):
        key = next(key for key, value in limits.items() if value)
        raise ValueError(
            f"{name}: {key}: {limits[key]} is a limit by source, and the source of a UDP packet can be forged, so that anybody "
            "could shut out anybody else; leave rate, burst and connections out of rules for udp"
        )
    if bool(limits["rate"]) != bool(limits["burst"]):
        key = "burst" if limits["rate"] else "rate"
        raise ValueError(
            f"{name}: {key}: 0 is not a count; write a number from 1 to 1000000, for example 20, or leave both out"
        )
    return {
        "name": str(name),
        "protocol": str(protocol),
        "ports": named(f"{name}: ports", _ports, rule.get("ports")),
        **limits,
        "sources": named(f"{name}: sources", _sources, rule.get("sources", [])),
    }


def firewall_rules(services, ssh_port=22, ssh_sources=(), limits=None):
    """Returns the rules for a host that offers these services."""
    if isinstance(services, str) or not isinstance(services, Sequence):
        raise ValueError(f"services: {services!r} is not a list; write for example ['client', 'server']")
    limits = {} if limits is None else limits
    if not isinstance(limits, Mapping):
        raise ValueError(f"limits: {limits!r} is not a dictionary; write for example {{'client': {{'rate': 50}}}}")
    rows = [("ssh", "tcp", [named("ssh_port", checks.port, ssh_port)], 1, 20, 50)]
    for service in dict.fromkeys(services):
        if service not in SERVICES:
            raise ValueError(f"services: {service!r} is not a service; {checks.nearest(service, SERVICES)}")
        rows += SERVICES[service]
    names = [row[0] for row in rows]
    for name, limit in limits.items():
        if name not in names:
            raise ValueError(f"limits: {name!r} is not one of the rules; {checks.nearest(name, names)}")
        if not isinstance(limit, Mapping) or not set(limit) <= {"rate", "burst", "connections"}:
            raise ValueError(
                f"limits.{name}: {limit!r} is not a limit; write rate, burst or connections, as {{'rate': 50}}"
            )
    rules = []
    for name, protocol, ports, rate, burst, connections in rows:
        sources = named("ssh_sources", _sources, ssh_sources) if name == "ssh" else []
        limit = {"rate": rate, "burst": burst, "connections": connections, **limits.get(name, {})}
        rules.append(
            named(
                "limits", check_rule, {"name": name, "protocol": protocol, "ports": ports, "sources": sources, **limit}
            )
        )
    return rules


def _set(items):
    return "{ " + ", ".join(str(item) for item in items) + " }"


def _networks(networks, version):
    """Networks of one version, joined where they can be; nft refuses a set whose members overlap."""
    found: list[Any] = [ipaddress.ip_network(network) for network in networks]
    joined = ipaddress.collapse_addresses(item for item in found if item.version == version)
    return [checks.canonical(item) for item in joined]


def _places(key, networks):
    """What a rule for these networks begins with, for each family; without networks, nothing."""
    if not networks:
        return [""]
    return [
        f"{family} {key} {_set(own)} "
        for version, family in ((4, "ip"), (6, "ip6"))
        if (own := _networks(networks, version))
    ]


def _merge_ports(ports):
    """nft refuses a set whose members overlap."""
    spans = sorted((port, port) if isinstance(port, int) else tuple(map(int, port.split("-"))) for port in ports)
    merged = [list(spans[0])]
    for low, high in spans[1:]:
        if low <= merged[-1][1]:
            merged[-1][1] = max(high, merged[-1][1])
        else:
            merged.append([low, high])
    return [str(low) if low == high else f"{low}-{high}" for low, high in merged]


def _incoming(rules, seconds):
    """Returns declarations of counters and sets, and the rules of chains for what comes in.

    Conntrack leaves out the first two packets of a handshake (`untracked`, the ports to leave them out at), since both come
    about by a forged source, too. The third one begins the connection: it is `new`, and the socket that the host's TCP has for it
    is not a full one yet. What the host's TCP then answers with anything but a reset has come from where it says, and only that is
    counted (`count`). A source beyond its rate is noted for so many seconds, for this rule alone. Of such a source a SYN is let in
    only when it is repeated, as every real client does after a second, and no faster than the rate: others behind the same address
    still get in beside one that only tries.
    """
    if isinstance(rules, (str, Mapping)) or not isinstance(rules, Sequence):
        raise ValueError(f"{rules!r} is not a list of rules; write dictionaries with {', '.join(KEYS)}")
    seconds = named("seconds", _limit, seconds)
    counters, sets, count, ports, seen = [], [], [], [], set()
    lines: dict[str, list[str]] = {"ssh": [], "other": []}
    minimal = ["tcp dport 22 accept"]
    for number, given in enumerate(rules):
        rule = named(f"rule {number + 1}", check_rule, given)
        name = rule["name"]
        if name in seen:
            raise ValueError(f"rule {number + 1}: name: {name!r} is the name of two rules; give each its own")
        seen.add(name)
        own = lines["ssh" if name == "ssh" else "other"]
        rule_ports = _set(_merge_ports(rule["ports"]))
        places = _places("saddr", rule["sources"])
        counters += [f"counter accept_{name} {{ }}", f"counter drop_{name} {{ }}"]
        accept, drop = f"counter name accept_{name} accept", f"counter name drop_{name} drop"
        begin = f"{rule['protocol']} dport {rule_ports} ct state new"
        if rule["protocol"] == "tcp":
            ports += rule["ports"]
            syn = f"tcp dport {rule_ports} ct state untracked tcp flags & (fin | syn | rst | ack) == syn"
            limit = f"limit rate over {rule['rate']}/second burst {rule['burst']} packets"
            for family, kind, header, mask in SETS:
                source, target = f"{header} saddr{mask}", f"{header} daddr{mask}"
                if rule["rate"] and seconds:
                    # Handshakes of a source, sources beyond the rate, and their repeated SYNs.
                    for purpose, time in (("rate", "1m"), ("over", f"{seconds}s"), ("again", "1m")):
                        sets.append(
                            f"set {name}_{purpose}_{family} {{ type {kind}; size 65535; flags dynamic,timeout; timeout {time}; }}"
                        )
                    once = f"{header} saddr . tcp sport . tcp dport"
                    over = f"{syn} {source} @{name}_over_{family}"
                    own += [
                        f"{over} {once} != @tried_{family} add @tried_{family} {{ {once} }} {drop}",
                        f"{over} update @{name}_again_{family} {{ {source} {limit} }} {drop}",
                    ]
                    count.append(
                        f"tcp sport {rule_ports} update @{name}_rate_{family} {{ {target} {limit} }} "
                        f"update @{name}_over_{family} {{ {target} }}"
                    )
            # Not the end of a handshake: later packets, and forged ones, to which the host's TCP will answer with a reset.
            own += [f"{place}{begin} socket wildcard {{ 0, 1 }} accept" for place in places]
            if rule["connections"]:
                for family, kind, header, mask in SETS:
                    sets.append(f"set {name}_open_{family} {{ type {kind}; size 65535; flags dynamic; }}")
                    own.append(
                        f"{begin} add @{name}_open_{family} {{ {header} saddr{mask} ct count over {rule['connections']} }} "
                        f"counter name drop_{name} reject with tcp reset"
                    )
        for place in places:
            own += [f"{place}{syn} accept"] if rule["protocol"] == "tcp" else []
            own.append(f"{place}{begin} {accept}")
        if name == "ssh":
            minimal = [f"{place}{rule['protocol']} dport {rule_ports} accept" for place in places]
    if count:
        sets += [
            f"set tried_{family} {{ type {kind} . inet_service . inet_service; size 65535; flags dynamic,timeout; timeout 1m; }}"
            for family, kind, _header, _mask in SETS
        ]
        count = [
            f"ct mark & {COUNTED} == {COUNTED} accept",
            "ct direction original accept",
            "tcp flags & rst == rst accept",
            f"ct mark set ct mark | {COUNTED}",
            *count,
        ]
    return {
        "counters": counters,
        "sets": sets,
        "ssh": lines["ssh"],
        "rules": lines["other"],
        "untracked": _set(_merge_ports(ports)) if ports else "",
        "count": count,
        "minimal": minimal,
    }


def _blocked(networks):
    """Returns the elements of the sets of blocked sources, IPv4 and IPv6."""
    found = _sources(networks)
    return {f"v{version}": _networks(found, version) for version in (4, 6)}


def firewall_egress(services, users=()):
    """Returns what a host that offers these services has to reach, and as whom.

    The DNS is for resolvers and for those who reach other hosts by their names: the users of these rules, and the given ones.
    """
    if isinstance(services, str) or not isinstance(services, Sequence):
        raise ValueError(f"services: {services!r} is not a list; write for example ['client', 'server']")
    users = named("users", _users, users)
    rows = list(EGRESS["always"])
    for service in dict.fromkeys(services):
        if service not in SERVICES:
            raise ValueError(f"services: {service!r} is not a service; {checks.nearest(service, SERVICES)}")
        rows += EGRESS.get(service, [])
    by_name = [user for name, users, *_rest in rows if name not in ("dhcp", "turn") for user in users]
    asking = list(dict.fromkeys([*RESOLVERS, *by_name, *users]))
    rows = [("dns_udp", asking, "udp", [53], []), ("dns_tcp", asking, "tcp", [53], []), *rows]
    return [
        {
            "name": name,
            "users": users,
            "protocol": protocol,
            "ports": ports,
            "source_ports": source_ports,
            "destinations": [],
        }
        for name, users, protocol, ports, source_ports in rows
    ]


def check_egress(rule):
    """Returns one rule of what goes out with nothing in it that is not checked."""
    if not isinstance(rule, Mapping):
        raise ValueError(f"{rule!r} is not a rule; write a dictionary with {', '.join(EGRESS_KEYS)}")
    for key in rule:
        if key not in EGRESS_KEYS:
            raise ValueError(f"{key!r} is not a key of a rule; {checks.nearest(key, EGRESS_KEYS)}")
    checked = check_rule({"name": rule.get("name"), "protocol": rule.get("protocol"), "ports": rule.get("ports")})
    name = checked["name"]
    source_ports = rule.get("source_ports", [])
    return {
        "name": name,
        "users": named(f"{name}: users", _users, rule.get("users", [])),
        "protocol": checked["protocol"],
        "ports": checked["ports"],
        "source_ports": named(f"{name}: source_ports", _ports, source_ports) if source_ports else [],
        "destinations": named(f"{name}: destinations", _sources, rule.get("destinations", [])),
    }


def _outgoing(rules, users):
    """Returns declarations of counters, and the rules of the chain for what goes out.

    A rule for users none of whom is there is left out: nftables would refuse it, and nobody could use it.
    """
    if isinstance(rules, (str, Mapping)) or not isinstance(rules, Sequence):
        raise ValueError(f"{rules!r} is not a list of rules; write dictionaries with {', '.join(EGRESS_KEYS)}")
    counters, lines, seen = [], [], {"root", "refused"}
    for number, given in enumerate(rules):
        rule = named(f"rule {number + 1}", check_egress, given)
        name = rule["name"]
        if name in seen:
            raise ValueError(f"rule {number + 1}: name: {name!r} is the name of two rules; give each its own")
        seen.add(name)
        known = [user for user in rule["users"] if user in users]
        if rule["users"] and not known:
            continue
        counters.append(f"counter egress_{name} {{ }}")
        who = "meta skuid " + _set(f'"{user}"' for user in known) + " " if known else ""
        from_ = f"{rule['protocol']} sport {_set(_merge_ports(rule['source_ports']))} " if rule["source_ports"] else ""
        match = f"{who}{from_}{rule['protocol']} dport {_set(_merge_ports(rule['ports']))}"
        places = _places("daddr", rule["destinations"])
        lines += [f"{place}{match} counter name egress_{name} accept" for place in places]
    return {"counters": counters, "rules": lines}


def nftables_rules(rules, seconds=60, blocked=(), egress=(), users=()):
    """Returns lines for a table of the family inet: what comes in, whom the operator keeps out, and what goes out."""
    return {
        **_incoming(rules, seconds),
        "blocked": named("blocked", _blocked, blocked),
        "egress": named("egress", lambda value: _outgoing(value, users), egress),
    }
