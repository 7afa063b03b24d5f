# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import io
import json
import random
import sys

import dns.dnssec
import dns.rdata
import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import dig, dnssec
from ansible_collections.magicbroccoli.xmpp.plugins.modules import dnssec_info

ZONE = "oak.test"
# As BIND 9.20 has written it.
KSK = "7n4QPf7H2nel8ctC3sggAYQM3rqQK9XahiX8+690rOrndR/rrPN3Y/+r K1AHQp0mpRJzNvAFJ1liN2jJ7XvrrA=="
ZSK = "JpOAhPIEKNFI119QzsSeZzo3BZBWp0bMyFEpye/SAMVk9f+HlcYLWItl /s3pcxxN39F/fP/zU7dCDwNAEwdJFA=="
DS = "49989 13 2 EF80515772C855F0884E6621F30D1EA1FCD6C05E931CC6DD02F2AECE3B2D425D"
OTHER = "12345 13 2 " + "AB" * 32
STATE = """; This is the state of key {tag}, for {zone}.
Algorithm: 13
Length: 256
Lifetime: {lifetime}
KSK: {ksk}
ZSK: {zsk}
Generated: 20261122164919 (Sun Nov 22 16:49:19 2026)
Published: 20261122164919 (Sun Nov 22 16:49:19 2026)
Active: 20261122164919 (Sun Nov 22 16:49:19 2026)
{more}DNSKEYState: {dnskey}
DSState: hidden
GoalState: {goal}
"""
RETIRED = """Retired: 20270220164919 (Sat Feb 20 16:49:19 2027)
Removed: 20270302175419 (Tue Mar  2 17:54:19 2027)
"""


def write(folder, public, flags=257, tag=49989, zone=ZONE, goal="omnipresent", dnskey="omnipresent", more=""):
    ksk = flags == 257
    values = {"ksk": "yes" if ksk else "no", "zsk": "no" if ksk else "yes", "lifetime": 0 if ksk else 7776000}
    stem = folder / f"K{zone}.+013+{tag:05}"
    (stem.parent / f"{stem.name}.key").write_text(
        f"; This is a key, keyid {tag}, for {zone}.\n{zone}. 3600 IN DNSKEY {flags} 3 13 {public}\n"
    )
    state = STATE.format(tag=tag, zone=zone, goal=goal, dnskey=dnskey, more=more, **values)
    (stem.parent / f"{stem.name}.state").write_text(state)
    return stem


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, ZSK, 256, 34097, more=RETIRED)
    write(tmp_path, KSK)
    return tmp_path


def keys(folder):
    return dnssec.read_keys(ZONE, str(folder))


def answer(*records, status="NOERROR", flags="qr rd ra ad", soa="test"):
    lines = [";; Got answer:", f";; ->>HEADER<<- opcode: QUERY, status: {status}, id: 13801"]
    lines += [f";; flags: {flags}; QUERY: 1, ANSWER: {len(records)}, AUTHORITY: 1, ADDITIONAL: 1", ""]
    lines += [";; QUESTION SECTION:", f";{ZONE}.\t\t\tIN\tDS", ""]
    for record in records:
        # dig breaks the digest.
        lines.append(f"{ZONE}.\t\t60\tIN\tDS\t{record[:-8]} {record[-8:]}")
    if soa and not records:
        lines.append(f"{soa}.\t\t60\tIN\tSOA\tns.{soa}. root.{soa}. 1 3600 600 86400 60")
    return "\n".join(lines) + "\n"


def compare(folder, text):
    """What is said of an answer that dig has printed."""
    return dnssec.compare(ZONE, keys(folder), dig.read_answers(text).get((ZONE, "DS")))


def test_what_bind_has_written(folder):
    told = dnssec.describe(ZONE, keys(folder))
    assert told["ds"] == [DS]
    assert [(key["tag"], key["role"]) for key in told["keys"]] == [(49989, "ksk"), (34097, "zsk")]
    assert told["next_roll"] == {"at": "2027-02-20T16:49:19Z", "tag": 34097, "role": "zsk"}
    first, second = told["keys"]
    assert first["published"] == first["active"] == "2026-11-22T16:49:19Z"
    assert first["retired"] is None and second["removed"] == "2027-03-02T17:54:19Z"
    assert (first["goal"], first["dnskey"], first["ds"]) == ("omnipresent", "omnipresent", "hidden")


