# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A STUN and TURN client (RFC 8489, RFC 8656). Reads a job as JSON, and prints what came of it as JSON."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import os
import secrets
import socket
import ssl
import struct
import sys
import time
import zlib

COOKIE = 0x2112A442
BINDING, ALLOCATE, REFRESH, SEND, PERMISSION = 0x001, 0x003, 0x004, 0x006, 0x008
USERNAME, INTEGRITY, ERROR, LIFETIME, PEER, PAYLOAD = 0x0006, 0x0008, 0x0009, 0x000D, 0x0012, 0x0013
REALM, NONCE, RELAYED, FAMILY, TRANSPORT, MAPPED = 0x0014, 0x0015, 0x0016, 0x0017, 0x0019, 0x0020
SOFTWARE, FINGERPRINT = 0x8022, 0x8028
SECONDS = 10


class Refused(Exception):
    """The server's error code."""


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)


def xor(address: bytes, transaction: bytes) -> bytes:
    key = struct.pack("!I", COOKIE) + transaction
    return bytes(a ^ b for a, b in zip(address, key, strict=False))


def write_address(address: str, port: int, transaction: bytes) -> bytes:
    packed = ipaddress.ip_address(address).packed
    return struct.pack("!BBH", 0, 1 if len(packed) == 4 else 2, port ^ (COOKIE >> 16)) + xor(packed, transaction)


def read_address(value: bytes, transaction: bytes) -> list:
    port = struct.unpack("!H", value[2:4])[0] ^ (COOKIE >> 16)
    return [str(ipaddress.ip_address(xor(value[4:], transaction))), port]


