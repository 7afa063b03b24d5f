-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- A share of the disk for each account, across its archive, personal eventing, private storage, offline messages and uploads.
-- Prosody limits numbers of items only, and nodes not at all, so that one account could fill the disk.
--
-- Whoever has used up the share gets an error for what would be stored by a request, and for an upload slot. Messages come
-- from others, so the archive takes them and gives up its oldest; a quarter of what the database may have is its own in any case.
--
-- In rooms, the share is what the messages of one account may take of all archives together.
--
-- Works on Prosody 0.12 and 13, with SQL storage. Load it on a domain, and on rooms; upload_slots asks it for uploads.
--   storage_share           bytes of an account (default: no limit)
--   storage_share_database  bytes of that in the database, since Prosody does nothing else while it counts (default 1 GiB)
--   archive_expires_after   seconds that messages are kept

local st = require "util.stanza";
local cache = require "util.cache";
local jid = require "util.jid";
local throttle = require "util.throttle";
local now = require "util.time".now;
local modulemanager = require "core.modulemanager";
local database = module:require "database";

local share = module:get_option_number("storage_share", math.huge);
if share == math.huge then return; end
local database_share = math.min(share, module:get_option_number("storage_share_database", 2^30));
-- Each item has its place in tables and indexes, however small it is.
local overhead = 500;
local text_full = "Your share of this server's disk is used up; delete uploads, or what your clients have stored";

local function refuse(event, text)
	event.origin.send(st.error_reply(event.stanza, "wait", "resource-constraint", text));
	return true;
end

