# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of somebody else: what the site playbook says of them, that it changes nothing, and how it takes one over."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile

import pytest
import yaml
from clients import Client, Refused
from hosts import CA, TOP, Host, ansible

SCENARIO = TOP / "molecule/moving_in"
HOSTS = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]["hosts"]
ELDER, CROWDED = "elder.moved.test", "crowded.moved.test"
# Files with their owners, modes and times, units, processes that listen, and rules. Logs and leases go on by themselves.
STATE = """
find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log -o -path /var/tmp -o -path /root/.ansible \
    -o -path /var/lib/systemd -o -path /var/cache \\) -prune -o -printf '%p %u %g %m %s %T@ %l\\n' | sort
systemctl list-units --all --plain --no-legend --type=service,socket | grep -v 'systemd-\\|user@\\|session' | awk '{print $1, $3, $4}'
ss -Hltnp | sort
nft list ruleset | sed 's/packets [0-9]* bytes [0-9]*//'
"""
EXPECTED = {
    "prosody": r"crowded.test \(2 accounts\).*SQLite3, database /srv/chat/chat.sqlite",
    "ejabberd": r"ejabberd [0-9.]+",
    "nginx:shop.conf": r"shop.test, www.shop.test, and is default_server",
    "bind:zones": r"1 zone in /etc/bind/named.conf.local: shop.test",
    "port:5269/tcp": r"python3 \(own-5269.service\)",
    "port:8443/tcp": r"python3 \(own-8443.service\)",
    "ufw": r"ufw is enabled",
    "firewalld": r"firewalld [0-9.]+",
    "fail2ban": r"fail2ban [0-9.]+",
    "packet-filter:nftables.conf": r"/etc/nftables.conf",
    "packet-filter:ip-guard": r"table ip guard",
    "ssh:ports": r"port 2222",
    "ssh:passwords": r": carla$",
    "updates": r"/etc/apt/apt.conf.d/52own",
    "certbot": r"shop.test",
    "configuration": r"/etc/login.defs$",
}


def host(name: str) -> Host:
    return Host(HOSTS[name]["ansible_host"])


