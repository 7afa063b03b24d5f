# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every variable of a role is checked, in the role's meta/checks.yml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import role_checks
from variables import ASKED

TOP = Path(__file__).resolve().parents[3]
LIBRARY = [TOP / "plugins/plugin_utils" / name for name in ("checks.py", "inventory.py", "role_checks.py")]
LIBRARY += sorted((TOP / "plugins/plugin_utils/formats").glob("*.py"))
# Variables without a format, and why.
UNCHECKED = {
    "nginx_provider": "is made by a filter, and written as JSON",
    "nginx_websites": "is made by a filter, and written to the controller",
    "website_provider": "is made by a filter, and shown with every character escaped",
}
SITE = yaml.safe_load((TOP / "playbooks/site.yml").read_text())[0]["pre_tasks"][0]["magicbroccoli.xmpp.check_inventory"]
# Numbers in dictionaries that a rule checks, and the rule.
BY_RULES = {
    "bind_records_extra.ttl": "records",
    "bind_zones_extra.ttl": "extra_zones",
    "bind_zones_extra.records.ttl": "extra_zones",
    "xmpp_provider.people": "provider",
}
# Formats that check the numbers in their dictionaries.
WHOLE = {"firewall_rule", "egress_rule"}


def options(role: str) -> dict:
    (spec,) = yaml.safe_load((TOP / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"].values()
    return spec["options"]


def formats_in(asked):
    """The names of all formats in an entry."""
    if isinstance(asked, str):
        yield asked
    elif isinstance(asked, list):
        yield from formats_in(asked[0])
    elif "from" not in asked:
        for one in asked.values():
            yield from formats_in(one)


def inner(asked) -> dict:
    """What is asked of the keys of a dictionary, or of those in a list."""
    if isinstance(asked, list):
        return asked[0] if isinstance(asked[0], dict) else {}
    if isinstance(asked, dict):
        found = asked.get("keys", asked.get("some"))
        return found if isinstance(found, dict) else {}
    return {}


def numbers(options: dict, asked: dict, where: str = ""):
    """Every option that is a number: its name, its spec and what is asked of it."""
    for name, option in options.items():
        if option["type"] == "int" or isinstance(asked.get(name), dict) and "from" in asked[name]:
            yield where + name, option, asked.get(name)
        whole = set(formats_in(asked.get(name, {})))
        if not whole or not whole <= WHOLE:
            yield from numbers(option.get("options") or {}, inner(asked.get(name)), f"{where}{name}.")


@pytest.mark.parametrize("role", ASKED)
def test_checks_are_of_the_role_s_own_variables(role):
    asked = ASKED[role]
    assert set(asked) <= {"formats", "rules"}
    named = {*asked["formats"], *asked.get("rules", {})}
    named |= {other for rule in asked.get("rules", {}).values() for other in rule[1:]}
    assert named <= set(options(role))
    for rule in asked.get("rules", {}).values():
        role_checks.rule_of(rule)


def test_rules_of_the_site_are_of_roles_variables():
    """A variable has one rule: the site's would take the place of a role's."""
    variables = {name for role in ASKED for name in options(role)}
    roles = {name for asked in ASKED.values() for name in asked.get("rules", {})}
    print(*SITE["rules"])
    for name, (_rule, *others) in SITE["rules"].items():
        assert {name, *others} <= variables and name not in roles


def test_every_variable_has_a_format():
    """All but those with choices, of which bool is one; a rule of its own will do."""
    seen, without = 0, []
    for role in sorted(path.name for path in (TOP / "roles").iterdir()):
        asked = ASKED.get(role, {})
        for name, option in options(role).items():
            if option["type"] != "bool" and not option.get("choices"):
                seen += 1
                if name not in asked.get("formats", {}) and name not in asked.get("rules", {}):
                    without.append(name)
    print(f"{seen} variables; unchecked: {UNCHECKED}")
    assert seen > 200 and without == list(UNCHECKED)


def test_every_number_has_a_documented_range():
    seen = {}
    for role, asked in ASKED.items():
        for name, option, one in numbers(options(role), asked["formats"]):
            seen[name] = one
            if one == "port" or name in BY_RULES and one is None:
                continue
            assert isinstance(one, dict) and "from" in one, name
            if "." in name:
                continue
            text = " ".join(
                [option["description"]] if isinstance(option["description"], str) else option["description"]
            )
            words = f"From {one['from']} to {one['to']}" + (", or V(never)" if one.get("never") else "")
            assert words in text, name
            assert option["type"] == ("raw" if one.get("never") else "int"), name
    print(f"{len(seen)} numbers")
    assert len(seen) > 70 and set(BY_RULES) <= set(seen)


def test_no_check_is_unused():
    used = {name for asked in ASKED.values() for one in asked["formats"].values() for name in formats_in(one)}
    rules = {rule[0] for asked in (*ASKED.values(), SITE) for rule in asked.get("rules", {}).values()}
    print(f"{len(used)} formats, {len(rules)} rules")
    assert set(role_checks.FORMATS) == used
    assert set(role_checks.RULES) == rules


def test_the_library_is_split_by_subject():
    lengths = {str(path.relative_to(TOP)): len(path.read_text().splitlines()) for path in LIBRARY}
    print(lengths)
    assert len(lengths) >= 8 and max(lengths.values()) <= 400
