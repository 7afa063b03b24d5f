# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes that prove promises, by their names. None of them leaves a change behind."""

import contextlib
import importlib

from . import (
    accounts,
    compliance,
    encryption,
    extensions,
    keys,
    machine,
    names,
    offers,
    relay,
    suites,
    testers,
    uploads,
    web,
)
from .base import PROBES, Broken, Evidence, Probe, Subject, Unknown, Weakened, answer

# Before there are threads: where several import modules of dnspython at once, which import each other, none may get on.
for _library in ("dns", "dnssec", "x509"):
    with contextlib.suppress(ImportError):
        importlib.import_module(f"...{_library}", __name__)

__all__ = [
    "PROBES",
    "Broken",
    "Evidence",
    "Probe",
    "Subject",
    "Unknown",
    "Weakened",
    "accounts",
    "answer",
    "compliance",
    "encryption",
    "extensions",
    "keys",
    "machine",
    "names",
    "offers",
    "relay",
    "suites",
    "testers",
    "uploads",
    "web",
]
