# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of the numbers of Prosody: its module host_counters writes them, the plugin of munin reads them."""

import importlib.machinery
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.filter.munin_links import munin_links

ROLES = Path(__file__).parents[3] / "roles"
PLUGIN = ROLES / "munin/templates/usr/local/lib/munin/plugins/prosody_"
MODULE = ROLES / "prosody/templates/usr/local/lib/prosody/modules/mod_host_counters.lua"

GRAPHS = {
    "c2s": ["c2s_tls", "c2s_websocket", "c2s_bosh", "c2s_hibernating", "c2s_unencrypted"],
    "s2s": ["s2s_in", "s2s_out", "s2s_connecting"],
    "stanzas": ["message_in", "message_out", "presence_in", "presence_out", "iq_in", "iq_out"],
    "uptime": ["uptime"],
}
COUNTERS = "start 1000\ntime 87400\n" + "".join(
    f"{name} {number}\n"
    for number, name in enumerate(name for graph, names in GRAPHS.items() if graph != "uptime" for name in names)
)

# Just as much of Prosody as the module touches: sessions of every kind, and a filter's hook to send stanzas through.
PROSODY = r"""
local watch
local filters = {
    add_filter_hook = function (hook) watch = hook end;
    remove_filter_hook = function (hook) assert(hook == watch); watch = nil end;
    add_filter = function (session, kind, callback) session[kind] = callback end;
}
local masks = {}
package.loaded["util.filters"] = filters
package.loaded["util.pposix"] = { umask = function (mask) table.insert(masks, mask) return "027" end }
prosody = {
    start_time = 1000.75;
    full_sessions = {
        a = { secure = true }, b = { secure = true }, c = { secure = true, websocket_request = {} },
        d = { secure = true, bosh_version = "1.11" }, e = { secure = true, hibernating = 5 }, f = {},
    };
    incoming_s2s = { [{ type = "s2sin" }] = true, [{ type = "s2sin_unauthed" }] = true };
    hosts = {
        ["example.org"] = {
            s2sout = { x = { type = "s2sout" }, y = { type = "s2sout" }, z = { type = "s2sout_unauthed" } };
        };
        ["muc.example.org"] = {};
    };
}
local timer
module = {
    set_global = function () end;
    get_option_string = function (_, name, default) return name == "host_counters_file" and arg[2] or default end;
    get_option_number = function (_, _, default) return default end;
    add_timer = function (_, _, callback) timer = callback end;
    log = function (_, level, format, ...) print(level, format:format(...)) end;
}
dofile(arg[1])
module.load()
local session = {}
watch(session)
local function send(direction, name, times)
    for _ = 1, times do
        local stanza = { name = name }
        assert(session["stanzas/" .. direction](stanza) == stanza, "a stanza was swallowed")
    end
end
send("in", "message", 3); send("out", "message", 4); send("in", "presence", 5)
send("out", "iq", 6); send("out", "stream:features", 9); send("in", "a", 9)
print("again in", timer())
print("umask", table.concat(masks, " "))
if arg[3] then module.unload() assert(not watch) end
"""


@pytest.fixture
def plugin(monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("munin_prosody", str(PLUGIN))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("munin_prosody", loader))
    loader.exec_module(module)
    return module


def prosody(path, *more):
    return subprocess.run(
        ["lua5.4", "-", str(MODULE), str(path), *more], input=PROSODY, capture_output=True, text=True, check=False
    )


def values(text):
    return {name.removesuffix(".value"): value for name, value in (line.split(" ") for line in text.splitlines())}


def test_the_numbers_arrive(plugin, tmp_path, capsys):
    path = tmp_path / "host_counters"
    done = prosody(path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "again in\t10\numask\t022 027\n"
    assert [item.name for item in tmp_path.iterdir()] == ["host_counters"]
    found = {}
    for graph in GRAPHS:
        assert plugin.main(f"/etc/munin/plugins/prosody_{graph}", [], {"counters": str(path)}, time.time()) == 0
        found |= values(capsys.readouterr().out)
    days = float(found.pop("uptime"))
    assert days == pytest.approx((time.time() - 1000) / 86400, abs=0.01)
    assert found == {
        "c2s_tls": "2",
        "c2s_websocket": "1",
        "c2s_bosh": "1",
        "c2s_hibernating": "1",
        "c2s_unencrypted": "1",
        "s2s_in": "1",
        "s2s_out": "2",
        "s2s_connecting": "2",
        "message_in": "3",
        "message_out": "4",
        "presence_in": "5",
        "presence_out": "0",
        "iq_in": "0",
        "iq_out": "6",
    }


def test_the_module_says_when_it_cannot_write_and_takes_its_file_along(tmp_path):
    done = prosody(tmp_path / "missing" / "host_counters")
    assert done.returncode == 0
    assert "error\tCannot write the counters: " in done.stdout and "No such file" in done.stdout
    assert prosody(tmp_path / "host_counters", "unload").returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_value_is_described(plugin, tmp_path, capsys, graph):
    path = tmp_path / "host_counters"
    path.write_text(COUNTERS)
    program, environment = f"prosody_{graph}", {"counters": str(path)}
    assert plugin.main(program, ["config"], environment, 0) == 0
    config = capsys.readouterr().out.splitlines()
    for wanted in ("graph_title ", "graph_vlabel ", "graph_info ", "graph_category chat"):
        assert any(line.startswith(wanted) for line in config), wanted
    labelled = [line.partition(".label ")[0] for line in config if ".label " in line]
    assert plugin.main(program, [], environment, 87420) == 0
    assert list(values(capsys.readouterr().out)) == labelled == GRAPHS[graph]
    for name in labelled:
        assert f"{name}.min 0" in config
        assert (f"{name}.type DERIVE" in config) == (graph == "stanzas")
    if graph == "stanzas":
        assert "message_out.negative message_in" in config and "message_in.graph no" in config


@pytest.mark.parametrize(
    ("now", "uptime"),
    [
        (87400, "1.0"),
        (87460, "1.0"),
        (87461, "U"),
        (87340, "1.0"),
        (87339, "U"),
        (0, "U"),
    ],
)
def test_old_numbers_are_not_believed(plugin, tmp_path, capsys, now, uptime):
    path = tmp_path / "host_counters"
    path.write_text(COUNTERS)
    assert plugin.main("prosody_uptime", [], {"counters": str(path)}, now) == 0
    assert capsys.readouterr().out == f"uptime.value {uptime}\n"


@pytest.mark.parametrize("text", ["", "time\n", "time x\n", "c2s_tls 1\n", "time 5 6\n", "\x00"])
def test_a_broken_file_is_an_error(plugin, tmp_path, capsys, text):
    path = tmp_path / "host_counters"
    path.write_text(text)
    assert plugin.main("prosody_c2s", [], {"counters": str(path)}, 5) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"{path}: ")