def play(name: str, tasks: list[dict]) -> str:
    """Run tasks on a host, and return what Ansible printed."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as playbook:
        json.dump([{"hosts": name, "gather_facts": False, "tasks": tasks}], playbook)
        playbook.flush()
        done = ansible("ansible-playbook", playbook.name, inventory=SCENARIO / "inventory")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def refusal() -> dict:
    """A run of the site playbook on a crowded host: what it said, and the host before and after it."""
    crowded = host(CROWDED)
    before = crowded.out(STATE)
    site = str(TOP / "playbooks/site.yml")
    done = ansible("ansible-playbook", site, f"--limit={CROWDED}", inventory=SCENARIO / "inventory")
    return {
        "rc": done.returncode,
        "out": done.stdout,
        "said": done.stderr,
        "before": before,
        "after": crowded.out(STATE),
    }


def test_a_refused_run_has_changed_nothing(refusal):
    assert refusal["rc"] != 0
    before, after = refusal["before"].splitlines(), refusal["after"].splitlines()
    print(f"{len(before)} files, units, listeners and rules, before and after")
    assert len(before) > 5000
    assert sorted(set(after) ^ set(before)) == []
    assert re.search(rf"{CROWDED} +: .*changed=0 ", refusal["out"])


def test_everything_is_in_one_list(refusal):
    # As it is configured, Ansible prints the result as YAML or JSON, and what failed with the rest or as an error; lines of a
    # JSON string are made lines.
    said = (refusal["out"] + refusal["said"]).replace("\\n", "\n")
    entries = re.findall(r"^ +(\S+)\n +found: +(\S.*)\n +effect: +\S.*\n +choice: +\S.*$", said, re.M)
    assert entries, said
    found = dict(entries)
    for name, text in found.items():
        print(f"{name}: {text}")
    assert list(found) == list(EXPECTED)
    assert [name for name, text in found.items() if not re.search(EXPECTED[name], text)] == []
    # The line to write into the inventory has all of it.
    (line,) = set(re.findall(r"^ +site_take_over: (\[.*?\])", said, re.M))
    assert sorted(yaml.safe_load(line)) == sorted(EXPECTED)
    # Neither the hash of a password nor a password.
    assert "$6$" not in said and "of dora" not in said


def test_what_is_taken_over_is_kept_and_switched_off(refusal):
    crowded = host(CROWDED)
    play(
        CROWDED,
        [
            {
                "magicbroccoli.xmpp.survey": {
                    "rules": [{"protocol": "tcp", "ports": [5269]}],
                    "take_over": [*EXPECTED],
                },
                "register": "found",
            },
            {"magicbroccoli.xmpp.take_over": {"findings": "{{ found.findings }}", "replaced": "{{ found.replaced }}"}},
        ],
    )
    folder = crowded.out("ls -d /var/backups/xmpp/taken-over-*")
    manifest = json.loads(crowded.out(f"cat {folder}/manifest.json"))
    print(json.dumps(manifest["paths"]))
    assert sorted(manifest["taken_over"]) == sorted(EXPECTED)
    assert crowded.out(f"stat -c %a {folder}") == "700"
    attributes = "-printf '%P %u %g %m %s %T@ %l\\n' | sort"
    for path in (
        "/srv/chat/chat.sqlite",
        "/etc/ejabberd",
        "/etc/firewalld",
        "/var/lib/bind/shop.test",
        "/etc/letsencrypt",
    ):
        assert crowded.out(f"find {folder}/files{path} {attributes}") == crowded.out(f"find {path} {attributes}"), path
    assert "dport 5222 drop" in crowded.out(f"cat {folder}/output-1")
    active = crowded.run("systemctl is-active ejabberd firewalld fail2ban own-5269 own-8443").stdout.split()
    assert active == ["inactive", "inactive", "inactive", "inactive", "active"]
    assert "ENABLED=no" in crowded.out("cat /etc/ufw/ufw.conf")
    assert "guard" not in crowded.out("nft list tables") and "counting" in crowded.out("nft list tables")
    assert crowded.run("test -e /etc/nginx/sites-enabled/shop.conf").rc == 1
    # It is done once: what is found now belongs to the run.
    assert "changed=0 " in play(CROWDED, [{"magicbroccoli.xmpp.survey": {}}, {"magicbroccoli.xmpp.take_over": {}}])


@pytest.fixture(scope="module")
def ejabberd(refusal):
    """Debian's ejabberd as it is installed, but for the name of its domain, which the DNS of its host has."""
    crowded, domain, drop_in = host(CROWDED), "ns.shop.test", "/run/systemd/system/ejabberd.service.d"
    crowded.out(f"bash -c \"sed 's/^  - moved.test$/  - {domain}/' /etc/ejabberd/ejabberd.yml > /run/ejabberd.yml\"")
    crowded.out(f"chown ejabberd /run/ejabberd.yml && mkdir -p {drop_in}")
    # Debian's own settings name the file again.
    environment = "EJABBERD_CONFIG_PATH=/run/ejabberd.yml EJABBERDCTL_CONFIG_PATH=/run/none"
    crowded.out(f"tee {drop_in}/test.conf", stdin=f"[Service]\nEnvironment={environment}\n")
    try:
        crowded.out("systemctl daemon-reload && systemctl start ejabberd named")
        yield domain
    finally:
        crowded.run("systemctl stop ejabberd")
        crowded.out(f"rm -r {drop_in} /run/ejabberd.yml && systemctl daemon-reload")


