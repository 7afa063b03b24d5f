# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Munin's plugins, and the way of the numbers of Prosody: its module host_counters writes them, a plugin reads them."""

import contextlib
import importlib
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import dns, x509
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.graphs import (
    backup,
    bind,
    firewall,
    main,
    munin,
    nginx,
    prosody,
    status,
    tls,
    updates,
)
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.munin import GRAPHS as GRAPHS_OF
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.munin import munin_links

ROLES = Path(__file__).parents[3] / "roles"
MODULE = ROLES / "prosody/templates/usr/local/lib/prosody/modules/mod_host_counters.lua"

GRAPHS = {
    "c2s": ["c2s_tls", "c2s_websocket", "c2s_bosh", "c2s_hibernating", "c2s_unencrypted"],
    "s2s": ["s2s_in", "s2s_out", "s2s_connecting"],
    "stanzas": ["message_in", "message_out", "presence_in", "presence_out", "iq_in", "iq_out"],
    "accounts": ["accounts"],
    "memory": ["memory"],
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
package.loaded["core.usermanager"] = {
    users = function (host) assert(host == "example.org") return pairs({ alice = true, bob = true }) end;
}
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
            type = "local";
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


def run_module(path, *more):
    return subprocess.run(
        ["lua5.4", "-", str(MODULE), str(path), *more], input=PROSODY, capture_output=True, text=True, check=False
    )


def answer(graph, command, environment):
    """How the plugin answers by its link, and ends."""
    return munin.answer(prosody.FAMILY, f"/etc/munin/plugins/{graph}", command, environment)


def values(text):
    return {name.removesuffix(".value"): value for name, value in (line.split(" ") for line in text.splitlines())}


def test_the_numbers_arrive(tmp_path, capsys):
    path = tmp_path / "host_counters"
    done = run_module(path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "again in\t10\numask\t022 027\n"
    assert [item.name for item in tmp_path.iterdir()] == ["host_counters"]
    found = {}
    for graph in GRAPHS:
        assert answer(f"prosody_{graph}", "fetch", {"counters": str(path)}) == 0
        found |= values(capsys.readouterr().out)
    days, memory = float(found.pop("uptime")), int(found.pop("memory"))
    assert 500000 < memory < 50000000
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
        "accounts": "2",
    }


def test_the_module_says_when_it_cannot_write_and_takes_its_file_along(tmp_path):
    done = run_module(tmp_path / "missing" / "host_counters")
    assert done.returncode == 0
    assert "error\tCannot write the counters: " in done.stdout and "No such file" in done.stdout
    assert run_module(tmp_path / "host_counters", "unload").returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_value_is_described(tmp_path, capsys, monkeypatch, graph):
    path = tmp_path / "host_counters"
    path.write_text(COUNTERS)
    monkeypatch.setattr(prosody.time, "time", lambda: 87420)
    program, environment = f"prosody_{graph}", {"counters": str(path)}
    assert answer(program, "config", environment) == 0
    config = capsys.readouterr().out.splitlines()
    for wanted in ("graph_title ", "graph_vlabel ", "graph_info ", "graph_category chat"):
        assert any(line.startswith(wanted) for line in config), wanted
    labelled = [line.partition(".label ")[0] for line in config if ".label " in line]
    assert answer(program, "fetch", environment) == 0
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
def test_old_numbers_are_not_believed(tmp_path, capsys, monkeypatch, now, uptime):
    path = tmp_path / "host_counters"
    path.write_text(COUNTERS)
    monkeypatch.setattr(prosody.time, "time", lambda: now)
    assert answer("prosody_uptime", "fetch", {"counters": str(path)}) == 0
    assert capsys.readouterr().out == f"uptime.value {uptime}\n"


@pytest.mark.parametrize("text", ["", "time\n", "time x\n", "c2s_tls 1\n", "time 5 6\n", "\x00"])
def test_a_broken_file_is_an_error(tmp_path, capsys, text):
    path = tmp_path / "host_counters"
    path.write_text(text)
    assert answer("prosody_c2s", "fetch", {"counters": str(path)}) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"{path}: ")


