-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Makes the credentials for STUN and TURN (XEP-0215) the account's own, so that a TURN server can hold it to a quota:
-- Prosody's have nothing but a time in them, and who asks again is somebody else to the TURN server.
-- The account is in them as a pseudonym, which tells a TURN server, or who reads its logs, nothing without the secret.
--
-- Works on Prosody 0.12 and 13. Load it with external_services, for the same hosts.
--   external_service_secret  the secret that is shared with the TURN server

local base64 = require "util.encodings".base64;
local hashes = require "util.hashes";
local jid = require "util.jid";

local secret = module:get_option_string("external_service_secret");
if not secret then
	module:log_status("error", "Failed to initialize: the 'external_service_secret' option is not set");
	return;
end

module:depends "external_services";

-- The form that coturn and others verify: expiry, separator, name; HMAC-SHA-1 as password.
-- https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00
local function own_credentials(event)
	local name = hashes.hmac_sha256(secret, jid.bare(event.stanza.attr.from), true):sub(1, 20);
	for _, service in ipairs(event.services) do
		if service.restricted and service.expires and (service.type == "turn" or service.type == "turns") then
			service.username = string.format("%d:%s", service.expires, name);
			service.password = base64.encode(hashes.hmac_sha1(secret, service.username));
		end
	end
end

module:hook("external_service/services", own_credentials);
module:hook("external_service/credentials", own_credentials);
