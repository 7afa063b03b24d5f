-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- A domain's administrators: whom the configuration names, and accounts that have the role. For modules of a domain.
-- Works on Prosody 0.12 and 13.

local id = require "util.id";
local st = require "util.stanza";
local usermanager = require "core.usermanager";

local lib = {};

-- Sends each of them a message.
function lib.tell(text)
	local found = {};
	for _, role in ipairs { "prosody:admin", "prosody:operator" } do
		for _, address in ipairs(usermanager.get_jids_with_role(role, module.host) or {}) do found[address] = true; end
	end
	for address in pairs(found) do
		module:send(st.message({ from = module.host, to = address, type = "chat", id = id.medium() }, text));
	end
end

return lib;
