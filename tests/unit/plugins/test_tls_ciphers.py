# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pathlib
import subprocess
import time

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import tls

DATA = pathlib.Path(__file__).parent / "data"
CIPHERS = [
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
]
SUITES = ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"]
CLASSIC = ["X25519", "secp384r1", "prime256v1"]
# What each version prints for a group that it knows, and for one that it does not.
KNOWN = "4047:error:80000002:system library:BIO_connect:No such file or directory\nconnect:errno=2\n"
UNKNOWN = {
    "3.0": "Call to SSL_CONF_cmd(-groups, X25519MLKEM768) failed\n4087:error:0A080106:SSL routines:gid_cb:passed "
    "invalid argument:../ssl/t1_lib.c:748:group 'X25519MLKEM768' cannot be set\n",
    "3.5": "Call to SSL_CONF_cmd(-groups, X25519MLKEM768) failed\n",
}
RECORDED = [("3.0", "3.0.19", CLASSIC), ("3.5", "3.5.7", ["X25519MLKEM768", *CLASSIC])]


def recorded(series, version, known):
    def runner(command):
        if command[1] == "version":
            return 0, f"OpenSSL {version} 27 Jan 2026 (Library: OpenSSL {version} 27 Jan 2026)\n", ""
        if command[1] == "ciphers":
            return 0, (DATA / f"openssl-{series}-ciphers.txt").read_text(), ""
        return 1, "", KNOWN if command[3] in known else UNKNOWN[series]

    return runner


@pytest.mark.parametrize(("series", "version", "known"), RECORDED)
def test_strict(series, version, known):
    offered = tls.ask(recorded(series, version, known))
    chosen = tls.select("strict", *offered)
    print(f"OpenSSL {version}: {len(chosen['ciphers'])} of {len(offered[1])} ciphers, groups {chosen['groups']}")
    assert chosen == {
        "policy": "strict",
        "openssl": version,
        "protocols": ["TLSv1.2", "TLSv1.3"],
        "ciphers": CIPHERS,
        "ciphersuites": SUITES,
        "groups": known,
        "prosody": {
            "protocol": "tlsv1_2+",
            "ciphers": ":".join(CIPHERS),
            "ciphersuites": ":".join(SUITES),
            "curveslist": known,
            "options": {"cipher_server_preference": True},
        },
        "nginx": {
            "ssl_protocols": "TLSv1.2 TLSv1.3",
            "ssl_ciphers": ":".join(CIPHERS),
            "ssl_prefer_server_ciphers": "on",
            "ssl_ecdh_curve": ":".join(known),
            "ssl_conf_command": ["Ciphersuites " + ":".join(SUITES)],
        },
        "coturn": {"cipher-list": ":".join(CIPHERS), "no-tlsv1": True, "no-tlsv1_1": True, "no-tls": False},
        "openssl_cnf": {
            "MinProtocol": "TLSv1.2",
            "CipherString": ":".join(CIPHERS),
            "Ciphersuites": ":".join(SUITES),
            "Groups": ":".join(known),
        },
    }


def test_modern():
    chosen = tls.select("modern", *tls.ask(recorded(*RECORDED[1])))
    assert (chosen["protocols"], chosen["ciphers"], chosen["ciphersuites"]) == (["TLSv1.3"], [], SUITES)
    assert chosen["prosody"]["protocol"] == "tlsv1_3+"
    assert chosen["nginx"]["ssl_protocols"] == "TLSv1.3"
    assert chosen["coturn"]["no-tls"] is True
    assert chosen["openssl_cnf"]["MinProtocol"] == "TLSv1.3"
    assert chosen["prosody"]["ciphers"] == chosen["nginx"]["ssl_ciphers"] == ":".join(CIPHERS)


