# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The play of each role's README, on a bare host: the role does what its README says, and a second run changes nothing."""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import yaml
from documents import TOP, plays
from hosts import CA, STATE, Host, ansible
from smtp import Sink

SCENARIO = TOP / "molecule/roles"
INVENTORY = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]
HOSTS = {name: INVENTORY["vars"] | variables for name, variables in INVENTORY["hosts"].items()}
PLAYS = list(plays())
# Role website is of no use without XMPP.
ROLES = {path.name for path in (TOP / "roles").iterdir()} - {"xmpp", "website"}
# The addresses of this machine in the lab.
HERE, HERE6 = "198.51.100.1", "2001:db8:100::1"
SECONDS = 120
# Of systemd's own, some fail where the machine beneath has no more instances of inotify.
FAILED = "systemctl --failed --no-legend --plain"


def name(text: str) -> str:
    """The role that a play is for: its last one."""
    return yaml.safe_load(text)[0]["roles"][-1].removeprefix("magicbroccoli.xmpp.")


def wait(for_what: Callable[[], object]) -> object:
    """Ask again until there is something; the last answer counts."""
    end = time.monotonic() + SECONDS
    while not (answer := for_what()) and time.monotonic() < end:
        time.sleep(0.2)
    return answer


def is_open(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 2).close()
    except OSError:
        return False
    return True


def trusting(authority: object = CA) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


# --- what a host has before the role comes ---------------------------------------------------------------------------


def a_mail_server(host: Host) -> Iterator[Sink]:
    with Sink("mail.example.net", HERE, ("rosewood@example.net", INVENTORY["vars"]["vault_mail_password"])) as sink:
        # podman binds the file, so it cannot be replaced.
        host.out(f"echo {HERE} mail.example.net >> /etc/hosts")
        host.out("cat > /usr/local/share/ca-certificates/lab.crt && update-ca-certificates", stdin=sink.certificate)
        yield sink


def a_shop(host: Host) -> Iterator[None]:
    host.out("mkdir -p /srv/shop && echo 3 melons > /srv/shop/stock")
    yield None


PREPARE = {"alarms": a_mail_server, "backup": a_shop}


# --- whether it does what its README says ------------------------------------------------------------------------------


