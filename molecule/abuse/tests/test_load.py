# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under each attack somebody goes on to log in and to write. How long that takes is printed, and decides nothing."""

from __future__ import annotations

import secrets
import time

import pytest
from conftest import DOMAIN, create


def memory(rosewood) -> int:
    """What Prosody holds, in megabytes."""
    pid = rosewood.out("systemctl show --property MainPID --value prosody.service")
    return int(rosewood.out(f"awk '/^VmRSS/ {{print $2}}' /proc/{pid}/status")) // 1024


@pytest.fixture(autouse=True)
def prosody_stays(rosewood):
    """It is the same process before and after, and has not grown by much."""
    before = memory(rosewood)
    pid = rosewood.out("systemctl show --property MainPID --value prosody.service")
    yield
    after = memory(rosewood)
    print(f"Prosody: {before} MB before, {after} MB after")
    assert rosewood.out("systemctl show --property MainPID --value prosody.service") == pid
    assert after < before + 200


async def test_half_open_connections(attack, while_writing):
    ended = await while_writing(attack("half_open", count=2000, seconds=20))
    assert ended.pop("held") + ended.pop("refused", 0) == 2000
    # Whoever does not log in is hung up on; prosody_login_timeout is 10 seconds here.
    assert ended.pop("open", 0) == 0
    assert set(ended) <= {"connection-timeout", "closed"}


async def test_oversized_stanzas(attack, while_writing):
    ended = await while_writing(attack("oversized", count=200, bytes=1_000_000))
    assert sum(ended.values()) == 200
    # On a slow machine the time to log in is over before all of a stanza is there.
    assert set(ended) <= {"policy-violation", "connection-timeout", "closed", "refused"}
    assert ended["policy-violation"]


async def test_entities_are_not_expanded(attack, while_writing):
    ended = await while_writing(attack("expansion", count=20))
    assert sum(ended.values()) == 60
    for how in ended:
        assert not how.endswith(": open"), ended
        assert "internal-server-error" not in how


async def test_slow_requests(attack, while_writing):
    ended = await while_writing(attack("slow", count=600, seconds=30))
    assert sum(ended.values()) == 600
    # Who never ends a header is hung up on; those with a slow body hold their share, and no more.
    assert ended.get("header: open", 0) == 0
    assert ended.get("body: open", 0) <= 256


async def test_registrations(attack, while_writing, rosewood):
    ended = await while_writing(attack("registrations", count=60, pause=0, tail=secrets.token_hex(3)))
    assert sum(ended.values()) == 60
    made = int(rosewood.out("xmpp-registrations | head -n 1").split()[0])
    print(f"{made} accounts wait for approval")
    # prosody_registration_per_hour
    assert ended.get("account 200", 0) == made == 5


async def test_joins(attack, while_writing, rosewood):
    account, begun = create(rosewood, "joiner", DOMAIN), time.monotonic()
    ended = await while_writing(
        attack("joins", account=account.by(), count=3000, seconds=45, tail=secrets.token_hex(3))
    )
    assert ended["sent"] == 3000
    assert ended["joined"] + ended["resource-constraint"] >= 2900
    seconds = time.monotonic() - begun
    print(f"in {seconds:.0f} s")
    # 200 at once, then two a second.
    assert ended["joined"] <= 200 + 2 * seconds
