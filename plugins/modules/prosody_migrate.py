#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import sys
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import prosody_migration
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_files import read, write_new
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host import commands, files
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.words import count

DOCUMENTATION = r"""
module: prosody_migrate
short_description: Import accounts into Prosody's store, or export them, by Debian's prosody-migrator
version_added: 0.2.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Imports accounts with their passwords, contacts, vCards, private data, PEP nodes and archives. Sources are another store of
    Prosody, and XEP-0227 as ejabberd, Snikket and Prosody write it. Exports accounts to one file of XEP-0227.
  - Only domains that are named are imported. RV(report) says what came, what did not, and why.
  - An account that is there already would be replaced. This is refused unless O(replace) is true. An import that was interrupted
    is continued by the same import.
  - Prosody is stopped during an import. Sources and files are read with the rights of user C(prosody) only.
attributes:
  check_mode:
    support: full
    description: Reads the source and says what would come.
  diff_mode:
    support: none
    description: Nobody's data is shown.
  platform:
    support: full
    description: Debian.
    platforms: debian
options:
  source:
    description:
      - The source on the host - a folder of Prosody's files, an SQLite file, or a file or folder of XEP-0227.
      - With O(kind=postgresql) and O(kind=mysql), the URL of a database that user C(prosody) can reach from the host, as
        C(postgresql://USER@HOST:PORT/DATABASE). C(postgresql:///DATABASE) is one on the host itself, by its socket. The
        client, C(psql), C(mariadb) or C(mysql), has to be there.
    type: str
  kind:
    description: What the source is.
    type: str
    choices: [files, sqlite, postgresql, mysql, xep0227]
  password:
    description: The password of a database's user, if it asks for one.
    type: str
  target:
    description: The new file of XEP-0227 on the host, instead of O(source). Who may read it sees hashes and messages.
    type: path
  sql:
    description: Prosody's option C(sql).
    type: dict
    required: true
  domains:
    description: The domains with accounts, as Prosody has them.
    type: list
    elements: str
    required: true
  rooms:
    description: The domains with rooms.
    type: list
    elements: str
    default: []
  password_hash:
    description: Prosody's option of this name.
    type: str
    default: SHA-1
  replace:
    description: Whether accounts that are there are replaced.
    type: bool
    default: false
  archives:
    description: Whether an export has the messages of archives. Its time grows with the square of their number.
    type: bool
    default: false
  accounts:
    description: The accounts of an export, as Prosody has their addresses; without any, all of O(domains).
    type: list
    elements: str
    default: []
requirements:
  - prosody-migrator and setpriv on the host
seealso:
  - name: XEP-0227
    description: Portable Import/Export Format for XMPP-IM Servers.
    link: https://xmpp.org/extensions/xep-0227.html
"""

EXAMPLES = r"""
- name: Import the accounts of an old Prosody
  magicbroccoli.xmpp.prosody_migrate:
    source: /var/lib/prosody
    kind: files
    sql: {driver: SQLite3, database: /var/lib/prosody/prosody.sqlite}
    domains: [example.org]
"""

RETURN = r"""
report:
  description: What came or would come, what did not or would not, and why, one a line.
  returned: success
  type: list
  elements: str
  sample: ["example.org: 3 accounts (roster: 2, vcard: 1)"]
"""

MIGRATOR = "/usr/bin/prosody-migrator"
DATA_PATH = re.compile(r"^CFG_DATADIR='[^']*';$", re.M)
# A file of XEP-0227 has no data of the domain itself, and mod_storage_xep0227 takes a missing archive for an error.
HOST_DATA = re.compile(r"^.*-- host data$", re.M)
# And it fails for rosters without what newer versions write into each.
KEYVAL = re.compile(r"^(\t+)(assert\(destination:set\(user, data\)\);)", re.M)
WHOLE_ROSTER = r"""\1if origin.store == "roster" and data then
\1	for name, item in pairs(data) do
\1		if name == false then item.pending = item.pending or {}; else item.groups = item.groups or {}; end
\1	end
\1end
\1\2"""
OWNER = "prosody"
STATE = "/var/lib/xmpp-migration"
RUNNING = f"{STATE}/running.json"
ACCOUNTS = ["accounts", "account_details", "account_roles", "roster", "vcard", "private", "blocklist", "privacy"]
ARCHIVES = ["archive-archive", "offline-archive"]
PEP = ["pep-pubsub"]
ROOMS = ["persistent", "config", "state", "muc_log-archive"]
# What mod_storage_xep0227 has of these.
PORTABLE = ["accounts", "roster", "vcard", "private", "pep-pubsub"]
# By the beginnings of stores' names; a PEP node is a store of its own.
KNOWN = tuple(
    {name.partition("-")[0] for name in [*ACCOUNTS, *ARCHIVES, *PEP, *ROOMS]} | {"pep_", "pubsub_", "pubsub_nodes"}
)
SAFE = re.compile(r"[\w./@%+: -]+")


