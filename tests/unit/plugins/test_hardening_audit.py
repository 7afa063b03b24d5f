# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of auditd, loaded as auditctl 3.0 and 4.0 load them: up to the first one that the kernel refuses, unless told."""

import posixpath
from pathlib import Path

import jinja2
import pytest
import yaml

RULES = Path(__file__).parents[3] / "roles/hardening/templates/etc/audit/rules.d/hardening.rules.j2"
# A Debian on which nothing has been installed but auditd and an ssh server.
BARE = {
    "/",
    "/etc",
    "/etc/ssh",
    "/etc/security",
    "/root",
    "/run",
    "/var/log",
    "/var/log/audit",
    "/var/run",
    "/var/spool",
}
BARE |= {
    "/etc/audit",
    "/etc/systemd",
    "/etc/pam.d",
    "/etc/cron.d",
    "/etc/modprobe.d",
    "/etc/sysctl.d",
    "/etc/systemd/system",
}


def load(lines, folders):
    """Return the rules that are loaded, and those that the kernel refuses: it wants the folder of what is watched."""
    loaded, refused, goes_on = [], [], False
    for words in (line.split() for line in lines if line and not line.startswith("#")):
        if words[0] in ("-i", "-c"):
            goes_on = True
        elif words[0] == "-w" and posixpath.dirname(words[1]) not in folders:
            refused.append(words)
            if not goes_on:
                break
        elif words[0] in ("-w", "-a"):
            loaded.append(words)
    return loaded, refused


@pytest.fixture
def lines():
    template = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined).from_string(RULES.read_text())
    return template.render(hardening_audit_keys=["/etc/ssl", "/var/lib/bind/keys"]).splitlines()


@pytest.mark.parametrize("folders", [BARE, BARE | {"/var/lib/bind"}, BARE - {"/etc/ssh", "/etc/security"}, {"/"}])
def test_a_folder_that_is_missing_costs_its_own_rules_only(lines, folders):
    loaded, refused = load(lines, folders)
    print(f"{len(loaded)} loaded, refused: {[words[1] for words in refused]}")
    assert len(loaded) + len(refused) == sum(line.startswith(("-w ", "-a ")) for line in lines)
    assert ["-w", "/var/log/audit", "-p", "wa", "-k", "audit"] in (loaded if "/var/log" in folders else refused)


def test_a_bare_host_lacks_the_keys_of_bind_alone(lines):
    assert [words[1] for words in load(lines, BARE)[1]] == ["/var/lib/bind/keys"]


def test_nothing_comes_behind_which_auditctl_would_stop(lines):
    commands = [line.split()[0] for line in lines if line.startswith("-")]
    assert commands.index("-i") < min(commands.index("-w"), commands.index("-a"))


def test_a_group_that_comes_with_a_package_is_named_where_it_is(lines):
    """config_tree refuses all files of a role for one whose group is not there."""
    variables = yaml.safe_load((RULES.parents[4] / "vars/main.yml").read_text())
    groups = {path: entry["group"] for path, entry in variables["__hardening_files"].items() if "group" in entry}
    print(groups)
    assert "'cron' in ansible_facts['host_state']['packages']" in groups.pop("/etc/cron.allow")
    # Groups of the base system.
    assert set(groups.values()) <= {"root", "daemon", "systemd-journal"}
