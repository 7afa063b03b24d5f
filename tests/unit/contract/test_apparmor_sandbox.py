# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon's AppArmor profile allows what its role configures, so that enforcing it ends no feature.

Profiles, sandboxes and configurations are rendered with everything switched on and no path where it is by default.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from apparmor import Profile
from facts import FACTS, MAGIC

TOP = Path(__file__).resolve().parents[3]
ROLES = TOP / "roles"
PROFILES = {path.parts[-5]: path for path in sorted(ROLES.glob("*/templates/etc/apparmor.d/*"))}
SERVICES = {"nginx": "nginx", "prosody": "prosody", "turn": "coturn"}
CONFIGURATIONS = {
    "nginx": ["etc/nginx/*.j2", "etc/nginx/*/*"],
    "prosody": ["etc/prosody/**/*"],
    "turn": ["etc/turnserver.conf.j2"],
}
PLACE = "/var/lib/made-up"
SITE = {
    "xmpp_domain": "example.org",
    "xmpp_admins": ["juliet@example.org"],
    "xmpp_hostname": "host.example.org",
    "xmpp_addresses": ["192.0.2.1"],
    "xmpp_key_types": ["ecdsa-p256", "rsa-3072"],
    "xmpp_certificate": "/etc/elsewhere/chain.pem",
    "xmpp_certificate_key": "/etc/elsewhere/key.pem",
    "xmpp_turn_secret": "/etc/elsewhere/turn.secret",
    "xmpp_web_client": True,
    "xmpp_registration": "open",
    "xmpp_certificate_provider": "acme",
    "nginx_acme_webroot": "/srv/acme",
    "nginx_munin_password_hash": "$6$hash",
    "prosody_registration_captcha": True,
    "prosody_registration_questions": [{"en": "What colour?", "de": "Welche Farbe?", "answers": ["green"]}],
    "prosody_community_modules": [{"source": "/nowhere", "sha256": "0" * 64, "modules": ["x"]}],
}
CIPHERS = {
    "policy": "strict",
    "prosody": {},
    "nginx": dict.fromkeys(("ssl_protocols", "ssl_ciphers", "ssl_conf_command", "ssl_ecdh_curve"), "x"),
    "coturn": {},
}
# Of these folders, a daemon's configuration names files; a path that begins otherwise is one of the web.
PATH = re.compile(r"(?<![\w./:@*)])/(?:etc|opt|run|srv|usr|var)/[^\s\"';,{}()]+")


def render() -> None:
    """Prints each role's templates as Ansible renders them. In a process of its own: it loads plugins."""
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import Templar, trust_as_template

    init_plugin_loader()
    loader = DataLoader()
    found: dict[str, dict[str, dict[str, str]]] = {}

    def load(role: str, place: str) -> dict:
        path = ROLES / role / place / "main.yml"
        return loader.load_from_file(str(path), trusted_as_template=True) if path.exists() else {}

    for role in PROFILES:
        known = {"ansible_facts": FACTS | {"tls_ciphers": CIPHERS}, **MAGIC}
        known |= {**load("xmpp", "defaults"), **load(role, "defaults"), **load(role, "vars"), **SITE}
        made_up = {f"__{role}_writable": [{"path": PLACE, "files": "** rw"}]}
        templates = ROLES / role / "templates"
        sandbox = f"etc/systemd/system/{SERVICES[role]}.service.d/*"
        profile = str(PROFILES[role].relative_to(templates))
        kinds = {"profile": [profile], "sandbox": [sandbox], "configuration": CONFIGURATIONS[role]}
        for mode in ("right", "made up"):
            for kind, patterns in kinds.items():
                if mode == "made up" and kind == "configuration":
                    continue
                paths = [path for one in patterns for path in sorted(templates.glob(one)) if path.is_file()]
                assert paths, (role, patterns)
                texts = []
                for path in paths:
                    variables = known | (made_up if mode == "made up" else {})
                    templar = Templar(loader, variables=variables).copy_with_new_env(searchpath=[str(path.parent)])
                    templar.available_variables = variables
                    text = path.read_text()
                    if path.suffix == ".j2":
                        text = templar.template(trust_as_template(text), escape_backslashes=False)
                    texts.append(str(text))
                found.setdefault(role, {}).setdefault(mode, {})[kind] = "\n".join(texts)
    print(json.dumps(found))


