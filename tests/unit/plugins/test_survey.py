# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody else has set up on a host, read from recorded files and outputs."""

import dataclasses
import hashlib
import json
import os
import sqlite3

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import survey, take_over
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey import (
    bind,
    configuration,
    ejabberd,
    firewalls,
    listeners,
    machine,
    nginx,
    prosody,
    ssh,
    updates,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import DPKG_QUERY, Host

MEMORY = "MemTotal:        2000000 kB\nSwapTotal:             0 kB\n"


def md5(text):
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def make(tmp_path):
    """Makes a host of files, of which those of packages are as they were installed, and of what programs print."""

    def host(files=None, *, shipped=None, packages=("base-files",), outputs=None, links=None, **options):
        shipped = shipped or {}
        (tmp_path / "var/lib").mkdir(parents=True, exist_ok=True)
        (tmp_path / "run/systemd/system").mkdir(parents=True, exist_ok=True)
        for path, text in {"/etc/hostname": "oak\n", "/proc/meminfo": MEMORY, **shipped, **(files or {})}.items():
            place = tmp_path / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        for path, target in (links or {}).items():
            place = tmp_path / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
        conffiles = "".join(f" {path} {md5(text)}\n" for path, text in shipped.items())
        listed = "".join(f"installed\t{name}\t1.0\n{conffiles if not n else ''}\n" for n, name in enumerate(packages))
        told = {DPKG_QUERY: listed, **(outputs or {})}
        return Host(str(tmp_path), told.get, **options)

    return host


def ids(findings):
    return [one.id for one in findings]


# -- all of it ------------------------------------------------------------------------------------------------------


def test_a_host_as_debian_installs_it_has_nothing(make):
    host = make(
        {
            "/etc/passwd": "root:x:0:0::/root:/bin/bash\ndebian:x:1000:1000::/home/debian:/bin/bash\n",
            "/etc/shadow": "root:$y$hash:1::::::\ndebian:!:1::::::\n",
            "/etc/apt/apt.conf.d/20auto-upgrades": 'APT::Periodic::Unattended-Upgrade "1";\n',
            "/etc/apt/apt.conf.d/99image": 'APT::Install-Recommends "0";\n',
            "/etc/exim4/update-exim4.conf.conf": "dc_eximconfig_configtype='local'\n",
        },
        shipped={
            "/etc/prosody/prosody.cfg.lua": 'VirtualHost "localhost"\nInclude "conf.d/*.cfg.lua"\n',
            "/etc/prosody/conf.avail/localhost.cfg.lua": 'VirtualHost "localhost"\n',
            "/etc/nginx/nginx.conf": "http { include /etc/nginx/sites-enabled/*; }\n",
            "/etc/nginx/sites-available/default": "server { listen 80 default_server; server_name _; }\n",
            "/etc/bind/named.conf": 'include "/etc/bind/named.conf.local";\ninclude "/etc/bind/named.conf.default-zones";\n',
            "/etc/bind/named.conf.local": '//include "/etc/bind/zones.rfc1918";\n',
            "/etc/bind/named.conf.default-zones": 'zone "." { type hint; file "/usr/share/dns/root.hints"; };\n',
            "/etc/nftables.conf": "flush ruleset\n",
            "/etc/login.defs": "UMASK 022\n",
            "/etc/apt/apt.conf.d/50unattended-upgrades": "Unattended-Upgrade::Origins-Pattern { };\n",
        },
        packages=("base-files", "exim4-base", "ufw", "prosody", "nginx-light", "bind9"),
        links={
            "/etc/nginx/sites-enabled/default": "/etc/nginx/sites-available/default",
            "/etc/prosody/conf.d/localhost.cfg.lua": "../conf.avail/localhost.cfg.lua",
        },
        outputs={
            ("sshd", "-T"): "port 22\npasswordauthentication yes\n",
            listeners.SS: 'tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))\n'
            'udp UNCONN 0 0 0.0.0.0:68 0.0.0.0:* users:(("dhclient",pid=2,fd=3))\n'
            'udp UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:* users:(("systemd-resolve",pid=3,fd=3))\n',
        },
        replaced=["/etc/login.defs", "/etc/nftables.conf", "/etc/prosody/prosody.cfg.lua"],
        ports=["5222/tcp", "53/udp"],
    )
    found = [one for one in survey.survey(host) if one.id != "disk"]
    print(survey.report(found) or "nothing found")
    assert found == []


def test_names_are_checked_and_a_kind_stands_for_all_of_it(make):
    (message,) = survey.unknown(["prosody", "nginx:shop", "prosodi"])
    print(message)
    assert "'prosodi'" in message and "did you mean 'prosody'?" in message
    host = make(
        {"/etc/nginx/sites-enabled/a": "server_name a.test;", "/etc/nginx/sites-enabled/b": "server_name b.test;"}
    )
    found = list(nginx.find(host))
    assert ids(survey.refused(found, [])) == ["nginx:a", "nginx:b"]
    assert ids(survey.refused(found, ["nginx:a"])) == ["nginx:b"]
    assert ids(survey.refused(found, ["nginx"])) == []


@pytest.mark.parametrize("subject", survey.SUBJECTS)
def test_each_subject_has_its_own_identifiers(make, subject):
    host = make()
    assert all(one.id.partition(":")[0] == subject for one in survey.SUBJECTS[subject](host))


# -- Prosody --------------------------------------------------------------------------------------------------------

STOCK = """
-- VirtualHost "comment.test"
--[[ VirtualHost "long.test"
]]
default_storage = "%s"
VirtualHost "a.test"
    authentication = "internal_hashed" -- "text"
VirtualHost 'b.test'
Component "rooms.a.test" "muc"
Component "external.a.test"
    component_secret = "-- VirtualHost"
Include "conf.d/*.cfg.lua"
"""


def test_prosody_in_files_is_counted_domain_by_domain(make):
    host = make(
        {
            "/etc/prosody/prosody.cfg.lua": STOCK % "internal",
            "/etc/prosody/conf.d/c.cfg.lua": 'VirtualHost "c.test"\n',
            "/var/lib/prosody/a%2etest/accounts/anna.dat": "return {}",
            "/var/lib/prosody/a%2etest/accounts/bert.dat": "return {}",
            "/var/lib/prosody/a%2etest/roster/anna.dat": "return {}",
            "/var/lib/prosody/gone%2etest/accounts/old.dat": "return {}",
        },
        packages=("base-files", "prosody"),
    )
    (found,) = prosody.find(host)
    print(found.found)
    for part in ("a.test (2 accounts)", "b.test (0 accounts)", "c.test (0 accounts)", "gone.test (1 account)"):
        assert part in found.found
    assert "component rooms.a.test (muc), component external.a.test;" in found.found
    assert "comment.test" not in found.found and "long.test" not in found.found
    assert found.pause == ["prosody.service"] and found.keep == ["/etc/prosody", "/var/lib/prosody"]


def test_prosody_in_sqlite_elsewhere_is_counted_and_not_touched(make, tmp_path):
    sql = 'sql = { driver = "SQLite3", database = "/srv/xmpp/all.sqlite" }\n'
    host = make({"/etc/prosody/prosody.cfg.lua": STOCK % "sql" + sql, "/srv/xmpp/.keep": ""})
    database = tmp_path / "srv/xmpp/all.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute('create table prosody (host, "user", store, key, type, value)')
        rows = [
            ("b.test", name, store, key, "", "")
            for name in ("x", "y")
            for store in ("accounts", "roster")
            for key in "kl"
        ]
        connection.executemany("insert into prosody values (?, ?, ?, ?, ?, ?)", rows)
    connection.close()
    before = (database.read_bytes(), sorted(os.listdir(database.parent)))
    (found,) = prosody.find(host)
    print(found.found)
    assert "b.test (2 accounts)" in found.found and "SQLite3, database /srv/xmpp/all.sqlite" in found.found
    assert found.keep[-1] == "/srv/xmpp/all.sqlite"
    assert before == (database.read_bytes(), sorted(os.listdir(database.parent)))
    database.write_bytes(b"broken" * 100)
    (found,) = prosody.find(host)
    print(found.found)
    assert "b.test (accounts not counted)" in found.found and found.keep[-1] == "/srv/xmpp/all.sqlite"


def test_prosody_in_another_database_is_named_and_not_asked(make):
    sql = 'sql = { driver = "PostgreSQL", database = "xmpp", username = "p", password = "of no concern", host = "db.test" }\n'
    (found,) = prosody.find(make({"/etc/prosody/prosody.cfg.lua": STOCK % "sql" + sql}))
    print(found.found)
    assert "a.test (accounts not counted)" in found.found and "PostgreSQL, database xmpp at db.test" in found.found
    assert "of no concern" not in str(found)


# -- other daemons --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "hosts:\n  - a.test\n  - 'b.test' # c.test\nloglevel: 4\n",
        'hosts: ["a.test", b.test]\n',
        "hosts:\n- a.test\n- b.test\n",
    ],
)
def test_ejabberds_domains(text):
    assert ejabberd.parse_hosts(text) == ["a.test", "b.test"]


