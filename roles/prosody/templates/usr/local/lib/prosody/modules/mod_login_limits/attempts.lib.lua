-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Which attempts to log in are looked at, and which are refused unseen, after wrong passwords.
--
-- An attempt comes from a network, which is what one customer has, in an area, its neighbourhood. Limits are:
--   by network      wrong passwords for any accounts; for an area ten times as many
--   by account      wrong passwords from anywhere
--   familiar areas  where the owner has logged in before: an account has a limit of its own there, and no other limit holds.
--                   So neither who guesses from elsewhere nor who guesses other accounts from there shuts the owner out.
--   new areas       where an account's limit is reached, each area has one attempt all the same, until it fails. So a
--                   stranger who goes on guessing does not shut out an owner who travels.

-- How many more there may be under a key: `most` at once, which come back evenly within `period` seconds. store: has get and set.
local function tally(store, most, period)
	local self = {};
	local function entry(key, now)
		local its = store:get(key) or { left = most, at = now };
		its.left = math.min(most, its.left + math.max(0, now - its.at) * most / period);
		its.at = now;
		-- The next burst is told of anew.
		if its.left >= most / 2 then its.told = nil; end
		return its;
	end
	function self.has(key, now) return entry(key, now).left >= 1; end
	function self.add(key, count, now)
		local its = entry(key, now);
		its.left = math.max(0, math.min(most, its.left + count));
		store:set(key, its);
	end
	-- Whether this burst has been told of; from now on it has.
	function self.tell(key, now)
		local its = entry(key, now);
		local told = its.told;
		its.told = true;
		store:set(key, its);
		return told or false;
	end
	return self;
end

-- new_store: makes a store. The limits are wrong passwords and the seconds within which they come back.
local function guard(new_store, limits)
	local networks = tally(new_store(), limits.address, limits.address_period);
	local areas = tally(new_store(), limits.address * 10, limits.address_period);
	local accounts = tally(new_store(), limits.account, limits.account_period);
	local familiar = tally(new_store(), limits.familiar, limits.address_period);
	local new = tally(new_store(), 1, limits.account_period);
	-- The journal gets no more lines than that, however many accounts or addresses there are.
	local lines = tally(new_store(), limits.lines, 3600);
	local self = {};

	local function refused(by, kept, key, now)
		local is_first = not kept.tell(key, now);
		if is_first then
			is_first = lines.has("", now);
			lines.add("", -1, now);
		end
		return nil, by, is_first;
	end

	-- Counts an attempt before it is looked at, since many may be under way at once. Returns what `succeeded` needs; or nil,
	-- by which limit it is refused, and whether that is the first one of a burst.
	function self.attempt(username, network, area, is_familiar, now)
		local pair = username .. "\0" .. area;
		local counted;
		if is_familiar then
			if not familiar.has(pair, now) then return refused("familiar", familiar, pair, now); end
			counted = { { familiar, pair } };
		else
			if not networks.has(network, now) then return refused("address", networks, network, now); end
			if not areas.has(area, now) then return refused("area", areas, area, now); end
			counted = { { networks, network }, { areas, area }, { new, pair } };
			if accounts.has(username, now) then
				table.insert(counted, { accounts, username });
			elseif not new.has(pair, now) then
				return refused("account", accounts, username, now);
			end
		end
		for _, its in ipairs(counted) do its[1].add(its[2], -1, now); end
		return counted;
	end

	function self.succeeded(counted, now)
		for _, its in ipairs(counted) do its[1].add(its[2], 1, now); end
	end

	return self;
end

-- known: area → when the owner has last been seen there. Returns it with one more, or nil where there is nothing to note.
local function remember(known, area, now, days, most)
	local day = 86400;
	if known[area] and now - known[area] < day then return nil; end
	local kept = { { area = area, seen = now } };
	for other, seen in pairs(known) do
		if other ~= area and now - seen < days * day then table.insert(kept, { area = other, seen = seen }); end
	end
	table.sort(kept, function (a, b) return a.seen > b.seen; end);
	local result = {};
	for number = 1, math.min(most, #kept) do result[kept[number].area] = kept[number].seen; end
	return result;
end

local function is_known(known, area, now, days) return known[area] ~= nil and now - known[area] < days * 86400; end

return { tally = tally, guard = guard, remember = remember, is_known = is_known };