@pytest.fixture(scope="module")
def rendered() -> dict:
    environment = {
        "PYTHONPATH": f"{TOP}/tests/lab:{TOP}/tests/unit",
        "ANSIBLE_COLLECTIONS_PATH": str(TOP / ".venv" / "collections"),
        "ANSIBLE_INJECT_FACT_VARS": "false",
    }
    done = subprocess.run([sys.executable, __file__], env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def written(sandbox: str) -> set[str]:
    """The folders that drop-ins let a service write."""
    found = set()
    for line in re.findall(r"^ReadWritePaths=(.*)$", sandbox, re.MULTILINE):
        found |= {word.lstrip("-") for word in line.split()}
    return found | {f"/var/lib/{name}" for name in re.findall(r"^StateDirectory=(\S+)$", sandbox, re.MULTILINE)}


def test_the_daemons_of_strangers_have_one():
    assert set(PROFILES) == set(SERVICES)


@pytest.mark.parametrize("role", SERVICES)
def test_the_profile_has_the_folders_of_the_sandbox(rendered, role):
    profile, folders = Profile(rendered[role]["right"]["profile"]), written(rendered[role]["right"]["sandbox"])
    print(f"{role}: {', '.join(sorted(folders)) or 'nothing'}")
    assert [folder for folder in sorted(folders) if not profile.allows(f"{folder}/x", "w")] == []
    # Nor the other way round: what only one of them allows is of no use.
    rules = re.findall(r"^\s*(/var\S*) [rmkl]*w", rendered[role]["right"]["profile"], re.MULTILINE)
    assert [rule for rule in rules if not rule.startswith(tuple(f"{folder}/" for folder in folders))] == []


def test_there_is_something_to_compare(rendered):
    assert {"/var/lib/prosody", "/var/lib/xmpp-captcha"} <= written(rendered["prosody"]["right"]["sandbox"])


@pytest.mark.parametrize("role", ["nginx", "prosody"])
def test_both_are_made_from_one_list(rendered, role):
    """Another folder in the list is in both, and no folder is there that is not in the list."""
    one = rendered[role]["made up"]
    assert Profile(one["profile"]).allows(f"{PLACE}/x", "w")
    assert set(re.findall(r"^ReadWritePaths=-?(.*)$", one["sandbox"], re.MULTILINE)) == {PLACE}
    assert re.findall(r"^\s*(/var/\S+) [rmkl]*w", one["profile"], re.MULTILINE) == [f"{PLACE}/**"]


@pytest.mark.parametrize("role", SERVICES)
def test_the_profile_has_each_path_of_the_configuration(rendered, role):
    lines = [line for line in rendered[role]["right"]["configuration"].splitlines() if not re.match(r"\s*(#|--)", line)]
    profile, paths = Profile(rendered[role]["right"]["profile"]), sorted(set(PATH.findall("\n".join(lines))))
    print(f"{role}: {len(paths)} paths: {', '.join(paths)}")
    missing = [path for path in paths if not any(profile.allows(one, "r") for one in (path, f"{path.rstrip('/')}/x"))]
    assert missing == []
    known = {
        "nginx": {"/srv/acme", "/etc/elsewhere/chain-rsa.pem", "/var/www/chat/"},
        "prosody": {"/var/lib/xmpp-captcha", "/etc/elsewhere/key.pem", "/etc/elsewhere/turn.secret"},
        "turn": {"/etc/elsewhere/key.pem"},
    }
    assert known[role] <= set(paths)


if __name__ == "__main__":
    render()