def test_a_site_of_nginx():
    text = (
        "server { listen 443 ssl; server_name a.test www.a.test; } # server_name no.test;\nserver { server_name $x; }"
    )
    assert nginx.parse_site(text) == (["a.test", "www.a.test", "$x"], False)
    assert nginx.parse_site("server { listen [::]:80 default_server; server_name _; }") == ([], True)


def test_a_changed_default_site_of_nginx_is_somebodys(make, tmp_path):
    host = make(
        shipped={"/etc/nginx/sites-available/default": "server { }"},
        links={"/etc/nginx/sites-enabled/default": "../sites-available/default"},
    )
    assert list(nginx.find(host)) == []
    (tmp_path / "etc/nginx/sites-available/default").write_text("server { server_name a.test; }")
    (found,) = nginx.find(host)
    assert found.id == "nginx:default" and found.move == ["/etc/nginx/sites-enabled/default"]
    assert "/etc/nginx/sites-available/default" in found.keep


def test_zones_of_bind(make):
    host = make(
        {
            "/etc/bind/named.conf": 'include "/etc/bind/named.conf.local";',
            "/etc/bind/named.conf.local": 'zone "a.test" IN { type primary; file "a.zone"; };\n# zone "no.test" { };\n'
            'zone "b.test" { type secondary; primaries { 192.0.2.1; }; };\n',
        }
    )
    (found,) = bind.find(host)
    print(found.found)
    assert found.id == "bind:zones" and "2 zones in /etc/bind/named.conf.local: a.test, b.test" in found.found
    assert "/var/cache/bind/a.zone" in found.keep


