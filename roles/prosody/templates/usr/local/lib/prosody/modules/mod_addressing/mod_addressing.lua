-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Extended Stanza Addressing (XEP-0033): a client sends one message or presence to its domain, and the server one copy
-- to each address in it.
--
-- For the domain's own users only: what other servers and other domains send is refused, so nobody's multicasts are
-- relayed. Each copy takes the way of a stanza that the client had sent itself, past blocklists, archive and limits.
--
-- Works on Prosody 0.12 and 13. Load it on a domain.
--   addressing_max_addresses      addresses in one stanza, of all types (default 25; the XEP wants 20 to 100)
--   addressing_copies_per_minute  copies that an account's stanzas may become in a minute (default 100); one of more than
--                                 10 kB counts as several

local st = require "util.stanza";
local cache = require "util.cache";
local jid = require "util.jid";
local throttle = require "util.throttle";
local plan = module:require "plan";

local xmlns = "http://jabber.org/protocol/address";
local limit = module:get_option_number("addressing_max_addresses", 25);
local rate = module:get_option_number("addressing_copies_per_minute", 100);
-- Presence of other types changes rosters.
local presence_types = { [""] = true, unavailable = true };

local throttles = cache.new(10000);

local function may_send(origin, cost)
	local its = throttles:get(origin.username) or throttle.create(rate, 60);
	throttles:set(origin.username, its);
	return its:poll(cost);
end

local function is_multicast(stanza)
	return stanza.attr.type ~= "error" and stanza:get_child("addresses", xmlns);
end

local function addresses_of(stanza)
	local given, blocks = {}, 0;
	for block in stanza:childtags("addresses", xmlns) do
		blocks = blocks + 1;
		for address in block:childtags("address", xmlns) do given[#given + 1] = address.attr; end
	end
	return given, blocks;
end

local function refuse(event, kind, condition, text)
	event.origin.send(st.error_reply(event.stanza, kind, condition, text));
	return true;
end

-- Clients of this domain: these events are theirs alone.
local function on_sent(event)
	local origin, stanza = event.origin, event.stanza;
	if stanza.attr.to ~= module.host or not is_multicast(stanza) then return; end
	if stanza.name == "presence" and not presence_types[stanza.attr.type or ""] then
		return refuse(event, "modify", "bad-request", "Subscriptions go to one address at a time");
	end

	local given, blocks = addresses_of(stanza);
	-- A second block would reach the next service as it is.
	if blocks > 1 then return refuse(event, "modify", "bad-request", "More than one list of addresses"); end

	local recipients, shown, blind = plan.copies(given, limit, module.host, jid.prep);
	if not recipients then return refuse(event, "modify", shown, blind); end
	local cost = plan.cost(#recipients, #tostring(stanza));
	if cost > rate then return refuse(event, "modify", "not-acceptable", "Too large for so many addresses"); end
	if not may_send(origin, cost) then
		return refuse(event, "wait", "resource-constraint", "Too many copies; wait a minute");
	end

	for _, recipient in ipairs(recipients) do
		local addresses = st.stanza("addresses", { xmlns = xmlns });
		for _, attributes in ipairs(shown) do addresses:tag("address", attributes):up(); end
		if blind[recipient] then addresses:tag("address", blind[recipient]):up(); end
		local copy = st.clone(stanza):maptags(function (tag)
			return tag.name == "addresses" and tag.attr.xmlns == xmlns and addresses or tag;
		end);
		copy.attr.to = recipient;
		prosody.core_post_stanza(origin, copy, true);
	end
	return true;
end

-- Everybody else. A copy that lists who has got one is an ordinary stanza.
local function on_received(event)
	if is_multicast(event.stanza) and plan.is_pending((addresses_of(event.stanza))) then
		return refuse(event, "auth", "forbidden", "Only users of this domain may send to several addresses");
	end
end

module:add_feature(xmlns);
for _, name in ipairs { "message", "presence" } do
	-- Before the archive and the carbons, which shall have the copies.
	module:hook("pre-" .. name .. "/host", on_sent, 1);
	module:hook(name .. "/host", on_received, 1);
end
