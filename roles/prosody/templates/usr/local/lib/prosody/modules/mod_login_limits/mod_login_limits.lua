-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Limits wrong passwords by address and by account, and answers for an account that does not exist, or is disabled, as for
-- one that does. Prosody does neither: it names an unknown account at once, and lets everybody guess.
--
-- Every way to log in by SASL is held to it, be it the older profile or XEP-0388, by TCP, BOSH or WebSocket: the handler that
-- checks passwords is wrapped. Tokens (XEP-0484) are checked by another one; nobody guesses them.
--
-- Works on Prosody 0.12 and 13. Load it on a domain.
--   login_failures_per_address  wrong passwords of an address, or a /64 of IPv6, in ten minutes (default 100)
--   login_failures_per_account  wrong passwords for an account in an hour, from where its owner has not logged in in the last
--                               90 days (default 20)

local cache = require "util.cache";
local hashes = require "util.hashes";
local hex = require "util.hex".encode;
local net = require "util.net";
local random = require "util.random";
local attempts = module:require "attempts";
local networks = module:require "networks";

local hidden_iterations = module:get_option_number("default_iteration_count", 10000);
local guard = attempts.guard(function () return cache.new(10000); end, {
	address = module:get_option_number("login_failures_per_address", 100), address_period = 600;
	account = module:get_option_number("login_failures_per_account", 20), account_period = 3600;
	familiar = 10, lines = 20;
});
local days, areas_of_an_account = 90, 20;

-- Nobody without it can tell a salt that was made up from a stored one.
local store = module:open_store();
local function load_secret()
	local stored, problem = store:get(nil);
	if stored and stored.secret then return stored.secret; end
	local secret = hex(random.bytes(32));
	local ok = not problem;
	if ok then ok, problem = store:set(nil, { secret = secret }); end
	if not ok then module:log("error", "The secret for unknown accounts cannot be stored: %s", problem); end
	return secret;
end
local secret = load_secret();

-- Where the owner of an account has logged in. The store has no address, but what only this host makes of one.
local function area_key(area) return hashes.hmac_sha256(secret, "area\0" .. area, true):sub(1, 24); end
local function known_areas(username)
	local stored = store:get(username);
	return stored and stored.areas or {};
end

-- What Prosody would have stored for an account: the salt is a random UUID, the keys are hashes.
local function made_up(username, size)
	local function bytes(purpose) return hashes.hmac_sha256(secret, purpose .. "\0" .. username); end
	local digits = hex(bytes "salt");
	local variant = ("89ab"):sub(digits:byte(17) % 4 + 1, digits:byte(17) % 4 + 1);
	local salt = ("%s-%s-4%s-%s%s-%s"):format(digits:sub(1, 8), digits:sub(9, 12), digits:sub(14, 16), variant,
		digits:sub(18, 20), digits:sub(21, 32));
	return bytes "stored":sub(1, size), bytes "server":sub(1, size), hidden_iterations, salt, true;
end

-- Names of accounts and addresses are the client's: nothing of another form gets into the journal.
local function shown(name) return #name <= 64 and name:find("^[%w._+-]+$") and name or ("an account with a name of %d B"):format(#name); end

-- Where somebody may log in whose attempts would be refused otherwise.
local told = {
	address = "Too many wrong passwords from %s, the last one for %s: logins from there go on where the owner has logged in before";
	area = "Too many wrong passwords from the neighbourhood of %s, the last one for %s: logins from there go on where the owner "
		.. "has logged in before";
	account = "Too many wrong passwords, the last one from %s, for %s: its owner logs in from where that was done before, or by "
		.. "the first attempt from elsewhere";
	familiar = "Too many wrong passwords from %s for %s, whose owner has logged in from there: the next attempt has to wait a minute";
};

-- Counts an attempt; returns what becomes of it.
local function attempt(session, username, check)
	local now = os.time();
	local packed = session and session.ip and net.pton(session.ip);
	local network, area = networks.places(packed);
	local key = area_key(area);
	local known = known_areas(username);
	local name = #username > 64 and hashes.sha256(username) or username;
	local counted, by, is_first = guard.attempt(name, network, area, attempts.is_known(known, key, now, days), now);
	if not counted then
		if is_first then module:log("warn", told[by], packed and session.ip or "an unknown address", shown(username)); end
		return "failure", "temporary-auth-failure", "Too many wrong passwords. Try again in some minutes.";
	end
	local status, result, text = check();
	-- What is no guess does not count either.
	if status == "success" or result ~= "not-authorized" then guard.succeeded(counted, now); end
	if status == "success" then
		known = attempts.remember(known, key, now, days, areas_of_an_account);
		if known then store:set(username, { areas = known }); end
	end
	return status, result, text;
end

local function wrap_profile(profile, session)
	for name, lookup in pairs(profile) do
		local hash = type(name) == "string" and name:match("^scram_(sha_%d+)$");
		if hash then
			profile[name] = function (self, username, ...)
				local stored_key, server_key, iterations, salt, status = lookup(self, username, ...);
				self.is_disabled = status == false;
				if not stored_key then return made_up(username, hash == "sha_1" and 20 or 32); end
				return stored_key, server_key, iterations, salt, true;
			end;
		elseif name == "plain_test" then
			profile[name] = function (self, username, ...)
				local given = table.pack(...);
				local correct, enabled;
				attempt(session, username, function ()
					correct, enabled = lookup(self, username, table.unpack(given, 1, given.n));
					return correct and "success" or "failure", "not-authorized";
				end);
				return correct, enabled;
			end;
		end
	end
end

local function wrap_handler(handler, session)
	local process, clean_clone = handler.process, handler.clean_clone;
	function handler:process(message)
		-- The first message of SCRAM names the account, and the second one proves the password.
		local state = self.state;
		if not state then return process(self, message); end
		return attempt(session, state.username, function ()
			local status, result, text = process(self, message);
			-- Only who knows the password learns that the account is disabled.
			if status == "success" and self.is_disabled then return "failure", "account-disabled"; end
			return status, result, text;
		end);
	end
	-- It has the same profile.
	function handler:clean_clone() return wrap_handler(clean_clone(self), session); end
	return handler;
end

local provider, get_sasl_handler;
local function unhook()
	if provider then provider.get_sasl_handler = get_sasl_handler; end
	provider = nil;
end
local function hook()
	unhook();
	provider = prosody.hosts[module.host].users;
	get_sasl_handler = provider.get_sasl_handler;
	provider.get_sasl_handler = function (session)
		local handler = get_sasl_handler(session);
		wrap_profile(handler.profile, session);
		return wrap_handler(handler, session);
	end;
end
hook();
-- After Prosody has taken a new one.
module:hook("item-added/auth-provider", hook, -10);
module.unload = unhook;
