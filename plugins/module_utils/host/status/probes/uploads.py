# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upload there and back (XEP-0363): a slot of the running Prosody, the file by the web server, and nothing of it stays.

The slot is asked for as an account would, whose name nobody can register: nodeprep allows no colon. No account comes of it.
"""

from __future__ import annotations

import contextlib
import os
import urllib.parse
from typing import Any

from . import discovery, extensions, web
from .base import Broken, Subject, Unknown, answer, probe

OWNER = "xmpp:status"
HTTP_UPLOAD = "urn:xmpp:http:upload:0"
NAME, TYPE, SIZE = "xmpp-status.txt", "text/plain", 64
# What a look that was killed has left. One that still works is younger.
OLD_SECONDS = 300

SOURCE = """
local json, st = require "util.json", require "util.stanza";
local asked = json.decode(ARGUMENTS);
local HTTP_UPLOAD = "urn:xmpp:http:upload:0";
local datamanager = require "core.storagemanager".olddm;
local own = prosody.hosts[asked.component];
if not own then return json.encode { error = "the running Prosody has no host " .. asked.component }; end
local uploads = require "core.modulemanager".get_module(asked.component, "http_file_share")
	and require "core.storagemanager".open(asked.component, "uploads", "archive");
if not uploads then return json.encode { error = asked.component .. " has no module http_file_share" }; end
local account = asked.owner .. "@" .. asked.host;
local function forget(ids)
	for _, id in ipairs(ids) do
		local path = datamanager.getpath(id, asked.component, "http_file_share", "bin");
		os.remove(path);
		os.remove(path .. "~");
		uploads:delete(nil, { ids = { id } });
	end
end
local function find()
	local old = {};
	local found = uploads:find(nil, { with = account, ["end"] = os.time() - asked.old });
	if found then
		for id in found do table.insert(old, id); end
	end
	return old;
end
if asked.forget then
	forget { asked.forget };
	return json.encode { forgotten = true };
end
forget(find());
local answer;
local session = { type = "c2s", username = asked.owner, host = asked.host, resource = "probe", secure = true,
	full_jid = account .. "/probe", log = function () end, send = function (stanza) answer = stanza; return true; end };
local request = st.iq { type = "get", id = "status", from = session.full_jid, to = asked.component }
	:tag("request", { xmlns = HTTP_UPLOAD, filename = asked.name, size = tostring(asked.size), ["content-type"] = asked.type })
	:reset();
own.events.fire_event("iq-get/host/" .. HTTP_UPLOAD .. ":request", { origin = session, stanza = request });
if not answer then return json.encode { error = asked.component .. " does not answer a request for a slot" }; end
if answer.attr.type == "error" then
	local _, condition, text = answer:get_error();
	return json.encode { error = asked.component .. " gives no slot: " .. (text or condition) };
end
local slot = answer:get_child("slot", HTTP_UPLOAD);
local put, got = slot and slot:get_child("put"), slot and slot:get_child("get");
if not put or not got then return json.encode { error = asked.component .. " gives a slot without addresses" }; end
local headers = {};
for header in put:childtags("header") do headers[header.attr.name] = header:get_text(); end
return json.encode { put = put.attr.url, get = got.attr.url, headers = headers };
"""


def _prosody(subject: Subject, component: str, **more: Any) -> dict[str, Any]:
    """Ask the running Prosody for a slot, or to forget one."""
    host = subject.name.encode().decode("idna")
    asked = {"host": host, "component": component.encode().decode("idna"), "owner": OWNER, "old": OLD_SECONDS}
    arguments = {**asked, "name": NAME, "size": SIZE, "type": TYPE, **more}
    found = discovery.run_in_prosody(subject, SOURCE, arguments)
    if found.get("error"):
        raise Broken(str(found["error"]))
    return found


def there_and_back(subject: Subject, component: str) -> str:
    """Upload a small file as an account does, fetch it as anybody does, and remove it."""
    slot = _prosody(subject, component)
    place, back = (urllib.parse.urlsplit(str(slot[key])) for key in ("put", "get"))
    subject.evidence.once(("slot", component), lambda: place.path)
    try:
        body = os.urandom(SIZE // 2).hex().encode()
        headers = {"Content-Type": TYPE, **slot["headers"]}
        sent = web.fetch(subject, place.path, method="PUT", body=body, headers=headers, host=place.hostname or "")
        if sent.status != 201:
            raise Broken(f"https://{place.hostname} answers {sent.status} to an upload")
        page = web.fetch(subject, back.path, host=back.hostname or "")
        if page.status != 200:
            raise Broken(f"https://{back.hostname} takes an upload, and answers {page.status} to who fetches it")
        if page.body != body:
            raise Broken(f"https://{back.hostname} sends another file back than was uploaded")
    finally:
        # What cannot be removed now is removed by the next look.
        with contextlib.suppress(Unknown, Broken):
            _prosody(subject, component, forget=place.path.rstrip("/").split("/")[-2])
    return f"a file went to https://{place.hostname} and came back"


@probe("upload", outside=False)
def upload(subject: Subject, wanted: str) -> str:
    """Look for the feature of the upload component; where the web server is ours, upload a file."""
    text = extensions.component(subject, f"upload {wanted}")
    if "web" not in subject.promises["services"]:
        return text
    return f"{text}; {there_and_back(subject, subject.domain['components']['upload'])}"


def slot_path(subject: Subject) -> str:
    """Return the path of the slot that the upload used, whether or not the file came back."""
    component = subject.domain.get("components", {}).get("upload")
    if not component:
        raise Broken(f"{subject.name} has no uploads")

    def none() -> str:
        raise Broken(f"{component} gives no slot")

    with contextlib.suppress(Broken):
        answer(subject, "upload", HTTP_UPLOAD)
    found: str = subject.evidence.once(("slot", component), none)
    return found
