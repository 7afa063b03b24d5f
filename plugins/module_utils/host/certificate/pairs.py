# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs of a key and a certificate's chain: those that daemons read, and how all of them change at one go."""

from __future__ import annotations

import datetime
import glob
import grp
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .. import files, words, x509
from .errors import Refused
from .settings import Settings

# The names of the first pair's files and of the second one's, wherever they lie beside one another.
CHAINS = ("fullchain.pem", "fullchain-rsa.pem")
KEYS = ("privkey.pem", "privkey-rsa.pem")
# The chains that the authority has issued and all ports serve.
STATE = "/var/lib/xmpp-certificate/state.json"
PREFIX = ".xmpp-certificate-"


def look(chain: str) -> x509.Certificate:
    """Return what the first certificate of a chain says."""
    try:
        return x509.look(chain)
    except x509.X509Error as error:
        raise Refused(str(error)) from error


def digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


class Content(NamedTuple):
    """A chain and its key, in PEM."""

    chain: str
    key: str

    @property
    def family(self) -> str:
        """The family of the key: ECDSA or RSA."""
        try:
            return x509.key_family(self.key)
        except x509.X509Error as error:
            raise Refused(str(error)) from error


@dataclass(frozen=True)
class Pair:
    """The files of a chain and of its key, and who reads them."""

    path: str
    key_path: str
    group: str = "root"
    mode: int = 0o640

    def read(self) -> Content:
        """Return the texts of both; that of a file that is not there is empty."""
        return Content(files.read_text(self.path), files.read_text(self.key_path))

    @property
    def chain(self) -> str:
        """The text of the chain."""
        return files.read_text(self.path)

    @property
    def pin(self) -> str:
        """The digest of the public key, as in a TLSA record 3 1 1 (RFC 7671)."""
        try:
            with open(self.key_path, encoding="utf-8", errors="replace") as stream:
                return x509.key_pin(stream.read())
        except OSError as error:
            raise Refused(str(error)) from error
        except x509.X509Error as error:
            raise Refused(f"{self.key_path}: {error}") from error

    @property
    def certificate(self) -> x509.Certificate | None:
        """What the host's certificate says, or None where there is none."""
        chain = self.chain
        return look(chain) if x509.chain(chain) else None

    def write_chain(self, chain: str) -> None:
        """Replace the chain, durably and at one go."""
        write(self.path, chain, self.group, self.mode)

    def write_key(self, key: str) -> None:
        """Replace the key, durably and at one go."""
        write(self.key_path, key, self.group, self.mode)

    def write(self, content: Content) -> None:
        """Replace the chain, then the key."""
        self.write_chain(content.chain)
        self.write_key(content.key)

    def request(self, names: Sequence[str], settings: Settings) -> str:
        """Return a certificate request for the key, to be signed as it is.

        A public authority decides on a certificate's uses by itself. Elsewhere they are asked for: a server is a client to
        other servers, and XMPP authenticates both ends with the same certificate.
        """
        try:
            return x509.request(files.read_text(self.key_path), names, with_usage=not settings.is_acme)
        except x509.X509Error as error:
            raise Refused(f"{self.key_path}: {error}") from error

    def check(self, chain: str, names: Sequence[str], now: datetime.datetime, without: Collection[str] = ()) -> None:
        """Refuse a chain that daemons must not serve with this key. The names in `without` may be missing."""
        blocks = x509.chain(chain)
        if not blocks:
            raise Refused("what was sent holds no certificate")
        if len(blocks) < 2:
            raise Refused("what was sent comes without a chain, so that a peer could not verify it")
        for number, block in enumerate(blocks, 1):
            try:
                look(block)
            except Refused as error:
                raise Refused(f"certificate {number} of {len(blocks)} that was sent: {error}") from error
        found = look(chain)
        if found.pin != self.pin:
            raise Refused(f"what was sent does not belong to the key {self.key_path}")
        if missing := [name for name in names if name not in found.names and name not in without]:
            raise Refused(f"what was sent lacks {', '.join(missing)}")
        if not found.begin <= now < found.end:
            raise Refused(
                f"what was sent is valid from {found.begin:%Y-%m-%d %H:%M} to {words.utc(found.end)}, which is not now; "
                "see whether the clock is right"
            )


def write(path: str, text: str, group: str, mode: int) -> None:
    """Replace a file of root's that a group reads."""
    files.replace(path, text, mode=mode, user=0, group=grp.getgrnam(group).gr_gid)


