# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What munin's plugins print and how they end, started by the links by which munin-node starts them: a promise to munin.

RECORD=1 writes tests/unit/data/munin.json anew; look at the difference before you commit it.
"""

import contextlib
import http.server
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import cryptography
import pytest
import yaml
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import x509
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.host_package import FOLDER, PACKAGE, package, stubs
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.munin import GRAPHS, OURS

TOP = Path(__file__).resolve().parents[3]
GOLDEN = TOP / "tests" / "unit" / "data" / "munin.json"
SOURCES = TOP / "plugins" / "module_utils" / "host"
DEBIAN = "/usr/lib/python3/dist-packages"
DAY = 86400

# In place of the package's own: no test asks a name server.
DNS = """\
import time


class DnsError(Exception):
    pass


class Answer:
    signed_until = int(time.time()) + 5 * 86400


def ask(server, zone, kind, *, signatures, recurse, seconds):
    assert (server, kind, signatures, recurse) == ("127.0.0.1", "SOA", True, False)
    if zone == "example.net":
        raise DnsError("no answer")
    return Answer()
"""
SHELL = "#!/bin/sh\n"
APT = (
    "Inst a [1] (2 Debian-Security:13/stable-security [amd64])\nInst b [1] (2 Debian:13.1/stable [amd64])\nConf a (2)\n"
)
COUNTERS = (
    *("c2s_tls", "c2s_websocket", "c2s_bosh", "c2s_hibernating", "c2s_unencrypted", "s2s_in", "s2s_out"),
    *("s2s_connecting", "message_in", "message_out", "presence_in", "presence_out", "iq_in", "iq_out"),
    *("accounts", "memory"),
)


def state(zone, tag, ksk, age, left=None, goal="omnipresent"):
    """The state of a key as BIND writes it: its path, and the text."""

    def moment(name, when):
        return f"{name}: {time.strftime('%Y%m%d%H%M%S', time.gmtime(when))} ({time.ctime(when)})\n"

    now = time.time()
    return f"/var/lib/bind/keys/K{zone}.+013+{tag}.state", (
        f"; This is the state of key {tag}, for {zone}.\nAlgorithm: 13\nKSK: {'yes' if ksk else 'no'}\n"
        + moment("Active", now - age * DAY)
        + ("" if left is None else moment("Retired", now + left * DAY))
        + f"GoalState: {goal}\n"
    )


def whole():
    """A host on which everything works: its files, those that are programs, and times of change as ages in days."""
    now = int(time.time())
    counters = "".join(f"{name} {number}\n" for number, name in enumerate(COUNTERS, 3))
    nft = [{"counter": {"name": name, "packets": 7}} for name in ("drop_web_client", "drop_rest", "accept_web")]
    return {
        "/run/prosody/host_counters": f"start {now - 12345}\ntime {now}\n{counters}",
        "/var/lib/prosody/prosody.sqlite": "x" * 1000,
        "/var/lib/prosody/prosody.sqlite-wal": "x" * 20,
        "/var/lib/prosody/upload%2eexample%2eorg/http_file_share/a": "x" * 300,
        "/var/lib/prosody/example%2eorg/roster/a.dat": "x" * 50,
        **dict(
            [
                state("example.org", 1, True, 100),
                state("example.org", 2, False, 30, 60),
                state("example.org", 3, False, 130, -40, "hidden"),
                state("2.0.192.in-addr.arpa", 4, False, 95, -5),
                state("example.net", 5, False, 1.5, 88.25),
            ]
        ),
        "/var/log/nginx/classes.log": "bosh 200\nupload 404\nupload 200\nother 502\n\udcff\nbo",
        "/var/lib/apt/lists/release": "",
        "/var/lib/apt/periodic/update-success-stamp": 3,
        "/etc/machine-id": 400,
        "/run/reboot-required": 0.5,
        "/var/lib/dpkg/status": "",
        "/var/lib/xmpp-updates/state.json": {"checked": now, "window": {"opens": now + 5416, "closes": now + 9000}},
        "/var/lib/xmpp-backup/state.json": {
            "repositories": {
                "sftp:u@h:/b": {"last_success": now - DAY, "last_check": now - 2 * DAY, "size": 5000},
                "rest:https://user:x@h/": {"last_error": "away"},
            },
        },
        "/var/lib/xmpp-status/status.json": {
            **{"time": now, "ok": False, "failing": ["a", "b"], "warning": ["c"]},
            "promises": {"kept": 40, "broken": 1, "unknown": 0, "weakened": 2},
        },
        "/usr/bin/apt-get": f"{SHELL}cat <<'X'\n{APT}X\n",
        "/usr/bin/psql": f'{SHELL}[ "$4" = prosody ] && echo 123456\n',
        "/usr/sbin/nft": f"{SHELL}cat <<'X'\n{json.dumps({'nftables': [{'metainfo': {}}, *nft]})}\nX\n",
    }


def old():
    """One whose programs have stopped hours ago."""
    now = int(time.time())
    return whole() | {
        "/run/prosody/host_counters": f"start {now - 12345}\ntime {now - 600}\nc2s_tls 1\n",
        "/var/lib/xmpp-updates/state.json": {
            "checked": now - 7200,
            "window": {"opens": now - 9000, "closes": now - 60},
        },
        "/var/lib/xmpp-status/status.json": {**{"time": now - 4000, "failing": [], "warning": []}},
        "/var/lib/plugin-state/nginx_requests.json": {"inode": 1, "offset": 9000, "totals": {"bosh": 4, "upload": 3}},
        "/var/lib/plugin-state/updates_pending.json": {"marks": [1], "values": {"security": 9, "other": 9}},
    }


def broken():
    """One whose files are not what they should be, and whose programs fail."""
    return whole() | {
        "/run/prosody/host_counters": "start 5\ntime x\n",
        "/var/lib/bind/keys/Kexample.com.+013+6.state": "\udcff",
        "/var/log/nginx/classes.log": "what\n\n 500\n",
        "/var/lib/plugin-state/nginx_requests.json": "{",
        "/var/lib/plugin-state/updates_pending.json": "{",
        "/var/lib/xmpp-updates/state.json": {"checked": 0, "window": {"opens": None}},
        "/var/lib/xmpp-backup/state.json": "{}",
        "/var/lib/xmpp-status/status.json": "{",
        "/usr/bin/psql": f"{SHELL}echo no such database >&2\nexit 2\n",
        "/usr/sbin/nft": f"{SHELL}echo Operation not permitted >&2\nexit 1\n",
    }


SCENES = {"whole": whole, "old": old, "broken": broken, "empty": dict}
STATISTICS = {
    "whole": json.dumps(
        {
            "qtypes": {"A": 5, "SRV": 7, "HTTPS": 2, "ANY": 1},
            "nsstats": {"QrySuccess": 9, "QryNxrrset": 1, "QryNXDOMAIN": 2, "RateDropped": 3, "RateSlipped": 1},
        }
    ),
    "old": "{}",
    "broken": "none",
}
MORE = {
    "prosody_": [
        ("prosody_disk", [], {"database": "prosody"}),
        ("prosody_disk", [], {"database": "other"}),
        ("prosody_c2s", [], {"max_age": "1000"}),
        ("prosody_c2s", [], {"max_age": "long"}),
    ],
    "tls_": [("tls_life", ["config"], {"warning": "20", "critical": "10"}), ("tls_life", [], {"ports": "https"})],
    "updates_": [("updates_pending", [], {"MUNIN_PLUGSTATE": "/nowhere"})],
    "status_": [("status_failing", [], {"max_age": "10000"})],
}


def runs(scene, family):
    """How munin-node starts the plugins of a family: the link's name, words, and variables of plugin-conf.d."""
    name, graphs = family.rstrip("_"), GRAPHS[family]
    for graph in graphs:
        yield f"{family}{graph}", ["config"], {}
        yield f"{family}{graph}", [], {}
    yield name, ["config"], {"graphs": " ".join(reversed(graphs))}
    yield name, ["fetch"], {"graphs": " ".join(reversed(graphs))}
    yield family, ["autoconf"], {}
    if scene == "whole":
        yield name, ["config"], {}
        yield name, [], {"graphs": f"{graphs[0]} nothing"}
        yield family, [], {}
        yield f"{family}nothing", ["config"], {}
        yield family, ["suggest"], {}
        yield from MORE.get(family, [])


