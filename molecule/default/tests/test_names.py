# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection reads of accounts and domains is what the host's own Prosody reads."""

from __future__ import annotations

import json
import secrets
import shlex

import pytest
from conftest import ADDRESS, DOMAINS, IDN, as_xmpp
from hosts import TOP

# Every code point, alone and within a name; a domain's label with it. Surrogates are no text.
PROSODY = r"""
package.path, package.cpath = "/usr/lib/prosody/?.lua;" .. package.path, "/usr/lib/prosody/?.so;" .. package.cpath;
local found, encodings = pcall(require, "prosody.util.encodings");
if not found then encodings = require "util.encodings"; end
local function hex(text) return text and text ~= "" and (text:gsub(".", function (c) return ("%02x"):format(c:byte()); end)) or "-"; end
for code = 1, 0x2ffff do
	if code < 0xd800 or code > 0xdfff then
		local c = utf8.char(code);
		local label = encodings.idna.to_ascii("a" .. c .. "b");
		print(code, hex(encodings.stringprep.nodeprep(c, true)), hex(encodings.stringprep.nodeprep("a" .. c .. "b", true)), hex(label));
	end
end
"""
OURS = """
import json, sys


def hexed(prepare, text):
    try:
        return prepare(text).encode().hex()
    except ValueError:
        return "-"


wrong, count, labels = [], 0, 0
for line in open("/run/prepared"):
    code, alone, within, label = line.split()
    c = chr(int(code))
    count += 1
    if (hexed(nodeprep, c), hexed(nodeprep, f"a{c}b")) != (alone, within):
        wrong.append(("account", code))
    # Of domains, fewer are taken, and what is must be Prosody's. Where labels are ASCII is not asked here.
    ours = hexed(to_ascii, f"a{c}b") if c > "\\x7f" else "-"
    labels += ours != "-"
    if ours not in ("-", label):
        wrong.append(("domain", code))
print(json.dumps({"wrong": wrong[:20], "count": count, "labels": labels, "python": sys.version.split()[0]}))
"""


def test_every_letter_is_prepared_as_prosody_does(rosewood):
    """By the Python of the host, where module prosody_user runs."""
    rosewood.out("lua5.4 - >/run/prepared", stdin=PROSODY)
    source = (TOP / "plugins/module_utils/addresses.py").read_text()
    result = json.loads(rosewood.out("python3 -", stdin=source + OURS))
    rosewood.out("rm /run/prepared")
    print(result)
    assert result["wrong"] == []
    assert result["count"] > 190_000
    assert result["labels"] > 40_000


@pytest.mark.parametrize("via", ["tcp", "tls", "bosh", "websocket"])
def test_login_to_an_internationalised_domain(accounts, client, via):
    """The client resolves it, checks its certificate, and asks the server for it by its U-labels."""
    session = client("login", account=accounts["ida"].by(via))
    assert session["jid"].startswith("ida-")
    assert session["jid"].partition("/")[0].endswith(f"@{IDN}")


def test_direct_tls_knows_both_forms_after_a_reload(rosewood, internet):
    """Clients name the A-labels, as TLS has it, and other Prosodys the U-labels. A renewed certificate is read by a reload."""
    rosewood.out("systemctl reload prosody")
    for port in (5223, 5270):
        for name in (IDN, f"conference.{IDN}", "xn--bcher-kva.test", "conference.xn--bcher-kva.test"):
            command = f"openssl s_client -connect {ADDRESS}:{port} -servername {name} </dev/null 2>&1"
            print(port, name, internet.out(f"{command} | grep -m 1 '^New, TLS'"))
    # The control: a name that nobody here has ends the handshake.
    refused = internet.run(f"openssl s_client -connect {ADDRESS}:5223 -servername xn--bcher-kvb.test </dev/null")
    assert "unrecognized name" in refused.stderr


async def test_its_components_answer(connect, accounts):
    ida = await connect(accounts["ida"])
    for kind in ("conference", "upload", "proxy", "search"):
        info = await ida.plugin["xep_0030"].get_info(jid=f"{kind}.{IDN}", timeout=60)
        print(kind, sorted(info["disco_info"]["identities"]))
        assert info["disco_info"]["identities"]
    # It has contacts, as URIs (XEP-0157).
    info = await ida.plugin["xep_0030"].get_info(jid=IDN, timeout=60)
    (contacts,) = [
        v.text for f in info.xml.iter("{jabber:x:data}field") if f.get("var") == "admin-addresses" for v in f
    ]
    assert contacts == "xmpp:b%C3%BCcherwurm@b%C3%BCcher.test"


async def test_file_goes_up_and_comes_down(internet, connect, accounts):
    """The slot is the component's, which XMPP asks by its U-labels, and its URLs have the A-labels."""
    ida, content = await connect(accounts["ida"]), secrets.token_urlsafe(30)
    slot = await ida.ask(
        "get",
        f"<request xmlns='urn:xmpp:http:upload:0' filename='a.txt' size='{len(content)}' content-type='text/plain'/>",
        f"upload.{IDN}",
    )
    put, get = (slot.find(f"{{urn:xmpp:http:upload:0}}{way}") for way in ("put", "get"))
    print(put.get("url"), get.get("url"))
    assert get.get("url").startswith("https://upload.xn--bcher-kva.test/")
    headers = " ".join(f"--header {shlex.quote(h.get('name') + ': ' + h.text)}" for h in put)
    curl = "curl --silent --show-error --fail --max-time 10"
    internet.out(
        f"{curl} {headers} --header 'Content-Type: text/plain' --request PUT --data-binary @- {shlex.quote(put.get('url'))}",
        stdin=content,
    )
    assert internet.out(f"{curl} {shlex.quote(get.get('url'))}") == content


def test_each_has_one_name_in_prosody_and_one_elsewhere(rosewood):
    hosts = rosewood.out(
        "prosodyctl shell '> local t = {}; for h in pairs(prosody.hosts) do table.insert(t, h) end; return table.concat(t, \" \")'"
    )
    for domain in map(as_xmpp, DOMAINS):
        assert domain in hosts.split()
        assert f"upload.{domain}" in hosts.split()
    assert "xn--" not in hosts
    assert (
        rosewood.run(
            "grep -rl bücher /etc/nginx/sites-enabled /etc/bind /var/lib/bind /etc/munin /etc/turnserver.conf"
        ).stdout
        == ""
    )
