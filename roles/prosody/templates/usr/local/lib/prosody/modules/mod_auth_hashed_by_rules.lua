-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- The accounts of internal_hashed, whose new passwords keep the rules in `prosodyctl passwd` and `adduser` of Prosody 0.12, too:
-- these write the store themselves, and load no other module. Those of Prosody 13 have the running server do it, where
-- mod_password_rules sees to it.
--
-- For Prosody 0.12: authentication = "hashed_by_rules".
--   register_min_password  characters that a password needs, not counting spaces (default 10)

local passwords = module:require "passwords";
local minimum = module:get_option_number("register_min_password", 10);

local hashed;
module:depends("auth_internal_hashed");
module:handle_items("auth-provider", function (event)
	if event.item.name == "internal_hashed" then hashed = event.item; end
end, function () end);

local provider = {};
for name, value in pairs(hashed) do
	if type(value) == "function" then provider[name] = value; end
end

function provider.set_password(username, password)
	local problem = passwords.explain(password, username, minimum);
	if problem then return nil, problem; end
	return hashed.set_password(username, password);
end

function provider.create_user(username, password)
	local problem = password and passwords.explain(password, username, minimum);
	if problem then return nil, problem; end
	return hashed.create_user(username, password);
end

module:provides("auth", provider);
