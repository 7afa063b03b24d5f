# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which TLS protocols, ciphers and groups a policy leaves of what an OpenSSL offers."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, attempt

CIPHERS_COMMAND = ("openssl", "ciphers", "-s", "-v", "ALL:COMPLEMENTOFALL")
POLICIES = ("strict", "modern")

# Best first. 256-bit keys before 128; ChaCha20 first, because it needs no hardware to be fast and constant in time.
ENCRYPTIONS = ("CHACHA20/POLY1305(256)", "AESGCM(256)", "AESGCM(128)")
AUTHENTICATIONS = ("ECDSA", "RSA")
# Hybrid post-quantum first; then as in RFC 7748 and FIPS 186-5, in OpenSSL's names.
GROUPS = ("X25519MLKEM768", "X25519", "secp384r1", "prime256v1")


class TlsError(Exception):
    """What keeps a policy from being met."""


def run(command):
    """Runs openssl and returns its exit status, standard output and standard error."""
    try:
        done = attempt(command)
    except CommandError as error:
        raise TlsError(f"{error}; install the package openssl on the host") from error
    return done.status, done.stdout, done.stderr


def parse_ciphers(text):
    """Turns the output of `openssl ciphers -v` into a list of dictionaries."""
    ciphers = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 6:
            properties = dict(field.split("=", 1) for field in fields[2:] if "=" in field)
            ciphers.append({"name": fields[0], "protocol": fields[1], **properties})
    return ciphers


def ask(runner=run):
    """Asks this host's OpenSSL for its version, its ciphers and which of GROUPS it knows."""
    status, output, error = runner(("openssl", "version"))
    words = output.split()
    if status != 0 or len(words) < 2:
        raise TlsError(f"openssl version exited with {status} and printed {(output + error).strip()!r}")
    status, output, error = runner(CIPHERS_COMMAND)
    if status != 0:
        raise TlsError(f"{' '.join(CIPHERS_COMMAND)} exited with {status}: {error.strip()}")
    groups = []
    for group in GROUPS:
        # `openssl list -tls-groups` is new in 3.5. Every version refuses an unknown group before it connects, and a
        # connection to a socket that is not there fails at once.
        _status, _output, error = runner(("openssl", "s_client", "-groups", group, "-unix", "/nonexistent/tls_ciphers"))
        if "connect" in error:
            groups.append(group)
    return words[1], parse_ciphers(output), groups


def _rank(cipher):
    return ENCRYPTIONS.index(cipher["Enc"]), AUTHENTICATIONS.index(cipher["Au"]) if cipher["Au"] != "any" else 0


def select(policy, version, offered, groups):
    """Returns what the policy leaves, best first, in the words of each daemon."""
    allowed = [cipher for cipher in offered if cipher.get("Enc") in ENCRYPTIONS and cipher.get("Mac") == "AEAD"]
    tls12 = [
        cipher
        for cipher in allowed
        if cipher["protocol"] == "TLSv1.2" and cipher.get("Kx") == "ECDH" and cipher.get("Au") in AUTHENTICATIONS
    ]
    tls13 = [cipher for cipher in allowed if cipher["protocol"] == "TLSv1.3" and cipher.get("Au") == "any"]
    names12 = [cipher["name"] for cipher in sorted(tls12, key=_rank)]
    names13 = [cipher["name"] for cipher in sorted(tls13, key=_rank)]
    groups = [group for group in GROUPS if group in groups]
    for left, what, names in (
        (names12, "TLS 1.2 ciphers (ECDHE with AES-GCM or ChaCha20)", [item["name"] for item in offered]),
        (names13, "TLS 1.3 cipher suites", [item["name"] for item in offered]),
        (groups, f"groups of {', '.join(GROUPS)}", groups),
    ):
        if not left:
            raise TlsError(
                f"policy {policy!r} leaves no {what} on OpenSSL {version}, which offers "
                f"{', '.join(names) or 'none'}; allow more in its openssl.cnf, or install a newer OpenSSL"
            )
    strict = policy == "strict"
    list12, list13 = ":".join(names12), ":".join(names13)
    return {
        "policy": policy,
        "openssl": version,
        "protocols": ["TLSv1.2", "TLSv1.3"] if strict else ["TLSv1.3"],
        "ciphers": names12 if strict else [],
        "ciphersuites": names13,
        "groups": groups,
        # The daemons get the TLS 1.2 list under every policy: a wider default must not come back if something else
        # enables TLS 1.2.
        "prosody": {
            "protocol": "tlsv1_2+" if strict else "tlsv1_3+",
            "ciphers": list12,
            "ciphersuites": list13,
            "curveslist": groups,
            "options": {"cipher_server_preference": True},
        },
        "nginx": {
            "ssl_protocols": "TLSv1.2 TLSv1.3" if strict else "TLSv1.3",
            "ssl_ciphers": list12,
            "ssl_prefer_server_ciphers": "on",
            "ssl_ecdh_curve": ":".join(groups),
            "ssl_conf_command": [f"Ciphersuites {list13}"],
        },
        # coturn 4.6 has no TLS 1.3, and without TLS 1.2 answers nothing.
        "coturn": {"cipher-list": list12, "no-tlsv1": True, "no-tlsv1_1": True, "no-tls": not strict},
        "openssl_cnf": {
            "MinProtocol": "TLSv1.2" if strict else "TLSv1.3",
            "CipherString": list12,
            "Ciphersuites": list13,
            "Groups": ":".join(groups),
        },
    }