def test_without_prosody(tmp_path, capsys):
    environment = {"counters": str(tmp_path / "none")}
    assert answer("prosody_s2s", "fetch", environment) == 0
    assert capsys.readouterr().out == "s2s_in.value U\ns2s_out.value U\ns2s_connecting.value U\n"
    assert answer("prosody_", "autoconf", environment) == 0
    assert capsys.readouterr().out == f"no ({tmp_path}/none is not there; load host_counters in Prosody)\n"
    assert answer("prosody_", "suggest", environment) == 0
    assert sorted(capsys.readouterr().out.split()) == sorted([*GRAPHS, "disk"])
    assert answer("prosody_x", "fetch", environment) == 1
    assert capsys.readouterr().err == (
        "/etc/munin/plugins/prosody_x: 'x' is no graph; link this plugin as prosody_ with one of c2s, s2s, stanzas, accounts, memory, disk, uptime\n"
    )


def test_links():
    graphs = ["prosody_c2s", "prosody_disk", "tls_life", "prosody_uptime"]
    assert munin_links(["load", "cpu"], ["eth0"], graphs, {"load": "/opt/load"}) == {
        "names": ["cpu", "if_eth0", "load", "prosody", "prosody_disk", "tls"],
        "families": {"prosody": ["c2s", "uptime"], "tls": ["life"]},
        "files": {
            "/etc/munin/plugins/cpu": {"state": "link", "target": "/usr/share/munin/plugins/cpu"},
            "/etc/munin/plugins/if_eth0": {"state": "link", "target": "/usr/share/munin/plugins/if_"},
            "/etc/munin/plugins/load": {"state": "link", "target": "/opt/load"},
            "/etc/munin/plugins/prosody": {"state": "link", "target": "/usr/local/lib/munin/plugins/prosody_"},
            "/etc/munin/plugins/prosody_disk": {"state": "link", "target": "/usr/local/lib/munin/plugins/prosody_"},
            "/etc/munin/plugins/tls": {"state": "link", "target": "/usr/local/lib/munin/plugins/tls_"},
        },
    }
    assert munin_links([]) == {"names": [], "families": {}, "files": {}}


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
        (
            [[], [], ["prosody_c3s"]],
            "graphs: 'prosody_c3s' is not one of this host's graphs; did you mean 'prosody_c2s'?",
        ),
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
    with pytest.raises(ValueError) as caught:
        munin_links(*arguments)
    assert str(caught.value) == said


@pytest.fixture
def ask(capsys):
    """Asks a plugin for its configuration and its values."""

    def run(plugin, graph, **environment):
        program = f"/etc/munin/plugins/{graph}"
        assert munin.answer(plugin.FAMILY, program, "config", environment) == 0
        described = capsys.readouterr().out
        assert munin.answer(plugin.FAMILY, program, "fetch", environment) == 0
        said = capsys.readouterr()
        found = values(said.out)
        labelled = [line.partition(".label ")[0] for line in described.splitlines() if ".label " in line]
        assert list(found) == labelled and "graph_title " in described and "graph_category " in described
        return found, described, said.err

    return run


def test_every_graph_of_ours_is_one_of_its_plugin():
    modules = {path.stem for path in Path(main.__file__).parent.glob("*.py")} - {"__init__", "main", "munin"}
    assert list(main.FAMILIES) == sorted(modules)
    assert {name: set(graphs) for name, graphs in GRAPHS_OF.items()} == {
        f"{name}_": set(importlib.import_module(f".{name}", main.__package__).FAMILY.graphs) for name in main.FAMILIES
    }