def test_tags_and_digests_are_those_of_another_implementation():
    source = random.Random(4034)
    for _round in range(300):
        public = source.randbytes(source.choice([32, 64, 96, 131, 260]))
        flags, algorithm = source.choice([256, 257, 385]), source.choice([8, 13, 14, 15])
        rdata = flags.to_bytes(2, "big") + bytes([3, algorithm]) + public
        known = dns.rdata.from_wire("IN", "DNSKEY", rdata, 0, len(rdata))
        key = {"tag": dnssec.key_tag(rdata), "algorithm": algorithm, "rdata": rdata}
        for number, name in ((1, "SHA1"), (2, "SHA256"), (4, "SHA384")):
            expected = dns.dnssec.make_ds(f"{ZONE}.", known, name, validating=True, policy=dns.dnssec.allow_all_policy)
            assert dnssec.ds_record(ZONE, key, number) == expected.to_text().upper()


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        (answer(DS), "right", "the parent's DS record fits"),
        (answer(DS.lower()), "right", "the parent's DS record fits"),
        (answer(DS, OTHER), "right", "the parent's DS record fits"),
        (answer(OTHER), "wrong", "no DS record of the parent fits a key of the zone, so that validation fails"),
        (answer(DS[:-1] + "E"), "wrong", "no DS record of the parent fits"),
        (answer(DS.replace("49989", "49988")), "wrong", "no DS record of the parent fits"),
        (answer(), "missing", "the parent has no DS record"),
        (answer(status="NXDOMAIN"), "missing", "the parent does not know the zone"),
        (answer(soa=ZONE), "unknown", "the zone's own server answered instead of the parent's; ask a resolver"),
        (answer(soa=""), "unknown", "the answer is a referral; ask a resolver"),
        (answer(status="SERVFAIL"), "unknown", "the resolver answered SERVFAIL"),
        (answer(status="REFUSED"), "unknown", "the resolver answered REFUSED"),
        (";; communications error to 198.51.100.99#53: timed out\n", "unknown", "no resolver answered; see"),
        ("", "unknown", "no resolver answered; see /etc/resolv.conf"),
    ],
)
def test_what_the_parent_says(folder, text, status, reason):
    told = compare(folder, text)
    assert told["status"] == status and told["reason"].startswith(reason), told
    assert told["validated"] == (status != "unknown")


def test_strangers_among_the_parents_records_are_named(folder):
    assert compare(folder, answer(DS, OTHER))["unmatched"] == [OTHER]
    assert compare(folder, answer(DS))["unmatched"] == []
    assert compare(folder, answer(DS, flags="qr rd ra"))["validated"] is False


@pytest.mark.parametrize("digest_type", [1, 4])
def test_other_digests_of_the_same_key_fit(folder, digest_type):
    (first, _second) = keys(folder)
    assert compare(folder, answer(dnssec.ds_record(ZONE, first, digest_type)))["status"] == "right"


def test_while_the_key_signing_key_is_rolled(folder):
    """The old one still holds the chain; the parent has to learn of the new one."""
    write(folder, KSK, goal="hidden", more=RETIRED)
    write(folder, ZSK, 257, 34098, dnskey="rumoured")
    told = compare(folder, answer(DS))
    assert (told["status"], told["reason"]) == ("missing", "the parent has no DS record of the key 34098")
    (new,) = dnssec.describe(ZONE, keys(folder))["ds"]
    assert new.startswith("34098 13 2 ")
    assert compare(folder, answer(DS, new))["status"] == "right"
    assert compare(folder, answer(DS, new))["unmatched"] == []
    # Once its DNSKEY record has left the zone, the old DS record fits nothing.
    write(folder, KSK, goal="hidden", dnskey="hidden", more=RETIRED)
    assert compare(folder, answer(DS))["status"] == "wrong"


def test_contents_count_and_not_names(folder):
    for path in folder.glob("*49989*"):
        path.rename(folder / path.name.replace("49989", "00001"))
    assert dnssec.describe(ZONE, keys(folder))["ds"] == [DS]


def test_keys_of_other_zones_are_left_alone(folder):
    write(folder, KSK, 257, 1, zone="sub.oak.test")
    write(folder, KSK, 257, 2, zone="test")
    assert [key["tag"] for key in keys(folder)] == [49989, 34097]


def test_waits_until_bind_has_made_the_keys(tmp_path):
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            write(tmp_path, KSK)
            (tmp_path / "Koak.test.+013+49989.state").rename(tmp_path / "later")
        if len(slept) == 5:
            (tmp_path / "later").rename(tmp_path / "Koak.test.+013+49989.state")

    found = dnssec.wait_for_keys(ZONE, str(tmp_path), 10, sleep, lambda: sum(slept))
    print(f"waited {sum(slept):.1f} s")
    assert [key["tag"] for key in found] == [49989] and len(slept) == 5


