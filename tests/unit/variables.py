# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of all roles' variables, as their meta/checks.yml ask for them."""

from pathlib import Path

import yaml
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import role_checks

TOP = Path(__file__).resolve().parents[2]
ASKED = {path.parts[-3]: yaml.safe_load(path.read_text()) for path in sorted(TOP.glob("roles/*/meta/checks.yml"))}
FORMATS = {name: role_checks.check_of(one) for role in ASKED.values() for name, one in role["formats"].items()}
