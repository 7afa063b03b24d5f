# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every record is there and validated from the test root, and the server does nothing but answer for its zones."""

from __future__ import annotations

import json
import re

import pytest
from conftest import ADDRESS, COMPONENTS, DOMAIN, DOMAINS, HOSTNAME, HOSTS

SERVICES = {"xmpp-client": 5222, "xmpps-client": 5223, "xmpp-server": 5269, "xmpps-server": 5270}
SRV = {
    f"_{service}._tcp.{name}": f"{port} {HOSTNAME}."
    for name in [*DOMAINS, *COMPONENTS]
    for service, port in SERVICES.items()
}
# Of the ports that speak without TLS first.
STARTTLS = {
    5222: f"-starttls xmpp -xmpphost {DOMAIN}",
    5269: f"-starttls xmpp-server -xmpphost {DOMAIN}",
}
TLSA = [f"_{port}._tcp.{HOSTNAME}" for port in (443, 5349, *SERVICES.values())]
TLSA += [f"_443._tcp.{name}" for domain in DOMAINS for name in (domain, f"upload.{domain}")]
ADDRESSES = HOSTS[HOSTNAME]["xmpp_addresses"]


@pytest.fixture(scope="module")
def delv(internet):
    """Ask delv for records; it validates itself, and trusts nothing but the test root's key."""

    def ask(
        *questions: tuple[str, str], anchors: str = "/var/lib/world/root.anchors"
    ) -> dict[tuple[str, str], list[str]]:
        lines = "".join(f"{name} {kind}\n" for name, kind in questions)
        loop = (
            "while read -r name kind; do "
            f'echo "? $name $kind"; delv -a {anchors} @198.51.100.53 "$name" "$kind" 2>&1; done'
        )
        answers = {}
        for part in internet.out(f"sh -c '{loop}'", stdin=lines).split("? ")[1:]:
            question, *answer = part.splitlines()
            answers[tuple(question.split())] = answer
        return answers

    return ask


def data(answer, kind):
    """The records' data in delv's answer, which has to be validated."""
    assert answer[0] == "; fully validated", answer
    return sorted(line.split(kind, 1)[1].strip() for line in answer if re.search(rf"\sIN\s{kind}\s", line))


def test_services(delv):
    answers = delv(*((name, "SRV") for name in SRV))
    found = {name: data(answer, "SRV") for (name, _), answer in answers.items()}
    print(f"{len(found)} SRV records, fully validated")
    # Priority and weight are a matter of taste.
    assert {name: [record.split(" ", 2)[2] for record in records] for name, records in found.items()} == {
        name: [place] for name, place in SRV.items()
    }


def test_every_record_that_there_shall_be(internet, site, tmp_path):
    """By the playbook that an operator has for it, asked from outside."""
    variables = {"dns_records_hosts": HOSTNAME, "dns_records_path": str(tmp_path), "dns_records_from": "internet.test"}
    done = site("--extra-vars", json.dumps(variables), playbook="dns_records")
    assert done.returncode == 0, done.stdout[-3000:]
    (count, servers) = re.search(r"(\d+) records are right at (.*?)\s+PLAY", " ".join(done.stdout.split())).groups()
    print(count, servers)
    assert int(count) == sum(len((tmp_path / f"{name}.zone").read_text().splitlines()) for name in DOMAINS) > 80


def test_addresses_and_authorities(delv):
    names = [*DOMAINS, HOSTNAME, *COMPONENTS]
    answers = delv(*((name, kind) for name in names for kind in ("A", "AAAA")), *((name, "CAA") for name in DOMAINS))
    for name in names:
        assert data(answers[name, "A"], "A") + data(answers[name, "AAAA"], "AAAA") == ADDRESSES
    # The site has no public authority, so none may issue.
    for name in DOMAINS:
        assert '0 issue ";"' in data(answers[name, "CAA"], "CAA")


def test_tlsa_pins_the_key_that_is_served(internet, delv):
    answers = delv(*((name, "TLSA") for name in TLSA))
    for name in TLSA:
        port, server = int(name[1:].split(".")[0]), name.split("._tcp.")[1]
        starttls = STARTTLS.get(port, "")
        sni = DOMAIN if server == HOSTNAME else server
        digest = internet.out(
            f"openssl s_client -connect {server}:{port} -servername {sni} {starttls}"
            " </dev/null 2>/dev/null | openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER"
            " | sha256sum | cut -d ' ' -f 1"
        )
        pins = [pin.replace(" ", "").lower() for pin in data(answers[name, "TLSA"], "TLSA")]
        print(f"{name}: {digest}")
        assert pins == [f"311{digest}"]


def test_delv_trusts_the_test_root_alone(internet, delv):
    """The control: with another key for the root, nothing is valid."""
    internet.out("sed 's/\"..../\"AAAA/' /var/lib/world/root.anchors > /tmp/wrong.anchors")
    answer = delv((DOMAIN, "A"), anchors="/tmp/wrong.anchors")[DOMAIN, "A"]
    assert "; fully validated" not in answer
    assert any("broken trust chain" in line or "no valid" in line for line in answer), answer


def test_resolver_validates(internet):
    """A validating resolver in between sees the chain, too."""
    flags = re.search(r"flags: ([a-z ]+);", internet.out(f"dig +dnssec @198.51.100.53 {DOMAIN} SOA"))[1].split()
    assert "ad" in flags


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_no_recursion(internet, transport):
    dig = f"dig {transport} +norec @{ADDRESS}"
    assert "status: NOERROR" in internet.out(f"{dig} {DOMAIN} SOA")
    for name in ("honest.test", "example.org"):
        answer = internet.out(f"dig {transport} +rec @{ADDRESS} {name} A")
        assert "status: REFUSED" in answer
        assert " ra" not in re.search(r"flags: ([a-z ]+);", answer)[0]


def test_no_transfer(internet):
    assert "Transfer failed" in internet.out(f"dig @{ADDRESS} {DOMAIN} AXFR")
    assert DOMAIN in internet.out(f"dig +tcp +short @{ADDRESS} {DOMAIN} SOA")
