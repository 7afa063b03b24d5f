-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- When rooms begin and end (XEP-0045, section 10.1): a new room is temporary until its owner has configured it, so it goes
-- when the owner leaves before, or cancels the form. A room that nobody enters and speaks in expires, and does so earlier where
-- none of its owners has an account any more.
--
-- Prosody makes new rooms persistent at once where muc_room_default_persistent is set. They stay, locked for five minutes
-- and open after that, though nobody has configured them.
--
-- Works on Prosody 0.12 and 13. Load it on rooms.
--   room_expire_days     days without anybody in a room after which it is destroyed; 0: never (default 365)
--   room_unowned_days    the same for a room whose owners were accounts of this server, and are all deleted; 0: as for the
--                        others (default 30)
--   room_new_per_hour    rooms that one account may make in an hour (default 30)

local st = require "util.stanza";
local cache = require "util.cache";
local jid = require "util.jid";
local throttle = require "util.throttle";

local muc = module:depends("muc");
local default_persistent = module:get_option_boolean("muc_room_default_persistent", false);
local expire_days = module:get_option_number("room_expire_days", 365);
local unowned_days = module:get_option_number("room_unowned_days", 30);
local per_hour = module:get_option_number("room_new_per_hour", 30);
local xmlns_owner = "http://jabber.org/protocol/muc#owner";
local day = 86400;

local throttles = cache.new(10000);

-- After the checks whether this account may make rooms, and before the room is kept.
module:hook("muc-room-pre-create", function (event)
	local room, stanza = event.room, event.stanza;
	local creator = jid.bare(stanza.attr.from);
	local its = throttles:get(creator) or throttle.create(per_hour, 3600);
	throttles:set(creator, its);
	if not its:poll(1) then
		event.origin.send(st.error_reply(stanza, "wait", "resource-constraint", "Too many new rooms; wait a while", module.host));
		return true;
	end
	room._data.unconfigured = true;
	room:set_persistent(false);
end, -10);

-- The form shows what the room becomes, not what it is until then.
module:hook("muc-config-form", function (event)
	if not event.room._data.unconfigured then return; end
	for _, field in ipairs(event.form) do
		if field.name == "muc#roomconfig_persistentroom" then field.value = default_persistent; end
	end
end, -10);

-- Before the fields, of which one may make it temporary.
module:hook("muc-config-submitted", function (event)
	if not event.room._data.unconfigured then return; end
	event.room._data.unconfigured = nil;
	event.room:set_persistent(default_persistent);
end, 10);

module:hook("iq-set/bare/" .. xmlns_owner .. ":query", function (event)
	local origin, stanza = event.origin, event.stanza;
	local form = stanza.tags[1]:get_child("x", "jabber:x:data");
	if not form or form.attr.type ~= "cancel" then return; end
	local room = muc.get_room_from_jid(stanza.attr.to);
	if not room or not room._data.unconfigured or room:get_affiliation(stanza.attr.from) ~= "owner" then return; end
	room:destroy(nil, "The configuration was cancelled");
	origin.send(st.reply(stanza));
	return true;
end, 10);

-- Noted once a day: each time is a write of the whole room.
local function on_use(event)
	local room, now = event.room, os.time();
	if (room._data.last_used or 0) > now - day then return; end
	room._data.last_used = now;
	room:save();
end
module:hook("muc-occupant-joined", on_use);
module:hook("muc-occupant-left", on_use);
module:hook("muc-broadcast-message", on_use);

local stored = module:open_store("config");
local names = module:open_store("persistent");

-- Asks the store: to usermanager, an account that has a session is there, even if `prosodyctl deluser` of 0.12 has deleted it.
local function has_account(address)
	local name, domain = jid.split(address);
	local its = prosody.hosts[domain];
	-- Nobody here knows of accounts on other servers.
	if not name or not its or its.type ~= "local" then return true; end
	local account, problem = module:context(domain):open_store("accounts"):get(name);
	return account ~= nil or problem ~= nil;
end

-- config: a room, or what is stored of one.
local function is_owned(config)
	for address, affiliation in pairs(config._affiliations or config) do
		if affiliation == "owner" and has_account(address) then return true; end
	end
	return false;
end

-- Returns why a room ends that nobody has used for so many seconds, or nil.
local function reason_to_end(config, unused)
	if config._data.unconfigured then return unused > day and "Nobody has configured this room" or nil; end
	if expire_days > 0 and unused > expire_days * day then return "Nobody has used this room for a long time"; end
	if unowned_days > 0 and unused > unowned_days * day and not is_owned(config) then
		return "The owners of this room have left the server, and nobody uses it";
	end
end

-- Also for the shell. Rooms are only loaded where they end, or have not been looked at before.
function expire(now) --luacheck: ignore 131/expire
	local found = {};
	for room in muc.live_rooms() do found[room.jid] = room; end
	for address in pairs(names:get(nil) or {}) do found[address] = found[address] or false; end
	local count = 0;
	for address, room in pairs(found) do
		local config = room or stored:get(jid.node(address));
		local data = config and config._data;
		local tombstone_ends = data and data.destroyed and tonumber(data.locked);
		if tombstone_ends and tombstone_ends < now then
			muc.delete_room(room or { jid = address });
		elseif data and not data.destroyed then
			local reason = reason_to_end(config, now - (data.last_used or 0));
			room = room or reason and muc.get_room_from_jid(address);
			if room and reason and not data.last_used then
				room._data.last_used = now;
				room:save();
			elseif room and reason and not room:has_occupant() then
				room:set_persistent(false);
				room:destroy(nil, reason);
				count = count + 1;
			end
		end
	end
	if count > 0 then module:log("info", "rooms destroyed because nobody used them: %d", count); end
	return count;
end
module:daily("Destroy rooms that nobody uses", function (_, now) expire(now or os.time()); end);
