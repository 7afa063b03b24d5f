# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who does not log in for long is warned, and later gone; administrators and whoever is there stay. The last file, as all
other accounts of the host go, too."""

from __future__ import annotations

import secrets

from clients import CLIENT
from conftest import DOMAIN, Account, create, world

DAY = 86400
LATER, MUCH_LATER = 366, 366 + 31


def run(rosewood, days: int, dry: bool = False) -> dict[str, str]:
    """The daily task as of so many days from now; whom it warns and deletes."""
    mark = f"mark-{secrets.token_hex(4)}"
    program = (
        f"prosody.log('info', '{mark}'); local n = prosody.hosts['{DOMAIN}'].modules.inactive_accounts.run("
        f"os.time() + {days * DAY}, {'true' if dry else 'false'}) return n.warn .. ' ' .. n.delete"
    )
    rosewood.out("prosodyctl shell", stdin=f"> {program}\n")
    journal = rosewood.out("journalctl --unit prosody --output cat --no-pager --lines 200").split(mark)[-1].splitlines()
    return {
        line.split(": not used since ")[0].split(": ", 1)[1]: line.rsplit(": ", 1)[1]
        for line in journal
        if ": not used since " in line
    }


async def test_who_is_away_for_long_is_warned_and_then_gone(rosewood, connect):
    names = ("sleeper", "waker", "present")
    sleeper, waker, present = (create(rosewood, name, DOMAIN) for name in names)
    chief = Account(f"admin@{DOMAIN}", secrets.token_urlsafe(18))
    rosewood.out(f"prosodyctl adduser {chief.jid}", stdin=f"{chief.password}\n" * 2)
    user = {account.jid: account.jid.split("@")[0] for account in (sleeper, waker, present, chief)}
    there = await connect(present)

    # Its first run knows nobody, and has nobody go.
    assert run(rosewood, 0) == {}
    listed = rosewood.out("xmpp-inactive all")
    print(listed.splitlines()[0])
    # By the host's own zone.
    assert f"keep {rosewood.out('date +%F')} {sleeper.jid}" in listed
    assert rosewood.out("xmpp-inactive") == "0 accounts"

    assert run(rosewood, LATER, dry=True)[f"dry run: {user[sleeper.jid]}"] == "warned"
    warned = run(rosewood, LATER)
    assert warned[user[sleeper.jid]] == warned[user[waker.jid]] == "warned"
    assert not {user[present.jid], user[chief.jid]} & set(warned)
    # Once.
    assert user[sleeper.jid] not in run(rosewood, LATER)
    session = await connect(waker)
    message = await session.take(lambda s: "will be deleted 30 days from now" in (s.findtext(f"{CLIENT}body") or ""))
    assert message.get("from") == DOMAIN
    await session.logout()

    # A dry run, and one too early, leave all as it is.
    assert run(rosewood, MUCH_LATER, dry=True)[f"dry run: {user[sleeper.jid]}"] == "deleted"
    assert user[sleeper.jid] not in run(rosewood, LATER + 29)
    await (await connect(sleeper)).logout()
    # That was a login: all begins again.
    assert run(rosewood, LATER)[user[sleeper.jid]] == "warned"
    gone = run(rosewood, MUCH_LATER)
    print({name: gone.get(user[account.jid]) for name, account in zip(names, (sleeper, waker, present), strict=True)})
    assert gone[user[sleeper.jid]] == "deleted"
    assert gone.get(user[waker.jid]) != "deleted"
    assert not {user[present.jid], user[chief.jid]} & set(gone)
    assert not await world.logs_in(connect, sleeper)
    for account in (waker, chief):
        await (await connect(account)).logout()
    await there.ping()
