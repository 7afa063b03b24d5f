-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- What a password may be, whichever way it is set.

local saslprep = require "util.encodings".stringprep.saslprep;

-- What is wrong, by the keys that the texts of register_page have, too.
local texts = {
	password_form = "The password has characters that cannot be used, or too many";
	password_short = "The password is too short: its length without spaces must be at least %d";
	password_name = "The password must not contain the name of the account";
};

-- password: prepared by saslprep, or nil where that was not possible. Returns a key of the texts, or nil.
local function problem(password, name, minimum)
	if not password or #password > 512 or password:find("%c") then return "password_form"; end
	-- Spaces are characters of a passphrase, and make none alone.
	if select(2, password:gsub("%s", ""):gsub("[^\128-\191]", "")) < minimum then return "password_short"; end
	if name and name ~= "" and password:lower():find(name, 1, true) then return "password_name"; end
end

-- The same of a password as it is typed, in words.
local function explain(typed, name, minimum)
	local key = problem(saslprep(typed or ""), name, minimum);
	return key and texts[key]:format(minimum);
end

return { problem = problem, explain = explain };