@pytest.mark.parametrize("series", ["3.0", "3.5"])
def test_nothing_weak_is_chosen_though_it_is_offered(series):
    text = (DATA / f"openssl-{series}-ciphers.txt").read_text()
    for weak in (
        "DHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-SHA",
        "AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-SHA384",
        "ECDHE-ECDSA-AES256-CCM",
        "ECDHE-ARIA256-GCM-SHA384",
        "ECDHE-ECDSA-CAMELLIA256-SHA384",
    ):
        assert f"\n{weak} " in text
        assert weak not in tls.select("strict", "3", tls.parse_ciphers(text), CLASSIC)["ciphers"]


WEAK = "ECDHE-RSA-AES256-SHA TLSv1 Kx=ECDH Au=RSA Enc=AES(256) Mac=SHA1\n"
SUITE = "TLS_AES_128_GCM_SHA256 TLSv1.3 Kx=any Au=any Enc=AESGCM(128) Mac=AEAD\n"
CIPHER = "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 Kx=ECDH Au=RSA Enc=AESGCM(128) Mac=AEAD\n"


@pytest.mark.parametrize(
    ("policy", "offered", "groups", "message"),
    [
        (
            "strict",
            WEAK + SUITE,
            CLASSIC,
            "policy 'strict' leaves no TLS 1.2 ciphers (ECDHE with AES-GCM or ChaCha20) on "
            "OpenSSL 3.0.19, which offers ECDHE-RSA-AES256-SHA, TLS_AES_128_GCM_SHA256; allow more in its openssl.cnf",
        ),
        (
            "modern",
            WEAK + CIPHER,
            CLASSIC,
            "policy 'modern' leaves no TLS 1.3 cipher suites on OpenSSL 3.0.19, which "
            "offers ECDHE-RSA-AES256-SHA, ECDHE-RSA-AES128-GCM-SHA256",
        ),
        (
            "strict",
            "",
            CLASSIC,
            "policy 'strict' leaves no TLS 1.2 ciphers (ECDHE with AES-GCM or ChaCha20) on OpenSSL "
            "3.0.19, which offers none",
        ),
        (
            "strict",
            CIPHER + SUITE,
            ["sect571r1"],
            "leaves no groups of X25519MLKEM768, X25519, secp384r1, prime256v1 on",
        ),
    ],
)
def test_a_policy_that_leaves_nothing_is_an_error(policy, offered, groups, message):
    with pytest.raises(tls.TlsError) as caught:
        tls.select(policy, "3.0.19", tls.parse_ciphers(offered), groups)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({"version": (1, "", "broken\n")}, "openssl version exited with 1 and printed 'broken'"),
        ({"version": (0, "", "")}, "openssl version exited with 0 and printed ''"),
        (
            {"version": (0, "OpenSSL 3.0.1 x", ""), "ciphers": (1, "", "Error in cipher list\n")},
            "openssl ciphers -s -v ALL:COMPLEMENTOFALL exited with 1: Error in cipher list",
        ),
    ],
)
def test_an_openssl_that_fails_is_named(results, message):
    with pytest.raises(tls.TlsError) as caught:
        tls.ask(lambda command: results[command[1]])
    assert str(caught.value) == message


def test_without_openssl():
    with pytest.raises(tls.TlsError) as caught:
        tls.run(["/none/openssl"])
    assert str(caught.value) == "/none/openssl: No such file or directory; install the package openssl on the host"


def test_this_machines_openssl_takes_what_it_was_asked_for():
    begin = time.perf_counter()
    chosen = tls.select("strict", *tls.ask())
    seconds = time.perf_counter() - begin
    print(f"OpenSSL {chosen['openssl']}: {len(chosen['ciphers'])} ciphers, {chosen['groups']}, {seconds * 1000:.0f} ms")
    listed = (
        subprocess.run(
            [
                "openssl",
                "ciphers",
                "-s",
                "-ciphersuites",
                chosen["prosody"]["ciphersuites"],
                chosen["prosody"]["ciphers"],
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        .stdout.strip()
        .split(":")
    )
    assert listed == chosen["ciphersuites"] + chosen["ciphers"]
    assert set(chosen["groups"]) >= set(CLASSIC)
