# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The secondaries to notify, the clients that may transfer, and the primaries to ask, as items of BIND's statements."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.formats import dns as formats
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import named


def all_keys(keys, secret="", name="transfer"):
    """Returns the keys by name, with the one of bind_transfer_secret."""
    found = dict(named("keys", formats.tsig_keys, keys))
    secret = formats.tsig_secret(secret)
    name = formats.key_name(name)
    if secret and found.setdefault(name, secret) != secret:
        raise ValueError(f"keys: {name!r} has another secret than the key by itself; write it in one place")
    return found


def _with_key(peer, keys, usual):
    """A name server's key, or an empty text for none."""
    name = peer.get("key", usual)
    if name and name not in keys:
        if "key" not in peer:
            raise ValueError(
                f"there is no secret, and {peer['address']} must be asked with one; write 32 random bytes in Base64, as "
                "`openssl rand -base64 32` prints them, the same on both ends, or {'address': …, 'key': ''} for one that "
                "knows no keys"
            )
        raise ValueError(
            f"{peer['address']}: there is no key {name!r}; {checks.nearest(name, keys) if keys else 'add it'}"
        )
    return name


def _words(address, key):
    return f'{address} key "{key}"' if key else address


def dns_transfers(secondaries, primaries=(), keys=None, secret="", name="transfer", allowed=()):
    """Returns the key statements, and the items of also-notify, allow-transfer and primaries."""
    secondaries = named("secondaries", formats.secondaries, secondaries)
    primaries = named("primaries", formats.primaries, primaries)
    keys = all_keys({} if keys is None else keys, secret, name)
    allowed = [str(network) for network in named("allowed", checks.list_of(checks.network, "networks", "[]"), allowed)]
    notified, may_transfer = [], list(allowed)
    members: list[str] = []
    for peer in secondaries:
        key = _with_key(peer, keys, name)
        notified.append(_words(peer["address"], key))
        may = [f'key "{key}"'] if key else peer.get("transfer_from", [peer["address"]])
        members += may
    may_transfer += members
    return {
        # Sorted: the order of a dictionary in a vault means nothing.
        "keys": [f'key "{one}" {{ algorithm hmac-sha256; secret "{keys[one]}"; }};' for one in sorted(keys)],
        "notified": notified,
        "may_transfer": list(dict.fromkeys(may_transfer)),
        "members": list(dict.fromkeys(members)),
        "asked": [_words(peer["address"], _with_key(peer, keys, name)) for peer in primaries],
    }
