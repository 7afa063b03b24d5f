# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import lua

DOCUMENTATION = r"""
name: to_lua
short_description: Write a value as a Lua expression
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Turns any YAML value into a Lua expression that means the same in Lua 5.1, 5.2, 5.3, 5.4 and LuaJIT.
  - Strings are quoted so that none can end early. Control characters become decimal escapes, other text stays UTF-8.
  - Dictionaries become tables in the order of the input; keys are strings or integers, nothing else.
  - A V(null) is V(nil) by itself, leaves its key out of a dictionary, and is an error in a list, which it would end.
  - Integers beyond 2^53 are an error, because Lua 5.1 would read another number. So are infinity and not-a-number,
    text with half a surrogate pair, and types without a Lua form, for example dates. The message names the place.
  - See section 2.1 of the Lua 5.1 Reference Manual and section 3.1 of that of 5.4.
positional: indent, level
options:
  _input:
    description: The value.
    type: raw
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
  - plugin: magicbroccoli.xmpp.to_lua_assignments
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show a table
  ansible.builtin.debug:
    msg: "{{ {'admins': ['juliet@example.org'], 'allow-registration': false} | magicbroccoli.xmpp.to_lua(indent=0) }}"
  # => { admins = { "juliet@example.org" }, ["allow-registration"] = false }
"""

RETURN = r"""
_value:
  description: Lua source, without a newline at its end.
  type: str
"""


def to_lua(value, indent=4, level=0):
    try:
        lua.check_layout(indent, level)
        return lua.to_lua(value, indent, level)
    except ValueError as error:
        raise AnsibleFilterError(f"to_lua: {error}") from error


class FilterModule:
    def filters(self):
        return {"to_lua": to_lua}
