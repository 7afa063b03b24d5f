-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Shuts accounts and opens them, in the same way as module prosody_user of the collection, so that each opens what the other
-- has shut. For modules of a domain. Works on Prosody 0.12 and 13.

local hex = require "util.hex".encode;
local random = require "util.random";
local usermanager = require "core.usermanager";

local host = module.host;
local accounts = module:open_store("accounts");
-- Prosody 0.12 knows no disabled accounts: their key is put aside, and one that fits no password takes its place.
local native = usermanager.disable_user ~= nil;

local lib = {};

function lib.is_shut(name)
	if native then return usermanager.user_exists(name, host) and not usermanager.user_is_enabled(name, host); end
	local account = accounts:get(name);
	return account and account.disabled or false;
end

-- meta: why; Prosody 13 stores it. Sessions end.
function lib.shut(name, meta)
	if native then return usermanager.disable_user(name, host, meta); end
	local account = accounts:get(name);
	account.disabled, account.disabled_stored_key = true, account.stored_key;
	account.stored_key = hex(random.bytes(#account.stored_key / 2));
	local ok, problem = accounts:set(name, account);
	local user = prosody.hosts[host].sessions[name];
	local sessions = {};
	for _, session in pairs(ok and user and user.sessions or {}) do table.insert(sessions, session); end
	for _, session in ipairs(sessions) do session:close { condition = "not-authorized", text = "Account disabled" }; end
	return ok, problem;
end

function lib.open(name)
	if native then return usermanager.enable_user(name, host); end
	local account = accounts:get(name);
	account.disabled, account.stored_key, account.disabled_stored_key = nil, account.disabled_stored_key, nil;
	return accounts:set(name, account);
end

-- What tells one time that an account is shut from another, or nil where it is open. Prosody 13 needs meta.id for it.
function lib.mark(name)
	local account = accounts:get(name);
	if not account or not account.disabled then return nil; end
	if native then return account.disabled_meta and account.disabled_meta.id; end
	return account.stored_key;
end

return lib;