def ask_hardening(host: Host, _before: None) -> None:
    def ssh(*options: str) -> str:
        line = ["ssh", "-o", f"UserKnownHostsFile={STATE / 'known_hosts'}", *options, f"root@{host.address}", "true"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 255
        return done.stderr.strip()

    refused = ssh("-o", "PreferredAuthentications=none")
    print(refused)
    assert refused.endswith("Permission denied (publickey).")
    refused = ssh("-o", "KexAlgorithms=curve25519-sha256,diffie-hellman-group14-sha256")
    print(refused)
    assert "no matching key exchange method found" in refused and "Their offer: mlkem768x25519-sha256" in refused
    assert host.out("sysctl -n net.ipv4.conf.all.accept_redirects net.ipv4.tcp_syncookies").split() == ["0", "1"]
    assert "nosuid" in host.out("findmnt -no OPTIONS /tmp")
    assert host.out("systemctl is-active hardening-check@files.timer") == "active"


def ask_firewall(host: Host, _before: None) -> None:
    ports = (22, 80, 443, 5222, 5269, 8080)
    for port in ports[1:]:
        host.out(f"systemd-run --quiet --unit=listener-{port} python3 -m http.server {port}")
        assert wait(lambda port=port: f":{port} " in host.out("ss -Hltn"))
    found = [port for port in ports if is_open(host.address, port)]
    print(f"open: {found}")
    assert found == [22, 80, 443]


def ask_alarms(host: Host, sink: Sink) -> None:
    host.out("xmpp-alarm 'The oven is hot'", stdin="Turn it off.")
    mail = wait(lambda: next((mail for mail in sink.mails if "The oven is hot" in mail.text), None))
    assert mail, host.out("journalctl -q --no-pager -n 20 -u nullmailer; mailq")
    print(f"to {mail.to}: {re.findall('(?m)^Subject: .*', mail.text)}")
    assert mail.to == ["hostmaster@example.net"] and "Turn it off." in mail.text
    assert "The oven is hot" in host.out("xmpp-alarm --list")


def ask_updates(host: Host, _before: None) -> None:
    explained = host.out("xmpp-updates --explain")
    print(explained)
    assert "02:00-05:00" in explained
    assert host.out("systemctl is-active xmpp-updates.timer") == "active"
    # Debian's own timers do nothing.
    assert 'APT::Periodic::Enable "0";' in host.out("apt-config dump")
    # It runs, and it is ten o'clock.
    host.out("systemctl start xmpp-updates.service")
    assert json.loads(host.out("cat /var/lib/xmpp-updates/state.json"))


def ask_certificates(host: Host, _before: None) -> None:
    pair = "/etc/ssl/xmpp/mail.example.org"
    assert host.out(f"stat -c '%G %a' {pair}/privkey.pem") == "xmpp-tls 640"
    serve = f"openssl s_server -accept 443 -cert {pair}/fullchain.pem -cert_chain {pair}/fullchain.pem -key {pair}/privkey.pem"
    host.out(f"systemd-run --quiet --unit=server --property=StandardInput=null {serve} -www")
    assert wait(lambda: is_open(host.address, 443))
    plain = socket.create_connection((host.address, 443), SECONDS)
    with plain, trusting().wrap_socket(plain, server_hostname="mail.example.org") as tls:
        print(f"{tls.version()}, valid until {tls.getpeercert()['notAfter']}")
        assert tls.getpeercert()["subjectAltName"] == (("DNS", "mail.example.org"),)


def ask_bind(host: Host, _before: None) -> None:
    import dns.flags
    import dns.message
    import dns.query
    import dns.rcode

    def ask(name: str, kind: str) -> dns.message.Message:
        return dns.query.udp(dns.message.make_query(name, kind, want_dnssec=True), host.address, SECONDS)

    # It is signed in the background.
    answer = wait(lambda: len((got := ask("www.example.org", "A")).answer) == 2 and got)
    print(answer.answer)
    assert answer.flags & dns.flags.AA and not answer.flags & dns.flags.RA
    assert answer.answer[0][0].to_text() == "198.51.100.12"
    assert ask("nobody.example.org", "A").rcode() == dns.rcode.NXDOMAIN
    assert ask("example.net", "SOA").rcode() == dns.rcode.REFUSED
    # Of XMPP, there is nothing.
    assert not [1 for kind in ("_xmpp-client", "_xmpps-server") if ask(f"{kind}._tcp.example.org", "SRV").answer[:1]]
    assert "IN DS" in host.out("bind-ds-records example.org")


def ask_postgresql(host: Host, _before: None) -> None:
    host.out(
        "runuser -u www-data -- psql -qd shop -c 'drop table if exists stock' -c 'create table stock (name text)' -c \"insert into stock values ('melon')\""
    )
    assert host.out("runuser -u www-data -- psql -Atd shop -c 'table stock'") == "melon"
    refused = host.run("runuser -u nobody -- psql -Atd shop -c 'table stock'")
    print(refused.stderr)
    assert refused.rc == 2 and 'user "nobody"' in refused.stderr
    assert not is_open(host.address, 5432)


def ask_turn(host: Host, _before: None) -> None:
    def client(**job: object) -> dict:
        program = TOP / "molecule/default/templates/usr/local/lib/world/turn_client.py"
        given = {"address": host.address, "host": "turn.example.org", "port": 3478, "transport": "udp"} | job
        done = subprocess.run(
            [sys.executable, program], input=json.dumps(given), capture_output=True, text=True, check=True
        )
        print(f"{job['do']}: {done.stdout.strip()}")
        return json.loads(done.stdout)

    seen = client(do="stun")
    assert seen["mapped"] == seen["own"]
    user = f"{int(time.time()) + 60}:shop"
    digest = hmac.digest(host.out("cat /etc/xmpp/turn.secret").encode(), user.encode(), "sha1")
    relayed = client(do="relay", username=user, password=base64.b64encode(digest).decode(), denied=["10.0.0.1"])
    assert relayed["relayed"][0] == host.address and relayed["denied"] == {"10.0.0.1": 403}


def ask_prosody(host: Host, _before: None) -> None:
    accounts = {f"{who}@example.org": "correct horse battery" for who in ("juliet", "romeo")}
    for jid, password in accounts.items():
        host.out(f"prosodyctl adduser {jid}", stdin=f"{password}\n{password}\n")
    path = STATE / "accounts.json"
    path.write_text(json.dumps(accounts))
    line = [
        sys.executable,
        TOP / "tests/lab/send_message.py",
        "--address",
        host.address,
        "--ca",
        CA,
        "--accounts",
        path,
    ]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr)
    assert done.returncode == 0 and "romeo@example.org has received" in done.stdout
    # What the play does not name is not there.
    assert not [port for port in (53, 80, 443, 3478, 5349) if is_open(host.address, port)]


