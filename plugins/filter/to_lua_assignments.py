# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import lua

DOCUMENTATION = r"""
name: to_lua_assignments
short_description: Write a dictionary as Lua assignments
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Turns a dictionary into one assignment per item, as in Prosody's configuration file.
  - Values are written as by P(magicbroccoli.xmpp.to_lua#filter), with the same errors. An item that is V(null) is left
    out.
  - A key that is not a Lua name (letters, digits and underscores, no keyword) is an error.
positional: indent, level
options:
  _input:
    description: Names and their values.
    type: dict
    required: true
  indent:
    description: Spaces per level. V(0) writes everything on one line.
    type: int
    default: 4
  level:
    description: Levels by which the result already stands indented where it is put.
    type: int
    default: 0
seealso:
  - plugin: magicbroccoli.xmpp.to_lua
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show some options
  ansible.builtin.debug:
    msg: "{{ {'c2s_require_encryption': true, 'limits': {'c2s': {'rate': '10kb/s'}}}
      | magicbroccoli.xmpp.to_lua_assignments(indent=2) }}"
  # c2s_require_encryption = true
  # limits = {
  #   c2s = {
  #     rate = "10kb/s",
  #   },
  # }
"""

RETURN = r"""
_value:
  description: Lua statements, each ended by a newline; empty for an empty dictionary.
  type: str
"""


def to_lua_assignments(options, indent=4, level=0):
    try:
        lua.check_layout(indent, level)
        return lua.to_assignments(options, indent, level)
    except ValueError as error:
        raise AnsibleFilterError(f"to_lua_assignments: {error}") from error


class FilterModule:
    def filters(self):
        return {"to_lua_assignments": to_lua_assignments}
