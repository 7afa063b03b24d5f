# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host's OpenSSL says of certificate files."""

from __future__ import annotations

import base64
import datetime
import hashlib
import itertools
import json
import math
import re

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, attempt

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", re.DOTALL)
PARSE = (
    "openssl",
    "x509",
    "-noout",
    "-subject",
    "-issuer",
    "-dates",
    "-dateopt",
    "iso_8601",
    "-nameopt",
    "RFC2253,utf8,-esc_msb",
    "-ext",
    "subjectAltName",
    "-pubkey",
)

# What is asked about certificates, as modules take it.
QUESTION = {
    "paths": {"type": "list", "elements": "path", "required": True},
    # The values are paths, not keys: nothing to hide.
    "keys": {"type": "dict", "default": {}, "no_log": False},
    "roll": {"type": "path"},
    "accounts": {"type": "path"},
}


class CertificateError(Exception):
    """A file that is there but is not what it should be."""


def run(command, stdin=""):
    """Runs openssl and returns its standard output; its first line of complaint is the error."""
    try:
        done = attempt(command, stdin=stdin)
    except CommandError as error:
        raise CertificateError(f"{error}; install the package openssl on the host") from error
    if done.status != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise CertificateError(lines[0] if lines else f"openssl exited with {done.status}")
    return done.stdout


def _public_key(text):
    """Returns where the public key is in PEM text."""
    if found := PUBLIC_KEY.search(text):
        return found
    raise CertificateError("openssl printed no public key")


def public_key(text):
    """Returns the DER bytes of the public key in PEM text: a SubjectPublicKeyInfo (RFC 5280, section 4.1)."""
    return base64.b64decode(_public_key(text)[1])


def kind(text):
    """Returns the family and the bits of the public key in PEM text."""
    said = run(("openssl", "pkey", "-pubin", "-noout", "-text_pub"), _public_key(text)[0])
    bits = re.search(r"Public-Key: \((\d+) bit", said)
    family = "RSA" if "Modulus:" in said else "ECDSA" if "ASN1 OID:" in said else "other"
    return {"key_family": family, "key_bits": int(bits[1]) if bits else None}


def _der(block):
    return base64.b64decode("".join(block.splitlines()[1:-1]))


def _moment(text):
    return datetime.datetime.strptime(text.strip(), "%Y-%m-%d %H:%M:%SZ").replace(tzinfo=datetime.UTC)


def parse(text, now):
    """Turns the output of PARSE into what the module returns."""
    fields = dict(re.findall(r"^(subject|issuer|notBefore|notAfter)=[ \t]*(.*?)[ \t]*$", text, re.MULTILINE))
    names = re.search(r"X509v3 Subject Alternative Name:[^\n]*\n\s+([^\n]*)", text)
    general_names = names[1].split(", ") if names else []
    not_before, not_after = _moment(fields["notBefore"]), _moment(fields["notAfter"])
    life = max(not_after - not_before, datetime.timedelta(seconds=1))
    return {
        "present": True,
        "pin": hashlib.sha256(public_key(text)).hexdigest(),
        "not_before": not_before.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "not_after": not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "life_days": life // datetime.timedelta(days=1),
        "days_left": (not_after - now) // datetime.timedelta(days=1),
        "percent_left": math.floor(100 * (not_after - now) / life),
        "names": [name.removeprefix("DNS:") for name in general_names if name.startswith("DNS:")],
        "subject": fields["subject"],
        "issuer": fields["issuer"],
        "self_signed": fields["subject"] == fields["issuer"],
    }


def key_matches(path, pin):
    """Tells whether the private key in a file belongs to the public key with this digest."""
    try:
        open(path, "rb").close()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CertificateError(f"private key {path}: {error.strerror}") from error
    try:
        # The empty passphrase keeps openssl from asking for one.
        output = run(("openssl", "pkey", "-in", path, "-pubout", "-passin", "pass:"))
    except CertificateError as error:
        raise CertificateError(
            f"private key {path}: {error}; give an unencrypted private key in PEM, or remove the file"
        ) from error
    return hashlib.sha256(public_key(output)).hexdigest() == pin


def _noted(path, what, remedy, read):
    """Returns what `read` takes out of a file that xmpp-certificate keeps: a certificate, and a list for it."""
    try:
        with open(path, encoding="utf-8") as stream:
            return read(json.load(stream))
    except FileNotFoundError:
        return None, []
    except OSError as error:
        raise CertificateError(f"{what} {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CertificateError(f"{what} {path}: it is broken ({error}); {remedy}") from error


def waiting(path):
    """Returns the certificate whose key is being rolled and the digests that its TLSA records name, from the roll's state."""

    def read(state):
        if not all(re.fullmatch("[0-9a-f]{64}", pin) for pin in state["pins"]):
            raise ValueError("pins are 64 lower-case hexadecimal digits")
        return state["path"], state["pins"]

    return _noted(path, "state of a key roll", "restore it, or remove its folder to give the roll up", read)


def allowed(path):
    """Returns the certificate that ACME accounts are for, and the accounts, from what xmpp-certificate notes of them."""

    def read(noted):
        for account in noted["accounts"]:
            missing = {"directory", "identities", "uri", "method"} - set(account)
            if missing:
                raise ValueError(f"there is no {', '.join(sorted(missing))}")
        return noted["path"], noted["accounts"]

    return _noted(path, "ACME accounts", "remove it, and the next run of the playbook makes it anew", read)


def describe(path, key=None, now=None, pins=(), accounts=()):
    """Returns what the module says of one certificate file."""
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            blocks = CERTIFICATE.findall(stream.read())
    except FileNotFoundError:
        return {"present": False}
    except OSError as error:
        raise CertificateError(f"certificate {path}: {error.strerror}") from error
    if not blocks:
        raise CertificateError(
            f"certificate {path}: holds no '-----BEGIN CERTIFICATE-----'; give a PEM file, the host's certificate "
            "first, its chain after it"
        )
    # A daemon refuses the whole file when one certificate of the chain is broken: read them all.
    now = now or datetime.datetime.now(datetime.UTC)
    chain = []
    for number, block in enumerate(blocks, 1):
        try:
            text = run(PARSE, block)
            chain.append(parse(text, now) | (kind(text) if number == 1 else {}))
        except CertificateError as error:
            raise CertificateError(
                f"certificate {path}, number {number} of {len(blocks)}: {error}; give a whole PEM file"
            ) from error
    facts = chain[0]
    facts["pins"] = list(dict.fromkeys([facts["pin"], *pins]))
    facts["accounts"] = list(accounts)
    facts["chain_digest"] = hashlib.sha256(b"".join(_der(block) for block in blocks)).hexdigest()
    facts["chain_length"] = len(chain)
    facts["root"] = base64.b64encode(_der(blocks[-1])).decode()
    facts["chain_linked"] = all(below["issuer"] == above["subject"] for below, above in itertools.pairwise(chain))
    facts["key_matches"] = key_matches(key, facts["pin"]) if key else None
    return facts


def certificates(questions):
    """Returns what each certificate says, by its path. A path in two questions is described as the first one asks."""
    found = {}
    for question in questions:
        rolled, pins = waiting(question["roll"]) if question.get("roll") else (None, [])
        ordered, accounts = allowed(question["accounts"]) if question.get("accounts") else (None, [])
        keys = question.get("keys") or {}
        for path in question["paths"]:
            if path not in found:
                found[path] = describe(
                    path,
                    keys.get(path),
                    pins=pins if path == rolled else (),
                    accounts=accounts if path == ordered else (),
                )
    return found
