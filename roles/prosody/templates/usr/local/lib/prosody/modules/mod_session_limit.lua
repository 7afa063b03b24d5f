-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- How many sessions one account may have at a time. Each takes memory, and each gets a copy of every message.
--
-- Works on Prosody 0.12 and 13. Load it on a domain.
--   max_sessions_per_account     sessions, those included that wait to be resumed (default 20)

local limit = module:get_option_number("max_sessions_per_account", 20);

module:hook("pre-resource-bind", function (event)
	local session = event.session;
	local user = prosody.hosts[module.host].sessions[session.username];
	local count = 0;
	for resource in pairs(user and user.sessions or {}) do
		-- Who comes back under the same name takes the place of the former session.
		if resource ~= event.resource then count = count + 1; end
	end
	if count < limit then return; end
	module:log("info", "%s has as many sessions as it may, %d, and gets no more", session.username, count);
	event.error = { type = "wait", condition = "resource-constraint", text = "Too many sessions of this account" };
	return false;
end);
