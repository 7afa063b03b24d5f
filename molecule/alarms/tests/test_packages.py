# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody else uses apt, as on a machine in its first minutes."""

from __future__ import annotations

import json
import subprocess

import pytest
from conftest import NAME, SCENARIO
from hosts import PLAIN, TOP, command

# Takes one lock after the other, as apt does, each until it is told to go on.
HOLDER = """
import fcntl, os, pathlib, sys, time
for path in sys.argv[1:]:
    with open(path, "w") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX)
        pathlib.Path("/run/holds").write_text(path)
        while os.path.exists("/run/holds"):
            time.sleep(0.1)
pathlib.Path("/run/holds").write_text("nothing")
"""
FRONTEND, LISTS = "/var/lib/dpkg/lock-frontend", "/var/lib/apt/lists/lock"


@pytest.fixture
def holder(hazel):
    hazel.out("sh -c 'cat > /usr/local/lib/apt-holder.py; rm -f /run/holds'", stdin=HOLDER)
    hazel.out(f"systemd-run --unit=apt-holder python3 /usr/local/lib/apt-holder.py {FRONTEND} {LISTS}")
    hazel.out(f"timeout 120 sh -c 'until grep -q {FRONTEND} /run/holds; do sleep 0.1; done'")
    yield
    hazel.run("systemctl stop apt-holder.service")
    hazel.run("rm -f /run/holds")


@pytest.mark.usefixtures("holder")
def test_a_role_waits_for_who_uses_apt_and_says_who(hazel, tmp_path):
    # A small package that the host lacks, and lists that are to be refreshed.
    hazel.out("sh -c '! dpkg -s hello 2>/dev/null; touch -d -2days /var/lib/apt/lists /var/cache/apt/pkgcache.bin'")
    play = {
        "hosts": NAME,
        "gather_facts": False,
        "roles": ["magicbroccoli.xmpp.alarms"],
        "vars": {"alarms_packages": ["nullmailer", "hello"]},
    }
    playbook = tmp_path / "play.yml"
    playbook.write_text(json.dumps([play]))
    line = command("ansible-playbook", str(playbook), inventory=SCENARIO / "inventory")
    said = []
    with subprocess.Popen(line, cwd=TOP, env=PLAIN, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        for text in run.stdout:
            said.append(text)
            if "apt is busy: " in text:
                print(text.strip())
                # The next lock is taken, and then none.
                hazel.out("rm /run/holds")
                hazel.out("timeout 120 sh -c 'until [ -s /run/holds ]; do sleep 0.1; done'")
    said = "".join(said)
    try:
        assert run.returncode == 0, said
        for path in (FRONTEND, LISTS):
            assert (
                f"{NAME}: apt is busy: apt-holder.py (process " in said and f"holds {path}. Waiting up to 900 s" in said
            )
        assert hazel.out("dpkg-query -W -f '${Status}' hello") == "install ok installed"
    finally:
        hazel.run("apt-get -qq purge hello")