class Statistics(http.server.BaseHTTPRequestHandler):
    """BIND's statistics channel."""

    def do_GET(self):
        content = self.server.content.encode()
        self.send_response(200 if self.path == "/json/v1/server" else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def url():
    """Addresses of statistics channels, by scene."""
    found = {"empty": "http://127.0.0.1:1"}
    with contextlib.ExitStack() as stack:
        for scene, content in STATISTICS.items():
            server = stack.enter_context(http.server.HTTPServer(("127.0.0.1", 0), Statistics))
            server.content = content
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            found[scene] = f"http://127.0.0.1:{server.server_port}"
        yield found


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """A port with a certificate that is new."""
    pem = tmp_path_factory.mktemp("tls") / "pem"
    key = x509.new_key("ecdsa-p256")
    pem.write_text(key + x509.self_signed(key, ["example.org"], "example.org", 400))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    stream, _ = server.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), context.wrap_socket(stream, server_side=True) as encrypted:
                    encrypted.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def put(path, content):
    """A file: a text, an object as JSON, or an empty one that was changed so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else "" if isinstance(content, float | int) else json.dumps(content)
    path.write_text(text, errors="surrogateescape")
    path.chmod(0o755 if text.startswith("#!") else 0o644)
    if isinstance(content, float | int):
        moment = time.time() - content * DAY
        os.utime(path, (moment, moment))


def install(top):
    """The plugins with all that they import, as the role installs them, below a folder in place of the root."""
    programs = yaml.safe_load((TOP / "roles" / "munin" / "vars" / "main.yml").read_text())["__munin_programs"]
    assert programs == {f"{OURS}{family}": "graphs" for family in GRAPHS}
    sources = {str(path.relative_to(SOURCES)): path.read_text() for path in SOURCES.rglob("*.py")}
    for path, entry in (package({**sources, "dns.py": DNS}) | stubs(sources, programs)).items():
        if "content" not in entry:
            continue
        text = entry["content"]
        # Other files of the package are not of this host.
        if not path.startswith(f"{FOLDER}/{PACKAGE}/") or "/graphs/" in path:
            text = re.sub(r'"(?=/(etc|run|usr|var)/)', f'"{top}', text)
        put(top / path.lstrip("/"), text)
    place = top / DEBIAN.lstrip("/")
    place.parent.mkdir(parents=True)
    place.symlink_to(Path(cryptography.__file__).parents[1])
    return top


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return install(tmp_path_factory.mktemp("host"))


def start(top, name, words, environment, *options):
    """Run a plugin by a link, with what its first line gives Python, and further options."""
    family = f"{name.partition('_')[0]}_"
    program, link = top / OURS.lstrip("/") / family, top / "etc/munin/plugins" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(program)
    first, *flags = program.read_text().splitlines()[0].split()
    assert first == "#!/usr/bin/python3"
    return subprocess.run(
        [sys.executable, *flags, *options, link, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )


def furnish(top, scene):
    """Give the host the files of a scene, and return the environment of munin-node's plugins."""
    for path in ("var", "run", "usr/bin", "usr/sbin", "etc"):
        shutil.rmtree(top / path, ignore_errors=True)
    for path, content in SCENES[scene]().items():
        put(top / path.lstrip("/"), content)
    (top / "var/lib/plugin-state").mkdir(parents=True, exist_ok=True)
    return {"PATH": f"{top}/usr/bin:/usr/bin:/bin", "MUNIN_PLUGSTATE": f"{top}/var/lib/plugin-state"}


