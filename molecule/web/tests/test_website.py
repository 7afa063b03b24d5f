# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain whose website is another server's: what playbook website writes for it there works, and what it says if not."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from conftest import HOSTS, INVENTORY
from hosts import Host, ansible

HOST, DOMAIN = "mint.thyme.test", "thyme.test"
ROOT = "/var/www/html"
TLS = "/etc/ssl/website"
SERVERS = {
    "nginx": (
        "nginx",
        "/etc/nginx/sites-enabled/default",
        f"""server {{ listen 80; root {ROOT}; include snippets/http.conf; }}
server {{ listen 443 ssl; root {ROOT}; ssl_certificate {TLS}/fullchain.pem; ssl_certificate_key {TLS}/privkey.pem;
include snippets/https.conf; }}
""",
        "/etc/nginx/snippets",
        "nginx.conf",
    ),
    "apache": (
        "apache2",
        "/etc/apache2/sites-enabled/000-default.conf",
        f"""<VirtualHost *:80>
DocumentRoot {ROOT}
Include /etc/apache2/xmpp/http.conf
</VirtualHost>
<VirtualHost *:443>
DocumentRoot {ROOT}
SSLEngine on
SSLCertificateFile {TLS}/fullchain.pem
SSLCertificateKeyFile {TLS}/privkey.pem
Include /etc/apache2/xmpp/https.conf
</VirtualHost>
""",
        "/etc/apache2/xmpp",
        "apache.conf",
    ),
    "caddy": (
        "caddy",
        "/etc/caddy/Caddyfile",
        f"""{{
auto_https off
}}
http://{DOMAIN} {{
root * {ROOT}
file_server
import /etc/caddy/http.conf
}}
https://{DOMAIN} {{
tls {TLS}/fullchain.pem {TLS}/privkey.pem
root * {ROOT}
file_server
import /etc/caddy/https.conf
}}
""",
        "/etc/caddy",
        "Caddyfile",
    ),
}


@pytest.fixture(scope="module")
def website() -> Host:
    host = Host(HOSTS["website.test"]["ansible_host"])
    host.out(
        f"chgrp -R www-data {TLS} && chmod -R g+rX {TLS} && usermod -aG www-data caddy && a2enmod -q ssl headers rewrite"
    )
    return host


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """Run the playbook as the operator does, and return what it says."""
    folder = tmp_path_factory.mktemp("website")

    def run(**variables) -> list[str]:
        variables = {
            "website_hosts": HOST,
            "website_path": str(folder),
            "xmpp_certificate_provider": "acme",
            **variables,
        }
        variables["xmpp_acme_challenge"] = "http-01"
        extra = f"--extra-vars={json.dumps(variables)}"
        done = ansible("ansible-playbook", "magicbroccoli.xmpp.website", extra, inventory=INVENTORY)
        found = re.search(
            r"The website is not as it should be:\n(.*?)(?:\n\n|\nOrigin)", done.stdout + done.stderr, re.S
        )
        lines = found[1].splitlines() if found else []
        assert bool(lines) == (done.returncode != 0), done.stdout + done.stderr
        print(*lines, sep="\n")
        return lines

    run.folder = folder / DOMAIN
    return run


@pytest.fixture(scope="module")
def served(website, check):
    """Have one of the servers serve what was written; its settings can be changed."""

    def run(kind: str, change=lambda text: text, files: bool = True) -> None:
        unit, config, text, folder, settings = SERVERS[kind]
        written = (check.folder / settings).read_text()
        # One part is for HTTPS, the other for port 80.
        https, marker, http = change(written).partition(
            "# In that for HTTP" if kind != "caddy" else "# In a site block http:"
        )
        assert marker
        website.out("systemctl stop nginx apache2 caddy")
        website.out(f"rm -rf {ROOT} && mkdir -p {ROOT}/.well-known {folder} && touch {ROOT}/index.html")
        for path, content in ((config, text), (f"{folder}/https.conf", https), (f"{folder}/http.conf", marker + http)):
            website.out(f"sh -c 'cat > {path}'", stdin=content)
        for path in (check.folder / ".well-known").iterdir() if files else ():
            website.out(f"sh -c 'cat > {ROOT}/.well-known/{path.name}'", stdin=path.read_text())
        website.out(f"systemctl start {unit}")

    # Writes the files.
    check()
    yield run
    website.out("systemctl stop nginx apache2 caddy")


def test_nothing_is_there_yet(check, website):
    website.out("systemctl stop nginx apache2 caddy")
    lines = check()
    assert len(lines) == 4
    assert all("it does not answer: Connection refused" in line for line in lines)


@pytest.mark.parametrize("kind", SERVERS)
def test_what_is_written_works(check, served, kind):
    served(kind)
    assert check() == []


def test_each_thing_that_is_wrong_is_said(check, served, website):
    served("nginx", lambda text: text.replace("add_header Access", "#").replace("302 http://mint", "302 https://mint"))
    url = f"https://{DOMAIN}/.well-known"
    website.out(f"sed -i 's/mint.thyme.test/mail.thyme.test/' {ROOT}/.well-known/host-meta")
    website.out(
        f"sh -c 'echo nonsense > {ROOT}/.well-known/host-meta.json; rm {ROOT}/.well-known/xmpp-provider-v2.json'"
    )
    lines = check()
    cors = "Access-Control-Allow-Origin is none; let it be *, since web clients of other sites ask, too"
    expected = [
        *(
            f"{url}/host-meta: urn:xmpp:alt-connections:{kind} {scheme}://{name}/{path} is {what}"
            for name, what in (("mint.thyme.test", "missing; add it"), ("mail.thyme.test", "not ours; remove it"))
            for kind, scheme, path in (("websocket", "wss", "xmpp-websocket"), ("xbosh", "https", "http-bind"))
        ),
        f"{url}/host-meta: {cors}",
        f"{url}/host-meta.json: its content is no JSON of its kind; put the file there anew",
        f"{url}/host-meta.json: {cors}",
        f"{url}/xmpp-provider-v2.json: the answer is 404; put the file there",
    ]
    assert lines[:-1] == expected
    assert re.fullmatch(
        rf"http://{DOMAIN}/\.well-known/acme-challenge/(\S+): the answer is 302, to https://mint\S+; let it be a redirect to "
        rf"http://mint\.thyme\.test/\.well-known/acme-challenge/\1",
        lines[-1],
    )


def test_a_certificate_that_nobody_trusts(check, served, website):
    served("nginx")
    website.out(
        f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -addext subjectAltName=DNS:{DOMAIN} -days 1 -keyout {TLS}/other.key "
        f"-out {TLS}/other.pem 2>/dev/null && sed -i 's/fullchain.pem/other.pem/; s/privkey.pem/other.key/' "
        f"{shlex.quote(SERVERS['nginx'][1])} && systemctl reload nginx"
    )
    assert [line.partition(": ")[2] for line in check()] == ["its certificate is refused: self-signed certificate"] * 3
