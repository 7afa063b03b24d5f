# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other firewalls: what they drop, ours cannot let in."""

from __future__ import annotations

import json
import re
from typing import Any

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding

NFT = ("nft", "-j", "list", "ruleset")
IPTABLES = (("ip", "iptables-save"), ("ip6", "ip6tables-save"))
CONFIG = "/etc/nftables.conf"
# The table that ours replaces.
REPLACED = ("inet", "filter")
PROGRAMS = re.compile(r"^(ufw6?-|f2b-|DOCKER)")


def parse_nft(text):
    """The tables, as (family, name), that drop or reject what comes to the host."""
    entries = json.loads(text).get("nftables", []) if text else []
    inputs, drops = set(), set()
    jumps: dict[Any, Any] = {}
    for entry in entries:
        chain, rule = entry.get("chain"), entry.get("rule")
        if chain and chain.get("hook") in ("input", "prerouting", "ingress"):
            place = (chain["family"], chain["table"], chain["name"])
            inputs.add(place)
            if chain.get("policy") == "drop":
                drops.add(place)
        if rule:
            place = (rule["family"], rule["table"], rule["chain"])
            for part in rule.get("expr", []):
                if "drop" in part or "reject" in part:
                    drops.add(place)
                for word in ("jump", "goto"):
                    if word in part:
                        jumps.setdefault(place, set()).add((*place[:2], part[word]["target"]))
    reached, new = set(), inputs
    while new:
        reached |= new
        new = {target for place in new for target in jumps.get(place, ())} - reached
    # What another program has made is that program's.
    return sorted({place[:2] for place in reached & drops if not PROGRAMS.match(place[2])})


def drops(text):
    """Whether rules as iptables-save prints them drop or reject what comes to the host."""
    if re.search(r"^:INPUT DROP", text, re.M):
        return True
    return re.search(r"^-A (?!ufw6?-|f2b-|DOCKER|FORWARD|OUTPUT)\S+ .*-j (DROP|REJECT)\b", text, re.M) is not None


def is_ufw_on(host):
    """Whether ufw loads its rules."""
    return "ufw" in host.packages and re.search(r"^ENABLED=yes\b", host.read("/etc/ufw/ufw.conf"), re.M) is not None


def is_started(host, name):
    """Whether a package's service of the same name runs, or will after a boot."""
    return name in host.packages and (host.enabled(f"{name}.service") or host.active(f"{name}.service"))


def find_ufw(host):
    """Yields a finding where ufw is switched on."""
    if not is_ufw_on(host):
        return
    yield Finding(
        id="ufw",
        found="ufw is enabled (/etc/ufw/ufw.conf)",
        effect="It drops what comes to the ports of our daemons, whatever our firewall lets in.",
        choice="take over: its rules are copied, and ufw is disabled. What else has to be reached is for firewall_rules_extra.",
        keep=["/etc/ufw"],
        run=[["ufw", "--force", "disable"]],
        undo=[["ufw", "--force", "enable"]],
    )


def find_firewalld(host):
    """Yields a finding where firewalld is started at boot."""
    if not is_started(host, "firewalld"):
        return
    yield Finding(
        id="firewalld",
        found=f"firewalld {host.packages['firewalld']} is enabled",
        effect="It drops what comes to the ports of our daemons, whatever our firewall lets in.",
        choice="take over: its configuration is copied, and it is stopped and disabled. What else has to be reached is for "
        "firewall_rules_extra.",
        keep=["/etc/firewalld"],
        stop=["firewalld.service"],
    )


def find_fail2ban(host):
    """Yields a finding where fail2ban is started at boot."""
    if not is_started(host, "fail2ban"):
        return
    yield Finding(
        id="fail2ban",
        found=f"fail2ban {host.packages['fail2ban']} is enabled",
        effect="Its bans stay beside our firewall, which limits logins by itself. Files that it reads may be there no more.",
        choice="take over: its configuration is copied, and it is stopped and disabled.",
        keep=["/etc/fail2ban"],
        stop=["fail2ban.service"],
    )


def find_filters(host):
    """Yields a finding for rules of nftables or iptables that none of the programs above has made."""
    if host.changed(CONFIG):
        yield Finding(
            id="packet-filter:nftables.conf",
            found=f"{CONFIG} is not as Debian's package has it",
            effect="It would be replaced: its rules are gone.",
            choice="take over: it is copied first. What else has to be reached is for firewall_rules_extra.",
            keep=[CONFIG],
        )
    if host.enabled("netfilter-persistent.service"):
        yield Finding(
            id="packet-filter:netfilter-persistent",
            found="netfilter-persistent loads rules at boot (/etc/iptables)",
            effect="They are loaded beside ours, and what they drop, ours cannot let in.",
            choice="take over: the rules are copied, and the service is stopped and disabled.",
            keep=["/etc/iptables"],
            stop=["netfilter-persistent.service"],
        )
    theirs = [("ip", "filter"), ("ip6", "filter")] if is_ufw_on(host) else []
    ruleset = host.run(NFT)
    if ruleset is None:
        for family, save in IPTABLES:
            if (family, "filter") not in theirs and drops(host.run((save,)) or ""):
                program = save.removesuffix("-save")
                yield loaded(
                    family,
                    "filter",
                    "What it drops, our firewall cannot let in.",
                    [[save]],
                    [[program, "-P", "INPUT", "ACCEPT"], [program, "-F"], [program, "-X"]],
                    [["sh", "-c", 'exec "$0" <"$1"', f"{program}-restore", "{saved}"]],
                )
        return
    for family, name in parse_nft(ruleset):
        if (family, name) in theirs or name == "firewalld":
            continue
        if (family, name) != REPLACED:
            effect, run = "What it drops, our firewall cannot let in.", [["nft", "delete", "table", family, name]]
            # Rules that are there would come twice.
            there = 'nft list table "$1" "$2" >/dev/null 2>&1 || exec nft -f "$0"'
            undo = [["sh", "-c", there, "{saved}", family, name]]
        elif host.changed(CONFIG):
            continue
        else:
            effect, run = "It would be replaced: its rules are gone.", []
            there = 'nft delete table "$1" "$2" 2>/dev/null; exec nft -f "$0"'
            undo = [["sh", "-c", there, "{saved}", family, name]]
        yield loaded(family, name, effect, [["nft", "list", "table", family, name]], run, undo)


def loaded(family, name, effect, save, run, undo):
    """The finding of a table in the kernel."""
    return Finding(
        id=f"packet-filter:{family}-{name}",
        found=f"table {family} {name} in the kernel drops what comes to the host",
        effect=effect,
        choice="take over: its rules are saved, and deleted. What else has to be reached is for firewall_rules_extra.",
        save=save,
        run=run,
        undo=undo,
    )
