#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pwd
import sys
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import prosody_store
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.commands import CommandError, as_user, attempt

DOCUMENTATION = r"""
module: prosody_move_store
short_description: Copy Prosody's store from SQLite to PostgreSQL
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Copies every table with every row, in one transaction, and compares what has arrived by count and digest. Prosody has
    the same tables in both, so that nothing is interpreted.
  - Prosody must not run meanwhile. Its configuration is left alone, and so is the file.
  - What an earlier copy has left in PostgreSQL is replaced, as long as Prosody's configuration does not name PostgreSQL.
    From then on nothing is copied.
  - Times of archived messages lose their fractions of a second, as Prosody itself drops them with PostgreSQL.
attributes:
  check_mode:
    support: full
    description: Tells what would be copied.
  diff_mode:
    support: none
    description: Nobody's data is shown.
  platform:
    support: full
    description: Debian.
    platforms: debian
options:
  source:
    description: The SQLite file. One that is not there is nothing to copy.
    type: path
    default: /var/lib/prosody/prosody.sqlite
  database:
    description: The database, on the same host, by its unix socket.
    type: str
    default: prosody
  owner:
    description: The system user who owns both stores, as whom the file is read and the database is written to.
    type: str
    default: prosody
  config:
    description: Prosody's configuration, which tells whether PostgreSQL is in use.
    type: path
    default: /etc/prosody/prosody.cfg.lua
requirements:
  - psql and setpriv on the host
seealso:
  - name: Data storage in Prosody
    description: The manual of its SQL storage.
    link: https://prosody.im/doc/modules/mod_storage_sql
"""

EXAMPLES = r"""
- name: Copy the store
  magicbroccoli.xmpp.prosody_move_store:
    source: /var/lib/prosody/prosody.sqlite
    database: prosody
  register: copied
"""

RETURN = r"""
tables:
  description: The number of rows that were copied, or would be, by table. Empty where nothing was to do.
  returned: always
  type: dict
  sample: {prosody: 4123, prosodyarchive: 98765}
"""


def move(source, database, owner, check):
    """Have the owner of the store copy it, with the owner's rights, and return the number of rows by table."""
    loader: Any = prosody_store.__loader__
    source_code = loader.get_source(prosody_store.__name__)
    job = json.dumps({"source": source, "database": database, "check": check})
    try:
        group = str(pwd.getpwnam(owner).pw_gid)
    except KeyError:
        raise prosody_store.StoreError(f"owner: {owner} is no user of this host") from None
    command = as_user(owner, group, sys.executable, "-I", "-c", source_code, job)
    done = attempt(command, seconds=None, cwd="/")
    try:
        answer = json.loads(done.stdout)
        if problem := answer.get("problem"):
            raise prosody_store.StoreError(str(problem))
        return {str(table): int(rows) for table, rows in answer["tables"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = " ".join(done.stderr.split())[-600:] or f"it ended with {done.status}"
        raise prosody_store.StoreError(f"{source}: who copies it, user {owner}, gave no answer: {said}") from error


def main():
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "path", "default": "/var/lib/prosody/prosody.sqlite"},
            "database": {"type": "str", "default": "prosody"},
            "owner": {"type": "str", "default": "prosody"},
            "config": {"type": "path", "default": "/etc/prosody/prosody.cfg.lua"},
        },
        supports_check_mode=True,
    )
    config, source = module.params["config"], module.params["source"]
    tables = {}
    try:
        if not prosody_store.is_in_use(config) and os.path.exists(source):
            tables = move(source, module.params["database"], module.params["owner"], module.check_mode)
    except (prosody_store.StoreError, CommandError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(tables), tables=tables)


if __name__ == "__main__":
    main()
