#!/usr/bin/python
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import sys

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree import (
    RUN_DIR,
    STATE_DIR,
    ConfigTree,
)
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_change import ConfigTreeError
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.config_tree_texts import unpack

DOCUMENTATION = r"""
module: config_tree
short_description: Put a role's whole configuration in place, all files or none
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Renders every template of a role on the controller, sends them in one call, and on the host compares, validates
    and replaces all of them or none.
  - A template's path below O(src) is its destination, so that C(templates/etc/nginx/nginx.conf.j2) becomes
    C(/etc/nginx/nginx.conf). A file that ends in C(.j2) is rendered exactly as M(ansible.builtin.template) does with
    its defaults; any other file is placed as it is, whatever bytes it has.
  - A file whose name, or the name of one of its directories below O(src), starts with an underscore is not placed.
    Such files are there for C(include) and C(import).
  - When a validator refuses, a disk is full or an owner does not exist, the host is as it was before, the task fails,
    and its message has what the validator said, with the paths that the files were to have.
  - When a run is killed at any moment, no file is ever half-written, and the next run of this module on the host,
    for whatever role, first restores the old files. The next run for a path that was replaced but never reported
    says changed, so that its handlers run.
  - A destination that is a symbolic link is replaced by the file, and what it pointed to stays as it is. A destination
    that is a directory, a socket, a pipe or a device is an error. A directory above a destination may be a symbolic
    link of root, not of anybody else.
  - A file is replaced by a new one. Its access control lists, its extended attributes and its further hard links stay
    with the old one.
  - Files take effect whose place says how. Users, groups and memberships that a file C(/etc/sysusers.d/*.conf) asks
    for are made before anything else, so that the role's other files may belong to them. When the files are in place,
    C(systemd-tmpfiles --create) runs for each C(/etc/tmpfiles.d/*.conf) if any file has changed, and
    C(systemctl daemon-reload) runs once if anything below C(/etc/systemd/system) has, C(systemd-sysctl) if a file
    C(/etc/sysctl.d/*.conf) has (in a container for the keys of the network alone), and C(pam-auth-update --package) if one in
    C(/usr/share/pam-configs) has. A profile in C(/etc/apparmor.d) is
    loaded into the kernel, or removed from it where C(/etc/apparmor.d/disable) has a link to it; not in a container, whose
    kernel is another machine's. Services are neither started nor restarted, and a process that runs is confined by a new
    profile from its next start on.
  - The module needs root on the host. It keeps its journal in C(/var/lib/config_tree) and, while it runs, its lock and
    what it validates in C(/run/config_tree).
attributes:
  check_mode:
    support: full
    description:
      - Says what would change, and runs the validators on the staged files. A validator that is not installed, and
        O(validate_live), are skipped and named in RV(skipped_validators). An owner or group that does not exist is no
        error.
  diff_mode:
    support: full
    description: Shows contents and attributes, before and after. Of a secret file, only that it changes.
options:
  src:
    description:
      - The directory of templates. A relative path is looked for as M(ansible.builtin.template) does, in the role
        first, then beside the playbook.
      - The default is the directory C(templates) of the role, or of the playbook where there is no role. When that
        does not exist, there are no templates. A directory that is named here has to exist.
      - Both C(x) and C(x.j2), and a symbolic link to a directory, are errors.
      - A file that is encrypted by Ansible Vault is decrypted, and is secret.
    type: path
  files:
    description:
      - Absolute path to attributes, for templates that need others than the defaults, and for paths that have no
        template.
      - The attributes of one path are listed here; they are checked on the controller before anything is sent. An
        attribute that is not listed, a path that is not absolute or has a C(..), and a path below one that is no
        directory are errors, unless both are V(absent).
      - "C(state) (string, default V(file)): V(file), V(absent), V(directory) or V(link). V(absent) removes a file, a
        link, or a directory with all that is in it; a template with that path is not rendered, and all other
        attributes are ignored."
      - "C(owner), C(group) (string or number, default V(root)): they have to exist on the host."
      - "C(mode) (string): four octal digits in quotes; the default is V('0644') for a file, V('0755') for a directory.
        A link has none."
      - "C(content) (string): the text of the file, where there is no template. For files whose number or name is data."
      - "C(target) (string): what a link points to, as it is written into the link."
      - "C(validate) (command: a list of strings, or one string): it has to exit with 0 for the new file, whose path
        replaces V(%s). It runs only when the content changes, before anything is replaced. No shell is involved."
      - "C(secret) (boolean, default V(false)): the content appears in no diff, no result and no error. In what a
        validator says, words of the file that its template does not have are replaced by C([secret]), except words
        with fewer than four characters and numbers with fewer than six digits."
      - "C(conceals) (list of strings): variables whose values are secret in a template of Lua that is public otherwise. Diffs have
        C([secret]) in place of every text, number and comment, before and after, that is not in the file as it is without these
        values; what a validator says is treated as with C(secret)."
      - "C(serial) (string): a token that the text has exactly once, such as V(@SERIAL@), for which the host puts a
        serial number of the DNS. While the live file is the same but for the number, the live number stays. Otherwise
        it is the time in seconds since 1970, so that a host that was set up anew is ahead of what secondary servers
        remember of it, or the number after the live one where that would not be ahead of it (RFC 1982). The live number is that of the file's SOA record, else the one on the line
        with the same text around it."
      - "C(exclusive) (boolean, default V(false)): of a directory, removes everything in it that is not in this task's set."
      - Directories above a file or link that do not exist are made, root's and with the mode V(0755), and removed again
        when the run fails.
    type: dict
    default: {}
  programs:
    description:
      - "Programs of the collection that the role needs in C(/usr/local/sbin): the name of each, or its path elsewhere, and the
        room of the package C(plugins/module_utils/host) whose C(main.py) it calls, for example C({xmpp-status: status})."
      - The package is installed whole as C(/usr/local/lib/xmpp/xmpp_host), in the same transaction as the role's files. An empty
        dictionary installs it without a program, for files of the role that import it.
    type: dict
  validate_tree:
    description:
      - A command that has to exit with 0 for the new configuration as a whole, for a program that can be told where
        its configuration is. The list of its words, or one string, which is split as a shell would.
      - It runs when any content changes, before anything is replaced. V(%s) stands for the root of a tree that has all
        files, links and directories of this task at their full paths, with their owners and modes.
      - A validator that takes more than 300 seconds has refused.
    type: raw
  validate_live:
    description:
      - A command that has to exit with 0 for the configuration as a whole, for a program that can only check its live
        paths. The list of its words, or one string, which is split as a shell would.
      - It runs when anything changes, after the files were replaced. When it refuses, all of them are restored.
      - Until it has ended, a file that one replaced is beside it as C(.NAME.TOKEN.old~), and a file where there was none
        before has a second name, C(.NAME.TOKEN.new~).
    type: raw
  roles:
    description:
      - Roles of this collection, which the play imports. Their files are installed in one transaction, as their variables
        C(__ROLE_plan) have them (M(magicbroccoli.xmpp.plan)). It excludes all other options.
      - A role is left out, and installs its files itself, if these wait for another step of it (its plan has C(exists) or
        C(due)), or if a service of it runs, which it would restart. It needs the facts of M(magicbroccoli.xmpp.host_facts).
    type: list
    elements: str
    version_added: 0.2.0
  installed:
    description:
      - What a task with O(roles) has returned of this role, RV(roles). The host is not asked again, and the result is of these
        files, so that the role's handlers run. Without a value, the task does its work.
    type: dict
    version_added: 0.2.0
notes:
  - A run waits up to 60 seconds for another one on the same host to end, and then fails.
  - Validators run in the directory C(/), in the locale C(C.UTF-8), and find programs in the C(sbin) directories too.
seealso:
  - module: ansible.builtin.template
  - name: RFC 1982
    description: Serial number arithmetic.
    link: https://www.rfc-editor.org/rfc/rfc1982
"""

