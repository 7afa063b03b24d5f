# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least of a REST server for restic, which lets in who has the password. It runs on a host under test."""

import base64
import http.server
import json
import pathlib
import sys

FOLDER, ALLOWED = pathlib.Path(sys.argv[1]), "Basic " + base64.b64encode(sys.argv[2].encode()).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, content=b"", length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.send_header("Content-Type", "application/vnd.x.restic.rest.v2")
        self.end_headers()
        self.wfile.write(content)

    def handle_one(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = FOLDER / self.path.partition("?")[0].strip("/")
        if self.headers.get("Authorization") != ALLOWED:
            self.answer(401)
        elif self.command == "POST":
            if "create=true" not in self.path:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(body)
            self.answer(200)
        elif self.path.endswith("/"):
            files = path.iterdir() if path.is_dir() else ()
            self.answer(200, json.dumps([{"name": file.name, "size": file.stat().st_size} for file in files]).encode())
        elif not path.is_file():
            self.answer(404)
        elif self.command == "DELETE":
            path.unlink()
            self.answer(200)
        elif self.command == "HEAD":
            self.answer(200, length=path.stat().st_size)
        else:
            content, wanted = path.read_bytes(), self.headers.get("Range")
            first, _dash, last = (wanted or "").removeprefix("bytes=").partition("-")
            part = content[int(first) : int(last) + 1 if last else None] if wanted else content
            self.answer(206 if wanted else 200, part)

    do_HEAD = do_GET = do_POST = do_DELETE = handle_one


http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
