# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""config_tree on the host: what it does to a directory, what it undoes, and what a kill leaves behind."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import config_tree, config_tree_validators
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree import ConfigTree
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_change import ConfigTreeError, NotRestored
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import (
    conceal,
    find_serial,
    locate,
    next_serial,
    pack,
    redact,
    to_bytes,
    unpack,
    with_serial,
)

NOW = 1773446400
SECRET = "tr0ub4dor-and-3"


class Place:
    """A directory to manage, with the state that config_tree keeps apart from it."""

    def __init__(self, tmp_path):
        self.root = tmp_path / "etc"
        self.root.mkdir(mode=0o755)
        self.state = tmp_path / "state"
        self.run_dir = tmp_path / "run"

    def path(self, name):
        return str(self.root / name)

    def file(self, name, content="", **attributes):
        entry = {"path": self.path(name), "state": "file", "owner": "root", "group": "root", "mode": "0644"}
        return {**entry, "content": content, "secret": False, **attributes}

    def other(self, name, state, **attributes):
        mode = "0755" if state == "directory" else "0644"
        entry = {"path": self.path(name), "state": state, "owner": "root", "group": "root", "mode": mode}
        return {**entry, **attributes}

    def tree(self, **options):
        return ConfigTree(str(self.state), str(self.run_dir), **{"now": NOW, **options})

    def apply(self, files, check=False, diff=False, now=NOW, **payload):
        with self.tree(check=check, diff=diff, now=now) as tree:
            result = tree.run({"files": files, **payload})
            tree.reported()
            result["warnings"] = tree.warnings
        return result

    def names(self, paths):
        return [os.path.relpath(path, self.root) for path in paths]

    def snapshot(self):
        """{name: (kind, mode, uid, gid, content)} of all that is there."""
        found = {}
        for directory, names, files in os.walk(self.root):
            for name in names + files:
                path = os.path.join(directory, name)
                st = os.lstat(path)
                if stat.S_ISLNK(st.st_mode):
                    content = os.readlink(path)
                else:
                    content = Path(path).read_bytes() if stat.S_ISREG(st.st_mode) else None
                kind, mode = stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode)
                found[os.path.relpath(path, self.root)] = (kind, mode, st.st_uid, st.st_gid, content)
        return found

    def leftovers(self):
        """What config_tree made for itself and should have removed."""
        found = [name for name in self.snapshot() if name.endswith("~")]
        found += [name for name in os.listdir(self.run_dir) if name != "lock"]
        if self.state.exists():
            found += [name for name in os.listdir(self.state) if name != "unreported"]
        return found


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture(autouse=True)
def power_stays_on(monkeypatch):
    """No test cuts it, so to sync for real would only take time."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def test_the_payload_comes_back_as_it_was_sent():
    payload = {"files": [{"path": "/etc/ä", "content": b"\xff\x00\xfe".decode("utf-8", "surrogateescape")}]}
    assert unpack(pack(payload)) == payload
    assert pack(payload).isascii()
    assert to_bytes(unpack(pack(payload))["files"][0]["content"]) == b"\xff\x00\xfe"


# -- serial numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (None, NOW),
        (0, NOW),
        (1, NOW),
        (NOW - 1, NOW),
        (NOW, NOW + 1),
        (NOW + 98, NOW + 99),
        (NOW + 99, NOW + 100),  # more than one a second, and never back
        (2026031402, 2026031403),  # a number that was made of the day
        (3000000000, 3000000001),
        (4294967295, NOW),  # ahead of it in the arithmetic of RFC 1982
        ((NOW + 2**31) % 2**32, (NOW + 2**31) % 2**32 + 1),  # neither ahead nor behind: the number after it
    ],
)
def test_next_serial(live, expected):
    assert next_serial(live, NOW) == expected
    if live is not None:
        assert 0 < (next_serial(live, NOW) - live) % 2**32 < 2**31


def test_next_serial_passes_over_zero():
    assert next_serial(2**32 - 1, 2**32 - 1) == 1


@pytest.mark.parametrize(
    ("live", "number"),
    [
        (b"@ SOA ns. hm. 7 1 2 3 4\n", 7),
        (b"$TTL 1h\n@ 3600 IN SOA ns.example.org. hm.example.org. (\n  2026031401 ; serial\n 1 2 3 4 )\n", 2026031401),
        (b"@ in soa ns hm (; 99 is none\n\t42)\n", 42),
        (b"; SOA a b 5\n@ SOA ( ns hm 6 1 1 1 1 )\n", 6),
        (b"version 12 of it\n", 12),
        (b"version 12 of that\n", None),
        (b"@ SOA ns. hm. 4294967296 1 2 3 4\n", None),
        (b"\xff\x00", None),
        (b"", None),
    ],
)
def test_find_serial(live, number):
    assert find_serial(live, b"head\nversion ", b" of it\ntail") == number


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (None, b"a 1773446400 b"),
        (b"a 17 b", b"a 17 b"),
        (b"a 2026031407 b", b"a 2026031407 b"),
        (b"a 99999999999 b", b"a 1773446400 b"),
        (b"a 4294967296 b", b"a 1773446400 b"),
        (b"a  b", b"a 1773446400 b"),
        (b"a 1 2 b", b"a 1773446400 b"),
        (b"a ", b"a 1773446400 b"),
        (b"", b"a 1773446400 b"),
    ],
)
def test_with_serial(live, expected):
    assert with_serial(b"a @S@ b", b"@S@", live, NOW) == expected


def test_a_serial_number_follows_the_file(place):
    zone = "@ SOA ns hm @SERIAL@ 1 1 1 1\n@ NS ns\nns A {}\n"

    def apply(address, now=NOW, **options):
        files = [place.file("zone", zone.format(address), serial="@SERIAL@")]
        changed = place.apply(files, now=now, **options)["changed"]
        return changed, int((place.root / "zone").read_text().split()[4])

    assert apply("198.51.100.1") == (True, NOW)
    assert apply("198.51.100.1", NOW + 100) == (False, NOW)
    assert apply("198.51.100.2") == (True, NOW + 1)
    assert apply("198.51.100.3", NOW - 100) == (True, NOW + 2)  # a clock that goes back
    assert apply("198.51.100.4", NOW + 100, check=True) == (True, NOW + 2)
    assert apply("198.51.100.4", NOW + 100) == (True, NOW + 100)
    files = [place.file("zone", zone.format("198.51.100.4"), serial="@SERIAL@", mode="0600")]
    assert place.apply(files)["changed"]
    assert str(NOW + 100) in (place.root / "zone").read_text(), "a new mode is no new zone"


# -- what is put in place -------------------------------------------------------------------------------------------


def every_kind(place):
    """A host with something of everything to change, and the files that change it."""
    root = place.root
    (root / "same.conf").write_text("same\n")
    (root / "old.conf").write_text("old\n" * 100)
    (root / "old.conf").chmod(0o640)
    os.chown(root / "old.conf", 1, 1)
    (root / "mode.conf").write_text("mode\n")
    (root / "mode.conf").chmod(0o600)
    (root / "key").write_text("old " + SECRET)
    (root / "key").chmod(0o600)
    (root / "gone.conf").write_text("gone\n")
    (root / "gone.d").mkdir(mode=0o750)
    (root / "gone.d" / "deep").mkdir()
    (root / "gone.d" / "deep" / "file").write_text("deep\n")
    (root / "link").symlink_to("old.conf")
    (root / "was-link").symlink_to("same.conf")
    (root / "directory").mkdir(mode=0o755)
    return [
        place.file("same.conf", "same\n"),
        place.file("old.conf", "new\n" * 200),
        place.file("mode.conf", "mode\n", mode="0644"),
        place.file("key", "new " + SECRET, mode="0600", secret=True),
        place.file("new.conf", "new\n", owner="daemon", mode="0440"),
        place.file("a/b/c.conf", "c\n"),
        place.other("gone.conf", "absent"),
        place.other("gone.d", "absent"),
        place.other("never.conf", "absent"),
        place.other("link", "link", target="new.conf"),
        place.file("was-link", "now a file\n"),
        place.other("new-link", "link", target="/nowhere"),
        place.other("directory", "directory", mode="0700"),
        place.other("new-directory", "directory", mode="0750", group="daemon"),
    ]


EVERY_CHANGE = [
    "a",
    "a/b",
    "a/b/c.conf",
    "directory",
    "gone.conf",
    "gone.d",
    "key",
    "link",
    "mode.conf",
    "new-directory",
    "new-link",
    "new.conf",
    "old.conf",
    "was-link",
]


def test_every_kind_of_change(place):
    files = every_kind(place)
    before = place.snapshot()
    result = place.apply(files)
    assert result["changed"] is True
    assert place.names(result["paths"]) == EVERY_CHANGE
    regular, directory, link = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK
    assert place.snapshot() == {
        "same.conf": before["same.conf"],
        "old.conf": (regular, 0o644, 0, 0, b"new\n" * 200),
        "mode.conf": (regular, 0o644, 0, 0, b"mode\n"),
        "key": (regular, 0o600, 0, 0, b"new " + SECRET.encode()),
        "new.conf": (regular, 0o440, 1, 0, b"new\n"),
        "a": (directory, 0o755, 0, 0, None),
        "a/b": (directory, 0o755, 0, 0, None),
        "a/b/c.conf": (regular, 0o644, 0, 0, b"c\n"),
        "link": (link, 0o777, 0, 0, "new.conf"),
        "was-link": (regular, 0o644, 0, 0, b"now a file\n"),
        "new-link": (link, 0o777, 0, 0, "/nowhere"),
        "directory": (directory, 0o700, 0, 0, None),
        "new-directory": (directory, 0o750, 0, 1, None),
    }
    assert place.leftovers() == []


@pytest.mark.parametrize("attributes", [{"owner": "daemon"}, {"group": "daemon"}, {"owner": "1", "group": "1"}])
@pytest.mark.parametrize("state", ["file", "directory", "link"])
def test_an_owner_alone_is_a_change(place, state, attributes):
    entry = place.file("a", "x") if state == "file" else place.other("a", state, target="x")
    place.apply([entry])
    changed = [{**entry, **attributes}]
    assert place.apply(changed)["paths"] == [place.path("a")]
    st = os.lstat(place.root / "a")
    assert (st.st_uid, st.st_gid) == ("owner" in attributes, "group" in attributes)
    assert place.apply(changed)["changed"] is False


def test_a_directory_of_its_own(place):
    """What has left the set leaves the directory, with all that is in it; what is beside the directory stays."""
    files = [
        place.other("own", "directory", exclusive=True),
        place.file("own/kept", "kept\n"),
        place.other("own/never", "absent"),
        place.file("own/room/kept", "kept\n"),
    ]
    assert place.apply(files)["changed"] and not place.apply(files)["changed"]
    place.root.joinpath("beside").write_text("theirs\n")
    for name in ("own/left.py", "own/room/left.py", "own/never", "own/gone/left.py"):
        place.root.joinpath(name).parent.mkdir(exist_ok=True)
        place.root.joinpath(name).write_text("old\n")
    place.root.joinpath("own/link").symlink_to(place.root / "beside")
    before = sorted(str(path) for path in place.root.rglob("*"))
    wanted = [place.path(name) for name in ("own/gone", "own/left.py", "own/link", "own/never", "own/room/left.py")]
    looked = place.apply(files, check=True, diff=True)
    assert looked["paths"] == wanted and sorted(str(path) for path in place.root.rglob("*")) == before
    shown = {part["before_header"]: part["after"] for part in looked["diff"]}
    assert shown == dict.fromkeys(wanted, "state: absent\n")
    with place.tree(check=True) as tree:
        assert tree.compare({"role": {"files": files}}) == ({"role": wanted}, [])
    assert place.apply(files)["paths"] == wanted
    left = sorted(str(path.relative_to(place.root)) for path in place.root.rglob("*"))
    assert left == ["beside", "own", "own/kept", "own/room", "own/room/kept"]
    assert not place.apply(files)["changed"]


def test_a_refused_run_brings_back_what_a_directory_of_its_own_lost(place):
    files = [place.other("own", "directory", exclusive=True), place.file("own/kept", "new\n")]
    place.root.joinpath("own").mkdir()
    for name in ("kept", "left"):
        place.root.joinpath("own", name).write_text("old\n")
    with pytest.raises(ConfigTreeError):
        place.apply(files, validate_live=["false"])
    assert {path.name: path.read_text() for path in place.root.joinpath("own").iterdir()} == {
        "kept": "old\n",
        "left": "old\n",
    }


def test_a_second_run_changes_nothing(place):
    files = every_kind(place)
    place.apply(files)
    before = {name: os.lstat(place.root / name) for name in place.snapshot()}
    result = place.apply(files, diff=True)
    assert (result["changed"], result["paths"], result["diff"]) == (False, [], [])
    for name, st in before.items():
        now = os.lstat(place.root / name)
        assert (now.st_ino, now.st_mtime_ns, now.st_ctime_ns) == (st.st_ino, st.st_mtime_ns, st.st_ctime_ns), name


def test_check_mode_says_the_same_and_changes_nothing(place):
    files = every_kind(place)
    before = place.snapshot()
    result = place.apply(files, check=True, diff=True, validate_tree=["true", "%s"])
    assert place.snapshot() == before
    assert not place.state.exists()
    assert os.listdir(place.run_dir) == ["lock"]
    assert place.names(result["paths"]) == EVERY_CHANGE
    done = place.apply(files, diff=True)
    assert (done["paths"], done["diff"]) == (result["paths"], result["diff"])


def test_check_mode_on_a_bare_host(place):
    files = [
        place.file("x/a.conf", owner="no-such-user", group="no-such-group", validate=["no-such-program", "%s"]),
        place.other("d", "directory", owner="no-such-user"),
    ]
    result = place.apply(files, check=True, validate_tree=["no-such-checker", "%s"], validate_live=["no-such-daemon"])
    assert place.names(result["paths"]) == ["d", "x", "x/a.conf"]
    assert result["skipped_validators"] == [
        "no-such-program %s: no-such-program is not installed",
        "no-such-checker %s: no-such-checker is not installed",
        "no-such-daemon: it checks the live files, which check mode leaves alone",
    ]
    assert place.snapshot() == {}


def test_the_diff(place):
    files = [
        *every_kind(place),
        place.file("binary", "\0"),
        place.file("huge", "x" * 2000),
    ]
    diff = place.apply(files, diff=True, diff_limit=1000)["diff"]
    assert SECRET not in json.dumps(diff)
    by_name = {}
    for part in diff:
        assert part["before_header"] == part["after_header"]
        by_name.setdefault(os.path.relpath(part.pop("before_header"), place.root), []).append(part)
        del part["after_header"]
    assert by_name["old.conf"] == [
        {"before": "old\n" * 100, "after": "new\n" * 200},
        {
            "before": "state: file\nowner: daemon\ngroup: daemon\nmode: 0640\n",
            "after": "state: file\nowner: root\ngroup: root\nmode: 0644\n",
        },
    ]
    assert by_name["key"] == [{"before": "[secret]\n", "after": "[secret: new content]\n"}]
    assert by_name["new.conf"] == [{"before": "", "after": "new\n"}]
    assert by_name["binary"] == [{"before": "", "src_binary": 1}]
    assert by_name["huge"] == [{"before": "", "src_larger": 1000}]
    assert by_name["gone.d"] == [
        {"before": "state: directory\nowner: root\ngroup: root\nmode: 0750\n", "after": "state: absent\n"}
    ]
    assert by_name["link"] == [
        {
            "before": "state: link\nowner: root\ngroup: root\ntarget: old.conf\n",
            "after": "state: link\nowner: root\ngroup: root\ntarget: new.conf\n",
        }
    ]


def test_a_link_is_replaced_and_not_followed(place):
    (place.root / "victim").write_text("victim\n")
    (place.root / "a.conf").symlink_to("victim")
    place.apply([place.file("a.conf", "mine\n")])
    assert (place.root / "victim").read_text() == "victim\n"
    assert not (place.root / "a.conf").is_symlink()


def prepare_fifo(root):
    os.mkfifo(root / "a")


def prepare_foreign_link(root):
    (root / "real").mkdir()
    (root / "a").symlink_to("real")
    os.lchown(root / "a", 1, 1)


@pytest.mark.parametrize(
    ("prepare", "files", "message"),
    [
        (
            lambda root: (root / "a").mkdir(),
            lambda place: [place.file("a")],
            "{root}/a should be a file or a link, and is a directory. Remove it, or choose another path.",
        ),
        (
            prepare_fifo,
            lambda place: [place.file("a")],
            "{root}/a should be a file or a link, and is a socket, a pipe or a device. "
            "Remove it, or choose another path.",
        ),
        (
            lambda root: (root / "a").write_text(""),
            lambda place: [place.other("a", "directory")],
            "{root}/a should be a directory, and is a file. Remove it, or choose another path.",
        ),
        (
            lambda root: (root / "a").write_text(""),
            lambda place: [place.file("a/b")],
            "{root}/a/b: {root}/a is not a directory.",
        ),
        (
            prepare_foreign_link,
            lambda place: [place.file("a/b")],
            "{root}/a/b: {root}/a is a symbolic link of UID 1, who could point it anywhere. "
            "Use a directory, or a link of root.",
        ),
        (
            lambda root: None,
            lambda place: [place.file("a", owner="no-such-user")],
            "{root}/a: owner 'no-such-user' does not exist on this host. Create it first, or name one that exists.",
        ),
        (
            lambda root: None,
            lambda place: [place.other("a", "directory", group="no-such-group")],
            "{root}/a: group 'no-such-group' does not exist on this host. Create it first, or name one that exists.",
        ),
        (
            lambda root: None,
            lambda place: [place.file("a", validate=["no-such-program", "%s"])],
            "The validator `no-such-program %s` cannot run: no-such-program is not installed on this host. "
            "Install it before its configuration, or correct the command.",
        ),
    ],
)
def test_what_stops_a_run_before_it_changes_anything(place, prepare, files, message):
    prepare(place.root)
    before = place.snapshot() if prepare is not prepare_fifo else None
    with pytest.raises(ConfigTreeError) as e:
        place.apply([place.file("0-first", "x"), *files(place)])
    assert str(e.value) == message.format(root=place.root) + "\nNothing was changed."
    assert not (place.root / "0-first").exists()
    if before is not None:
        assert place.snapshot() == before
    assert place.leftovers() == []


def test_a_parent_may_be_a_link_of_root(place):
    (place.root / "real").mkdir()
    (place.root / "a").symlink_to("real")
    place.apply([place.file("a/b", "x")])
    assert (place.root / "real" / "b").read_text() == "x"


# -- validators -----------------------------------------------------------------------------------------------------


def script(tmp_path, text):
    path = tmp_path / "checker"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_one_invalid_file_among_ten_valid_ones(place, tmp_path):
    check = script(tmp_path, 'grep -n bad "$1" | sed "s|^|$1:|" >&2; ! grep -q bad "$1"\n')
    for i in range(11):
        (place.root / f"{i}.conf").write_text("old\n")
    before = place.snapshot()
    files = [place.file(f"{i}.conf", f"new {i}\n", validate=[check, "%s"]) for i in range(10)]
    with pytest.raises(ConfigTreeError) as e:
        place.apply([*files, place.file("10.conf", "fine\nfine\nbad\n", validate=[check, "%s"])])
    bad = place.path("10.conf")
    assert str(e.value) == (
        f"{bad} is not valid: `{check} %s` says (exit status 1):\n{bad}:3:bad\nNothing was changed."
    )
    assert e.value.details == {"output": f"{bad}:3:bad", "path": bad, "line": 3}
    assert place.snapshot() == before
    assert place.leftovers() == []
    assert len(place.apply([*files, place.file("10.conf", "good", validate=[check, "%s"])])["paths"]) == 11


def test_a_validator_runs_only_for_new_content(place, tmp_path):
    log = tmp_path / "log"
    check = script(tmp_path, f'echo "$1" >> {log}\n')

    def runs(**attributes):
        log.write_text("")
        options = {"validate_tree": [check, "tree"], "validate_live": [check, "live"]}
        place.apply([place.file("a", validate=[check, "one"], **attributes), place.file("b", "b")], **options)
        return log.read_text().split()

    assert runs(content="1") == ["one", "tree", "live"]
    assert runs(content="1") == []
    assert runs(content="1", mode="0600") == ["live"]
    assert runs(content="2", mode="0600") == ["one", "tree", "live"]


def test_the_staged_tree_has_everything(place, tmp_path):
    seen = tmp_path / "seen"
    check = script(
        tmp_path, f'cd "$1{place.root}" && find . -printf "%P %y %m %u %l\\n" | sort > {seen}; cat old.conf\n'
    )
    files = every_kind(place)
    place.apply(files, validate_tree=[check, "%s"])
    assert seen.read_text().splitlines() == [
        " d 755 root ",
        "a d 755 root ",
        "a/b d 755 root ",
        "a/b/c.conf f 644 root ",
        "directory d 700 root ",
        "key f 600 root ",
        "link l 777 root new.conf",
        "mode.conf f 644 root ",
        "new-directory d 750 root ",
        "new-link l 777 root /nowhere",
        "new.conf f 440 daemon ",
        "old.conf f 644 root ",
        "same.conf f 644 root ",
        "was-link f 644 root ",
    ]


def test_paths_of_the_staged_tree_are_mapped_back(place, tmp_path):
    check = script(tmp_path, f'echo "in $1: $1{place.root}/a:7: what is that?"; exit 2\n')
    with pytest.raises(ConfigTreeError) as e:
        place.apply([place.file("a", "x")], validate_tree=[check, "%s"])
    assert e.value.details["output"] == f"in /: {place.root}/a:7: what is that?"
    assert (e.value.details["path"], e.value.details["line"]) == (place.path("a"), 7)
    assert str(e.value).startswith(f"The new configuration is not valid: `{check} %s` says (exit status 2):\nin /: ")


def test_the_serial_number_is_in_what_is_validated(place, tmp_path):
    check = script(tmp_path, f'grep -q {NOW} "$1" && ! grep -q @ "$1"\n')
    place.apply([place.file("zone", "v @S@\n", serial="@S@", validate=[check, "%s"])])
    files = [place.file("zone", "v @S@\n", serial="@S@"), place.file("other", "x")]
    check = script(tmp_path, f'grep -q {NOW} "$1{place.root}/zone"\n')
    assert place.apply(files, validate_tree=[check, "%s"], now=NOW + 100)["paths"] == [place.path("other")]


def test_staged_files_are_checked_in_check_mode_too(place):
    with pytest.raises(ConfigTreeError, match="Nothing was changed"):
        place.apply([place.file("a", "x", validate=["grep", "y", "%s"])], check=True)
    assert os.listdir(place.run_dir) == ["lock"]


@pytest.mark.parametrize("command", [["false"], ["no-such-program"], ["sh", "-c", "kill -9 $$"]])
def test_a_live_validator_that_refuses_restores_everything(place, command):
    files = every_kind(place)
    before = place.snapshot()
    inodes = {name: os.lstat(place.root / name).st_ino for name in before}
    with pytest.raises(ConfigTreeError, match="Nothing was changed"):
        place.apply(files, validate_live=command)
    assert place.snapshot() == before
    assert {name: os.lstat(place.root / name).st_ino for name in before} == inodes
    assert place.leftovers() == []
    assert place.names(place.apply(files)["paths"]) == EVERY_CHANGE


def test_a_live_validator_sees_the_new_files(place, tmp_path):
    check = script(tmp_path, f"echo {place.root}/old.conf:5: $(head -1 {place.root}/old.conf); exit 1\n")
    with pytest.raises(ConfigTreeError) as e:
        place.apply(every_kind(place), validate_live=[check])
    assert e.value.details == {
        "output": f"{place.root}/old.conf:5: new",
        "path": place.path("old.conf"),
        "line": 5,
    }


def test_a_live_validator_finds_the_former_files(place, tmp_path):
    lines = 'for file in .*~; do echo "$file: $(cat "$file")"; done | sed "s/[.][0-9a-f]*[.]/.TOKEN./"; exit 1'
    check = script(tmp_path, f"cd {place.root}; {lines}\n")
    place.apply([place.file("replaced", "former"), place.file("same", "x")])
    files = [place.file("first", "new"), place.file("replaced", "new"), place.file("same", "x")]
    with pytest.raises(ConfigTreeError) as e:
        place.apply(files, validate_live=[check])
    assert e.value.details["output"] == ".first.TOKEN.new~: new\n.replaced.TOKEN.old~: former"


def test_a_validator_without_end(place, monkeypatch):
    monkeypatch.setattr(config_tree_validators, "SECONDS", 0.2)
    with pytest.raises(ConfigTreeError, match=r"says \(no answer for 0.2 s\):\nhello\nNothing was changed"):
        place.apply([place.file("a", "x")], validate_live=["sh", "-c", "echo hello; exec sleep 20"])
    assert place.snapshot() == {}


def test_a_validator_that_never_stops_talking(place):
    with pytest.raises(ConfigTreeError) as e:
        place.apply([place.file("a", "x")], validate_live=["sh", "-c", "yes | head -c 100000; exit 1"])
    assert len(e.value.details["output"]) < config_tree_validators.OUTPUT_CHARACTERS + 20


def test_no_shell_sees_a_validator(place, tmp_path):
    mark = tmp_path / "mark"
    place.apply([place.file("a", "x")], validate_live=["true", f"; touch {mark}", f"$(touch {mark})"])
    assert not mark.exists()


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("nginx: [emerg] unknown directive in /etc/a.conf:3", ("/etc/a.conf", 3)),
        ("/etc/a.conf: line 12: Bad configuration option", ("/etc/a.conf", 12)),
        ("/etc/a.conf line 4: no", ("/etc/a.conf", 4)),
        (">>> /etc/a.conf: syntax error near line 9 <<<", ("/etc/a.conf", 9)),
        ("/etc/a.conf.d/x:8:1-3: Error", ("/etc/a.conf.d/x", 8)),
        ("first /etc/other, then /etc/a.conf, line 2", ("/etc/a.conf", 2)),
        ("something about /etc/a.conf", ("/etc/a.conf", None)),
        ("line 5 is wrong", (None, 5)),
        ("it is wrong", (None, None)),
        ("", (None, None)),
    ],
)
def test_locate(output, expected):
    assert locate(output, ["/etc/a.conf", "/etc/a.conf.d/x"]) == expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("/etc/key.conf:12: unknown option 'hunter2x'", "/etc/key.conf:12: unknown option '[secret]'"),
        ("bad value aGVs+bG8/d29ybGQ=", "bad value [secret]"),
        ('near \\"hunter2x\\"', 'near \\"[secret]\\"'),
        ("password is wrong on line 12", "password is wrong on line 12"),
        ("1234567 and 12", "[secret] and 12"),
        ("xhunter2xx", "x[secret]x"),
        ("pass passable (pass)", "[secret] passable ([secret])"),
        ("", ""),
    ],
)
def test_redact(output, expected):
    text = 'password = "hunter2x"; # /etc/key.conf\nkey aGVs+bG8/d29ybGQ=\npin 1234567 12\npass'
    template = 'password = "{{ password }}"; # /etc/key.conf\nkey {{ key }}\npin {{ pin }}\n'
    assert redact(output, [(text, template)], ["/etc/key.conf"]) == expected


def test_redact_without_a_template_hides_every_word_but_the_paths():
    secrets = [("unknown option in /etc/key.conf", "")]
    output = "/etc/key.conf:3: unknown option"
    assert redact(output, secrets, ["/etc/key.conf"]) == "/etc/key.conf:3: [secret] [secret]"
    assert redact(output, [], ["/etc/key.conf"]) == output


def test_a_validator_that_quotes_a_secret(place):
    loud = ["sh", "-c", 'cat "$1"; exit 1', "sh"]
    template = "user = admin\npassword = {{ password }}\n"
    text = f"user = admin\npassword = {SECRET}\n"
    key = place.file("key", text, mode="0600", secret=True, public=template)
    for files, live in (([{**key, "validate": [*loud, "%s"]}], None), ([key], [*loud, place.path("key")])):
        with pytest.raises(ConfigTreeError) as e:
            place.apply(files, validate_live=live)
        assert e.value.details["output"] == "user = admin\npassword = [secret]"
        assert SECRET not in str(e.value)


# -- what goes wrong on the way -------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["link", "rename", "fsync", "fchown", "symlink"])
def test_an_error_at_any_call_restores_everything(place, monkeypatch, call):
    files = every_kind(place)
    before = place.snapshot()
    real, failures = getattr(os, call), 0
    for fail_at in range(100):
        calls = 0

        def failing(*args, fail_at=fail_at, **kwargs):
            nonlocal calls
            calls += 1
            if calls == fail_at + 1:
                raise OSError(28, "No space left on device", args[0] if isinstance(args[0], str) else None)
            return real(*args, **kwargs)

        monkeypatch.setattr(os, call, failing)
        try:
            with place.tree() as tree:
                tree.run({"files": files})
                if calls <= fail_at:
                    break
        except ConfigTreeError as e:
            assert str(e).endswith("No space left on device.\nNothing was changed."), str(e)
        finally:
            monkeypatch.setattr(os, call, real)
        failures += 1
        assert place.snapshot() == before, f"{call} {fail_at}"
    print(f"{failures} calls of {call} failed, one at a time")
    assert failures > 0


def test_what_cannot_be_restored_is_said_and_kept(place, monkeypatch):
    (place.root / "a").write_text("old")
    real = os.rename

    def failing(source, target):
        if str(source).endswith(".old~"):
            raise OSError(5, "Input/output error")
        return real(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(NotRestored) as e:
        place.apply([place.file("a", "new")], validate_live=["false"])
    assert f"could not be restored ({place.root}/a: Input/output error)" in str(e.value)
    assert "Nothing was changed" not in str(e.value)
    monkeypatch.setattr(os, "rename", real)
    result = place.apply([place.file("a", "old")])
    assert (place.root / "a").read_text() == "old"
    assert result["paths"] == [place.path("a")], "a daemon may have read the new one"
    assert place.leftovers() == []


def test_what_others_put_into_a_new_directory_is_theirs(place):
    mine = place.file("a/b/mine", "x")
    with pytest.raises(ConfigTreeError):
        place.apply([mine], validate_live=["sh", "-c", f"touch {place.root}/a/theirs; exit 1"])
    assert list(place.snapshot()) == ["a", "a/theirs"]
    assert place.leftovers() == []


def test_a_second_run_waits_for_the_first(place):
    place.apply([place.file("a", "1")])
    fd = os.open(place.run_dir / "lock", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    threading.Timer(0.3, lambda: os.close(fd)).start()
    start = time.monotonic()
    place.apply([place.file("a", "2")])
    assert time.monotonic() - start > 0.25
    assert (place.root / "a").read_text() == "2"


def test_a_second_run_does_not_wait_for_ever(place, monkeypatch):
    monkeypatch.setattr(config_tree, "LOCK_SECONDS", 0.1)
    with place.tree() as tree:
        tree.run({"files": [place.file("a", "1")]})
        with pytest.raises(ConfigTreeError) as e:
            place.apply([place.file("a", "2")])
    lock = place.run_dir / "lock"
    assert str(e.value) == (
        f"Another run of config_tree has held {lock} for 0.1 s. Run again when it is over.\nNothing was changed."
    )
    assert (place.root / "a").read_text() == "1"


def test_a_state_directory_that_others_can_write_to_is_refused(place):
    place.state.mkdir()
    place.state.chmod(0o777)
    with pytest.raises(ConfigTreeError, match="has to be a directory that only its owner, UID 0, can write to"):
        place.apply([place.file("a", "1")])
    assert place.snapshot() == {}


def test_without_root_it_says_so(place):
    os.seteuid(65534)
    try:
        with pytest.raises(ConfigTreeError, match="config_tree needs root: set `become: true`"):
            place.apply([place.file("a", "1")])
    finally:
        os.seteuid(0)
    assert place.snapshot() == {}


def test_without_root_it_says_so_where_root_has_run_it_before(place, monkeypatch):
    place.apply([])
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    with pytest.raises(ConfigTreeError) as e:
        place.apply([place.file("a", "1")])
    message = f"{place.run_dir} belongs to UID 0. config_tree needs root: set `become: true`.\nNothing was changed."
    assert str(e.value) == message


# -- killed ---------------------------------------------------------------------------------------------------------

EVENTS = {
    "open",
    "os.chmod",
    "os.chown",
    "os.link",
    "os.listdir",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "subprocess.Popen",
    "fcntl.flock",
}


def run_killed(place, files, at, **payload):
    """Run in a child that kills itself before its system call number `at`, or in the middle of it when it writes.

    Returns None when it came to its end before, else whether its result was out.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        count = 0
        write, fsync = os.write, os.fsync

        def point():
            nonlocal count
            count += 1
            return count - 1 == at

        def die():
            os.kill(os.getpid(), signal.SIGKILL)

        def torn_write(fd, data):
            if point():
                write(fd, data[: len(data) // 2])
                die()
            return write(fd, data)

        def hook(event, args):
            if event in EVENTS and point():
                die()

        def killed_fsync(fd):
            if point():
                die()
            fsync(fd)

        os.write, os.fsync = torn_write, killed_fsync
        sys.addaudithook(hook)
        code = 1
        try:
            with place.tree() as tree:
                tree.run({"files": files, **payload})
                write(writer, b"!")
                tree.reported()
            code = 0
        except ConfigTreeError:
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    out = os.read(reader, 1) == b"!"
    os.close(reader)
    _pid, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return out
    assert os.waitstatus_to_exitcode(status) == 0
    return None


def assert_old_or_new(place, old, new, at):
    """Every path is as it was or as it is to be, and what is secret is nobody's to read."""
    now = place.snapshot()
    for name in {*old, *new}:
        if name.startswith("gone.d/") and "gone.d" not in now:
            continue
        if name in now and name not in old and stat.S_ISDIR(now[name][0]):
            assert now[name][1] & ~new[name][1] == 0, f"killed at {at}: {name} is open to more than it is to be"
            continue
        assert now.get(name) in (old.get(name), new.get(name)), f"killed at {at}: {name}"
    for top in (place.root, place.state, place.run_dir):
        for directory, _names, names in os.walk(top):
            for name in names:
                path = os.path.join(directory, name)
                if not os.path.islink(path) and SECRET.encode() in Path(path).read_bytes():
                    assert stat.S_IMODE(os.lstat(path).st_mode) & 0o077 == 0, f"killed at {at}: {path}"
    assert not place.state.exists() or stat.S_IMODE(place.state.stat().st_mode) == 0o700


def fresh(top, name):
    directory = top / str(name)
    directory.mkdir()
    place = Place(directory)
    return place, every_kind(place)


@pytest.fixture
def memory():
    """A directory in memory: hundreds of hosts are made and removed here."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


@pytest.fixture
def goal(memory):
    """The snapshots of before and after."""
    place, files = fresh(memory, "goal")
    old = place.snapshot()
    place.apply(files)
    return old, place.snapshot()


OPTIONS = {"validate_tree": ["true", "%s"], "validate_live": ["true"]}


@pytest.mark.slow
def test_killed_at_every_step_the_next_run_converges(memory, goal):
    old, new = goal
    restored = finished = 0
    for at in range(1000):
        place, files = fresh(memory, at)
        out = run_killed(place, files, at, **OPTIONS)
        if out is None:
            break
        assert_old_or_new(place, old, new, at)
        journal = place.state / "journal"
        done = out or (journal.exists() and json.loads(journal.read_text())["done"])
        finished, restored = finished + done, restored + (not done)
        result = place.apply(files)
        assert place.snapshot() == new, f"killed at {at}"
        assert place.leftovers() == [], f"killed at {at}"
        if not out:
            assert place.names(result["paths"]) == EVERY_CHANGE, f"killed at {at}"
        assert place.apply(files)["changed"] is False, f"killed at {at}"
    print(f"killed at {at} steps: {restored} before and {finished} after the files were valid and in place")
    assert restored > 100
    assert finished > 10


@pytest.mark.slow
def test_killed_at_every_step_what_was_never_valid_goes(memory, goal):
    old, new = goal
    steps = 0
    for at in range(1000):
        place, files = fresh(memory, at)
        refused = {"validate_live": ["false"]}
        if run_killed(place, files, at, **refused) is None:
            break
        assert_old_or_new(place, old, new, at)
        with pytest.raises(ConfigTreeError, match="Nothing was changed"):
            place.apply(files, **refused)
        assert place.snapshot() == old, f"killed at {at}"
        assert place.leftovers() == [], f"killed at {at}"
        steps += 1
    print(f"killed at {steps} steps of a run that was to be refused")
    assert steps > 100


@pytest.mark.slow
def test_killed_while_it_recovers_from_a_kill(memory, goal):
    old, new = goal
    kills = 0
    for first in range(60, 1000, 41):
        for second in range(3, 1000, 11):
            place, files = fresh(memory, f"{first}-{second}")
            out = run_killed(place, files, first, **OPTIONS)
            if out is None or out or run_killed(place, files, second, **OPTIONS) is not False:
                break
            kills += 1
            assert_old_or_new(place, old, new, (first, second))
            result = place.apply(files)
            assert place.snapshot() == new, (first, second)
            assert place.leftovers() == [], (first, second)
            assert place.names(result["paths"]) == EVERY_CHANGE, (first, second)
    print(f"killed twice {kills} times")
    assert kills > 60


def kill_after(place, files, wanted):
    """Kill runs on fresh hosts until one stops with `wanted` true of it."""
    for at in range(1000):
        if run_killed(place, files, at) is False and wanted():
            return
    raise AssertionError("no such step")


def test_another_role_recovers_and_does_not_take_the_news(place):
    (place.root / "a").write_text("old")
    files = [place.file("a", "new")]
    journal = place.state / "journal"
    kill_after(place, files, lambda: journal.exists() and json.loads(journal.read_text())["done"])
    assert place.apply([place.file("b", "other")])["paths"] == [place.path("b")]
    assert (place.root / "a").read_text() == "new"
    assert place.leftovers() == []
    assert place.apply(files, check=True)["paths"] == [place.path("a")]
    assert place.apply(files)["paths"] == [place.path("a")]
    assert place.apply(files)["changed"] is False


def test_check_mode_after_a_kill_warns_and_leaves_it(place):
    (place.root / "a").write_text("old")
    files = [place.file("a", "new")]
    kill_after(place, files, lambda: (place.root / "a").read_text() == "new")
    before = place.snapshot()
    result = place.apply(files, check=True)
    assert [warning.split(".")[0] for warning in result["warnings"]] == [
        "An earlier run of config_tree was killed half-way"
    ]
    assert place.snapshot() == before
    assert place.apply(files)["paths"] == [place.path("a")]


def test_what_was_not_reported_is_said_again(place):
    files = [place.file("a/b", "new")]
    with place.tree() as tree:
        assert tree.run({"files": files})["changed"]  # and the connection breaks before the result is out
    result = place.apply(files)
    assert (result["changed"], place.names(result["paths"])) == (True, [".", "a", "a/b"][1:])
    assert place.apply(files)["changed"] is False


PUBLIC = """-- Written by a test.
c2s_ports = { 5222 };
admins = { "admin@example.org" };
token = "";
table = { deep = ""; ["a key"] = 0; };
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PUBLIC, PUBLIC),
        (f'token = "{SECRET}";', "token = [secret];"),
        (
            f"table = {{ deep = '{SECRET}'; [\"a key\"] = 12345; }};",
            'table = { deep = [secret]; ["a key"] = [secret]; };',
        ),
        (f'token = "quo\\"ted {SECRET}"; other = "admin@example.org"', 'token = [secret]; other = "admin@example.org"'),
        (f"token = [[{SECRET}\n{SECRET}]];", "token = [secret];"),
        (f"token = [==[{SECRET}]]{SECRET}]==];", "token = [secret];"),
        (f"-- the former one was \"{SECRET}, don't tell\nc2s_ports = {{ 5222 }};", "[secret]\nc2s_ports = { 5222 };"),
        (f"--[[ {SECRET}\n{SECRET} ]] c2s_ports = {{ 5222 }};", "[secret] c2s_ports = { 5222 };"),
        (f'token = "{SECRET}', "token = [secret]"),
        ("port = 0x1F90; limit = 1.5e3", "port = [secret]; limit = [secret]"),
    ],
)
def test_a_lua_file_is_shown_without_what_is_not_public(text, expected):
    assert conceal(text, PUBLIC) == expected


