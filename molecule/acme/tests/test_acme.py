# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real authority issues, renews, refuses and is away; the host serves a valid certificate through all of it."""

from __future__ import annotations

import json
import re

import pytest
from conftest import DOMAIN, IDN, KINDS, NAMES, play, records, renew, served, served_keys


def both(authority) -> dict:
    """What who knows ECDSA only is served at each port, and who knows RSA only."""
    return {(kind, port): answer for kind in KINDS for port, answer in served(authority, kind=kind).items()}


@pytest.fixture
def unchanged(maple, authority):
    """What fails leaves the host with the certificate that it had, on disk and at every port."""
    files = "/etc/ssl/xmpp/acme.test/* /var/lib/xmpp-certificate/state.json /var/lib/xmpp-certificate/accounts.json"
    before = both(authority), maple.out(f"sha256sum {files}")
    yield
    after = both(authority), maple.out(f"sha256sum {files}")
    assert after == before
    assert len(set(after[0].values())) == 2


def test_first_issue(maple, authority):
    for kind in KINDS:
        answers = served(authority, "-issuer -ext subjectAltName", kind)
        for port, answer in answers.items():
            assert "Pebble Intermediate CA" in answer, (port, answer)
            assert sorted(re.findall(r"DNS:([^\s,]+)", answer)) == NAMES
    assert len(set(both(authority).values())) == 2
    print(f"{len(answers)} ports serve the authority's certificate for {', '.join(NAMES)}")


@pytest.mark.parametrize("via", ["tcp", "tls", "websocket"])
def test_an_internationalised_domain_is_in_it(maple, authority, via):
    """A client that trusts this authority alone logs in there."""
    account = {"jid": f"{via}@{IDN}", "password": "a password", "via": via}
    maple.out(f"prosodyctl register {via} {IDN} 'a password'")
    authority.out("curl -sk https://localhost:15000/roots/0 > /run/root.pem")
    said = authority.out(
        "SSL_CERT_FILE=/run/root.pem python3 /usr/local/lib/world/xmpp_client.py",
        stdin=json.dumps({"do": "login", "account": account}),
    )
    print(said)
    assert json.loads(said)["jid"].startswith(f"{via}@{IDN}/")


def test_tlsa_records_know_the_keys(maple, authority):
    """From before the first issue on, as the keys are the host's own."""
    assert records(authority) == served_keys(authority)
    assert len(served_keys(authority)) == 2
    print(f"TLSA records at every port: {', '.join(pin[:16] for pin in records(authority))}…")


@pytest.mark.parametrize(
    ("update", "key", "answer"),
    [
        ("_acme-challenge.acme.test. 60 TXT ours", True, ""),
        ("_acme-challenge.acme.test. 60 TXT not-ours", False, "REFUSED"),
        ("_acme-challenge.acme.test. 60 SRV 0 0 1 elsewhere.test.", True, "REFUSED"),
        ("_acme-challenge.acme.test. 60 NS elsewhere.test.", True, "REFUSED"),
        ("below._acme-challenge.acme.test. 60 TXT no", True, "REFUSED"),
        ("acme.test. 60 TXT no", True, "REFUSED"),
        ("www.acme.test. 60 A 198.51.100.9", True, "REFUSED"),
    ],
)
def test_the_key_writes_challenges_and_nothing_else(maple, update, key, answer):
    option = "-k /run/named/session.key" if key else ""
    zone = "_acme-challenge.acme.test" if "_acme-challenge" in update else "acme.test"
    script = "printf 'server 127.0.0.1\\nzone %s\\nupdate %s\\nsend\\n'"
    result = maple.run(f"{script} {zone} 'add {update}' | nsupdate {option} 2>&1")
    print(f"{update}: {result.stdout.strip() or 'written'}")
    assert answer in result.stdout if answer else result.rc == 0
    if not answer:
        assert maple.out("dig +short @127.0.0.1 _acme-challenge.acme.test TXT") == '"ours"'
        maple.out(f"{script} {zone} 'delete _acme-challenge.acme.test. TXT' | nsupdate {option}")
    assert maple.out("dig +short @127.0.0.1 _acme-challenge.acme.test ANY | grep -v SOA | wc -l") in ("0", "1", "2")


def test_the_key_is_for_root_and_bind(maple):
    assert maple.out("stat -c '%U %a' /run/named/session.key") == "bind 600"
    assert maple.run("runuser -u www-data -- cat /run/named/session.key").rc != 0


