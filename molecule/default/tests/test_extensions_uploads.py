# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""XEP-0363: which slots are given, and that nothing of a request becomes a header field of its own."""

from __future__ import annotations

import re
import secrets
import shlex
from xml.sax.saxutils import quoteattr

import pytest
from clients import CLIENT, SECONDS, Client, Refused, condition
from conftest import DOMAIN, RELEASE, create
from slixmpp.xmlstream.handler import Waiter
from slixmpp.xmlstream.matcher import MatcherId

UPLOADS = f"upload.{DOMAIN}"
XMLNS = "urn:xmpp:http:upload:0"
CRLF = "\r\n"
INJECTED = "X-Injected: yes"


async def slot(client: Client, **attributes: str) -> dict[str, str]:
    """Ask for a slot; the result has the URLs of GET and PUT, and the token."""
    request = {"filename": "note.txt", "size": "5", "content-type": "text/plain", **attributes}
    # quoteattr() writes newlines as references, which XML does not turn into spaces; slixmpp does not.
    inner = " ".join(f"{name}={quoteattr(value)}" for name, value in request.items())
    number = client.new_id()
    waiter = Waiter(number, MatcherId(number))
    client.register_handler(waiter)
    client.send_raw(f"<iq type='get' to='{UPLOADS}' id='{number}'><request xmlns='{XMLNS}' {inner}/></iq>")
    answer = (await waiter.wait(SECONDS)).xml
    if answer.get("type") == "error":
        raise Refused(condition(answer.find(f"{CLIENT}error")))
    found = answer[0]
    urls = {child.tag.removeprefix(f"{{{XMLNS}}}"): child.get("url") for child in found}
    return {**urls, "token": found.findtext(f".//{{{XMLNS}}}header")}


def put(internet, given: dict[str, str], content: str) -> str:
    return internet.out(
        f"curl --silent --max-time 10 --output /dev/null --write-out '%{{http_code}}' --request PUT --data-binary @- "
        f"--header 'Content-Type:' --header {shlex.quote('Authorization: ' + given['token'])} {shlex.quote(given['put'])}",
        stdin=content,
    )


def get(internet, url: str) -> str:
    return internet.out(f"curl --silent --show-error --include --max-time 10 {shlex.quote(url)}")


@pytest.mark.parametrize(
    "attributes",
    [
        {"content-type": f"text/plain{CRLF}{INJECTED}"},
        {"content-type": f"text/plain\n{INJECTED}"},
        {"content-type": f"text/plain{CRLF}{CRLF}<script>"},
        {"content-type": f'text/plain; charset="{CRLF}{INJECTED}"'},
        {"content-type": "text/plain; charset=\x85utf-8"},
        {"content-type": "text/plain; charset"},
        {"content-type": 'text/plain; charset="utf-8'},
        {"content-type": "text"},
        {"content-type": ""},
        {"content-type": "text/plain, text/html"},
        {"content-type": "text/" + "a" * 300},
        {"size": f"5{CRLF}"},
        {"size": " 5"},
        {"size": "0x5"},
        {"size": "5e0"},
        {"filename": f"note.txt{CRLF}{INJECTED}"},
        {"filename": "note\x9f.txt"},
        {"filename": "ü" * 128},
    ],
    ids=lambda attributes: repr(attributes)[:60],
)
async def test_a_slot_with_text_for_header_fields_is_refused(alice, attributes):
    with pytest.raises(Refused, match="bad-request"):
        print(await slot(alice, **attributes))


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "text/plain;charset=utf-8", 'text/plain; charset="u\\"tf;-8"; format=flowed', "image/svg+xml"],
)
async def test_0363_a_file_is_sent_with_its_type(internet, alice, media_type):
    given = await slot(alice, **{"content-type": media_type, "filename": "müsli & co.txt"})
    assert put(internet, given, "hello") == "201"
    answer = get(internet, given["get"])
    print(answer)
    assert f"content-type: {media_type.lower()}" in answer.lower()
    assert answer.endswith("hello")


# Half of a file goes to Prosody itself, which nginx gives whole ones only; the rest when that is on the disk.
HALVES = """
import glob, os, socket, sys, time
host, path, token = sys.argv[1:]
half = bytes(2**20)
with socket.create_connection(("127.0.0.1", 5280)) as stream:
    head = f"PUT /{path} HTTP/1.1\\r\\nHost: {host}\\r\\nAuthorization: {token}\\r\\nContent-Length: {2 * len(half)}\\r\\n\\r\\n"
    stream.sendall(head.encode() + half)
    end = time.monotonic() + 60
    while not (found := [file for file in glob.glob("/var/lib/prosody/*/http_file_share/*~") if os.path.getsize(file) > 2**19]):
        if time.monotonic() > end:
            sys.exit("nothing of the first half is on the disk")
        time.sleep(0.05)
    print(os.path.getsize(found[0]), "bytes are on the disk")
    stream.sendall(half)
    print(stream.recv(12).decode())
"""


async def test_an_upload_goes_to_the_disk_as_it_comes(rosewood, alice):
    """And not into memory, where each part costs the more time the longer the body is."""
    given = await slot(alice, size=str(2**21), **{"content-type": "application/octet-stream"})
    path = given["put"].split("/", 3)[3]
    said = rosewood.out(f"python3 - {shlex.join([UPLOADS, path, given['token']])}", stdin=HALVES)
    print(said)
    assert said.endswith("HTTP/1.1 201")


