# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""config_tree on the controller: from a table of files to what the host is sent, and what is refused before."""

from __future__ import annotations

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.config_tree import (
    check_apart,
    check_serial,
    command,
    destination,
    destinations,
    leaves,
    masked,
    plan,
)


@pytest.mark.parametrize(
    ("relative", "path"),
    [
        ("etc/nginx/nginx.conf.j2", "/etc/nginx/nginx.conf"),
        ("etc/motd", "/etc/motd"),
        ("etc/a.j2.j2", "/etc/a.j2"),
        ("etc/j2", "/etc/j2"),
        ("etc/.j2", "/etc/.j2"),
        ("top.j2", "/top"),
        ("etc/with space.j2", "/etc/with space"),
        ("_macros.j2", None),
        ("etc/_part.j2", None),
        ("_lib/etc/a", None),
        ("etc/a_b", "/etc/a_b"),
    ],
)
def test_destination(relative, path):
    assert destination(relative) == path


def test_destinations():
    assert destinations(["etc/b.j2", "etc/a", "_x"]) == {"/etc/a": "etc/a", "/etc/b": "etc/b.j2"}
    with pytest.raises(ValueError, match="^src: 'etc/a' and 'etc/a.j2' both are /etc/a; remove one of them$"):
        destinations(["etc/a.j2", "etc/a"])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, None),
        (["nginx", "-t"], ["nginx", "-t"]),
        (("check", "%s"), ["check", "%s"]),
        ("named-checkzone 'example.org' %s", ["named-checkzone", "example.org", "%s"]),
        (["a b", "$HOME; rm", ""], ["a b", "$HOME; rm", ""]),
    ],
)
def test_command(value, words):
    assert command(value, "validate_live") == words


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "validate_tree: '' is not a command; write a list of strings, or one string"),
        ([], "validate_tree: [] is not a command; write a list of strings, or one string"),
        (["a", 1], "validate_tree: ['a', 1] is not a command; write a list of strings, or one string"),
        (["a\0%s"], "validate_tree: ['a\\x00%s'] is not a command; write a list of strings, or one string"),
        (7, "validate_tree: 7 is not a command; write a list of strings, or one string"),
        ({"a": "%s"}, "validate_tree: {'a': '%s'} is not a command; write a list of strings, or one string"),
        (b"x %s", "validate_tree: b'x %s' is not a command; write a list of strings, or one string"),
        (["", "%s"], "validate_tree: ['', '%s'] has no program; its first word has to be one"),
        ("a 'b", 'validate_tree: "a \'b" is not a command (No closing quotation); close its quotes, or write a list'),
        ("check it", "validate_tree: 'check it' has no %s, which stands for what it has to check; add it"),
    ],
)
def test_command_errors(value, message):
    with pytest.raises(ValueError) as e:
        command(value, "validate_tree", placeholder=True)
    assert str(e.value) == message