def test_a_diff_of_a_file_with_secrets_in_it(place):
    live = place.root / "a.lua"
    live.write_text(PUBLIC.replace('token = ""', f'token = "former {SECRET}"'))
    new = PUBLIC.replace('token = ""', f'token = "{SECRET}"')
    (part, *_rest) = place.apply(
        [place.file("a.lua", new, concealed=[SECRET], public=PUBLIC)], check=True, diff=True, diff_limit=10000
    )["diff"]
    hidden = PUBLIC.replace('token = ""', "token = [secret]")
    assert (part["before"], part["after"]) == (hidden, hidden + "[secret: another value]\n")
    (part, *_rest) = place.apply(
        [place.file("a.lua", new + "more = true;\n", concealed=[SECRET], public=PUBLIC + "more = true;\n")],
        diff=True,
        diff_limit=10000,
    )["diff"]
    assert part["after"] == hidden + "more = true;\n" and SECRET not in json.dumps(part)


def test_a_validator_that_quotes_a_value(place):
    entry = place.file("a.lua", f'token = "{SECRET}"\n', concealed=[SECRET], validate=["sh", "-c", "cat %s; exit 1"])
    with pytest.raises(ConfigTreeError) as raised:
        place.apply([entry])
    assert SECRET not in str(raised.value) and "token = " in str(raised.value)


