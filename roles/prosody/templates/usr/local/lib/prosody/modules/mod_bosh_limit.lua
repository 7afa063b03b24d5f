-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- How many BOSH sessions (XEP-0124) an address may have open that have not logged in. They are no connections, so that a
-- firewall cannot count them. With one more, the oldest ends: who logs in does so at once.
--
-- Works on Prosody 0.12 and 13. Load it on a domain.
--   bosh_unauthenticated_per_address     sessions of an address, or a /64 of IPv6 (default 50)

local net = require "util.net";
local nameprep = require "util.encodings".stringprep.nameprep;
local networks = module:require "networks";

local limit = module:get_option_number("bosh_unauthenticated_per_address", 50);

-- Address → its sessions that have not logged in, the oldest first.
local open = {};

local function source_of(session) return (networks.places(session.ip and net.pton(session.ip))); end

local function still_open(sessions)
	local found = {};
	for _, session in ipairs(sessions) do
		if session.type == "c2s_unauthed" and not session.destroyed then table.insert(found, session); end
	end
	return found;
end

module:hook_global("bosh-session", function (event)
	local session = event.session;
	if nameprep(session.host) ~= module.host then return; end
	local source = source_of(session);
	local sessions = still_open(open[source] or {});
	if #sessions >= limit then
		table.remove(sessions, 1):close({ condition = "policy-violation", text = "Too many sessions that have not logged in" });
	end
	table.insert(sessions, session);
	open[source] = sessions;
end);

module:add_timer(60, function ()
	for source, sessions in pairs(open) do
		local found = still_open(sessions);
		open[source] = found[1] and found or nil;
	end
	return 60;
end);
