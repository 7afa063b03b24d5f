-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- The page /register/, where an invitation (XEP-0401) becomes an account, and the rules for new accounts, on the page and
-- in-band (XEP-0077) alike. A proxy in front of it does TLS and limits requests.
--
-- Where registration is open, who has no invitation answers a question, and the account waits until an administrator
-- approves of it, by a command (XEP-0050) or in a shell. They may have to read letters from a picture, too.
--
-- Works on Prosody 0.12 and 13. The style sheet of the pages is the web front's: /pages/style.css.
--   register_min_password      characters that a password needs (default 10)
--   register_reserved          more names that nobody may register
--   register_per_hour          accounts that one address, or one /64 of IPv6, may make in an hour (default 5)
--   register_open              whether accounts are made without an invitation, too (default no)
--   register_questions         what they are asked then, each { en = …, de = …, answers = { … } }: one of them on the page, the
--                              first one in apps
--   register_approval          whether such accounts wait for approval (default yes)
--   register_web_client        whether there is a web client at /chat/ (default no)
--   register_most_waiting      accounts that may wait at a time (default 100)
--   register_captcha           a folder of pictures with letters, which they have to read, too; in apps in place of the
--                              question (XEP-0158). Default: none
--   register_captcha_lifetime  seconds that there are for that (default 600)
--   register_captcha_per_hour  pictures that one address may see in an hour (default 60)
--   register_qr                whether the web front draws QR codes of its links, at /register/qr.svg (default no)
--   register_reset_lifetime    seconds that a link for a new password is valid (default 86400)

local lfs = require "lfs";
local cache = require "util.cache";
local errors = require "util.error";
local hashes = require "util.hashes";
local http = require "util.http";
local jid = require "util.jid";
local dataforms = require "util.dataforms";
local datetime = require "util.datetime";
local net = require "util.net";
local json = require "util.json";
local random = require "util.random";
local st = require "util.stanza";
local throttle = require "util.throttle";
local stringprep = require "util.encodings".stringprep;
local base64 = require "util.encodings".base64;
local configmanager = require "core.configmanager";
local usermanager = require "core.usermanager";
local adhoc = require "util.adhoc";
local accounts = module:require "accounts";
local administrators = module:require "administrators";
local captcha = module:require "captcha";
local page = module:require "page";
local passwords = module:require "passwords";
local policy = module:require "policy";
local waiting = module:require "waiting";

module:depends "http";
local invites = module:depends "invites";

local host = module.host;
local minimum = module:get_option_number("register_min_password", 10);
local per_hour = module:get_option_number("register_per_hour", 5);
local is_open = module:get_option_boolean("register_open", false);
local questions = module:get_option("register_questions", {});
local web_client = module:get_option_boolean("register_web_client", false);
local qr = module:get_option_boolean("register_qr", false);
local clients = assert(json.decode(assert(module:load_resource("clients.json")):read("a")));
-- The name under which the page is, where that is not the domain.
local web_name = module:get_option_string("http_host", host);
local approval = module:get_option_boolean("register_approval", true);
local most_waiting = module:get_option_number("register_most_waiting", 100);
local pictures = module:get_option_string("register_captcha");
local pictures_out = captcha.keeper(module:get_option_number("register_captcha_lifetime", 600), 1000);
local pictures_per_hour = module:get_option_number("register_captcha_per_hour", 60);
local reset_lifetime = module:get_option_number("register_reset_lifetime", 86400);
local default_role = module:get_option_string("register_ibr_default_role", "prosody:registered");
local contact_info = module:get_option("contact_info", {});

assert(not is_open or questions[1], "register_questions: write one; open registration needs it");

-- An account that has an administrator's name is one, so nobody can register it.
local others = {};
for name in module:get_option_set("register_reserved", {}) do table.insert(others, name); end
for _, scope in ipairs { host, "*" } do
	for _, admin in ipairs(configmanager.get(scope, "admins") or {}) do table.insert(others, jid.node(admin)); end
end
local reserved = policy.reserve(others);

-- Returns a function that says of an address whether it may do something once more.
local function hourly(times)
	local throttles = cache.new(10000);
	return function (address)
		local packed = address and net.pton(address);
		if not packed then return true; end
		-- Who has one address of IPv6 has its /64.
		local key = #packed == 16 and packed:sub(1, 8) or packed;
		local its = throttles:get(key) or throttle.create(times, 3600);
		throttles:set(key, its);
		return its:poll(1);
	end