def test_what_prosody_keeps_on_the_disk(tmp_path, capsys):
    for name, size in (
        ("prosody.sqlite", 1000),
        ("prosody.sqlite-wal", 20),
        ("upload%2eexample%2eorg/http_file_share/a", 300),
        ("upload%2eexample%2eorg/http_file_share/b", 4),
        ("example%2eorg/roster/x.dat", 50000),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    assert answer("prosody_disk", "fetch", {"data": str(tmp_path)}) == 0
    assert values(capsys.readouterr().out) == {"database": "1020", "uploads": "304"}


def state(zone, tag, ksk, active, retired=None, goal="omnipresent"):
    def moment(name, when):
        return f"{name}: {time.strftime('%Y%m%d%H%M%S', time.gmtime(when))} ({time.ctime(when)})\n"

    return f"K{zone}.+013+{tag}.state", (
        f"; This is the state of key {tag}, for {zone}.\nAlgorithm: 13\nKSK: {'yes' if ksk else 'no'}\n"
        + moment("Active", active)
        + (moment("Retired", retired) if retired else "")
        + f"GoalState: {goal}\n"
    )


def test_keys(ask, tmp_path):
    now = time.time()
    for name, text in (
        state("example.org", 1, True, now - 100 * 86400),
        state("example.org", 2, False, now - 30 * 86400, now + 60 * 86400),
        state("example.org", 3, False, now - 130 * 86400, now - 40 * 86400, "hidden"),
        state("2.0.192.in-addr.arpa", 4, False, now - 95 * 86400, now - 5 * 86400),
    ):
        (tmp_path / name).write_text(text)
    found, described, _ = ask(bind, "bind_keys", keys=str(tmp_path))
    print(found)
    assert found == {
        "ksk_2_0_192_in_addr_arpa": "U",
        "zsk_2_0_192_in_addr_arpa": "95",
        # Its roll is overdue.
        "next_2_0_192_in_addr_arpa": "-5",
        "ksk_example_org": "100",
        "zsk_example_org": "30",
        "next_example_org": "60",
    }
    assert "next_example_org.critical -3:" in described and "next_example_org.min" not in described


def test_what_bind_counts(ask, monkeypatch):
    counted = {
        "qtypes": {"A": 5, "SRV": 7, "HTTPS": 2, "ANY": 1},
        "nsstats": {
            "Requestv4": 15,
            "QrySuccess": 9,
            "QryNxrrset": 1,
            "QryNXDOMAIN": 2,
            "RateDropped": 3,
            "RateSlipped": 1,
        },
    }
    monkeypatch.setattr(bind, "statistics", lambda _environment: counted)
    found, described, _ = ask(bind, "bind_queries")
    assert (found["a"], found["srv"], found["aaaa"], found["other"]) == ("5", "7", "0", "3")
    assert "a.type DERIVE" in described and "a.min 0" in described
    found, _, _ = ask(bind, "bind_answers")
    assert found == {"answered": "9", "empty": "3", "refused": "0", "failed": "0", "limited": "4", "transfers": "0"}


def test_bind_is_away(ask):
    found, _, said = ask(bind, "bind_answers", url="http://127.0.0.1:1")
    assert set(found.values()) == {"U"} and "http://127.0.0.1:1/json/v1/server does not answer" in said


def test_requests_are_counted_once(ask, tmp_path):
    log = tmp_path / "classes.log"
    environment = {"log": str(log), "MUNIN_PLUGSTATE": str(tmp_path)}

    def count(graph):
        found, _, _ = ask(nginx, graph, **environment)
        return {name: int(value) for name, value in found.items() if value != "0"}

    log.write_text("bosh 200\nupload 404\nupload 200\nbo")
    assert count("nginx_requests") == {"bosh": 1, "upload": 2} == count("nginx_requests")
    assert count("nginx_statuses") == {"status2": 2, "status4": 1}
    with log.open("a") as stream:
        stream.write("sh 502\n\xff\n")
    assert count("nginx_requests") == {"bosh": 2, "upload": 2}
    assert count("nginx_statuses") == {"status2": 2, "status4": 1, "status5": 1}
    # logrotate has made another one.
    log.rename(tmp_path / "classes.log.1")
    log.write_text("other 301\n")
    assert count("nginx_requests") == {"bosh": 2, "upload": 2, "other": 1}
    assert count("nginx_statuses") == {"status2": 2, "status3": 1, "status4": 1, "status5": 1}
    (tmp_path / "nginx_requests.json").write_text("{")
    assert count("nginx_requests") == {"other": 1}


def test_a_log_that_is_not_there(ask, tmp_path):
    found, _, said = ask(nginx, "nginx_requests", log=str(tmp_path / "none"), MUNIN_PLUGSTATE=str(tmp_path))
    assert set(found.values()) == {"U"} and "FileNotFoundError" in said


def test_ports_that_serve_nothing(ask):
    found, described, said = ask(tls, "tls_life", ports="1 2:jabber:client", warning="20")
    assert found == {"port1": "U", "port2": "U"} and "port 1: " in said
    assert "port2.warning 20:" in described and "port2.critical 8:" in described


def test_a_port_and_the_life_of_its_certificate(ask, tmp_path):
    key = x509.new_key("ecdsa-p256")
    (tmp_path / "pem").write_text(key + x509.self_signed(key, ["example.org"], "example.org", 10))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError), context.wrap_socket(server.accept()[0], server_side=True) as stream:
                stream.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        found, _described, said = ask(tls, "tls_life", ports=str(port), name="example.org")
        thread.join()
    print(found, said)
    assert 99.9 < float(found[f"port{port}"]) <= 100