def test_the_timer_is_ours(maple):
    assert maple.out("systemctl is-enabled certbot.timer || true") == "masked"
    assert maple.out("systemctl is-active xmpp-certificate.timer") == "active"
    moments = {
        maple.out(
            "systemctl daemon-reload; systemctl restart xmpp-certificate.timer;"
            " systemctl show -p NextElapseUSecRealtime --value xmpp-certificate.timer"
        )
        for _ in range(3)
    }
    print(f"next: {moments}")
    assert len(moments) == 1, "the second at which a host renews changes"
    maple.out("systemctl start xmpp-certificate.service")
    assert "unchanged: the certificate is valid until" in maple.out("journalctl -q -o cat -u xmpp-certificate -n 5")


@pytest.mark.usefixtures("validating")
def test_renewal_keeps_the_key_and_restarts_nobody(maple, authority):
    """Through a resolver that validates: the delegation of the challenge is unsigned, and proven to be."""
    before, keys = both(authority), served_keys(authority)
    daemons = "systemctl show -p MainPID prosody nginx named"
    pids = maple.out(daemons)
    result = renew(maple)
    assert result.rc == 0
    assert "served by ports 5222, 5223, 5269, 5270, 443, 5349" in result.stdout
    after = both(authority)
    assert len(set(after.values())) == 2 and not set(after.values()) & set(before.values())
    assert served_keys(authority) == keys
    assert maple.out(daemons) == pids


def test_no_challenge_is_left(maple):
    for name in NAMES:
        assert maple.out(f"dig +short @127.0.0.1 _acme-challenge.{name} TXT") == ""


@pytest.mark.usefixtures("unchanged")
def test_a_renewal_that_the_authority_refuses(maple):
    result = renew(maple, directory="https://authority.test:14001/dir")
    assert result.rc == 1
    assert "forbidden by policy" in result.stderr and "acme.test" in result.stderr


@pytest.mark.usefixtures("unchanged", "validating")
def test_a_challenge_that_the_authority_cannot_verify(maple, authority):
    """The resolver has the wrong key for the zone, so to it our answers are forged."""
    path = f"/etc/unbound/anchors/{DOMAIN}.conf"
    authority.out(f"cp {path} /run/right.conf && sed -i 's/13 2 ..../13 2 0000/' {path} && systemctl restart unbound")
    try:
        result = renew(maple)
    finally:
        authority.out(f"cp /run/right.conf {path} && systemctl restart unbound")
    assert result.rc == 1
    assert "Domain: acme.test" in result.stderr and "Detail: " in result.stderr


@pytest.mark.usefixtures("unchanged")
def test_an_authority_that_is_away(maple):
    result = renew(maple, directory="https://authority.test:14009/dir")
    assert result.rc == 1
    assert "https://authority.test:14009/dir does not answer as an authority does" in result.stderr
    assert "Connection refused" in result.stderr


@pytest.mark.usefixtures("unchanged")
def test_an_authority_whose_own_certificate_nobody_vouches_for(maple):
    result = renew(maple, ca_bundle=f"/etc/ssl/xmpp/{DOMAIN}/fullchain.pem")
    assert result.rc == 1
    assert "CERTIFICATE_VERIFY_FAILED" in result.stderr


@pytest.mark.usefixtures("unchanged")
def test_a_caa_that_forbids(maple):
    """The control is every other order: it is the CAA that makes the difference."""
    result = renew(maple, directory="https://authority.test:14002/other.test")
    assert result.rc == 1
    assert "the CAA records of acme.test let 'letsencrypt.org; accounturi=" in result.stderr
    assert "issue, and the authority is other.test, by dns-01 for the account https://" in result.stderr


def test_caa_records_name_the_account(maple, authority):
    """From before the first issue on (RFC 8657)."""
    accounts = maple.out("cat /etc/letsencrypt/accounts/authority.test:14002/letsencrypt.org/*/regr.json")
    uri = json.loads(accounts)["uri"]
    records = set(authority.out(f"dig +short @198.51.100.80 {DOMAIN} CAA").splitlines())
    print(records)
    assert records == {f'0 issue "letsencrypt.org; accounturi={uri}; validationmethods=dns-01"', '0 issuewild ";"'}
    changes = maple.out("cat /var/lib/bind/zones/acme.test.zone")
    assert changes.count("CAA") == 2