def test_the_self_test_reports_an_ejabberd_of_others_as_it_is(ejabberd):
    """By the network alone, from the host that was taken over."""
    crowded, elder = host(CROWDED), host(ELDER)
    elder.out("tee /run/resolv.test", stdin=f"nameserver {crowded.address}\n")
    look = f"xmpp-status {ejabberd} --json"
    done = elder.run(f"systemd-run -qPG --wait -p BindReadOnlyPaths=/run/resolv.test:/etc/resolv.conf {look}")
    found = {one["subject"].removeprefix("promise "): (one["level"], one["text"]) for one in json.loads(done.stdout)}
    print(json.dumps(found, indent=1))
    assert done.rc == 2 and "could not be" not in done.stdout
    expected = {
        # The zone of its host has no record but an address.
        "dnssec": "shop.test. has no keys",
        "srv": f"_xmpp-client._tcp.{ejabberd} has no SRV record",
        "tlsa": f"_5222._tcp.{ejabberd} has no TLSA record",
        "caa": f"{ejabberd} has no CAA record",
        # What Debian's settings have: all that OpenSSL calls HIGH, a certificate of its own, and logins by PLAIN.
        "forward-secrecy": "port 5222 accepts, without forward secrecy: AES256-GCM-SHA384",
        "strong-ciphers": "port 5222 accepts, without authenticated encryption: ECDHE-RSA-AES256-SHA384",
        "valid-certificate": "self-signed certificate",
        "valid-peers": "port 5269 takes a dialback of a server with a self-signed certificate",
        "no-plain-mechanisms": "PLAIN is offered",
    }
    assert {name for name, (level, _text) in found.items() if level != "ok"} == set(expected)
    assert [name for name, text in expected.items() if text not in found[name][1]] == []
    assert {name: found[name][1] for name in ("encrypted-clients", "encrypted-servers", "tls-versions", "scram")} == {
        "encrypted-clients": "port 5222 requires STARTTLS, and refuses a login without it",
        "encrypted-servers": "port 5269 requires STARTTLS, and refuses a login without it",
        "tls-versions": "TLS 1.2, TLS 1.3 on ports 5222, 5269",
        "scram": "PLAIN, SCRAM-SHA-1-PLUS, SCRAM-SHA-1",
    }
    assert "RSA of 2048 bits" in found["long-keys"][1]
    # It has suites of DHE, too, whose group is asked for.
    assert found["tester im-observatory"][1] == "F for clients and servers: its certificate is not valid"
    # OpenSSL sees the same.
    openssl = f"openssl s_client -connect {crowded.address}:5222 -starttls xmpp -xmpphost {ejabberd} </dev/null 2>&1"
    assert "Cipher is AES256-GCM-SHA384" in crowded.run(f"{openssl} -tls1_2 -cipher AES256-GCM-SHA384").stdout
    assert "Cipher is (NONE)" in crowded.run(f"{openssl} -tls1_1 -cipher ALL:@SECLEVEL=0").stdout
    assert "Server public key is 2048 bit" in crowded.run(openssl).stdout


def test_a_domain_that_its_server_does_not_know_has_no_report_of_encryption(ejabberd):
    """It closes the stream before it says what it offers, which says nothing of what it offers others."""
    crowded, elder = host(CROWDED), host(ELDER)
    elder.out("tee /run/resolv.test", stdin=f"nameserver {crowded.address}\n")
    # Debian's settings again.
    crowded.out("bash -c 'cat /etc/ejabberd/ejabberd.yml > /run/ejabberd.yml' && systemctl restart ejabberd")
    look = f"xmpp-status {ejabberd} --json"
    done = elder.run(f"systemd-run -qPG --wait -p BindReadOnlyPaths=/run/resolv.test:/etc/resolv.conf {look}")
    found = {one["subject"].removeprefix("promise "): one["text"] for one in json.loads(done.stdout)}
    print(json.dumps(found, indent=1))
    for name, port in (
        ("encrypted-clients", 5222),
        ("encrypted-servers", 5269),
        ("scram", 5222),
        ("tls-versions", 5222),
    ):
        assert found[name] == f"unknown: port {port}: it closes the stream: host-unknown"


def test_accounts_of_the_replaced_prosody_are_kept():
    elder = host(ELDER)
    folder = elder.out("ls -d /var/backups/xmpp/taken-over-*")
    kept = elder.out(f"cd {folder}/files/var/lib/prosody && stat -c '%n %U %a' moved%2etest/accounts/*").splitlines()
    print("\n".join(kept))
    assert [re.sub(r" \d+$", "", line) for line in kept] == [
        f"moved%2etest/accounts/{name}.dat prosody" for name in ("anna", "bert", "cleo")
    ]
    assert 'VirtualHost "moved.test"' in elder.out(f"cat {folder}/files/etc/prosody/conf.avail/moved.test.cfg.lua")
    assert "Managed by Ansible" not in elder.out(f"cat {folder}/files/etc/nftables.conf")