end
local may_make_another = hourly(per_hour);
local may_see_another = hourly(pictures_per_hour);

-- Takes a picture out of the folder: who has deleted it has it. Returns its ID and the picture, or nil and a key of the texts.
local is_short = false;
local function new_captcha(address)
	if not may_see_another(address) then return nil, "throttled"; end
	local letters, picture;
	if pictures_out.has_room(os.time()) then
		pcall(function ()
			for name in lfs.dir(pictures) do
				local path = pictures .. "/" .. name;
				local file = name:find("^%x+$") and io.open(path, "rb");
				if file then
					letters, picture = captcha.parse(file:read("a"));
					file:close();
					if os.remove(path) and picture then return; end
					picture = nil;
				end
			end
		end);
	end
	if not picture then
		-- Once, and not as often as somebody asks.
		if not is_short then module:log("warn", "No picture of letters is left for who registers"); end
		is_short = true;
		return nil, "no_captcha";
	end
	is_short = false;
	local id = hashes.sha1(random.bytes(18), true);
	pictures_out.add(id, letters, os.time());
	return id, picture;
end

-- A wrong answer counts as an account that was made.
local function problem_with_letters(id, answer, address)
	local problem = pictures_out.problem(id, answer, os.time());
	if problem == "captcha_wrong" and not may_make_another(address) then return "throttled"; end
	return problem;
end

-- Prosody 0.12 fails where an invitation to be a contact makes no account. Its own error is that the token is known to the
-- user, and to nobody else.
local get_invite, tokens_by_name = invites.get, module:open_store("invite_token", "map");
function invites.get(token, username)
	local ok, invite, problem = pcall(get_invite, token, username);
	if ok then return invite, problem; end
	if not username then error(invite, 0); end
	return {
		token = token, username = username, type = "roster";
		use = function () return tokens_by_name:set(username, token, nil); end;
	};
end
function module.unload() invites.get = get_invite; end

-- What is shown of a new invitation, by whichever command it is made.
module:hook("invite-created", function (invite)
	if invite.allow_registration then
		invite.landing_page = ("https://%s/register/?t=%s"):format(web_name, http.urlencode(invite.token));
	elseif invite.type == "roster" then
		-- It is stored with its user alone.
		invite.landing_page = ("https://%s/register/?t=%s&u=%s"):format(web_name, http.urlencode(invite.token),
			http.urlencode(jid.node(invite.jid)));
	end
end);

-- The name that an invitation is for, where it names one.
local function fixed_name(invite)
	return invite.type == "register" and invite.uri and jid.node((invite.uri:match("^xmpp:([^?]+)"))) or nil;
end

-- The account whose password an invitation sets, where it is one for that.
local function reset_name(invite) return invite.additional_data and invite.additional_data.allow_reset; end

-- Returns the invitation that a visitor has shown, and the same as it is now. A stream keeps what it has shown, and others
-- may have used it since.
local function invite_of_event(event)
	local shown = event.validated_invite or event.session and event.session.validated_invite;
	return shown, shown and invites.get(shown.token);
end

local function address_of(event) return event.ip or event.session and event.session.ip; end

local function refuse(event, kind, condition, key)
	event.allowed = false;
	event.problem = key;
	event.error = errors.new { type = kind, condition = condition, text = page.texts.en[key]:format(minimum) };
	event.error_type, event.error_condition, event.reason = kind, condition, event.error.text;
	return true;
end

-- A wrong answer counts as an account that was made. None at all is no guess.
local function problem_with_answer(question, answer, address)
	if policy.is_right(question, answer) then return nil; end
	return (answer or "") ~= "" and not may_make_another(address) and "throttled" or "answer_wrong";
end

-- Whether an account of that name was deleted. mod_tombstones goes on saying no of a name that somebody has asked for before the
-- account was deleted, so it is only asked whether what is stored has expired, when it says nil.
local graveyard = module:open_store("tombstones", "map");
local function has_been_used(name)
	local tombstones = prosody.hosts[host].modules.tombstones;
	return tombstones and graveyard:get(nil, name) and tombstones.has_tombstone(name) ~= nil;
end

