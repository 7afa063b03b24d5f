-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Which people a search finds (XEP-0055). Names are found by the beginnings of their words, mail addresses only whole.

local names = { "first", "last", "nick" };

local function trim(text) return text:match("^%s*(.-)%s*$"); end

-- Words between single spaces: punctuation, and with it every wildcard, separates them and matches nothing.
local function words(text, fold)
	return trim(fold(text):gsub("[%s%p]+", " "));
end

local function length(text) return select(2, text:gsub("[^\128-\191]", "")); end

-- given: what was typed into each field; minimum: the characters that each needs; fold: makes cases alike.
-- Returns what to look for, or nil and the reason.
local function terms(given, minimum, fold)
	local found, any = {}, false;
	for _, name in ipairs(names) do
		local text = given[name] and given[name]:sub(1, 256) or "";
		if text:find("%S") then
			text = words(text, fold);
			if length(text:gsub(" ", "")) < minimum then
				return nil, ("Write more of each name: its length must be at least %d, without wildcards"):format(minimum);
			end
			found[name], any = " " .. text, true;
		end
	end
	local email = fold(trim(given.email and given.email:sub(1, 256) or ""));
	if email ~= "" then
		if not email:find("^[^@%s]+@[^@%s]+$") then return nil, "Mail addresses are only found whole"; end
		found.email, any = email, true;
	end
	if not any then return nil, "Write a name, a nickname or a mail address"; end
	return found;
end

-- person: what is known in each field, each a list of texts. Returns it in the form that `matches` reads.
local function prepare(person, fold)
	local prepared = { email = {} };
	for _, name in ipairs(names) do
		local texts = {};
		for i, text in ipairs(person[name] or {}) do texts[i] = words(text, fold); end
		-- No word is found across two texts.
		prepared[name] = " " .. table.concat(texts, "\n ");
	end
	for _, address in ipairs(person.email or {}) do prepared.email[fold(trim(address))] = true; end
	return prepared;
end

local function matches(prepared, wanted)
	for name, term in pairs(wanted) do
		if name == "email" then
			if not prepared.email[term] then return false; end
		elseif not prepared[name]:find(term, 1, true) then
			return false;
		end
	end
	return true;
end

return { terms = terms, prepare = prepare, matches = matches };