def point(path: str, target: str) -> None:
    """Replace a file by a symbolic link, at one go."""
    draft = f"{path}.draft"
    files.remove(draft)
    os.symlink(target, draft)
    os.rename(draft, path)


class Store:
    """The pairs that daemons read: one, or one of an ECDSA and one of an RSA key."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.first = Pair(settings.path, settings.key_path, settings.group)
        self.second = Pair(settings.rsa_path, settings.rsa_key_path, settings.group)

    def pairs(self) -> list[Pair]:
        """Return the pairs that the host has. The second place may have nothing, or the first pair."""
        if os.path.exists(self.second.key_path) and self.second.pin != self.first.pin:
            return [self.first, self.second]
        return [self.first]

    def contents(self) -> list[Content]:
        """Return chain and key of each pair that the host has."""
        return [pair.read() for pair in self.pairs()]

    def pins(self) -> list[str]:
        """Return the digest of each key that the host has."""
        return [pair.pin for pair in self.pairs()]

    def issued(self) -> list[str]:
        """Return the digests of the chains that are of the authority."""
        state = files.read_json(STATE, {})
        return state.get("chains", []) if state.get("directory") == self.settings.directory else []

    def note_issued(self, chains: Sequence[str]) -> None:
        """Note the digests of the chains that are of the authority."""
        files.write_json(STATE, {"directory": self.settings.directory, "chains": chains}, mode=0o640)

    def make_keys(self) -> list[str]:
        """Make the keys of a host that lacks the first one; nobody knows of it yet. Return what was made."""
        if os.path.exists(self.first.key_path):
            return []
        wanted = zip(self.settings.key_types, (self.first, self.second), strict=False)
        made = [(kind, pair) for kind, pair in wanted if not os.path.exists(pair.key_path)]
        for kind, pair in made:
            pair.write_key(x509.new_key(kind))
        return ["the key" if len(made) == 1 else "the keys"]

    def prepare(self) -> list[str]:
        """Make the keys, and self-signed certificates with which the daemons start. Return what was made."""
        made = self.make_keys()
        for pair in self.pairs():
            found = pair.certificate
            if not found or found.pin != pair.pin:
                key = pair.read().key
                pair.write_chain(x509.self_signed(key, self.settings.names, "not issued yet", 90))
                made.append("a certificate of its own, until one is issued")
        return made

    def swap(self, contents: Sequence[Content]) -> None:
        """Replace all chains and keys at one go: a daemon, or a host that loses its power, has the old pairs or the new.

        All files are made links by way of one other link; renaming that is the change; then they are files again. Each of
        the other steps leaves what the files say as it is. A second place that has no pair of its own any more is a link
        to the first, for daemons that still read it.
        """
        folder = os.path.dirname(self.first.path)
        link = os.path.join(folder, f"{PREFIX}pair")
        places = [self.first]
        if len(contents) == 2 or os.path.lexists(self.second.path):
            places.append(self.second)
        for stage in (self.contents(), contents):
            point(link, self._stage(folder, stage, len(places)))
            if stage is not contents:
                for place, pair in enumerate(places):
                    point(pair.path, os.path.join(link, CHAINS[place]))
                    point(pair.key_path, os.path.join(link, KEYS[place]))
        for place, pair in enumerate(places):
            if place < len(contents):
                pair.write(contents[place])
            else:
                point(pair.path, self.first.path)
                point(pair.key_path, self.first.key_path)
        os.unlink(link)
        self._sweep(folder)

    def _stage(self, folder: str, contents: Sequence[Content], places: int) -> str:
        """Return a new folder with a pair for each place; where there is one pair for two places, both have it."""
        stage = tempfile.mkdtemp(dir=folder, prefix=PREFIX)
        os.chown(stage, 0, grp.getgrnam(self.settings.group).gr_gid)
        os.chmod(stage, 0o750)
        for place in range(places):
            pair = Pair(os.path.join(stage, CHAINS[place]), os.path.join(stage, KEYS[place]), self.settings.group)
            pair.write(contents[min(place, len(contents) - 1)])
        return stage

    def _sweep(self, folder: str) -> None:
        """Remove stages and drafts, those of a run that was killed included: nothing points there any more."""
        for path in glob.glob(os.path.join(glob.escape(folder), f"{PREFIX}*")):
            if os.path.islink(path) or not os.path.isdir(path):
                os.unlink(path)
            else:
                shutil.rmtree(path)
        for path in (STATE, *(path for pair in (self.first, self.second) for path in (pair.path, pair.key_path))):
            files.sweep(path, older=0)
