# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters and tests as templates call them: by their full names, with lazy, tagged and encrypted values."""

import json
import os
import pathlib
import subprocess
import sys

import ansible_collections.magicbroccoli.xmpp as collection
import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

SECRET = 'hun"ter\n]]'
NAME = "magicbroccoli.xmpp"
VARIABLES = {
    "parent": "example.org",
    "components": {"muc": "muc.{{ parent }}"},
    "data": {"a": "{{ parent }}", "l": ["{{ secret }}", 1, "{{ 2 + 3 }}", True, 1.5], "n": None},
    "state": {"packages": {"bash": "5"}, "units": {}, "check_mode": False, "apt": True},
    "zones": f"{{{{ parent | {NAME}.domains(components=components, admins=['juliet@' ~ parent]) "
    f"| {NAME}.dns_zones(hostname='rosewood.' ~ parent, addresses=['198.51.100.10'], certificates=['/c.pem']) }}}}",
    "rules": [{"name": "a", "protocol": "tcp", "ports": ["{{ 5000 + 222 }}"], "rate": 1, "burst": 1}],
}
CASES = {
    f"data | {NAME}.to_lua(indent=0)": '{ a = "example.org", l = { "hun\\"ter\\n]]", 1, 5, true, 1.5 } }',
    f"data.l | map('string') | {NAME}.to_lua(indent=0)": '{ "hun\\"ter\\n]]", "1", "5", "True", "1.5" }',
    f"[secret] | select | {NAME}.to_lua(0)": '{ "hun\\"ter\\n]]" }',
    f"{{'a': secret}} | {NAME}.to_lua_assignments": 'a = "hun\\"ter\\n]]"\n',
    f"[{{'domain': parent, 'components': components}}] | {NAME}.certificate_names": ["example.org", "muc.example.org"],
    "zones[0].records | selectattr('type', 'eq', 'TLSA') | map(attribute='name') | first": "_5222._tcp.rosewood",
    f"(zones | {NAME}.dns_zone_files('/z', {{'/c.pem': {{'present': true, 'pins': ['ab' * 32]}}}}) | dict2items | first).value.content "
    "| regex_search('_443._tcp IN .*')": "_443._tcp IN TLSA 3 1 1 " + "ab" * 32,
    f"(['web'] | {NAME}.firewall_rules)[1].ports": [80, 443],
    f"(rules | {NAME}.nftables_rules).rules | last": "tcp dport { 5222 } ct state new counter name accept_a accept",
    f"(['fri 23:00-01:00'] | {NAME}.update_windows).windows[0].days": [4],
    f"['bash'] is {NAME}.missing_on(state)": False,
    f"['bash', 'nginx'] is {NAME}.missing_on(state)": True,
    f"['nginx.service'] is {NAME}.stopped_on(state)": True,
    f"['nginx.service'] is {NAME}.running_on(state)": False,
}


# Ansible names the plugin, and the plugin's own message follows.
FAILING = {
    f"parent | {NAME}.turn_ranges": f"The filter plugin '{NAME}.turn_ranges' failed: 'example.org' is not a list of networks; "
    "write for example ['10.0.0.0/8', 'fc00::/7']",
    f"parent is {NAME}.missing_on(state)": f"The test plugin '{NAME}.missing_on' failed: 'example.org' is not a list of packages; "
    "write one, for example ['nginx']",
}


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    top = tmp_path_factory.mktemp("play")
    (top / "password").write_text("test")
    text = VaultLib().encrypt(SECRET, secret=VaultSecret(b"test")).decode()
    (top / "vars.yml").write_text(
        json.dumps(VARIABLES)[:-1] + ', "secret": !vault "' + text.replace("\n", "\\n") + '"}'
    )
    (top / "play.json").write_text(
        json.dumps(
            [
                {
                    "hosts": "localhost",
                    "gather_facts": False,
                    "vars_files": ["vars.yml"],
                    "tasks": [
                        {
                            "ansible.builtin.debug": {"msg": "{{ " + case + " }}"},
                            "register": f"failed{number}",
                            "ignore_errors": True,
                        }
                        for number, case in enumerate(FAILING)
                    ]
                    + [
                        {
                            "ansible.builtin.debug": {
                                "msg": ["{{ " + case + " }}" for case in CASES]
                                + [f"{{{{ failed{number}.msg }}}}" for number in range(len(FAILING))]
                            }
                        }
                    ],
                }
            ]
        )
    )
    home = pathlib.Path(collection.__path__[0]).parents[2]
    done = subprocess.run(
        [
            pathlib.Path(sys.executable).parent / "ansible-playbook",
            "-i",
            "localhost,",
            "-c",
            "local",
            "--vault-password-file",
            top / "password",
            top / "play.json",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=top,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(home), "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    body = done.stdout[done.stdout.rindex("=> {") + 3 : done.stdout.index("PLAY RECAP")]
    return dict(zip([*CASES, *FAILING], json.loads(body)["msg"], strict=True))


@pytest.mark.parametrize("case", CASES)
def test_value(values, case):
    assert values[case] == CASES[case]


@pytest.mark.parametrize("case", FAILING)
def test_an_error_names_its_plugin_once(values, case):
    print(values[case])
    assert values[case].endswith(FAILING[case])
    assert values[case].count(NAME) == 1
