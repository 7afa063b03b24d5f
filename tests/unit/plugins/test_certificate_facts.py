# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import datetime
import hashlib
import io
import ipaddress
import json
import ssl

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import certificates
from ansible_collections.magicbroccoli.xmpp.plugins.modules import certificate_facts
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

BEGIN = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2025, 4, 1, 12, 30, 5, tzinfo=datetime.UTC)


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def certificate(key, subject="example.org", issuer="Example CA", names=(), signer=None):
    builder = x509.CertificateBuilder(
        name(issuer), name(subject), key.public_key(), x509.random_serial_number(), BEGIN, END
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signer = signer or key
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signer, digest).public_bytes(serialization.Encoding.PEM).decode()


def pem(key, password=None):
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


def digest(key):
    return hashlib.sha256(
        key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()


MAKERS = [
    lambda: ec.generate_private_key(ec.SECP256R1()),
    lambda: ec.generate_private_key(ec.SECP384R1()),
    lambda: rsa.generate_private_key(65537, 2048),
    ed25519.Ed25519PrivateKey.generate,
]


@pytest.mark.parametrize("make", MAKERS, ids=["P-256", "P-384", "RSA", "Ed25519"])
def test_pin_is_the_digest_of_the_public_key(tmp_path, make):
    key = make()
    (tmp_path / "cert.pem").write_text(certificate(key))
    (tmp_path / "key.pem").write_text(pem(key))
    found = certificates.describe(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    assert (found["pin"], found["key_matches"]) == (digest(key), True)
    kinds = [("ECDSA", 256), ("ECDSA", 384), ("RSA", 2048), ("other", None)]
    assert (found["key_family"], found["key_bits"]) == kinds[MAKERS.index(make)]


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def other():
    return ec.generate_private_key(ec.SECP256R1())


def test_everything_it_says(tmp_path, key, other):
    names = [
        x509.DNSName("example.org"),
        x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
        x509.DNSName("*.example.org"),
        x509.RFC822Name("hostmaster@example.org"),
    ]
    path = tmp_path / "fullchain.pem"
    blocks = [certificate(key, "Bröccoli, Inc", "Example CA", names, other), certificate(other, "Example CA")]
    path.write_text("leading text\n" + "".join(blocks))
    assert certificates.describe(str(path), now=END - datetime.timedelta(days=30, hours=5)) == {
        "present": True,
        "pin": digest(key),
        "pins": [digest(key)],
        "key_family": "ECDSA",
        "key_bits": 256,
        "accounts": [],
        "root": blocks[-1] and "".join(blocks[-1].split("-----")[2].split()),
        "chain_digest": hashlib.sha256(b"".join(map(ssl.PEM_cert_to_DER_cert, blocks))).hexdigest(),
        "not_before": "2025-01-01T00:00:00Z",
        "not_after": "2025-04-01T12:30:05Z",
        "life_days": 90,
        "days_left": 30,
        "percent_left": 33,
        "names": ["example.org", "*.example.org"],
        "subject": "CN=Bröccoli\\, Inc",
        "issuer": "CN=Example CA",
        "self_signed": False,
        "chain_length": 2,
        "chain_linked": True,
        "key_matches": None,
    }


def test_a_chain_that_does_not_follow(tmp_path, key, other):
    path = tmp_path / "fullchain.pem"
    leaf, middle, top = (certificate(key, *names) for names in (("a", "b"), ("b", "c"), ("c", "c")))
    for text, linked in [(leaf, True), (leaf + middle + top, True), (leaf + top, False), (leaf + top + middle, False)]:
        path.write_text(text)
        assert certificates.describe(str(path))["chain_linked"] is linked


def test_while_the_key_is_rolled(tmp_path, key, capsys, monkeypatch):
    path, other, state = (str(tmp_path / name) for name in ("cert.pem", "other.pem", "state.json"))
    for certificate_path in (path, other):
        with open(certificate_path, "w", encoding="ascii") as stream:
            stream.write(certificate(key))

    def pins():
        found = run_module({"paths": [path, other], "roll": state}, capsys, monkeypatch)
        return [found["certificates"][name]["pins"] for name in (path, other)]

    current, following = digest(key), "ab" * 32
    assert pins() == [[current], [current]]
    for told, expected in (
        ([current, following], [current, following]),
        # Switched already: the former one is still there.
        ([following, current], [current, following]),
        # Withdrawn, or restored from a backup: what is served is never left out.
        ([following], [current, following]),
        ([], [current]),
    ):
        (tmp_path / "state.json").write_text(json.dumps({"path": path, "pins": told, "phase": "publish"}))
        assert pins() == [expected, [current]]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"path": "/a", "pins": ["x"]}', '{"path": "/a", "pins": [1]}'])
def test_a_broken_state_of_a_roll_is_named(tmp_path, text, capsys, monkeypatch):
    (tmp_path / "state.json").write_text(text)
    result = run_module({"paths": ["/none"], "roll": str(tmp_path / "state.json")}, capsys, monkeypatch)
    assert result["msg"].startswith(f"state of a key roll {tmp_path}/state.json: it is broken (")
    assert result["msg"].endswith("; restore it, or remove its folder to give the roll up")


ACCOUNT = {
    "directory": "https://ca.test/dir",
    "identities": ["ca.test"],
    "uri": "https://ca.test/1",
    "method": "dns-01",
}


def test_the_accounts_that_order_it(tmp_path, key, capsys, monkeypatch):
    path, noted = str(tmp_path / "cert.pem"), str(tmp_path / "accounts.json")
    (tmp_path / "cert.pem").write_text(certificate(key))

    def accounts():
        found = run_module({"paths": [path], "accounts": noted}, capsys, monkeypatch)
        return found["certificates"][path]["accounts"]

    assert accounts() == []
    (tmp_path / "accounts.json").write_text(json.dumps({"path": path, "accounts": [ACCOUNT]}))
    assert accounts() == [ACCOUNT]
    (tmp_path / "accounts.json").write_text(json.dumps({"path": "/another", "accounts": [ACCOUNT]}))
    assert accounts() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting"),
        ("[]", "list indices"),
        ('{"path": "/a", "accounts": [{"directory": "x", "uri": "y"}]}', "there is no identities, method"),
        ('{"path": "/a", "accounts": [1]}', "not iterable"),
    ],
)
def test_broken_accounts_are_named(tmp_path, text, message, capsys, monkeypatch):
    (tmp_path / "accounts.json").write_text(text)
    result = run_module({"paths": ["/none"], "accounts": str(tmp_path / "accounts.json")}, capsys, monkeypatch)
    assert (
        result["msg"].startswith(f"ACME accounts {tmp_path}/accounts.json: it is broken (") and message in result["msg"]
    )
    assert result["msg"].endswith("; remove it, and the next run of the playbook makes it anew")