def test_options_of_bind(make, tmp_path):
    host = make(
        shipped={
            "/etc/bind/named.conf": 'include "/etc/bind/named.conf.options";',
            "/etc/bind/named.conf.options": "options { };",
        }
    )
    (tmp_path / "etc/bind/named.conf.options").write_text("options { forwarders { 192.0.2.1; }; };")
    assert ids(bind.find(host)) == ["bind:options"]


@pytest.mark.parametrize("order", [1, -1])
def test_programs_at_ports(make, order):
    output = (
        'tcp LISTEN 0 5 0.0.0.0:5269 0.0.0.0:* users:(("java",pid=77,fd=3))\n'
        'tcp LISTEN 0 5 [::]:5269 [::]:* users:(("java",pid=77,fd=4))\n'
        'tcp LISTEN 0 5 127.0.0.1:5280 0.0.0.0:* users:(("local",pid=1,fd=4))\n'
        'tcp LISTEN 0 5 [::1]:6379 [::]:* users:(("redis",pid=1,fd=4))\n'
        'tcp LISTEN 0 5 *:25 *:* users:(("master",pid=78,fd=4))\n'
        'tcp LISTEN 0 5 *:2525 *:* users:(("master",pid=78,fd=4))\n'
        'udp UNCONN 0 0 *:* *:* users:(("raw",pid=1,fd=4))\n'
        'udp UNCONN 0 0 0.0.0.0:45000 0.0.0.0:* users:(("asks",pid=1,fd=4))\n'
    )
    host = make(
        {"/proc/77/cgroup": "0::/system.slice/openfire.service\n"},
        # The kernel lists them in any order.
        outputs={listeners.SS: "\n".join(output.splitlines()[::order])},
        ports=["5269/tcp", "5280/tcp"],
        opened=["2525/tcp"],
    )
    found = {one.id: one for one in listeners.find(host)}
    print(survey.report(found.values()))
    assert list(found) == ["port:5269/tcp", "port:5280/tcp", "port:25/tcp"]
    assert found["port:5269/tcp"].stop == ["openfire.service"]
    assert "could not start" in found["port:5280/tcp"].effect and found["port:5280/tcp"].stop == []
    assert "firewall would drop" in found["port:25/tcp"].effect and found["port:25/tcp"].stop == []


