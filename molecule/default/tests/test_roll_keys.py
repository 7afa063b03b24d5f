# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key of the private authority's certificate is rolled; what strangers notice of it, scenario acme watches."""

from __future__ import annotations

import json

from conftest import DOMAIN, HOSTNAME

STATE = "/var/lib/xmpp-certificate/roll/state.json"
PORTS = {
    5222: f"-starttls xmpp -xmpphost {DOMAIN}",
    5223: "",
    5269: f"-starttls xmpp-server -xmpphost {DOMAIN}",
    5270: "",
    443: "",
}


def step(rosewood, site) -> str:
    """Run the playbook, and have the TTL of an hour be over before the next run."""
    done = site("--extra-vars", "certificates_roll_wait=false", playbook="roll_keys")
    assert done.returncode == 0, done.stdout + done.stderr
    rosewood.out(f'! [ -e {STATE} ] || sed -i -E \'s/"since": "[0-9]+/"since": "2020/\' {STATE}')
    return " ".join(done.stdout.split())


def pins(internet) -> list[str]:
    records = internet.out(f"dig +short @198.51.100.20 _5222._tcp.{HOSTNAME} TLSA").splitlines()
    return sorted("".join(record.split()).lower().removeprefix("311") for record in records)


def served(internet) -> list[str]:
    """The digests of the keys that the ports serve."""
    return [
        internet.out(
            f"openssl s_client -connect 198.51.100.20:{port} -servername {DOMAIN} {starttls} </dev/null 2>/dev/null"
            " | openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d ' ' -f 1"
        )
        for port, starttls in PORTS.items()
    ]


def test_a_key_of_the_private_authority_is_rolled(rosewood, internet, site):
    (first,) = pins(internet)
    assert served(internet) == [first] * 5
    daemons = rosewood.out("systemctl show -p MainPID prosody nginx named")

    assert "Resolvers may keep what they had for 3600 s" in step(rosewood, site)
    assert first in pins(internet) and len(pins(internet)) == 2
    assert served(internet) == [first] * 5

    assert "The next key and its certificate are served by ports 5222, 5223, 5269, 5270, 443" in step(rosewood, site)
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


def test_a_chain_that_a_port_does_not_serve_is_taken_back(rosewood, internet, site):
    before = served(internet), rosewood.out(f"sha256sum /etc/ssl/xmpp/{DOMAIN}/*")
    rosewood.out("chmod -x /etc/xmpp/deploy.d/nginx")
    try:
        # None that is there has so many days left.
        refused = site("--extra-vars", "certificates_renew_days=9999")
    finally:
        rosewood.out("chmod +x /etc/xmpp/deploy.d/nginx")
    assert refused.returncode != 0
    message = "after the reload port 443 serves another one; the old one is in place again"
    assert message in " ".join((refused.stdout + refused.stderr).split())
    assert (served(internet), rosewood.out(f"sha256sum /etc/ssl/xmpp/{DOMAIN}/*")) == before
