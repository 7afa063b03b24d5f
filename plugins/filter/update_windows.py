# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks

DOCUMENTATION = r"""
name: update_windows
short_description: Read the windows in which a host may be disturbed
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Turns texts like V(sat,sun 02:00-05:00) into days and times, as the host's own program takes them.
  - A window without days is open on all. One that passes midnight belongs to the day on which it begins.
  - A text of another form, a window without a length, and V(auto) alone are errors.
options:
  _input:
    description: Windows as V(HH:MM-HH:MM) or V(DAYS HH:MM-HH:MM), from V(00:00) to V(23:59); and V(auto).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show when a window begins
  ansible.builtin.debug:
    msg: "{{ (['auto', 'sat,sun 23:30-01:00'] | magicbroccoli.xmpp.update_windows).windows[0] }}"
  # => {"days": [5, 6], "start": "23:30", "end": "01:00"}
"""

RETURN = r"""
_value:
  description: The windows.
  type: dict
  contains:
    auto:
      description: Whether the windows are placed in the quietest hours, while those are known.
      type: bool
    windows:
      description: The windows as given.
      type: list
      elements: dict
      contains:
        days:
          description: The days on which it begins, 0 for Monday to 6 for Sunday.
          type: list
          elements: int
        start:
          description: Its begin, as V(HH:MM).
          type: str
        end:
          description: Its end, as V(HH:MM).
          type: str
"""


def update_windows(windows):
    try:
        return checks.update_windows(windows)
    except ValueError as error:
        raise AnsibleFilterError(f"update_windows: {error}") from error


class FilterModule:
    def filters(self):
        return {"update_windows": update_windows}
