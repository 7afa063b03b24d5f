-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- A directory of the domain's users who want to be in it (XEP-0055). Only they are found, and only the domain's users
-- may search. Who wants to be found registers with this component (XEP-0077) or uses its command (XEP-0050).
--
-- It shows of a profile (XEP-0292; XEP-0054 ends up there, too) what its owner lets strangers read, and no mail address:
-- those are only found by who knows them.
--
-- Works on Prosody 0.12 and 13, with any storage. It is a component.
--   search_host            the domain of the users
--   search_min_length      characters that each name needs (default 3)
--   search_max_results     people that one search finds (default 20)
--   search_per_minute      searches an account has in a minute (default 10)

local st = require "util.stanza";
local cache = require "util.cache";
local dataforms = require "util.dataforms";
local throttle = require "util.throttle";
local nameprep = require "util.encodings".stringprep.nameprep;
local usermanager = require "core.usermanager";
local modulemanager = require "core.modulemanager";
local adhoc = require "util.adhoc";
local match = module:require "match";

local xmlns, xmlns_register, xmlns_form = "jabber:iq:search", "jabber:iq:register", "jabber:x:data";
local host = assert(module:get_option_string("search_host"), "search_host: write the domain whose users are searched");
local min_length = module:get_option_number("search_min_length", 3);
local max_results = module:get_option_number("search_max_results", 20);
local per_minute = module:get_option_number("search_per_minute", 10);

local store;

local function fold(text) return nameprep(text) or text:lower(); end

-- Who is listed: name → what is known, or false where that has to be read (again).
local listed = {};
local throttles = cache.new(10000);

