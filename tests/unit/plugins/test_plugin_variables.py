# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A variable is computed once, and comes to what Ansible says."""

import jinja2
import pytest
from ansible.errors import AnsibleUndefinedVariable
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import variables as module

WRITTEN = {
    "name": "broccoli.test",
    "hosts": "{{ ['conference', 'upload'] | map('regex_replace', '$', '.' ~ name) }}",
    "longest": "{{ hosts | map('length') | max }}",
    "all": {"hosts": "{{ hosts }}", "longest": "{{ longest }}", "plain": ["{{ name }}", 1]},
    "broken": "{{ nothing_like_it }}",
    "who": "{{ role_name | default('nobody') }}",
}


def trusted(value):
    if isinstance(value, dict):
        return {name: trusted(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [trusted(inner) for inner in value]
    return trust_as_template(value) if isinstance(value, str) else value


@pytest.fixture(params=["lazy", "public"])
def variables(request, monkeypatch):
    """With what Ansible keeps lazy values in, and without it."""
    if request.param == "public":
        monkeypatch.setattr(module, "lazy", None)
    found = module.Variables(Templar(loader=DataLoader()), trusted(WRITTEN))
    assert (found.known is found.written) == (request.param == "public")
    return found


def rendered(variables, text, **own):
    templar = variables.templar.copy_with_new_env(available_variables={})
    templar.available_variables = variables.with_own(own)
    return templar.template(trust_as_template(text))


def test_values_are_those_of_ansible(variables):
    expected = ["conference.broccoli.test", "upload.broccoli.test"]
    assert variables.value("hosts") == expected
    assert variables.value("all") == {"hosts": expected, "longest": 24, "plain": ["broccoli.test", 1]}
    assert rendered(variables, "{{ hosts | first }} {{ longest }}") == "conference.broccoli.test 24"
    assert variables["hosts"] == WRITTEN["hosts"] and "nothing_like_it" not in variables
    with pytest.raises(AnsibleUndefinedVariable, match="nothing_like_it"):
        variables.value("broken")
    with pytest.raises(AnsibleUndefinedVariable, match="nothing_like_it"):
        rendered(variables, "{{ broken }}")


def test_a_template_s_own_are_for_it_alone(variables):
    below = variables.below({"role_name": "turn"})
    assert rendered(below, "{{ role_name }} {{ template_path }}", template_path="a.j2") == "turn a.j2"
    assert variables.value("who") == "nobody"
    assert below["role_name"] == "turn" and len(below) == len(variables) + 1 and "role_name" not in [*variables]


def test_another_value_counts_for_all_that_depend_on_it(variables):
    assert variables.value("longest") == 24
    changed = variables.below({"role_name": "turn"}).changed({"name": "x"})
    assert changed.value("longest") == 12 and changed["role_name"] == "turn"
    assert variables.value("longest") == 24


def test_each_is_computed_once(monkeypatch):
    compiled: list[str] = []
    compile_ = jinja2.Environment.compile

    def count(environment, source, *rest, **named):
        compiled.append(str(source))
        return compile_(environment, source, *rest, **named)

    monkeypatch.setattr(jinja2.Environment, "compile", count)
    variables = module.Variables(Templar(loader=DataLoader()), trusted(WRITTEN))
    for _ in range(3):
        rendered(variables, "{{ hosts }} {{ longest }} {{ name }}")
    print(f"{len(compiled)} compiled")
    assert compiled.count(WRITTEN["hosts"]) == compiled.count(WRITTEN["longest"]) == 1