-- Who may make an account, and which one, before all other modules: only who may make one learns which names are taken.
module:hook("user-registering", function (event)
	if not event.allowed then return; end
	local shown, invite = invite_of_event(event);
	local additional = event.additional or {};
	local answer, letters = additional.answer, additional.ocr;
	additional.answer, additional.ocr = nil, nil;
	if shown then
		-- An invitation makes a new account: in-band it is no way to one that is there.
		if not invite or reset_name(invite) then return refuse(event, "auth", "forbidden", "invalid_text"); end
	elseif not is_open then
		return; -- mod_invites_register refuses
	elseif not event.answered then
		local problem;
		if pictures then
			problem = problem_with_letters(event.session and event.session.register_captcha, letters, address_of(event));
		else
			problem = problem_with_answer(questions[1], answer, address_of(event));
		end
		if problem == "throttled" then return refuse(event, "wait", "resource-constraint", problem); end
		if problem then return refuse(event, "modify", "not-acceptable", problem); end
	end
	local fixed = invite and fixed_name(invite);
	if fixed and fixed ~= event.username then return refuse(event, "modify", "not-acceptable", "name_taken"); end
	local problem = not fixed and policy.problem_with_name(event.username, reserved);
	if problem then return refuse(event, "modify", "not-acceptable", problem); end
	if usermanager.user_exists(event.username, host) or has_been_used(event.username) then
		return refuse(event, "cancel", "conflict", "name_taken");
	end
	problem = passwords.problem(stringprep.saslprep(event.password or ""), event.username, minimum);
	if problem then return refuse(event, "modify", "not-acceptable", problem); end
	if not invite and approval and #waiting.list() >= most_waiting then
		return refuse(event, "wait", "resource-constraint", "queue_full");
	end
end, 100);

-- What can be used once is used up before the account is made, after all other modules have had their say.
module:hook("user-registering", function (event)
	if not event.allowed then return; end
	local shown, invite = invite_of_event(event);
	if shown and not invite then return refuse(event, "auth", "forbidden", "invalid_text"); end
	if not may_make_another(address_of(event)) then return refuse(event, "wait", "resource-constraint", "throttled"); end
	if invite then
		invite:use();
	elseif pictures then
		pictures_out.drop(event.letters or event.session and event.session.register_captcha);
	end
end, -100);

-- Links for a new password end with the password that they replace, and with the account.
local tokens = module:open_store("invite_token");
local function drop_resets(event)
	if event.host ~= host then return; end
	for token, invite in pairs(tokens:get(nil) or {}) do
		if type(invite) == "table" and reset_name(invite) == event.username then tokens_by_name:set(nil, token, nil); end
	end
end
module:hook_global("user-password-changed", drop_resets);
module:hook_global("user-deleted", drop_resets);

-- Makes a link by which the owner of an account sets a new password. Returns it, or nil and why not. Also for the shell.
function create_reset(name) --luacheck: ignore 131/create_reset
	if not usermanager.user_exists(name, host) then return nil, "There is no account of that name"; end
	if accounts.is_shut(name) then return nil, "The account is disabled"; end
	return invites.create_account_reset(name, reset_lifetime);
end

-- The command of mod_invites_adhoc, which Prosody 0.12 does not have, makes one for whatever is before the @, be it an account
-- of this domain or not. It gets another handler.
local reset_form = dataforms.new {
	title = "Create a link for a new password";
	{ name = "accountjid", type = "jid-single", required = true, label = "The account whose owner needs a new password" };
};
local reset_result = dataforms.new {
	title = "Hand this link to the owner of the account only";
	{ name = "url", var = "landing-url", label = "Page for the new password" };
	{ name = "expire", label = "Valid until" };
};
local reset_command = adhoc.new_simple_form(reset_form, function (fields, problem)
	local name, domain = jid.prepped_split(fields.accountjid);
	if problem or not name or domain ~= host then
		return { status = "completed", error = { message = "Write an account of " .. host } };
	end
	local invite, why = create_reset(name);
	if not invite then return { status = "completed", error = { message = why } }; end
	module:log("info", "A link for a new password of %s@%s was made by a command", name, host);
	return { status = "completed", result = {
		layout = reset_result, values = { url = invite.landing_page, expire = datetime.datetime(invite.expires) };
	} };
end);
local reset_node, has_reset_command = "xmpp:prosody.im/mod_invites_adhoc#password-reset", false;
module:depends("adhoc");
module:depends("invites_adhoc");
module:handle_items("adhoc-provider", function (event)
	if event.item.node == reset_node then event.item.handler, has_reset_command = reset_command, true; end
end, function () end);
if not has_reset_command then
	module:provides("adhoc", module:require("adhoc").new("Create password reset invite", reset_node, reset_command, "admin"));