def test_without_names_self_signed_and_expired(tmp_path, key):
    path = tmp_path / "cert.pem"
    path.write_text(certificate(key, "same", "same"))
    found = certificates.describe(str(path), now=END + datetime.timedelta(seconds=1))
    assert (found["names"], found["self_signed"], found["days_left"]) == ([], True, -1)


def test_missing_files(tmp_path, key, other):
    path = tmp_path / "cert.pem"
    assert certificates.describe(str(path), "/none/key.pem") == {"present": False}
    path.write_text(certificate(key))
    assert certificates.describe(str(path), "/none/key.pem")["key_matches"] is False
    (tmp_path / "other.pem").write_text(pem(other))
    assert certificates.describe(str(path), str(tmp_path / "other.pem"))["key_matches"] is False


BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cert.pem: holds no '-----BEGIN CERTIFICATE-----'; give a PEM file, the host's certificate first"),
        ("\x00\xff\xfe" * 9, "cert.pem: holds no '-----BEGIN CERTIFICATE-----'"),
        (BROKEN, "cert.pem, number 1 of 1: Could not "),
        ("{good}" + BROKEN, "cert.pem, number 2 of 2: Could not "),
    ],
)
def test_a_broken_certificate_is_named(tmp_path, key, text, message):
    path = tmp_path / "cert.pem"
    path.write_text(text.replace("{good}", certificate(key)), encoding="latin-1")
    with pytest.raises(certificates.CertificateError) as caught:
        certificates.describe(str(path))
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", ["broken", "encrypted", "directory"])
def test_a_broken_key_is_named_and_not_shown(tmp_path, key, kind):
    (tmp_path / "cert.pem").write_text(certificate(key))
    path = tmp_path / "key.pem"
    text = pem(key, b"hunter2") if kind == "encrypted" else pem(key)[:90]
    if kind == "directory":
        path.mkdir()
    else:
        path.write_text(text)
    with pytest.raises(certificates.CertificateError) as caught:
        certificates.describe(str(tmp_path / "cert.pem"), str(path))
    assert str(caught.value).startswith(f"private key {path}: ")
    assert text.splitlines()[1][:20] not in str(caught.value)


def test_without_openssl():
    with pytest.raises(certificates.CertificateError) as caught:
        certificates.run(["/none/openssl"])
    assert str(caught.value) == "/none/openssl: No such file or directory; install the package openssl on the host"


def run_module(arguments, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with patch_module_args(arguments), pytest.raises(SystemExit):
        certificate_facts.main()
    return json.loads(capsys.readouterr().out)


def test_the_module_keeps_private_keys_to_itself(tmp_path, key, capsys, monkeypatch):
    (tmp_path / "cert.pem").write_text(certificate(key))
    (tmp_path / "key.pem").write_text(pem(key))
    path = str(tmp_path / "cert.pem")
    commands = []
    start = certificates.attempt
    monkeypatch.setattr(
        certificates, "attempt", lambda command, **rest: (commands.append(command), start(command, **rest))[1]
    )
    result = run_module({"paths": [path], "keys": {path: str(tmp_path / "key.pem")}}, capsys, monkeypatch)
    assert result["certificates"][path]["key_matches"] is True
    assert result["changed"] is False
    secret = pem(key).splitlines()[1]
    assert secret not in json.dumps(result)
    assert len(commands) == 3 and all(secret not in word for command in commands for word in command)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"/b": "/c"}, "keys: '/b' is not in paths; write it there, too, or leave it out"),
        ({"/a": ["x"]}, "keys: ['x'] for '/a' is not a path; write that of the private key's file"),
    ],
)
def test_wrong_options(keys, message, capsys, monkeypatch):
    assert run_module({"paths": ["/a"], "keys": keys}, capsys, monkeypatch)["msg"] == message


def test_an_empty_subject(tmp_path, key):
    """As RFC 5280, 4.1.2.6 allows, and many authorities issue."""
    builder = x509.CertificateBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example CA")]),
        x509.Name([]),
        key.public_key(),
        x509.random_serial_number(),
        BEGIN,
        END,
    )
    path = tmp_path / "cert.pem"
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    facts = certificates.describe(str(path))
    assert (facts["subject"], facts["issuer"], facts["self_signed"]) == ("", "CN=Example CA", False)
