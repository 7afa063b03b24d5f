# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Graphs of a BIND name server: bind_queries, bind_answers, bind_keys and bind_signatures.

It reads BIND's statistics channel, and the states of the keys of the zones. The environment, from plugin-conf.d:

  url   the statistics channel (default http://127.0.0.1:8053)
  keys  the folder of the keys (default /var/lib/bind/keys)
"""

from __future__ import annotations

import datetime
import glob
import os
import re
import sys
import time

from .munin import Family, Field, Graph, Unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from .munin import Environment, Values

URL = "http://127.0.0.1:8053"
KEYS = "/var/lib/bind/keys"
TYPES = ("A", "AAAA", "CAA", "CDS", "DNSKEY", "DS", "MX", "NS", "SOA", "SRV", "TLSA", "TXT")
ANSWERS = {
    "answered": (("QrySuccess",), "with records", "There was such a record."),
    "empty": (("QryNxrrset", "QryNXDOMAIN"), "nothing there", "No such record, or no such name."),
    "refused": (
        ("QryRej", "AuthQryRej", "RecQryRej", "XfrRej", "QryREFUSED"),
        "refused",
        "Not our zone, or not for you.",
    ),
    "failed": (("QrySERVFAIL", "QryFORMERR", "QryFailure"), "failed", "The server could not answer."),
    "limited": (("RateDropped", "RateSlipped"), "held back", "Too many alike for one network."),
    "transfers": (("XfrReqDone",), "transfers", "Zones that secondaries have fetched."),
}
MOMENT = re.compile(r"^(\w+): (\d{14}) ", re.MULTILINE)


def statistics(environment: Environment) -> Mapping[str, Any]:
    """Return what BIND counts. Raises Unknown where it does not answer."""
    import json
    import urllib.request

    url = environment.get("url", URL) + "/json/v1/server"
    # A proxy of the environment is not for this.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=15) as answer:
            found: Mapping[str, Any] = json.load(answer)
    except OSError as error:
        raise Unknown(f"{url} does not answer: {error}") from error
    return found


def queries(environment: Environment) -> Values:
    found = dict(statistics(environment).get("qtypes", {}))
    values = {name.lower(): found.pop(name, 0) for name in TYPES}
    return {**values, "other": sum(found.values())}


def answers(environment: Environment) -> Values:
    found = statistics(environment).get("nsstats", {})
    return {name: sum(found.get(key, 0) for key in keys) for name, (keys, *_rest) in ANSWERS.items()}


def zone_name(zone: str) -> str:
    """Return the name of a zone's field."""
    return re.sub(r"[^a-z0-9]", "_", zone)


def keys(environment: Environment) -> Iterator[tuple[str, bool, Mapping[str, float]]]:
    """Yield each key that is in use: its zone, whether it signs keys, and its moments."""
    for path in sorted(glob.glob(os.path.join(environment.get("keys", KEYS), "K*.state"))):
        with open(path, encoding="ascii") as stream:
            text = stream.read()
        zone = os.path.basename(path)[1:].rsplit("+", 2)[0]
        moments = {
            name: datetime.datetime.strptime(moment, "%Y%m%d%H%M%S").replace(tzinfo=datetime.UTC).timestamp()
            for name, moment in MOMENT.findall(text)
        }
        if "GoalState: omnipresent" in text and "Active" in moments:
            yield zone.rstrip("."), "KSK: yes" in text, moments


def key_values(environment: Environment) -> Values:
    now = time.time()
    values: dict[str, float] = {}
    for zone, signs_keys, moments in keys(environment):
        name = zone_name(zone)
        kind = "ksk" if signs_keys else "zsk"
        age = round((now - moments["Active"]) / 86400, 2)
        # While one follows the other there are two.
        values[f"{kind}_{name}"] = max(age, values.get(f"{kind}_{name}", age))
        if "Retired" in moments:
            left = round((moments["Retired"] - now) / 86400, 2)
            values[f"next_{name}"] = max(left, values.get(f"next_{name}", left))
    return values


def zones(environment: Environment) -> list[str]:
    """Return the zones that have keys."""
    return sorted({zone for zone, *_rest in keys(environment)})


def key_fields(environment: Environment) -> Iterator[Field]:
    for zone in zones(environment):
        name = zone_name(zone)
        yield Field(
            f"ksk_{name}", f"{zone}: key-signing key", "Days that it has been in use. It rolls by decision alone."
        )
        yield Field(f"zsk_{name}", f"{zone}: zone-signing key", "Days that it has been in use.")
        # A roll that does not begin is a key for ever, or a policy that BIND could not read.
        yield Field(
            f"next_{name}",
            f"{zone}: until the next roll",
            "Days until the zone-signing key is replaced.",
            min=None,
            warning="-1:",
            critical="-3:",
        )


def signatures(environment: Environment) -> Values:
    from .. import dns

    values = {}
    for zone in zones(environment):
        try:
            end = dns.ask("127.0.0.1", zone, "SOA", signatures=True, recurse=False, seconds=5).signed_until
        except dns.DnsError as error:
            print(f"{zone}: {error}", file=sys.stderr)
            continue
        if end is not None:
            values[zone_name(zone)] = round((end - time.time()) / 86400, 2)
    return values


FAMILY = Family(
    {
        "queries": Graph(
            title="DNS queries",
            vlabel="queries per ${graph_period}",
            info="What this name server is asked for.",
            category="dns",
            fields=lambda _: [Field(name.lower(), name, type="DERIVE", draw="AREASTACK") for name in (*TYPES, "other")],
            values=queries,
        ),
        "answers": Graph(
            title="DNS answers",
            vlabel="answers per ${graph_period}",
            info="What this name server answers.",
            category="dns",
            fields=lambda _: [Field(name, label, info, type="DERIVE") for name, (_, label, info) in ANSWERS.items()],
            values=answers,
        ),
        "keys": Graph(
            title="DNSSEC keys",
            args="--base 1000",
            vlabel="days",
            info="How long keys have been in use, and when the next one takes over.",
            category="dns",
            fields=key_fields,
            values=key_values,
        ),
        "signatures": Graph(
            title="DNSSEC signatures",
            vlabel="days left",
            info="Until the zone is bogus, if nobody signs it again. BIND does when five days are left.",
            category="dns",
            fields=lambda environment: [
                Field(zone_name(zone), zone, min=None, warning="4:", critical="2:") for zone in zones(environment)
            ],
            values=signatures,
        ),
    }
)
