# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the running Prosody tells an account of a domain: features of its stream and of services, and nothing is made for it.

The server's own handlers are called as for a client that has logged in; no account, session or stanza comes of it.
"""

from __future__ import annotations

import json
from typing import Any

from ... import prosody
from .base import Subject, Unknown

# A session of an account that is none, and what Prosody's handlers answer to its questions.
HELPERS = """
local json, st = require "util.json", require "util.stanza";
local asked = json.decode(ARGUMENTS);
local INFO = "http://jabber.org/protocol/disco#info";
local function session(host)
	local own = { type = "c2s", username = "xmpp-status", host = host, resource = "probe", secure = true, features = nil };
	own.full_jid = "xmpp-status@" .. host .. "/probe";
	own.replies = {};
	own.send = function(stanza) table.insert(own.replies, stanza); return true; end
	own.log = function() end
	own.roster = { [false] = { version = 0, pending = {} } };
	return own;
end
local function ask(host, own, kind, name, space)
	local iq = st.iq({ type = "get", id = "status", from = own.full_jid, to = kind == "host" and host or nil })
		:tag(name, { xmlns = space }):reset();
	own.replies = {};
	prosody.hosts[host].events.fire_event("iq-get/" .. kind .. "/" .. space .. ":" .. name, { origin = own, stanza = iq });
	return own.replies[1] and own.replies[1]:get_child(name, space);
end
"""

# What answers, by host: the features of a stream after a login, and XEP-0030 of the host itself and of an account.
SOURCE = (
    HELPERS
    + """
local function children(stanza)
	local found = {};
	local caps;
	for _, child in ipairs(stanza.tags) do
		table.insert(found, child.attr.xmlns or stanza.attr.xmlns);
		if child.name == "c" then caps = { ver = child.attr.ver, hash = child.attr.hash }; end
	end
	return found, caps;
end
-- The forms of XEP-0128, as XEP-0115 counts them.
local function form(x)
	local found = {};
	for field in x:childtags("field") do
		local values = {};
		for value in field:childtags("value") do table.insert(values, value:get_text() or ""); end
		table.insert(found, { field.attr.var or "", values });
	end
	return found;
end
local function disco(host, own, kind)
	local query = ask(host, own, kind, "query", INFO);
	if not query then return { features = {}, identities = {} }; end
	local found = { features = {}, identities = {}, forms = {} };
	for _, child in ipairs(query.tags) do
		if child.attr.xmlns == "jabber:x:data" then table.insert(found.forms, form(child));
		elseif child.name == "feature" then table.insert(found.features, child.attr.var);
		elseif child.name == "identity" then
			table.insert(found.identities, { child.attr.category, child.attr.type, child.attr["xml:lang"] or "", child.attr.name or "" });
		end
	end
	return found;
end
local function look(host, account)
	local own = session(account or host);
	local found = { server = disco(host, own, "host") };
	if not account then
		found.account = disco(host, own, "bare");
		local features = st.stanza("stream:features", { xmlns = "http://etherx.jabber.org/streams" });
		prosody.hosts[host].events.fire_event("stream-features", { origin = own, features = features });
		found.stream, found.caps = children(features);
		local accounts = require "core.storagemanager".open(host, "accounts", "map");
		-- No other storage can be asked without reading each account.
		if accounts and accounts.get_all then
			local stored, why = accounts:get_all("password");
			if not why then
				found.plain_passwords = 0;
				for _ in pairs(stored or {}) do found.plain_passwords = found.plain_passwords + 1; end
			end
		end
		found.authentication = prosody.hosts[host].users and prosody.hosts[host].users.name;
	end
	return found;
end
local result = {};
for _, entry in ipairs(asked) do
	if prosody.hosts[entry.host] then
		local ok, found = pcall(look, entry.host, entry.account);
		result[entry.name] = ok and found or { error = tostring(found) };
	else
		result[entry.name] = { missing = true };
	end
end
return json.encode(result);
"""
)


def _hosts(subject: Subject) -> list[dict[str, str]]:
    asked = []
    for domain in subject.promises["domains"]:
        name = domain["domain"]
        host = name.encode().decode("idna")
        asked.append({"name": name, "host": host})
        for component in domain.get("components", {}).values():
            asked.append({"name": component, "host": component.encode().decode("idna"), "account": host})
    return asked


def run_in_prosody(subject: Subject, source: str, arguments: Any) -> dict[str, Any]:
    """Return what a program in the running Prosody answers, as prosody.program() has it: a JSON object."""
    if subject.outside:
        raise Unknown("it is asked on the host alone")
    try:
        found = json.loads(prosody.shell(prosody.program(source, arguments), timeout=subject.seconds(5)))
    except prosody.ProsodyError as error:
        raise Unknown(str(error)) from error
    except ValueError as error:
        raise Unknown(f"Prosody's shell answers something else: {error}") from error
    return found if isinstance(found, dict) else {}


def of_host(subject: Subject, name: str) -> dict[str, Any]:
    """Return what the running Prosody says of one of its hosts, a component among them."""
    found: dict[str, Any] = subject.evidence.once(
        "discovery", lambda: run_in_prosody(subject, SOURCE, _hosts(subject))
    ).get(name) or {"missing": True}
    if "error" in found:
        raise Unknown(f"{name}: {found['error']}")
    return found