@pytest.mark.usefixtures("unchanged")
def test_another_account_is_refused_before_it_is_counted(maple):
    """As after a host was rebuilt without its account, or by somebody who has taken over the name server."""
    folder = "/etc/letsencrypt/accounts/authority.test:14002"
    maple.out(f"mv {folder} /run/accounts")
    try:
        result = renew(maple)
    finally:
        maple.out(f"rm -rf {folder}; mv /run/accounts {folder}")
    assert result.rc == 1
    assert "the CAA records of acme.test let 'letsencrypt.org; accounturi=" in result.stderr
    assert "run xmpp-certificate --register and then the playbook, which publishes the account" in result.stderr


@pytest.mark.usefixtures("unchanged")
def test_another_method_is_refused(maple):
    result = renew(maple, challenge="http-01")
    assert result.rc == 1
    assert "validationmethods=dns-01' issue, and the authority is letsencrypt.org, by http-01 for" in result.stderr


@pytest.mark.usefixtures("unchanged")
def test_a_bind_that_is_down(maple, authority):
    maple.out("systemctl stop named")
    try:
        result = renew(maple)
    finally:
        maple.out("systemctl start named")
        # The resolver would remember for some seconds that nobody has answered.
        authority.out("systemctl restart unbound")
    assert result.rc == 1
    records = "does not tell the CAA records of acme.test:"
    assert f"127.0.0.1 {records} no answer (Connection refused)" in result.stderr
    # The resolver finds nobody to ask: it says so at once, or lets the question time out.
    assert re.search(f"the resolver {records} (SERVFAIL|no answer)", result.stderr)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("breaks", "mends", "message"),
    [
        (
            "printf '#!/bin/sh\\necho no such thing >&2\\nexit 1\\n' > /etc/xmpp/deploy.d/zz && chmod +x /etc/xmpp/deploy.d/zz",
            "rm /etc/xmpp/deploy.d/zz",
            "no such thing",
        ),
        (
            "chmod -x /etc/xmpp/deploy.d/prosody",
            "chmod +x /etc/xmpp/deploy.d/prosody",
            "after the reload "
            + "".join(
                f"port {port} serves another one for {kind}; " for port in (5222, 5223, 5269, 5270) for kind in KINDS
            )
            + "the old one is in place again",
        ),
        (
            "chmod -x /etc/xmpp/deploy.d/nginx",
            "chmod +x /etc/xmpp/deploy.d/nginx",
            "after the reload port 443 serves another one for ECDSA; port 443 serves another one for RSA; the old one is in "
            "place again",
        ),
    ],
)
def test_a_deploy_that_does_not_reach_every_port_is_taken_back(maple, breaks, mends, message):
    maple.out(breaks)
    try:
        result = renew(maple)
    finally:
        maple.out(mends)
    assert result.rc == 1
    assert message in result.stderr


@pytest.mark.usefixtures("unchanged")
def test_one_kind_that_is_not_served_takes_both_back(maple):
    """After nginx has been reloaded for both, it is made to go on with the former RSA certificate."""
    folder = f"/etc/ssl/xmpp/{DOMAIN}"
    maple.out(f"cp {folder}/fullchain-rsa.pem {folder}/privkey-rsa.pem /run/")
    maple.out(f"sed -i 's#{folder}/\\(.*-rsa.pem\\)#/run/\\1#' /etc/nginx/nginx.conf")
    try:
        result = renew(maple)
    finally:
        maple.out(
            f"sed -i 's#/run/\\(.*-rsa.pem\\)#{folder}/\\1#' /etc/nginx/nginx.conf && nginx -s reload && rm /run/*-rsa.pem"
        )
    assert result.rc == 1
    assert "after the reload port 443 serves another one for RSA; the old one is in place again" in result.stderr


def test_the_journal_has_the_reason(maple):
    maple.out("cp /etc/xmpp/certificate.json /run/right.json")
    try:
        maple.out("sed -i s/14002/14009/ /etc/xmpp/certificate.json")
        assert maple.run("systemctl start xmpp-certificate.service").rc != 0
        assert "The certificate stays as it is: " in maple.out("journalctl -q -o cat -u xmpp-certificate -n 8")
    finally:
        maple.out("cp /run/right.json /etc/xmpp/certificate.json; systemctl reset-failed xmpp-certificate.service")


