-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Who gets a copy of a stanza with several addresses, and which addresses the copies show (XEP-0033, section 5).

local receives = { to = true, cc = true, bcc = true };

-- given: the attributes of each address; limit: how many there may be; prep: normalises a JID, or returns nothing.
-- Returns a list of JIDs, each once, and the attributes to show; or nil, the error's condition and its text.
local function copies(given, limit, prep)
	if #given > limit then
		return nil, "not-acceptable", ("%d addresses are more than the %d that are allowed"):format(#given, limit);
	end
	local recipients, shown, seen = {}, {}, {};
	for _, address in ipairs(given) do
		local delivers = receives[address.type];
		if delivers and address.delivered ~= "true" then
			local jid = address.jid and not address.uri and prep(address.jid);
			if not jid then
				return nil, "jid-malformed", ("An address of type '%s' has no valid JID"):format(address.type);
			end
			if not seen[jid] then
				seen[jid] = true;
				recipients[#recipients + 1] = jid;
			end
		end
		-- The copies are alike: nobody sees a blind one.
		if address.type ~= "bcc" then
			local copy = {};
			for name, value in pairs(address) do copy[name] = value; end
			if delivers then copy.delivered = "true"; end
			shown[#shown + 1] = copy;
		end
	end
	if not recipients[1] then return nil, "bad-request", "Nobody is left to deliver to"; end
	return recipients, shown;
end

-- What copies of a stanza count against the limit of an account: large ones as several.
local function cost(recipients, bytes)
	return recipients * math.max(1, math.ceil(bytes / 10240));
end

return { copies = copies, cost = cost };