# Kept in memory, written to the disk as it comes, and more than Prosody would keep by default.
@pytest.mark.parametrize("size", [1000, 2**21, 12 * 2**20])
async def test_who_is_refused_learns_why(internet, alice, size):
    """Of each reason its status; and the slot is as good afterwards as before."""
    given = await slot(alice, size=str(size))
    other = await slot(alice, size=str(size))
    ask = "--silent --output /dev/null --write-out '%{http_code}\\n' --max-time 60 --header 'Content-Type:' --upload-file /run/body"
    asked = {
        "another slot's token": f"--header {shlex.quote('Authorization: ' + other['token'])}",
        "no token": "",
        "another length": f"--header {shlex.quote('Authorization: ' + given['token'])}",
        "all is well": f"--header {shlex.quote('Authorization: ' + given['token'])}",
        "it is there already": f"--header {shlex.quote('Authorization: ' + given['token'])}",
    }
    url = shlex.quote(given["put"])
    words = [
        f"{ask.replace('/run/body', '/run/longer') if what == 'another length' else ask} {header} {url}"
        for what, header in asked.items()
    ]
    internet.out(f"head -c {size} /dev/zero > /run/body; head -c {size + 1} /dev/zero > /run/longer")
    said = dict(zip(asked, internet.out(f"curl {' --next '.join(words)}").split(), strict=True))
    print(size, said)
    # Prosody 0.12 knows no status for a condition of its own.
    assert said == {
        "another slot's token": "400" if RELEASE == "bookworm" else "403",
        "no token": "401",
        "another length": "413",
        "all is well": "201",
        "it is there already": "409",
    }


async def test_a_slot_from_before_the_check_injects_nothing(internet, rosewood, alice):
    """Prosody has such types and sizes in its store: the attributes of an accepted request are overwritten there."""
    given = await slot(alice)
    assert put(internet, given, "hello") == "201"
    name = given["get"].split("/")[-2]
    lua = (
        f"> local u = require'core.storagemanager'.open('{UPLOADS}', 'uploads', 'archive') "
        f"local s = u:get(nil, '{name}') s.attr['content-type'] = 'text/html\\r\\n{INJECTED}\\r\\n\\r\\n<b>' "
        f"s.attr.size = '5\\r\\n\\r\\n' u:delete(nil, {{key='{name}'}}) "
        f"return u:append(nil, '{name}', s, os.time(), '{alice.boundjid.bare}')"
    )
    # Both ends forget what they had cached of the file.
    print(rosewood.out(f"prosodyctl shell {shlex.quote(lua)}"))
    print(rosewood.out(f'prosodyctl shell \'module:reload("http_file_share", "{UPLOADS}")\''))
    path = given["get"].split("/", 3)[3]
    asked = f"GET /{path} HTTP/1.1\\r\\nHost: {UPLOADS}\\r\\nConnection: close\\r\\n\\r\\n"
    answer = rosewood.out(f"exec 3<>/dev/tcp/127.0.0.1/5280; printf '{asked}' >&3; timeout 10 cat <&3")
    print(answer)
    head, _, body = answer.replace(CRLF, "\n").partition("\n\n")
    assert INJECTED not in head
    assert "content-type: application/octet-stream" in head.lower()
    assert "content-disposition: attachment" in head.lower()
    assert "hello" in body
    assert "<b>" not in answer


async def test_a_slot_that_is_not_used_is_given_back(internet, rosewood, connect, accounts):
    """The quotas count what was asked for. What nobody has sent a file for is forgotten when its token is no longer valid."""
    eve = await connect(accounts["eve"])
    quota = 1073741824
    used = await slot(eve, filename=f"{secrets.token_hex(4)}.txt")
    assert put(internet, used, "hello") == "201"
    size = str(104857600)
    granted = 0
    with pytest.raises(Refused, match="resource-constraint"):
        while granted < 20:
            await slot(eve, size=size)
            granted += 1
    assert granted == quota // int(size)
    print(f"{granted} slots of {size} bytes, then no more")
    lua = (
        f"> local m = require'core.modulemanager'.get_module('{UPLOADS}', 'upload_slots') "
        "local real = os.time m.os = setmetatable({ time = function () return real() + 901 end }, { __index = os }) "
        "local n = m.forget_unused() m.os = nil return n"
    )
    print(rosewood.out(f"prosodyctl shell {shlex.quote(lua)}"))
    await slot(eve, size=size)
    assert get(internet, used["get"]).endswith("hello")


async def test_an_account_that_a_program_deletes_leaves_no_upload(internet, rosewood, connect):
    """On Debian 12, prosodyctl deletes accounts in the store, and the running Prosody hears nothing of it."""
    account = create(rosewood, "leaving", DOMAIN)
    given = await slot(await connect(account))
    assert put(internet, given, "hello") == "201"
    # As Prosody writes it into names of files.
    name = re.sub("[^A-Za-z0-9]", lambda found: f"%{ord(found[0]):02x}", given["get"].split("/")[-2])
    count = f"find /var/lib/prosody -name '{name}.bin' | wc -l"
    assert rosewood.out(count) == "1"
    rosewood.out(f"prosodyctl deluser {account.jid}")
    # Once a day by itself.
    lua = f"> prosody.hosts['{DOMAIN}'].modules.deleted_accounts.purge_uploads() return 1"
    print(rosewood.out(f"prosodyctl shell {shlex.quote(lua)}"))
    assert rosewood.out(count) == "0"