class MigrateError(Exception):
    """What keeps accounts from being imported or exported."""


def as_owner(act, **given):
    """Has user prosody do an act of prosody_migration, with no other rights, and returns its result."""
    loader: Any = prosody_migration.__loader__
    group = str(pwd.getpwnam(OWNER).pw_gid)
    job = json.dumps({"act": act, **given})
    command = commands.as_user(OWNER, group, sys.executable, "-I", "-c", loader.get_source(prosody_migration.__name__))
    done = commands.attempt(command, stdin=job, seconds=None, cwd="/")
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        said = " ".join(done.stderr.split())[-600:] or f"it ended with {done.status}"
        raise MigrateError(f"user {OWNER} could not read it: {said}") from error
    if problem := answer.get("problem"):
        raise MigrateError(problem)
    return answer["result"]


def stored(sql):
    """Domain → names of the accounts in the store that Prosody uses."""
    if sql["driver"] == "SQLite3":
        if not os.path.exists(sql["database"]):
            return {}
        return {
            name: one["users"] for name, one in as_owner("scan", kind="sqlite", path=sql["database"], family="").items()
        }
    psql = [
        "psql",
        "--no-psqlrc",
        "--no-password",
        "--tuples-only",
        "--no-align",
        "--dbname",
        sql["database"],
        "--command",
    ]
    group = str(pwd.getpwnam(OWNER).pw_gid)

    def ask(query):
        return commands.run(commands.as_user(OWNER, group, *psql, query), cwd="/").splitlines()

    # Prosody makes its tables at its first start.
    if ask("SELECT to_regclass('prosody') IS NOT NULL") != ["t"]:
        return {}
    accounts = """SELECT DISTINCT "host", "user" FROM prosody WHERE "store" = 'accounts'"""
    done = ask(f'SELECT json_build_array("host", "user") FROM ({accounts}) AS accounts')
    found: dict[str, list] = {}
    for line in done:
        domain, user = json.loads(line)
        found.setdefault(domain, []).append(user)
    return found


def lua(value):
    """A value in Lua. Texts are paths, and names that the inventory's check has let through."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"[{lua(key)}] = {lua(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "{ " + ", ".join(map(lua, value)) + " }"
    if not SAFE.fullmatch(value) and value:
        raise MigrateError(
            f"{value!r} must have no letters but those of names, and blanks, dots, slashes, dashes; rename it"
        )
    return f'"{value}"'


def migrate(given, work, way_in, way_out, hosts):
    """Runs prosody-migrator; `work` is the folder that its module for XEP-0227 reads and writes."""
    options = {"config": {"password_hash": given["password_hash"]}}
    text = f"input {lua({**way_in, **options, 'hosts': hosts})}\noutput {lua({**way_out, **options, 'hosts': hosts})}\n"
    with open(MIGRATOR, encoding="utf-8") as stream:
        program = stream.read()
    changes = [(DATA_PATH, f"CFG_DATADIR='{work}';")]
    if way_in["type"] == "xep0227":
        changes.append((HOST_DATA, ""))
    if way_out["type"] == "xep0227":
        changes.append((KEYVAL, WHOLE_ROSTER))
    for old, new in changes:
        program, number = old.subn(new, program, count=1)
        if number != 1:
            raise MigrateError(f"{MIGRATOR} is not the one of Debian 12 or 13: it lacks {old.pattern}")
    for name, content in (("migrator.cfg.lua", text), ("migrator", program)):
        with open(f"{work}.{name}", "w", encoding="utf-8") as stream:
            stream.write(content)
    group = str(pwd.getpwnam(OWNER).pw_gid)
    command = ["lua5.4", f"{work}.migrator", "--config", f"{work}.migrator.cfg.lua"]
    done = commands.attempt(commands.as_user(OWNER, group, *command), seconds=None, cwd="/")
    if done.status or "Done!" not in done.stderr:
        raise MigrateError(
            f"prosody-migrator failed: {' '.join(done.said.split())[-800:]}. Accounts before this one are there; correct the "
            "cause, and run it again"
        )


def summary(domain, one):
    """One domain's line of the report."""
    stores = ", ".join(f"{store}: {number}" for store, number in one["stores"].items() if store != "accounts")
    return f"{domain}: {count(len(one['users']), 'account')}{f' ({stores})' if stores else ''}"


