#!/usr/bin/env python3
# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log in with the first two accounts of a file by SCRAM-SHA-1-PLUS only and send a message from one to the other.

TLS 1.2, because Python offers no channel binding for TLS 1.3 (RFC 9266).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import ssl
import sys
from pathlib import Path

import slixmpp


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid: str, password: str, ca: Path):
        super().__init__(jid, password, sasl_mech="SCRAM-SHA-1-PLUS")
        self.ca_certs = ca
        self.enable_direct_tls = False
        self.online: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.received: asyncio.Queue[str] = asyncio.Queue()
        self.tls = ""
        self.add_event_handler("session_start", self.on_start)
        self.add_event_handler("message", lambda message: self.received.put_nowait(message["body"]))
        self.add_event_handler("failed_all_auth", lambda _: self.fail("the server offers no SCRAM-SHA-1-PLUS"))
        self.add_event_handler("connection_failed", lambda reason: self.fail(f"no connection: {reason}"))
        self.add_event_handler("ssl_invalid_chain", lambda error: self.fail(f"invalid certificate: {error}"))

    def get_ssl_context(self) -> ssl.SSLContext:
        context = super().get_ssl_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = True
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def fail(self, why: str) -> None:
        if not self.online.done():
            self.online.set_exception(RuntimeError(f"{self.boundjid.bare}: {why}"))

    def on_start(self, _event: object) -> None:
        self.send_presence()
        tls = self.transport.get_extra_info("ssl_object")
        self.online.set_result(f"{tls.version()} with {tls.cipher()[0]}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=5222)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--accounts", type=Path, required=True)
    arguments = parser.parse_args()
    accounts = json.loads(arguments.accounts.read_text())
    clients = [Client(jid, password, arguments.ca) for jid, password in list(accounts.items())[:2]]
    for client in clients:
        client.connect(arguments.address, arguments.port)
        tls = await asyncio.wait_for(client.online, 20)
        print(f"{client.boundjid.bare} is logged in by SCRAM-SHA-1-PLUS over {tls}")
    sender, receiver = clients
    text = f"Hello {secrets.token_hex(4)}"
    sender.send_message(mto=receiver.boundjid.bare, mbody=text, mtype="chat")
    got = await asyncio.wait_for(receiver.received.get(), 20)
    if got != text:
        raise RuntimeError(f"sent {text!r}, received {got!r}")
    print(f"{receiver.boundjid.bare} has received {got!r} from {sender.boundjid.bare}")
    for client in clients:
        client.disconnect()
        await client.disconnected


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (RuntimeError, TimeoutError) as error:
        sys.exit(f"send_message: {error or 'no answer in time'}")
