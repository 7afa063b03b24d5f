-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- An account that its owner deletes in an app (XEP-0077) is shut for some days first, in which an administrator can open it
-- again, by a command (XEP-0050) or in a shell. Its name is taken meanwhile. When an account is deleted, by whomever, its
-- uploads are deleted, too. Prosody 13 has such a time of its own, which 0.12 has not, and neither thinks of uploads.
--
-- Works on Prosody 0.12 and 13. Load it on a domain.
--   deleted_accounts_days  days after which such an account is gone; 0 for at once (default 7)

local adhoc = require "util.adhoc";
local dataforms = require "util.dataforms";
local id = require "util.id";
local jid = require "util.jid";
local st = require "util.stanza";
local usermanager = require "core.usermanager";
local accounts = module:require "accounts";
local files = module:require "uploads";

local host = module.host;
local days = module:get_option_number("deleted_accounts_days", 7);
local store = module:open_store();

-- Whether an account is still shut for that reason: it may have been opened, and shut by an administrator since.
local function is_pending(name, entry) return entry ~= nil and accounts.mark(name) == entry.mark; end

-- The names that can be opened again, those that go first first, and when each of them goes. Also for the shell.
function list()
	local names, ends = {}, {};
	for name in store:users() do
		local entry = store:get(name);
		if is_pending(name, entry) then
			table.insert(names, name);
			ends[name] = entry.ends;
		end
	end
	table.sort(names, function (a, b) return ends[a] == ends[b] and a < b or ends[a] < ends[b]; end);
	return names, ends;
end

-- Returns whether it is done, or nil and why not. Also for the shell.
function restore(name) --luacheck: ignore 131/restore
	if not is_pending(name, store:get(name)) then return nil, "no account of that name waits for its deletion"; end
	local ok, problem = accounts.open(name);
	if not ok then return nil, problem; end
	store:set(name, nil);
	module:log("info", "%s@%s is not deleted: an administrator has opened it again", name, host);
	return true;
end

-- Deletes what is due.
function purge(now)
	for name in store:users() do
		local entry = store:get(name);
		if not is_pending(name, entry) then
			store:set(name, nil);
		elseif entry.ends <= now then
			local ok, problem = usermanager.delete_user(name, host);
			if not ok then module:log("error", "%s@%s cannot be deleted: %s", name, host, problem); end
		end
	end
end
local function remove(event)
	local session, stanza = event.origin, event.stanza;
	local query = stanza.tags[1];
	local is_removal = query.tags[1] and query.tags[1].name == "remove";
	if days == 0 or stanza.attr.type ~= "set" or session.type ~= "c2s" or not is_removal then return; end
	local name, now = session.username, os.time();
	-- The answer comes before the end of the session.
	local close = session.close;
	function session:close(...)
		self.close = close;
		self.send(st.reply(stanza));
		return close(self, ...);
	end
	local ok, problem = accounts.shut(name, { reason = "deleted", id = id.medium(), when = now });
	if ok then ok, problem = store:set(name, { mark = accounts.mark(name), ends = now + days * 86400 }); end
	if not ok then
		session.close = close;
		module:log("error", "%s@%s cannot be deleted: %s", name, host, problem);
		session.send(st.error_reply(stanza, "wait", "internal-server-error"));
		return true;
	end
	module:log("info", "%s@%s was deleted by its owner: it is shut; days until it is gone: %d", name, host, days);
	module:fire_event("user-deregistered-pending", { username = name, host = host, source = module.name, session = session });
	return true;
end
module:hook("iq/self/jabber:iq:register:query", remove, 20);
module:hook("iq/host/jabber:iq:register:query", remove, 20);

local function delete_uploads(event)
	if event.host ~= host then return; end
	local owner, count = event.username .. "@" .. host, 0;
	for name, its in pairs(prosody.hosts) do
		if its.modules and its.modules.http_file_share then
			local uploads = module:context(name):open_store("uploads", "archive");
			local found, problem = uploads:find(nil, { with = owner });
			if not found then
				module:log("error", "The uploads of %s cannot be deleted: %s", owner, problem);
			else
				for slot in found do
					os.remove(files.path(slot, name));
					count = count + 1;
				end
				uploads:delete(nil, { with = owner });
			end
		end
	end
	if count > 0 then module:log("info", "uploads of %s that are deleted with the account: %d", owner, count); end
end
module:hook_global("user-deleted", delete_uploads);

-- Deletes what accounts have left that went past this module, as by `prosodyctl deluser` of Prosody 0.12. Also for the shell.
function purge_uploads() --luacheck: ignore 131/purge_uploads
	local names, gone = {}, {};
	for name in usermanager.users(host) do names[name] = true; end
	-- Rather a store that cannot be read than a domain without any account.
	if not next(names) then return; end
	for name, its in pairs(prosody.hosts) do
		local uploads = its.modules and its.modules.http_file_share and module:context(name):open_store("uploads", "archive");
		local found = uploads and uploads.summary and uploads:summary(nil);
		for owner in pairs(found and found.counts or {}) do
			local username, domain = jid.split(owner);
			if domain == host and username and not names[username] then gone[username] = true; end
		end
	end
	for username in pairs(gone) do delete_uploads({ username = username, host = host }); end
end

module:daily("deleted accounts", function ()
	purge(os.time());
	purge_uploads();
end);

module:depends("adhoc");
local form = dataforms.new {
	title = "Restore deleted accounts";
	instructions = "Choose accounts that their owners have deleted, and that are to be as before.";
	{ name = "FORM_TYPE", type = "hidden", value = "urn:xmpp:magicbroccoli:deleted" };
	{ name = "accounts", type = "list-multi", label = "Accounts" };
};
local command = adhoc.new_initial_data_form(form, function () return { accounts = (list()) }; end, function (fields, problem)
	if problem then return { status = "completed", error = { message = "The form is not valid" } }; end
	local lines = {};
	for _, name in ipairs(fields.accounts or {}) do
		local ok, why = restore(name);
		table.insert(lines, name .. ": " .. (ok and "restored" or tostring(why)));
	end
	return { status = "completed", info = #lines > 0 and table.concat(lines, "\n") or "Nothing is changed" };
end);
module:provides("adhoc", module:require("adhoc").new("Restore deleted accounts", "deleted-accounts", command, "admin"));