def test_without_prosody(plugin, tmp_path, capsys):
    environment = {"counters": str(tmp_path / "none")}
    assert plugin.main("prosody_s2s", [], environment, 0) == 0
    assert capsys.readouterr().out == "s2s_in.value U\ns2s_out.value U\ns2s_connecting.value U\n"
    assert plugin.main("prosody_", ["autoconf"], environment, 0) == 0
    assert capsys.readouterr().out == f"no ({tmp_path}/none is not there; load host_counters in Prosody)\n"
    assert plugin.main("prosody_", ["suggest"], environment, 0) == 0
    assert capsys.readouterr().out.split() == list(GRAPHS)
    assert plugin.main("prosody_x", [], environment, 0) == 1
    assert capsys.readouterr().err == (
        "prosody_x: 'x' is no graph; link this plugin as prosody_ with one of c2s, s2s, stanzas, uptime\n"
    )


def test_munin_reads_the_markers():
    head = PLUGIN.read_text().splitlines()
    assert "#%# family=auto contrib" in head and "#%# capabilities=autoconf suggest" in head


def test_links():
    assert munin_links(["load", "cpu"], ["eth0"], ["c2s"], {"load": "/opt/load"}) == {
        "names": ["cpu", "if_eth0", "load", "prosody_c2s"],
        "files": {
            "/etc/munin/plugins/cpu": {"state": "link", "target": "/usr/share/munin/plugins/cpu"},
            "/etc/munin/plugins/if_eth0": {"state": "link", "target": "/usr/share/munin/plugins/if_"},
            "/etc/munin/plugins/load": {"state": "link", "target": "/opt/load"},
            "/etc/munin/plugins/prosody_c2s": {"state": "link", "target": "/usr/local/lib/munin/plugins/prosody_"},
        },
    }
    assert munin_links([]) == {"names": [], "files": {}}


NAMES = "write letters, digits, underscores, hyphens, dots and colons, not beginning with a dot"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cpu"], "plugins: 'cpu' is not a list; write for example ['cpu', 'load']"),
        ([{"cpu": 1}], "plugins: {'cpu': 1} is not a list; write for example ['cpu', 'load']"),
        ([["../x"]], f"plugins: '../x' is not the name of a plugin; {NAMES}"),
        ([["a)|(.*"]], f"plugins: 'a)|(.*' is not the name of a plugin; {NAMES}"),
        ([["cpu\n"]], f"plugins: 'cpu\\n' is not the name of a plugin; {NAMES}"),
        ([[""]], f"plugins: '' is not the name of a plugin; {NAMES}"),
        ([[".x"]], f"plugins: '.x' is not the name of a plugin; {NAMES}"),
        ([["é"]], f"plugins: 'é' is not the name of a plugin; {NAMES}"),
        ([[5]], f"plugins: 5 is not the name of a plugin; {NAMES}"),
        ([[], "eth0"], "interfaces: 'eth0' is not a list; write for example ['eth0']"),
        ([[], [], ["c3s"]], "prosody: 'c3s' is not a graph of Prosody; write one of c2s, s2s, stanzas, uptime"),
        ([[], [], [], ["x"]], "extra: ['x'] is not a dictionary; write for example {'ping_a': '/opt/munin/ping_'}"),
        (
            [[], [], [], {"x": "y"}],
            "extra.x: 'y' is not the path of a program; write it from the root, for example "
            "'/usr/local/lib/munin/plugins/ping_'",
        ),
        ([[], [], [], {"a/b": "/y"}], f"extra: 'a/b' is not the name of a plugin; {NAMES}"),
    ],
)
def test_bad_links(arguments, said):
    with pytest.raises(AnsibleFilterError) as caught:
        munin_links(*arguments)
    assert str(caught.value) == f"munin_links: {said}"
