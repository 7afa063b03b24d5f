# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs on a host, started as an operator starts them: what they print and how they end is a promise.

RECORD=1 writes tests/unit/data/programs.json anew; look at the difference before you commit it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.host_package import FOLDER, SBIN, package, stubs

TOP = Path(__file__).resolve().parents[3]
GOLDEN = TOP / "tests" / "unit" / "data" / "programs.json"
SOURCES = TOP / "plugins" / "module_utils" / "host"
# What the roles install.
PROGRAMS = {
    name: room
    for path in TOP.glob("roles/*/vars/main.yml")
    for key, programs in (yaml.safe_load(path.read_text()) or {}).items()
    if key.endswith("_programs") and isinstance(programs, dict)
    for name, room in programs.items()
}
CLOSED = {"port": 1, "name": "a.test"}
STATUS = {
    **{"host": "a.test", "address": "127.0.0.1", "dns_server": "127.0.0.1", "verify": False, "ca": "", "updates": ""},
    **{key: [] for key in ("units", "zones", "certificates", "commands", "disks", "states")},
    **{"disk_warn_percent": 15, "disk_fail_percent": 5, "certificate_warn_percent": 22, "certificate_fail_percent": 8},
    **{"ports": [CLOSED, {**CLOSED, "protocol": "jabber:client"}], "stun": [], "pages": []},
}
# Arguments; {} is a file with the configuration that comes after them.
RUNS = [
    *[(name, ["--help"], None) for name in ("xmpp-certificate", "xmpp-backup", "xmpp-updates", "xmpp-status")],
    *[
        (name, ["--no-such-option"], None)
        for name in ("xmpp-certificate", "xmpp-backup", "xmpp-updates", "xmpp-status")
    ],
    ("xmpp-alarm", ["--help"], None),
    ("xmpp-alarm", [], None),
    ("xmpp-alarm", ["one", "two"], None),
    ("xmpp-alarm", ["--list"], None),
    ("xmpp-backup", ["list"], None),
    ("xmpp-updates", ["--explain"], None),
    ("xmpp-updates", ["--json"], None),
    ("xmpp-status", ["--outside", "--config", "{}"], STATUS),
    ("xmpp-status", ["--outside", "--json", "--config", "{}"], STATUS),
    ("xmpp-status", ["--outside", "--json", "--config", "{}"], {**STATUS, "ports": []}),
    ("xmpp-status", ["--config", "{}"], None),
    ("xmpp-certificate", ["--config", "{}"], None),
    ("xmpp-certificate", ["--config", "{}"], {}),
    *[
        ("xmpp-certificate", [*act, "--config", "{}"], None)
        for act in (["--prepare"], ["--requests"], ["--deploy"], ["--register"], ["--patient"], ["--roll", "status"])
    ],
    *[("xmpp-backup", [act], None) for act in ("run", "init", "check", "restore", "restic", "read")],
    *[("xmpp-backup", [act, "--help"], None) for act in ("list", "restore")],
    ("xmpp-updates", ["--dry-run"], None),
    ("xmpp-alarm", ["--over"], None),
    ("xmpp-status", ["--json", "--config", "{}"], None),
    ("xmpp-status", ["--wait", "soon"], None),
    ("/usr/local/libexec/firewall-trial", ["--help"], None),
    ("/usr/local/libexec/firewall-trial", ["start"], None),
    ("/usr/local/libexec/sshd-trial", [], None),
    ("/usr/local/libexec/sshd-trial", ["status"], None),
]


@pytest.fixture(scope="module")
def sbin(tmp_path_factory):
    """A folder with the programs as a role installs them, the package beside them."""
    top = tmp_path_factory.mktemp("host")
    sources = {str(path.relative_to(SOURCES)): path.read_text() for path in SOURCES.rglob("*.py")}
    for path, entry in (package(sources) | stubs(sources, PROGRAMS)).items():
        place = top / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if "content" not in entry:
            continue
        place.write_text(entry["content"].replace(FOLDER, f"{top}{FOLDER}"))
    return top / SBIN.lstrip("/")


def start(sbin: Path, name: str, words: list[str]) -> subprocess.CompletedProcess:
    environment = {**os.environ, "COLUMNS": "100", "TZ": "UTC", "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    place = sbin.parents[2] / name.lstrip("/") if name.startswith("/") else sbin / name
    command = [sys.executable, "-I", str(place), *words]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment, timeout=60
    )


@pytest.mark.parametrize(("name", "words", "config"), RUNS)
def test_programs_say_what_they_always_said(tmp_path, sbin, name, words, config):
    place = tmp_path / "config.json"
    if config is not None:
        place.write_text(json.dumps(config))
    done = start(sbin, name, [word.replace("{}", str(place)) for word in words])

    def plain(text: str) -> list[str]:
        lines = text.replace(str(place), "CONFIG").splitlines()
        # The line's time.
        return [line if "UTC" not in line else line[:-20] for line in lines]

    said = {"status": done.returncode, "stdout": plain(done.stdout), "stderr": plain(done.stderr)}
    key = " ".join([name, *words]) + (f" {len(config)}/{len(config.get('ports', []))}" if config is not None else "")
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if "RECORD" in os.environ:
        GOLDEN.write_text(json.dumps({**known, key: said}, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        return
    print(json.dumps(said))
    assert said == known[key]


def test_rooms_and_programs_belong_together():
    """Each room has its program, and the package is whole in what a role installs."""
    rooms = {path.parent.name for path in SOURCES.glob("*/main.py")}
    assert set(PROGRAMS.values()) == rooms
    sources = {str(path.relative_to(SOURCES)): path.read_text() for path in SOURCES.rglob("*.py")}
    found = package(sources) | stubs(sources, PROGRAMS)
    # The folder is one of them.
    assert len(found) == 1 + len(sources) + len(PROGRAMS)
    assert len(package(sources)) == 1 + len(sources) and stubs(sources, {}) == {}
    print(f"{len(sources)} files, programs: {', '.join(sorted(PROGRAMS))}")


def test_plugins_of_munin_start_faster_and_have_its_marks():
    place = "/usr/local/lib/munin/plugins/prosody_"
    found = stubs(["graphs/main.py", "qr/main.py"], {place: "graphs", "xmpp-qr": "qr"})
    first, *lines = found[place]["content"].splitlines()
    assert first == "#!/usr/bin/python3 -IS" and found[place]["mode"] == "0755"
    assert {"#%# family=auto contrib", "#%# capabilities=autoconf suggest"} < set(lines)
    # What is Debian's comes last, and without the module site from nowhere else.
    assert lines.index(f'sys.path.insert(0, "{FOLDER}")') + 1 == lines.index(
        'sys.path.append("/usr/lib/python3/dist-packages")'
    )
    usual = found[f"{SBIN}/xmpp-qr"]["content"]
    assert usual.startswith("#!/usr/bin/python3 -I\n") and "#%#" not in usual and "dist-packages" not in usual


@pytest.mark.parametrize(
    ("programs", "said"),
    [
        (["xmpp-status"], r"programs: \['xmpp-status'\] has to be a dictionary"),
        ({"../x": "status"}, "programs: '../x' is no name of a program; write one as xmpp-status"),
        ({"bind_": "status"}, "programs: 'bind_' is no name of a program; write one as xmpp-status"),
        ({"xmpp-x": "x"}, "programs: xmpp-x: 'x' is no room of the package; write one of status"),
    ],
)
def test_wrong_programs(programs, said):
    with pytest.raises(ValueError, match=said):
        stubs(["status/main.py", "files.py"], programs)