class Client:
    def __init__(self, job: dict):
        self.job = job
        where = (job["address"], job["port"])
        family = socket.AF_INET6 if ":" in job["address"] else socket.AF_INET
        if job["transport"] == "udp":
            self.socket = socket.socket(family, socket.SOCK_DGRAM)
            self.socket.connect(where)
        else:
            self.socket = socket.create_connection(where, SECONDS)
        if job["transport"] == "tls":
            self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=job["host"])
        self.socket.settimeout(SECONDS)
        self.waiting = b""
        self.realm = self.nonce = b""
        self.inbox: list[dict[int, bytes]] = []

    def write(self, method: int, attributes: list[tuple[int, bytes]], indication: bool = False) -> bytes:
        transaction = secrets.token_bytes(12)
        body = b"".join(attribute(kind, value(transaction) if callable(value) else value) for kind, value in attributes)
        kind = method | (0x10 if indication else 0)
        key = None
        if self.nonce and not indication:
            user, password = self.job["username"].encode(), self.job["password"].encode()
            body += attribute(USERNAME, user) + attribute(REALM, self.realm) + attribute(NONCE, self.nonce)
            key = hashlib.md5(b":".join([user, self.realm, password])).digest()

        def head(more: int) -> bytes:
            return struct.pack("!HHI", kind, len(body) + more, COOKIE) + transaction

        if key:
            body += attribute(INTEGRITY, hmac.digest(key, head(24) + body, "sha1"))
        body += attribute(FINGERPRINT, struct.pack("!I", zlib.crc32(head(8) + body) ^ 0x5354554E))
        self.socket.sendall(head(0) + body)
        return transaction

    def read(self) -> tuple[int, bytes, dict[int, bytes]]:
        while True:
            if len(self.waiting) >= 20:
                kind, length, _cookie = struct.unpack("!HHI", self.waiting[:8])
                if len(self.waiting) >= 20 + length:
                    message, self.waiting = self.waiting[: 20 + length], self.waiting[20 + length :]
                    break
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed by the server")
            self.waiting += data
        found, rest = {}, message[20:]
        while rest:
            name, size = struct.unpack("!HH", rest[:4])
            found[name], rest = rest[4 : 4 + size], rest[4 + size + (-size % 4) :]
        return kind, message[8:20], found

    def ask(self, method: int, attributes: list[tuple[int, bytes]], again: bool = True) -> tuple[bytes, dict]:
        transaction = self.write(method, attributes)
        while True:
            kind, answered, found = self.read()
            if answered == transaction:
                break
            self.inbox.append((answered, found))
        if ERROR not in found:
            return transaction, found
        code = found[ERROR][2] * 100 + found[ERROR][3]
        if code in (401, 438) and again and "username" in self.job:
            self.realm, self.nonce = found[REALM], found[NONCE]
            return self.ask(method, attributes, again=False)
        raise Refused(code)

    def allocate(self) -> list:
        attributes = [(TRANSPORT, b"\x11\0\0\0"), (LIFETIME, struct.pack("!I", 600))]
        if self.job.get("family"):
            attributes.append((FAMILY, struct.pack("!B3x", 1 if self.job["family"] == 4 else 2)))
        transaction, found = self.ask(ALLOCATE, attributes)
        return read_address(found[RELAYED], transaction)

    def permit(self, address: str) -> None:
        self.ask(PERMISSION, [(PEER, lambda transaction: write_address(address, 0, transaction))])

    def release(self) -> None:
        self.ask(REFRESH, [(LIFETIME, struct.pack("!I", 0))])

    def echo(self, relayed: list, peer: str) -> dict:
        """A packet to a peer, and its answer to the address that it came from; both are what was sent."""
        with socket.socket(socket.AF_INET6 if ":" in peer else socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((peer, 0))
            other.settimeout(SECONDS)
            port, sent = other.getsockname()[1], [secrets.token_bytes(200), secrets.token_bytes(200)]
            where = (PEER, lambda transaction: write_address(peer, port, transaction))
            self.write(SEND, [where, (PAYLOAD, sent[0])], indication=True)
            received, source = other.recvfrom(65536)
            other.sendto(sent[1], source[:2])
            transaction, found = self.inbox.pop(0) if self.inbox else self.read()[1:]
            back = read_address(found[PEER], transaction)
        return {
            "there": received == sent[0] and list(source[:2]) == relayed,
            "back": found[PAYLOAD] == sent[1] and back == [peer, port],
        }


def stun(job: dict) -> dict:
    client = Client(job)
    transaction, found = client.ask(BINDING, [])
    return {
        "mapped": read_address(found[MAPPED], transaction),
        "own": list(client.socket.getsockname()[:2]),
        "software": SOFTWARE in found,
        "bytes": 20 + sum(4 + len(value) + -len(value) % 4 for value in found.values()),
        "fingerprint": FINGERPRINT in found,
    }


def relay(job: dict) -> dict:
    """Allocate, relay to and from one peer, and be refused others."""
    client = Client(job)
    result: dict = {"relayed": client.allocate(), "denied": {}}
    if job.get("peer"):
        client.permit(job["peer"])
        result |= client.echo(result["relayed"], job["peer"])
    for peer in job.get("denied", []):
        try:
            client.permit(peer)
            result["denied"][peer] = 0
        except Refused as refused:
            result["denied"][peer] = refused.args[0]
    client.release()
    return result


def meet(job: dict) -> dict:
    """Two clients with a relayed address each talk to each other; then one tries ports of the server itself."""
    one, other = Client(job | job["credentials"][0]), Client(job | job["credentials"][1])
    relayed = [client.allocate() for client in (one, other)]
    for client in (one, other):
        client.permit(relayed[0][0])

    def pass_on(sender: Client, receiver: Client, source: list, target: list) -> bool:
        sent = secrets.token_bytes(200)
        where = (PEER, lambda transaction: write_address(*target, transaction))
        sender.write(SEND, [where, (PAYLOAD, sent)], indication=True)
        transaction, found = receiver.inbox.pop(0) if receiver.inbox else receiver.read()[1:]
        return found[PAYLOAD] == sent and read_address(found[PEER], transaction) == source

    result = {"relayed": relayed, "there": pass_on(one, other, *relayed), "back": pass_on(other, one, *relayed[::-1])}
    for port in job["ports"]:
        where = (PEER, lambda transaction, port=port: write_address(relayed[0][0], port, transaction))
        one.write(SEND, [where, (PAYLOAD, job["payload"].encode())], indication=True)
    # The other way is still open: nothing has broken, and what was sent before has been handled.
    result["after"] = pass_on(one, other, *relayed)
    for client in (one, other):
        client.release()
    return result


def fill(job: dict) -> dict:
    """Allocate until the server refuses, by each of several credentials in turn; then see what others still may."""
    clients: list[Client] = []
    result: dict = {"allocated": 0}
    for number in range(job["most"]):
        clients.append(Client(job | job["credentials"][number % len(job["credentials"])]))
        try:
            clients[-1].allocate()
            result["allocated"] += 1
        except Refused as refused:
            clients.pop()
            # The port was that of a client that left without a word, whose allocation the server still has (RFC 8656, 7.2).
            if refused.args[0] == 437:
                continue
            result["refused"] = refused.args[0]
            break
    other = Client(job | job["other"])
    result["other"] = other.allocate()
    for client in [*clients, other]:
        client.release()
    return result


def flood(job: dict) -> dict:
    """Ask for allocations with wrong credentials, as fast as it goes, for so many seconds; and what came back."""
    client, counts, end = Client(job), {}, time.monotonic() + job["seconds"]
    sent = 0
    while sent < job["most"] and time.monotonic() < end:
        # Each with a new nonce, which is when it looks at the name.
        client.nonce = b""
        sent += 1
        try:
            client.allocate()
        except Refused as refused:
            counts[refused.args[0]] = counts.get(refused.args[0], 0) + 1
    return {"sent": sent, "refused": counts}


def hold(job: dict) -> dict:
    """Relay, wait until a file is there, and relay again in the same allocation."""
    client = Client(job)
    relayed = client.allocate()
    client.permit(job["peer"])
    result = {"before": client.echo(relayed, job["peer"])}
    with open(job["ready"], "w", encoding="ascii"):
        pass
    end = time.monotonic() + 60
    while not os.path.exists(job["until"]) and time.monotonic() < end:
        time.sleep(0.05)
    result["waited_for_it"] = os.path.exists(job["until"])
    result["after"] = client.echo(relayed, job["peer"])
    client.release()
    return result


def main() -> None:
    job = json.load(sys.stdin)
    try:
        result = {"stun": stun, "relay": relay, "fill": fill, "meet": meet, "flood": flood, "hold": hold}[job["do"]](
            job
        )
    except Refused as refused:
        result = {"refused": refused.args[0]}
    except (TimeoutError, ConnectionError, ssl.SSLError) as error:
        result = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
