# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does all the work, on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: check_inventory
short_description: Hold the inventory against the site model and the roles' specs
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Checks every variable of the site model and of the named roles, and fails once with a line for each wrong one -
    its name, its value, what is wrong and what would be right.
  - Runs on the controller only. It neither connects to the host nor changes anything.
  - Each variable is evaluated, so that what defaults derive by filters is checked, too. Then its type and choices are
    held against its spec, and its value against the format and the rules that the role's C(meta/checks.yml) names.
  - A variable beginning with C(xmpp_) that the model does not have is an error, with the nearest right name. So is one of the
    inventory or the command line that looks like a misspelt one of any role, such as C(update_windows). Variables of
    other roles and collections whose names only begin alike are left alone, and so are facts and registered results.
  - Values of options with C(no_log) are never shown.
  - A default that depends on facts of the host which have not been gathered cannot be checked. Its name is returned in
    RV(unknown).
options:
  model:
    description:
      - Path of the site model, relative to the playbook's directory.
      - It is a YAML file like a role's C(meta/argument_specs.yml), with one entry below C(argument_specs), for
        example C(site).
      - Without one, the named roles are checked alone, and no variable of the model has to be set.
    type: path
  roles:
    description:
      - Roles whose variables are checked as their entry C(main) of C(meta/argument_specs.yml) says.
      - A name without a collection is one of C(magicbroccoli.xmpp).
      - Defaults which the play does not have, as of a role that is included later, are read from the role.
    type: list
    elements: str
    default: []
  rules:
    description:
      - Rules that hold between variables of several roles, as C(meta/checks.yml) of a role has those of its own. A variable's
        rule here takes the place of the role's.
    type: dict
    default: {}
    version_added: 0.2.0
  only:
    description:
      - Variables to check, with those that the roles' rules hold against them. By default, all are checked.
      - This is for a second look with facts, which gets what the first one has returned as RV(unknown).
    type: list
    elements: str
    version_added: 0.2.0
attributes:
  check_mode:
    support: full
    description: Checks the same in check mode.
  diff_mode:
    support: none
    description: It changes nothing, so there is no difference to show.
"""

EXAMPLES = r"""
- name: Check the inventory before anything on a host changes
  magicbroccoli.xmpp.check_inventory:
    model: site.meta.yml
    roles: [bind, prosody, nginx]
"""

RETURN = r"""
msg:
  description: All errors, one a line, or how many variables were checked.
  returned: always
  type: str
  sample: "The inventory has an error:\nxmpp_hostname: 'rosewood' is not a full host name: it has one label only; ..."
errors:
  description: The errors, each beginning with the name of the variable.
  returned: always
  type: list
  elements: str
checked:
  description: How many variables were checked.
  returned: always
  type: int
  sample: 61
unknown:
  description: Variables that could not be judged, because they need facts of the host or a variable that is wrong.
  returned: always
  type: list
  elements: str
  sample: [xmpp_addresses]
"""
