-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Blocklists for rooms, as others keep them by publish-subscribe (XEP-0060): nodes whose items are named by the SHA-256 of
-- a bare JID or a domain, in hexadecimal digits. Who is on one enters no room and says nothing there. Whom a room has given
-- an affiliation is let in all the same.
--
-- The lists are followed as they change, read anew every few hours, and remembered over a restart. Debian's muc_rtbl
-- follows one list only, forgets it, and on Prosody 0.12 fails at each private message in a room.
--
-- Works on Prosody 0.12 and 13. Load it on a component of rooms.
--   room_blocklists             the lists, each as service/node
--   room_blocklists_refresh     seconds between two full readings (default 21600)

local st = require "util.stanza";
local id = require "util.id";
local jid = require "util.jid";
local sha256 = require "util.hashes".sha256;

local xmlns = "http://jabber.org/protocol/pubsub";
local refresh = module:get_option_number("room_blocklists_refresh", 21600);
local retry = math.min(refresh, 300);
local store = module:open_store();

-- service/node → set of hashes
local lists, known = {}, {};
for key in module:get_option_set("room_blocklists", {}) do
	table.insert(lists, { key = key, service = key:match("^[^/]+"), node = key:match("/(.+)$") });
	known[key] = store:get(key) or {};
end

local pending = {};
local function save(key)
	if pending[key] then return; end
	pending[key] = true;
	module:add_timer(2, function ()
		pending[key] = nil;
		local ok, problem = store:set(key, known[key]);
		if not ok then module:log("error", "%s cannot be stored: %s", key, problem); end
	end);
end

local function hash_of(item)
	local hash = item.attr.id;
	return hash and #hash == 64 and hash:find("^%x+$") and hash:lower() or nil;
end

local function ask(list, kind, payload)
	local iq = st.iq({ type = kind, id = id.medium(), from = module.host, to = list.service });
	return module:send_iq(iq:add_child(st.stanza("pubsub", { xmlns = xmlns }):add_child(payload)));
end

local function read(list)
	local key = list.key;
	ask(list, "set", st.stanza("subscribe", { node = list.node, jid = module.host })):next(function ()
		return ask(list, "get", st.stanza("items", { node = list.node }));
	end):next(function (event)
		local items = event.stanza:find("{" .. xmlns .. "}pubsub/items");
		if not items then error("its answer has no items"); end
		local hashes, count = {}, 0;
		for item in items:childtags("item") do
			local hash = hash_of(item);
			if hash and not hashes[hash] then hashes[hash], count = true, count + 1; end
		end
		known[key] = hashes;
		save(key);
		module:log("info", "%s: entries: %d", key, count);
		module:add_timer(refresh, function () read(list); end);
	end):catch(function (problem)
		module:log("warn", "%s cannot be read, so what was known stays: %s", key, tostring(problem));
		module:add_timer(retry, function () read(list); end);
	end);
end

-- The service tells what changes; nobody else is heard.
module:hook("message/host", function (event)
	local handled;
	for _, list in ipairs(lists) do
		if event.stanza.attr.from == list.service then
			local its = event.stanza:get_child("event", xmlns .. "#event");
			for child in (its or st.stanza("none")):childtags() do
				local hashes = known[list.key];
				if child.attr.node == list.node then
					if child.name == "purge" then known[list.key] = {}; end
					for item in child:childtags() do
						local hash = hash_of(item);
						if hash then hashes[hash] = item.name == "item" or nil; end
					end
					save(list.key);
				end
				handled = true;
			end
		end
	end
	return handled;
end, 1);

function is_listed(address)
	local bare, domain = sha256(jid.bare(address), true), sha256(jid.host(address), true);
	for _, hashes in pairs(known) do
		if hashes[bare] or hashes[domain] then return true; end
	end
end

-- sender: where the answer goes, when the stanza no longer says it.
local function refuse(event, address, sender)
	local affiliation = event.room:get_affiliation(address);
	if affiliation and affiliation ~= "none" or not is_listed(address) then return; end
	module:log("info", "%s is on a blocklist, and kept out of %s", jid.bare(address), event.room.jid);
	local reply = st.error_reply(event.stanza, "auth", "forbidden", "You are on a blocklist of this service", event.room.jid);
	reply.attr.to = sender or reply.attr.to;
	event.origin.send(reply);
	return true;
end

for _, name in ipairs { "muc-occupant-pre-join", "muc-occupant-groupchat" } do
	module:hook(name, function (event) return refuse(event, event.occupant and event.occupant.bare_jid or event.stanza.attr.from); end, 5);
end
module:hook("muc-private-message", function (event)
	local occupant = event.room:get_occupant_by_nick(event.stanza.attr.from);
	if occupant and refuse(event, occupant.bare_jid, occupant.jid) then return false; end
end);

local function begin()
	for _, list in ipairs(lists) do read(list); end
end
if prosody.start_time then begin(); else module:hook_global("server-started", begin); end
