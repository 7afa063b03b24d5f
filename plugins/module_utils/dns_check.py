# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares the records that there shall be with those that name servers answer with."""

from __future__ import annotations

import ipaddress
import re
import socket

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import dig
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.dig import name

STRING = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)', re.DOTALL)
# What others put beside ours at a name is their business: texts of all kinds.
SHARED = ("TXT", "PTR")
# Properties of CAA that let nobody issue anything (RFC 8659, section 4.4; RFC 9495 for mail).
CAA_ISSUE = ("issue", "issuewild")
# Keys of service bindings by their numbers: a dig that does not know a name prints key and the number (RFC 9460, RFC 9461).
BINDING_KEYS = ("mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath")


class DnsError(Exception):
    """Nothing could be asked."""


def absolute(text):
    """A name as it stands in a record's data."""
    return "." if name(text) == "." else f"{name(text)}."


def _strings(text):
    """The character-strings of a record, as bytes (RFC 1035, section 5.1)."""
    for quoted, plain in STRING.findall(text):
        raw = (quoted or plain).encode("utf-8", "surrogateescape")
        yield re.sub(
            rb"\\(\d{3}|.)",
            lambda found: bytes([int(found[1])]) if len(found[1]) == 3 else found[1],
            raw,
            flags=re.DOTALL,
        )


def _written(strings):
    """Character-strings as they stand in a zone file."""
    texts = [re.sub(r'(["\\])', r"\\\1", item.decode("latin-1")) for item in strings]
    return " ".join('"' + re.sub(r"[^ -~]", lambda found: f"\\{ord(found[0]):03d}", text) + '"' for text in texts)


def _metres(text):
    return f"{float(text.rstrip('m')):.2f}m"


def _binding(parameter):
    """A parameter of a service binding by its name, without what may be written in several ways."""
    key, equals, value = parameter.partition("=")
    value = value.strip('"')
    number = re.fullmatch(r"key(\d{1,5})", key)
    if number:
        key = BINDING_KEYS[int(number[1])] if int(number[1]) < len(BINDING_KEYS) else f"key{int(number[1])}"
    if key == "mandatory":
        value = ",".join(sorted(_binding(item) for item in value.split(",")))
    if key == "ipv6hint":
        value = ",".join(normal("AAAA", item) for item in value.split(","))
    return key + (f"={value}" if equals and value else "")


def normal(kind, text):
    """A record's data in the one form of several that can be compared."""
    text = text.strip()
    if kind in ("A", "AAAA"):
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            return text
    if kind in ("CNAME", "DNAME", "NS", "PTR"):
        return absolute(text)
    if kind in ("MX", "SRV"):
        *numbers, target = text.split()
        return " ".join([*numbers, absolute(target)])
    if kind == "TXT":
        return b"".join(_strings(text)).decode("utf-8", "backslashreplace")
    if kind == "CAA":
        flags, tag, value = text.split(None, 2)
        value = b"".join(_strings(value)).decode("ascii", "backslashreplace")
        issuer = re.sub(r"\s*;\s*", "; ", value).strip()
        return f'{flags} {tag.lower()} "{";" if issuer in ("", ";") else issuer}"'
    if kind == "NAPTR":
        order, preference, *strings, target = _strings(text)
        numbers = [item.decode("ascii", "backslashreplace") for item in (order, preference)]
        # Flags and services have no case (RFC 3403, section 4.1); an expression has.
        strings = [item.lower() for item in strings[:2]] + strings[2:]
        return " ".join([*numbers, _written(strings), absolute(target.decode("ascii", "backslashreplace"))])
    if kind == "URI":
        *numbers, target = _strings(text)
        return " ".join([*(item.decode("ascii", "backslashreplace") for item in numbers), _written([target])])
    if kind == "LOC":
        *angles, height, size, horizontal, vertical = text.split()
        return " ".join([*angles, *map(_metres, (height, size, horizontal, vertical))])
    if kind == "OPENPGPKEY":
        return "".join(text.split())
    if kind.startswith("TYPE"):
        fields = text.split()
        return " ".join([*fields[:2], *(["".join(fields[2:]).lower()] if fields[2:] else [])])
    if kind in ("TLSA", "SMIMEA", "SSHFP", "DS"):
        count = 2 if kind == "SSHFP" else 3
        fields = text.split()
        return " ".join([*fields[:count], "".join(fields[count:]).lower()])
    if kind in ("HTTPS", "SVCB"):
        priority, target, *parameters = text.split()
        return " ".join([priority, absolute(target), *sorted(map(_binding, parameters))])
    return text


