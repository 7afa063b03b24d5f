# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""config_tree as a task, run by ansible-playbook on this machine, with destinations in a temporary directory."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import pack
from ansible_collections.magicbroccoli.xmpp.plugins.modules import config_tree

COLLECTIONS = Path(config_tree.__file__).parents[5]
SECRET = "tr0ub4dor-and-3"


class Play:
    """A role whose templates end up in `dst`."""

    def __init__(self, tmp_path):
        self.tmp_path = tmp_path
        self.dst = tmp_path / "dst"
        self.role = tmp_path / "roles" / "r"
        self.templates = self.role / "templates" / str(self.dst)[1:]
        self.templates.mkdir(parents=True)
        (self.role / "tasks").mkdir()

    def template(self, name, content):
        path = self.templates / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def run(self, tasks, *options, variables=None):
        """Run the tasks in the role; return (what `result` was registered as, all output, exit status)."""
        # Encoded, so that nothing of it is taken for what the task itself has printed. To copy it would take a second.
        keep = {"debug": {"msg": "result={{ result | to_json | b64encode }}"}}
        (self.role / "tasks" / "main.yml").write_text(json.dumps([*tasks, keep]))
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "connection": "local",
            "environment": {"CONFIG_TREE_PREFIX": str(self.tmp_path / "state")},
            "vars": {"ansible_python_interpreter": sys.executable, **(variables or {})},
            "roles": ["r"],
            "handlers": [{"name": "Reload", "debug": {"msg": "the handler ran"}}],
        }
        (self.tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
        (self.tmp_path / "ansible.cfg").write_text("[defaults]\n")
        (self.tmp_path / "password").write_text("open")
        done = subprocess.run(
            [
                Path(sys.executable).with_name("ansible-playbook"),
                "play.yml",
                "--inventory=localhost,",
                "--vault-password-file=password",
                *options,
            ],
            cwd=self.tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.tmp_path),
                "LC_ALL": "C.UTF-8",
                "ANSIBLE_CONFIG": str(self.tmp_path / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                "ANSIBLE_PIPELINING": "1",
                "ANSIBLE_NOCOLOR": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        found = re.search(r"result=([\w+/]+=*)", done.stdout)
        return found and json.loads(base64.b64decode(found[1])), done.stdout, done.returncode

    def task(self, **options):
        return {
            "name": "Put it in place",
            "magicbroccoli.xmpp.config_tree": options,
            "register": "result",
            "notify": "Reload",
        }


@pytest.fixture
def play(tmp_path):
    return Play(tmp_path)


def vaulted(text):
    return VaultLib([("default", VaultSecret(b"open"))]).encrypt(text, VaultSecret(b"open"))


TRICKY = """# {{ ansible_managed }} {{ template_destpath }}
{% for word in words %}
  {{ word }}
{% endfor %}
{% include '_part.j2' %}
{% import 'lib/_macros.j2' as macros %}
{{ macros.twice('é\\n') }} \\n {{ '\\t|' }}
{{ words | to_json }}
{# a comment #}
no newline at the end"""


def test_it_renders_as_the_template_module_does(play):
    play.template("a.conf.j2", TRICKY)
    play.template("sub/b.conf.j2", "{% include '_part.j2' %}\n\n")
    play.template("_part.j2", "part of {{ template_path is defined }}\n")
    play.template("sub/_part.j2", "another part\n")
    play.template("lib/_macros.j2", "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}")
    play.template("number.j2", "{{ 5 }}")
    play.template("list.j2", "{{ words }}")
    play.template("empty.j2", "")
    play.template("raw.bin", b"{{ not rendered }}\xff\x00\n")
    names = ["a.conf", "sub/b.conf", "number", "list", "empty"]
    other = play.tmp_path / "other"
    (other / "sub").mkdir(parents=True)
    # No loop: the template module would search the directories of the items before, too.
    others = [
        {"ansible.builtin.template": {"src": f"{play.templates}/{name}.j2", "dest": f"{other}/{name}"}}
        for name in names
    ]
    variables = {"words": ["one", "{{ 1 + 1 }}", "ü"], "ansible_managed": "by hand, {{ 3 * 3 }}"}
    # template_destpath is the one thing that differs.
    result, output, code = play.run([play.task(), *others], variables=variables)
    assert code == 0, output
    rendered = {name: (play.dst / name).read_text().replace(str(play.dst), str(other)) for name in names}
    assert rendered == {name: (other / name).read_text() for name in names}
    assert rendered["a.conf"].startswith(f"# by hand, 9 {other}/a.conf\n  one\n  2\n")
    assert "another part" in rendered["sub/b.conf"]
    assert (play.dst / "raw.bin").read_bytes() == b"{{ not rendered }}\xff\x00\n"
    assert sorted(path.name for path in play.dst.rglob("*")) == sorted(
        ["a.conf", "b.conf", "empty", "list", "number", "raw.bin", "sub"]
    )
    assert result["paths"] == [str(play.dst), *sorted(map(str, play.dst.rglob("*")))]


def test_the_first_run_the_second_and_check_mode(play):
    play.template("a.conf.j2", "value {{ value }}\n")
    play.template("old.conf", "never placed {{ this is not rendered }}")
    (play.dst).mkdir()
    (play.dst / "old.conf").write_text("old\n")
    tasks = [play.task(files={f"{play.dst}/old.conf": {"state": "absent"}}, validate_live="no-such-program")]
    result, output, code = play.run(tasks, "--check", "--diff", variables={"value": 1})
    assert code == 0, output
    assert (result["changed"], result["paths"]) == (True, [f"{play.dst}/a.conf", f"{play.dst}/old.conf"])
    assert result["skipped_validators"] == ["no-such-program: it checks the live files, which check mode leaves alone"]
    assert f"+++ after: {play.dst}/a.conf\n@@ -0,0 +1 @@\n+value 1\n" in output
    assert os.listdir(play.dst) == ["old.conf"]

    tasks[0]["magicbroccoli.xmpp.config_tree"]["validate_live"] = ["grep", "-q", "value", f"{play.dst}/a.conf"]
    result, output, code = play.run(tasks, variables={"value": 1})
    assert code == 0, output
    assert result["changed"] is True
    assert "the handler ran" in output
    assert os.listdir(play.dst) == ["a.conf"]

    result, output, code = play.run(tasks, variables={"value": 1})
    assert (result["changed"], result["paths"], code) == (False, [], 0)
    assert "the handler ran" not in output

    tasks[0]["magicbroccoli.xmpp.config_tree"]["validate_live"] = ["grep", "-q", "value 1", f"{play.dst}/a.conf"]
    result, output, code = play.run(tasks, variables={"value": 2})
    assert code != 0
    assert "Nothing was changed." in output
    assert (play.dst / "a.conf").read_text() == "value 1\n"


def test_no_secret_gets_out(play):
    play.template("key.conf.j2", "user = admin\npassword = {{ password }}\n")
    play.template("vault.conf.j2", vaulted("pass {{ password }} 1\n"))
    play.template("vault.bin", vaulted("binary " + SECRET))
    key, data = f"{play.dst}/key.conf", f"{play.dst}/data.conf"
    files = {
        key: {"mode": "0600", "secret": True},
        data: {"mode": "0600", "secret": True, "content": "token {{ password }}\n"},
    }
    result, output, code = play.run([play.task(files=files)], "--diff", "-vvv", variables={"password": SECRET})
    assert code == 0, output
    assert (play.dst / "vault.bin").read_text() == "binary " + SECRET
    assert (play.dst / "vault.conf").read_text() == f"pass {SECRET} 1\n"
    assert output.count("+[secret: new content]") == 4
    assert SECRET not in output + json.dumps(result)

    loud = ["sh", "-c", 'echo "$1:2: bad password in"; cat "$1"; exit 1', "sh"]
    for option in ({"validate_live": [*loud, key]}, {"validate_tree": [*loud, "%s" + key]}):
        tasks = [play.task(files=files, **option)]
        _result, output, code = play.run(tasks, "--diff", "-vvv", variables={"password": "n3w-" + SECRET})
        assert code != 0
        assert f"{key}:2: bad password in" in output
        assert "password = [secret]" in output
        assert SECRET not in output
        assert (play.dst / "key.conf").read_text() == f"user = admin\npassword = {SECRET}\n"


def test_a_secret_in_a_public_file_does_not_get_out(play):
    play.template("a.lua.j2", "limit = {{ limit }};\noptions = {{ options | magicbroccoli.xmpp.to_lua }};\n")
    path = f"{play.dst}/a.lua"
    given = {"limit": 7, "options": {"token": SECRET, "flag": True, "deep": [{"pin": 4711}]}}
    tasks = [play.task(files={path: {"conceals": ["options"]}})]
    result, output, code = play.run(tasks, "--diff", "-vvv", variables=given)
    assert code == 0, output
    assert f'token = "{SECRET}"' in (play.dst / "a.lua").read_text()
    assert "+limit = 7;" in output and "token = [secret]" in output and "flag = true" in output
    # What goes is not shown, either; nor when nothing else changes.
    for options in ({"token": "another"}, {}):
        _result, output, code = play.run(tasks, "--diff", "-vvv", variables={**given, "options": options})
        assert code == 0 and SECRET not in output and "4711" not in output, output
        assert "token = [secret]" in output
    assert SECRET not in json.dumps(result)
    _result, output, code = play.run([play.task(files={path: {"conceals": ["option"]}})], variables=given)
    assert code != 0 and "conceals: there is no variable 'option'; correct its name" in output


def test_a_template_that_fails_is_named(play):
    templates = {"undefined": "x\n{{ nothing_like_this }}\n", "quoting": "x\n{{ password | from_json }}\n"}
    tasks = []
    for src, content in templates.items():
        path = play.role / "templates" / src / str(play.dst)[1:] / "a.conf.j2"
        path.parent.mkdir(parents=True)
        path.write_text(content)
        for secret in (False, True):
            task = play.task(src=src, files={f"{play.dst}/a.conf": {"secret": secret}})
            tasks.append({**task, "ignore_errors": True})
    _result, output, _code = play.run(tasks, "-vvv", variables={"password": SECRET})
    start = f"The template '{str(play.dst)[1:]}/a.conf.j2' of {play.dst}/a.conf failed"
    undefined, undefined_secret, quoting, quoting_secret = output.split("\nTASK [")[1:5]
    for part in (undefined, undefined_secret):
        assert f"{start}: 'nothing_like_this' is undefined" in part
    for part in (quoting, quoting_secret):
        assert start in part
    withheld = "the message is withheld because the file is secret"
    assert [withheld in part for part in (undefined, undefined_secret, quoting, quoting_secret)] == [False] * 3 + [True]
    assert SECRET not in quoting_secret
    assert not play.dst.exists()


WRONG_OPTIONS = [
    ({"files": {"etc/a": {}}}, "files['etc/a']: a path has to be absolute, such as '/etc/example.conf'"),
    ({"src": "no-such"}, "src: 'no-such' does not exist; write the path of a directory"),
    ({"src": 5}, "src: 5 is not a path; write one of a directory"),
    ({"validate_tree": "true"}, "validate_tree: 'true' has no %s, which stands for what it has to check; add it"),
    ({"validate_live": []}, "validate_live: [] is not a command; write a list of strings, or one string"),
    ({"fils": {}}, "Invalid options for magicbroccoli.xmpp.config_tree: fils"),
]


def test_wrong_options(play):
    play.template("a.conf.j2", "x")
    tasks = [{**play.task(**options), "ignore_errors": True} for options, _message in WRONG_OPTIONS]
    _result, output, _code = play.run(tasks)
    failures = re.findall(r"^fatal: .* => (\{.*\})$", output, re.MULTILINE)
    messages = [json.loads(failure)["msg"] for failure in failures]
    assert len(messages) == len(WRONG_OPTIONS), output
    for (_options, expected), message in zip(WRONG_OPTIONS, messages, strict=True):
        assert expected in message
    assert not play.dst.exists()


def test_another_source_and_none(play):
    zones = play.role / "templates" / "zones" / str(play.dst)[1:]
    zones.mkdir(parents=True)
    (zones / "zone.j2").write_text("zone {{ 1 + 1 }}\n")
    result, output, code = play.run([play.task(src="zones")])
    assert code == 0, output
    assert result["paths"] == [str(play.dst), f"{play.dst}/zone"]
    subprocess.run(["rm", "-r", play.role / "templates"], check=True)
    result, output, code = play.run([play.task()])
    assert (result["changed"], result["paths"], code) == (False, [], 0)
    files = {f"{play.dst}/{name}.zone": {"content": f"{name} @S@\n", "serial": "@S@"} for name in "ab"}
    result, output, code = play.run([play.task(files=files)])
    assert (result["paths"], code) == (sorted(files), 0)


def test_the_module_logs_nothing_that_it_is_sent(tmp_path, monkeypatch, capsys):
    logged = []
    monkeypatch.setattr(AnsibleModule, "log", lambda self, msg, log_args=None: logged.append((msg, log_args)))
    monkeypatch.setenv("CONFIG_TREE_PREFIX", str(tmp_path))
    entry = {"path": str(tmp_path / "a"), "state": "file", "owner": "root", "group": "root", "mode": "0600"}
    payload = pack({"files": [{**entry, "content": SECRET, "secret": True}]})
    with patch_module_args({"_payload": payload}), pytest.raises(SystemExit):
        config_tree.main()
    result = json.loads(capsys.readouterr().out)
    assert result["paths"] == [str(tmp_path / "a")]
    assert len(logged) == 1
    assert payload not in repr(logged) + json.dumps(result)
    assert logged[0][1]["_payload"] == "NOT_LOGGING_PARAMETER"
    assert not (tmp_path / "var/lib/config_tree/journal").exists()


def test_a_result_that_did_not_get_out_is_not_forgotten(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CONFIG_TREE_PREFIX", str(tmp_path))
    entry = {"path": str(tmp_path / "a"), "state": "file", "owner": "root", "group": "root", "mode": "0600"}
    arguments = {"_payload": pack({"files": [{**entry, "content": "x", "secret": False}]})}

    def broken(self, **kwargs):
        raise BrokenPipeError

    with monkeypatch.context() as patch, patch_module_args(arguments), pytest.raises(BrokenPipeError):
        patch.setattr(AnsibleModule, "exit_json", broken)
        config_tree.main()
    for changed in (True, False):
        with patch_module_args(arguments), pytest.raises(SystemExit):
            config_tree.main()
        assert json.loads(capsys.readouterr().out)["changed"] is changed


def test_what_is_installed_already_makes_handlers_run_and_asks_nobody(play):
    play.template("a", "1")
    result, output, status = play.run([play.task(installed={"changed": True, "paths": ["/etc/a"]})])
    assert (status, result["changed"], result["paths"]) == (0, True, ["/etc/a"]), output
    assert "the handler ran" in output
    assert not (play.dst / "a").exists()
    result, output, status = play.run([play.task(installed={"changed": False, "paths": []})])
    assert (status, result["changed"], "the handler ran" in output) == (0, False, False), output
    # Nothing was installed for this role.
    result, output, status = play.run([play.task(installed={})])
    assert (status, result["paths"]) == (0, [str(play.dst), str(play.dst / "a")]), output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"roles": ["nginx"], "files": {}},
            "roles: it excludes files, which the roles' plans have; remove one of them",
        ),
        ({"roles": ["nginx", "ngnix"]}, "roles: 'nginx' has no __nginx_plan; import the role in this play"),
        ({"roles": ["../nginx"]}, "roles: '../nginx' has no __../nginx_plan"),
    ],
)
def test_roles_that_cannot_be_installed_together_are_refused(play, options, said):
    _result, output, status = play.run([play.task(**options)])
    assert status == 2
    assert said in output