# -- firewalls ------------------------------------------------------------------------------------------------------


def table(family, name, *rules, policy="accept", hook="input", chain="in"):
    yield {"chain": {"family": family, "table": name, "name": chain, "hook": hook, "policy": policy}}
    for where, expression in rules:
        yield {"rule": {"family": family, "table": name, "chain": where, "expr": [expression]}}


def test_tables_that_drop():
    entries = [
        *table("ip", "policy", policy="drop"),
        *table("ip", "direct", ("in", {"drop": None})),
        *table(
            "ip6", "far", ("in", {"jump": {"target": "x"}}), ("x", {"goto": {"target": "y"}}), ("y", {"reject": {}})
        ),
        *table("ip", "counts", ("in", {"counter": None})),
        *table("ip", "apart", ("never", {"drop": None})),
        *table("ip", "router", policy="drop", hook="forward"),
        *table("ip", "bans", ("in", {"jump": {"target": "f2b-sshd"}}), ("f2b-sshd", {"reject": {}})),
    ]
    text = json.dumps({"nftables": [{"metainfo": {}}, *entries]})
    assert firewalls.parse_nft(text) == [("ip", "direct"), ("ip", "policy"), ("ip6", "far")]
    assert firewalls.parse_nft("") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n-A DOCKER -j DROP\n", False),
        (":INPUT DROP [0:0]\n", True),
        (
            ":INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 25 -j REJECT --reject-with icmp-port-unreachable\n",
            True,
        ),
    ],
)
def test_rules_of_iptables_that_drop(text, expected):
    assert firewalls.drops(text) is expected


def test_tables_are_told_from_those_of_ufw(make):
    rules = json.dumps({"nftables": [*table("ip", "filter", policy="drop"), *table("inet", "own", policy="drop")]})
    options = {"outputs": {firewalls.NFT: rules}, "packages": ("base-files", "ufw")}
    assert ids(firewalls.find_filters(make(**options))) == ["packet-filter:inet-own", "packet-filter:ip-filter"]
    host = make({"/etc/ufw/ufw.conf": "ENABLED=yes\n"}, **options)
    assert ids(firewalls.find_ufw(host)) == ["ufw"]
    assert ids(firewalls.find_filters(host)) == ["packet-filter:inet-own"]


# -- the machine ----------------------------------------------------------------------------------------------------


def test_users_with_a_password_and_no_key(make):
    files = {
        "/etc/passwd": "root:x:0:0::/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/sh\n"
        "eve:x:1002:1002::/home/eve:/usr/sbin/nologin\nsam:x:1003:1003::/home/sam:/bin/bash\n",
        "/etc/shadow": "root:$y$x:1:\nann:$y$x:1:\nbob:$6$x:1:\neve:$y$x:1:\nsam:!:1:\n",
        "/home/bob/.ssh/authorized_keys": "ssh-ed25519 AAAA bob\n",
    }
    (found,) = ssh.find(make(files, outputs={ssh.SSHD: "port 22\npasswordauthentication yes\n"}))
    print(found.found)
    assert found.id == "ssh:passwords" and found.found.endswith(": ann") and "$y" not in str(found)
    off = make(files, outputs={ssh.SSHD: "port 22\nport 2222\npasswordauthentication no\n"})
    assert ids(ssh.find(off)) == ["ssh:ports"]
    assert ids(ssh.find(make(outputs={ssh.SSHD: "port 2222\npasswordauthentication no\n"}, ssh_port=2222))) == []


def test_a_pipe_in_place_of_a_file_does_not_hold_the_run(make, tmp_path):
    host = make({"/etc/passwd": "ann:x:1000:1000::/home/ann:/bin/sh\n", "/etc/shadow": "ann:$y$x:1:\n"})
    (tmp_path / "home/ann/.ssh").mkdir(parents=True)
    os.mkfifo(tmp_path / "home/ann/.ssh/authorized_keys")
    assert ids(ssh.find(host)) == ["ssh:passwords"]


def test_updates_and_other_files_that_somebody_changed(make, tmp_path):
    host = make(
        {"/etc/apt/apt.conf.d/52own": 'Unattended-Upgrade::Automatic-Reboot "true";\n'},
        shipped={"/etc/login.defs": "UMASK 022\n", "/etc/other.conf": "x\n"},
        replaced=["/etc/login.defs"],
    )
    assert [one.keep for one in updates.find(host)] == [["/etc/apt/apt.conf.d/52own"]]
    assert list(configuration.find(host)) == []
    (tmp_path / "etc/login.defs").write_text("UMASK 077\n")
    (tmp_path / "etc/other.conf").write_text("y\n")
    assert [one.keep for one in configuration.find(host)] == [["/etc/login.defs"]]