def test_signatures(ask, tmp_path, monkeypatch):
    for name, text in (state("example.org", 1, True, 0), state("example.net", 2, True, 0)):
        (tmp_path / name).write_text(text)
    asked = []

    def answer(server, zone, kind, **options):
        asked.append((server, zone, kind, options["signatures"], options["recurse"]))
        if zone == "example.net":
            raise dns.DnsError("no answer")
        return dns.Answer("NOERROR", [(60, "x")], int(time.time()) + 5 * 86400)

    monkeypatch.setattr(dns, "ask", answer)
    found, _described, said = ask(bind, "bind_signatures", keys=str(tmp_path))
    assert found == {"example_org": "5", "example_net": "U"} and "example.net: no answer" in said
    assert asked[0] == ("127.0.0.1", "example.net", "SOA", True, False)


def test_updates(ask, tmp_path, monkeypatch):
    apt = tmp_path / "apt-get"
    apt.write_text(
        f"#!/bin/sh\necho run >> {tmp_path}/runs\n"
        "echo 'Inst a [1] (2 Debian-Security:13/stable-security [amd64])'\n"
        "echo 'Inst b [1] (2 Debian:13.1/stable [amd64])'\necho 'Conf a (2 Debian-Security:13/stable-security [amd64])'\n"
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    watched = tmp_path / "lists"
    watched.mkdir()
    monkeypatch.setattr(updates, "WATCHED", (str(watched),))
    for _ in range(2):
        assert ask(updates, "updates_pending", MUNIN_PLUGSTATE=str(tmp_path))[0] == {"security": "1", "other": "1"}
    assert (tmp_path / "runs").read_text() == "run\n"
    (watched / "new").write_text("")
    ask(updates, "updates_pending", MUNIN_PLUGSTATE=str(tmp_path))
    assert (tmp_path / "runs").read_text() == "run\nrun\n"
    stamp = tmp_path / "stamp"
    stamp.write_text("")
    os.utime(stamp, (0, time.time() - 3 * 86400))
    monkeypatch.setattr(updates, "STAMPS", {"lists": (str(tmp_path / "none"), str(stamp)), "upgrade": ()})
    monkeypatch.setattr(updates, "REBOOT", str(tmp_path / "none"))
    assert ask(updates, "updates_age")[0] == {"lists": "3", "upgrade": "U", "reboot": "0"}


def test_a_failing_apt_takes_no_other_graph_along(tmp_path, capsys, monkeypatch):
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho E: broken packages >&2\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(updates, "WATCHED", (str(tmp_path),))
    environment = {"MUNIN_PLUGSTATE": str(tmp_path), "graphs": "pending age"}
    assert munin.answer(updates.FAMILY, "updates", "fetch", environment) == 0
    said = capsys.readouterr()
    assert "security.value U\n" in said.out and "multigraph updates_age\n" in said.out
    assert said.err == "updates: apt-get: E: broken packages\n" and not list(tmp_path.glob("*.json"))


def test_psql_that_cannot_be_asked(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert answer("prosody_disk", "fetch", {"data": str(tmp_path), "database": "prosody"}) == 0
    said = capsys.readouterr()
    assert values(said.out) == {"database": "U", "uploads": "U"}
    assert said.err == "/etc/munin/plugins/prosody_disk: psql: No such file or directory\n"


def test_the_window_for_updates(ask, tmp_path, monkeypatch):
    state, now = tmp_path / "state.json", time.time()
    monkeypatch.setattr(updates, "STATE", str(state))

    def shown(opens, closes, checked=0):
        state.write_text(
            json.dumps({"checked": now - checked, "window": {"opens": now + opens, "closes": now + closes}})
        )
        return ask(updates, "updates_window")

    assert shown(5400, 9000)[0] == {"until": "1.5", "open": "0"}
    # The program may be at work for longer than a while, and what is noted stays right.
    assert shown(-5400, 60, checked=5400)[0] == {"until": "0", "open": "1"}
    found, _, said = shown(-9000, -60, checked=7200)
    assert found == {"until": "U", "open": "U"} and "was written 2.0 hours ago; see xmpp-updates.service" in said
    state.write_text(json.dumps({"checked": now}))
    assert ask(updates, "updates_window")[0] == {"until": "U", "open": "U"}
    state.unlink()
    assert ask(updates, "updates_window")[0] == {"until": "U", "open": "U"}


def test_backups(ask, tmp_path):
    state, now = tmp_path / "state.json", time.time()
    noted = {
        "sftp:u@h:/b": {"last_success": now - 86400, "last_check": now - 2 * 86400, "size": 5000},
        "rest:https://user:x@h/": {"last_error": "away"},
    }
    state.write_text(json.dumps({"repositories": noted, "size": 5000}))
    found, described, _ = ask(backup, "backup_age", state=str(state))
    assert found == {
        "repository0_backup": "U",
        "repository0_check": "U",
        "repository1_backup": "1",
        "repository1_check": "2",
    }
    assert "repository0_backup.critical 3" in described and "user:x" not in described
    assert ask(backup, "backup_size", state=str(state))[0] == {"repository0": "U", "repository1": "5000"}


def test_the_self_test(ask, tmp_path):
    state = tmp_path / "status.json"

    def failing(age):
        state.write_text(json.dumps({"time": time.time() - age, "ok": False, "failing": ["a", "b"], "warning": []}))
        return ask(status, "status_failing", state=str(state))

    found, described, _ = failing(10)
    assert found == {"failing": "2", "warning": "0"} and "failing.critical 0:0" in described
    found, _, said = failing(4000)
    assert set(found.values()) == {"U"} and "is too old" in said


def test_promises_over_time(ask, tmp_path):
    state, counts = tmp_path / "status.json", {"kept": 40, "broken": 1, "unknown": 0, "weakened": 2}
    state.write_text(json.dumps({"time": time.time(), "promises": counts}))
    found, described, _ = ask(status, "status_promises", state=str(state))
    assert found == {name: str(number) for name, number in counts.items()}
    assert "graph_order broken unknown weakened kept" in described and "critical" not in described
    # A host whose self-test is older than this graph.
    state.write_text(json.dumps({"time": time.time()}))
    assert set(ask(status, "status_promises", state=str(state))[0].values()) == {"U"}


def test_one_process_speaks_for_a_family(tmp_path, capsys, monkeypatch):
    """munin-node asks every plugin for its configuration when it starts, and is not ready before."""
    path = tmp_path / "host_counters"
    path.write_text(COUNTERS)
    monkeypatch.setattr(prosody.time, "time", lambda: 87400)
    environment = {"counters": str(path), "graphs": "c2s uptime"}
    assert answer("prosody", "config", environment) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("multigraph")] == [
        "multigraph prosody_c2s",
        "multigraph prosody_uptime",
    ]
    assert lines[0] == "multigraph prosody_c2s" and "uptime.label uptime" in lines
    assert answer("prosody", "fetch", environment) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("multigraph prosody_uptime") :] == ["multigraph prosody_uptime", "uptime.value 1.0"]
    assert answer("prosody", "fetch", {"counters": str(path), "graphs": "c2s x"}) == 1


