# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a host becomes what it was before the collection, on files and recorded programs."""

import json
import os
from pathlib import Path

import pytest
import yaml
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import removal, take_over

ROLES = Path(__file__).resolve().parents[3] / "roles"
OURS = {
    "/etc/nginx/nginx.conf": "file",
    "/etc/nginx/sites-enabled/default": "absent",
    "/etc/xmpp": "directory",
    "/etc/xmpp/status.json": "file",
    "/etc/own.conf": "file",
    "/etc/made.conf": "file",
    "/etc/systemd/system/xmpp-status.timer": "file",
    "/etc/systemd/system/xmpp-check@.timer": "file",
    "/etc/systemd/system/certbot.timer": "link",
    "/etc/systemd/system/nginx.service.d/ours.conf": "file",
    "/var/lib/prosody": "directory",
}
BROUGHT = {
    "one": {
        "files": OURS,
        "units": ["nginx.service", "prosody.service", "nftables.service", "chrony.service", "xmpp-check@a.timer"],
        "packages": ["nginx", "prosody"],
        "removal": {
            "paths": ["/var/lib/ours"],
            "data": ["/var/lib/prosody"],
            "before": [["prepare"]],
            "after": [["finish"]],
            "stays": ["chrony.service"],
            "made": ["/etc/made.conf"],
            "notes": ["reboot"],
        },
    }
}


class Killed(Exception):
    """Stands for the end of the process."""


class Machine:
    """A host below a folder: what is enabled and runs, and which commands were run."""

    def __init__(self, root):
        self.root, self.commands, self.kill_at = root, [], None
        self.base = str(root / "var/backups/xmpp")
        self.enabled, self.active = {"prosody.service", "exim4.service"}, {"prosody.service", "certbot.timer"}

    def write(self, path, text="", mode=0o644):
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def run(self, command, check=True):
        if command[0] == "dpkg-query" and "-S" in command:
            return "nginx-common: /etc/own.conf\nnginx-common, other: /etc/nginx\n"
        if command[0] == "dpkg-query":
            return "installed nginx\ninstalled prosody\n"
        if "list-unit-files" in command:
            return "".join(f"{name} enabled\n" for name in sorted(self.enabled))
        if "list-units" in command:
            return "".join(f"{name} loaded active\n" for name in sorted(self.active))
        if command[:2] == ["systemctl", "show"]:
            return "loaded"
        if len(self.commands) == self.kill_at:
            raise Killed
        self.commands.append(" ".join(command))
        if command[0] == "systemctl" and command[1] in ("stop", "start"):
            (self.active.discard if command[1] == "stop" else self.active.add)(command[2])
        if command[0] == "systemctl" and command[1] in ("enable", "disable"):
            (self.enabled.discard if command[1] == "disable" else self.enabled.add)(command[3])
        return ""

    def removal(self):
        return removal.Removal(BROUGHT, base=self.base, root=str(self.root), run=self.run)

    def files(self):
        return {
            str(path.relative_to(self.root)): (path.read_text(), oct(path.stat().st_mode))
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and "backups" not in path.parts
        }


@pytest.fixture
def machine(tmp_path):
    """A host with Prosody, which was taken over and set up."""
    found = Machine(tmp_path)
    found.write("/etc/nginx/nginx.conf", "theirs", 0o640)
    found.write("/etc/nginx/sites-enabled/default", "welcome")
    found.write("/etc/nginx/sites-enabled/shop", "shop")
    found.write("/var/lib/prosody/accounts", "old")
    found.was = found.files()
    finding = {
        "id": "nginx:shop",
        "keep": ["/etc/nginx/sites-enabled/shop"],
        "pause": [],
        "stop": ["exim4.service"],
        "save": [],
        "move": ["/etc/nginx/sites-enabled/shop"],
        "run": [],
        "undo": [["ufw", "enable"]],
    }
    replaced = [path for path, state in OURS.items() if state != "directory"]
    take_over.take_over([finding], replaced, base=found.base, root=str(tmp_path), run=found.run, now=0)
    # The site playbook comes.
    (tmp_path / "etc/nginx/sites-enabled/default").unlink()
    for path, state in OURS.items():
        if state == "file":
            found.write(path, "ours")
    (tmp_path / "etc/systemd/system/certbot.timer").symlink_to("/dev/null")
    found.write("/var/lib/ours/state", "{}")
    found.write("/var/lib/prosody/accounts", "old and new")
    found.enabled |= {"nginx.service", "nftables.service", "chrony.service", "xmpp-status.timer"}
    found.enabled -= {"exim4.service"}
    found.active |= {"nginx.service", "nftables.service", "chrony.service", "xmpp-check@a.timer", "xmpp-status.timer"}
    found.active -= {"certbot.timer"}
    found.commands.clear()
    # Deleting accounts asks the machine that tests.
    return found


def check_it_is_as_before(machine):
    now = machine.files()
    was = machine.was | {"var/lib/prosody/accounts": ("old and new", "0o100644")}
    # A package owns it, and nobody has kept the package's own.
    assert now.pop("etc/own.conf")[0] == now.pop("etc/made.conf")[0] == "ours"
    assert now == was
    assert machine.enabled == {"prosody.service", "exim4.service", "chrony.service"}
    assert machine.active == {"prosody.service", "certbot.timer", "nftables.service", "chrony.service"}
    assert not (machine.root / "etc/xmpp").exists() and (machine.root / "etc/nginx").exists()
    assert not os.path.lexists(machine.root / "etc/systemd/system/certbot.timer")
    assert sorted(os.listdir(machine.base)) == ["taken-over-19700101T000000Z"]


