# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the host's certificates and keys, for config_tree."""

from __future__ import annotations

# The names of the first pair's files and of the second one's, where the host's program looks for them in a folder.
CHAINS = ("fullchain.pem", "fullchain-rsa.pem")
KEYS = ("privkey.pem", "privkey-rsa.pem")


def certificate_files(pairs, chains, keys=(), issuer="", group=None, folder=None):
    """Returns entries of config_tree for chains, and for keys if they are given, at the places of pairs or in a folder."""
    for name, texts in (("chains", chains), ("keys", keys or chains)):
        if len(texts) != len(pairs):
            raise ValueError(f"{name}: there are {len(texts)}, and pairs: {len(pairs)}; give one for each")
    access: dict[str, object] = {"group": group, "mode": "0640"} if group else {"mode": "0600"}
    files: dict[str, dict[str, object]] = {folder: {"state": "directory", "mode": "0700"}} if folder else {}
    for number, pair in enumerate(pairs):
        path = f"{folder}/{CHAINS[number]}" if folder else pair["path"]
        files[path] = {**access, "content": "".join(f"{text.strip()}\n" for text in (chains[number], issuer) if text)}
        if keys:
            path = f"{folder}/{KEYS[number]}" if folder else pair["key_path"]
            files[path] = {**access, "content": f"{keys[number].strip()}\n", "secret": True}
    return files