def test_a_host_that_was_set_up_is_not_asked_again():
    """The unit of the last role is among the facts. Playbook plan ends soon after that."""
    plan = str(TOP / "playbooks/plan.yml")
    done = ansible("ansible-playbook", plan, f"--limit={ELDER}", inventory=SCENARIO / "inventory")
    assert done.returncode == 0, done.stdout + done.stderr
    tasks = dict(re.findall(r"^TASK \[(.*?)\] \**\n(\w+): ", done.stdout, re.M))
    print(json.dumps(tasks, indent=1))
    assert tasks["Check that the host is bare or may be taken over"] == "skipping"


async def roster(name: str, password: str) -> dict[str, str]:
    """The contacts of an account, after a login with its password."""
    client = Client(f"{name}@moved.test", password, (HOSTS[ELDER]["ansible_host"], 5222), CA)
    try:
        await client.login()
        query = await client.ask("get", "<query xmlns='jabber:iq:roster'/>")
        return {item.get("jid"): item.get("subscription") for item in query}
    finally:
        await client.logout()


def migrate(playbook: str, *options: str):
    """Run playbook import or export on the elder host."""
    path = str(TOP / f"playbooks/{playbook}.yml")
    done = ansible("ansible-playbook", path, f"--limit={ELDER}", *options, inventory=SCENARIO / "inventory")
    print(re.sub(r"(?s).*msg:\n(.*?)\n\n.*", r"\1", done.stdout))
    return done


def wait_for_prosody() -> None:
    """It has the port when it has loaded everything."""
    host(ELDER).out("timeout 120 sh -c 'until ss -Hltn sport = 5222 | grep -q .; do sleep 0.1; done'")


def test_people_log_in_with_their_old_passwords_after_the_import():
    elder = host(ELDER)
    with pytest.raises(Refused):
        asyncio.run(roster("anna", "of anna"))
    source = ["--extra-vars=import_kind=files", "--extra-vars=import_from=/var/lib/prosody"]
    checked = migrate("import", "--check", *source)
    assert checked.returncode == 0 and re.search(r"moved.test: 3 accounts \(.*roster: 1", checked.stdout), (
        checked.stderr
    )
    with pytest.raises(Refused):
        asyncio.run(roster("anna", "of anna"))
    done = migrate("import", *source)
    assert done.returncode == 0, done.stdout + done.stderr
    wait_for_prosody()
    contacts = {name: asyncio.run(roster(name, f"of {name}")) for name in ("anna", "bert", "cleo")}
    print(contacts)
    assert contacts == {"anna": {"bert@moved.test": "both"}, "bert": {}, "cleo": {}}
    with pytest.raises(Refused):
        asyncio.run(roster("anna", "of bert"))
    assert "Error initializing module" not in elder.out("journalctl -u prosody -n 300 --no-pager")


def test_accounts_that_are_there_are_not_replaced_by_accident():
    """But an import that was killed is continued."""
    elder = host(ELDER)
    source = ["--extra-vars=import_kind=files", "--extra-vars=import_from=/var/lib/prosody"]
    pid = elder.out("systemctl show -P MainPID prosody.service")
    again = migrate("import", *source)
    said = again.stdout + again.stderr
    assert again.returncode != 0 and "anna@moved.test" in said and "import_replace: true" in said, said
    # It was refused before Prosody was stopped.
    assert elder.out("systemctl show -P MainPID prosody.service") == pid
    running = {
        "source": "/var/lib/prosody",
        "kind": "files",
        "domains": ["moved.test"],
        "rooms": ["conference.moved.test"],
    }
    elder.out("install -d -m 700 /var/lib/xmpp-migration")
    elder.out("cat >/var/lib/xmpp-migration/running.json", stdin=json.dumps(running))
    resumed = migrate("import", *source)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    wait_for_prosody()
    assert asyncio.run(roster("anna", "of anna")) == {"bert@moved.test": "both"}
    assert elder.run("test -e /var/lib/xmpp-migration/running.json").rc == 1


