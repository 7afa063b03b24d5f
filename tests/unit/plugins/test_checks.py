# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pathlib
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.formats import dns, host, prosody, times, web
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.formats.times import update_windows
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import certificate_names, domains
from variables import FORMATS

LONG = "a" * 63
MODULES = {"source": "m.tar.gz", "sha256": "0" * 64, "modules": ["muc_limits"]}
HINT = "; write letters, digits and hyphens between dots, for example 'example.org' (RFC 1123)"


@pytest.mark.parametrize(
    ("check", "value", "expected"),
    [
        (checks.domain_name, "example.org", "example.org"),
        (checks.domain_name, "xn--brccoli-90a.test", "xn--brccoli-90a.test"),
        (checks.domain_name, "3com.example", "3com.example"),
        (checks.domain_name, ".".join([LONG, LONG, LONG, "a" * 61]), ".".join([LONG, LONG, LONG, "a" * 61])),
        (checks.host_name, "rosewood.example.org", "rosewood.example.org"),
        (checks.ip_address, "198.51.100.10", "198.51.100.10"),
        (checks.ip_address, "2001:DB8:0::10", "2001:db8::10"),
        (checks.ip_address, "10.0.0.1", "10.0.0.1"),
        (checks.bare_jid, "juliet@example.org", "juliet@example.org"),
        (checks.bare_jid, "jülîet.o'neill".replace("'", "") + "@example.org", "jülîet.oneill@example.org"),
        (dns.ca_domain, "letsencrypt.org", "letsencrypt.org"),
        (
            dns.ca_domain,
            "ca.example; accounturi=https://ca.example/acct/1; validationmethods=dns-01",
            "ca.example; accounturi=https://ca.example/acct/1; validationmethods=dns-01",
        ),
        (checks.port, 5222, 5222),
        (times.window, "02:00-05:00", (120, 300)),
        (checks.components, {"muc": "muc.example.org"}, {"muc": "muc.example.org"}),
        (checks.service, "client", "client"),
        (FORMATS["xmpp_services"], [], []),
        (web.key_types, ["rsa-3072"], ["rsa-3072"]),
        (web.key_types, ["rsa-4096", "ecdsa-p384"], ["rsa-4096", "ecdsa-p384"]),
        (FORMATS["certificates_acme_email"], "", ""),
        (FORMATS["certificates_acme_email"], "a.b+c@example.org", "a.b+c@example.org"),
        (FORMATS["certificates_dns_server"], "::1", "::1"),
        (web.https_url, "https://[2001:db8::1]:14000/dir", "https://[2001:db8::1]:14000/dir"),
        (FORMATS["certificates_ports"], [{"port": 443}], [{"port": 443}]),
        (FORMATS["xmpp_users"], [], []),
        (
            FORMATS["prosody_users"],
            [{"jid": "a@b.test", "role": "admin"}],
            [{"jid": "a@b.test", "role": "admin"}],
        ),
        (FORMATS["xmpp_user_passwords"], {}, {}),
        (FORMATS["prosody_user_passwords"], {"a@b.test": " é'\"{{"}, {"a@b.test": " é'\"{{"}),
        (FORMATS["bind_ttl"], 0, 0),
        (checks.zone_name, "example.org", "example.org"),
        (checks.zone_name, "0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa"),
        (FORMATS["bind_ttl"], 86400, 86400),
        (dns.tlsa_name, "_443._tcp.a.test", "_443._tcp.a.test"),
        (prosody.pubsub_node, "rtbl.example.org/muc_bans_sha256", "rtbl.example.org/muc_bans_sha256"),
        (FORMATS["prosody_room_blocklists"], [], []),
        (prosody.community_modules, [], []),
        (prosody.community_modules, [MODULES], [MODULES]),
        (checks.account_name, "jülîet", "jülîet"),
        (FORMATS["prosody_registration_reserved"], [], []),
        (FORMATS["prosody_registration_blocklist"], [], []),
        (
            prosody.registration_questions,
            [{"en": "What colour is our logo?", "de": "{{", "answers": ["green", "'"]}],
            [{"en": "What colour is our logo?", "de": "{{", "answers": ["green", "'"]}],
        ),
        (host.file_path, "/etc/xmpp/turn.secret", "/etc/xmpp/turn.secret"),
        (host.system_group, "xmpp-turn", "xmpp-turn"),
        (prosody.turn_policy, "strict", "strict"),
        (
            FORMATS["turn_addresses"],
            [{"address": "10.0.0.5", "public": "198.51.100.10"}],
            [{"address": "10.0.0.5", "public": "198.51.100.10"}],
        ),
    ],
)
def test_right_values(check, value, expected):
    assert check(value) == expected


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (
            web.key_types,
            "ecdsa-p256",
            "'ecdsa-p256' is not a list of kinds of keys; write for example ['ecdsa-p256'], or",
        ),
        (web.key_types, [], "[] is not a list of kinds of keys"),
        (web.key_types, ["rsa-2048"], "'rsa-2048' is too short a key; write 'rsa-3072' or 'rsa-4096'"),
        (web.key_types, ["ecdsa-p265"], "'ecdsa-p265' is not a kind of key; did you mean 'ecdsa-p256'?"),
        (web.key_types, [3072], "3072 is not a kind of key"),
        (
            web.key_types,
            ["ecdsa-p256", "rsa-3072", "ecdsa-p384"],
            "['ecdsa-p256', 'rsa-3072', 'ecdsa-p384'] has 2 kinds of ECDSA keys, of which a daemon serves one; write",
        ),
        (web.key_types, ["rsa-3072", "rsa-4096"], "has 2 kinds of RSA keys, of which a daemon serves one"),
        (checks.domain_name, 'bro"ccoli.test', "'bro\"ccoli.test' is not a domain name: '\"' is not allowed" + HINT),
        (checks.domain_name, "a b.test", "'a b.test' is not a domain name: ' ' is not allowed" + HINT),
        (checks.domain_name, "a_b.test", "'_' is not allowed" + HINT),
        (checks.domain_name, "a.test\n", "'\\n' is not allowed" + HINT),
        (checks.domain_name, "a\0.test", "'\\x00' is not allowed" + HINT),
        (checks.domain_name, "*.test", "'*' is not allowed" + HINT),
        (checks.domain_name, "Example.org", "'E' is not lower-case" + HINT),
        (
            checks.domain_name,
            "bröccoli.test",
            "'ö' is not ASCII, and this name needs A-labels (RFC 5890): write 'xn--brccoli-b1a.test'",
        ),
        (checks.domain_name, "\u0663.test", "'\u0663' is not allowed" + HINT),
        (checks.domain_name, "example.org.", "it ends in a dot" + HINT),
        (checks.domain_name, "example..org", "it has an empty label: two dots in a row, or a dot at the start" + HINT),
        (checks.domain_name, ".org", "it has an empty label: two dots in a row, or a dot at the start" + HINT),
        (checks.domain_name, "-a.test", "the label '-a' begins or ends with a hyphen" + HINT),
        (checks.domain_name, "a-.test", "the label 'a-' begins or ends with a hyphen" + HINT),
        (checks.domain_name, "a" * 64 + ".test", "has 64 characters, more than 63" + HINT),
        (checks.domain_name, ".".join([LONG, LONG, LONG, LONG]), "it has 255 characters, more than 253" + HINT),
        (checks.domain_name, "localhost", "it has one label only" + HINT),
        (checks.domain_name, "198.51.100.10", "its last label '10' is a number, as in an address" + HINT),
        (checks.domain_name, "", "'' is not a domain name: it is empty; write for example 'example.org'"),
        (checks.domain_name, None, "None is not a domain name: it is not a string; write for example 'example.org'"),
        (checks.domain_name, ["a.test"], "['a.test'] is not a domain name: it is not a string"),
        (
            checks.host_name,
            "rosewood",
            "'rosewood' is not a full host name: it has one label only; write letters, digits "
            "and hyphens between dots, for example 'rosewood.example.org' (RFC 1123)",
        ),
        (
            checks.ip_address,
            "198.51.100.256",
            "'198.51.100.256' is not an IP address; write for example '198.51.100.10' or "
            "'2001:db8::10', without a prefix length or a zone",
        ),
        (checks.ip_address, "198.51.100.10/24", "is not an IP address"),
        (checks.ip_address, "198.051.100.10", "is not an IP address"),
        (checks.ip_address, "fe80::1%eth0", "is not an IP address"),
        (checks.ip_address, "example.org", "is not an IP address"),
        (checks.ip_address, 3325256714, "3325256714 is not an IP address: it is not a string"),
        (
            checks.ip_address,
            "127.0.0.1",
            "'127.0.0.1' is the loopback, so that no other machine can reach it; write the",
        ),
        (checks.ip_address, "::", "'::' is the unspecified address"),
        (checks.ip_address, "ff02::1", "'ff02::1' is a multicast group"),
        (checks.ip_address, "fe80::1", "'fe80::1' is link-local"),
        (
            checks.bare_jid,
            "juliet",
            "'juliet' is not a bare JID: there is no account before an '@'; write the account and "
            "its domain, for example 'juliet@example.org' (RFC 7622)",
        ),
        (checks.bare_jid, "@example.org", "there is no account before an '@'"),
        (checks.bare_jid, "juliet@example.org/phone", "'/' begins a resource, which an account does not have"),
        (checks.bare_jid, "ju liet@example.org", "' ' is not allowed in an account"),
        (checks.bare_jid, "o'neill@example.org", '"\'" is not allowed in an account'),
        (checks.bare_jid, "Juliet@example.org", "XMPP knows this account as 'juliet': 'J' is written there as 'j'"),
        (checks.bare_jid, "a@b@example.org", "'@' is not allowed"),
        (checks.bare_jid, "juliet@exam ple.org", "'exam ple.org' is not a domain name: ' ' is not allowed"),
        (checks.bare_jid, "a" * 1024 + "@example.org", "the account is longer than 1023 bytes"),
        (
            dns.ca_domain,
            "letsencrypt",
            "'letsencrypt' is not a certificate authority's domain: it has one label only",
        ),
        (dns.ca_domain, 'a.test"; issue', "is not a certificate authority's domain: '\"' is not allowed"),
        (
            dns.ca_domain,
            "a.test; x",
            "'x' is not a parameter; write for example 'letsencrypt.org; validationmethods=dns-01'",
        ),
        (checks.port, 0, "0 is not a port; write a number from 1 to 65535, for example 5222"),
        (checks.port, 65536, "65536 is not a port"),
        (checks.port, "5222", "'5222' is not a port"),
        (checks.port, True, "True is not a port"),
        (checks.components, ["muc.example.org"], "['muc.example.org'] is not a dictionary of components; write"),
        (checks.components, {"mcu": "muc.example.org"}, "'mcu' is not a kind of component; did you mean 'muc'?"),
        (checks.components, {"muc": "muc"}, "muc: 'muc' is not a domain name: it has one label only"),
        (
            checks.components,
            {"muc": "a.test", "upload": "a.test"},
            "'a.test' is the name of two components; give each its own",
        ),
        (checks.service, "clients", "'clients' is not a service; did you mean 'client'?"),
        (web.https_url, "http://a.test/", "'http://a.test/' is not an HTTPS URL; write for example 'https://acme"),
        (web.https_url, "https://a.test/x y", "'https://a.test/x y' is not an HTTPS URL"),
        (web.https_url, "https://a.test/x\n", "is not an HTTPS URL"),
        (host.mail_address, "example.org", "'example.org' is not a mail address; write for example 'hostmaster@"),
        (host.mail_address, "a@b", "'a@b' is not a mail address: 'b' is not a domain name: it has one label only"),
        (host.mail_address, "-a b@b.test", "'-a b@b.test' is not a mail address"),
        (checks.local_address, "localhost", "'localhost' is not an IP address; write for example '127.0.0.1' or '::1'"),
        (dns.tlsa_name, "5222._tcp.a.test", "'5222._tcp.a.test' is not the name of TLSA records; write for example"),
        (dns.tlsa_name, "_65536._tcp.a.test", "is not the name of TLSA records"),
        (dns.tlsa_name, "_443._tcp.a", "is not the name of TLSA records: 'a' is not a domain name"),
        (FORMATS["certificates_ports"], [{"port": 0}], "0 is not a port"),
        (FORMATS["xmpp_users"], "a@b.test", "'a@b.test' is not a list of accounts; write for example [{'jid': "),
        (
            FORMATS["xmpp_users"],
            [{"jid": "b.test"}],
            "'b.test' is not a bare JID: there is no account before an '@'",
        ),
        (
            FORMATS["xmpp_users"],
            [{"jid": "A@b.test"}],
            "'A@b.test' is not a bare JID: XMPP knows this account as 'a'",
        ),
        (
            FORMATS["prosody_users"],
            [{"jid": "a@b.test"}, {"jid": "a@b.test", "state": "absent"}],
            "'a@b.test' appears twice in the list of accounts; write it once",
        ),
        (
            FORMATS["xmpp_user_passwords"],
            ["secret"],
            "this is not a dictionary of passwords; write for example {'",
        ),
        (FORMATS["xmpp_user_passwords"], {"b.test": "secret"}, "'b.test' is not a bare JID"),
        (
            FORMATS["prosody_user_passwords"],
            {"a@b.test": ""},
            "'a@b.test' has no password: it is empty or not a string",
        ),
        (
            FORMATS["prosody_user_passwords"],
            {"a@b.test": 1234},
            "'a@b.test' has no password: it is empty or not a string",
        ),
        (checks.zone_name, "0/25.example.org", "'0/25.example.org' is not a domain name: '/' is not allowed"),
        (checks.zone_name, "../x.in-addr.arpa", "'../x.in-addr.arpa' is not a domain name"),
        (FORMATS["bind_secondary_zones"], ['a"; }; x.test'], "is not a domain name"),
        (FORMATS["bind_ttl"], -1, "-1 is too small; write seconds from 0 to 86400"),
        (FORMATS["bind_ttl"], 2**31, "2147483648 is too large; write seconds"),
        (FORMATS["bind_ttl"], "1h", "'1h' is not a number; write seconds from 0 to 86400"),
        (FORMATS["bind_ttl"], True, "True is not a number; write seconds"),
        (FORMATS["certificates_acme_email"], None, "None is not a mail address: it is not a string"),
        (checks.account_name, "Juliet", "'Juliet' is not an account's name: XMPP knows this account as 'juliet'"),
        (checks.account_name, "a@b", "'a@b' is not an account's name"),
        (checks.account_name, "a/b", "'a/b' is not an account's name"),
        (checks.account_name, "a\n", "'a\\n' is not an account's name"),
        (checks.account_name, "", "'' is not an account's name: it is empty"),
        (checks.account_name, 7, "7 is not an account's name: it is not a string"),
        (
            FORMATS["prosody_registration_reserved"],
            "chief",
            "'chief' is not a list of account names; write for example ['chief']",
        ),
        (
            FORMATS["prosody_registration_blocklist"],
            ["198.51.100.1/24"],
            "'198.51.100.1/24' is not a network",
        ),
        (
            prosody.registration_questions,
            [{"en": "", "answers": ["green"]}],
            "'' is not a question: it is empty; write for example 'What colour is our logo?'",
        ),
        (
            prosody.registration_questions,
            [{"en": "Really?", "answers": []}],
            "[] is not a list of answers: it is empty; write for example ['green']",
        ),
        (
            prosody.registration_questions,
            [{"en": "Really?", "answers": ["a", "a"]}],
            "'a' appears twice in the list of answers",
        ),
        (prosody.registration_questions, [{"en": "Really?", "answers": [" "]}], "' ' is not an answer: it is empty"),
        (
            prosody.pubsub_node,
            "rtbl.example.org",
            "'rtbl.example.org' is not a blocklist; write its service and its node",
        ),
        (prosody.pubsub_node, "/bans", "'/bans' is not a blocklist: '' is not a domain name"),
        (prosody.pubsub_node, "a.test/'x", '"a.test/\'x" is not a blocklist'),
        (prosody.pubsub_node, 7, "7 is not a blocklist: it is not a string"),
        (prosody.community_modules, "x", "'x' is not a list of community modules"),
        (
            prosody.community_modules,
            [MODULES | {"sha256": "abc"}],
            "m.tar.gz: 'abc' is not a SHA-256 digest; write the 64",
        ),
        (prosody.community_modules, [MODULES | {"source": ""}], "'' is not where modules come from: it is empty"),
        (prosody.community_modules, [MODULES | {"modules": []}], "m.tar.gz: it lists no modules"),
        (prosody.community_modules, [MODULES | {"modules": ["../x"]}], "m.tar.gz: '../x' is not the name of a module"),
        (
            prosody.community_modules,
            [MODULES | {"modules": ["mod_x"]}],
            "'mod_x' is not the name of a module; write it",
        ),
        (prosody.community_modules, [MODULES, MODULES], "m.tar.gz: 'muc_limits' is listed twice; write it once"),
        (host.file_path, "turn.secret", "'turn.secret' is not the path of a file; write an absolute one"),
        (host.file_path, "/etc/$(reboot)", "'/etc/$(reboot)' is not the path of a file"),
        (host.file_path, "/etc/xmpp/a b", "'/etc/xmpp/a b' is not the path of a file"),
        (host.file_path, "/etc/xmpp/a'b", "is not the path of a file"),
        (host.file_path, "/etc/xmpp/x\n[Service]", "is not the path of a file"),
        (host.file_path, "/etc/../root/x", "'/etc/../root/x' is not the path of a file"),
        (host.file_path, "/", "'/' is not the path of a file"),
        (host.system_group, "Xmpp Turn", "'Xmpp Turn' is not a system group; write lower-case letters"),
        (host.system_group, "x;id", "'x;id' is not a system group"),
        (
            prosody.turn_policy,
            "modern",
            "'modern' is TLS 1.3, which Debian's coturn does not speak; leave 'turns' out of",
        ),
        (prosody.turn_policy, "lax", "'lax' is not a TLS policy; write 'strict'"),
        (FORMATS["turn_addresses"], [], "[] is not a list of addresses: it is empty; write for example [{'addr"),
        (
            FORMATS["turn_addresses"],
            [{"address": "10.0.0.5", "public": "2001:db8::1"}],
            "'2001:db8::1' cannot lead to '10.0.0.5'; write two IPv4 or two IPv6 addresses",
        ),
        (
            FORMATS["turn_addresses"],
            [{"address": "10.0.0.5", "public": "127.0.0.1"}],
            "'127.0.0.1' is the loopback",
        ),
        (FORMATS["turn_denied_peers"], ["10.0.0.0/8\nno-auth"], "is not a network"),
        (
            FORMATS["turn_denied_peers"],
            ["::/8"],
            "'::/8' begins with '::', and coturn takes such a range for all IPv4",
        ),
        (FORMATS["turn_allowed_peers"], ["::/0"], "'::/0' begins with '::'"),
        (FORMATS["xmpp_admins"], [], "[] is not a list of bare JIDs: it is empty; write for example"),
        (FORMATS["xmpp_admins"], "a@b.test", "'a@b.test' is not a list of bare JIDs"),
        (
            FORMATS["xmpp_addresses"],
            ["10.0.0.1", "10.0.0.1"],
            "'10.0.0.1' appears twice in the list of addresses",
        ),
    ],
)
def test_wrong_values(check, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check(value)


MAIN = {
    "domain": "example.org",
    "components": {"muc": "conference.example.org", "upload": "up.example.org"},
    "admins": ["juliet@example.org"],
}


def test_domains():
    """Each has what it says, and what the main one has otherwise."""
    extra = [
        {"domain": "example.net"},
        {"domain": "sub.example.org", "components": {}, "admins": ["romeo@sub.example.org"]},
        {"domain": "example.com", "components": {"muc": "rooms.example.com"}},
    ]
    given = repr(extra)
    found = domains(*MAIN.values(), extra_domains=extra)
    assert found == [
        MAIN,
        {
            "domain": "example.net",
            "components": {"muc": "conference.example.net", "upload": "up.example.net"},
            "admins": ["juliet@example.org"],
        },
        {"domain": "sub.example.org", "components": {}, "admins": ["romeo@sub.example.org"]},
        {"domain": "example.com", "components": {"muc": "rooms.example.com"}, "admins": ["juliet@example.org"]},
    ]
    assert repr(extra) == given
    assert domains(*MAIN.values()) == [MAIN]
    # What the filter returns is what the roles take.
    assert all(FORMATS[name](found) == found for name in ("prosody_domains", "nginx_domains", "xmpp_domains"))
    assert certificate_names(found) == [
        *["example.org", "conference.example.org", "up.example.org"],
        *["example.net", "conference.example.net", "up.example.net"],
        *["sub.example.org", "example.com", "rooms.example.com"],
    ]


@pytest.mark.parametrize(
    ("host", "is_there"),
    [
        ("rosewood.example.org", True),
        ("a.rosewood.example.org", True),
        ("example.org", False),
        ("rosewoodexample.org", False),
        ("vps12.provider.example", False),
        (None, False),
    ],
)
def test_the_machine_is_in_the_certificate_where_its_name_can_be_proven(host, is_there):
    names = certificate_names([MAIN], host=host)
    assert names == certificate_names([MAIN]) + [host] * is_there


def test_a_wrong_name_of_a_machine():
    with pytest.raises(ValueError, match="host: "):
        certificate_names([MAIN], host="rose wood.example.org")


def test_a_web_front_under_another_name():
    extra = [{"domain": "example.net", "web": "chat.example.net"}, {"domain": "example.com", "web": "example.com"}]
    found = domains(**MAIN, extra_domains=extra, web="rosewood.example.org")
    assert [entry.get("web") for entry in found] == ["rosewood.example.org", "chat.example.net", "example.com"]
    names = certificate_names(found)
    assert len(names) == len(set(names)) == 11
    assert names[0] == "example.org" and {"rosewood.example.org", "chat.example.net"} < set(names)
    assert domains(**MAIN, web="example.org") == [MAIN]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"web": "Chat.example.org"}, "web: 'Chat.example.org' is not a domain name: 'C' is not lower-case"),
        (
            {"web": "up.example.org"},
            "'up.example.org' is used twice, as a domain, a component or a web front",
        ),
        (
            {"web": "chat.example.org", "extra_domains": [{"domain": "example.net", "web": "chat.example.org"}]},
            "'chat.example.org' is used twice",
        ),
        ({"domain": "example"}, "domain: 'example' is not a domain name: it has one label only" + HINT),
        ({"components": {"muc": "a b"}}, "components: muc: 'a b' is not a domain name"),
        ({"components": ["a"]}, "components: ['a'] is not a dictionary of components; write for example"),
        ({"admins": []}, "admins: [] is not a list of bare JIDs: it is empty; write for example"),
        ({"extra_domains": "example.net"}, "extra_domains: 'example.net' is not a list of domains; write for example"),
        ({"extra_domains": ["example.net"]}, "extra_domains: 'example.net' is not an entry of a domain; write for"),
        ({"extra_domains": [{"name": "example.net"}]}, "'name' is not a key of a domain's entry; write one of admins,"),
        ({"extra_domains": [{"admins": []}]}, "extra_domains: {'admins': []} names no domain; write for example"),
        ({"extra_domains": [{"domain": "a b"}]}, "extra_domains: 'a b' is not a domain name"),
        (
            {"extra_domains": [{"domain": "example.net", "components": {"chat": "a.example.net"}}]},
            "extra_domains: example.net: components: 'chat' is not a kind of component; write one of",
        ),
        (
            {"extra_domains": [{"domain": "example.net", "admins": ["juliet"]}]},
            "extra_domains: example.net: admins: 'juliet' is not a bare JID",
        ),
        (
            {"extra_domains": [{"domain": "example.org", "components": {}}]},
            "'example.org' is used twice, as a domain, a component or a web front; give each its own name",
        ),
        (
            {"extra_domains": [{"domain": "example.net", "components": {"muc": "up.example.org"}}]},
            "'up.example.org' is used twice",
        ),
        (
            {"components": {"muc": "muc.example.com"}, "extra_domains": [{"domain": "example.net"}]},
            "extra_domains: example.net: it has no components of its own, and 'muc.example.com' (muc) of the main domain "
            "is not below 'example.org', so that there is no such name for it; write its components, or {} for none",
        ),
    ],
)
def test_domain_errors(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        domains(**{**MAIN, **changes})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("example.org", "domains: 'example.org' is not a list of domains"),
        ([{"domain": "example"}], "domains: 'example' is not a domain name: it has one label"),
    ],
)
def test_certificate_name_errors(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        certificate_names(given)


@pytest.mark.parametrize(
    ("texts", "auto", "windows"),
    [
        (["02:00-05:00"], False, [([0, 1, 2, 3, 4, 5, 6], "02:00", "05:00")]),
        (["sat,sun 23:30-01:00"], False, [([5, 6], "23:30", "01:00")]),
        (
            ["mon-fri 02:00-03:00", "sun 04:00-06:00"],
            False,
            [([0, 1, 2, 3, 4], "02:00", "03:00"), ([6], "04:00", "06:00")],
        ),
        (["fri-mon,wed,fri 00:00-23:59"], False, [([0, 2, 4, 5, 6], "00:00", "23:59")]),
        (["auto", "23:59-00:00"], True, [([0, 1, 2, 3, 4, 5, 6], "23:59", "00:00")]),
        (["wed-wed 12:01-12:00", "auto"], True, [([2], "12:01", "12:00")]),
    ],
)
def test_windows(texts, auto, windows):
    found = [{"days": days, "start": start, "end": end} for days, start, end in windows]
    assert update_windows(texts) == {"auto": auto, "windows": found}


WINDOW_HINT = "; write its begin and its end as HH:MM-HH:MM, for example '02:00-05:00'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("25:00-05:00", "'25:00-05:00' is not a window: '25:00' is not a time from 00:00 to 23:59" + WINDOW_HINT),
        ("02:00-24:00", "'24:00' is not a time from 00:00 to 23:59" + WINDOW_HINT),
        ("2:00-05:00", "'2:00' is not a time"),
        ("02:60-05:00", "'02:60' is not a time"),
        ("02:00\u201305:00", "it has no '-'" + WINDOW_HINT),
        ("02:00-05:00-06:00", "'05:00-06:00' is not a time"),
        (
            "02:00 - 05:00",
            "'02:00 - 05:00' is not a window: '02:00 ' is not a day of the week; write one of mon, tue, ",
        ),
        ("02:00-05:00\n", "'05:00\\n' is not a time"),
        ("mon 02:00 - 05:00", "'mon 02:00 ' is not a day of the week"),
        (
            "Mon 02:00-05:00",
            "'Mon' is not a day of the week; write one of mon, tue, wed, thu, fri, sat, sun, or a span as",
        ),
        ("mon- 02:00-05:00", "'' is not a day of the week"),
        ("mon,,tue 02:00-05:00", "'' is not a day of the week"),
        ("mon-tue-wed 02:00-05:00", "'tue-wed' is not a day of the week"),
        (" 02:00-05:00", "'' is not a day of the week"),
        ("auto", "['auto'] has no window to use while munin has no data; write for example ['02:00-05:00']"),
        ("\u0660\u0662:00-05:00", "is not a time"),
        ("02:00-02:00", "it begins and ends at the same minute" + WINDOW_HINT),
        ("always", "'always' is not a window: it has no '-'"),
        ("", "'' is not a window: it is empty; write for example '02:00-05:00'"),
        (7200, "7200 is not a window: it is not a string"),
    ],
)
def test_wrong_windows(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        update_windows([text])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("02:00-05:00", "'02:00-05:00' is not a list of windows; write for example ['02:00-05:00']"),
        ([], "[] is not a list of windows: it is empty; write for example ['02:00-05:00']"),
        (["02:00-05:00", "02:00-05:00"], "'02:00-05:00' appears twice in the list of windows; write it once"),
    ],
)
def test_wrong_lists_of_windows(value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        update_windows(value)


@pytest.mark.parametrize(
    ("name", "good", "bad", "message"),
    [
        (
            "updates_announce_minutes",
            [0, 5, 60],
            61,
            "61 is too large; write minutes from 0 to 60",
        ),
        ("updates_announce_minutes", [1], True, "True is not a number; write minutes"),
        (
            "updates_reboot_deadline",
            [1, 365],
            0,
            "0 is too small; write days from 1 to 365",
        ),
        (
            "updates_stale_days",
            [2],
            "2",
            "'2' is text; write 2 without quotes, and on a command line -e '{\"NAME\": 2}'",
        ),
        ("updates_fleet", [["a.test", "b"]], ["a", "a"], "'a' appears twice in the list of hosts; write it once"),
        ("updates_fleet", [], [], "[] is not a list of hosts: it is empty"),
        ("updates_fleet", [], ["a b"], "'a b' is not a host; write its name in the inventory"),
        ("updates_blacklist", [[], ["linux-", "libc6$"]], ['a"'], "'a\"' is not a pattern of packages: it has"),
        ("updates_blacklist", [], [""], "'' is not a pattern of packages: it is empty"),
        (
            "updates_origins_extra",
            [["origin=A,label=B c", "site=mirror.example.org,n=trixie"]],
            ['a=b";'],
            "'a=b\";' is not an origin; write pairs as `apt-cache policy` shows them",
        ),
        ("updates_origins_extra", [], ["Debian"], "'Debian' is not an origin"),
        ("status_disks", [["/", "/var"]], ["var"], "'var' is not a file system; write where it is mounted"),
        ("status_disk_warn_percent", [0, 15, 100], 101, "101 is too large; write a percentage from 0 to 100"),
        (
            "prosody_memory_max",
            ["30%", "100%", "512M", "2G", "infinity"],
            "1500",
            "'1500' is not a memory limit; write a share",
        ),
        ("nginx_memory_max", ["12.5%"], "0%", "'0%' is not a memory limit"),
        ("bind_memory_max", ["1T"], 512, "512 is not a memory limit"),
        ("turn_memory_max", ["9%"], "30%\nUser=root", "is not a memory limit"),
        ("status_patience", [0, 3600], -1, "-1 is too small; write seconds from 0 to 3600"),
    ],
)
def test_variables_of_updates_and_status(name, good, bad, message):
    for value in good:
        FORMATS[name](value)
    with pytest.raises(ValueError, match=re.escape(message)):
        FORMATS[name](bad)


PAIR = {"certificate": "/etc/ssl/a/chain.pem", "key": "/etc/ssl/a/key.pem"}


@pytest.mark.parametrize(
    ("name", "good", "bad", "message"),
    [
        ("nginx_acme_webroot", ["", "/var/www/acme"], "/var/www;acme", "'/var/www;acme' is not the path of a file"),
        ("nginx_certificates", [[PAIR]], [{**PAIR, "key": "/k; include /x"}], "key: '/k; include /x' is not the path"),
        ("nginx_certificates", [[PAIR]], [], "[] is empty; write at least one, with certificate, key"),
        ("nginx_chat_sha512", ["0" * 128], "0" * 64, "is not a SHA-512 digest; write the 128 hexadecimal digits"),
        (
            "nginx_chat_version",
            ["14.0.0", "14.0.1-rc.1"],
            "14.0.0/ {",
            "'14.0.0/ {' is not a version; write for example",
        ),
        ("nginx_chat_version", ["14.0.0"], "14.0.0\n", "is not a version"),
        ("nginx_chat_version", ["14.0.0"], "../..", "'../..' is not a version"),
        (
            "nginx_prosody_url",
            ["http://127.0.0.1:5280", "http://[::1]:5280", "https://xmpp.example.org"],
            "http://127.0.0.1:5280/a",
            "'http://127.0.0.1:5280/a' is not a URL without a path; write for example 'http://127.0.0.1:5280'",
        ),
        (
            "nginx_security_contacts",
            [[], ["mailto:a@b.test", "xmpp:käthe@b.test", "https://b.test/security?a=b"]],
            ["mailto:a@b.test\nExpires: 1970-01-01T00:00:00Z"],
            "is not a URI; write for example 'mailto:security@example.org'",
        ),
        ("nginx_security_contacts", [[]], ["a@b.test"], "'a@b.test' is not a URI"),
    ],
)
def test_variables_of_nginx(name, good, bad, message):
    for value in good:
        FORMATS[name](value)
    with pytest.raises(ValueError, match=re.escape(message)):
        FORMATS[name](bad)


# Names of packages are apt's to refuse; the folder is on the machine that runs Ansible.
UNWRITTEN = {"nginx_packages", "nginx_chat_archives"}


def test_no_text_of_role_nginx_is_written_unchecked():
    specs = yaml.safe_load((Path(__file__).parents[3] / "roles/nginx/meta/argument_specs.yml").read_text())
    for name, option in specs["argument_specs"]["main"]["options"].items():
        texts = {option["type"], option.get("elements")} & {"str", "path"}
        if not texts or "choices" in option or name in UNWRITTEN:
            continue
        assert name in FORMATS, name
        for end in ("\n", " {", "\x00", "\u2028"):
            value = f"https://a.test/{end}x"
            with pytest.raises(ValueError):
                FORMATS[name]([value] if option["type"] == "list" else value)


PUBLIC = [
    "198.51.100.10",
    "192.0.2.1",
    "203.0.113.1",
    "2001:db8::10",
    "3fff::1",
    "100.63.255.255",
    "172.32.0.1",
    "2a00::1",
]
NOT_PUBLIC = {
    "0.1.2.3": "of this network alone (RFC 791)",
    "10.0.0.5": "private (RFC 1918)",
    "172.16.0.1": "private (RFC 1918)",
    "172.31.255.255": "private (RFC 1918)",
    "192.168.1.1": "private (RFC 1918)",
    "100.64.0.1": "shared between a provider and its customers (RFC 6598)",
    "198.18.0.1": "for measurements (RFC 2544)",
    "192.0.0.1": "reserved for protocols",
    "255.255.255.255": "reserved",
    "fd00::1": "private (RFC 4193)",
    "FEC0::1": "private (RFC 3879)",
    "64:ff9b::a00:5": "an IPv4 address behind NAT64",
}


def test_public_addresses():
    assert checks.public_addresses(PUBLIC) == PUBLIC


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_private_addresses_are_published_by_who_means_it_only(address):
    with pytest.raises(ValueError, match=re.escape(f"is {NOT_PUBLIC[address]}")) as raised:
        checks.public_addresses(["198.51.100.10", address])
    assert "xmpp_addresses: ['198.51.100.10']" in str(raised.value) and "xmpp_private_addresses: true" in str(
        raised.value
    )
    assert checks.public_addresses([address], True) == checks.public_addresses([address], "yes") == [address.lower()]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1", "is the loopback"),
        ("::1", "is the loopback"),
        ("169.254.1.1", "is link-local"),
        ("fe80::1", "is link-local"),
        ("::ffff:198.51.100.10", "is an IPv4 address in the form of an IPv6 one; write '198.51.100.10'"),
        ("::ffff:127.0.0.1", "is an IPv4 address in the form of an IPv6 one"),
        ("ff02::1", "is a multicast group"),
    ],
)
def test_what_is_no_address_of_a_host_is_refused_whoever_means_it(address, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        checks.public_addresses([address], True)


ROLES = ("alarms", "backup", "bind", "certificates", "status", "turn", "updates")
TOP = pathlib.Path(__file__).resolve().parents[3]
# The filters check them, of which their defaults or what is derived from them are made; and those that are not to be set.
BY_FILTERS = {
    "bind_records_extra",
    "bind_ssh_host_keys",
    "bind_zones",
    "bind_zones_extra",
    "xmpp_certificates",
    "xmpp_provider",
}


def texts():
    """Every variable that can hold a text of any kind, with its type."""
    files = [TOP / "playbooks/site.meta.yml", *(TOP / f"roles/{role}/meta/argument_specs.yml" for role in ROLES)]
    for file in files:
        (spec,) = yaml.safe_load(file.read_text())["argument_specs"].values()
        for name, option in spec["options"].items():
            if option["type"] in ("str", "path", "list", "dict", "raw") and not option.get("choices"):
                yield name, option


def test_every_text_is_checked_by_its_form():
    """None reaches a command line, a unit or a file of lines unseen."""
    names = [name for name, _option in texts()]
    unseen = [name for name in names if name not in FORMATS and name not in BY_FILTERS]
    print(f"{len(names)} variables, {len(names) - len(BY_FILTERS)} by a check of their own")
    assert unseen == [] and len(names) > 100


HOSTILE = ["a\nb", "x\n[Service]\nExecStart=/bin/false", "-x", "--option=x", "a\0b", "x\r\ny", "\x1b[31m"]
# What begins with a hyphen is data there: one line of a file, or a text that is shown.
HYPHENS = {
    "backup_passphrase",
    "alarms_mail_password",
    "alarms_mail_user",
    "status_hostname",
    "updates_announcement",
    "updates_blacklist",
    "updates_fleet",
}


@pytest.mark.parametrize(
    "name",
    sorted({name for name, option in texts() if option["type"] in ("str", "path") or option.get("elements") == "str"}),
)
def test_newlines_and_options_are_refused(name):
    if name in BY_FILTERS:
        return
    option = dict(texts())[name]
    for value in HOSTILE:
        if value.startswith("-") and name in HYPHENS:
            continue
        with pytest.raises(ValueError, match="."):
            FORMATS[name]([value] if option["type"] == "list" else value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "backup_exclude_extra",
            ["-x"],
            "'-x' is not a pattern: it has a control character, or begins as an option; write",
        ),
        ("backup_exclude_extra", ["*.tmp\n--files-from=/etc/shadow"], "is not a pattern: it has a control character"),
        ("backup_restore_snapshot", "--target=/", "'--target=/' is not a snapshot; write 'latest', or the ID that"),
        ("backup_restore_repository", "--repo", "'--repo' is not a repository: '--repo' is not a kind of target"),
        ("backup_repositories", ["sftp://-oProxyCommand/x"], "it names no user, host and folder; write for example"),
        ("backup_repositories", ["sftp:a@-oProxyCommand:/x"], "it names no user, host and folder; write for example"),
        ("backup_services", ["--now.service"], "'--now.service' is not a unit; write its full name"),
        ("backup_packages", ["-o=x"], "'-o=x' is not a Debian package; write its name, for example 'restic'"),
        ("alarms_mail_to", ["-oQ/tmp@example.org"], "'-oQ/tmp@example.org' is not a mail address"),
        ("status_units_extra", ["a b.service"], "'a b.service' is not a unit"),
        (
            "status_commands",
            [{"name": "x", "argv": ["sh -c true"]}],
            "number 1: argv: ['sh -c true'] is not a program and its words",
        ),
        (
            "status_commands",
            [{"name": "x\ny", "argv": ["/bin/true"]}],
            "number 1: name: 'x\\ny' is not a name: it has a control",
        ),
        ("status_ports", [{"port": 0, "name": "x"}], "number 1: port: 0 is not a port"),
        (
            "status_ports",
            [{"port": 1, "name": "x", "certificate": "x"}],
            "number 1: certificate: 'x' is not the path of a file",
        ),
        ("status_certificates", ["/a b"], "'/a b' is not the path of a file"),
        ("turn_certificate", "/x\nno-auth", "is not the path of a file; write an absolute one of letters"),
        ("certificates_source", "-x", "'-x' is not the path of a file: it begins as an option; write './-x'"),
        ("certificates_source", "files/my chain.pem\n", "is not the path of a file: it has a control character"),
        ("bind_listen_on", ["any; }; "], "'any; }; ' is not a network"),
        ("bind_listen_on", ["2001:db8::1"], "'2001:db8::1' is not IPv4; write an IPv4 address, or 'any' or 'none'"),
        ("bind_listen_on_v6", [], "[] is not a list of addresses: it is empty"),
        ("bind_zsk_lifetime_days", 0, "0 is too small; write days from 30 to 3650"),
    ],
)
def test_values_that_would_be_read_as_something_else(name, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FORMATS[name](value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backup_exclude_extra", ["/srv/*.tmp", "!/srv/a", "[-]x"]),
        ("backup_restore_snapshot", "1a2b3c4d"),
        ("backup_packages", ["restic=0.18*", "libc6:amd64", "g++", "nginx/trixie"]),
        ("certificates_source", "files/my chain.pem"),
        ("status_units", ["ssh.service", "fwupd@x.service"]),
        ("updates_announcement", "Dieser Server startet in {minutes} Minuten neu — für Updates."),
        ("bind_listen_on", ["198.51.100.10", "192.0.2.0/24", "none"]),
    ],
)
def test_values_that_are_meant(name, value):
    assert FORMATS[name](value) == value


def test_the_defaults_pass():
    for role in ("xmpp", *ROLES):
        for name, value in yaml.safe_load((TOP / f"roles/{role}/defaults/main.yml").read_text()).items():
            # What has no default has to be set.
            if name in FORMATS and value is not None and "{{" not in str(value):
                FORMATS[name](value)
