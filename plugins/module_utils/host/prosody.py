# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a running Prosody, by the socket of its mod_admin_shell.

What is sent there is in no process list and in no log, other than the arguments of prosodyctl.
"""

from __future__ import annotations

import json
import socket
import time
import xml.etree.ElementTree as ET
from typing import Any
from xml.sax.saxutils import escape

SOCKET = "/var/lib/prosody/prosody.sock"
STREAM = "http://etherx.jabber.org/streams"
ADMIN = "xmpp:prosody.im/admin"


class ProsodyError(Exception):
    """Prosody cannot be asked or refuses; the message says why and what to do."""


def literal(text: str) -> str:
    """Return a string of Lua in which nothing but digits can be read."""
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'


def program(source: str, arguments: Any) -> str:
    """Return the shell's command for a program in Lua, in which ARGUMENTS stands for a JSON text with the arguments.

    The command begins with >, so that the program reaches the server's own modules.
    """
    return ">" + source.replace("ARGUMENTS", literal(json.dumps(arguments, ensure_ascii=False)))


def _connect(path: str, timeout: float, patience: float) -> socket.socket:
    end = time.monotonic() + patience
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(path)
            return connection
        except OSError as error:
            connection.close()
            if isinstance(error, PermissionError) or time.monotonic() >= end:
                raise ProsodyError(
                    f"socket: {path!r}: {error.strerror or error}; start Prosody with its module admin_shell, or write the "
                    "path of its socket"
                ) from error
            time.sleep(0.1)


def shell(command: str, *, path: str = SOCKET, timeout: float = 10, patience: float = 0) -> str:
    """Give Prosody's shell a command, and return the text that it answers.

    The socket is away for a second while Prosody restarts: `patience` is how long it is waited for, in seconds, and
    `timeout` the limit of each answer. Raises ProsodyError.
    """
    with _connect(path, timeout, patience) as connection:
        try:
            connection.sendall(
                f"<?xml version='1.0'?><stream:stream xmlns:stream='{STREAM}' xmlns='{ADMIN}' version='1.0'>"
                f"<repl-input>{escape(command)}</repl-input>".encode()
            )
            parser: Any = ET.XMLPullParser(["end"])
            while data := connection.recv(65536):
                parser.feed(data)
                for _event, element in parser.read_events():
                    if element.tag.endswith("}repl-result"):
                        if element.get("type") == "error":
                            raise ProsodyError(f"Prosody's shell says: {element.text}")
                        return (element.text or "").removeprefix("Result: ")
        except TimeoutError as error:
            raise ProsodyError(
                f"socket: {path!r}: no answer within {timeout:g} s; see `journalctl -u prosody`, or write a longer timeout"
            ) from error
        except (OSError, ET.ParseError) as error:
            raise ProsodyError(f"socket: {path!r}: {error}; is that Prosody's socket?") from error
    raise ProsodyError(f"socket: {path!r}: closed without an answer; see `journalctl -u prosody`")
