# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prosody says of its own configuration. `check connectivity` is not asked: it passes where it could reach nobody."""

from __future__ import annotations

import pytest
from conftest import RELEASE

CHECKS = ["config", "certs", "dns", "turn"] + ["features"] * (RELEASE != "bookworm")


@pytest.mark.parametrize("what", CHECKS)
def test_prosodyctl_check_is_content(rosewood, internet, what):
    result = rosewood.run(f"prosodyctl check {what}")
    print(result.stdout)
    assert result.rc == 0, result.stdout
