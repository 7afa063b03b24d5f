# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, certificates and requests, by python3-cryptography (38 on Debian 12, 43 on Debian 13)."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

if TYPE_CHECKING:
    # cryptography 38 has no such name.
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
KINDS = ("ecdsa-p256", "ecdsa-p384", "rsa-3072", "rsa-4096")


class X509Error(Exception):
    """A text is no key or certificate; the message says what is wrong with it."""


def pin(public: object) -> str:
    """Return the SHA-256 of a public key's SubjectPublicKeyInfo, as in a TLSA record 3 1 1 (RFC 7671)."""
    encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return hashlib.sha256(encoded).hexdigest()


def load_key(pem: str) -> PrivateKeyTypes:
    """Return a private key out of PEM text. Raises X509Error."""
    try:
        return serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise X509Error(f"no unencrypted private key in PEM: {error}") from error


def key_pin(pem: str) -> str:
    """Return the digest of the public half of a private key in PEM."""
    return pin(load_key(pem).public_key())


def key_family(pem: str) -> str:
    """Return the family of a private key in PEM: RSA, or ECDSA, with which EdDSA goes."""
    return "RSA" if isinstance(load_key(pem), rsa.RSAPrivateKey) else "ECDSA"


def family_of_kind(kind: str) -> str:
    """Return the family of one of KINDS."""
    return "RSA" if kind.startswith("rsa-") else "ECDSA"


def _hash_for(key: PrivateKeyTypes) -> hashes.SHA256 | None:
    # EdDSA has its own.
    return None if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else hashes.SHA256()


def new_key(kind: str) -> str:
    """Return a new private key of one of KINDS, in PEM (PKCS #8)."""
    key: PrivateKeyTypes
    if kind.startswith("rsa-"):
        key = rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa-")))
    else:
        key = ec.generate_private_key({"ecdsa-p256": ec.SECP256R1, "ecdsa-p384": ec.SECP384R1}[kind]())
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*encoding).decode()


@dataclass(frozen=True)
class Certificate:
    """What a certificate says of itself."""

    begin: datetime.datetime
    end: datetime.datetime
    names: frozenset[str]
    pin: str
    # SHA-256 of the whole certificate.
    digest: str
    # The algorithm of its key, and the size of that.
    algorithm: str
    bits: int

    @property
    def life(self) -> datetime.timedelta:
        """How long it is valid from its first moment to its last, at least a second."""
        return max(self.end - self.begin, datetime.timedelta(seconds=1))

    def percent_left(self, now: datetime.datetime) -> float:
        """Return the percentage of its life that is left."""
        return 100 * (self.end - now) / self.life


def _algorithm(public: object) -> tuple[str, int]:
    if isinstance(public, rsa.RSAPublicKey):
        return "RSA", public.key_size
    if isinstance(public, ec.EllipticCurvePublicKey):
        return "ECDSA", public.curve.key_size
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "Ed25519", 256
    if isinstance(public, ed448.Ed448PublicKey):
        return "Ed448", 456
    return type(public).__name__.strip("_").removesuffix("PublicKey"), int(getattr(public, "key_size", 0))


def _moment(certificate: x509.Certificate, name: str) -> datetime.datetime:
    # cryptography 42 and newer warn of the names without a zone, and 38 has no others.
    moment: datetime.datetime | None = getattr(certificate, f"{name}_utc", None)
    if moment is None:
        moment = getattr(certificate, name).replace(tzinfo=datetime.UTC)
    return moment


def look(pem: str) -> Certificate:
    """Return what the first certificate of a PEM text says. Raises X509Error."""
    found = BLOCK.search(pem)
    if not found:
        raise X509Error("no certificate in PEM")
    try:
        certificate = x509.load_pem_x509_certificate(found[0].encode())
        try:
            extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
            names = extension.value.get_values_for_type(x509.DNSName)  # type: ignore[attr-defined]
        except x509.ExtensionNotFound:
            names = []
        algorithm, bits = _algorithm(certificate.public_key())
        return Certificate(
            begin=_moment(certificate, "not_valid_before"),
            end=_moment(certificate, "not_valid_after"),
            names=frozenset(names),
            pin=pin(certificate.public_key()),
            digest=certificate.fingerprint(hashes.SHA256()).hex(),
            algorithm=algorithm,
            bits=bits,
        )
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension) as error:
        raise X509Error(f"no certificate: {error}") from error


def chain(pem: str) -> list[str]:
    """Return the certificates of a PEM text, each as PEM, in their order."""
    return BLOCK.findall(pem)


def request(key_pem: str, names: Sequence[str], *, with_usage: bool = False) -> str:
    """Return a request for a certificate of a key and these names, in PEM (RFC 2986).

    The subject is empty, so that the names are critical (RFC 5280, section 4.2.1.6). `with_usage` asks for the uses of a
    server that is a client to other servers; a public authority decides these by itself.
    """
    key = load_key(key_pem)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True)
    if with_usage:
        usage = x509.KeyUsage(True, *[False] * 8)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(usage, critical=True)
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    signed = builder.sign(key, _hash_for(key))  # type: ignore[arg-type]
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def self_signed(key_pem: str, names: Sequence[str], common_name: str, days: int) -> str:
    """Return a certificate that a key has signed for itself, in PEM."""
    key = load_key(key_pem)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    )
    return builder.sign(key, _hash_for(key)).public_bytes(serialization.Encoding.PEM).decode()  # type: ignore[arg-type]
