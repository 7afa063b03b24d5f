-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Who gets a copy of a stanza with several addresses, and which addresses the copies show (XEP-0033, section 5).

local receives = { to = true, cc = true, bcc = true };
local informs = { replyto = true, replyroom = true, noreply = true, ofrom = true };

local function delivered(address)
	local copy = {};
	for name, value in pairs(address) do copy[name] = value; end
	copy.delivered = "true";
	return copy;
end

-- given: the attributes of each address; limit: how many there may be; own: the address of this service, which gets no copy of
-- what it already has; prep: normalises a JID, or returns nothing.
-- Returns a list of JIDs, each once, the attributes that all copies show, and by JID those that this copy alone shows, since
-- nobody else may see a blind address; or nil, the error's condition and its text.
local function copies(given, limit, own, prep)
	if #given > limit then
		return nil, "not-acceptable", ("%d addresses are more than the %d that are allowed"):format(#given, limit);
	end
	local recipients, shown, blind, seen = {}, {}, {}, {};
	for _, address in ipairs(given) do
		local delivers = receives[address.type];
		if not delivers and not informs[address.type] then
			return nil, "bad-request", "The type of an address is one of to, cc, bcc, replyto, replyroom, noreply and ofrom";
		end
		if delivers and address.delivered ~= "true" then
			local jid = address.jid and not address.uri and prep(address.jid);
			if not jid then
				return nil, "jid-malformed", ("An address of type '%s' has no valid JID"):format(address.type);
			end
			if address.type == "bcc" then
				blind[jid] = blind[jid] or delivered(address);
			end
			if not seen[jid] and jid ~= own then
				seen[jid] = true;
				recipients[#recipients + 1] = jid;
			end
		end
		if address.type ~= "bcc" then shown[#shown + 1] = delivers and delivered(address) or address; end
	end
	if not recipients[1] then return nil, "bad-request", "Nobody is left to deliver to"; end
	return recipients, shown, blind;
end

-- Whether a service has to make copies for these addresses, and not only to show them.
local function is_pending(given)
	for _, address in ipairs(given) do
		if receives[address.type] and address.delivered ~= "true" then return true; end
	end
	return false;
end

-- What copies of a stanza count against the limit of an account: large ones as several.
local function cost(recipients, bytes)
	return recipients * math.max(1, math.ceil(bytes / 10240));
end

return { copies = copies, cost = cost, is_pending = is_pending };
