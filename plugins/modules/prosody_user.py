#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import addresses, prosody_users

DOCUMENTATION = r"""
module: prosody_user
short_description: Manage an account of a running Prosody
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Creates, deletes, enables and disables an account, and sets its role and its password.
  - Talks to the running server by the socket of its module C(admin_shell), so that sessions end and other modules learn of
    it at once. The password is in no process list, log, difference or fact.
  - Fails when Prosody does not answer, does not have the domain, or keeps its accounts otherwise than in
    C(internal_hashed), and says so.
options:
  jid:
    description: The account, as V(juliet@example.org) - a bare JID as XMPP compares it, in lower case (RFC 7622). Its
      domain may have U-labels or A-labels.
    type: str
    required: true
  state:
    description:
      - V(present) - it is there, enabled or not. A new one is enabled.
      - V(absent) - it is not there. All that Prosody has stored for it is deleted.
      - V(enabled) - it is there and can log in.
      - V(disabled) - it is there and cannot log in. Its sessions end, its data stay, messages to it are kept.
    type: str
    choices: [present, absent, enabled, disabled]
    default: present
  password:
    description: The password, without control characters (RFC 4013). A new account needs one.
    type: str
  update_password:
    description:
      - V(on_create) sets the password of a new account only, so that users can change theirs.
      - V(always) sets it when it is another one, and ends the account's sessions then.
    type: str
    choices: [on_create, always]
    default: on_create
  role:
    description:
      - The role. Without it, a new account is a member, and an old one keeps its own.
      - Prosody 0.12 knows administrators and others only - V(registered) and V(member) are the same there, V(guest) and
        V(operator) an error.
      - An account that the configuration names as an administrator is one, so that another role is an error.
    type: str
    choices: [guest, registered, member, admin, operator]
  socket:
    description: Prosody's administration socket on the host.
    type: path
    default: /var/lib/prosody/prosody.sock
  timeout:
    description: Seconds that Prosody has to answer, and to come back when it restarts.
    type: int
    default: 10
attributes:
  check_mode:
    support: full
    description: Asks the same and changes nothing.
  diff_mode:
    support: full
    description: Shows what changes, and of a password only that it does.
notes:
  - On Prosody 0.12, which has no disabled accounts, the key of one is put aside in the store. It works again after V(enabled),
    before and after an upgrade to 13.
requirements:
  - Prosody 0.12 or later, with C(admin_shell)
  - the right to open its socket, as root has
seealso:
  - name: XEP-0077
    description: Accounts that users make themselves.
    link: https://xmpp.org/extensions/xep-0077.html
"""

EXAMPLES = r"""
- name: Have an account, whose owner changes the password
  magicbroccoli.xmpp.prosody_user:
    jid: juliet@example.org
    password: "{{ vault_juliet }}"

- name: Let nobody log in to it, but keep it
  magicbroccoli.xmpp.prosody_user:
    jid: romeo@example.org
    state: disabled

- name: Make an administrator
  magicbroccoli.xmpp.prosody_user:
    jid: admin@example.org
    role: admin
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode, in this order.
  returned: success
  type: list
  elements: str
  sample: [create, role]
account:
  description: How the account stands. In check mode, how it stood before.
  returned: success
  type: dict
  contains:
    exists:
      description: Whether it is there.
      type: bool
    enabled:
      description: Whether it can log in.
      type: bool
    role:
      description: Its role; empty for those who are no administrators of Prosody 0.12.
      type: str
      sample: member
"""


def shown(state):
    """What may be seen of an account."""
    return {"exists": state["exists"], "enabled": state["enabled"], "role": prosody_users.short(state["role"])}


def main():
    module = AnsibleModule(
        argument_spec={
            "jid": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent", "enabled", "disabled"], "default": "present"},
            "password": {"type": "str", "no_log": True},
            "update_password": {
                "type": "str",
                "choices": ["on_create", "always"],
                "default": "on_create",
                "no_log": False,
            },
            "role": {"type": "str", "choices": list(prosody_users.ROLES)},
            "socket": {"type": "path", "default": "/var/lib/prosody/prosody.sock"},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    jid, wanted, password, role = (module.params[name] for name in ("jid", "state", "password", "role"))
    try:
        jid = addresses.bare_jid(jid)
    except ValueError as error:
        module.fail_json(
            msg=f"jid: {jid!r} is not a bare JID: {error}; write for example 'juliet@example.org' (RFC 7622)"
        )
    try:
        if password is not None:
            prosody_users.check_password(password)
        account = prosody_users.Account(jid, password, module.params["socket"], module.params["timeout"])
        before = after = account.run()
        steps = prosody_users.plan(before, wanted, password, module.params["update_password"], role)
        if steps and not module.check_mode:
            after = account.run(steps, role)
    except prosody_users.ProsodyError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(steps),
        steps=steps,
        account=shown(after),
        diff={"before": {**shown(before), "changes": ""}, "after": {**shown(after), "changes": ", ".join(steps)}},
    )


if __name__ == "__main__":
    main()
