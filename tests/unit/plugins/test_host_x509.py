# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, requests and certificates, compared with what openssl makes and reads."""

import base64
import datetime
import hashlib
import re
import subprocess

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import x509

NAMES = ["example.org", "xn--bcher-kva.example.org"]
# Made by hand, as an operator may bring them.
OTHERS = {
    "ed25519": (["-algorithm", "ED25519"], "ECDSA"),
    "sec1": (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "ECDSA"),
}


def openssl(*arguments, stdin=None):
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, text=True, check=True).stdout


def pin_of(key):
    der = base64.b64decode(openssl("pkey", "-pubout", stdin=key).split("-----")[2])
    return hashlib.sha256(der).hexdigest()


def extensions(text):
    """Names, criticality and values of extensions in openssl's words."""
    found = re.findall(r"^ +(X509v3 [^:\n]+): (critical)?\s*\n +(.+)$", text, re.MULTILINE)
    return {name: (critical, value.strip()) for name, critical, value in found}


@pytest.fixture(scope="module")
def keys():
    made = {kind: x509.new_key(kind) for kind in ("ecdsa-p256", "ecdsa-p384", "rsa-3072")}
    return made | {name: openssl("genpkey", *arguments) for name, (arguments, _family) in OTHERS.items()}


@pytest.mark.parametrize(
    ("kind", "said"),
    [("ecdsa-p256", "ASN1 OID: prime256v1"), ("ecdsa-p384", "ASN1 OID: secp384r1"), ("rsa-3072", "(3072 bit")],
)
def test_a_new_key(keys, kind, said):
    key = keys[kind]
    assert key.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert said in openssl("pkey", "-noout", "-text", stdin=key)
    assert openssl("pkey", stdin=key) == key, "openssl writes it another way"
    assert x509.key_pin(key) == pin_of(key)
    assert x509.key_family(key) == x509.family_of_kind(kind)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_key_of_openssl(keys, kind):
    key = keys[kind]
    assert x509.key_pin(key) == pin_of(key)
    assert x509.key_family(key) == OTHERS[kind][1]
    if kind == "sec1":
        old = openssl("ec", stdin=key)
        assert old.startswith("-----BEGIN EC PRIVATE KEY-----") and x509.key_pin(old) == pin_of(key)


@pytest.mark.parametrize("with_usage", [False, True])
@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-3072", "ed25519"])
def test_a_request_is_the_one_that_openssl_makes(keys, kind, with_usage):
    added = [f"subjectAltName=critical,{','.join(f'DNS:{name}' for name in NAMES)}"]
    if with_usage:
        added += ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
        added += ["extendedKeyUsage=serverAuth,clientAuth"]
    words = [word for extension in added for word in ("-addext", extension)]
    theirs = openssl("req", "-new", "-key", "/dev/stdin", "-subj", "/", *words, stdin=keys[kind])
    ours = x509.request(keys[kind], NAMES, with_usage=with_usage)
    texts = [openssl("req", "-noout", "-text", "-verify", stdin=text) for text in (ours, theirs)]
    print(extensions(texts[0]))
    assert extensions(texts[0]) == extensions(texts[1]) and len(extensions(texts[0])) == len(added)
    for pattern in (r"Subject:.*", r"Signature Algorithm: .*", r"Public Key Algorithm: .*", r"Version: .*"):
        assert re.findall(pattern, texts[0]) == re.findall(pattern, texts[1])


def test_a_self_signed_certificate(keys, tmp_path):
    text = x509.self_signed(keys["ecdsa-p256"], NAMES, "not issued yet", 90)
    path = tmp_path / "certificate.pem"
    path.write_text(text)
    assert openssl("verify", "-CAfile", str(path), str(path)) == f"{path}: OK\n"
    printed = openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", stdin=text)
    assert printed.replace(" ", "") == "subject=CN=notissuedyet\n"
    found = x509.look(text)
    assert found.names == set(NAMES) and found.pin == pin_of(keys["ecdsa-p256"])
    assert found.life == datetime.timedelta(days=90)


def test_a_certificate_says_what_openssl_reads(keys):
    leaf = openssl(
        *("req", "-x509", "-key", "/dev/stdin", "-subj", "/", "-days", "9", "-addext", "subjectAltName=DNS:a.test"),
        stdin=keys["rsa-3072"],
    )
    found = x509.look(f"words before\n{leaf}")
    dates = openssl("x509", "-noout", "-dates", "-dateopt", "iso_8601", stdin=leaf)
    moments = [line.split("=")[1] for line in dates.splitlines()]
    assert [f"{moment:%Y-%m-%d %H:%M:%SZ}" for moment in (found.begin, found.end)] == moments
    printed = openssl("x509", "-noout", "-fingerprint", "-sha256", stdin=leaf)
    assert found.digest == printed.strip().split("=")[1].replace(":", "").lower()
    assert found.names == {"a.test"} and found.pin == pin_of(keys["rsa-3072"])
    assert 0 < found.percent_left(datetime.datetime.now(datetime.UTC)) <= 100
    without = openssl("req", "-x509", "-key", "/dev/stdin", "-subj", "/CN=a.test", stdin=keys["rsa-3072"])
    assert x509.look(without).names == set() and len(x509.chain(leaf + without)) == 2


def test_what_is_no_key_and_no_certificate(keys):
    encrypted = openssl("pkey", "-aes256", "-passout", "pass:abcd", stdin=keys["ecdsa-p256"])
    for text in ("", "words\n", encrypted, keys["ecdsa-p256"].replace("M", "A")):
        with pytest.raises(x509.X509Error, match="no unencrypted private key in PEM"):
            x509.key_pin(text)
    for text in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(x509.X509Error, match="no certificate"):
            x509.look(text)