def names_of(authority, kind: str = "ECDSA") -> set[str]:
    """The names of the certificate that Prosody serves."""
    return set(re.findall(r"DNS:([^\s,]+)", served(authority, "-ext subjectAltName", kind)[5222]))


def ordered(authority, unproven: str, order):
    """Order while a name cannot be proven; returns what was served before, and the result.

    Once more where the name has passed: Pebble takes a proof of before in one order of a hundred, though told never to
    (its wfe.go compares with ">").
    """
    while True:
        before = both(authority)
        result = order()
        after = both(authority)
        new = [kind for kind in KINDS if after[kind, 5222] != before[kind, 5222]]
        if not any(unproven in names_of(authority, kind) for kind in new):
            return before, result
        print(f"{unproven} was not proven anew for {', '.join(new)}")


def test_a_name_that_cannot_be_proven_does_not_hold_up_the_others(maple, authority):
    """The authority's resolver does not find the challenge of one name; and BIND has no zone for another one's."""
    bad = f"search.{DOMAIN}"
    block = "/etc/unbound/anchors/block.conf"
    authority.out(f"echo 'local-zone: _acme-challenge.{bad} always_nxdomain' > {block} && systemctl restart unbound")
    try:
        before, result = ordered(authority, bad, lambda: renew(maple))
        assert result.rc == 1 and f"Domain: {bad}" in result.stderr
        assert both(authority) == before, "a name was taken from those who have it"
        # Of a host whose certificate nobody trusts yet, there is nothing to be lost.
        forget = "cd /var/lib/xmpp-certificate && rm -rf state.json ordered"
        _before, result = ordered(authority, bad, lambda: maple.run(f"{forget} && xmpp-certificate"))
        print(result.stdout, result.stderr)
        assert result.rc == 1 and "issued: valid until" in result.stdout
        assert f"The certificate is renewed, but it lacks {bad}: " in result.stderr
        assert names_of(authority) == set(NAMES) - {bad}
        # The timer does not try again at once, and tells why; and nothing is ordered that brings nothing.
        assert maple.run("systemctl start xmpp-certificate.service").rc != 0
        said = maple.out("journalctl -q -o cat -u xmpp-certificate -n 12")
        assert "(it is tried again at " in said and f"Domain: {bad}" in said
        before, result = ordered(authority, bad, lambda: maple.run("xmpp-certificate"))
        assert result.rc == 1 and both(authority) == before
    finally:
        authority.out(f"rm {block} && systemctl restart unbound")
        maple.out("systemctl reset-failed xmpp-certificate.service")
    result = maple.run("xmpp-certificate")
    print(result.stdout, result.stderr)
    assert result.rc == 0 and names_of(authority) == set(NAMES)
    result = renew(maple, names=[*NAMES, f"unknown.{DOMAIN}"])
    assert result.rc == 1 and f"it lacks unknown.{DOMAIN}: 127.0.0.1 does not answer for" in result.stderr
    assert "issued: valid until" in result.stdout and names_of(authority) == set(NAMES)


def test_what_could_not_be_deployed_is_not_ordered_again(maple, authority):
    """Authorities count certificates: the chain that a daemon did not take is deployed when it does."""
    count = "journalctl -q -o cat -u 'pebble@*' | grep -c 'Issued certificate'"
    before = both(authority)
    state, hook = "/var/lib/xmpp-certificate", "/etc/xmpp/deploy.d/zz"
    maple.out(f"rm -r {state}/state.json {state}/ordered; printf '#!/bin/sh\\nexit 1\\n' > {hook}; chmod +x {hook}")
    try:
        assert maple.run("xmpp-certificate").rc == 1
        orders = int(authority.out(count))
        assert maple.run("xmpp-certificate").rc == 1 and both(authority) == before
    finally:
        maple.out(f"rm {hook}")
    result = maple.run("xmpp-certificate")
    print(result.stdout, result.stderr)
    assert result.rc == 0 and "The certificate that was ordered before is deployed" in result.stdout
    assert int(authority.out(count)) == orders and not set(both(authority).values()) & set(before.values())


def test_more_names_than_one_certificate_takes_are_refused_before_anything_changes():
    domains = [{"domain": f"d{number:02}.test"} for number in range(20)]
    rc, said = play("site", json.dumps({"xmpp_extra_domains": domains}))
    assert rc != 0 and "certificates_names: its length is 106, and the authority accepts 100 in one certificate" in said
    assert "changed=0" in said
