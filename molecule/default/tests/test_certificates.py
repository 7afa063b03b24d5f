# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's own certificate is deployed whole, and one that does not fit is refused before anything changes."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import INVENTORY
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hosts import ansible

NAMES = ["files.test", "upload.files.test"]
PLACE = "/etc/ssl/files.test"
NOW = datetime.datetime.now(datetime.UTC)
pytestmark = pytest.mark.any_release(
    "the files are deployed to internet.test, which is Debian 13 beside either release"
)


def pair(
    folder: Path, names=NAMES, days=90, age=1, other_key=False, chain=True, issuer="Authority", bits=0
) -> dict[str, str]:
    """Makes a pair with days behind and before it, of an RSA key where its bits are said, which is the second one then."""
    key, ca_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    kind = "rsa_" if bits else ""
    if bits:
        key = rsa.generate_private_key(65537, bits)
    subjects = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (names[0], issuer, "Authority")]

    def issued(name, by, public):
        builder = x509.CertificateBuilder(by, name, public, x509.random_serial_number())
        builder = builder.not_valid_before(NOW - datetime.timedelta(days=age))
        return builder.not_valid_after(NOW + datetime.timedelta(days=days, hours=1))

    leaf = issued(subjects[0], subjects[1], key.public_key())
    leaf = leaf.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    made = [leaf, issued(subjects[2], subjects[2], ca_key.public_key())][: 2 if chain else 1]
    if other_key:
        key = ec.generate_private_key(ec.SECP256R1())
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    signed = [certificate.sign(ca_key, hashes.SHA256()) for certificate in made]
    (folder / f"{kind}chain.pem").write_bytes(b"".join(certificate.public_bytes(pem[0]) for certificate in signed))
    (folder / f"{kind}key.pem").write_bytes(key.private_bytes(*pem))
    return {
        f"certificates_{kind}source": str(folder / f"{kind}chain.pem"),
        f"certificates_{kind}key_source": str(folder / f"{kind}key.pem"),
    }


@pytest.fixture
def deploy(tmp_path, internet):
    """Run role certificates alone, on the second host, with the operator's files."""

    def run(**variables: str) -> subprocess.CompletedProcess:
        play = {
            "hosts": "internet.test",
            "gather_facts": False,
            "roles": ["magicbroccoli.xmpp.certificates"],
            "vars": {
                "certificates_provider": "files",
                "certificates_names": NAMES,
                "certificates_path": f"{PLACE}/fullchain.pem",
                "certificates_key_path": f"{PLACE}/privkey.pem",
                "certificates_group": "files-tls",
                "certificates_key_types": ["ecdsa-p256"],
            },
        }
        (tmp_path / "play.yml").write_text(yaml.safe_dump([play | {"vars": play["vars"] | variables}]))
        arguments = ("--diff", "-v", str(tmp_path / "play.yml"))
        return ansible("ansible-playbook", *arguments, inventory=INVENTORY)

    return run


