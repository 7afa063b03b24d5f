# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role has configured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import files
from .errors import Refused


@dataclass(frozen=True)
class Settings:
    """/etc/xmpp/certificate.json: each field is described in the role's argument_specs.yml."""

    provider: str
    directory: str
    staging_directory: str
    ca_bundle: str
    email: str
    challenge: str
    dns_server: str
    tsig_key: str
    webroot: str
    names: list[str]
    path: str
    key_path: str
    rsa_path: str
    rsa_key_path: str
    key_types: list[str]
    group: str
    renew_percent: float
    address: str
    # Each with `port`, `protocol` where STARTTLS is asked for, `address` where it is not at the one above, and `one_key` where
    # its daemon knows one certificate.
    ports: list[dict[str, Any]]
    tlsa_names: list[str]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Settings:
        """Return the settings in a configuration. Raises KeyError for one that is missing."""
        return cls(**{field.name: config[field.name] for field in dataclasses.fields(cls)})

    @classmethod
    def read(cls, path: str) -> Settings:
        """Return the settings in a file."""
        config = files.read_json(path)
        if not config:
            raise Refused(f"{path} is not there or is empty")
        return cls.of(config)

    @property
    def is_acme(self) -> bool:
        """Whether certificates come from an ACME authority."""
        return self.provider == "acme"