local function texts_of(vcard, ...)
	local texts = {};
	for _, path in ipairs { ... } do
		for tag in vcard:childtags(path[1]) do
			local text = tag:get_child_text(path[2]);
			if text and text ~= "" then texts[#texts + 1] = text; end
		end
	end
	return texts;
end

-- What a stranger may read of a user.
local function read(username)
	local person = { nick = { username } };
	local pep = modulemanager.get_module(host, "pep");
	local service = pep and pep.get_pep_service(username);
	if not service then return person; end
	local function last(node)
		local ok, _, item = service:get_last_item(node, module.host);
		return ok and item and item.tags[1];
	end
	local vcard = last("urn:xmpp:vcard4");
	if vcard then
		person.first = texts_of(vcard, { "n", "given" }, { "fn", "text" });
		person.last = texts_of(vcard, { "n", "surname" }, { "fn", "text" });
		person.email = texts_of(vcard, { "email", "text" });
		for _, nick in ipairs(texts_of(vcard, { "nickname", "text" })) do table.insert(person.nick, nick); end
	end
	local nick = last("http://jabber.org/protocol/nick");
	if nick and nick:get_text() then table.insert(person.nick, nick:get_text()); end
	return person;
end

-- Reads at most so many who are new or have changed something, so that no search waits for a large directory.
local waiting = {};
local function refresh(most)
	while most > 0 and #waiting > 0 do
		local username = table.remove(waiting);
		if listed[username] == false then
			local person = read(username);
			listed[username] = { shown = person, prepared = match.prepare(person, fold) };
			most = most - 1;
		end
	end
	return #waiting;
end

local function list(username)
	listed[username] = false;
	table.insert(waiting, username);
end

local function set_listed(username, wanted)
	local ok, problem = store:set(username, wanted and { since = os.time() } or nil);
	if not ok then
		module:log("error", "Cannot store the wish of a user: %s", problem);
		return nil;
	end
	listed[username] = nil;
	if wanted then list(username); end
	return true;
end

-- Prosody 0.12 knows no disabled users, and its prosodyctl tells nobody whom it deletes.
local function is_there(username)
	return usermanager.user_exists(username, host)
		and (not usermanager.user_is_enabled or usermanager.user_is_enabled(username, host));
end

-- Returns those that are shown, and whether there may be more.
local function find(wanted)
	local found, is_cut = {}, refresh(100) > 0;
	for username, person in pairs(listed) do
		if person and match.matches(person.prepared, wanted) and is_there(username) then
			if #found >= max_results then
				is_cut = true;
				break;
			end
			local shown = person.shown;
			found[#found + 1] = {
				jid = username .. "@" .. host;
				first = shown.first and shown.first[1] or "";
				last = shown.last and shown.last[1] or "";
				nick = shown.nick[2] or shown.nick[1];
			};
		end
	end
	table.sort(found, function (a, b) return a.jid < b.jid; end);
	return found, is_cut;
end

local function is_ours(origin) return origin.type == "c2s" and origin.host == host; end

local function refuse(event, kind, condition, text)
	event.origin.send(st.error_reply(event.stanza, kind, condition, text));
	return true;
end

-- Answers to users of the domain only.
local function for_users(handler)
	return function (event)
		if not is_ours(event.origin) then
			return refuse(event, "auth", "forbidden", "Only users of " .. host .. " have this directory");
		end
		return handler(event);
	end
end

local instructions = ("Fill in what you know. The length of each name must be at least %d; it is found by the beginnings of its "
	.. "words. People are found here if they have asked for it."):format(min_length);
local cut = "More people match than are shown here. Write more of a name, or fill in another field.";
local form = dataforms.new {
	title = "Search for people";
	instructions = instructions;
	{ name = "FORM_TYPE", type = "hidden", value = xmlns };
	{ name = "first", type = "text-single", label = "Given name" };
	{ name = "last", type = "text-single", label = "Family name" };
	{ name = "nick", type = "text-single", label = "Nickname or account" };
	{ name = "email", type = "text-single", label = "Mail address, the whole of it" };
};
local columns = { { "jid", "jid-single", "Address" }, { "first", "text-single", "Given name" },
	{ "last", "text-single", "Family name" }, { "nick", "text-single", "Nickname" } };

module:hook("iq-get/host/" .. xmlns .. ":query", for_users(function (event)
	local reply = st.reply(event.stanza):query(xmlns):text_tag("instructions", instructions);
	for _, name in ipairs { "first", "last", "nick", "email" } do reply:tag(name):up(); end
	event.origin.send(reply:add_child(form:form()));
	return true;
end));

module:hook("iq-set/host/" .. xmlns .. ":query", for_users(function (event)
	local origin, stanza = event.origin, event.stanza;
	local query = stanza.tags[1];
	local submitted = query:get_child("x", xmlns_form);
	local given = {};
	if submitted and submitted.attr.type == "cancel" then
		origin.send(st.reply(stanza));
		return true;
	elseif submitted then
		given = form:data(submitted);
	else
		for _, name in ipairs { "first", "last", "nick", "email" } do given[name] = query:get_child_text(name); end
	end

	local wanted, problem = match.terms(given, min_length, fold);
	if not wanted then return refuse(event, "modify", "not-acceptable", problem); end

	local its = throttles:get(origin.username) or throttle.create(per_minute, 60);
	throttles:set(origin.username, its);
	if not its:poll(1) then return refuse(event, "wait", "resource-constraint", "Too many searches; wait a minute"); end

	local found, is_cut = find(wanted);
	local reply = st.reply(stanza):query(xmlns);
	if is_cut then reply:text_tag("instructions", cut); end
	if submitted then
		reply:tag("x", { xmlns = xmlns_form, type = "result" });
		if is_cut then reply:text_tag("instructions", cut); end
		reply:tag("field", { var = "FORM_TYPE", type = "hidden" }):text_tag("value", xmlns):up();
		reply:tag("reported");
		for _, column in ipairs(columns) do
			reply:tag("field", { var = column[1], type = column[2], label = column[3] }):up();
		end
		reply:up();
	end
	for _, person in ipairs(found) do
		if submitted then
			reply:tag("item");
			for _, column in ipairs(columns) do
				reply:tag("field", { var = column[1] }):text_tag("value", person[column[1]]):up();
			end
			reply:up();
		else
			reply:tag("item", { jid = person.jid });
			for _, name in ipairs { "first", "last", "nick" } do reply:text_tag(name, person[name]); end
			reply:up();
		end
	end
	origin.send(reply);
	return true;
end));

local about = "Whether other users of " .. host .. " find you in their search. They see your address, and the name and nickname "
	.. "of your profile as far as everybody may read it. Your mail address is not shown, but who knows it finds you.";

module:hook("iq-get/host/" .. xmlns_register .. ":query", for_users(function (event)
	local reply = st.reply(event.stanza):query(xmlns_register):text_tag("instructions", about);
	if listed[event.origin.username] ~= nil then reply:tag("registered"):up(); end
	event.origin.send(reply);
	return true;
end));

module:hook("iq-set/host/" .. xmlns_register .. ":query", for_users(function (event)
	local query = event.stanza.tags[1];
	local submitted = query:get_child("x", xmlns_form);
	if submitted and submitted.attr.type ~= "submit" then
		if submitted.attr.type ~= "cancel" then return refuse(event, "modify", "bad-request", "The form is not submitted"); end
		event.origin.send(st.reply(event.stanza));
		return true;
	end
	local wanted = not query:get_child("remove");
	if not set_listed(event.origin.username, wanted) then
		return refuse(event, "wait", "internal-server-error", "It could not be stored");
	end
	event.origin.send(st.reply(event.stanza));
	return true;
end));

local command_form = dataforms.new {
	title = "Be found";
	instructions = about;
	{ name = "FORM_TYPE", type = "hidden", value = "urn:xmpp:magicbroccoli:search:listed" };
	{ name = "listed", type = "boolean", label = "Others may find me" };
};
local function user_of(data)
	local username, its_host = data.from:match("^([^@/]+)@([^@/]+)");
	return its_host == host and username or nil;
end
local by_form = adhoc.new_initial_data_form(command_form, function (data)
	return { listed = listed[user_of(data) or ""] ~= nil };
end, function (fields, problem, data)
	local username = user_of(data);
	if not username then return { status = "completed", error = { message = "Only users of " .. host .. " have this" } }; end
	if data.form.attr.type == "cancel" then return { status = "canceled" }; end
	if problem or fields.listed == nil then return { status = "completed", error = { message = "The form is not valid" } }; end
	if not set_listed(username, fields.listed) then
		return { status = "completed", error = { message = "It could not be stored" } };
	end
	return { status = "completed", info = fields.listed and "Others find you now." or "Others do not find you." };
end);
-- util.adhoc reads the form of whoever completes the command, though there be none.
local function command(self, data, state)
	if state and not data.form and data.action ~= "cancel" then
		return { status = "completed", error = { message = "The form is not valid" } };
	end
	return by_form(self, data, state);
end

module:depends("disco");
module:depends("adhoc");
module:add_identity("directory", "user", module:get_option_string("name", "People"));
module:add_feature(xmlns);
module:add_feature(xmlns_register);
module:provides("adhoc", module:require("adhoc").new("Be found by other users", "listed", command, "any"));

-- What a user changes of a profile goes to the user's own address, whichever way it is written.
local function on_change(event)
	local username = event.origin.username;
	if event.to_self and event.stanza.attr.type == "set" and listed[username] then list(username); end
end

local function start()
	local domain = module:context(host);
	store = domain:open_store("search_listed");
	for username in store:users() do list(username); end
	domain:hook("pre-iq/bare", on_change, 10);
	module:add_timer(1, function ()
		refresh(20);
		return 1;
	end);
end

-- The domain may come later than its component.
if prosody.hosts[host] then
	start();
else
	module:hook_global("host-activated", function (name)
		if name == host then start(); end
	end);
end
module:hook_global("user-deleted", function (event)
	if event.host == host then listed[event.username] = nil; end
end);