@pytest.mark.parametrize("family", GRAPHS)
@pytest.mark.parametrize("scene", SCENES)
def test_plugins_say_what_they_always_said(installed, url, port, scene, family):
    basis = furnish(installed, scene)
    if family == "bind_":
        basis["url"] = url[scene]
    if family == "tls_":
        basis |= {"ports": f"{port} 1:jabber:client", "name": "example.org"} if scene != "empty" else {"ports": "1"}

    def plain(text):
        text = text.replace(str(installed), "TOP").replace(f"127.0.0.1:{url[scene].rpartition(':')[2]}", "URL")
        return text.replace(str(port), "PORT").splitlines()

    said = {}
    for name, words, variables in runs(scene, family):
        done = start(installed, name, words, {**basis, **variables})
        print(done.stderr)
        key = " ".join([name, *words, *(f"{key}={value}" for key, value in variables.items())])
        said[key] = {"status": done.returncode, "stdout": plain(done.stdout), "stderr": plain(done.stderr)}
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    # Of the other scenes, only what differs is written down.
    usual = known.get("whole", {}).get(family, {}) if scene != "whole" else {}
    if "RECORD" in os.environ:
        known.setdefault(scene, {})[family] = {key: its for key, its in said.items() if usual.get(key) != its}
        GOLDEN.write_text(json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        return
    wanted = {**usual, **known[scene][family]}
    assert said == {key: wanted[key] for key in said} and set(known[scene][family]) <= set(said)


def test_the_operator_s_own_link(installed):
    """munin_plugins_extra gives any name to a plugin; what is after its first underscore is the graph."""
    environment, link = furnish(installed, "whole"), installed / "etc/munin/plugins/own_age"
    link.parent.mkdir(parents=True)
    link.symlink_to(f"{installed}{OURS}backup_")
    done = subprocess.run([sys.executable, "-IS", link], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "") and "repository1_backup.value 1\n" in done.stdout


def test_a_plugin_of_another_name(installed):
    copy = shutil.copy(f"{installed}{OURS}backup_", installed / "other_")
    done = subprocess.run([sys.executable, "-IS", copy, "config"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{copy}: 'other' is no family of graphs; link one of backup_, bind_, ")


@pytest.mark.parametrize("family", GRAPHS)
def test_to_describe_a_graph_little_is_read(installed, family):
    """A slow machine takes half a second for a module such as ssl, and there are many graphs."""
    done = start(installed, family.rstrip("_"), ["config"], furnish(installed, "whole"), "-X", "importtime")
    assert done.returncode == 0 and "graph_title " in done.stdout
    found = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    print(family, len(found), "modules:", *sorted(found))
    heavy = {"ssl", "socket", "urllib.request", "http.client", "asyncio", "email", "logging", "dataclasses", "tempfile"}
    assert not found & heavy
    # One asks nftables for its fields.
    assert not found & {"subprocess", "typing"} or family == "firewall_"