def test_plan():
    files = {
        "/etc/x/plain": {"content": "text", "owner": 33, "group": "www-data", "mode": "640"},
        "/etc/x/zone": {"content": "@S@", "serial": "@S@", "validate": "check %s", "secret": True},
        "/etc/templated": {"mode": "0600"},
        "/etc/gone": {"state": "absent", "mode": "0600", "content": "unused", "target": None},
        "/etc/x": {"state": "directory"},
        "/etc/link": {"state": "link", "target": "../x"},
    }
    root = {"owner": "root", "group": "root"}
    plain = {**root, "state": "file", "mode": "0644", "secret": False}
    assert plan(files, {"/etc/templated": "etc/templated.j2", "/etc/gone": "etc/gone", "/etc/more": "etc/more"}) == [
        {**root, "path": "/etc/gone", "state": "absent", "mode": "0600"},
        {**root, "path": "/etc/link", "state": "link", "mode": "0644", "target": "../x"},
        {**plain, "path": "/etc/more"},
        {**plain, "path": "/etc/templated", "mode": "0600"},
        {**root, "path": "/etc/x", "state": "directory", "mode": "0755"},
        {**plain, "path": "/etc/x/plain", "content": "text", "owner": "33", "group": "www-data", "mode": "640"},
        {**plain, "path": "/etc/x/zone", "content": "@S@", "serial": "@S@", "secret": True}
        | {"validate": ["check", "%s"]},
    ]
    assert plan({}, {}) == []
    assert plan({"/a": None}, {"/a": "a"}) == [{**plain, "path": "/a"}]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (5, "a path has to be a string"),
        ("a", "a path has to be absolute, such as '/etc/example.conf'"),
        ("", "a path has to be absolute, such as '/etc/example.conf'"),
        ("~/a", "a path has to be absolute, such as '/etc/example.conf'"),
        *[
            (path, "a path must have a name and no '.', '..', '//' or '/' at its end")
            for path in ("/", "//a", "/a/", "/a//b", "/a/./b", "/a/../etc/shadow", "/..")
        ],
        ("/a\n", "a path must not have control characters"),
        ("/a\0b", "a path must not have control characters"),
    ],
)
def test_paths_that_are_none(path, problem):
    with pytest.raises(ValueError) as e:
        plan({path: {"content": "x"}}, {})
    assert str(e.value) == f"files[{path!r}]: {problem}"


WORDS = "owner, group, mode, state, target, content, validate, secret, conceals, serial, exclusive"
STATES = "write one of file, absent, directory, link"
ACCOUNT = "is not a name or number of an account; write one, such as 'root'"
TOKEN = "is not a token; write one that the text has once, as '@SERIAL@'"
EXCLUDE = "exclude each other; remove one of them"
PLACEHOLDER = "which stands for what it has to check; add it"


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ("0644", "'0644' has to be a dictionary of attributes; an empty one means the defaults"),
        ({}, "there is no template for it; add templates/a.j2, content, or another state"),
        ({"modes": "0644"}, f"'modes' is not an attribute; the attributes are {WORDS}"),
        ({"state": "touch"}, f"state: 'touch' is not a state; {STATES}"),
        ({"state": ["file"]}, f"state: ['file'] is not a state; {STATES}"),
        *[
            ({"mode": mode}, f'mode: {mode!r} is not a file mode; write a quoted octal number, such as "0644"')
            for mode in (420, "u=rw", "0888", "64", "00644", "", "0644\n", True, ["0644"])
        ],
        ({"owner": "a b"}, f"owner: 'a b' {ACCOUNT}"),
        ({"owner": -1}, f"owner: -1 {ACCOUNT}"),
        ({"owner": ""}, f"owner: '' {ACCOUNT}"),
        ({"group": True}, f"group: True {ACCOUNT}"),
        ({"group": "root\n"}, f"group: 'root\\n' {ACCOUNT}"),
        ({"content": 5}, "content has to be a string, and is of the type int; quote or serialise it"),
        ({"content": {"pw": "x"}}, "content has to be a string, and is of the type dict; quote or serialise it"),
        ({"content": "", "secret": "yes"}, "secret: 'yes' is not a boolean; write true or false"),
        *[
            (
                {"content": "", "conceals": names},
                f"conceals: {names!r} is not a list of variables of a template; write for example ['example_options']",
            )
            for names in ("a", ["a b"], [5], ["a"])
        ],
        ({"content": "", "target": "x"}, "target has no meaning for state 'file'; remove it"),
        ({"content": "", "validate": "check"}, f"validate: 'check' has no %s, {PLACEHOLDER}"),
        ({"content": "", "serial": "12"}, f"serial: '12' {TOKEN}"),
        ({"content": "", "serial": 12}, f"serial: 12 {TOKEN}"),
        ({"state": "directory", "content": ""}, "content has no meaning for state 'directory'; remove it"),
        ({"state": "directory", "secret": True}, "secret has no meaning for state 'directory'; remove it"),
        ({"state": "directory", "exclusive": "yes"}, "exclusive: 'yes' is not a boolean; write true or false"),
        ({"content": "", "exclusive": True}, "exclusive has no meaning for state 'file'; remove it"),
        ({"state": "link", "mode": "0644"}, "mode has no meaning for state 'link'; remove it"),
        ({"state": "link"}, "target: None is not a path; a link needs what it points to"),
        ({"state": "link", "target": ""}, "target: '' is not a path; a link needs what it points to"),
    ],
)
def test_attributes_that_are_wrong(attributes, problem):
    with pytest.raises(ValueError) as e:
        plan({"/a": attributes}, {})
    assert str(e.value) == f"files['/a']: {problem}"


