# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import names

DOCUMENTATION = r"""
name: reboot_window
short_description: Read a window of the day
version_added: 1.0.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Turns text like V(02:00-05:00) into numbers. A window may pass midnight.
  - Times are those of the host's own zone. A text of another form, and a window without a length, are errors.
options:
  _input:
    description: Begin and end as V(HH:MM-HH:MM), from V(00:00) to V(23:59).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the length of a window in minutes
  ansible.builtin.debug:
    msg: "{{ ('23:30-01:00' | magicbroccoli.xmpp.reboot_window).minutes }}"
  # => 90
"""

RETURN = r"""
_value:
  description: The window.
  type: dict
  contains:
    start:
      description: Its begin, as V(HH:MM).
      type: str
    end:
      description: Its end, as V(HH:MM).
      type: str
    minutes:
      description: Its length in minutes, from 1 to 1439.
      type: int
    start_minute:
      description: Its begin in minutes since midnight.
      type: int
    end_minute:
      description: Its end in minutes since midnight, less than RV(_value.start_minute) when it passes midnight.
      type: int
"""


def reboot_window(window):
    try:
        return names.reboot_window(window)
    except ValueError as error:
        raise AnsibleFilterError(f"reboot_window: {error}") from error


class FilterModule:
    def filters(self):
        return {"reboot_window": reboot_window}
