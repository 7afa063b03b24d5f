-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- What an operator types, an account or a domain, as Prosody has it: for programs that ask its shell.
-- Returns the account, or nil for a domain alone; the domain; or nothing, where it is neither.

local encodings = require "util.encodings";

return function (text)
	local account, domain = text:match("^([^@]*)@(.*)$");
	domain = encodings.idna.to_unicode(domain or text);
	domain = domain and encodings.stringprep.nameprep(domain);
	-- Of the account, what is not a name is refused, unknown letters among it.
	local name = account and encodings.stringprep.nodeprep(account, true);
	if not domain or domain == "" or account and (not name or name == "") then return; end
	return name, domain;
end