def test_what_came_goes_and_what_was_there_returns(machine):
    report = machine.removal().report()
    print("\n".join(report))
    assert {
        "stop: nginx.service",
        "stop: xmpp-check@a.timer",
        "disable: nginx.service",
        "disable: nftables.service",
        "bring back as it was before: /etc/nginx/nginx.conf",
        "bring back as it was before: /etc/nginx/sites-enabled/default",
        "bring back as it was before: /etc/nginx/sites-enabled/shop",
        "remove: /etc/xmpp/status.json",
        "remove: /var/lib/ours",
        "enable again: exim4.service",
        "start again: prosody.service",
        "run: ufw enable",
        "leave, as no copy of the package's own was kept: /etc/own.conf",
        "leave the data: /var/lib/prosody",
        "note: reboot",
    } <= set(report)
    machine.removal().apply()
    print("\n".join(machine.commands))
    # The other programs' rules would go with it.
    assert "systemctl stop nftables.service" not in machine.commands
    done = machine.commands.index
    assert done("systemctl stop prosody.service") < done("prepare") < done("systemctl daemon-reload") < done("finish")
    # What starts others stops first; a job that began or failed in between is stopped and forgotten.
    assert done("systemctl stop xmpp-check@*.timer") < done("systemctl stop nginx.service")
    assert done("systemctl daemon-reload") < done("systemctl reset-failed xmpp-check@*.timer")
    assert done("finish") < done("ufw enable") < done("systemctl start prosody.service")
    check_it_is_as_before(machine)


def test_a_host_that_was_left_is_left_alone(machine):
    machine.removal().apply()
    # The host's own, which has the path of one of ours.
    machine.write("/etc/nginx/nginx.conf", "newer")
    again = machine.removal()
    assert not again.is_set_up and again.report() == ["Nothing of the collection is on this host"]
    assert (machine.root / "etc/nginx/nginx.conf").read_text() == "newer"


@pytest.mark.parametrize("step", range(20))
def test_a_killed_removal_is_completed_by_the_next(machine, step):
    """Each command of the removal is one at which it is killed."""
    machine.kill_at = step
    with pytest.raises(Killed):
        machine.removal().apply()
    machine.kill_at = None
    assert machine.removal().is_set_up
    machine.removal().apply()
    check_it_is_as_before(machine)
    assert "finish" in machine.commands


def test_a_service_that_was_started_again_is_not_stopped_by_the_next_removal(machine):
    """Two of before run again at the end; the removal is killed between them."""
    place = Path(machine.base, "take-over.json")
    record = json.loads(place.read_text())
    record["before"]["active"].append("nginx.service")
    place.write_text(json.dumps(record))
    machine.kill_at = 20
    with pytest.raises(Killed):
        machine.removal().apply()
    assert machine.commands[-1] == "systemctl start nginx.service"
    machine.kill_at = None
    machine.removal().apply()
    assert {"nginx.service", "prosody.service"} <= machine.active


def test_without_a_record_nothing_of_a_package_goes(machine):
    """A host that was set up before there was a record has no copies."""
    os.remove(f"{machine.base}/take-over.json")
    report = machine.removal().report()
    assert "leave, as no copy of the package's own was kept: /etc/own.conf" in report
    assert "remove: /etc/xmpp/status.json" in report and not [line for line in report if "bring back" in line]


def test_each_role_says_what_it_leaves_by_known_words():
    """What the action plugin takes, and that no role's state is forgotten: a folder below /var/lib that a unit makes."""
    named = 0
    for role in sorted(path.name for path in ROLES.iterdir() if path.name != "xmpp"):
        written = yaml.safe_load((ROLES / role / "vars/main.yml").read_text())[f"__{role}_removal"]
        assert set(written) <= set(removal.KEYS), role
        named += len(written)
        for unit in (ROLES / role / "templates").rglob("*.service*"):
            for line in unit.read_text().splitlines() if unit.is_file() else ():
                if line.startswith("StateDirectory=") and "{{" not in line:
                    assert f"/var/lib/{line.partition('=')[2]}" in str(written), (role, line)
    print(f"{named} entries")


def test_a_group_to_which_data_belongs_stays_without_members(machine, monkeypatch):
    """Another group would get its number, and the keys with it."""
    numbers = {"keys": (machine.root / "var/lib/prosody/accounts").stat().st_gid, "free": 987654}
    monkeypatch.setattr(removal, "_gid", numbers.get)
    monkeypatch.setitem(OURS, "/etc/sysusers.d/keys.conf", "file")
    machine.write("/etc/sysusers.d/keys.conf", "g keys -\ng free -\ng gone -\n")
    report = machine.removal().report()
    assert "leave the group, without members, to which keys belong: keys" in report
    assert [line for line in report if line.startswith("delete")] == ["delete the group: free"]
    machine.removal().apply()
    assert {"gpasswd --members  keys", "groupdel free"} <= set(machine.commands)
    assert "groupdel keys" not in machine.commands


def test_the_playbook_removes_the_roles_of_the_site():
    (site,) = yaml.safe_load((ROLES.parent / "playbooks/site.yml").read_text())
    (remove,) = yaml.safe_load((ROLES.parent / "playbooks/remove.yml").read_text())
    roles = remove["vars"]["__remove_roles"]
    # The other way round: daemons stop before the firewall opens.
    assert roles == site["vars"]["__site_roles"][::-1]
