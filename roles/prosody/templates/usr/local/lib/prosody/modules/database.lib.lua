-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- The database of SQL storage, for modules of a host. Works on Prosody 0.12 and 13.

-- The connection, or nil where storage is another one.
local function engine()
	local _, its = next(module:shared("/*/sql/connections"));
	return its;
end

-- Calls a function whose reads and writes become one transaction, where Prosody makes one of each: that takes as long as the
-- disk needs for it, and keeps other programs out. Returns whether it is done, and what the function returns or why it is not.
local function at_once(work)
	local its = engine();
	if not its then return pcall(work); end
	return its:transaction(function ()
		-- Prosody knows no transaction within another one.
		its.transaction = function (_, inner, ...) return true, inner(...); end
		local ok, result = pcall(work);
		its.transaction = nil;
		if not ok then error(result, 0); end
		return result;
	end);
end

return { engine = engine, at_once = at_once };