def found_at(answer, owner, kind):
    """The data of the records at a name. A delegation is in the authority section; an alias stands for itself."""
    # In the form of unknown types, an alias is of the type 5.
    records = [(place, "CNAME" if other == "TYPE5" else other, data) for place, other, data in answer["records"]]
    own = [(other, data) for place, other, data in records if place == owner and other in (kind, "CNAME")]
    if kind != "CNAME" and any(other == "CNAME" for other, _data in own):
        return [f"CNAME {normal('CNAME', data)}" for other, data in own if other == "CNAME"]
    return sorted({normal(kind, data) for other, data in own if other == kind})


def _clashes(kind, data, expected):
    """Whether a record that is not ours does harm beside those that are."""
    if not expected or data.startswith("CNAME "):
        return True
    if kind == "CAA":
        flags, tag, _value = data.split(None, 2)
        return tag in CAA_ISSUE or flags != "0"
    if kind == "TXT":
        return data.lower().startswith("v=spf1") and any(item.lower().startswith("v=spf1") for item in expected)
    return kind not in SHARED


def compare(kind, expected, found):
    """Returns a status, what is expected in vain, and what is there instead or besides."""
    expected = sorted({normal(kind, data) for data in expected})
    missing = [data for data in expected if data not in found]
    surplus = [data for data in found if data not in expected and _clashes(kind, data, expected)]
    if missing and surplus:
        return "wrong", missing, surplus
    if missing:
        return "missing", missing, []
    return ("surplus" if surplus else "right"), [], surplus


def by_name(records):
    """Records as name and type to their data."""
    sets: dict[tuple[str, str], list[str]] = {}
    for record in records:
        sets.setdefault((name(record["name"]), record["type"]), []).append(record["data"])
    return sets


def check_server(sets, absent, answers):
    """Returns the findings at one server, and how many records are right there."""
    findings, right = [], 0
    for (owner, kind), expected in {**dict.fromkeys(absent, ()), **sets}.items():
        answer = answers.get((owner, kind))
        if answer is None or answer["status"] not in ("NOERROR", "NXDOMAIN"):
            said = "no answer" if answer is None else answer["status"]
            findings.append({"name": owner, "type": kind, "status": "unanswered", "expected": [], "found": [said]})
            continue
        status, missing, surplus = compare(kind, expected, found_at(answer, owner, kind))
        right += len(set(expected)) - len(missing)
        if status != "right":
            findings.append({"name": owner, "type": kind, "status": status, "expected": missing, "found": surplus})
    return findings, right


def enclosing_zone(zone, answer):
    """The zone that really holds these records, by the SOA record in the answer to a question for one."""
    if answer is None or answer["status"] != "NOERROR":
        return None
    for owner, kind, _data in answer["records"]:
        if kind == "SOA" and (owner in (zone, ".") or zone.endswith(f".{owner}")):
            return owner
    return None


def ask(questions, *options, server=None, timeout=2):
    """Asks as dig does."""
    try:
        return dig.ask(questions, *options, server=server, timeout=timeout)
    except dig.DigError as error:
        raise DnsError(f"{error} where the questions are asked") from error