def test_what_a_machine_lacks(make):
    host = make(
        {"/proc/meminfo": "MemTotal: 500000 kB\nSwapTotal: 0 kB\n", "/etc/hostname": "localhost\n"},
        outputs={("systemd-detect-virt",): "openvz\n"},
        seconds=1000.0,
    )
    (clock,) = machine.find_clock(host, now=lambda: 1000.0 + 3600)
    print(clock.found)
    assert "60 minutes ahead" in clock.found
    assert list(machine.find_clock(host, now=lambda: 990.0)) == []
    assert ids(machine.find_memory(host)) == ["memory"]
    assert ids(machine.find_virtualisation(host)) == ["virtualisation"]
    assert ids(machine.find_hostname(host)) == ["hostname"]


# -- taking over ----------------------------------------------------------------------------------------------------


def asks(command):
    """What a host answers that is asked what it is like; nothing to other commands."""
    if command[0] == "dpkg-query":
        return "installed base-files\nconfig-files gone\n"
    if "list-unit-files" in command:
        return "a.service enabled enabled\n"
    return "b.service loaded active running B\n" if "list-units" in command else ""


def finding(**fields):
    empty = {key: [] for key in ("keep", "pause", "stop", "save", "move", "run")}
    return {"id": "one", **empty, **fields}


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "root"
    (place / "etc/own/deep").mkdir(parents=True)
    (place / "etc/own/deep/secret").write_text("secret")
    (place / "etc/own/deep/secret").chmod(0o640)
    (place / "etc/own/deep").chmod(0o2750)
    (place / "etc/own/link").symlink_to("deep/secret")
    os.utime(place / "etc/own/link", (7, 7), follow_symlinks=False)
    (place / "etc/other").write_text("other")
    os.mkfifo(place / "etc/own/pipe")
    return place


def test_files_are_kept_with_mode_and_switched_off_afterwards(root, tmp_path):
    base, calls = tmp_path / "backups", []

    def run(command):
        # What is stopped for a copy is stopped before it, and everything else is done when the copy is whole.
        if command[:4] == ["systemctl", "show", "-P", "LoadState"]:
            return "not-found\n" if command[4] == "gone.service" else "loaded\n"
        if asks(command):
            return asks(command)
        calls.append((command, bool(list(base.glob("taken-over-*")))))
        return "rules\n"

    one = finding(
        keep=["/etc/own", "/etc/own/link", "/etc/not-there"],
        pause=["a.service", "gone.service"],
        stop=["b.service"],
        save=[["nft", "list"]],
        move=["/etc/own/link"],
        run=[["ufw", "disable"]],
        undo=[["nft", "-f", "{saved}"]],
    )
    done = take_over.take_over([one], ["/etc/other"], base=str(base), root=str(root), run=run, now=0)
    print(json.dumps(done, indent=1))
    kept = base / "taken-over-19700101T000000Z"
    assert calls == [
        (["systemctl", "stop", "a.service"], False),
        (["nft", "list"], False),
        (["systemctl", "disable", "--now", "b.service"], True),
        (["ufw", "disable"], True),
    ]
    assert (kept / "files/etc/own/deep/secret").read_text() == "secret"
    assert oct((kept / "files/etc/own/deep/secret").stat().st_mode)[-4:] == "0640"
    assert oct((kept / "files/etc/own/deep").stat().st_mode)[-4:] == "2750"
    assert os.readlink(kept / "files/etc/own/link") == "deep/secret"
    assert (kept / "files/etc/own/link").lstat().st_mtime == 7
    assert (kept / "files/etc/other").read_text() == "other" and not (kept / "files/etc/own/pipe").exists()
    assert (kept / "output-1").read_text() == "# nft list\nrules\n"
    assert not os.path.lexists(root / "etc/own/link") and (root / "etc/own/deep/secret").exists()
    assert oct(base.stat().st_mode)[-3:] == oct(kept.stat().st_mode)[-3:] == "700"
    manifest = json.loads((kept / "manifest.json").read_text())
    assert manifest["paths"] == ["/etc/other", "/etc/own"] and str(os.getuid()) in manifest["users"]
    assert take_over.is_done(str(base))
    # What no folder keeps, for the way back.
    assert done["before"] == {"packages": ["base-files"], "enabled": ["a.service"], "active": ["b.service"]}
    assert done["undo"] == [["nft", "-f", f"{kept}/output-1"]]


