-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Counts connections and stanzas, and writes the numbers to a small file, so that who draws graphs of them needs
-- neither a socket nor a right. Each line is a name and a number; `time` is when it was written. Numbers of people's
-- doings are summed over the server, and name nobody.
--
-- Works on Prosody 0.12 and 13. Load it globally.
--   host_counters_file      where to (default "/run/prosody/host_counters")
--   host_counters_interval  how often, in seconds (default 10)
-- The accounts are counted every five minutes only, since each count reads them all.

module:set_global();

local filters = require "util.filters";
local pposix = require "util.pposix";

local path = module:get_option_string("host_counters_file", "/run/prosody/host_counters");
local interval = module:get_option_number("host_counters_interval", 10);

local accounts, accounts_counted;
local recount = 300;

local kinds = { message = true, presence = true, iq = true };
local stanzas = {};
for kind in pairs(kinds) do
	stanzas[kind .. "_in"] = 0;
	stanzas[kind .. "_out"] = 0;
end

local function counter(direction)
	return function (stanza)
		if kinds[stanza.name] then
			local name = stanza.name .. direction;
			stanzas[name] = stanzas[name] + 1;
		end
		return stanza;
	end
end
local count_in, count_out = counter("_in"), counter("_out");

local function watch(session)
	filters.add_filter(session, "stanzas/in", count_in, 1000);
	filters.add_filter(session, "stanzas/out", count_out, 1000);
end

local function connections()
	local found = {
		c2s_tls = 0, c2s_bosh = 0, c2s_websocket = 0, c2s_unencrypted = 0, c2s_hibernating = 0;
		s2s_in = 0, s2s_out = 0, s2s_connecting = 0;
	};
	local function add(name) found[name] = found[name] + 1; end

	for _, session in pairs(prosody.full_sessions) do
		if session.hibernating then
			-- XEP-0198: the connection is gone, and the session waits for its client to come back.
			add("c2s_hibernating");
		elseif session.bosh_version then
			add("c2s_bosh");
		elseif session.websocket_request then
			add("c2s_websocket");
		elseif session.secure then
			add("c2s_tls");
		else
			add("c2s_unencrypted");
		end
	end

	local function add_s2s(session)
		if session.type == "s2sin" then
			add("s2s_in");
		elseif session.type == "s2sout" then
			add("s2s_out");
		else
			add("s2s_connecting");
		end
	end
	for session in pairs(prosody.incoming_s2s) do add_s2s(session); end
	for _, host in pairs(prosody.hosts) do
		for _, session in pairs(host.s2sout or {}) do add_s2s(session); end
	end
	return found;
end

local function count_accounts()
	local users = require "core.usermanager".users;
	local count = 0;
	for name, host in pairs(prosody.hosts) do
		if host.type == "local" then
			for _ in users(name) do count = count + 1; end
		end
	end
	return count;
end

-- What Prosody occupies of the machine's memory.
local function resident()
	local file = io.open("/proc/self/status");
	if not file then return nil; end
	local size = file:read("*a"):match("VmRSS:%s*(%d+) kB");
	file:close();
	return size and size * 1024;
end

local function write()
	local now = os.time();
	if not accounts_counted or now - accounts_counted >= recount or now < accounts_counted then
		accounts_counted = now;
		local ok, count = pcall(count_accounts);
		accounts = ok and count or nil;
		if not ok then module:log("warn", "Cannot count the accounts: %s", count); end
	end
	local lines = { "time " .. os.time(), "start " .. math.floor(prosody.start_time) };
	for name, value in pairs(connections()) do lines[#lines + 1] = name .. " " .. value; end
	if accounts then lines[#lines + 1] = "accounts " .. accounts; end
	local memory = resident();
	if memory then lines[#lines + 1] = ("memory %.0f"):format(memory); end
	for name, value in pairs(stanzas) do lines[#lines + 1] = name .. " " .. value; end
	table.sort(lines);

	-- Replaced at once, so that no reader finds half of it.
	local before = pposix.umask("022");
	local file, problem = io.open(path .. ".new", "w");
	pposix.umask(before);
	if file then
		file:write(table.concat(lines, "\n"), "\n");
		file:close();
		local _;
		_, problem = os.rename(path .. ".new", path);
	end
	if problem then module:log("error", "Cannot write the counters: %s", problem); end
	return interval;
end

function module.load()
	filters.add_filter_hook(watch);
	module:add_timer(0, write);
end

function module.unload()
	filters.remove_filter_hook(watch);
	os.remove(path);
end
