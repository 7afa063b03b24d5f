-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Accounts that are there, but shut until an administrator approves of them.

local usermanager = require "core.usermanager";
local accounts = module:require "accounts";

local host = module.host;
local store = module:open_store("registrations_waiting");

-- The names that wait, the oldest first. One that was opened or deleted in another way waits no longer.
local function list()
	local names, since = {}, {};
	for name in store:users() do
		local entry = store:get(name);
		if entry and accounts.is_shut(name) then
			table.insert(names, name);
			since[name] = entry.since;
		end
	end
	table.sort(names, function (a, b) return since[a] == since[b] and a < b or since[a] < since[b]; end);
	return names, since;
end

local function add(name)
	local ok, problem = accounts.shut(name, { reason = "registration" });
	if ok then ok, problem = store:set(name, { since = os.time() }); end
	return ok, problem;
end

local function decide(name, approved)
	if not store:get(name) or not accounts.is_shut(name) then return nil, "nobody of that name waits"; end
	store:set(name, nil);
	if approved then return accounts.open(name); end
	return usermanager.delete_user(name, host);
end

return { list = list, add = add, decide = decide };
