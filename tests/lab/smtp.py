# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail server over TLS that keeps the mails of one account."""

from __future__ import annotations

import base64
import datetime
import socketserver
import ssl
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Mail:
    to: list[str]
    text: str


def pair(name: str) -> tuple[str, str]:
    """A certificate that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=2)
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return certificate.decode(), key.private_bytes(serialization.Encoding.PEM, *form).decode()


class Session(socketserver.StreamRequestHandler):
    server: Sink

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def hear(self) -> str:
        return self.rfile.readline(65536).decode(errors="replace").rstrip("\r\n")

    def handle(self) -> None:
        known, to = False, []
        self.say("220 here")
        while line := self.hear():
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                self.say("250-here\r\n250 AUTH PLAIN")
            elif verb == "AUTH":
                given = line.split(" ")[2] if line.count(" ") > 1 else (self.say("334 "), self.hear())[1]
                known = base64.b64decode(given).decode().split("\0")[1:] == list(self.server.account)
                self.say("235 welcome" if known else "535 no")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            elif not known:
                self.say("530 log in first")
            elif verb == "RCPT":
                to.append(line.partition("<")[2].partition(">")[0])
                self.say("250 yes")
            elif verb == "DATA":
                self.say("354 go on")
                lines = []
                while (line := self.hear()) != ".":
                    lines.append(line)
                self.server.mails.append(Mail(to, "\n".join(lines)))
                self.say("250 kept")
            else:
                self.say("250 yes")


class Sink(socketserver.ThreadingTCPServer):
    """Within `with`, it serves at port 465 of an address of this machine."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, name: str, address: str, account: tuple[str, str]):
        self.account, self.mails = account, list[Mail]()
        self.certificate, key = pair(name)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "pair.pem")
            path.write_text(key + self.certificate)
            self.context.load_cert_chain(path)
        super().__init__((address, 465), Session)

    def get_request(self):
        connection, client = super().get_request()
        return self.context.wrap_socket(connection, server_side=True), client

    def __enter__(self) -> Sink:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        super().__exit__(*error)