-- In rooms.
if module:get_host_type() == "component" then
	-- An archive that never ends is shared out by the year.
	local kept = tonumber(module:get_option("archive_expires_after")) or 365 * 86400;
	local throttles = cache.new(10000);
	module:hook("muc-occupant-groupchat", function (event)
		local sender = jid.bare(event.stanza.attr.from);
		local its = throttles:get(sender) or throttle.create(share, math.max(kept, 86400));
		throttles:set(sender, its);
		if not its:poll(#tostring(event.stanza) + overhead) then
			return refuse(event, "Your messages have used up your share of this server's disk");
		end
	end, 40);
	return;
end

-- Bytes of a column; SQLite counts the characters of texts, and reads all of them unless it has octet_length().
local function length_in(engine)
	if engine.params.driver ~= "SQLite3" then return 'octet_length("value")'; end
	local version = engine.sqlite_version;
	local is_new = version and ((version[1] or 0) > 3 or (version[2] or 0) >= 43);
	return is_new and 'octet_length("value")' or 'length(cast("value" as blob))';
end

local used = cache.new(10000);

-- Reads from the database what an account has.
local function count(username)
	local engine = assert(database.engine(), "storage_share needs SQL storage");
	local length = length_in(engine);
	local found = { archive = 0, others = 0, next = 0 };
	local started = now();
	local ok, problem = engine:transaction(function ()
		local archives = ('SELECT "store", SUM(%s + %d) FROM "prosodyarchive" WHERE "host"=? AND "user"=? GROUP BY "store"')
			:format(length, overhead);
		for row in engine:select(archives, module.host, username) do
			local kind = row[1] == "archive" and "archive" or "others";
			found[kind] = found[kind] + (tonumber(row[2]) or 0);
		end
		local values = ('SELECT SUM(%s + %d) FROM "prosody" WHERE "host"=? AND "user"=?'):format(length, overhead);
		for row in engine:select(values, module.host, username) do found.others = found.others + (tonumber(row[1]) or 0); end
	end);
	if not ok then module:log("error", "Cannot read how much %s has stored: %s", username, problem); end
	-- Never more than a thousandth of the time, however large it is.
	found.next = os.time() + math.max(1, 1000 * (now() - started));
	used:set(username, found);
	return found;
end

local function of(username)
	return used:get(username) or count(username);
end

local function uploads(username)
	local bytes = 0;
	for host in pairs(prosody.hosts) do
		local slots = modulemanager.get_module(host, "upload_slots");
		if slots then bytes = bytes + slots.stored(username .. "@" .. module.host); end
	end
	return bytes;
end

-- Bytes beyond the share, or beyond that of the database; negative where there is room.
local function surplus(username, bytes, file_bytes, part)
	local its = of(username);
	local stored = its.archive + its.others + bytes;
	return math.max(stored + uploads(username) + file_bytes - share * part, stored - database_share * part);
end

-- What is replaced or deleted is only noticed when the database is asked again, and it is when the share seems to be used up.
local function is_over(username, bytes, file_bytes)
	if surplus(username, bytes, file_bytes or 0, 1) <= 0 then return false; end
	if os.time() >= of(username).next then count(username); end
	return surplus(username, bytes, file_bytes or 0, 1) > 0;
end

local function add(username, kind, bytes)
	local its = of(username);
	its[kind] = its[kind] + bytes;
end

-- For upload_slots.
function exceeds(username, bytes) --luacheck: ignore 131/exceeds
	return is_over(username, 0, bytes), text_full;
end

-- Once an hour for an account: a flood shall not fill the journal, too.
local told = cache.new(10000);
local function tell(username, text)
	if (told:get(username) or 0) > os.time() - 3600 then return; end
	told:set(username, os.time());
	module:log("info", text, username);
end

local function on_request(event, username, stanza)
	local bytes = #tostring(stanza) + overhead;
	if is_over(username, bytes) then
		tell(username, "%s has used up the share of the disk");
		return refuse(event, text_full);
	end
	add(username, "others", bytes);
end

-- Nodes may be open to others, who write into the owner's share.
module:hook("iq/bare/http://jabber.org/protocol/pubsub:pubsub", function (event)
	local stanza, action = event.stanza, event.stanza.tags[1];
	if stanza.attr.type == "set" and (action:get_child("publish") or action:get_child("create")) then
		return on_request(event, jid.node(stanza.attr.to) or event.origin.username, stanza);
	end
end, 10);

-- All else that an account stores by a request to itself. Small ones are for blocking, and for removing things.
module:hook("pre-iq/bare", function (event)
	local stanza, payload = event.stanza, event.stanza.tags[1];
	if not event.to_self or stanza.attr.type ~= "set" or not payload or payload.name == "pubsub" then return; end
	if payload.attr.xmlns == "jabber:iq:private" or #tostring(stanza) > 1024 then
		return on_request(event, event.origin.username, stanza);
	end
end, 10);

local archive = module:open_store("archive", "archive");
local function shorten(username)
	local wanted = math.min(surplus(username, 0, 0, 0.9), of(username).archive - database_share / 4);
	if wanted <= 0 then return; end
	local engine = database.engine();
	local freed, ids = 0, {};
	engine:transaction(function ()
		-- So many at a time: the next message goes on. By their IDs, since many have the same second.
		local oldest = ([[SELECT %s + %d, "key" FROM "prosodyarchive" WHERE "host"=? AND "user"=? AND "store"=?
			ORDER BY "sort_id" LIMIT 500]]):format(length_in(engine), overhead);
		for row in engine:select(oldest, module.host, username, "archive") do
			if freed < wanted then
				freed = freed + tonumber(row[1]);
				table.insert(ids, row[2]);
			end
		end
	end);
	if not ids[1] then return; end
	local ok, problem = archive:delete(username, { ids = ids });
	if not ok then return module:log("error", "Cannot shorten the archive of %s: %s", username, problem); end
	add(username, "archive", -freed);
	tell(username, "The archive of %s is shortened: the share of the disk is used up");
end

module:hook("archive-message-added", function (event)
	local username = event.for_user;
	add(username, "archive", #tostring(event.stanza) + overhead);
	if is_over(username, 0) then shorten(username); end
end);

module:hook("message/offline/handle", function (event)
	local stanza = event.stanza;
	local username = jid.node(stanza.attr.to) or event.origin.username;
	if not username then return; end
	local bytes = #tostring(stanza) + overhead;
	if not is_over(username, bytes) then return add(username, "others", bytes); end
	-- The sender is told, unless the account finds it in the archive.
	return stanza:get_child_with_attr("stanza-id", "urn:xmpp:sid:0", "by", username .. "@" .. module.host) ~= nil;
end, 10);
