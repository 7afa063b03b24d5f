# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes importable the checkout, as the collection it is (bin/setup has laid the link), and what tests of hosts share."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / ".venv" / "collections"))
sys.path.insert(0, str(CHECKOUT / "tests" / "lab"))
