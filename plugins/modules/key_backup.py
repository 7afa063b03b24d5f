# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import key_backup
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import unpack

DOCUMENTATION = r"""
module: key_backup
short_description: Keep a host's keys in one encrypted file on the controller, and put them back on a host that has none
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - With O(state=saved), brings the files of each group to the controller and puts them into one file there, encrypted as
    C(ansible-vault) does. The groups that it holds already and that are not named stay in it.
  - With O(state=restored), puts the files of a group back when the host has none of them. Files that are there are never
    changed; where they differ from the backup, a warning says so.
  - The keys are on the controller in memory alone, and in no output, diff, log or argument that could be listed.
options:
  path:
    description:
      - The file on the controller. It is encrypted by the vault secret of the run, as C(--vault-password-file) gives it; of
        several the first one that is not bound to another name.
      - With O(state=restored), nothing is done when it is not there.
    type: path
    required: true
  groups:
    description:
      - Name of each group of files that belong together, to the pattern of their absolute paths, as of a shell, or a list of
        patterns. V(**) stands for folders of any depth.
    type: dict
    required: true
  volatile:
    description: >-
      Patterns of the names of files that change by themselves, such as a certificate beside its key. They are saved and
      restored, too, and not compared.
    type: list
    elements: str
    default: []
  state:
    description: Whether to save the files or to restore them.
    type: str
    choices: [saved, restored]
    required: true
attributes:
  check_mode:
    support: full
    description: Says what would change and changes nothing.
  diff_mode:
    support: none
    description: What there would be to show is secret.
seealso:
  - name: Ansible Vault
    description: How to give the secret.
    link: https://docs.ansible.com/ansible/latest/vault_guide/index.html
"""

EXAMPLES = r"""
- name: Save the keys of a zone
  magicbroccoli.xmpp.key_backup:
    path: "{{ inventory_dir }}/.keys/{{ inventory_hostname }}.vault"
    state: saved
    groups:
      example.org: /var/lib/bind/keys/Kexample.org.+*
    volatile: ["*.state"]

- name: Put them back on a host that has none
  magicbroccoli.xmpp.key_backup:
    path: "{{ inventory_dir }}/.keys/{{ inventory_hostname }}.vault"
    state: restored
    groups:
      example.org: /var/lib/bind/keys/Kexample.org.+*
    volatile: ["*.state"]
"""

RETURN = r"""
groups:
  description: Name of each group to what was done or found.
  returned: success
  type: dict
  contains:
    status:
      description:
        - With O(state=saved), V(saved), V(same) when the backup has the same, or V(empty) when the host has no such file.
        - With O(state=restored), V(restored), V(same), V(different), or V(absent) when the backup has none.
      type: str
    files:
      description: Paths of the files that were saved or restored, or that differ.
      type: list
      elements: str
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path"},
            "groups": {"type": "dict"},
            "volatile": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["saved", "restored"]},
            # All that the action plugin sends, as one string: hidden from logs, and found in no result.
            "_payload": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    if not module.params["_payload"]:
        module.fail_json(
            msg="key_backup works through its action plugin only; call it as magicbroccoli.xmpp.key_backup."
        )
    payload = unpack(module.params["_payload"])
    try:
        if payload["do"] == "read":
            module.exit_json(changed=False, sealed=key_backup.seal(key_backup.read(payload["groups"]), payload["seal"]))
        if payload["do"] == "look":
            module.exit_json(changed=False, groups=key_backup.look(payload["groups"]))
        module.exit_json(changed=True, written=key_backup.write(payload["files"]))
    except key_backup.BackupError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
