# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""config_tree on a real host, with nginx and sudo: what it refuses, what it hides, and what a kill leaves behind."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from conftest import SCENARIO, SITES, TOP

LIVE = {"validate_live": ["nginx", "-t"]}
TREE = {"validate_tree": ["nginx", "-t", "-c", "%s/etc/nginx/nginx.conf"]}
OLD, NEW = ["old"] * SITES, ["new"] * SITES
SITE = "/etc/nginx/sites-enabled/site{}"
SITE_PATHS = [SITE.format(number) for number in range(SITES)]


@pytest.fixture
def old(host, plays):
    """Every test finds the ten sites as converge.yml has put them there, and leaves them so."""
    assert (host.answers(), host.leftovers()) == (OLD, [])
    yield
    host.out('sed -i \'s/"new"/"old"/\' ' + " ".join(SITE_PATHS))
    host.reload_nginx()
    assert (host.answers(), host.leftovers()) == (OLD, [])


def test_a_run_without_change(host, plays):
    before = host.snapshot()
    run = plays.run(*[LIVE] * 6)
    assert [result["changed"] for result in run.results] == [False] * 6, run.text
    assert host.snapshot() == before
    one = plays.run(LIVE)
    assert one.result["paths"] == []
    milliseconds = (run.seconds - one.seconds) / 5 * 1000
    print(f"{SITES + 1} files without change: {milliseconds:.0f} ms a task, {one.seconds * 1000:.0f} ms the whole play")


def test_valid_files_replace_the_old_ones(host, plays, old):
    run = plays.run(LIVE | TREE, answer="new")
    assert run.result["changed"] is True
    assert run.result["paths"] == SITE_PATHS
    assert host.answers() == OLD, "nobody has told nginx"
    host.reload_nginx()
    assert host.answers() == NEW
    assert host.leftovers() == []


BROKEN_SITE = "server {\n    listen 80;\n    retrun 200;\n}\n"
BROKEN_SUDOERS = "# who may do what\n\noperator2 ALL=(ALL NOPASSWD: ALL\n"


@pytest.mark.parametrize(
    ("options", "broken", "content", "said"),
    [
        pytest.param(LIVE, SITE.format(7), BROKEN_SITE, 'unknown directive "retrun"', id="live"),
        pytest.param(TREE, SITE.format(7), BROKEN_SITE, 'unknown directive "retrun"', id="tree"),
        pytest.param({}, "/etc/sudoers.d/tree", BROKEN_SUDOERS, "syntax error", id="file"),
    ],
)
def test_one_invalid_file_among_valid_ones(host, plays, old, options, broken, content, said):
    before = host.snapshot()
    files = {broken: {"content": content}}
    if not options:
        files[broken] |= {"mode": "0440", "validate": ["visudo", "-c", "-f", "%s"]}
    (plays.templates / broken.lstrip("/")).with_suffix(".j2").unlink(missing_ok=True)
    run = plays.run({"files": files, **options}, answer="new")
    assert run.rc == 2
    assert (run.result["path"], run.result["line"]) == (broken, 3), run.text
    message = run.result["msg"]
    print(message)
    assert re.search(rf"{broken}:3\b", message)
    assert said in message
    assert message.endswith("Nothing was changed.")
    assert "/run/config_tree" not in message
    assert host.snapshot() == before
    assert host.leftovers() == []
    assert host.answers() == OLD
    host.reload_nginx()
    assert host.answers() == OLD


def test_check_mode_shows_and_changes_nothing(host, plays, old):
    before = host.snapshot()
    run = plays.run(LIVE | TREE, options=("--check", "--diff"), answer="new")
    assert run.result["paths"] == SITE_PATHS
    assert run.result["skipped_validators"] == ["nginx -t: it checks the live files, which check mode leaves alone"]
    assert run.text.count('-    return 200 "old";') == SITES
    assert run.text.count('+    return 200 "new";') == SITES
    assert host.snapshot() == before


def test_an_operator_who_is_not_root(host, plays, old, operator):
    run = plays.run(LIVE, options=operator[:2], answer="new")
    assert run.rc == 2
    assert "config_tree needs root: set `become: true`" in run.result["msg"]
    run = plays.run(LIVE, options=operator, answer="new")
    assert run.result["paths"] == SITE_PATHS
    assert host.out("stat -c '%%U %%G %%a' %s", SITE_PATHS[0]) == "root root 644"
    assert plays.run(LIVE, options=operator, answer="new").result["changed"] is False