def test_a_pair_is_deployed(internet, deploy, tmp_path):
    files = pair(tmp_path)
    internet.out(f"rm -rf {PLACE}")
    hook = "/etc/xmpp/deploy.d/files-test"
    internet.out(
        f"install -d /etc/xmpp/deploy.d; printf '#!/bin/sh\\ndate >> /run/deployed\\n' > {hook}; chmod 755 {hook}"
    )
    first, second = deploy(**files), deploy(**files)
    assert first.returncode == second.returncode == 0, first.stdout + first.stderr + second.stdout
    assert "changed=0" in second.stdout
    assert internet.out("wc -l < /run/deployed") == "1"
    internet.out(f"rm {hook}")
    secret = (tmp_path / "key.pem").read_text()
    assert internet.out(f"cat {PLACE}/privkey.pem") == secret.strip()
    assert internet.out(f"stat -c '%U:%G %a' {PLACE} {PLACE}/privkey.pem").split("\n") == [
        "root:files-tls 750",
        "root:files-tls 640",
    ]
    # Not in the output, though it shows differences.
    assert "BEGIN CERTIFICATE" in first.stdout
    assert not any(line in first.stdout + first.stderr for line in secret.splitlines()[1:-1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"names": NAMES[:1]}, "lacks upload.files.test"),
        ({"days": 8, "age": 82}, "8 % of its life are left. At least 11 % must be left."),
        ({"days": -1}, "expires at"),
        ({"other_key": True}, "does not belong to the key"),
        ({}, "is for another key than /etc/ssl/files.test/fullchain.pem on the host. Run playbooks/roll_keys.yml"),
        ({"chain": False}, "comes without a chain, so that a peer could not verify it"),
        ({"issuer": "Another"}, "has a chain whose certificates do not follow one another"),
    ],
    ids=[
        *("a name is missing", "too old", "expired", "of another key", "in place of another key", "without a chain"),
        "with another chain",
    ],
)
def test_a_pair_that_does_not_fit_is_refused(internet, deploy, tmp_path, wrong, message):
    internet.out(f"mkdir -p {PLACE}; touch {PLACE}/fullchain.pem")
    before = internet.out(f"sha256sum {PLACE}/*")
    refused = deploy(**pair(tmp_path, **wrong))
    assert refused.returncode != 0
    said = " ".join(refused.stdout.split() + refused.stderr.split())
    print(next(line for line in refused.stderr.splitlines() + refused.stdout.splitlines() if "chain.pem" in line))
    assert f"certificates_source: {tmp_path}/chain.pem" in said
    assert message in said
    assert internet.out(f"sha256sum {PLACE}/*") == before


def test_a_file_that_is_not_there_is_named(deploy, tmp_path):
    missing = {"certificates_source": f"{tmp_path}/none.pem", "certificates_key_source": f"{tmp_path}/none.key"}
    refused = deploy(**missing)
    assert refused.returncode != 0
    assert f"{tmp_path}/none.pem does not exist" in " ".join(refused.stdout.split() + refused.stderr.split())


TWO = {"certificates_key_types": ["rsa-3072", "ecdsa-p256"]}


def test_two_pairs_are_deployed(internet, deploy, tmp_path):
    files = pair(tmp_path) | pair(tmp_path, bits=3072)
    internet.out(f"rm -rf {PLACE}")
    first, second = deploy(**files, **TWO), deploy(**files, **TWO)
    assert first.returncode == second.returncode == 0, first.stdout + first.stderr + second.stdout
    assert "changed=0" in second.stdout
    assert internet.out(f"LC_ALL=C ls {PLACE}").split() == [
        "fullchain-rsa.pem",
        "fullchain.pem",
        "privkey-rsa.pem",
        "privkey.pem",
    ]
    assert internet.out(f"stat -c '%U:%G %a' {PLACE}/*").split("\n") == ["root:files-tls 640"] * 4
    secrets = [(tmp_path / name).read_text() for name in ("key.pem", "rsa_key.pem")]
    assert internet.out(f"cat {PLACE}/privkey.pem {PLACE}/privkey-rsa.pem") == "".join(secrets).strip()
    assert not any(line in first.stdout + first.stderr for secret in secrets for line in secret.splitlines()[1:-1])
    # The RSA key is rolled to, too.
    refused = deploy(**files | pair(tmp_path, bits=3072), **TWO)
    assert refused.returncode != 0
    assert "Run playbooks/roll_keys.yml" in " ".join(refused.stdout.split() + refused.stderr.split())


@pytest.mark.parametrize(
    ("bits", "kinds", "message"),
    [
        (2048, TWO, "rsa_chain.pem has an RSA key of 2048 bits. At least 3072 are needed"),
        (0, TWO, "certificates_rsa_source is empty. Name the file of your certificate chain"),
        (3072, {}, "rsa_chain.pem is a second pair, but certificates_key_types has one kind of key"),
    ],
    ids=["too short", "no second one", "a second one that nobody asked for"],
)
def test_a_second_pair_that_does_not_fit_is_refused(internet, deploy, tmp_path, bits, kinds, message):
    before = internet.out(f"sha256sum {PLACE}/*")
    refused = deploy(**pair(tmp_path), **(pair(tmp_path, bits=bits) if bits else {}), **kinds)
    assert refused.returncode != 0
    assert message in " ".join(refused.stdout.split() + refused.stderr.split())
    assert internet.out(f"sha256sum {PLACE}/*") == before