def has_route(address):
    """Whether this machine can send to an address at all: many have no IPv6."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 53))
    except OSError:
        return False
    return True


class Check:
    """The checks of zones by one resolver."""

    def __init__(self, resolver=None, timeout=2):
        self.resolver = resolver
        self.timeout = timeout

    def resolve(self, questions, *options):
        return ask(questions, "+adflag", *options, server=self.resolver, timeout=self.timeout)

    def who(self):
        return f"the resolver {self.resolver}" if self.resolver else "the resolver of /etc/resolv.conf"

    def dnssec(self, zone):
        """Returns how the resolver takes the zone, and where it really is."""
        answer = self.resolve([(zone, "SOA")]).get((zone, "SOA"))
        if answer is None:
            raise DnsError(f"{self.who()} does not answer; name another one")
        if answer["status"] == "NXDOMAIN":
            return {"status": "absent", "reason": f"{zone} does not exist in the DNS; have it delegated"}, None
        if answer["status"] != "NOERROR":
            unchecked = self.resolve([(zone, "SOA")], "+cdflag").get((zone, "SOA"))
            served = enclosing_zone(zone, unchecked)
            if served:
                return {"status": "bogus", "reason": "validation fails, so that nobody who validates finds it"}, served
            return {"status": "absent", "reason": f"{self.who()} answers {answer['status']}: no name server does"}, None
        served = enclosing_zone(zone, answer)
        if served is None:
            return {"status": "absent", "reason": f"{self.who()} only refers to others; name one that resolves"}, None
        if "ad" in answer["flags"]:
            return {"status": "secure", "reason": "the chain of trust reaches it"}, served
        root = self.resolve([(".", "SOA")]).get((".", "SOA"))
        if root is not None and "ad" in root["flags"]:
            reason = (
                "no chain of trust reaches it: its parent has no DS record, so that TLSA and SSHFP records are void"
            )
            return {"status": "unsigned", "reason": reason}, served
        return {"status": "unknown", "reason": f"{self.who()} does not validate; name one that does"}, served

    def servers(self, zone):
        """Returns the zone's name servers, each with its addresses."""
        answer = self.resolve([(zone, "NS")], "+cdflag").get((zone, "NS"))
        names = [name(data) for data in found_at(answer, zone, "NS")] if answer else []
        addresses = (
            self.resolve([(server, kind) for server in names for kind in ("A", "AAAA")], "+cdflag") if names else {}
        )
        # The end of a chain of aliases counts.
        return {
            server: [
                normal(kind, data)
                for kind in ("A", "AAAA")
                for _owner, other, data in addresses.get((server, kind), {"records": []})["records"]
                if other == kind
            ]
            for server in names
        }

    def zone(self, zone, records, absent=()):
        """Returns all that is known of a zone; its records' names are absolute."""
        dnssec, served = self.dnssec(zone)
        result = {"dnssec": dnssec, "zone": served, "servers": [], "right": 0, "findings": []}
        if served is None:
            return result
        sets = by_name(records)
        absent = [(name(item["name"]), item["type"]) for item in absent]
        places = []
        for server, addresses in self.servers(served).items():
            if not addresses:
                result["findings"].append(_unreachable(served, server, "it has no address"))
            places += [(server, address) for address in addresses if has_route(address)]
        everywhere = []
        for server, address in places:
            place = f"{server} ({address})"
            questions = list(dict.fromkeys([*sets, *absent]))
            # By TCP, because who asks this much is limited by UDP; that must work, too, and is what the world does.
            for option in ("+notcp", "+tcp"):
                probe = ask([(zone, "SOA")], "+norecurse", option, server=address, timeout=self.timeout).get(
                    (zone, "SOA")
                )
                if probe is None or "aa" not in probe["flags"]:
                    by = option.lstrip("+").replace("notcp", "udp").upper()
                    why = f"it does not answer by {by}" if probe is None else "it does not know the zone"
                    result["findings"].append(_unreachable(served, place, why))
                    break
            else:
                answers = ask(questions, "+norecurse", "+tcp", "+keepopen", server=address, timeout=self.timeout)
                everywhere.append((place, *check_server(sets, absent, answers)))
        result["servers"] = [place for place, *_rest in everywhere]
        result["right"] = min((right for _place, _findings, right in everywhere), default=0)
        result["findings"] += merge([(place, findings) for place, findings, _right in everywhere])
        if not everywhere and not result["findings"]:
            result["findings"].append(_unreachable(served, "all name servers", "there is no route to them"))
        if dnssec["status"] == "secure":
            for (owner, kind), answer in self.resolve(list(sets)).items():
                if answer["status"] == "SERVFAIL":
                    result["findings"].append(
                        {"name": owner, "type": kind, "status": "bogus", "expected": [], "found": [], "servers": []}
                    )
        return result


def _unreachable(zone, place, why):
    return {"name": zone, "type": "NS", "status": "unreachable", "expected": [], "found": [why], "servers": [place]}


def merge(by_server):
    """Returns each finding once, with the servers that have it; with none where all have it."""
    merged: dict[tuple[str, ...], dict] = {}
    for place, findings in by_server:
        for finding in findings:
            key = tuple(str(finding[part]) for part in ("name", "type", "status", "expected", "found"))
            merged.setdefault(key, {**finding, "servers": []})["servers"].append(place)
    return [
        {**finding, "servers": [] if len(finding["servers"]) == len(by_server) else finding["servers"]}
        for finding in merged.values()
    ]


def sentence(finding):
    """A finding as a line for the operator."""
    head = f"{finding['name']} {finding['type']}: {finding['status']}"
    said = {
        "missing": f"add {', '.join(finding['expected'])}",
        "wrong": f"expected {', '.join(finding['expected'])}; found {', '.join(finding['found'])}",
        "surplus": f"remove {', '.join(finding['found'])}",
        "bogus": "its signature does not fit, so that nobody who validates finds it; have the zone signed again",
        "unanswered": ", ".join(finding["found"]),
        "unreachable": ", ".join(finding["found"]),
    }[finding["status"]]
    where = f" (at {', '.join(finding['servers'])})" if finding["servers"] else ""
    return f"{head}; {said}{where}"


def sentences(zone, result, unsigned=False):
    """What is wrong with a zone, a line each."""
    lines = [sentence(finding) for finding in result["findings"]]
    status = result["dnssec"]["status"]
    if status != "secure" and not (unsigned and status in ("unsigned", "unknown")):
        lines.insert(0, f"{zone}: {status}; {result['dnssec']['reason']}")
    return lines
