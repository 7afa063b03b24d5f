-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Keeps the administrators of a domain to that domain. By their commands (XEP-0050, XEP-0133), Prosody lets them set the
-- password of any account of the domain, delete and make accounts, and load and unload modules: so they could become what a
-- server operator, or an administrator of another domain, is whose account is there. Here a command that names an account with
-- rights that the sender lacks is forbidden, and modules are for operators.
--
-- Works on Prosody 0.12 and 13. Load it on a domain.

local jid = require "util.jid";
local st = require "util.stanza";
local usermanager = require "core.usermanager";

local host = module.host;
local xmlns_commands = "http://jabber.org/protocol/commands";
local operators_only = {
	["http://prosody.im/protocol/modules#load"] = true;
	["http://prosody.im/protocol/modules#reload"] = true;
	["http://prosody.im/protocol/modules#unload"] = true;
};

-- Prosody 13 has roles; 0.12 has administrators.
local has_roles = usermanager.get_jid_role ~= nil;
local admin_roles = { ["prosody:admin"] = true, ["prosody:operator"] = true };

local function administers(address, domain)
	if not has_roles then return usermanager.is_admin(address, domain); end
	local role = usermanager.get_jid_role(address, domain);
	return role and admin_roles[role.name];
end

-- name: of an account of this domain, which need not exist yet.
local function is_operator(name)
	if not has_roles then return usermanager.is_admin(name .. "@" .. host); end
	return usermanager.user_can_assume_role(name, host, "prosody:operator");
end

-- A session may have less than its account.
if has_roles then module:default_permission("prosody:operator", ":every-account"); end
local function sent_by_operator(event)
	if has_roles then return module:may(":every-account", event); end
	return usermanager.is_admin(event.stanza.attr.from);
end

local function outranks(name, sender)
	if is_operator(name) then return true; end
	local address = name .. "@" .. host;
	for domain in pairs(prosody.hosts) do
		if domain ~= host and administers(address, domain) and not administers(sender, domain) then return true; end
	end
	return false;
end

-- Before mod_adhoc. Every value of the form counts, whatever its field is called and whichever command it is for.
module:hook("iq-set/host/" .. xmlns_commands .. ":command", function (event)
	local stanza = event.stanza;
	local form = stanza.tags[1]:get_child("x", "jabber:x:data");
	if not form or sent_by_operator(event) then return; end
	local sender = jid.bare(stanza.attr.from);
	for _, field in ipairs(form.tags) do
		for _, value in ipairs(field.tags) do
			local name, domain = jid.prepped_split(value:get_text());
			if name and domain == host and name .. "@" .. host ~= sender and outranks(name, sender) then
				module:log("warn", "%s is not allowed to use a command on %s@%s, which has more rights", sender, name, host);
				event.origin.send(st.error_reply(stanza, "auth", "forbidden",
					("%s@%s has rights that you do not have: only a server operator may do this"):format(name, host)));
				return true;
			end
		end
	end
end, 510);

module:handle_items("adhoc-provider", function (event)
	local command = event.item;
	if not operators_only[command.node] then return; end
	if not has_roles then
		command.permission = "global_admin";
		return;
	end
	for role, allowed in pairs { ["prosody:admin"] = false, ["prosody:operator"] = true } do
		usermanager.get_role_by_name(role, host):set_permission("adhoc:" .. command.node, allowed, true);
	end
end, function () end);
