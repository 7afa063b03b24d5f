-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Strips <stanza-id/> that claims to be of the account, or the room, that a message is for (XEP-0359, section 6): only its
-- own archive may set that. mod_mam delivers and archives a forged one ahead of its own, and muc_mam leaves them in private
-- messages.
--
-- Works on Prosody 0.12 and 13. Load it on a domain and on rooms. To be removed when Debian's Prosody does this itself.

local st = require "util.stanza";
local jid = require "util.jid";
local to_unicode = require "util.encodings".idna.to_unicode;

local xmlns = "urn:xmpp:sid:0";

-- All spellings of an address are the same one here: upper case, a resource, the ASCII form of an IDN, a dot at its end.
local function normalise(address)
	local node, host = jid.prepped_split(jid.bare(address));
	host = host and to_unicode(host) or host;
	return host and jid.join(node, host);
end

local function strip(stanza, owner)
	if not stanza:get_child("stanza-id", xmlns) then return stanza; end
	owner = normalise(owner);
	local stripped = st.clone(stanza);
	stripped:maptags(function (tag)
		local is_forged = tag.name == "stanza-id" and tag.attr.xmlns == xmlns and normalise(tag.attr.by) == owner;
		return not is_forged and tag or nil;
	end);
	return stripped;
end

-- Without an address, a message is for the account that sends it.
local function on_received(event)
	event.stanza = strip(event.stanza, event.stanza.attr.to or event.stanza.attr.from);
end

-- The archive of the sender has it, too.
local function on_sent(event)
	event.stanza = strip(event.stanza, event.origin.full_jid or event.stanza.attr.from);
end

-- Before all that reads messages, filters included.
for _, kind in ipairs { "bare", "full", "host" } do
	module:hook("message/" .. kind, on_received, 1000000);
	module:hook("pre-message/" .. kind, on_sent, 1000000);
end
