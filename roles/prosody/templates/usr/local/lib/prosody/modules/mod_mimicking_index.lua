-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Lets mod_mimicking know every account. By itself it knows those only that were registered in-band since it is loaded,
-- and not those that an administrator has made.
--
-- Works on Prosody 0.12 and 13. Load it on a domain with mod_mimicking.

local skeleton = require "util.encodings".confusable.skeleton;
local usermanager = require "core.usermanager";
local database = module:require "database";

module:depends "mimicking";
local skeletons = module:open_store("skeletons");

function index()
	local known, missing, added = {}, {}, 0;
	for key in skeletons:users() do known[key] = true; end
	for username in usermanager.users(module.host) do
		local key = skeleton(username);
		if not known[key] then missing[key], added = username, added + (missing[key] and 0 or 1); end
	end
	if added == 0 then return; end
	local ok, problem = database.at_once(function ()
		for key, username in pairs(missing) do assert(skeletons:set(key, { username = username })); end
	end);
	if not ok then return module:log("error", "The look of names cannot be stored: %s", problem); end
	module:log("info", "names that no new account may look like, added: %d", added);
end

module:add_timer(5, index);
module:hourly("mimicking index", index);