def ask_nginx(host: Host, _before: None) -> None:
    host.out("echo '<h1>Melons</h1>' > /var/www/xmpp/index.html")

    def get(connection: http.client.HTTPConnection, name: str = "www.example.org") -> tuple[int, str | None, str]:
        connection.request("GET", "/", headers={"Host": name})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location"), answer.read().decode()

    def connect(name: str) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(host.address, 443, timeout=SECONDS)
        connection.connect()
        connection.sock = trusting().wrap_socket(connection.sock, server_hostname=name)
        return connection

    print(page := get(connect("www.example.org")))
    assert page == (200, None, "<h1>Melons</h1>\n")
    plain = http.client.HTTPConnection(host.address, 80, timeout=SECONDS)
    assert get(plain)[:2] == (301, "https://www.example.org/")
    with pytest.raises(ssl.SSLError, match="unrecognized_name|unrecognized name"):
        connect("www.example.net")


def ask_munin(host: Host, _before: None) -> None:
    values = host.out("munin-run load; munin-run memory")
    print(values)
    assert re.search(r"^load\.value [\d.]+$", values, re.M) and re.search(r"^free\.value \d+$", values, re.M)
    assert not host.run("ls /etc/munin/plugins | grep -E 'prosody|nginx|bind|tls'").stdout
    host.out("runuser -u munin -- /usr/bin/munin-cron")
    drawn = host.out("cd /var/cache/munin/www && find . -name 'load-day.png' -size +1k -path '*munin.example.org*'")
    print(drawn)
    assert drawn and "munin.example.org" in host.out("cat /var/cache/munin/www/index.html")
    assert not is_open(host.address, 4949)


def ask_backup(host: Host, _before: None) -> None:
    host.out("systemctl start xmpp-backup.service")
    print(listed := host.out("xmpp-backup list"))
    assert "/srv/shop: files: 1" in listed
    assert host.run("grep -rl melons /srv/backup").stdout == ""
    host.out("rm -r /srv/shop")
    host.out("xmpp-backup restore --snapshot latest")
    assert host.out("cat /srv/shop/stock") == "3 melons"


def ask_status(host: Host, _before: None) -> None:
    healthy = host.run("xmpp-status")
    print(healthy.stdout)
    # The disk is this machine's.
    assert [line for line in healthy.stdout.splitlines()[1:] if re.match(r"(warns|fails) (?!disk)", line)] == []
    # Connections outlive it.
    host.out("systemctl stop ssh.socket ssh.service 2>/dev/null || systemctl stop ssh.service")
    broken = host.run("xmpp-status")
    host.out("systemctl start ssh.service")
    print(broken.stdout)
    assert broken.rc == 2 and "ssh.service" in broken.stdout


ASK = {key.removeprefix("ask_"): value for key, value in list(globals().items()) if key.startswith("ask_")}


def test_every_role_has_a_play():
    assert {name(text) for _page, text in PLAYS} == ROLES == set(ASK)


@pytest.mark.parametrize("text", [pytest.param(text, id=name(text)) for _page, text in PLAYS])
def test_role(text, tmp_path):
    role, named = name(text), yaml.safe_load(text)[0]["hosts"]
    assert "xmpp_" not in text
    inventory_name = f"{role}.example.org" if named == "all" else named
    host = Host(HOSTS[inventory_name]["ansible_host"])
    # As a host on the internet has; what is sent there goes nowhere.
    host.out(f"ip route replace default via {HERE} && ip route replace default via {HERE6}")
    playbook = tmp_path / f"{role}.yml"
    playbook.write_text(text)

    def run() -> str:
        begun = time.monotonic()
        done = ansible(
            "ansible-playbook", str(playbook), "--diff", "--limit", inventory_name, inventory=SCENARIO / "inventory"
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        recap = re.search(rf"^{re.escape(inventory_name)} .*$", done.stdout, re.M)[0]
        print(f"{time.monotonic() - begun:.0f} s: {recap}")
        return done.stdout

    failed = host.out(FAILED)
    before = PREPARE.get(role, lambda _host: iter([None]))(host)
    given = next(before)
    run()
    ASK[role](host, given)
    again = run()
    assert " changed=0 " in again, re.search(r"^TASK [^\n]*\n(?!TASK)[^$]*?^changed:.*?$", again, re.M | re.S)[0][
        -3000:
    ]
    assert host.out(FAILED) == failed
    for _ in before:
        pass
