# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import pathlib
import subprocess
import sys
import textwrap

import ansible_collections.magicbroccoli.xmpp as collection
import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import inventory

# A collection with roles of its own, so that the tests do not depend on what the real roles have.
FILES = {
    "site.meta.yml": """
        argument_specs:
          site:
            short_description: The site model
            options:
              xmpp_domain:
                description: The domain of the accounts, as in V(user@example.org). Without a dot at its end.
                type: str
                required: true
              xmpp_admins: {description: [Who administers it.], type: list, elements: str, required: true}
              xmpp_hostname: {description: The machine., type: str, default: its name}
              xmpp_addresses: {description: Its addresses., type: list, elements: str}
              xmpp_private_addresses: {description: Whether private., type: bool}
              xmpp_policy: {description: TLS., type: str, choices: [strict, modern], default: strict}
              xmpp_components:
                {description: Components., type: dict, options: {muc: {type: str}, upload: {type: str}}}
              xmpp_other_variables: {description: Others., type: list, elements: str}
              xmpp_password: {description: A secret., type: str, choices: [right], no_log: true}
        """,
    "two.meta.yml": "argument_specs: {a: {}, b: {}}",
    "broken.meta.yml": "argument_specs: [",
    "roles/base/defaults/main.yml": """
        xmpp_hostname: "{{ inventory_hostname }}"
        xmpp_addresses: "{{ [ansible_facts['default_ipv4']['address']] }}"
        xmpp_private_addresses: false
        xmpp_components: {muc: "muc.{{ xmpp_domain }}"}
        """,
    "roles/base/meta/checks.yml": """
        formats:
          xmpp_domain: xmpp_domain
          xmpp_admins: {some: bare_jid}
          xmpp_hostname: host_name
          xmpp_addresses: {some: ip_address}
          xmpp_components: components
        rules:
          xmpp_addresses: [public_addresses, xmpp_private_addresses]
        """,
    "roles/dns/meta/main.yml": "dependencies: [{role: tests.fake.base}]",
    "roles/dns/defaults/main.yml": """
        dns_zones: "{{ [{'domain': xmpp_domain, 'components': xmpp_components}] | magicbroccoli.xmpp.dns_zones(
          hostname=xmpp_hostname, addresses=xmpp_addresses, records=dns_records,
          private_addresses=xmpp_private_addresses) }}"
        dns_records: []
        dns_days: 90
        dns_dead: "{{ dns_nowhere }}"
        """,
    "roles/dns/meta/argument_specs.yml": """
        argument_specs:
          main:
            options:
              dns_zones: {type: list, elements: dict, default: from the model}
              dns_records: {type: list, elements: dict}
              dns_days: {type: int}
        """,
    "roles/updates/defaults/main.yml": 'updates_windows: ["02:00-05:00"]',
    "roles/updates/meta/argument_specs.yml": """
        argument_specs: {main: {options: {updates_windows: {type: list}, updates_mail: {type: str},
          updates_token: {type: str, required: true, no_log: true, description: The token C(T).}}}}
        """,
    "roles/updates/meta/checks.yml": "formats: {updates_windows: update_windows}",
    "roles/dead/defaults/main.yml": 'dead_value: "{{ dead_nowhere }}"',
    "roles/dead/meta/argument_specs.yml": "argument_specs: {main: {options: {dead_value: {type: str}}}}",
    "roles/keys/meta/argument_specs.yml": """
        argument_specs: {main: {options: {keys_list: {type: list, elements: dict, options: {
          key: {type: int, no_log: true}}}, bind_transfer_secret: {type: str, no_log: true},
          bind_transfer_keys: {type: dict, no_log: true}, bind_transfer_key_name: {type: str},
          bind_secondaries: {type: list, elements: raw}, bind_secondary_of: {type: list, elements: raw}}}}
        """,
    "roles/keys/meta/checks.yml": """
        formats:
          bind_transfer_secret: tsig_secret
          bind_transfer_keys: tsig_keys
          bind_transfer_key_name: key_name
          bind_secondaries: secondaries
          bind_secondary_of: primaries
        rules:
          bind_secondaries: [secondaries_have_keys, bind_transfer_keys, bind_transfer_secret, bind_transfer_key_name]
          bind_secondary_of: [primaries_have_keys, bind_transfer_keys, bind_transfer_secret, bind_transfer_key_name]
        """,
    "roles/keys/defaults/main.yml": """
        {bind_transfer_secret: "", bind_transfer_keys: {}, bind_transfer_key_name: transfer, bind_secondaries: [],
         bind_secondary_of: []}
        """,
}
GOOD = {
    "xmpp_domain": "example.org",
    "xmpp_admins": ["juliet@example.org"],
    "xmpp_hostname": "rosewood.example.org",
    "xmpp_addresses": ["198.51.100.10"],
    "updates_token": "t",
}
HINT = "; write letters, digits and hyphens between dots, for example 'example.org' (RFC 1123)"