def test_a_graph_that_fails_takes_no_other_along(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bind, "statistics", lambda _environment: {"qtypes": {"A": 5}})
    broken = tmp_path / "Kexample.org.+013+1.state"
    broken.write_bytes(b"\xff")
    environment = {"keys": str(tmp_path), "graphs": "keys queries signatures"}
    for command in ("config", "fetch"):
        assert munin.answer(bind.FAMILY, "bind", command, environment) == 0
        said = capsys.readouterr()
        assert [line for line in said.out.splitlines() if "multigraph" in line] == ["multigraph bind_queries"]
        assert "UnicodeDecodeError" in said.err


def test_what_is_not_there_has_no_levels(ask, capsys, tmp_path):
    """A host without backups or a self-test would be told daily of what it does not have."""
    nothing = {"state": str(tmp_path / "none")}
    _, described, _ = ask(status, "status_failing", **nothing)
    assert "critical" not in described
    assert munin.answer(backup.FAMILY, "backup_age", "fetch", nothing) == 0
    assert capsys.readouterr().out.strip() == ""


def test_the_firewall(ask, tmp_path, monkeypatch):
    nft = tmp_path / "nft"
    counters = [{"counter": {"name": name, "packets": 7}} for name in ("drop_web", "drop_rest", "accept_web")]
    nft.write_text(f"#!/bin/sh\ncat <<'X'\n{json.dumps({'nftables': [{'metainfo': {}}, *counters]})}\nX\n")
    nft.chmod(0o755)
    monkeypatch.setattr(firewall, "NFT", str(nft))
    assert ask(firewall, "firewall_dropped")[0] == {"web": "7", "rest": "7"}
    assert ask(firewall, "firewall_accepted")[0] == {"web": "7"}
    monkeypatch.setattr(firewall, "NFT", str(tmp_path / "none"))
    firewall.asked.cache_clear()
    assert munin.answer(firewall.FAMILY, "firewall_dropped", "config", {}) == 1


def test_pictures():
    assert munin_links([], pictures=["prosody_c2s"], hostname="host.sub.example.org")["files"] == {
        "/var/cache/munin/www/embed/prosody_c2s.png": {
            "state": "link",
            "target": "../sub.example.org/host.sub.example.org/prosody_c2s-week.png",
        }
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x", "host.example.org"], "pictures: 'x' is not a list; write for example ['prosody_c2s']"),
        ([["../x"], "host.example.org"], f"pictures: '../x' is not the name of a plugin; {NAMES}"),
        ([["x"], "host"], "hostname: 'host' is not a full host name: it has one label only; "),
    ],
)
def test_bad_pictures(arguments, said):
    with pytest.raises(ValueError) as caught:
        munin_links([], pictures=arguments[0], hostname=arguments[1])
    assert str(caught.value).startswith(said)
