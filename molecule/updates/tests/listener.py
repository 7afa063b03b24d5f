# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that stays connected, and prints what it is told: JID ADDRESS CA, and the password on standard input."""

import asyncio
import json
import sys
import time

import slixmpp


def tell(event, **more):
    print(json.dumps({"event": event, "time": time.time(), **more}), flush=True)


class Listener(slixmpp.ClientXMPP):
    def __init__(self, jid, password, ca):
        super().__init__(jid, password, sasl_mech="SCRAM-SHA-1")
        self.ca_certs, self.enable_direct_tls = ca, False
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler(
            "message", lambda m: tell("message", type=m["type"], body=m["body"], sender=str(m["from"]))
        )
        self.add_event_handler("stream_error", lambda error: tell("end", condition=error["condition"]))

    def begin(self, _event):
        self.send_presence()
        tell("online")


jid, address, ca = sys.argv[1:]
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
Listener(jid, sys.stdin.read(), ca).connect(address, 5222)
loop.run_forever()