# -- secrets --------------------------------------------------------------------------------------------------------

KEY = "/etc/tree.key"


@pytest.fixture
def secret(host):
    """A secret that the host's spy looks for, and the journal's place from which on it must not be there."""
    word = secrets.token_hex(16)
    host.out("install -m 700 /dev/null /usr/local/sbin/spy; rm -f /root/seen")
    host.write("/usr/local/sbin/spy", (SCENARIO / "tests/spy").read_text(), "0700")
    host.write("/root/secret", word)
    yield word
    host.out(f"rm -f /usr/local/sbin/spy /root/secret /root/seen {KEY}")


def seen(host):
    return [json.loads(line) for line in host.out("cat /root/seen").splitlines()]


def journal(host):
    return host.out("journalctl --no-pager --output=cat --since=-10min")


def test_the_spy_finds_what_is_open(host, secret):
    host.write("/tmp/open", secret, "0644")
    host.write("/etc/closed", secret, "0600")
    host.out(f"sh -c 'X={secret} spy here; :'; rm /tmp/open /etc/closed")
    (found,) = seen(host)
    assert found["files"] == {"/tmp/open": "0644", "/etc/closed": "0600"}
    assert found["open"] == ["/tmp/open"]
    assert {line.split()[0] for line in found["processes"]} == {"cmdline", "environ"}


@pytest.mark.parametrize("way", ["root", "operator", "operator-without-pipelining"])
def test_a_secret_is_nowhere(host, plays, operator, secret, way):
    """Not in what Ansible prints at its loudest, the journal, a process or a file that others can read."""
    settings = {"ANSIBLE_PIPELINING": "false"} if "without" in way else {}
    options = [*(operator if "operator" in way else []), "-vvv", "--diff"]
    path = plays.templates / (KEY.lstrip("/") + ".j2")
    path.write_text("key = {{ word }}\n")
    attributes = {"mode": "0600", "secret": True, "validate": ["spy", "%s"]}
    task = {"files": {KEY: attributes}, "validate_tree": ["spy", "%s"], "validate_live": ["spy", "live"]}
    host.write(KEY, f"key = {secret} once\n", "0600")  # so the old content is a secret, too
    run = plays.run(task, options=options, settings=settings, word=secret)
    assert run.result["paths"] == [KEY], run.text.replace(secret, "SECRET")
    assert host.out(f"cat {KEY}") == f"key = {secret}"
    assert "[secret: new content]" in run.text
    assert secret not in run.text
    assert not re.search(r"[A-Za-z0-9+/]{200}", run.text), "the payload, packed"
    lines = journal(host)
    assert "_payload=NOT_LOGGING_PARAMETER" in lines, "nothing is logged, so nothing is shown by this"
    assert secret not in lines
    found = seen(host)
    print(json.dumps(found, indent=1).replace(secret, "SECRET"))
    assert len(found) == 3
    staged, _tree, live = (set(one["files"]) for one in found)
    assert KEY in staged
    assert any(re.fullmatch(rf"/run/config_tree/\w+{KEY}", name) for name in staged)
    assert KEY in live
    assert any(re.fullmatch(r"/etc/\.tree\.key\.\w+\.old~", name) for name in live)
    assert [(one["processes"], one["open"]) for one in found] == [([], [])] * 3
    assert {mode for one in found for mode in one["files"].values()} == {"0600"}
    assert host.leftovers() == []


def test_a_validator_that_quotes_a_secret(host, plays, secret):
    path = plays.templates / "etc/nginx/sites-enabled/secret.j2"
    path.write_text("# a key\n{{ word }} on;\n")
    files = {"/etc/nginx/sites-enabled/secret": {"mode": "0600", "secret": True}}
    run = plays.run({"files": files, **LIVE}, options=["-vvv", "--diff"], word=secret)
    assert run.rc == 2
    assert 'unknown directive "[secret]"' in run.result["msg"]
    assert (run.result["path"], run.result["line"]) == ("/etc/nginx/sites-enabled/secret", 2)
    assert secret not in run.text
    assert secret not in journal(host)


# -- killed ---------------------------------------------------------------------------------------------------------

