# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in plugins/modules/open_items.py.

from __future__ import annotations

import errno
import socket
from concurrent.futures import ThreadPoolExecutor

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import open_items

ROUTELESS = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def answers(address, port, seconds):
    """Tells whether a port accepts a connection, or None where this machine has no way to the address."""
    try:
        socket.create_connection((address, port), seconds).close()
    except OSError as error:
        return None if error.errno in ROUTELESS else False
    return True


class ActionModule(ActionBase):
    """Lists what is open. It connects from the controller only, and changes nothing."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            {
                "zones": {"type": "list", "elements": "dict", "default": []},
                "dnssec": {"type": "dict", "default": {}},
                "certificate_path": {"type": "path", "required": True},
                "certificate": {"type": "dict", "required": True},
                "certificate_error": {"type": "str", "default": ""},
                "addresses": {"type": "list", "elements": "str", "default": []},
                "ports": {"type": "list", "elements": "int", "default": []},
                "seconds": {"type": "int", "default": 3},
            }
        )
        try:
            items = open_items.of_zones(args["zones"], args["dnssec"])
            items += open_items.of_certificate(args["certificate_path"], args["certificate"], args["certificate_error"])
        except (KeyError, TypeError) as error:
            raise AnsibleActionFail(
                f"zones, dnssec, certificate: {error} is missing; give what the modules returned"
            ) from None
        refused, unreachable = self._ask(args["addresses"], args["ports"], args["seconds"])
        items += open_items.of_ports(refused, unreachable)
        host = (task_vars or {}).get("inventory_hostname", "the host")
        head = f"{host} is set up. Open, for others to do:" if items else f"{host} is set up, and nothing is open."
        return result | {"changed": False, "items": items, "msg": [head, *items]}

    @staticmethod
    def _ask(addresses, ports, seconds):
        """Returns the ports that did not answer by address, and the addresses that could not be asked."""
        pairs = [(address, port) for address in addresses for port in ports]
        with ThreadPoolExecutor(max_workers=16) as pool:
            said = list(pool.map(lambda pair: answers(pair[0], pair[1], seconds), pairs))
        found: dict[str, list[int]] = {address: [] for address in addresses}
        routeless = []
        for (address, port), answer in zip(pairs, said, strict=True):
            if answer is None:
                routeless.append((address, port))
            elif not answer:
                found[address].append(port)
        unreachable = [
            address for address in addresses if ports and all((address, port) in routeless for port in ports)
        ]
        for address, port in routeless:
            # A packet filter on the way may say that there is no route to one port.
            if address not in unreachable:
                found[address].append(port)
        return {address: sorted(closed) for address, closed in found.items()}, unreachable
