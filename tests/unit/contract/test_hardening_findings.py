# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings are read right, and every waiver has its reason and is on the page."""

from pathlib import Path

import findings
import pytest
import yaml

TOP = Path(__file__).parents[3]


def test_lynis():
    result = findings.lynis(
        "suggestion[]=SSH-7408|Consider|Port (set 22 to )|-|\nwarning[]=DBS-1828|PostgreSQL|/etc/x|-|\n"
        "suggestion[]=KRNL-6000|One or more||-|\ndetails[]=KRNL-6000|sysctl|desc:x;field:net.ipv4.x;prefval:1;value:2;|\n"
        "hardening_index=85\n"
    )
    assert result.findings == {"SSH-7408:Port", "DBS-1828", "KRNL-6000:net.ipv4.x"}
    assert result.numbers == {"index": 85}


def test_scap():
    rules = [("a_b", "pass"), ("c", "fail"), ("d", "error"), ("e", "notapplicable"), ("f", "notselected")]
    text = "".join(
        f"Title\r\tX\nRule\r\txccdf_org.ssgproject.content_rule_{name}\nIdent\r\tY\nResult\r\t{verdict}\n\n"
        for name, verdict in rules
    )
    result = findings.scap(text)
    assert result.findings == {"c", "d"}
    assert result.numbers == {"pass": 1, "fail": 2, "notapplicable": 1}


def test_systemd():
    result = findings.systemd(
        "→ Overall exposure level for prosody.service: 1.1 OK\n→ Overall exposure level for x@y.service: 3.1 MEDIUM\n"
    )
    assert result.findings == {"x@y.service"}


def test_waivers_that_are_missing_or_left_over():
    reason = "because of this and that and more"
    entries = {
        "a*": {"reason": reason},
        "b": {"reason": reason, "only": "trixie"},
        "v": {"reason": reason, "varies": True},
    }
    assert findings.unwaived({"a1", "b", "z"}, entries, "trixie") == ["z"]
    assert findings.unwaived({"a1", "b"}, entries, "bookworm") == ["b"]
    assert findings.unneeded({"a1"}, entries, "trixie") == ["b"]
    assert findings.unneeded({"b"}, entries, "bookworm") == ["a*"]
    assert findings.unwaived({"x"}, None, "trixie") == ["x"]


@pytest.mark.parametrize(
    ("waivers", "error"),
    [
        ({"nessus": {}}, "no tool"),
        ({"lynis": {"A": {}}}, "without a reason"),
        ({"lynis": {"A": {"reason": "no"}}}, "without a reason"),
        ({"lynis": {"A": {"reason": "r" * 30, "only": "sid"}}}, "no release"),
        ({"lynis": {"A": {"reason": "r" * 30, "until": 2030}}}, "until is unknown"),
    ],
)
def test_waivers_that_say_nothing(waivers, error):
    with pytest.raises(ValueError, match=error):
        findings.check_waivers(waivers)


def test_every_waiver_has_its_reason_and_is_on_the_page():
    waivers = yaml.safe_load((TOP / "tests/lab/waivers.yml").read_text())
    findings.check_waivers(waivers)
    page = (TOP / "docs/hardening.md").read_text()
    for entries in waivers.values():
        for pattern, waiver in entries.items():
            assert f"`{pattern}`" in page
            assert " ".join(waiver["reason"].split()) in page
