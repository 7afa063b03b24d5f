-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- What Prosody's own authentication checks and that of the package prosody-modules for XEP-0388 does not: that the client
-- has not chosen a mechanism of `disable_sasl_mechanisms`, which is not offered but would be accepted, that no other module
-- refuses the attempt, and that the account is not disabled, which tokens (XEP-0484) do not ask.
--
-- Works on Prosody 13. Load it on a domain.

local st = require "util.stanza";
local usermanager = require "core.usermanager";

module:depends("sasl2");

local xmlns = "urn:xmpp:sasl:2";
local disabled = module:get_option_set("disable_sasl_mechanisms", { "DIGEST-MD5" });

local function refuse(session, condition, text)
	local failure = st.stanza("failure", { xmlns = xmlns })
		:tag(condition, { xmlns = "urn:ietf:params:xml:ns:xmpp-sasl" }):up();
	if text then failure:text_tag("text", text); end
	session.send(failure);
	return true;
end

module:hook_tag(xmlns, "authenticate", function (session, auth)
	local event = { origin = session, stanza = auth };
	module:fire_event("authentication-attempt", event);
	if event.allowed == false then
		return refuse(session, event.error_condition or "not-authorized", event.error_text);
	end
	local mechanism = auth.attr.mechanism;
	if not mechanism or disabled:contains(mechanism) then return refuse(session, "invalid-mechanism"); end
end, 1000);

-- Before anything makes a session of it.
module:hook("sasl2/c2s/success", function (event)
	local session = event.session;
	if usermanager.user_is_enabled(session.sasl_handler.username, module.host) then return; end
	return module:fire_event("sasl2/c2s/failure", { session = session, message = "account-disabled" });
end, 2000);
