# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of the keys of certificates: how long they are."""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING

from ... import hello, tls
from . import encryption
from .base import Broken, Subject, Unknown, Weakened, probe

if TYPE_CHECKING:
    from ... import x509

# Bits that a key must have, and those that BSI TR-02102-2 asks for from 2024 on.
LEAST = {"RSA": 2048, "ECDSA": 224, "Ed25519": 256, "Ed448": 456}
WANTED = {"RSA": 3000, "ECDSA": 250, "Ed25519": 250, "Ed448": 250}


def _contexts(versions: dict[int, list[int]]) -> list[ssl.SSLContext]:
    """Return the contexts of clients that see all certificates of a port: by TLS 1.2, the suite chooses the kind of key."""
    names = [hello.suite_name(suite) for suite in versions.get(hello.TLS12, [])]
    families = {"aECDSA" if "ECDSA" in name else "aRSA" for name in names}
    contexts = []
    for family in sorted(families) if len(families) > 1 else ["ALL"]:
        context = tls.trusting()
        context.set_ciphers(f"{family}:@SECLEVEL=0")
        if len(families) > 1:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        contexts.append(context)
    return contexts


def _certificates(subject: Subject, port: encryption.Port) -> list[x509.Certificate]:
    try:
        from ... import x509
    except ImportError as error:
        raise Unknown(f"this machine lacks a library: {error}") from error
    found = []
    try:
        for context in _contexts(encryption.enumerated_port(subject, port)):
            pem = ssl.DER_cert_to_PEM_cert(encryption.presented(subject, port, port["name"], context)[0])
            found.append(x509.look(pem))
    except tls.TlsError as error:
        raise Unknown(f"port {port['port']}: {error}") from error
    except x509.X509Error as error:
        raise Broken(f"port {port['port']} presents {error}") from error
    return found


def certificates(subject: Subject, port: encryption.Port) -> list[x509.Certificate]:
    """Return the certificates that a port presents, one for each kind of key, once for all that ask."""
    key = ("certificates", encryption.address_of(subject, port), port["port"], port["name"])
    found: list[x509.Certificate] = subject.evidence.once(key, partial(_certificates, subject, port))
    return found


@probe("key_sizes", whole=True)
def key_sizes(subject: Subject, _argument: str) -> str:
    """See that the key of each certificate is long enough."""
    seen: dict[str, set[int]] = {}
    silent = []
    for port in subject.config["ports"]:
        try:
            for one in certificates(subject, port):
                seen.setdefault(f"{one.algorithm} of {one.bits} bits", set()).add(port["port"])
                if one.bits < LEAST.get(one.algorithm, one.bits + 1):
                    raise Broken(f"port {port['port']} has a key that is too short: {one.algorithm} of {one.bits} bits")
        except Unknown as error:
            silent.append(str(error))
    if not seen:
        raise Unknown(silent[0] if silent else "there is no TLS port")
    text = ", ".join(sorted(seen))
    for kind, ports in seen.items():
        algorithm, bits = kind.split(" of ")[0], int(kind.split()[-2])
        if bits < WANTED[algorithm]:
            where = ", ".join(map(str, sorted(ports)))
            raise Weakened(f"{text}; BSI TR-02102-2 asks for {WANTED[algorithm]} bits of {algorithm} (ports {where})")
    return text