def test_trees_are_compared_without_a_change(place):
    """What the site's plan asks: the paths of each tree that a run would change, and nothing else."""
    place.apply([place.file("same", "1"), place.file("other", "1"), place.file("open", "1")])
    os.chmod(place.path("open"), 0o666)
    before = place.snapshot()
    files = {
        "one": [place.file("same", "1")],
        "two": [place.file("new", "1"), place.file("open", "1"), place.file("other", "2"), place.file("same", "1")],
        "none": [],
    }
    with place.tree(check=True) as tree:
        found, diffs = tree.compare({name: {"files": entries} for name, entries in files.items()})
    assert diffs == []
    assert {name: place.names(paths) for name, paths in found.items()} == {
        "one": [],
        "two": ["new", "open", "other"],
        "none": [],
    }
    assert place.snapshot() == before


def test_trees_are_validated_and_shown_without_a_change(place):
    place.apply([place.file("a", "old")])
    before = place.snapshot()
    trees = {
        "one": {"files": [place.file("a", "new", secret=True)]},
        "two": {"files": [place.file("b", "wrong", validate=["sh", "-c", "echo $0: line 3: wrong; exit 1", "%s"])]},
    }
    with place.tree(check=True, diff=True) as tree:
        found, diffs = tree.compare(trees)
        print(found, diffs)
        assert [(part["before"], part["after"]) for part in diffs] == [
            ("[secret]\n", "[secret: new content]\n"),
            ("", "wrong"),
        ]
    with place.tree(check=True) as tree, pytest.raises(ConfigTreeError, match="is not valid"):
        tree.compare(trees, validate=True)
    assert place.snapshot() == before


