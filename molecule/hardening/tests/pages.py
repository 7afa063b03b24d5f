# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of the hosts, which answer to their names only."""

from __future__ import annotations

import socket
import ssl

from hosts import CA


def status_of(domain: str, address: str, page: str, headers: dict[str, str] | None = None) -> int:
    """Ask for a page, and return the status of the answer."""
    context = ssl.create_default_context(cafile=str(CA))
    lines = [f"GET /{page} HTTP/1.1", f"Host: {domain}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    with (
        socket.create_connection((address, 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=domain) as stream,
    ):
        stream.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = stream.makefile("rb").read()
    return int(answer.split(maxsplit=2)[1])
