# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a daemon may write in its sandbox, its AppArmor profile lets it write: enforcing that must not end a feature."""

import re
from pathlib import Path

import pytest
from apparmor import Profile

ROLES = Path(__file__).resolve().parents[3] / "roles"
PROFILES = {"prosody": "usr.bin.prosody", "nginx": "usr.sbin.nginx", "coturn": "usr.bin.turnserver"}


def written(service: str) -> set[str]:
    """The folders that drop-ins of all roles let a service write."""
    found = set()
    for path in ROLES.glob(f"*/templates/etc/systemd/system/{service}.service.d/*"):
        text = path.read_text()
        for line in re.findall(r"^ReadWritePaths=(.*)$", text, re.MULTILINE):
            found |= {word.lstrip("-") for word in line.split()}
        found |= {f"/var/lib/{name}" for name in re.findall(r"^StateDirectory=(\S+)$", text, re.MULTILINE)}
    return found


@pytest.mark.parametrize("service", PROFILES)
def test_the_profile_has_the_folders_of_the_sandbox(service):
    text = (ROLES / "hardening/templates/etc/apparmor.d" / f"{PROFILES[service]}.j2").read_text()
    profile = Profile(re.sub(r"\{\{.*?\}\}", "complain", text))
    folders = written(service)
    print(f"{service}: {', '.join(sorted(folders)) or 'nothing'}")
    assert [folder for folder in sorted(folders) if not profile.allows(f"{folder}/x", "w")] == []


def test_there_is_something_to_compare():
    assert {"/var/lib/prosody", "/var/lib/xmpp-captcha"} <= written("prosody")