def test_ejabberd_s_export_is_imported(tmp_path):
    """Its accounts and hashes are of a real one, of Debian's."""
    crowded, folder = host(CROWDED), tmp_path / "ejabberd"
    folder.mkdir()
    for path in crowded.out("ls /var/lib/ejabberd/export/*.xml").split():
        (folder / path.rpartition("/")[2]).write_text(crowded.out(f"cat {path}"))
    done = migrate("import", "--extra-vars=import_kind=xep0227", f"--extra-vars=import_from={folder}/")
    assert done.returncode == 0 and "moved.test: 1 account (roster: 1" in done.stdout, done.stdout + done.stderr
    wait_for_prosody()
    assert asyncio.run(roster("eva", "of eva")) == {"bert@moved.test": "both"}


PORTABLE = """<?xml version='1.0'?><server-data xmlns='urn:xmpp:pie:0'><host jid='moved.test'>
<user name='dora' password='of dora'>
 <query xmlns='jabber:iq:roster'><item jid='bert@moved.test' subscription='both'><group>Friends</group></item></query>
 <vCard xmlns='vcard-temp'><FN>Dora</FN></vCard>
 <offline-messages><message xmlns='jabber:client' from='x@y.test'><body>hi</body></message></offline-messages>
 <archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'>
  <delay xmlns='urn:xmpp:delay' stamp='2024-01-02T03:04:05Z'/><message xmlns='jabber:client' type='chat'
  from='bert@moved.test' to='dora@moved.test'><body>old news</body></message></forwarded></result></archive></user>
</host><host jid='elsewhere.test'><user name='zoe' password='z'/></host></server-data>"""


def test_a_portable_file_is_imported_and_all_is_exported(tmp_path):
    path = tmp_path / "all.xml"
    path.write_text(PORTABLE)
    done = migrate("import", "--extra-vars=import_kind=xep0227", f"--extra-vars=import_from={path}", "--diff")
    said = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "offline-messages" in said and "elsewhere.test: 1 account. It is no domain of this host" in said
    # Neither shown nor left on the host.
    assert "of dora" not in said and host(ELDER).run("ls /var/lib/xmpp-import /var/tmp/xmpp-migration-*").rc != 0
    wait_for_prosody()
    assert asyncio.run(roster("dora", "of dora")) == {"bert@moved.test": "both"}

    options = [f"--extra-vars=export_to={tmp_path}/out", "--extra-vars=export_archives=true", "--diff"]
    exported = migrate("export", *options)
    assert exported.returncode == 0, exported.stdout + exported.stderr
    written = tmp_path / f"out/{ELDER}.xml"
    assert oct(written.stat().st_mode)[-3:] == "600"
    text = written.read_text()
    users = re.findall(r"<user [^>]*name=.([a-z]+)", text)
    print(f"{len(text)} characters: {users}")
    assert users == ["anna", "bert", "cleo", "dora", "eva"]
    assert text.count("SCRAM-SHA-1") == 5 and "old news" in text and ">Dora<" in text and "ns0:" not in text
    assert "stored-key" not in exported.stdout and host(ELDER).run("ls /var/lib/xmpp-migration/export.xml").rc != 0

    one = migrate("export", f"--extra-vars=export_to={tmp_path}/one", "--extra-vars=export_accounts=dora@moved.test")
    assert one.returncode == 0, one.stdout + one.stderr
    assert re.findall(r"<user [^>]*name=.([a-z]+)", (tmp_path / f"one/{ELDER}.xml").read_text()) == ["dora"]
    wrong = migrate(
        "export", f"--extra-vars=export_to={tmp_path}/wrong", "--extra-vars=export_accounts=nobody@moved.test"
    )
    assert wrong.returncode != 0 and "'nobody@moved.test' is no account of this host" in wrong.stdout + wrong.stderr


