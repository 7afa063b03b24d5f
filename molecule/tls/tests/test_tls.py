# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each port accepts, found by handshakes from outside, is what tls_ciphers chose, and nothing is weak.

sslyze brings OpenSSLs of its own, which still know all that was ever weak. It tries each cipher suite of each protocol.
"""

from __future__ import annotations

import json
import re

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hosts import TOP, ansible
from sslyze import (
    ProtocolWithOpportunisticTlsEnum,
    ScanCommand,
    ScanCommandAttemptStatusEnum,
    Scanner,
    ServerNetworkConfiguration,
    ServerNetworkLocation,
    ServerScanRequest,
    ServerScanStatusEnum,
)

SCENARIO = TOP / "molecule/tls"
INVENTORY = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]
HOSTS = {host["lab_release"]: host["ansible_host"] for host in INVENTORY["hosts"].values()}
DOMAIN = INVENTORY["vars"]["xmpp_domain"]
STARTTLS = {5222: ProtocolWithOpportunisticTlsEnum.XMPP, 5269: ProtocolWithOpportunisticTlsEnum.XMPP_SERVER}
PORTS = [443, 5222, 5223, 5269, 5270, 5349]
TURN = 5349
# Two kinds are served side by side. TLS 1.3 knows nothing of the kind of key, so that sslyze finds one of them there.
BOTH = "ecdsa-p256+rsa-3072"
SERVED = [
    ("strict", "ecdsa-p256"),
    ("strict", "ecdsa-p384"),
    ("strict", "rsa-3072"),
    ("strict", BOTH),
    ("modern", "rsa-3072"),
]
KEYS = {"ecdsa-p256": ("ECDSA", 256), "ecdsa-p384": ("ECDSA", 384), "rsa-3072": ("RSA", 3072)}

OLD = ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"]
COMMANDS = {ScanCommand[f"{name.upper()}_CIPHER_SUITES"] for name in [*OLD, "tls_1_2", "tls_1_3"]} | {
    ScanCommand.CERTIFICATE_INFO,
    ScanCommand.ELLIPTIC_CURVES,
    ScanCommand.HEARTBLEED,
    ScanCommand.OPENSSL_CCS_INJECTION,
    ScanCommand.ROBOT,
    ScanCommand.SESSION_RENEGOTIATION,
    ScanCommand.TLS_COMPRESSION,
    ScanCommand.TLS_1_3_EARLY_DATA,
}
OUTDATED = {ScanCommand[f"{name.upper()}_CIPHER_SUITES"] for name in OLD}
SILENT = {ScanCommand.TLS_1_0_CIPHER_SUITES, ScanCommand.TLS_1_1_CIPHER_SUITES}
# sslyze has the names of the IANA, the daemons those of OpenSSL; and one of SSL's curves has three names.
CURVES = {"X25519": "X25519", "secp384r1": "secp384r1", "prime256v1": "prime256v1", "secp256r1": "prime256v1"}


def tries_outdated(policy: str, key: str, port: int) -> bool:
    """Whether the hundreds of suites of outdated protocols are tried, which the policy rules out and no kind of key.

    Where both kinds are served, none of these suites lacks its key; coturn has one kind, and most of them want RSA.
    """
    return key == ("rsa-3072" if port == TURN else BOTH) or policy != "strict"


def openssl_name(suite: str) -> str:
    if not re.fullmatch(r"TLS_ECDHE_(ECDSA|RSA)_WITH_(AES_\d+_GCM_SHA\d+|CHACHA20_POLY1305_SHA256)", suite):
        return suite
    short = (
        suite.removeprefix("TLS_")
        .replace("_WITH_", "_")
        .replace("AES_", "AES")
        .removesuffix("_SHA256" if "CHA" in suite else "")
    )
    return short.replace("_", "-")


def run(*arguments: str) -> str:
    done = ansible(*arguments, inventory=SCENARIO / "inventory")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def chosen() -> dict:
    """What the plugin chooses on each host under each policy."""
    answers = {}
    for policy in ("strict", "modern"):
        output = run("ansible", "--one-line", "all", "-m", "magicbroccoli.xmpp.tls_ciphers", "-a", f"policy={policy}")
        for name, answer in re.findall(r"^(\S+) \| SUCCESS => (\{.*\})$", output, re.MULTILINE):
            release = INVENTORY["hosts"][name]["lab_release"]
            answers[release, policy] = json.loads(answer)["ansible_facts"]["tls_ciphers"]
    assert len(answers) == 2 * len(HOSTS)
    return answers


@pytest.fixture(scope="module", params=SERVED, ids="-".join)
def served(request) -> tuple[str, str, dict]:
    """All ports with a policy and a kind of key; what sslyze finds there."""
    policy, key = request.param
    variables = {"xmpp_tls_policy": policy, "xmpp_key_types": key.split("+")}
    run("ansible-playbook", str(SCENARIO / "converge.yml"), "--extra-vars", json.dumps(variables))
    ports = [port for port in PORTS if policy == "strict" or port != TURN]
    scanner = Scanner(per_server_concurrent_connections_limit=5, concurrent_server_scans_limit=6)
    requests, places = [], {}

    def scan(release: str, port: int, commands: set, **patience: int) -> None:
        configuration = ServerNetworkConfiguration(
            tls_server_name_indication=DOMAIN,
            tls_opportunistic_encryption=STARTTLS.get(port),
            xmpp_to_hostname=DOMAIN if port in STARTTLS else None,
            **patience,
        )
        place = ServerNetworkLocation(DOMAIN, port, HOSTS[release])
        requests.append(ServerScanRequest(place, configuration, scan_commands=commands))
        places[requests[-1].uuid] = (release, port, commands)

    for release in HOSTS:
        for port in ports:
            left_out = set() if tries_outdated(policy, key, port) else OUTDATED
            if port == TURN:
                left_out = left_out | SILENT | {ScanCommand.OPENSSL_CCS_INJECTION}
            scan(release, port, COMMANDS - left_out)
        if TURN in ports and tries_outdated(policy, key, TURN):
            # coturn leaves who asks for TLS 1.0 or 1.1 without an answer, so that each attempt takes all of its time.
            scan(release, TURN, SILENT, network_timeout=1, network_max_retries=0)
    scanner.queue_scans(requests)
    found = {(release, port): {} for release, port, _commands in places.values()}
    for result in scanner.get_results():
        release, port, commands = places[result.uuid]
        assert result.scan_status == ServerScanStatusEnum.COMPLETED, (result, result.connectivity_error_trace)
        for command in commands:
            attempt = getattr(result.scan_result, command.value)
            assert attempt.status == ScanCommandAttemptStatusEnum.COMPLETED, (release, port, attempt)
            found[release, port][command.value] = attempt.result
    assert sorted(found) == sorted((release, port) for release in HOSTS for port in ports)
    return policy, key, found


def keys_at(port: int, key: str) -> set[tuple[str, int]]:
    """The family and the length of each key that a port serves. coturn takes one."""
    kinds = key.split("+")
    return {KEYS[kind] for kind in (kinds[:1] if port == TURN else kinds)}


def accepted(parts: dict, protocol: str) -> set[str]:
    suites = parts[f"{protocol}_cipher_suites"].accepted_cipher_suites
    return {openssl_name(item.cipher_suite.name) for item in suites}


def test_the_ciphers_are_those_of_the_policy_and_no_other(served, chosen):
    policy, key, found = served
    for (release, port), parts in sorted(found.items()):
        wanted = chosen[release, policy]
        families = "|".join(family for family, _bits in keys_at(port, key))
        tls12 = {name for name in wanted["ciphers"] if re.search(f"-({families})-", name)}
        tls13 = set() if port == TURN else set(wanted["ciphersuites"])
        print(
            f"{release} {port}: TLS 1.2 {sorted(accepted(parts, 'tls_1_2'))}, 1.3 {sorted(accepted(parts, 'tls_1_3'))}"
        )
        assert accepted(parts, "tls_1_2") == tls12, (release, port)
        assert accepted(parts, "tls_1_3") == tls13, (release, port)
        tried = [name for name in OLD if f"{name}_cipher_suites" in parts]
        assert tried == (OLD if tries_outdated(policy, key, port) else [])
        assert [protocol for protocol in tried if accepted(parts, protocol)] == [], (release, port)
        # That what was refused was tried.
        refused = {name: len(parts[f"{name}_cipher_suites"].rejected_cipher_suites) for name in (*tried, "tls_1_2")}
        assert min(refused.values()) >= 5, refused


def test_the_curves_are_those_of_the_policy_and_no_other(served, chosen):
    policy, key, found = served
    for (release, port), parts in sorted(found.items()):
        curves = parts["elliptic_curves"]
        names = {CURVES.get(curve.name, curve.name) for curve in curves.supported_curves}
        wanted = set(chosen[release, policy]["groups"]) - {"X25519MLKEM768"}
        # TLS 1.2 has one list for the exchange and for the curve of the key, which sslyze offers one at a time.
        if port == TURN and key.startswith("ecdsa"):
            wanted &= {{"ecdsa-p256": "prime256v1", "ecdsa-p384": "secp384r1"}[key.split("+")[0]]}
        print(f"{release} {port}: {sorted(names)}; refused {len(curves.rejected_curves)}")
        assert names == wanted, (release, port)
        assert len(curves.rejected_curves) >= 10


def test_nothing_is_known_against_it(served):
    """What scanners, CryptCheck among them, warn of: renegotiation, compression, old holes, short keys, SHA-1."""
    _policy, key, found = served
    for (release, port), parts in sorted(found.items()):
        renegotiation = parts["session_renegotiation"]
        deployments = parts["certificate_info"].certificate_deployments
        chains = [deployment.received_certificate_chain for deployment in deployments]
        publics = [chain[0].public_key() for chain in chains]
        facts = {
            "compression": parts["tls_compression"].supports_compression,
            "heartbleed": parts["heartbleed"].is_vulnerable_to_heartbleed,
            # coturn does not always answer the handshake that sslyze writes for this by hand.
            "ccs injection": port != TURN and parts["openssl_ccs_injection"].is_vulnerable_to_ccs_injection,
            "robot": not parts["robot"].robot_result.name.startswith("NOT_VULNERABLE"),
            "insecure renegotiation": not renegotiation.supports_secure_renegotiation,
            "renegotiation by clients": renegotiation.is_vulnerable_to_client_renegotiation_dos,
            "early data": parts["tls_1_3_early_data"].supports_early_data,
            "sha1": any(item.signature_hash_algorithm.name in ("md5", "sha1") for item in sum(chains, [])),
            "order of the chain": not all(deployment.received_chain_has_valid_order for deployment in deployments),
        }
        served_keys = {
            ("ECDSA" if isinstance(public, ec.EllipticCurvePublicKey) else "RSA", public.key_size) for public in publics
        }
        print(f"{release} {port}: {sorted(served_keys)}; found {[n for n, bad in facts.items() if bad]}")
        assert [name for name, bad in facts.items() if bad] == [], (release, port)
        assert all(isinstance(public, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)) for public in publics)
        assert served_keys == keys_at(port, key), (release, port)
