# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in plugins/modules/packages.py.

from __future__ import annotations

import re
import time

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import answers

MODULE = "magicbroccoli.xmpp.packages"
# What apt, dpkg and python-apt say when somebody else is at work.
LOCKED = re.compile(
    r"Could not get lock|Unable to (?:lock|acquire)|Failed to lock|is locked by another process", re.IGNORECASE
)
# So long one call waits on the host, before the operator is told again that the connection lives.
SLICE = 20
APT = {"install_recommends": False, "update_cache": True, "cache_valid_time": 3600, "policy_rc_d": 101}


class ActionModule(ActionBase):
    """Has the host wait until apt is free, and then ansible.builtin.apt do the work."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            {
                "name": {"type": "list", "elements": "str", "required": True},
                "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                "wait_seconds": {"type": "int", "default": 900},
            }
        )
        self._vars, self._name, self._seconds = task_vars, args["name"], args["wait_seconds"]
        self._host = task_vars.get("inventory_hostname", "the host")
        self._end = time.monotonic() + self._seconds
        self._told: list = []
        apt = {"name": args["name"], "state": args["state"], **(APT if args["state"] == "present" else {})}
        # A difference is ansible.builtin.apt's to show.
        self._first = args["state"] == "present" and not self._task.diff
        while True:
            answer = None if self._task.check_mode else self._wait()
            if answer is None:
                answer = self._execute_module(module_name="ansible.builtin.apt", module_args=apt, task_vars=task_vars)
            # Somebody was quicker.
            if not (answer.get("failed") and LOCKED.search(f"{answer.get('msg')} {answer.get('stderr', '')}")):
                break
            if time.monotonic() >= self._end:
                break
        return result | answer | {"waited_for": self._told}

    def _wait(self):
        """Waits until nobody uses apt, and says who does. Returns apt's answer if the packages were the host's first ones."""
        told = ""
        while True:
            seconds = max(0, min(SLICE, int(self._end - time.monotonic())))
            answer = self._execute_module(
                module_name=MODULE,
                module_args={"name": self._name, "_told": told, "_seconds": seconds, "_first": self._first},
                task_vars=self._vars,
            )
            if answer.get("failed"):
                raise AnsibleActionFail(answers.problem(answer))
            busy = answer["busy"]
            if not busy:
                return answer.get("installed")
            if time.monotonic() >= self._end:
                if busy.startswith("cloud-init"):
                    # It has no lock, and some of them never end.
                    Display().warning(
                        f"{self._host}: {busy}, after {self._seconds} s; its packages are installed all the same"
                    )
                    return None
                raise AnsibleActionFail(
                    f"apt is busy: {busy}, for more than {self._seconds} s. See what it does (systemctl list-jobs; ps -ef), let "
                    "it end or mend it, and run the playbook again"
                )
            if busy != told:
                Display().display(f"{self._host}: apt is busy: {busy}. Waiting up to {self._seconds} s for it to end.")
                self._told.append(busy)
                told = busy
