# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two controllers with different Pythons write the same files: a difference would be a change, and a restart, at each run."""

import json
import pathlib
import subprocess
import sys

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from controllers import pythons

TOP = pathlib.Path(__file__).resolve().parents[3]
RENDER = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
job = json.load(sys.stdin)
def of(module):
    return importlib.import_module("ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils." + module)
firewall, dns, names, turn = of("firewall"), of("dns"), of("names"), of("turn")
made = {"turn_ranges": turn.turn_ranges(job["peers"]), "to_lua": of("lua").to_lua(job["lua"])}
for name, site in job["sites"].items():
    domains = names.domains(site["domain"], {"muc": "conference." + site["domain"], "upload": "upload." + site["domain"]}, ["admin@" + site["domain"]], site["extra"])
    zones = dns.dns_zones(domains, "host." + site["domain"], site["addresses"], ["letsencrypt.org"], ["/c"], records=job["records"])
    rules = firewall.firewall_rules(site["services"], ssh_sources=job["networks"])
    made[name] = {
        "domains": domains,
        "zones": [of("dns_zone").dns_zone_file(zone, pins={"/c": "0c" * 32}) for zone in zones],
        "records": of("dns_records").dns_records(zones),
        "turn_addresses": turn.turn_addresses(site["addresses"], site["addresses"] + job["local"], job["local"]),
        "nftables": firewall.nftables_rules(
            rules, blocked=job["networks"], egress=firewall.firewall_egress(site["services"]),
            users=["prosody", "_apt", "turnserver"],
        ),
        "website": of("website").website_files(domains),
        "munin": of("munin").munin_links(["bind_", "firewall_"], ["eth0"]),
    }
print(json.dumps(made, sort_keys=True))
"""
SERVICES = ["client", "server", "web", "dns", "proxy", "turn", "turns"]
JOB = {
    "peers": yaml.safe_load((TOP / "roles/turn/defaults/main.yml").read_text())["turn_denied_peers"],
    "local": ["10.0.0.5", "::ffff:10.0.0.5"],
    "networks": [
        "::ffff:0:0/96",
        "::ffff:192.0.2.0/120",
        "64:ff9b::/96",
        "198.51.100.0/25",
        "198.51.100.128/25",
        "2001:db8::/32",
    ],
    "records": [
        {"name": "translated", "type": "AAAA", "data": "64:ff9b::192.0.2.7"},
        {"name": "www", "type": "TXT", "data": 'ä \\ " é'},
    ],
    "lua": {
        "text": "ß\n\t\u2028\U0001f966\x7f",
        "number": [0.1, 1e300, 1e16, 10**15, -0.0, 3.0],
        "nested": {"a b": [True, False]},
    },
    "sites": {
        "small": {
            "domain": "example.org",
            "extra": [],
            "addresses": ["198.51.100.10"],
            "services": ["client", "server"],
        },
        "large": {
            "domain": "example.org",
            "extra": [{"domain": "chat.example.net"}],
            "addresses": ["198.51.100.10", "2001:DB8:0:0::10"],
            "services": SERVICES,
        },
    },
}


def render(python):
    done = subprocess.run(
        [python, "-c", RENDER, str(TOP / ".venv/collections")],
        input=json.dumps(JOB),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("python", pythons().values(), ids=pythons())
def test_every_python_writes_the_same(python):
    mine, others = render(sys.executable), render(python)
    for name, value in mine.items():
        assert others[name] == value, f"{python}: {name}"
    print(f"{python}: {len(json.dumps(mine))} characters, all the same")


def test_addresses_have_one_form():
    """Whichever Python this is: 3.11 and 3.13 disagree about these."""
    made = render(sys.executable)
    assert "::ffff:0:0-::ffff:ffff:ffff" in made["turn_ranges"]
    assert "::ffff:0:0/96" in made["large"]["nftables"]["blocked"]["v6"]
    assert any("64:ff9b::c000:207" in zone for zone in made["large"]["zones"])
    texts = [text for text in json.dumps(made).split('"') if "::ffff:" in text]
    assert texts and not [text for text in texts if "." in text.rpartition("::ffff:")[2].split()[0]]