end

-- Apps that ask for the form get it with a picture (XEP-0158, XEP-0221, XEP-0231), unless they have shown an invitation.
if is_open and pictures then
	module:hook("stanza/iq/jabber:iq:register:query", function (event)
		local session, stanza = event.origin, event.stanza;
		if stanza.attr.type ~= "get" or session.type ~= "c2s_unauthed" or not session.secure or session.validated_invite then
			return;
		end
		if session.register_captcha then pictures_out.drop(session.register_captcha); end
		local id, picture = new_captcha(session.ip);
		session.register_captcha = id;
		if not id then
			local texts = page.texts.en;
			session.send(st.error_reply(stanza, "wait", "resource-constraint", (texts[picture .. "_text"] or texts[picture]):format(host)));
			return true;
		end
		local cid = "sha1+" .. hashes.sha1(picture, true) .. "@bob.xmpp.org";
		local form = dataforms.new {
			title = page.texts.en.register;
			instructions = page.texts.en.captcha_app:format(minimum, web_name);
			{ name = "FORM_TYPE", type = "hidden", value = "jabber:iq:register" };
			{ name = "username", type = "text-single", label = page.texts.en.name, required = true };
			{ name = "password", type = "text-private", label = page.texts.en.password, required = true };
			{ name = "ocr", type = "text-single", label = page.texts.en.letters, required = true;
				media = { width = 240, height = 80, { type = "image/png", uri = "cid:" .. cid } } };
		};
		session.send(st.reply(stanza):query("jabber:iq:register")
			:text_tag("instructions", page.texts.en.captcha_app:format(minimum, web_name))
			:text_tag("username"):text_tag("password")
			:add_child(form:form())
			:text_tag("data", base64.encode(picture), { xmlns = "urn:xmpp:bob", cid = cid, type = "image/png", ["max-age"] = "0" }));
		return true;
	end, 10);
end

-- Before anybody can log in: the account has been there for no more than this event.
module:hook("user-registered", function (event)
	if event.validated_invite or event.session and event.session.validated_invite or not approval then return; end
	local ok, problem = waiting.add(event.username);
	if not ok then
		module:log("error", "Could not shut the account %s, so it is deleted: %s", event.username, problem);
		usermanager.delete_user(event.username, host);
		return;
	end
	event.waits = true;
	administrators.tell(("%s@%s waits for your approval. Use the command \"Decide on registrations\" of %s, or in a shell: "
		.. "xmpp-registrations"):format(event.username, host, host));
end, 100);

-- Also for the shell.
function decide(name, approved) --luacheck: ignore 131/decide
	local ok, problem = waiting.decide(name, approved);
	if ok then module:log("info", "Registration of %s@%s %s", name, host, approved and "approved" or "refused"); end
	return ok, problem;
end
list_waiting = waiting.list; --luacheck: ignore 131/list_waiting

