# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a promise is, and when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LANGUAGES = ("en", "de")

# What a check says of a promise. `weakened`: not kept as it reads, and the operator has it so; the reason says how far.
KEPT, BROKEN, UNKNOWN, WEAKENED = STATES = ("kept", "broken", "unknown", "weakened")

# Topics in the order in which they are shown.
TOPICS: Mapping[str, Mapping[str, str]] = {
    "machine": {"en": "The machine", "de": "Die Maschine"},
    "dns": {"en": "Names", "de": "Namen"},
    "encryption": {"en": "Encryption", "de": "Verschlüsselung"},
    "accounts": {"en": "Accounts", "de": "Konten"},
    "access": {"en": "Ways to connect", "de": "Zugänge"},
    "extensions": {"en": "Extensions", "de": "Erweiterungen"},
}

# The key `promises` of the self-test's configuration: services, ports, tls_policy, storage, registration and the like.
Config = Mapping[str, Any]
# One of its domains: domain, web, and components by their kinds.
Domain = Mapping[str, Any]


def _service(name: str) -> Callable[[Config, Domain], bool]:
    return lambda config, _domain: name in config["services"]


def _component(kind: str) -> Callable[[Config, Domain], bool]:
    return lambda config, domain: "client" in config["services"] and kind in domain["components"]


# When a promise is made: in words for the documentation, and by the configuration.
CONDITIONS: Mapping[str, tuple[str, Callable[[Config, Domain], bool]]] = {
    "always": ("always", lambda _config, _domain: True),
    "clients": ("`client` in `xmpp_services`", _service("client")),
    "servers": ("`server` in `xmpp_services`", _service("server")),
    "tls": (
        "one of `client`, `server`, `web` and `turns` in `xmpp_services`",
        lambda config, _domain: bool({"client", "server", "web", "turns"} & set(config["services"])),
    ),
    "dns": ("`dns` in `xmpp_services`", _service("dns")),
    "turn": ("`turn` in `xmpp_services`", _service("turn")),
    "rooms": ("the domain has a component `muc`", _component("muc")),
    "uploads": ("the domain has a component `upload`", _component("upload")),
    "proxy": ("the domain has a component `proxy`", _component("proxy")),
    "search": ("the domain has a component `search`", _component("search")),
    "push": (
        "`client` and `server` in `xmpp_services`",
        lambda config, _domain: {"client", "server"} <= set(config["services"]),
    ),
    "bosh": (
        "`client` and `web` in `xmpp_services`",
        lambda config, _domain: {"client", "web"} <= set(config["services"]),
    ),
    "registration": (
        "`xmpp_registration` is not `closed`, and `web` in `xmpp_services`",
        lambda config, _domain: "web" in config["services"] and config["registration"] != "closed",
    ),
}


@dataclass(frozen=True)
class Promise:
    """A promise: what it says, where that comes from, what proves it, and when it is made."""

    id: str
    topic: str
    en: str
    de: str
    # The documents that define it.
    source: str
    # The probe that proves it, and what that tells apart: the namespace of an extension, for example.
    probe: str
    argument: str = ""
    # One of CONDITIONS.
    when: str = "always"
    # What is asked, what answer is right, and what the operator types when it is another one.
    asked: str = ""
    right: str = ""
    mend: str = ""

    @property
    def texts(self) -> dict[str, str]:
        """The sentence in each language."""
        return {"en": self.en, "de": self.de}

    def applies(self, config: Config, domain: Domain) -> bool:
        """Tell whether a domain makes this promise."""
        return CONDITIONS[self.when][1](config, domain)
