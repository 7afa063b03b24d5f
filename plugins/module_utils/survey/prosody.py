# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prosody of somebody else: its configuration, its domains, and how many accounts they have."""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.parse
from dataclasses import dataclass, field

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import as_user
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.words import count
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.survey.host import Finding, run

CONFIG = "/etc/prosody/prosody.cfg.lua"
DATA = "/var/lib/prosody"
# Comments of Lua and its strings, which may contain what looks like one.
TOKEN = re.compile(r'--\[(=*)\[.*?\]\1\]|--[^\n]*|("(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')', re.S)
SECTION = re.compile(
    r'^[ \t]*(VirtualHost|Host|Component)[ \t]*\(?[ \t]*["\']([^"\'\n]+)["\'][ \t]*\)?(?:[ \t]*["\']([^"\'\n]+)["\'])?',
    re.M,
)
SETTING = re.compile(
    r'^[ \t]*(data_path|default_storage|storage|authentication)[ \t]*=[ \t]*["\']([^"\'\n]+)["\']', re.M
)
INCLUDE = re.compile(r'^[ \t]*Include[ \t]*\(?[ \t]*["\']([^"\'\n]+)["\']', re.M)
SQL = re.compile(r"^[ \t]*sql[ \t]*=[ \t]*\{(.*?)\}", re.M | re.S)
FIELD = re.compile(r'(driver|database|host)[ \t]*=[ \t]*["\']([^"\'\n]*)["\']')

# Without its log the file is whole, and SQLite need not make a lock beside it.
COUNT = """
import json, os, sqlite3, sys, urllib.parse
path = sys.argv[1]
mode = "ro" if os.path.exists(path + "-wal") else "ro&immutable=1"
connection = sqlite3.connect("file:" + urllib.parse.quote(path) + "?mode=" + mode, uri=True)
rows = connection.execute(
    "select host, count(distinct \\"user\\") from prosody where store = 'accounts' group by host"
)
print(json.dumps(dict(rows.fetchall())))
"""


@dataclass
class Configuration:
    """What of Prosody's configuration says where the accounts are."""

    hosts: list[str] = field(default_factory=list)
    components: list[tuple[str, str]] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    sql: dict[str, str] = field(default_factory=dict)


def without_comments(text):
    """Lua without its comments."""
    return TOKEN.sub(lambda match: match.group(2) or "", text)


def parse(texts):
    """Turns the files of a configuration, in their order, into what is of interest. They are read, and not run."""
    found = Configuration()
    for text in map(without_comments, texts):
        for kind, name, module in SECTION.findall(text):
            if kind == "Component":
                found.components.append((name, module))
            else:
                found.hosts.append(name)
        found.settings.update(SETTING.findall(text))
        for body in SQL.findall(text):
            found.sql = dict(FIELD.findall(body))
    return found


def files(host, path=CONFIG):
    """The configuration's files with all that they include."""
    found = [path]
    for pattern in INCLUDE.findall(without_comments(host.read(path))):
        found += host.glob(os.path.join(os.path.dirname(path), pattern))
    return found


def count_files(host, data):
    """Domain → number of accounts, in the storage of files, of which a domain is a folder."""
    found = {}
    for folder in host.glob(f"{data}/*/accounts"):
        domain = urllib.parse.unquote(os.path.basename(os.path.dirname(folder)))
        accounts = [path for path in host.glob(f"{folder}/*") if path.endswith((".dat", ".list", ".xml"))]
        if accounts:
            found[domain] = len(accounts)
    return found


def count_sqlite(host, database):
    """Domain → number of accounts, in a database of SQLite, read with its owner's rights; None where that fails.

    What is in the file is a daemon's, and may be made to break its reader.
    """
    path = host.path(database)
    if not os.path.isfile(path):
        return {}
    command = [sys.executable, "-I", "-c", COUNT, path]
    if os.geteuid() == 0:
        owner = os.stat(path)
        command = as_user(str(owner.st_uid), str(owner.st_gid), *command)
    said = run(command)
    return None if said is None else json.loads(said)


def find(host):
    """Yields one finding where Prosody has a domain or an account."""
    paths = files(host)
    found = parse([host.read(path) for path in paths])
    data = found.settings.get("data_path", DATA)
    accounts = count_files(host, data)
    storage = found.settings.get("default_storage") or found.settings.get("storage", "internal")
    place = f"{storage} in {data}"
    counted, database = True, ""
    if storage == "sql" or found.sql:
        driver = found.sql.get("driver", "SQLite3")
        name = found.sql.get("database", "prosody.sqlite")
        place = f"{driver}, database {name}"
        if driver == "SQLite3":
            database = os.path.join(data, name)
            rows = count_sqlite(host, database)
            counted = rows is not None
            accounts |= rows or {}
        else:
            # It would take the database's password, and a connection to maybe another host.
            counted = False
            place += f" at {found.sql.get('host') or 'the local server'}"
    domains = [name for name in found.hosts if name != "localhost"]
    if not domains and not found.components and not accounts:
        return
    packages = sorted(name for name in host.packages if re.fullmatch(r"prosody(-[0-9.]+|-trunk|-nightly.*)?", name))
    versions = ", ".join(f"{name} {host.packages[name]}" for name in packages) or "no package of it is installed"
    domains = list(dict.fromkeys([*domains, *accounts]))
    parts = [
        f"{name} ({count(accounts.get(name, 0), 'account') if counted else 'accounts not counted'})" for name in domains
    ]
    parts += [f"component {name}{f' ({module})' if module else ''}" for name, module in found.components]
    yield Finding(
        id="prosody",
        found=f"Prosody ({versions}) with {', '.join(parts)}; storage: {place}",
        effect=f"{CONFIG} would be replaced. Only the domains of the inventory would be there, without these accounts.",
        choice="take over: Prosody is stopped, its configuration and its data are copied, and the data stays where it is. "
        "Playbook `import` brings its accounts into the new one afterwards.",
        keep=[
            "/etc/prosody",
            data,
            *([database] if database and not database.startswith(f"{data}/") else []),
        ],
        pause=["prosody.service"],
    )