EXAMPLES = r"""
- name: Put the configuration of nginx in place
  magicbroccoli.xmpp.config_tree:
    files:
      /etc/nginx/sites-enabled/default: {state: absent}
      /etc/nginx/sites-enabled/xmpp.conf: {state: link, target: ../sites-available/xmpp.conf}
    validate_live: [nginx, -t]
  notify: Reload nginx

- name: Put the configuration of sshd in place
  magicbroccoli.xmpp.config_tree:
    files:
      /etc/ssh/sshd_config: {mode: "0600", validate: [sshd, -t, -f, "%s"]}
  notify: Reload sshd

- name: Put a zone and the key that may change it in place
  magicbroccoli.xmpp.config_tree:
    src: zones
    files:
      /var/lib/bind/example.org.zone:
        content: |
          $TTL 3600
          @ SOA ns.example.org. hostmaster.example.org. @SERIAL@ 3600 900 1209600 300
          @ NS ns.example.org.
          ns A 198.51.100.10
        serial: "@SERIAL@"
        validate: [named-checkzone, example.org, "%s"]
      /etc/bind/update.key: {group: bind, mode: "0640", secret: true}
  register: zone_files
"""

RETURN = r"""
paths:
  description: The absolute paths that were changed, made or removed, sorted. With directories that had to be made.
  type: list
  elements: str
  returned: success
  sample: [/etc/nginx/nginx.conf, /etc/nginx/sites-enabled/default]
skipped_validators:
  description: The commands that check mode could not run, each with the reason.
  type: list
  elements: str
  returned: success
  sample: ["nginx -t: nginx is not installed"]
roles:
  description: For each role that was not left out, whether something has changed, and the paths.
  type: dict
  returned: with O(roles)
  sample: {"nginx": {"changed": true, "paths": ["/etc/nginx/nginx.conf"]}}
output:
  description: What the validator said that refused.
  type: str
  returned: when a validator refused
  sample: "/etc/ssh/sshd_config: line 3: Bad configuration option: Prot"
path:
  description: The file that the validator refused, or named first, if any.
  type: str
  returned: when a validator refused
  sample: /etc/ssh/sshd_config
line:
  description: The line that the validator named, if any.
  type: int
  returned: when a validator refused
  sample: 3
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path"},
            "files": {"type": "dict", "default": {}},
            "validate_tree": {"type": "raw"},
            "validate_live": {"type": "raw"},
            # All that the action plugin sends, as one string: hidden from logs, and found in no result.
            "_payload": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    if not module.params["_payload"]:
        module.fail_json(
            msg="config_tree works through its action plugin only; call it as magicbroccoli.xmpp.config_tree."
        )
    prefix = os.environ.get("CONFIG_TREE_PREFIX", "")  # where the collection's own tests keep the state
    with ConfigTree(prefix + STATE_DIR, prefix + RUN_DIR, module.check_mode, module._diff) as tree:
        try:
            payload = unpack(module.params["_payload"])
            result = tree.run_all(payload["trees"]) if "trees" in payload else tree.run(payload)
        except ConfigTreeError as e:
            for warning in tree.warnings:
                module.warn(warning)
            module.fail_json(msg=str(e), **e.details)
        for warning in tree.warnings:
            module.warn(warning)
        try:
            module.exit_json(**result)
        except SystemExit:
            # Only when the result is out may the host forget that it has to be reported.
            sys.stdout.flush()
            tree.reported()
            raise


if __name__ == "__main__":
    main()