def test_what_the_host_was_like_is_asked_before_the_first_unit_stops(root, tmp_path):
    """A second run after a kill sees stopped units, which ran before."""
    base, stopped = tmp_path / "backups", []

    def run(command):
        if command[:2] == ["systemctl", "stop"]:
            stopped.append(command[2])
            raise take_over.TakeOverError("killed")
        return "" if stopped and "list-units" in command else asks(command) or "loaded"

    one = finding(keep=["/etc/own"], pause=["b.service"])
    with pytest.raises(take_over.TakeOverError, match="killed"):
        take_over.take_over([one], [], base=str(base), root=str(root), run=run, now=0)
    done = take_over.take_over([one], [], base=str(base), root=str(root), run=lambda command: "loaded", now=0)
    assert done["before"]["active"] == ["b.service"] and sorted(os.listdir(base)) == [
        "take-over.json",
        "taken-over-19700101T000000Z",
    ]


def test_the_configuration_of_packages_is_kept_once(root, tmp_path):
    base = tmp_path / "backups"

    def keep(paths, **options):
        return take_over.keep_packaged(paths, base=str(base), root=str(root), **options)

    assert keep(["/etc/other"]) == []
    take_over.take_over([], ["/etc/own"], base=str(base), root=str(root), run=lambda command: "", now=0)
    paths = ["/etc/other", "/etc/own/deep/secret", "/etc/not-there"]
    assert keep(paths, check=True) == keep(paths) == ["/etc/other"]
    kept = base / "taken-over-19700101T000000Z/files"
    assert (kept / "etc/other").read_text() == "other"
    # A role has replaced it since.
    (root / "etc/other").write_text("ours")
    assert keep(paths) == [] and (kept / "etc/other").read_text() == "other"


def test_a_killed_copy_is_begun_again(root, tmp_path):
    base = tmp_path / "backups"
    (base / ".taking-over/files/etc/own").mkdir(parents=True)
    take_over.take_over([finding(keep=["/etc/own"])], [], base=str(base), root=str(root), run=lambda command: "", now=0)
    assert (base / "taken-over-19700101T000000Z/files/etc/own/deep/secret").exists()
    assert not (base / ".taking-over").exists()


def test_a_failing_command_is_told_and_nothing_counts_as_done(root, tmp_path):
    base = tmp_path / "backups"
    with pytest.raises(take_over.TakeOverError, match=r"`false` failed: .*run it by hand"):
        take_over.take_over(
            [finding(keep=["/etc/own"], run=[["false"]])],
            [],
            base=str(base),
            root=str(root),
            run=lambda command: asks(command) or take_over._run(command),
            now=0,
        )
    assert not take_over.is_done(str(base)) and list(base.glob("taken-over-*"))


def test_without_room_nothing_changes(root, tmp_path, monkeypatch):
    monkeypatch.setattr(take_over, "SPARE", 1 << 60)
    base = tmp_path / "backups"
    with pytest.raises(take_over.TakeOverError, match="make room") as error:
        take_over.take_over([finding(keep=["/etc/own"])], [], base=str(base), root=str(root), run=pytest.fail)
    print(error.value)
    assert not base.exists()


def test_check_mode_says_it_and_does_nothing(root, tmp_path):
    base = tmp_path / "backups"
    done = take_over.take_over(
        [finding(keep=["/etc/own"])], [], base=str(base), root=str(root), run=pytest.fail, check=True
    )
    assert done["paths"] == ["/etc/own"] and not base.exists()


def test_what_nobody_has_set_up_leaves_a_note_only(tmp_path):
    base = tmp_path / "backups"
    take_over.take_over([], [], base=str(base), root=str(tmp_path), run=asks)
    assert sorted(os.listdir(base)) == ["take-over.json"]


def test_findings_are_plain_for_the_module(make):
    (found,) = machine.find_memory(make({"/proc/meminfo": "MemTotal: 1 kB\n"}))
    assert json.loads(json.dumps(dataclasses.asdict(found)))["id"] == "memory"
