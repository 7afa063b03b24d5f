#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.prosody_store import StoreError, move

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
    description: The system user who owns the database, as whom it is written to.
    type: str
    default: prosody
  config:
    description: Prosody's configuration, which tells whether PostgreSQL is in use.
    type: path
    default: /etc/prosody/prosody.cfg.lua
requirements:
  - psql and runuser on the host
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
    try:
        tables = move(check=module.check_mode, **module.params)
    except StoreError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(tables), tables=tables)


if __name__ == "__main__":
    main()
