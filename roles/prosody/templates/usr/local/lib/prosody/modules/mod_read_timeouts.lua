-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Prosody asks whoever was silent for read_timeout whether they are still there, and ends the connection of who does not answer
-- (XEP-0198). With mod_limits it does not: net.server pauses a connection after what it has read, for the bytes' share of a
-- second, and then does not begin to wait for a silence any more. A phone without network stayed online for as long as TCP lets
-- it, and messages to it were neither pushed nor kept for another client.
--
-- Works on Prosody 0.12 and 13. Load it for the whole server. It can go when net.server waits after a pause.

module:set_global();

local filters = require "util.filters";
local class, pause;

local function pause_and_wait(conn, seconds)
	local result = pause(conn, seconds);
	-- A port that takes no connection for a while is paused, too, and has no limit.
	if seconds and conn.conn and conn._limit then conn:setreadtimeout(); end
	return result;
end

-- All connections share their methods: with the first session they are at hand.
local function find(session)
	if class or not session.conn then return; end
	local its = getmetatable(session.conn);
	its = its and its.__index;
	if type(its) ~= "table" or not its.pausefor then return; end
	class, pause = its, its.pausefor;
	class.pausefor = pause_and_wait;
end

filters.add_filter_hook(find);

function module.unload()
	filters.remove_filter_hook(find);
	if class then class.pausefor = pause; end
end
