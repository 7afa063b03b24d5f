-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- What new accounts may be called, which answers are right, and which language a visitor reads.

-- Names that people trust, or that mail and certificates need (RFC 2142).
local reserved = {
	"abuse", "account", "accounts", "admin", "administrator", "anonymous", "announce", "billing", "bot", "conference",
	"contact", "everyone", "guest", "help", "helpdesk", "host", "hostmaster", "info", "jabber", "localhost", "mail",
	"mailerdaemon", "moderator", "news", "nobody", "noc", "noreply", "office", "operator", "owner", "postmaster",
	"prosody", "proxy", "register", "registration", "root", "sales", "search", "security", "server", "service", "ssl",
	"staff", "support", "sysadmin", "system", "team", "test", "undefined", "upload", "user", "webadmin", "webmaster",
	"www", "xmpp",
};

local alike = { ["0"] = "o", ["1"] = "i", l = "i", ["3"] = "e", ["4"] = "a", ["5"] = "s", ["7"] = "t", ["8"] = "b" };

-- Names that look alike have the same skeleton.
local function skeleton(name)
	return (name:lower():gsub("[._-]", ""):gsub("rn", "m"):gsub("vv", "w"):gsub("[%dl]", alike));
end

-- others: more names that nobody else may have, or look as if, such as those of the administrators.
local function reserve(others)
	local names = {};
	for _, list in ipairs { reserved, others } do
		for _, name in ipairs(list) do names[skeleton(name)] = true; end
	end
	return names;
end

-- name: prepared by nodeprep, or nil where that was not possible. Returns a key of the texts, or nil.
local function problem_with_name(name, names)
	if not name or #name < 2 or #name > 32 or not name:find("^[a-z0-9][a-z0-9._-]*$") then return "name_form"; end
	-- "admin2" is no better than "admin".
	if names[skeleton(name)] or names[skeleton((name:gsub("[%d._-]+$", "")))] then return "name_reserved"; end
end

local function plain(text) return (text:lower():gsub("^%s+", ""):gsub("%s+$", ""):gsub("%s+", " ")); end

-- Whether a question is answered, whatever the case of ASCII letters and the spaces.
local function is_right(question, answer)
	if not question or not answer or #answer > 500 then return false; end
	for _, right in ipairs(question.answers) do
		if plain(right) == plain(answer) then return true; end
	end
	return false;
end

-- accept: the header Accept-Language (RFC 9110, section 12.5.4). wanted: what the visitor has chosen.
local function language(accept, wanted, known)
	if wanted and known[wanted] then return wanted; end
	local best, weight = "en", 0;
	for range in (accept or ""):sub(1, 500):gmatch("[^,]+") do
		local tag, q = range:lower():match("^%s*(%a+)"), tonumber(range:match(";%s*q=([%d.]+)")) or 1;
		if tag and known[tag] and q > weight then best, weight = tag, q; end
	end
	return best;
end

-- agent: the header User-Agent. Returns the apps of the system that it names, and the others. The patterns of a system are words.
local function apps_for(agent, clients)
	local system;
	for _, app in ipairs(clients) do
		for word in app.agent:gmatch("[^|]+") do
			if not system and (agent or ""):find(word, 1, true) then system = app.system; end
		end
	end
	local its, others = {}, {};
	for _, app in ipairs(clients) do table.insert(app.system == system and its or others, app); end
	return its, others;
end

return {
	skeleton = skeleton, reserve = reserve, problem_with_name = problem_with_name,
	is_right = is_right, language = language, apps_for = apps_for,
};