def run(arguments):
    output, exit_code = io.StringIO(), None
    with pytest.MonkeyPatch.context() as patch, patch_module_args(arguments):
        patch.setattr(sys, "stdout", output)
        with pytest.raises(SystemExit) as stop:
            dnssec_info.main()
        exit_code = stop.value.code
    return exit_code, json.loads(output.getvalue())


def fake_dig(tmp_path, monkeypatch, text):
    (tmp_path / "bin").mkdir()
    (tmp_path / "answer").write_text(text)
    script = tmp_path / "bin" / "dig"
    script.write_text(
        f'#!/bin/sh\n{{ printf "%s\\n" "$@"; /bin/cat; }} > {tmp_path}/asked\n/bin/cat {tmp_path}/answer\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def test_the_module(folder, monkeypatch):
    fake_dig(folder, monkeypatch, answer(DS))
    arguments = {"zones": [ZONE], "key_directory": str(folder), "resolver": "198.51.100.53", "timeout": 3}
    code, result = run(arguments)
    assert code == 0 and result["changed"] is False
    parent = result["zones"][ZONE]["parent"]
    assert (parent["status"], parent["advice"]) == ("right", [])
    asked = (folder / "asked").read_text().split()
    assert asked[:2] == ["-r", "@198.51.100.53"] and asked[-2:] == [f"{ZONE}.", "DS"] and "+time=3" in asked
    assert "PrivateKey" not in json.dumps(result)
    (folder / "answer").write_text(answer())
    assert run(arguments)[1]["zones"][ZONE]["parent"]["advice"] == [
        "Give these DS records to the registrar of the domain:",
        f"{ZONE}. IN DS {DS}",
    ]
    code, result = run({**arguments, "parent": False})
    assert code == 0 and "parent" not in result["zones"][ZONE]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: {"zones": ["elm.test"]}, "elm.test: there is no key-signing key in {folder} after 0 s; see:"),
        (lambda folder: {"zones": ["Oak.test"]}, "zones: 'Oak.test' is not a zone's name; write it in lower case"),
        (lambda folder: {"zones": ["../oak.test"]}, "zones: '../oak.test' is not a zone's name"),
        (lambda folder: {"zones": ["oak.test."]}, "zones: 'oak.test.' is not a zone's name"),
        (lambda folder: write(folder, "A"), ".key: its DNSKEY record is broken; restore the file from your backup"),
        (lambda folder: write(folder, "", zone=ZONE), ".key: holds no DNSKEY record of oak.test; restore"),
        (
            lambda folder: write(folder, KSK, more="Retired: 2027\n"),
            ".state: time data '2027' does not match format '%Y%m%d%H%M%S'; restore the file from your backup",
        ),
        (lambda folder: write(folder, KSK, goal="hidden"), "oak.test: there is no key-signing key in"),
    ],
)
def test_errors(folder, change, message):
    changed = change(folder)
    arguments = {"zones": [ZONE], "key_directory": str(folder), "parent": False}
    code, result = run({**arguments, **(changed if isinstance(changed, dict) else {})})
    assert code == 1 and message.format(folder=folder) in result["msg"], result


def test_without_dig(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    code, result = run({"zones": [ZONE], "key_directory": str(folder)})
    assert code == 1
    assert result["msg"] == "dig: No such file or directory; install the package bind9-dnsutils on the host"


def test_only_the_zones_that_are_of_interest_have_their_keys_read(folder):
    write(folder, KSK)
    for kind in ("key", "state"):
        (folder / f"Kelm.test.+013+00001.{kind}").write_text("not read")
    assert list(dnssec.all_keys(str(folder), [ZONE, "none.test"])) == [ZONE]
    assert dnssec.all_keys(str(folder), [ZONE]) == {ZONE: dnssec.read_keys(ZONE, str(folder))}
    with pytest.raises(dnssec.DnssecError, match=r"elm\.test"):
        dnssec.all_keys(str(folder))
    assert dnssec.all_keys(str(folder / "none")) == {}
    (folder / "named.conf").write_text(
        f'// zone "no.test"\nzone "{ZONE}" {{\n    zone "_acme-challenge.{ZONE}" {{}};\n}};\n'
    )
    assert dnssec.served(str(folder / "named.conf")) == {ZONE, f"_acme-challenge.{ZONE}"}
    assert dnssec.served(str(folder / "none.conf")) is None
