-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Reports of spam and abuse (XEP-0377), which clients send along when they block somebody: each is in the journal, and the
-- domain's administrators get a message. Who reports a lot is not heard each time.
--
-- Debian's spam_reporting is on Debian 13 only.
--
-- Works on Prosody 0.12 and 13. Load it on a domain.
--   reports_per_hour     reports of one account of which administrators get a message (default 10)

local cache = require "util.cache";
local jid = require "util.jid";
local throttle = require "util.throttle";
local administrators = module:require "administrators";

local rate = module:get_option_number("reports_per_hour", 10);
local reasons = { ["urn:xmpp:reporting:spam"] = "spam", ["urn:xmpp:reporting:abuse"] = "abuse" };
local throttles = cache.new(10000);
local reports = module:metric("counter", "received", "reports", "Reports of spam and abuse from users", { "reason" });

module:depends "blocklist";
for _, feature in ipairs { "0", "reason:spam:0", "reason:abuse:0", "1" } do
	module:add_feature("urn:xmpp:reporting:" .. feature);
end

-- One line, of a length that a journal and a client show; no character is cut in two.
local function line(text)
	if #text > 1000 then text = text:sub(1, 1000):gsub("[\192-\255]?[\128-\191]*$", ""); end
	return (text:gsub("[%c\127]+", " "));
end

local function may_tell(username)
	local its = throttles:get(username) or throttle.create(rate, 3600);
	throttles:set(username, its);
	return its:poll(1);
end

-- Before the blocklist, which ends the event.
module:hook("iq-set/self/urn:xmpp:blocking:block", function (event)
	local username = event.origin.username;
	for item in event.stanza.tags[1]:childtags("item") do
		local about = jid.prep(item.attr.jid or "");
		local old, new = item:get_child("report", "urn:xmpp:reporting:0"), item:get_child("report", "urn:xmpp:reporting:1");
		local report = new or old;
		if about and report then
			local reason = new and reasons[new.attr.reason] or old and (old:get_child("spam") and "spam" or old:get_child("abuse") and "abuse") or "unknown";
			local text = ("%s@%s reports %s by %s: %s"):format(username, module.host, reason, about,
				line(report:get_child_text("text") or "without more words"));
			reports:with_labels(reason):add(1);
			module:log("warn", "%s", text);
			if may_tell(username) then administrators.tell(text); end
		end
	end
end, 1);