if is_open then
	local form = dataforms.new {
		title = "Decide on registrations";
		instructions = "Approve of the accounts that you choose, or delete them. The others go on waiting.";
		{ name = "FORM_TYPE", type = "hidden", value = "urn:xmpp:magicbroccoli:registrations" };
		{ name = "accounts", type = "list-multi", label = "Accounts that wait" };
		{ name = "decision", type = "list-single", label = "Decision", value = "approve", options = {
			{ value = "approve", label = "Approve" }, { value = "refuse", label = "Delete" };
		} };
	};
	local command = adhoc.new_initial_data_form(form, function () return { accounts = (waiting.list()) }; end, function (fields, problem)
		if problem or fields.decision ~= "approve" and fields.decision ~= "refuse" then
			return { status = "completed", error = { message = "The form is not valid" } };
		end
		local lines = {};
		for _, name in ipairs(fields.accounts or {}) do
			local ok, why = decide(name, fields.decision == "approve");
			table.insert(lines, name .. ": " .. (ok and (fields.decision == "approve" and "approved" or "deleted") or tostring(why)));
		end
		return { status = "completed", info = #lines > 0 and table.concat(lines, "\n") or "Nothing is changed" };
	end);
	module:provides("adhoc", module:require("adhoc").new("Decide on registrations", "registrations", command, "admin"));
end

-- A form is good for an hour, and in the browser that asked for it only: the cookie is not sent from other sites,
-- and no other name of the domain can set it.
local key = random.bytes(32);
local cookie_name = "__Host-register";
local function sign(issued, question, captcha_id, cookie)
	local signed = issued .. "." .. question .. "." .. captcha_id;
	return signed .. "." .. hashes.hmac_sha256(key, signed .. "." .. cookie, true);
end
-- Returns the number of the question, the age of the form and the ID of the picture, or nil where it is not ours.
local function question_of(form_token, cookie)
	local issued, question, captcha_id = (form_token or ""):match("^(%d+)%.(%d+)%.(%x*)%.");
	if not issued or not cookie or not hashes.equals(form_token, sign(issued, question, captcha_id, cookie)) then return nil; end
	local age = os.time() - tonumber(issued);
	if age < 3600 then return tonumber(question), age, captcha_id; end
end
local function cookie_of(request)
	return (";" .. (request.headers.cookie or "")):match(";%s*" .. cookie_name:gsub("%p", "%%%0") .. "=([%w_-]+)");
end

local function decode(text)
	local decoded = text and http.formdecode(text);
	return type(decoded) == "table" and decoded or {};
end

local function answer(event, status, body, images)
	local headers = event.response.headers;
	event.response.status_code = status;
	headers.content_type = "text/html; charset=utf-8";
	headers.cache_control = "no-store";
	headers.content_security_policy =
		"default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; img-src 'self'"
		.. (images and " data:" or "");
	return body;
end

local function visitor(event, given)
	local apps, other_apps = policy.apps_for(event.request.headers.user_agent, clients);
	return {
		apps = apps, other_apps = other_apps, qr = qr, open = is_open;
		lang = policy.language(event.request.headers.accept_language, given.lang, page.texts);
		domain = host, contacts = contact_info.admin or {}, minimum = minimum, values = {}, errors = {};
		token = given.t ~= "" and given.t or nil;
	};
end

local function invite_of(data)
	local invite = data.token and invites.get(data.token);
	if not invite then return nil; end
	data.invited, data.reset = true, reset_name(invite);
	if data.reset then
		data.fixed_name = data.reset;
		return usermanager.user_exists(data.reset, host) and not accounts.is_shut(data.reset) and invite or nil;
	end
	data.uri, data.fixed_name = invite.uri, fixed_name(invite);
	-- mod_invites knows the inviter by the account's name alone, which says little to a visitor.
	local inviter = invite.inviter;
	data.inviter = inviter and (inviter:find("@", 1, true) and inviter or inviter .. "@" .. host);
	return invite;
end

local function show_form(event, status, data)
	local cookie = cookie_of(event.request);
	if not cookie then
		cookie = base64.encode(random.bytes(18)):gsub("+", "-"):gsub("/", "_");
		event.response.headers.set_cookie =
			cookie_name .. "=" .. cookie .. "; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Strict";
	end
	local number, captcha_id = 0, "";
	if not data.invited then
		if pictures and data.captcha_id and pictures_out.is_solved(data.captcha_id, os.time()) then
			captcha_id = data.captcha_id;
		elseif pictures then
			local id, picture = new_captcha(event.request.ip);
			if not id then return answer(event, picture == "throttled" and 429 or 503, page.message(data, picture)); end
			captcha_id, data.picture = id, "data:image/png;base64," .. base64.encode(picture);
		end
		number = math.random(#questions);
		data.question = questions[number][data.lang] or questions[number].en;
		data.approval = approval;
	end
	data.form_token = sign(os.time(), number, captcha_id, cookie);
	return answer(event, status, page.form(data), data.picture ~= nil);
end

-- Returns the data of a visitor, or the answer to one who cannot register.
local function admit(event, given)
	local data = visitor(event, given);
	if not event.request.secure then return nil, answer(event, 403, page.message(data, "insecure")); end
	if not data.token then
		if is_open then return data; end
		return nil, answer(event, 200, page.message(data, "invite_only"));
	end
	local invite = invite_of(data);
	if not invite then return nil, answer(event, 404, page.message(data, "invalid")); end
	return data, invite;
end

-- An invitation to be a user's contact: nobody makes an account by it.
local function show_contact(event, given)
	local data = visitor(event, given);
	if not event.request.secure then return answer(event, 403, page.message(data, "insecure")); end
	data.user = stringprep.nodeprep(given.u, true);
	local invite = data.user and data.token and invites.get(data.token, data.user);
	if not invite then
		data.token = nil;
		return answer(event, 404, page.message(data, "invalid"));
	end
	data.inviter = data.user .. "@" .. host;
	data.uri = ("xmpp:%s?roster;preauth=%s"):format((http.urlencode(data.inviter):gsub("%%40", "@")), http.urlencode(data.token));
	return answer(event, 200, page.contact(data));
end

local function show(event)
	local given = decode(event.request.url.query);
	if given.u then return show_contact(event, given); end
	local data, other = admit(event, given);
	if not data then return other; end
	return show_form(event, 200, data);
end

-- What is wrong with a form, by field.
local function check(event, given, data, name)
	local wrong = {};
	local question, age, captcha_id = question_of(given.form, cookie_of(event.request));
	if not question then
		wrong.form = "form_expired";
	elseif not data.invited then
		local unanswered = problem_with_answer(questions[question], given.answer, event.request.ip);
		wrong[unanswered == "throttled" and "form" or "answer"] = unanswered;
		-- No human is that fast.
		if age < 2 then wrong.form = "too_fast"; end
		if pictures then
			local problem = problem_with_letters(captcha_id, given.letters, event.request.ip);
			wrong[problem == "throttled" and "form" or "letters"] = problem;
			data.captcha_id = captcha_id;
		end
	end
	if given.website ~= "" then wrong.form = "refused"; end
	if not data.fixed_name then wrong.name = policy.problem_with_name(name, reserved); end
	if name and not data.reset and not wrong.name and usermanager.user_exists(name, host) then wrong.name = "name_taken"; end
	wrong.password = passwords.problem(stringprep.saslprep(given.password or ""), name, minimum);
	if given.password ~= given.again then wrong.again = "again_differs"; end
	return wrong;
end

-- Sets the password that the link is for: it is used up before.
local function set_password(event, given, data, invite)
	invite:use();
	local ok, problem = usermanager.set_password(data.reset, given.password, host);
	if not ok then
		module:log("error", "Could not set the password of %s: %s", data.reset, problem);
		return answer(event, 500, page.message(data, "invalid"));
	end
	module:log("info", "Password of %s@%s set by a link", data.reset, host);
	module:fire_event("user-password-reset", {
		username = data.reset, host = host, source = module.name, validated_invite = invite, ip = event.request.ip;
	});
	data.jid, data.token, data.web_client = data.reset .. "@" .. host, nil, web_client;
	return answer(event, 200, page.done(data));
end

local function submit(event)
	local request = event.request;
	local given = decode(request.body);
	local data, invite = admit(event, given);
	if not data then return invite; end

	local name = data.fixed_name or stringprep.nodeprep((given.name or ""):match("^%s*(.-)%s*$"), true);
	data.values.name = given.name;
	data.errors = check(event, given, data, name);
	if next(data.errors) then return show_form(event, data.errors.form == "throttled" and 429 or 422, data); end
	if data.reset then return set_password(event, given, data, invite); end

	local account = {
		username = name, host = host, password = given.password, ip = request.ip, additional = {}, role = default_role;
		validated_invite = invite, answered = not invite, letters = data.captcha_id, allowed = true;
	};
	module:fire_event("user-registering", account);
	if not account.allowed then
		local why = account.error and account.error.condition;
		local problem = account.problem or why == "forbidden" and "refused" or "name_taken";
		data.errors[problem:find("^name") and "name" or "form"] = problem;
		return show_form(event, (problem == "throttled" or problem == "queue_full") and 429 or 422, data);
	end

	local create = usermanager.create_user_with_role or usermanager.create_user;
	local ok, problem = create(name, given.password, host, account.role);
	if not ok then
		module:log("error", "Could not make the account %s: %s", name, problem);
		data.errors.form = "refused";
		return show_form(event, 500, data);
	end
	module:open_store("account_details"):set(name, { registered = os.time() });
	module:log("info", "Account made on the page: %s@%s", name, host);
	local registered = { username = name, host = host, source = module.name, validated_invite = invite, ip = request.ip };
	module:fire_event("user-registered", registered);
	if not usermanager.user_exists(name, host) then
		data.errors.form = "refused";
		return show_form(event, 500, data);
	end
	data.jid, data.token, data.waits, data.web_client = name .. "@" .. host, nil, registered.waits, web_client;
	return answer(event, 200, page.done(data));
end

module:provides("http", {
	name = "register";
	default_path = "/register";
	cors = { enabled = false };
	route = {
		["GET /"] = show;
		["POST /"] = submit;
	};
});