@pytest.mark.parametrize(
    ("attributes", "what"),
    [
        ({"content": "x"}, "content"),
        ({"state": "directory"}, "state 'directory'"),
        ({"state": "link", "target": "x"}, "state 'link'"),
    ],
)
def test_what_excludes_a_template(attributes, what):
    with pytest.raises(ValueError) as e:
        plan({"/t": attributes}, {"/t": "t.j2"})
    assert str(e.value) == f"files['/t']: {what} and the template 't.j2' {EXCLUDE}"


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        ({"content": ""}, "file"),
        ({"state": "absent"}, "absent"),
        ({"state": "link", "target": "x"}, "link"),
    ],
)
def test_nothing_is_below_what_is_no_directory(attributes, state):
    with pytest.raises(ValueError) as e:
        plan({"/a": attributes}, {"/a/b/c": "a/b/c"})
    assert str(e.value) == (f"files['/a/b/c']: it is below /a, which is of the state '{state}'; remove one of them")


def test_files_that_are_no_dictionary():
    with pytest.raises(ValueError) as e:
        plan(["/a"], {})
    assert str(e.value) == "files: ['/a'] has to be a dictionary of absolute paths and their attributes"


@pytest.mark.parametrize(("content", "count"), [("", 0), ("@S@ @S@", 2), ("@s@", 0)])
def test_check_serial(content, count):
    check_serial({"path": "/a", "serial": "@S@", "content": "x@S@y"})
    check_serial({"path": "/a", "content": content})
    with pytest.raises(ValueError) as e:
        check_serial({"path": "/a", "serial": "@S@", "content": content})
    assert str(e.value) == f"files['/a']: serial: its text has '@S@' {count} times; it has to be there once"


def test_a_directory_comes_before_what_is_in_it():
    directory = {"state": "directory"}
    files = {"/a/b/c": {"content": ""}, "/a-b": {"content": ""}, "/a": directory, "/a/b": directory}
    assert [entry["path"] for entry in plan(files, {"/a/b/a": "a/b/a.j2"})] == [
        "/a",
        "/a/b",
        "/a/b/a",
        "/a/b/c",
        "/a-b",
    ]


def test_what_a_value_holds_and_its_shape_without():
    value = {"a": "x", "b": [1, True, None, {"c d": "y"}], "e": {"f": 2.5}}
    assert leaves(value) == ["x", "1", "y", "2.5"]
    assert masked(value) == {"a": "", "b": [0, True, None, {"c d": ""}], "e": {"f": 0}}


def test_what_is_in_a_directory_goes_with_it():
    """With its templates, too, which would have to be put there else."""
    files = dict.fromkeys(["/var/www/chat", "/var/www/chat/a/index.html"], {"state": "absent"})
    entries = plan(files, {"/var/www/chat/a/index.html": "templates/index.html"})
    assert [(entry["path"], entry["state"]) for entry in entries] == [("/var/www/chat", "absent")]


def test_a_path_belongs_to_one_of_several_roles():
    folder = plan({"/etc/xmpp": {"state": "directory"}}, {})
    file = plan({"/etc/xmpp/x": {"content": "1"}}, {})
    gone = plan({"/etc/xmpp/x": {"state": "absent"}}, {})
    check_apart({"one": folder + file, "two": folder})
    for other in (file, gone, plan({"/etc/xmpp": {"state": "directory", "mode": "0700"}}, {})):
        with pytest.raises(
            ValueError, match=r"^roles: one and two both have /etc/xmpp(/x)?; it can belong to one of them$"
        ):
            check_apart({"one": folder + file, "two": other})