# Name of the case: its variables, and the errors that it must have.
CASES = {
    "good": (GOOD, []),
    "lazy": ({**GOOD, "parent": "example.org", "xmpp_domain": "{{ parent }}", "dns_days": "{{ 9 * 10 }}"}, []),
    "empty": (
        {},
        [
            "xmpp_domain: is not set. The domain of the accounts, as in user@example.org; write for example 'example.org'",
            "xmpp_admins: is not set. Who administers it; write for example ['juliet@example.org']",
            "updates_token: is not set. The token T; write for example 'text'",
            "xmpp_hostname: 'empty' is not a full host name: it has one label only; write letters, digits and hyphens "
            "between dots, for example 'rosewood.example.org' (RFC 1123)",
        ],
    ),
    "quote": (
        {**GOOD, "xmpp_domain": 'bro"ccoli.test'},
        ["xmpp_domain: 'bro\"ccoli.test' is not a domain name: '\"' is not allowed" + HINT],
    ),
    "address": (
        {**GOOD, "xmpp_addresses": ["198.51.100.300"]},
        [
            "xmpp_addresses: '198.51.100.300' is not an IP address; write for example '198.51.100.10' or '2001:db8::10', "
            "without a prefix length or a zone"
        ],
    ),
    "window": (
        {**GOOD, "updates_windows": ["25:00-05:00"]},
        [
            "updates_windows: '25:00-05:00' is not a window: '25:00' is not a time from 00:00 to 23:59; write its "
            "begin and its end as HH:MM-HH:MM, for example '02:00-05:00'"
        ],
    ),
    "misspelt": (
        {**GOOD, "xmpp_hostnam": "x", "xmpp_zzz": 1},
        [
            "xmpp_hostnam: is not a variable of the site model; did you mean 'xmpp_hostname'?",
            "xmpp_zzz: is not a variable of the site model; write one of xmpp_addresses, xmpp_admins, xmpp_components, "
            "xmpp_domain, xmpp_hostname, xmpp_other_variables, xmpp_password, xmpp_policy, xmpp_private_addresses",
        ],
    ),
    "misspelt_of_roles": (
        {
            **GOOD,
            "update_windows": ["02:00-05:00"],
            "prosody_firwall_rules": "",
            "nginx_version": "1.26",
            "backup_hots": "x",
            "xmpp_other_variables": ["backup_hots"],
        },
        [
            "prosody_firwall_rules: is not a variable of this collection; did you mean 'prosody_firewall_rules'? If it is meant "
            "for something else, write xmpp_other_variables: [prosody_firwall_rules]",
            "update_windows: is not a variable of this collection; did you mean 'updates_windows'? If it is meant for something "
            "else, write xmpp_other_variables: [update_windows]",
        ],
    ),
    "types": (
        {**GOOD, "xmpp_policy": "lax", "dns_days": "soon", "xmpp_components": {"chat": "a.example.org"}},
        [
            "xmpp_policy: 'lax': value of xmpp_policy must be one of: strict, modern, got: lax",
            "xmpp_components: {'chat': 'a.example.org'}: xmpp_components.chat is unknown; write one of muc, upload",
            "dns_days: 'soon' is not of type int; write for example 1",
        ],
    ),
    "derived": (
        {**GOOD, "dns_records": [{"name": "@", "type": "MX", "data": "10 mail"}]},
        [
            "dns_records: @ MX: its target mail.example.org. has no address in the zone; add an A or AAAA record for it, or "
            "name another host"
        ],
    ),
    "set_undefined": (
        {**GOOD, "dns_days": "{{ nowhere }}"},
        ["dns_days: cannot be evaluated: 'nowhere' is undefined; set what is undefined, or correct its name"],
    ),
    "null": (
        {**GOOD, "xmpp_admins": None},
        ["xmpp_admins: is not set. Who administers it; write for example ['juliet@example.org']"],
    ),
    "secrets": (
        {
            **GOOD,
            "xmpp_password": "hunter2",
            "keys_list": [{"key": "hunter2"}],
            "bind_transfer_secret": "aHVudGVyMg==",
            "updates_token": "{{ ['hunter2'] | magicbroccoli.xmpp.update_windows }}",
        },
        [
            "xmpp_password: its value is wrong, and not shown because it is secret",
            "updates_token: its value is wrong, and not shown because it is secret",
            "keys_list: its value is wrong, and not shown because it is secret",
            "bind_transfer_secret: this secret has a length of 7, and HMAC-SHA256 needs 32 to 64 bytes (RFC 8945); write 32 random bytes "
            "in Base64, as `openssl rand -base64 32` prints them, and keep them in a vault",
        ],
    ),
    "related": (
        {
            **GOOD,
            "bind_secondaries": ["198.51.100.20"],
            "bind_secondary_of": [{"address": "198.51.100.10", "key": "a"}],
        },
        [
            "bind_secondaries: there is no secret, and 198.51.100.20 must be asked with one; write 32 random bytes in Base64, as "
            "`openssl rand -base64 32` prints them, the same on both ends, or {'address': …, 'key': ''} for one that knows no keys",
            "bind_secondary_of: 198.51.100.10: there is no key 'a'; add it",
        ],
    ),
    "related_keys": (
        {
            **GOOD,
            "bind_secondaries": [{"address": "198.51.100.20", "key": "a"}],
            "bind_transfer_keys": {"a": "hunter2hunter2hunter2hunter2hunter2hunter2="},
        },
        [
            "bind_transfer_keys: this secret has a wrong key 'a': this secret is not Base64 (RFC 4648); write 32 random bytes in "
            "Base64, as `openssl rand -base64 32` prints them, and keep them in a vault"
        ],
    ),
    # Of the inventory's own, too.
    "facts_in_templates": ({**GOOD, "dns_days": "{{ ansible_facts['days'] }}"}, []),
    "facts_missing": ({key: value for key, value in GOOD.items() if key != "xmpp_addresses"}, []),
    "facts_there": (
        {
            **{key: value for key, value in GOOD.items() if key != "xmpp_addresses"},
            "ansible_facts": {"host_state": {}, "default_ipv4": {"address": "127.0.0.1"}},
        },
        [
            "xmpp_addresses: '127.0.0.1' is the loopback, so that no other machine can reach it; write the host's public "
            "address, for example '198.51.100.10'"
        ],
    ),
}
PRIVATE = (
    "xmpp_addresses: '10.0.0.5' is private (RFC 1918), so that the world cannot reach it, and would be published in the DNS; "
    "write the public addresses that lead to this host, for example xmpp_addresses: ['198.51.100.10'], or "
    "xmpp_private_addresses: true if all who use it are in its network"
)
CASES |= {
    # What is derived from them repeats no error.
    "private": ({**GOOD, "xmpp_addresses": ["198.51.100.10", "10.0.0.5"]}, [PRIVATE]),
    "private_meant": ({**GOOD, "xmpp_addresses": ["10.0.0.5"], "xmpp_private_addresses": True}, []),
    "private_facts": (
        {
            **{key: value for key, value in GOOD.items() if key != "xmpp_addresses"},
            "ansible_facts": {"host_state": {}, "default_ipv4": {"address": "10.0.0.5"}},
        },
        [PRIVATE],
    ),
}
ROLES = ["tests.fake.dns", "tests.fake.updates", "tests.fake.keys"]
# Wrong uses of the action itself.
USES = {
    "no_model": ({"model": "none.yml"}, "none.yml is no file; write its path relative to the playbook's directory"),
    "two_models": ({"model": "two.meta.yml"}, "does not hold 'argument_specs' with one entry; write one"),
    "broken_model": ({"model": "broken.meta.yml"}, "broken.meta.yml: "),
    "no_role": (
        {"model": "site.meta.yml", "roles": ["tests.fake.dnss"]},
        "roles: 'tests.fake.dnss' is not a role of tests.fake; did you mean 'dns'?",
    ),
    "no_collection": (
        {"model": "site.meta.yml", "roles": ["tests.none.dns"]},
        "roles: 'tests.none.dns': the collection tests.none is not installed; write an installed one",
    ),
    "dead_default": (
        {"model": "site.meta.yml", "roles": ["tests.fake.dead"]},
        "dead_value: cannot be evaluated: 'dead_nowhere' is undefined; set what is undefined",
    ),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs every case as a host of its own in one play, and the wrong uses; returns results by name."""
    top = tmp_path_factory.mktemp("collections")
    fake = top / "ansible_collections/tests/fake"
    for name, content in FILES.items():
        (fake / name).parent.mkdir(parents=True, exist_ok=True)
        (fake / name).write_text(textwrap.dedent(content))
    (fake / "galaxy.yml").write_text("namespace: tests\nname: fake\nversion: 1.0.0\n")
    hosts = {
        name: {key: value for key, value in variables.items() if key != "ansible_facts"}
        for name, (variables, _errors) in CASES.items()
    }
    hosts.update({name: dict(GOOD) for name in USES})
    (fake / "inventory.json").write_text(
        json.dumps(
            {
                "cases": {"hosts": {name: hosts[name] for name in CASES}},
                "uses": {"hosts": {name: hosts[name] for name in USES}},
            }
        )
    )
    facts = {name: case["ansible_facts"] for name, (case, _errors) in CASES.items() if "ansible_facts" in case}
    task = "magicbroccoli.xmpp.check_inventory"
    write = [{"ansible.builtin.debug": {"msg": "RESULT {{ inventory_hostname }} {{ result | to_json }}"}}]
    (fake / "play.json").write_text(
        json.dumps(
            [
                {
                    "hosts": "cases",
                    "gather_facts": False,
                    "tasks": [
                        *(
                            {
                                "ansible.builtin.set_fact": {"cacheable": True, **known},
                                "when": f"inventory_hostname == '{name}'",
                            }
                            for name, known in facts.items()
                        ),
                        # Results and facts may have any name.
                        {"ansible.builtin.set_fact": {"backup_hosts": "x"}},
                        {"ansible.builtin.debug": {"msg": "x"}, "register": "updates_window"},
                        {task: {"model": "site.meta.yml", "roles": ROLES}, "register": "result", "ignore_errors": True},
                        *write,
                        {
                            task: {"model": "site.meta.yml", "roles": ROLES, "only": ["xmpp_addresses"]},
                            "register": "result",
                            "ignore_errors": True,
                        },
                        {
                            "ansible.builtin.debug": {
                                "msg": "RESULT only_{{ inventory_hostname }} {{ result | to_json }}"
                            }
                        },
                    ],
                },
                {
                    "hosts": "uses",
                    "gather_facts": False,
                    "tasks": [
                        {
                            task: options,
                            "register": "result",
                            "ignore_errors": True,
                            "when": f"inventory_hostname == '{name}'",
                        }
                        if first
                        else {
                            "ansible.builtin.debug": {"msg": "RESULT " + name + " {{ result | to_json }}"},
                            "when": f"inventory_hostname == '{name}'",
                        }
                        for name, (options, _message) in USES.items()
                        for first in (True, False)
                    ],
                },
            ]
        )
    )
    home = pathlib.Path(collection.__path__[0]).parents[2]
    done = subprocess.run(
        [pathlib.Path(sys.executable).parent / "ansible-playbook", "-i", fake / "inventory.json", fake / "play.json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=fake,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": f"{top}:{home}",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            # An action of the controller needs no connection: this one could not be made.
            "ANSIBLE_TRANSPORT": "ssh",
            "ANSIBLE_SSH_EXECUTABLE": "/bin/false",
        },
    )
    results = {}
    for line in done.stdout.splitlines():
        if '"msg": "RESULT ' in line:
            name, _space, data = (
                json.loads("{" + line.strip().rstrip(",") + "}")["msg"].removeprefix("RESULT ").partition(" ")
            )
            results[name] = json.loads(data)
    assert set(results) == {*CASES, *(f"only_{name}" for name in CASES), *USES}, done.stdout + done.stderr
    return results, done.stdout + done.stderr


@pytest.mark.parametrize("name", CASES)
def test_errors(run, name):
    result = run[0][name]
    errors = CASES[name][1]
    print(f"{result['checked']} variables checked, {len(errors)} errors, unknown: {result['unknown']}")
    assert result["errors"] == errors
    assert result["failed"] is bool(errors)
    if errors:
        head = "The inventory has an error:" if len(errors) == 1 else f"The inventory has {len(errors)} errors:"
        assert result["msg"].split("\n") == [head, *errors]
    else:
        assert result["msg"] == f"{result['checked']} variables are as they should be"


@pytest.mark.parametrize(
    ("name", "unknown"),
    [
        ("good", []),
        ("quote", ["dns_zones", "xmpp_components"]),
        ("address", ["dns_zones"]),
        ("facts_in_templates", ["dns_days"]),
        ("facts_missing", ["dns_zones", "xmpp_addresses"]),
        ("facts_there", ["dns_zones"]),
        ("private", ["dns_zones"]),
    ],
)
def test_what_could_not_be_judged(run, name, unknown):
    assert run[0][name]["unknown"] == unknown


@pytest.mark.parametrize("name", ["good", "address", "private", "window"])
def test_a_look_at_some_variables(run, name):
    """They are judged as in a look at all, by the rules that name them, too; others are not looked at."""
    result = run[0][f"only_{name}"]
    assert result["errors"] == [error for error in CASES[name][1] if "xmpp_addresses" in error]
    assert (result["checked"], bool(result["errors"])) == (2, name in ("address", "private"))


@pytest.mark.parametrize("name", USES)
def test_wrong_uses(run, name):
    assert run[0][name]["failed"] is True
    assert USES[name][1] in run[0][name]["msg"]


def test_no_secret_is_printed(run):
    assert "not shown because it is secret" in run[1]
    assert "hunter2" not in run[1] and "aHVudGVyMg" not in run[1]


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("One. Two.", "One"),
        ("As in V(a@example.org) or O(name). More.", "As in a@example.org or name"),
        (["First item.", "Second."], "First item"),
        ("Version 1.2 of it. More", "Version 1.2 of it"),
        (None, ""),
        ([], ""),
    ],
)
def test_first_sentence(description, expected):
    assert inventory.first_sentence(description) == expected


def test_references_follow_templates():
    variables = {
        "a": "{{ b }}",
        "b": ["{{ c.d }}"],
        "c": {"d": "{{ a }}"},
        "e": "b",
        "f": "{{ ansible_facts['x'] }}",
        "g": "{{ f }} {{ gone }}",
    }
    assert inventory.references("a", variables) == {"b", "c"}
    assert inventory.references("g", variables) == {"f", "ansible_facts"}
    assert inventory.references("g", variables, {"gone"}) == {"f", "gone"}
    assert inventory.references("none", variables) == set()
