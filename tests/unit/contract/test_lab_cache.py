# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's package cache reaches the mirrors through the proxy that http_proxy names."""

from __future__ import annotations

import contextlib
import http.server
import os
import subprocess
import threading
import urllib.request
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
START = """
source tests/lab/lab
cache=$1/cache shared=$1/shared
start_cache
xargs -0 <"/proc/$(<"$cache/pid")/cmdline"
"""
STOP = """
source tests/lab/lab
cache=$1/cache
stop_cache
"""


def test_the_cache_uses_the_proxy_and_its_password_is_no_argument(tmp_path):
    asked = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Proxy-Authorization"]))
            self.send_response(200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"signed")

    def lab(script, **environment):
        command = ["bash", "-c", script, "-", str(tmp_path)]
        return subprocess.check_output(command, cwd=TOP, env=os.environ | environment, text=True, timeout=60)

    def listen():
        # apt-cacher-ng takes no proxy at a higher port.
        for port in range(20000, 32768):
            with contextlib.suppress(OSError):
                return http.server.ThreadingHTTPServer(("127.0.0.1", port), Proxy)
        raise AssertionError("no port is free")

    proxy = listen()
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        arguments = lab(START, http_proxy=f"http://user:secret@127.0.0.1:{proxy.server_port}")
        port = arguments.split(" Port=")[1].split()[0]
        client = urllib.request.build_opener(urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{port}"}))
        url = "http://mirror.example/debian/dists/trixie/InRelease"
        assert client.open(url, timeout=30).read() == b"signed"
    finally:
        lab(STOP)
        proxy.shutdown()
    print(arguments, asked)
    assert asked == [(url, "Basic dXNlcjpzZWNyZXQ=")]
    assert "secret" not in arguments
