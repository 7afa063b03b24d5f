# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the link of an invitation as a QR code, for the web front, on a socket that systemd has opened.

A token comes in a request, as it came to the web front, and stands in no command line, file or log. Ends by itself when nobody
has asked for a while; systemd starts it again.
"""

from __future__ import annotations

import argparse
import http.server
import io
import re
import socket
import socketserver
import sys
from collections.abc import Sequence

# The first one that systemd passes on (sd_listen_fds(3)).
LISTEN_FD = 3
IDLE_SECONDS = 60
# A token, and the user whose contact somebody becomes.
ASKED = re.compile(r"/register/qr\.svg\?(t=[A-Za-z0-9_-]{1,200}(&u=[A-Za-z0-9._~%-]{1,400})?)")


def link_of(host: str, path: str) -> str | None:
    """Return the link that a request asks to be drawn, and nothing for what is no request for one."""
    asked = ASKED.fullmatch(path)
    if not asked or not re.fullmatch(r"[a-z0-9.-]{1,253}", host):
        return None
    return f"https://{host}/register/?{asked[1]}"


def draw(link: str) -> bytes:
    """Return a QR code (ISO/IEC 18004) as SVG: black on white in every colour scheme, with its quiet zone."""
    import segno

    out = io.BytesIO()
    segno.make_qr(link, error="m").save(
        out, kind="svg", xmldecl=False, scale=4, border=4, dark="#000", light="#fff", svgclass=None, lineclass=None
    )
    return out.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers the web front."""

    timeout = 5

    def do_GET(self) -> None:
        link = link_of(self.headers.get("Host", ""), self.path)
        if link is None:
            self.send_error(404)
            return
        content = draw(link)
        self.send_response(200)
        self.send_header("Content-Type", "image/svg+xml")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody's token is in a log."""


class Server(socketserver.UnixStreamServer):
    """Serves one request after the other, until nobody asks for a while."""

    timeout = IDLE_SECONDS
    is_idle = False

    def __init__(self, listening: socket.socket):
        super().__init__("", Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening

    def handle_timeout(self) -> None:
        self.is_idle = True

    def handle_error(self, request: object, client_address: object) -> None:
        """The web front went away."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run xmpp-qr, and return its exit status."""
    parser = argparse.ArgumentParser(prog="xmpp-qr", description=(__doc__ or "").splitlines()[0])
    parser.parse_args(arguments)
    try:
        listening = socket.socket(fileno=LISTEN_FD)
    except OSError:
        print("xmpp-qr: it needs the socket of systemd; type: systemctl start xmpp-qr.socket", file=sys.stderr)
        return 1
    server = Server(listening)
    while not server.is_idle:
        server.handle_request()
    return 0
