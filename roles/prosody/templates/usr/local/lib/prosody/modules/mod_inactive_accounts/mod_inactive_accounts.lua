-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Deletes accounts that nobody has used for long, after a warning. It notes from its first day on when an account is used;
-- one of which it knows nothing yet has all its time before it. Administrators' accounts, and what is online, are kept.
--
-- Works on Prosody 0.12 and 13. Load it on a domain.
--   inactive_days             days without a login after which its owner gets a message; it needs to be said
--   inactive_warning_days     days after that message, on which the account goes (default 30)
--   inactive_dry_run          only write into the journal what would be done (default no)

local st = require "util.stanza";
local id = require "util.id";
local configmanager = require "core.configmanager";
local usermanager = require "core.usermanager";
local jid = require "util.jid";
local plan = module:require "plan";

local host = module.host;
local days = assert(module:get_option_number("inactive_days"), "inactive_days: write after how many days an account goes");
local warning_days = module:get_option_number("inactive_warning_days", 30);
local dry_run = module:get_option_boolean("inactive_dry_run", false);
local store = module:open_store();

assert(days >= 1 and warning_days >= 1, "inactive_days and inactive_warning_days: write at least 1");

local function note(event)
	local username = event.session.username;
	if username then store:set(username, { seen = os.time() }); end
end
module:hook("authentication-success", note);
module:hook("resource-unbind", note);

local function is_admin(username)
	local address = username .. "@" .. host;
	for _, scope in ipairs { host, "*" } do
		for _, admin in ipairs(configmanager.get(scope, "admins") or {}) do
			if jid.prep(admin) == address then return true; end
		end
	end
	if usermanager.get_user_role then
		local role, problem = usermanager.get_user_role(username, host);
		-- Nobody is deleted of whom that is not known.
		if not role then return true, problem; end
		return role.name == "prosody:admin" or role.name == "prosody:operator";
	end
	return (usermanager.get_roles(address, host) or {})["prosody:admin"] and true or false;
end

-- What would be done now: a list of { username, step, seen }. For the daily task, and for the command xmpp-inactive.
function list(now)
	local found = {};
	for username in usermanager.users(host) do
		local step, seen = plan.decide(now, store:get(username), days, warning_days);
		if prosody.hosts[host].sessions[username] or is_admin(username) then step, seen = "keep", now; end
		table.insert(found, { username = username, step = step, seen = seen });
	end
	table.sort(found, function (a, b) return a.username < b.username; end);
	return found;
end

local steps = {};
function steps.begin(its, now) store:set(its.username, { seen = now }); end
function steps.warn(its, now)
	local address = its.username .. "@" .. host;
	local text = ("This account has not been used since %s. It will be deleted %s from now, with all its messages, unless "
		.. "somebody logs in before.\n\nDieses Konto ist seit %s nicht benutzt worden. In %s wird es mit allen "
		.. "Nachrichten gelöscht, wenn sich bis dahin niemand anmeldet."):format(
		os.date("%Y-%m-%d", its.seen), warning_days == 1 and "1 day" or warning_days .. " days",
		os.date("%Y-%m-%d", its.seen), warning_days == 1 and "1 Tag" or warning_days .. " Tagen");
	module:send(st.message({ from = host, to = address, type = "chat", id = id.medium() }, text));
	store:set(its.username, { seen = its.seen, warned = now });
end
function steps.delete(its)
	local ok, problem = usermanager.delete_user(its.username, host);
	if not ok then module:log("error", "%s cannot be deleted: %s", its.username, problem); end
end

-- dry: whether to tell only.
function run(now, dry)
	local counts = { begin = 0, keep = 0, warn = 0, delete = 0 };
	for _, its in ipairs(list(now)) do
		counts[its.step] = counts[its.step] + 1;
		if its.step == "warn" or its.step == "delete" then
			module:log("warn", "%s%s: not used since %s: %s", dry and "dry run: " or "", its.username,
				os.date("%Y-%m-%d", its.seen), its.step == "warn" and "warned" or "deleted");
		end
		if steps[its.step] and (its.step == "begin" or not dry) then steps[its.step](its, now); end
	end
	module:log("info", "accounts in use: %d, new here: %d, warned: %d, deleted: %d%s", counts.keep, counts.begin, counts.warn,
		counts.delete, dry and " (dry run)" or "");
	return counts;
end

module:daily("inactive accounts", function () run(os.time(), dry_run); end);