INSTALL = """
set -eu
export DEBIAN_FRONTEND=noninteractive
dpkg-query -W -f '${Package}\\n' | sort > /root/packages.before
apt-get update -qq
apt-get install -qq --no-install-recommends postgresql mariadb-server lua-dbi-postgresql lua-dbi-mysql >/dev/null
systemctl start postgresql mariadb
cd /
runuser -u postgres -- createuser prosody
runuser -u postgres -- createdb --owner prosody chat
mariadb -e "create database chat character set utf8mb4; create user chat@127.0.0.1 identified by 'of the database';
    grant all on chat.* to chat@127.0.0.1"
"""
# As it was: test_remove.py compares.
PURGE = """
export DEBIAN_FRONTEND=noninteractive
cd /
runuser -u postgres -- dropdb chat
runuser -u postgres -- dropuser prosody
systemctl stop mariadb postgresql
dpkg-query -W -f '${Package}\\n' | sort | comm -13 /root/packages.before - | xargs apt-get purge -qq >/dev/null
rm -rf /var/tmp/PostgreSQL /var/tmp/MySQL /root/packages.before /etc/mysql/debian.cnf
"""
OLD = {
    "postgresql": ("gina", "PostgreSQL", 'database = "chat"', "postgresql:///chat", ""),
    "mysql": (
        *("hans", "MySQL", 'database = "chat", username = "chat", password = "of the database", host = "127.0.0.1"'),
        *("mysql://chat@127.0.0.1/chat", "of the database"),
    ),
}


@pytest.fixture(scope="module")
def databases():
    """Two databases of old servers, as Prosody writes them: prosody-migrator brings files to them."""
    elder = host(ELDER)
    elder.out(INSTALL)
    for name, driver, options, _url, _password in OLD.values():
        hosts = 'hosts = { ["moved.test"] = { "accounts", "roster" } }'
        folder = f"/var/tmp/{driver}"
        for path, text in {
            "moved%2etest/accounts": f'return {{ ["password"] = "of {name} \\\\ \\"ü\\"" }};',
            "moved%2etest/roster": 'return { [false] = { version = 1, pending = {} }, ["bert@moved.test"] = '
            '{ name = "a\\\\b\\tc", subscription = "both", groups = {} } };',
        }.items():
            elder.out(f"mkdir -p {folder}/{path}")
            elder.out(f"cat > {folder}/{path}/{name}.dat", stdin=text)
        config = f'input {{ type = "internal", path = "{folder}", {hosts} }}\noutput {{ type = "sql", driver = "{driver}", {options}, {hosts} }}\n'
        elder.out(f"cat > {folder}/migrator.cfg.lua && chown -R prosody: {folder}", stdin=config)
        said = elder.out(f"cd / && runuser -u prosody -- prosody-migrator --config={folder}/migrator.cfg.lua 2>&1")
        assert "Done!" in said, said
    yield
    elder.out(PURGE)


@pytest.mark.usefixtures("databases")
@pytest.mark.parametrize("kind", OLD)
def test_an_old_prosody_s_database_is_imported(tmp_path, kind):
    name, _driver, _options, url, password = OLD[kind]
    (tmp_path / "secret.yml").write_text(json.dumps({"import_password": password}))
    source = [f"--extra-vars=import_kind={kind}", f"--extra-vars=import_from={url}"]
    wrong = migrate("import", *source[:1], "--extra-vars=import_from=mysql://chat:secret@127.0.0.1/chat")
    said = wrong.stdout + wrong.stderr
    assert (
        wrong.returncode != 0
        and "whose password is import_password" in " ".join(said.split())
        and ":secret@" not in said
    )
    source.append(f"--extra-vars=@{tmp_path}/secret.yml")
    checked = migrate("import", "--check", *source)
    assert checked.returncode == 0 and "moved.test: 1 account (roster: 1" in checked.stdout, checked.stderr
    done = migrate("import", "-vvv", *source)
    assert done.returncode == 0 and "of the database" not in done.stdout, done.stdout[-3000:] + done.stderr
    wait_for_prosody()
    assert asyncio.run(roster(name, f'of {name} \\ "ü"')) == {"bert@moved.test": "both"}