SLOW = """#!/bin/sh
# A validator that lets the test see what there is while it runs. Its parent is config_tree.
echo $$ $PPID > /run/slow.new
mv /run/slow.new /run/slow
exec sleep 300
"""


@pytest.fixture
def killed(host, plays, old):
    """A run with new files that is killed, with its connection, when they are in place and not yet valid.

    Gives the names that it leaves over.
    """
    host.write("/usr/local/sbin/slow", SLOW, "0700")
    host.out("rm -f /run/slow")
    # A connection that nobody else shares. A socket's path has to be short.
    control = tempfile.mkdtemp(prefix="ct-")
    settings = {"ANSIBLE_SSH_ARGS": "-o ControlMaster=no", "ANSIBLE_SSH_CONTROL_PATH_DIR": control}
    play = subprocess.Popen(
        plays.command({"validate_live": ["slow"]}, answer="new"),
        cwd=TOP,
        env=plays.environment(**settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        validator, module = host.wait_for("cat /run/slow").split()
        assert "python" in host.out(f"readlink /proc/{module}/exe")
        host.out(f"kill -9 {module}")
        os.killpg(play.pid, signal.SIGKILL)
        host.out(f"kill {validator}; rm /run/slow /usr/local/sbin/slow")
        host.wait_for(f"! ps -o pid= -p {module},{validator}")
    finally:
        if play.poll() is None:
            os.killpg(play.pid, signal.SIGKILL)
        play.wait()
        shutil.rmtree(control)
    left = host.leftovers()
    print(f"killed with {SITES} files replaced; left over are", *left)
    assert "/var/lib/config_tree/journal" in left
    assert sum(path.endswith("~") for path in left) == SITES
    assert host.out(f"cat {SITE_PATHS[0]}").count('"new"') == 1
    assert host.answers() == OLD
    return left


def test_killed_half_way_the_old_files_come_back(host, plays, killed):
    """Nothing has to be replaced, but whoever reads the files may have read the new ones."""
    (plays.directory / "none").mkdir()
    other = {"src": str(plays.directory / "none"), "files": {"/etc/other": {"state": "absent"}}}
    run = plays.run(other, LIVE, LIVE)
    assert [result["paths"] for result in run.results] == [[], SITE_PATHS, []], run.text
    assert host.leftovers() == []
    host.reload_nginx()
    assert host.answers() == OLD


def nobody_reads(host, left):
    """Programs that read whole directories pass over a name that starts with a dot and ends with a tilde."""
    name = Path(next(path for path in left if path.endswith(".old~"))).name
    assert re.fullmatch(r"\.site\d\.[0-9a-f]{12}\.old~", name)
    read = host.out("nginx -T 2>&1")
    assert f"# configuration file {SITE_PATHS[0]}:" in read
    assert ".old~" not in read
    assert "old" not in re.findall(r"return 200 \"(\w+)\"", read)

    targets = [
        "/etc/cron.daily/job",
        "/etc/sudoers.d/tree",
        "/etc/apt/apt.conf.d/90tree",
        "/etc/ssh/sshd_config.d/tree.conf",
        "/etc/sysctl.d/tree.conf",
    ]
    names = [re.sub(r"([^/]+)$", rf".\1.0123456789ab.{what}~", path) for path in targets for what in ("new", "old")]
    try:
        host.out(
            f"echo this breaks whoever reads it > /run/bad; for i in {' '.join(names)}; do install -D /run/bad $i; done"
        )
        readers = {
            "run-parts --list /etc/cron.daily": "/etc/cron.daily/",
            "visudo -c": "/etc/sudoers.d/",
            "apt-config dump": "APT::",
            "sshd -T": "port 22",
            "systemd-analyze cat-config --tldr sysctl.d": "/sysctl.d/",
        }
        for command, expected in readers.items():
            output = host.out(f"{command} 2>&1")
            assert expected in output, command
            assert "0123456789ab" not in output, command
            assert "this breaks" not in output, command
    finally:
        host.out("rm -f " + " ".join(names))


def test_killed_half_way_the_next_run_converges(host, plays, killed):
    nobody_reads(host, killed)
    run = plays.run(LIVE, answer="new")
    assert run.result["changed"] is True
    assert run.result["paths"] == SITE_PATHS
    assert host.leftovers() == []
    host.reload_nginx()
    assert host.answers() == NEW
    assert plays.run(LIVE, answer="new").result["changed"] is False
