# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""XMPP addresses: accounts as Prosody's nodeprep has them, and the two forms of a domain.

All code points are compared with a running Prosody in molecule/default/tests/test_names.py.
"""

import re

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import addresses
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks, dns, names
from variables import FORMATS


@pytest.mark.parametrize(
    ("given", "prepared"),
    [
        ("juliet", "juliet"),
        ("a+b", "a+b"),
        ("jülîet", "jülîet"),
        ("Juliet", "juliet"),
        ("straße", "strasse"),
        ("\N{LATIN SMALL LIGATURE FI}lm", "film"),
        ("\N{FULLWIDTH LATIN SMALL LETTER J}uliet", "juliet"),
        ("mu\N{COMBINING DIAERESIS}ller", "müller"),
        ("so\N{SOFT HYPHEN}ft", "soft"),
        ("\N{CYRILLIC LETTER PALOCHKA}", "\N{CYRILLIC LETTER PALOCHKA}"),
        ("שלום", "שלום"),
    ],
)
def test_nodeprep(given, prepared):
    assert addresses.nodeprep(given) == prepared
    assert addresses.nodeprep(prepared) == prepared


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("o'neill", '"\'" is not allowed in an account'),
        ("a@b", "'@' is not allowed"),
        ("\N{FULLWIDTH COMMERCIAL AT}", "'@' is not allowed"),
        ("a\N{NO-BREAK SPACE}b", "' ' is not allowed"),
        ("a\nb", "'\\n' is not allowed"),
        ("\N{GRINNING FACE}", "'😀' (U+1F600 GRINNING FACE) is not allowed in an account: XMPP does not know it"),
        ("\ud800", "(U+D800) is not allowed"),
        ("\N{SOFT HYPHEN}", "there is no account"),
        ("a" * 1024, "the account is longer than 1023 bytes"),
        ("ü" * 512, "the account is longer than 1023 bytes"),
        ("שלוםa", "it mixes letters that are written from right to left with others"),
    ],
)
def test_what_nodeprep_refuses(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        addresses.nodeprep(given)


# What a host must not get as an account: made, it could never log in, or it would be there twice.
UNPREPARED = [
    "Juliet",
    "straße",
    "\N{LATIN SMALL LIGATURE FI}lm",
    "\N{FULLWIDTH LATIN SMALL LETTER J}uliet",
    "mu\u0308ller",
]


@pytest.mark.parametrize("name", UNPREPARED)
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("xmpp_admins", lambda jid: [jid]),
        ("prosody_admins", lambda jid: [jid]),
        ("xmpp_users", lambda jid: [{"jid": jid}]),
        ("xmpp_user_passwords", lambda jid: {jid: "secret"}),
        ("xmpp_extra_domains", lambda jid: [{"domain": "example.net", "admins": [jid]}]),
        ("alarms_jids", lambda jid: [jid]),
        ("prosody_registration_reserved", lambda jid: [jid.partition("@")[0]]),
    ],
)
def test_every_variable_with_accounts_says_how_xmpp_knows_it(variable, value, name):
    expected = f"XMPP knows this account as {addresses.nodeprep(name)!r}: "
    with pytest.raises(ValueError, match=re.escape(expected)):
        FORMATS[variable](value(f"{name}@example.org"))


def test_names_that_look_alike_are_told_apart():
    with pytest.raises(
        ValueError, match=re.escape("'u' is written there as 'ü' (U+00FC LATIN SMALL LETTER U WITH DIAERESIS)")
    ):
        addresses.bare_jid("mu\u0308ller@example.org")
    with pytest.raises(ValueError, match=re.escape("(U+00AD SOFT HYPHEN) is written there as nothing")):
        addresses.bare_jid("a\u00ad@example.org")


@pytest.mark.parametrize(
    ("unicode", "ascii_form"),
    [
        ("example.org", "example.org"),
        ("bücher.test", "xn--bcher-kva.test"),
        ("conference.bücher.test", "conference.xn--bcher-kva.test"),
        ("рф.test", "xn--p1ai.test"),
        ("日本語.test", "xn--wgv71a119e.test"),
        ("שלום.test", "xn--9dbne9b.test"),
        ("col·lecció.test", "xn--collecci-ioa91d.test"),
    ],
)
def test_both_forms_of_a_domain(unicode, ascii_form):
    for given in (unicode, ascii_form):
        assert addresses.to_ascii(given) == checks.xmpp_domain(given) == names.dns_name(given) == ascii_form
        assert addresses.to_unicode(given) == names.jid(given) == unicode
        assert addresses.bare_jid(f"juliet@{given}") == names.jid(f"juliet@{given}") == f"juliet@{unicode}"
        assert names.jid(f"{given}/node") == f"{unicode}/node"


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        # IDNA2003 and IDNA2008 read these otherwise.
        (
            "straße.test",
            "'ß' (U+00DF LATIN SMALL LETTER SHARP S) is one name for XMPP (IDNA2003) and another one for DNS",
        ),
        ("xn--strae-oqa.test", "'xn--strae-oqa' is not an A-label of XMPP's: 'ß'"),
        ("σς.test", "is one name for XMPP (IDNA2003) and another"),
        ("a\u200db.test", "(U+200D ZERO WIDTH JOINER) is one name for XMPP"),
        ("☃.test", "'☃' (U+2603 SNOWMAN) is not allowed in a domain"),
        ("xn--n3h.test", "'xn--n3h' is not an A-label of XMPP's: '☃'"),
        ("\U0001f4a9.test", "is not allowed in a domain"),
        ("a·b.test", "'·' (U+00B7 MIDDLE DOT) is not allowed in a domain"),
        ("a\u1160b.test", "is not allowed in a domain"),
        # What looks like another name.
        (
            "br\u043eccoli.test",
            "mixes scripts, as names do that imitate others: 'b' and 'о' (U+043E CYRILLIC SMALL LETTER O)",
        ),
        ("xn--brccoli-s7g.test", "is not an A-label"),
        # What is not in the one form that a name has.
        ("Bücher.test", "'B' is not lower-case"),
        ("BÜCHER.test", "'B' is not lower-case"),
        ("bÜcher.test", "'Ü' (U+00DC LATIN CAPITAL LETTER U WITH DIAERESIS) is not lower-case"),
        ("bu\u0308cher.test", "is not composed (NFC); that would be 'bücher', whose length is 6"),
        ("\ufb01lm.test", "is another one when it is prepared: 'film'"),
        ("bücher。test", "(U+3002 IDEOGRAPHIC FULL STOP) is not allowed"),
        ("-ü.test", "begins or ends with a hyphen"),
        ("ab--ü.test", "has two as an A-label has them"),
        ("\u0308a.test", "begins with the mark (U+0308 COMBINING DIAERESIS)"),
        ("ü" * 60 + ".test", "has no A-label"),
        ("xn--bcher-KVA.test", "'xn--bcher-KVA' is not an A-label"),
        ("xn--abc-.test", "'xn--abc-' is not an A-label: it stands for 'abc'"),
        ("xn--a.test", "'xn--a' is not an A-label"),
        ("xn--.test", "'xn--' is not an A-label"),
        ("bücher", "it has one label only"),
        ("bücher..test", "it has an empty label: two dots in a row"),
        ("bü_cher.test", "'_' is not allowed"),
        ("bü cher.test", "' ' is not allowed"),
    ],
)
def test_wrong_domains(domain, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        checks.xmpp_domain(domain)
    assert str(error.value).startswith(repr(domain))
    assert "; write letters" in str(error.value)
    for check, value in (
        (FORMATS["xmpp_extra_domains"], [{"domain": domain}]),
        (FORMATS["xmpp_components"], {"muc": domain}),
        (FORMATS["xmpp_admins"], [f"juliet@{domain}"]),
        (names.dns_name, domain),
        (names.jid, domain),
    ):
        with pytest.raises(ValueError):
            check(value)


def test_the_model_has_one_form_whichever_is_written():
    def site(domain, other):
        return names.domains(
            domain,
            {"muc": f"conference.{other}", "upload": f"upload.{domain}"},
            [f"jülîet@{other}"],
            [{"domain": f"zwei.{other}", "admins": [f"romeo@{domain}"]}],
            domain,
        )

    u, a = "bücher.test", "xn--bcher-kva.test"
    assert site(u, u) == site(a, a) == site(u, a) == site(a, u)
    assert site(u, a) == [
        {
            "domain": a,
            "components": {"muc": f"conference.{a}", "upload": f"upload.{a}"},
            "admins": [f"jülîet@{u}"],
        },
        {
            "domain": f"zwei.{a}",
            "components": {"muc": f"conference.zwei.{a}", "upload": f"upload.zwei.{a}"},
            "admins": [f"romeo@{u}"],
        },
    ]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "xmpp_extra_domains",
            [{"domain": "bücher.test"}, {"domain": "xn--bcher-kva.test"}],
            "appears twice in the list",
        ),
        (
            "xmpp_components",
            {"muc": "a.bücher.test", "upload": "a.xn--bcher-kva.test"},
            "is the name of two components",
        ),
        ("xmpp_admins", ["a@bücher.test", "a@xn--bcher-kva.test"], "'a@bücher.test' appears twice in the list"),
        ("xmpp_user_passwords", {"a@bücher.test": "x", "a@xn--bcher-kva.test": "y"}, "appears twice in the list"),
        ("prosody_host_settings_extra", {"bücher.test": {}, "xn--bcher-kva.test": {}}, "appears twice in the list"),
    ],
)
def test_two_forms_are_one_name(variable, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FORMATS[variable](value)


@pytest.mark.parametrize(
    "variable", ["xmpp_hostname", "alarms_mail_relay", "bind_nameservers", "turn_realm", "status_zones"]
)
def test_names_that_xmpp_does_not_know_are_written_as_dns_has_them(variable):
    def value(name):
        return [name] if variable in ("bind_nameservers", "status_zones") else name

    assert FORMATS[variable](value("mail.xn--bcher-kva.test"))
    # IDNA2008 has it, and it is nobody's business here.
    assert FORMATS[variable](value("mail.xn--strae-oqa.test"))
    with pytest.raises(ValueError, match="this name needs A-labels .*: write 'mail.xn--bcher-kva.test'"):
        FORMATS[variable](value("mail.bücher.test"))


def test_a_role_that_takes_domains_as_they_are_says_so():
    with pytest.raises(
        ValueError, match="'upload.bücher.test' is written with U-labels, .* write 'upload.xn--bcher-kva.test'"
    ):
        FORMATS["nginx_domains"]([{"domain": "xn--bcher-kva.test", "components": {"upload": "upload.bücher.test"}}])


def test_uris():
    assert names.jid("jülîet+a@xn--bcher-kva.test", uri=True) == "xmpp:j%C3%BCl%C3%AEet+a@b%C3%BCcher.test"
    assert names.jid("a%?#b@example.org", uri=True) == "xmpp:a%25%3F%23b@example.org"


def test_the_mailbox_of_a_zone():
    values = dns.dns_zones(
        [{"domain": "bücher.test"}],
        "rosewood.example.org",
        ["198.51.100.10"],
        hostmaster="host.master@bücher.test",
    )[0]["soa"]
    assert values["rname"] == "host\\.master.xn--bcher-kva.test."
    with pytest.raises(ValueError, match="hostmaster: 'hölle@example.org' is not a mailbox"):
        dns.dns_zones(
            [{"domain": "example.org"}], "rosewood.example.org", ["198.51.100.10"], hostmaster="hölle@example.org"
        )
