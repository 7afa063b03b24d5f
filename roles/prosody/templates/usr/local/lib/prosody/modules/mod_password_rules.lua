-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Holds every password to the rules for new accounts, whoever sets it and how: owners in an app (XEP-0077), administrators by
-- their commands or the shell, playbooks, and pages. Prosody itself takes any. The store of passwords refuses what breaks a
-- rule, and who asked in a way that would hide the reason is told it.
--
-- Works on Prosody 0.12 and 13. Load it on a domain. `prosodyctl passwd` and `adduser` of 0.12 write the store themselves, and
-- load no module but that of the store: mod_auth_hashed_by_rules.
--   register_min_password  characters that a password needs, not counting spaces (default 10)

local st = require "util.stanza";
local encodings = require "util.encodings".stringprep;
local storagemanager = require "core.storagemanager";
local passwords = module:require "passwords";

local host = module.host;
local minimum = module:get_option_number("register_min_password", 10);
local accounts = module:open_store("accounts");

-- Returns what is wrong with a password, or nil.
local function problem_with(username, password)
	return passwords.explain(password, username, minimum);
end

local last_problem;
local provider, original;
local function unhook()
	if provider then provider.set_password, provider.create_user = original.set_password, original.create_user; end
	provider = nil;
end
local function hook()
	unhook();
	provider = prosody.hosts[host].users;
	original = { set_password = provider.set_password, create_user = provider.create_user };
	function provider.set_password(username, password)
		last_problem = problem_with(username, password);
		if not last_problem then return original.set_password(username, password); end
		-- Prosody 13 makes an account first, and leaves it behind where its first password is refused.
		local account = accounts:get(username);
		if account and not account.stored_key and not account.password then storagemanager.purge(username, host); end
		return nil, last_problem;
	end
	function provider.create_user(username, password)
		last_problem = password and problem_with(username, password);
		if last_problem then return nil, last_problem; end
		return original.create_user(username, password);
	end
end
hook();
-- After Prosody has taken a new one.
module:hook("item-added/auth-provider", hook, -10);
module.unload = unhook;

-- Prosody would answer that it has an internal error.
local function change(event)
	local session, stanza = event.origin, event.stanza;
	local query = stanza.tags[1];
	local username, password = query:get_child_text("username"), query:get_child_text("password");
	if stanza.attr.type ~= "set" or session.type ~= "c2s" or not password or query:get_child("remove") then return; end
	if not username or encodings.nodeprep(username) ~= session.username then return; end
	local problem = problem_with(session.username, password);
	if not problem then return; end
	session.send(st.error_reply(stanza, "modify", "not-acceptable", problem));
	return true;
end
module:hook("iq/self/jabber:iq:register:query", change, 10);
module:hook("iq/host/jabber:iq:register:query", change, 10);

-- Prosody would answer that there is no such account, or that its disk is full.
module:handle_items("adhoc-provider", function (event)
	local command = event.item;
	local name = command.node:match("^http://jabber%.org/protocol/admin#(.+)$");
	if name ~= "change-user-password" and name ~= "add-user" then return; end
	local handler = command.plain_handler or command.handler;
	command.plain_handler = handler;
	function command:handler(...)
		last_problem = nil;
		local result, state = handler(self, ...);
		if last_problem and result.error then result.error.message = last_problem; end
		return result, state;
	end
end, function () end);