def judge(found, given):
    """The domains that come with their stores, and the report."""
    hosts, report = {}, []
    for domain, one in sorted(found.items()):
        if domain in given["domains"]:
            hosts[domain] = PORTABLE if given["kind"] == "xep0227" else ACCOUNTS + ARCHIVES + PEP
        elif domain in given["rooms"] and given["kind"] != "xep0227":
            hosts[domain] = ROOMS
        else:
            report.append(
                f"not imported: {summary(domain, one)}. It is no domain of this host; add it to xmpp_domain, xmpp_domains_extra "
                "or xmpp_components"
            )
            continue
        report.append(summary(domain, one))
        for kind, number in sorted(one["passwords"].items()):
            if kind == "none":
                report.append(f"{domain}: {count(number, 'account')} without a password; nobody can log in to them")
            elif kind not in ("plain", given["password_hash"]):
                report.append(
                    f"{domain}: {count(number, 'account')} with a hash of {kind}, while prosody_password_hash is "
                    f"{given['password_hash']}: nobody can log in to them; set it to {kind}, or send invitations that reset them"
                )
        for what, number in sorted(one["left"].items()):
            report.append(f"{domain}: not imported: {what}: {number}; prosody-migrator does not know it")
        for store, number in one["stores"].items():
            if not store.startswith(KNOWN):
                report.append(f"{domain}: not imported: store {store} of {count(number, 'account')}")
    return hosts, report


def check_there(found, hosts, given, running):
    """Refuses to replace accounts, but for those of the same import that was interrupted."""
    there = stored(given["sql"])
    twice = [f"{user}@{name}" for name in hosts for user in found[name]["users"] if user in there.get(name, [])]
    if twice and not given["replace"] and running != identity(given):
        raise MigrateError(
            f"{count(len(twice), 'account')} of the source would replace those of the same name: {', '.join(twice[:5])}"
            f"{' and more' if len(twice) > 5 else ''}. Nothing was imported. If they may be replaced, set import_replace: true"
        )


def bring(given, work, hosts):
    """Brings all stores of the source into Prosody's."""
    database = {"type": "sql", **given["sql"]}
    if given["kind"] == "xep0227":
        migrate(given, work, {"type": "xep0227"}, database, hosts)
        if os.listdir(f"{work}-archives"):
            archives = {domain: ARCHIVES[:1] for domain in hosts}
            migrate(given, f"{work}-archives", {"type": "xep0227"}, database, archives)
    elif given["kind"] in ("sqlite", *prosody_migration.SERVERS):
        # prosody-migrator has one database at a time, and would write to the source.
        files_ = {"type": "internal", "path": f"{work}/files"}
        source = {"type": "sql", "driver": "SQLite3", "database": f"{work}/source.sqlite"}
        migrate(given, work, source, files_, hosts)
        migrate(given, work, files_, database, hosts)
    else:
        migrate(given, work, {"type": "internal", "path": given["source"]}, database, hosts)
    if os.listdir(f"{work}-hashed"):
        hashed = {domain: ["accounts"] for domain in hosts}
        migrate(given, work, {"type": "internal", "path": f"{work}-hashed"}, database, hashed)


def identity(given):
    """What makes an import the same one."""
    return {key: given[key] for key in ("source", "kind", "domains", "rooms")}


