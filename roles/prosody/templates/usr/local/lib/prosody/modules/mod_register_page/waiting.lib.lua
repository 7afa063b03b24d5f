-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Accounts that are there, but shut until an administrator approves of them. They are disabled in the same way as module
-- prosody_user does it, so that it opens them, too.

local random = require "util.random";
local usermanager = require "core.usermanager";

local host = module.host;
local accounts = module:open_store("accounts");
local store = module:open_store("registrations_waiting");
-- Prosody 0.12 knows no disabled accounts: their key is put aside, and one that fits no password takes its place.
local native = usermanager.disable_user ~= nil;

local function hex(text) return (text:gsub(".", function (c) return ("%02x"):format(c:byte()); end)); end

local function is_shut(name)
	if native then return usermanager.user_exists(name, host) and not usermanager.user_is_enabled(name, host); end
	local account = accounts:get(name);
	return account and account.disabled or false;
end

local function shut(name)
	if native then return usermanager.disable_user(name, host, { reason = "registration" }); end
	local account = accounts:get(name);
	account.disabled, account.disabled_stored_key = true, account.stored_key;
	account.stored_key = hex(random.bytes(#account.stored_key / 2));
	return accounts:set(name, account);
end

local function open(name)
	if native then return usermanager.enable_user(name, host); end
	local account = accounts:get(name);
	account.disabled, account.stored_key, account.disabled_stored_key = nil, account.disabled_stored_key, nil;
	return accounts:set(name, account);
end

-- The names that wait, the oldest first. One that was opened or deleted in another way waits no longer.
local function list()
	local names, since = {}, {};
	for name in store:users() do
		local entry = store:get(name);
		if entry and is_shut(name) then
			table.insert(names, name);
			since[name] = entry.since;
		end
	end
	table.sort(names, function (a, b) return since[a] == since[b] and a < b or since[a] < since[b]; end);
	return names, since;
end

local function add(name)
	local ok, problem = shut(name);
	if ok then ok, problem = store:set(name, { since = os.time() }); end
	return ok, problem;
end

local function decide(name, approved)
	if not store:get(name) or not is_shut(name) then return nil, "nobody of that name waits"; end
	store:set(name, nil);
	if approved then return open(name); end
	return usermanager.delete_user(name, host);
end

return { list = list, add = add, decide = decide, is_shut = is_shut };
