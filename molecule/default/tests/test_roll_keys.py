# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key of the private authority's certificate is rolled; what strangers notice of it, scenario acme watches."""

from __future__ import annotations

import json
import subprocess

import pytest
from conftest import CA, DOMAIN, HOSTNAME

OURS = pytest.mark.any_release(
    "what is deployed, and when, xmpp-certificate decides; the roll of one key shows each release's daemons taking the next"
)
STATE = "/var/lib/xmpp-certificate/roll/state.json"
PORTS = {
    5222: f"-starttls xmpp -xmpphost {DOMAIN}",
    5223: "",
    5269: f"-starttls xmpp-server -xmpphost {DOMAIN}",
    5270: "",
    443: "",
}


def step(rosewood, site, **variables) -> str:
    """Run the playbook, and have the TTL of an hour be over before the next run."""
    done = site("--extra-vars", json.dumps({"certificates_roll_wait": False} | variables), playbook="roll_keys")
    assert done.returncode == 0, done.stdout + done.stderr
    rosewood.out(f'! [ -e {STATE} ] || sed -i -E \'s/"since": "[0-9]+/"since": "2020/\' {STATE}')
    return " ".join(done.stdout.split())


def pins(internet) -> list[str]:
    records = internet.out(f"dig +short @198.51.100.20 _5222._tcp.{HOSTNAME} TLSA").splitlines()
    return sorted("".join(record.split()).lower().removeprefix("311") for record in records)


PIN = "openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d ' ' -f 1"


def served(internet) -> list[str]:
    """The digests of the keys that the ports serve."""
    ask = f"openssl s_client -connect 198.51.100.20:%s -servername {DOMAIN} %s </dev/null 2>/dev/null | {PIN}"
    return [internet.out(ask % (port, starttls)) for port, starttls in PORTS.items()]


def test_a_key_of_the_private_authority_is_rolled(rosewood, internet, site):
    (first,) = pins(internet)
    assert served(internet) == [first] * 5
    daemons = rosewood.out("systemctl show -p MainPID prosody nginx named")

    assert "Resolvers may keep what they had for 3600 s" in step(rosewood, site)
    assert first in pins(internet) and len(pins(internet)) == 2
    assert served(internet) == [first] * 5

    assert "The next key and its certificate are served by ports 5222, 5223, 5269, 5270, 443, 5349" in step(
        rosewood, site
    )
    (following,) = set(served(internet))
    assert pins(internet) == sorted([first, following])
    assert json.loads(rosewood.out("xmpp-certificate --roll status"))["step"] == "switched"

    assert "The key is rolled." in step(rosewood, site)
    assert pins(internet) == [following] != [first]
    assert served(internet) == [following] * 5
    assert rosewood.out("systemctl show -p MainPID prosody nginx named") == daemons
    # The hour that the test has skipped.
    internet.out("systemctl restart unbound")
    print(f"{first[:16]}… → both → {following[:16]}…, an hour's TTL each, and no daemon restarted")


def signed(folder, name, names, *key) -> dict[str, str]:
    """A pair of an authority that the operator went to, which is that of the lab."""
    chain, secret, request = (folder / f"{name}.{suffix}" for suffix in ("pem", "key", "cnf"))
    request.write_text(
        "[req]\ndistinguished_name = none\nx509_extensions = leaf\n[none]\n[leaf]\nbasicConstraints = critical, CA:FALSE\n"
        "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n"
        f"subjectAltName = {', '.join(f'DNS:{one}' for one in names)}\n"
    )
    command = ["openssl", "req", "-x509", "-config", request, "-subj", f"/CN={DOMAIN}", "-days", "90", "-noenc"]
    command += ["-CA", CA, "-CAkey", CA.with_suffix(".key"), "-keyout", secret, "-out", chain, "-newkey", *key]
    subprocess.run(command, check=True, capture_output=True)
    chain.write_text(chain.read_text() + CA.read_text())
    return {f"certificates_{name}source": str(chain), f"certificates_{name}key_source": str(secret)}


@OURS
def test_pairs_of_the_operators_are_rolled_to_and_one_of_them_given_up(rosewood, internet, site, tmp_path):
    """Of two kinds, in place of one key; then the host has one kind and the private authority again."""
    (first,) = pins(internet)
    folder = f"/etc/ssl/xmpp/{DOMAIN}"
    text = rosewood.out(f"openssl x509 -noout -ext subjectAltName -in {folder}/fullchain.pem")
    names = [word.strip(",").removeprefix("DNS:") for word in text.split() if word.startswith("DNS:")]
    theirs = {"xmpp_certificate_provider": "files", "xmpp_key_types": ["ecdsa-p256", "rsa-3072"]}
    theirs |= signed(tmp_path, "", names, "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    theirs |= signed(tmp_path, "rsa_", names, "rsa:3072")
    ecdsa, rsa = (internet.out(PIN, stdin=(tmp_path / name).read_text()) for name in (".pem", "rsa_.pem"))

    assert "Resolvers may keep what they had for 3600 s" in step(rosewood, site, **theirs)
    assert pins(internet) == sorted([first, ecdsa, rsa])
    assert served(internet) == [first] * 5

    said = step(rosewood, site, **theirs)
    assert "The next key and its certificate are served by ports 5222, 5223, 5269, 5270, 443, 5349" in said
    assert pins(internet) == sorted([first, ecdsa, rsa])
    # Prosody and nginx serve a second one when the site playbook has told them so.
    assert served(internet) == [ecdsa] * 5

    assert "The key is rolled." in step(rosewood, site, **theirs)
    assert pins(internet) == sorted([ecdsa, rsa])
    offered = [(tmp_path / name).read_text() for name in ("rsa_.pem", ".pem", "rsa_.key", ".key")]
    assert rosewood.out(f"LC_ALL=C cat {folder}/*.pem") == "".join(offered).strip()
    assert rosewood.out(f"stat -Lc '%U:%G %a' {folder}/*.pem").split("\n") == ["root:xmpp-tls 640"] * 4

    for _step in range(3):
        said = step(rosewood, site)
    assert "The key is rolled." in said
    # The key of the kind that stays is kept.
    assert pins(internet) == [ecdsa]
    assert served(internet) == [ecdsa] * 5
    internet.out("systemctl restart unbound")
    print(f"{first[:16]}… → {ecdsa[:16]}… and {rsa[:16]}… → {ecdsa[:16]}…")


@OURS
def test_a_chain_that_a_port_does_not_serve_is_taken_back(rosewood, internet, site):
    before = served(internet), rosewood.out(f"sha256sum /etc/ssl/xmpp/{DOMAIN}/*")
    rosewood.out("chmod -x /etc/xmpp/deploy.d/nginx")
    try:
        # None that is there has all of its life left.
        refused = site("--extra-vars", '{"certificates_renew_percent": 100}')
    finally:
        rosewood.out("chmod +x /etc/xmpp/deploy.d/nginx")
    assert refused.returncode != 0
    message = "after the reload port 443 serves another one; the old one is in place again"
    assert message in " ".join((refused.stdout + refused.stderr).split())
    assert (served(internet), rosewood.out(f"sha256sum /etc/ssl/xmpp/{DOMAIN}/*")) == before