def test_what_a_killed_run_left_is_a_reason_to_run_every_tree(place):
    files = [place.file("a", "1")]
    place.apply(files)
    (place.state / "unreported").write_text(json.dumps([place.path("a")]))
    trees = {"one": {"files": files}, "two": {"files": [place.file("b", "1")]}}
    with place.tree(check=True) as tree:
        assert tree.compare(trees)[0]["one"] == [place.path("a")]
    journal = place.state / "journal"
    journal.write_text(json.dumps({"done": False, "steps": []}))
    with place.tree(check=True) as tree:
        assert tree.compare(trees) == ({"one": [str(journal)], "two": [str(journal)]}, [])


def test_several_trees_are_one_transaction(place):
    trees = {
        "one": {"files": [place.file("a", "1"), place.file("shared/one", "1")]},
        # Above its file, `one` would make the directory with the usual attributes.
        "two": {"files": [place.other("shared", "directory", mode="0750"), place.file("shared/two", "2")]},
        "three": {"files": [place.file("a.d/c", "3")]},
    }
    place.apply(trees["three"]["files"])
    with place.tree(diff=True) as tree:
        result = tree.run_all(trees)
        tree.reported()
    print(result["trees"])
    assert {name: place.names(paths) for name, paths in result["trees"].items()} == {
        "one": ["a", "shared", "shared/one"],
        "two": ["shared/two"],
        "three": [],
    }
    assert place.names(result["paths"]) == ["a", "shared", "shared/one", "shared/two"]
    assert (result["changed"], len(result["diff"])) == (True, 4)
    assert stat.S_IMODE(os.lstat(place.path("shared")).st_mode) == 0o750
    assert place.leftovers() == []
    with place.tree() as tree:
        again = tree.run_all(trees)
        tree.reported()
    assert (again["changed"], again["paths"], set(map(len, again["trees"].values()))) == (False, [], {0})