def import_(given, check):
    """Imports a source, and returns the report."""
    with tempfile.TemporaryDirectory(prefix="xmpp-migration-", dir="/var/tmp") as place:
        work = f"{place}/users"
        for path in (work, f"{work}-archives", f"{work}-hashed", place):
            os.makedirs(path, 0o700, exist_ok=True)
            shutil.chown(path, OWNER, OWNER)
        into = "" if check else work
        source = {"kind": given["kind"], "path": given["source"], "password": given["password"] or ""}
        found = as_owner("scan", **source, family=given["password_hash"], into=into)
        hosts, report = judge(found, given)
        if not hosts:
            raise MigrateError("\n".join(["There is nothing to import:", *(report or ["the source has no account"])]))
        check_there(found, hosts, given, files.read_json(RUNNING))
        if check:
            return report
        os.makedirs(STATE, 0o700, exist_ok=True)
        files.write_json(RUNNING, identity(given), mode=0o600)
        commands.run(["systemctl", "stop", "prosody.service"], seconds=300)
        try:
            bring(given, work, hosts)
        finally:
            commands.run(["systemctl", "start", "prosody.service"], seconds=300)
        there = stored(given["sql"])
        missing = [
            f"{user}@{name}" for name in hosts for user in found[name]["users"] if user not in there.get(name, [])
        ]
        if missing:
            raise MigrateError(f"prosody-migrator ended without an error, but did not bring {', '.join(missing[:10])}")
        files.remove(RUNNING)
        return report


def chosen(there, given):
    """Domain → names of the accounts to export."""
    if not given["accounts"]:
        return {domain: there.get(domain, []) for domain in given["domains"]}
    found: dict[str, list] = {}
    for account in given["accounts"]:
        name, _at, domain = account.rpartition("@")
        if domain not in given["domains"] or name not in there.get(domain, []):
            raise MigrateError(
                f"export_accounts: {account!r} is no account of this host; write addresses as name@{given['domains'][0]}. "
                "Nothing was exported"
            )
        found.setdefault(domain, []).append(name)
    return found


def export(given, check):
    """Exports the store, and returns the report."""
    there = chosen(stored(given["sql"]), given)
    report = [f"{domain}: {count(len(names), 'account')}" for domain, names in there.items()]
    report.append(
        "not exported: block lists, kept messages, rooms and uploads, which prosody-migrator cannot write to XEP-0227"
        + ("" if given["archives"] else "; archives, for which export_archives: true is needed")
    )
    if check:
        return report
    with tempfile.TemporaryDirectory(prefix="xmpp-migration-", dir="/var/tmp") as place:
        work = f"{place}/users"
        os.mkdir(work, 0o700)
        for path in (place, work):
            shutil.chown(path, OWNER, OWNER)
        stores = PORTABLE + (ARCHIVES[:1] if given["archives"] else [])
        hosts = {domain: stores for domain, names in there.items() if names}
        migrate(given, work, {"type": "sql", **given["sql"]}, {"type": "xep0227"}, hosts)
        numbers = as_owner(
            "join", path=work, target=f"{place}/export.xml", accounts={domain: there[domain] for domain in hosts}
        )
        wrong = [domain for domain in hosts if numbers[domain] != len(there[domain])]
        if wrong:
            raise MigrateError(f"of {', '.join(wrong)}, not all accounts were written; nothing was exported")
        data = read(f"{place}/export.xml")
        if data is None:
            raise MigrateError("the file that was written is none any more; nothing was exported")
        os.makedirs(os.path.dirname(given["target"]), 0o700, exist_ok=True)
        files.remove(given["target"])
        write_new(given["target"], data, 0, 0, 0o600)
    return report


def main():
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "str"},
            "kind": {"type": "str", "choices": ["files", "sqlite", "postgresql", "mysql", "xep0227"]},
            "password": {"type": "str", "no_log": True},
            "target": {"type": "path"},
            "sql": {"type": "dict", "required": True},
            "domains": {"type": "list", "elements": "str", "required": True},
            "rooms": {"type": "list", "elements": "str", "default": []},
            "password_hash": {"type": "str", "default": "SHA-1", "no_log": False},
            "replace": {"type": "bool", "default": False},
            "archives": {"type": "bool", "default": False},
            "accounts": {"type": "list", "elements": "str", "default": []},
        },
        required_one_of=[("source", "target")],
        mutually_exclusive=[("source", "target")],
        required_by={"source": ["kind"]},
        supports_check_mode=True,
    )
    act = import_ if module.params["source"] else export
    try:
        report = act(module.params, module.check_mode)
    except (MigrateError, commands.CommandError, OSError, KeyError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, report=report)


if __name__ == "__main__":
    main()