@pytest.mark.parametrize(
    "refused",
    [
        {"validate_tree": ["sh", "-c", "echo $0: wrong; exit 1", "%s"]},
        {"validate_live": ["sh", "-c", "echo wrong; exit 1"]},
        # Its own file is there, those of the others are not.
        {"validate_tree": ["test", "-e", "%s/nothing"]},
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_what_one_tree_refuses_comes_for_none(place, refused, last):
    place.apply([place.file("a", "old")])
    before = place.snapshot()
    trees = {"one": {"files": [place.file("a", "new")]}, "two": {"files": [place.file("d/b", "new")], **refused}}
    with (
        place.tree() as tree,
        pytest.raises(ConfigTreeError, match=r"(?s)is not valid.*\nNothing was changed") as error,
    ):
        tree.run_all(trees if last else dict(reversed(trees.items())))
    print(error.value)
    assert place.snapshot() == before
    assert place.leftovers() == []


def test_only_trees_that_change_are_validated(place):
    said = place.root.parent / "said"
    trees = {
        name: {
            "files": [place.file(name, "1")],
            "validate_tree": ["sh", "-c", f"echo tree {name} $0 >> {said}", "%s"],
            "validate_live": ["sh", "-c", f"echo live {name} >> {said}"],
        }
        for name in ("one", "two")
    }
    place.apply(trees["one"]["files"])
    with place.tree() as tree:
        tree.run_all(trees)
        tree.reported()
    assert [line.split()[:2] for line in said.read_text().splitlines()] == [["tree", "two"], ["live", "two"]]


def test_a_tree_that_was_killed_before_it_told_tells_the_next_run(place):
    trees = {name: {"files": [place.file(name, "1")]} for name in ("one", "two")}
    with place.tree() as tree:
        tree.run_all(trees)  # and no word of it
    with place.tree() as tree:
        again = tree.run_all({"two": trees["two"]})
        tree.reported()
    assert place.names(again["paths"]) == ["two"]
    with place.tree() as tree:
        assert place.names(tree.run_all(trees)["paths"]) == ["one"]
