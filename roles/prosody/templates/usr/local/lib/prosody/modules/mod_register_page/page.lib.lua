-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- The pages of mod_register_page, as text. Everything that is not written here is escaped.

local texts = {};

texts.en = {
	language = "English";
	register = "Make an account";
	invited = "You are invited to %s";
	invited_by = "%s invites you";
	about = "XMPP is chat that many providers share, like mail. With an account at %s you write to people everywhere.";
	app = "With an app";
	app_first = "Install one of these apps, then come back and open the invitation with it:";
	app_later = "Log in with one of these apps:";
	apps_other = "Apps for other systems";
	scan = "On a phone, scan this code to go on there:";
	code = "QR code of the link to this page";
	contact_about = "%s would like to write to you by XMPP, which is chat that many providers share, like mail.";
	contact_first = "Install one of these apps, log in or make an account, then come back and open the invitation with it:";
	contact_none = "You have no account yet? Any provider of XMPP will do.";
	browser = "In the browser";
	open = "Open the invitation in the app";
	here = "Right here";
	name = "Name";
	name_hint = "2 to 32 of a–z, 0–9, dot, hyphen, underscore.";
	password = "Password";
	password_hint = "Length: at least %s. Nobody can recover it, so keep it in a password manager.";
	again = "Password again";
	answer = "A question, to tell you from machines";
	letters = "Letters and digits of the picture";
	letters_hint = "Six of them, large or small.";
	letters_unseen = "If you cannot see or read them, ask the administrators for an invitation: it needs none. Their address is at the bottom.";
	picture = "Picture of six distorted letters and digits";
	captcha_wrong = "These were not the letters of the picture. Here is another one.";
	captcha_over = "The time for the picture is over. Here is another one.";
	captcha_app = "Choose a name and a password whose length is at least %s, and type the letters and digits of the picture. If you cannot see it, the administrators invite you; their address is at https://%s/register/.";
	no_captcha = "Try again in some minutes";
	no_captcha_text = "So many want an account at %s at the moment that there is no picture left, which tells people from machines.";
	approve_hint = "An administrator approves of the account before you can use it.";
	website = "Leave this empty";
	send = "Make the account";
	name_form = "This cannot be a name here. Use 2 to 32 of a–z, 0–9, dot, hyphen, underscore; begin with a letter or digit.";
	name_reserved = "This name is reserved. Choose another.";
	name_taken = "This name is not free. Choose another.";
	password_form = "This password has characters that cannot be used, or too many.";
	password_short = "This password is too short: its length without spaces must be at least %s.";
	password_name = "The password must not contain the name.";
	again_differs = "These two passwords differ.";
	form_expired = "The page was open too long, or your browser takes no cookies. Send it again.";
	too_fast = "That was too fast for a human. Send it again.";
	answer_wrong = "This is not the answer.";
	queue_full = "Too many new accounts wait for approval. Try again tomorrow.";
	throttled = "Too many accounts were made from your network. Try again in an hour.";
	refused = "The account could not be made. Ask the administrators.";
	wrong = "Something is wrong below.";
	waits = "Your account waits for approval";
	waits_text = "Your address will be";
	waits_more = "An administrator looks at it. Until then you cannot log in.";
	done = "Your account is ready";
	done_text = "Your address is";
	invite_only = "By invitation only";
	invite_only_text = "Accounts at %s are for those who are invited. Ask somebody who has one, or the administrators.";
	invalid = "This invitation is not valid";
	invalid_text = "It was used already, is too old, or a part of the link is missing. Ask for a new one.";
	insecure = "Not without encryption";
	contact = "Administrators:";
	reset = "A new password for %s";
	reset_about = "The former password ends, and every app that is logged in has to be given the new one.";
	reset_send = "Set the password";
	reset_done = "The new password is set";
	reset_done_text = "From now on it is that of";
};

texts.de = {
	language = "Deutsch";
	register = "Konto anlegen";
	invited = "Du bist zu %s eingeladen";
	invited_by = "%s lädt dich ein";
	about = "XMPP ist Chat über viele Anbieter hinweg, wie bei E-Mail. Mit einem Konto bei %s schreibst du mit Leuten überall.";
	app = "Mit einer App";
	app_first = "Installiere eine dieser Apps, komm dann zurück und öffne die Einladung damit:";
	app_later = "Melde dich mit einer dieser Apps an:";
	apps_other = "Apps für andere Systeme";
	scan = "Mit einem Telefon geht es dort weiter, wenn du diesen Code scannst:";
	code = "QR-Code mit dem Link zu dieser Seite";
	contact_about = "%s möchte dir über XMPP schreiben, einen Chat über viele Anbieter hinweg, wie bei E-Mail.";
	contact_first = "Installiere eine dieser Apps, melde dich an oder lege ein Konto an, komm dann zurück und öffne die Einladung damit:";
	contact_none = "Du hast noch kein Konto? Jeder XMPP-Anbieter passt.";
	browser = "Im Browser";
	open = "Einladung in der App öffnen";
	here = "Gleich hier";
	name = "Name";
	name_hint = "2 bis 32 Zeichen: a–z, 0–9, Punkt, Bindestrich, Unterstrich.";
	password = "Passwort";
	password_hint = "Mindestens %s Zeichen. Niemand kann es wiederherstellen: Bewahre es in einem Passwortmanager auf.";
	again = "Passwort noch einmal";
	answer = "Eine Frage, die dich von Maschinen unterscheidet";
	letters = "Buchstaben und Ziffern des Bildes";
	letters_hint = "Sechs, groß oder klein.";
	letters_unseen = "Wenn du sie nicht sehen oder lesen kannst, bitte die Administratoren um eine Einladung: Mit ihr geht es ohne. Ihre Adresse steht unten.";
	picture = "Bild mit sechs verzerrten Buchstaben und Ziffern";
	captcha_wrong = "Das waren nicht die Buchstaben des Bildes. Hier ist ein anderes.";
	captcha_over = "Die Zeit für das Bild ist um. Hier ist ein anderes.";
	captcha_app = "Wähle einen Namen und ein Passwort mit mindestens %s Zeichen und tippe die Buchstaben und Ziffern des Bildes ab. Wenn du es nicht sehen kannst, laden dich die Administratoren ein; ihre Adresse steht auf https://%s/register/.";
	no_captcha = "Versuche es in ein paar Minuten wieder";
	no_captcha_text = "Gerade möchten so viele ein Konto bei %s, dass kein Bild mehr da ist, das Menschen von Maschinen unterscheidet.";
	approve_hint = "Ein Administrator gibt das Konto frei, bevor du es benutzen kannst.";
	website = "Dieses Feld leer lassen";
	send = "Konto anlegen";
	name_form = "Das geht hier nicht als Name. Nimm 2 bis 32 Zeichen: a–z, 0–9, Punkt, Bindestrich, Unterstrich; am Anfang Buchstabe oder Ziffer.";
	name_reserved = "Dieser Name ist reserviert. Nimm einen anderen.";
	name_taken = "Dieser Name ist nicht frei. Nimm einen anderen.";
	password_form = "Dieses Passwort hat Zeichen, die nicht gehen, oder zu viele.";
	password_short = "Dieses Passwort ist zu kurz: Es braucht mindestens %s Zeichen, Leerzeichen nicht gezählt.";
	password_name = "Das Passwort darf den Namen nicht enthalten.";
	again_differs = "Die beiden Passwörter sind verschieden.";
	form_expired = "Die Seite war zu lange offen, oder dein Browser nimmt keine Cookies an. Sende sie noch einmal.";
	too_fast = "Das war zu schnell für einen Menschen. Sende es noch einmal.";
	answer_wrong = "Das ist nicht die Antwort.";
	queue_full = "Zu viele neue Konten warten auf Freigabe. Versuche es morgen wieder.";
	throttled = "Aus deinem Netz wurden zu viele Konten angelegt. Versuche es in einer Stunde wieder.";
	refused = "Das Konto konnte nicht angelegt werden. Frage die Administratoren.";
	wrong = "Unten stimmt etwas nicht.";
	waits = "Dein Konto wartet auf Freigabe";
	waits_text = "Deine Adresse wird sein";
	waits_more = "Ein Administrator sieht es sich an. Bis dahin kannst du dich nicht anmelden.";
	done = "Dein Konto ist fertig";
	done_text = "Deine Adresse ist";
	invite_only = "Nur mit Einladung";
	invite_only_text = "Konten bei %s sind für Eingeladene. Frage jemanden, der eines hat, oder die Administratoren.";
	invalid = "Diese Einladung gilt nicht";
	invalid_text = "Sie wurde schon benutzt, ist zu alt, oder vom Link fehlt ein Teil. Bitte um eine neue.";
	insecure = "Nicht ohne Verschlüsselung";
	contact = "Administratoren:";
	reset = "Ein neues Passwort für %s";
	reset_about = "Das bisherige Passwort gilt dann nicht mehr, und jede angemeldete App braucht das neue.";
	reset_send = "Passwort setzen";
	reset_done = "Das neue Passwort ist gesetzt";
	reset_done_text = "Es gilt ab jetzt für";
};

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" };
local function escape(text) return (tostring(text):gsub("[&<>\"']", entities)); end

-- Fills {name} by what is given, escaped; {name|raw} takes what was made here.
local function fill(template, given)
	return (template:gsub("{([a-z_]+)(|?r?a?w?)}", function (name, raw)
		local value = given[name] or "";
		return raw == "|raw" and value or escape(value);
	end));
end

local frame = [[
<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} – {domain}</title>
<link rel="icon" type="image/svg+xml" href="/pages/icon.svg">
<link rel="stylesheet" href="/pages/style.css">
</head>
<body>
<header><a class="site" href="/">{domain}</a> <nav>{languages|raw}</nav></header>
<main>
<h1>{title}</h1>
{body|raw}
</main>
<footer>{contact|raw}</footer>
</body>
</html>
]];

local input = [[
<label for="{name}">{label}</label>
<div class="name"><input id="{name}" name="{name}" type="{type}" value="{value}" autocomplete="{autocomplete}"
 aria-describedby="{name}-hint" required {more|raw}>{after}</div>
<p class="{class}" id="{name}-hint">{hint}</p>
]];

local function url_encode(text)
	return (text:gsub("[^%w_.-]", function (c) return ("%%%02X"):format(c:byte()); end));
end

-- What the address of a page with an invitation has after its question mark.
local function query(data)
	if not data.token then return ""; end
	return "t=" .. url_encode(data.token) .. (data.user and "&u=" .. url_encode(data.user) or "");
end

-- data: lang, domain, token and, where it is an invitation to be a contact, user; contacts.
local function render(data, title, body)
	local t = texts[data.lang];
	local languages, contacts = {}, {};
	for _, code in ipairs { "de", "en" } do
		if code ~= data.lang then
			table.insert(languages, fill('<a href="{link}" hreflang="{code}" lang="{code}">{name}</a>', {
				code = code, name = texts[code].language;
				link = "?lang=" .. code .. (data.token and "&" .. query(data) or "");
			}));
		end
	end
	for _, address in ipairs(data.contacts) do
		table.insert(contacts, fill('<a href="{address}">{name}</a>', {
			-- The address is a URI (RFC 5122), and is shown as people write it.
			address = address, name = (address:gsub("^%a+:", ""):gsub("%%(%x%x)", function (hex)
				return string.char(tonumber(hex, 16));
			end));
		}));
	end
	return fill(frame, {
		lang = data.lang, domain = data.domain, title = title, body = body;
		languages = table.concat(languages, " ");
		contact = #contacts > 0 and escape(t.contact) .. " " .. table.concat(contacts, ", ") or "";
	});
end

local function list_of(apps)
	local items = {};
	for _, app in ipairs(apps) do
		local stores = {};
		for _, store in ipairs(app.stores) do
			table.insert(stores, fill('<a href="{url}" rel="noopener noreferrer">{name}</a>', store));
		end
		table.insert(items, fill('<li>{system}: {name} ({stores|raw})</li>', {
			system = app.system, name = app.name, stores = table.concat(stores, ", ");
		}));
	end
	return "<ul>" .. table.concat(items, "\n") .. "</ul>\n";
end

-- data: apps of the visitor's system, and other_apps.
local function app_list(data)
	if #data.apps == 0 then return list_of(data.other_apps); end
	return list_of(data.apps) .. fill("<details><summary>{summary}</summary>\n{list|raw}</details>\n", {
		summary = texts[data.lang].apps_other, list = list_of(data.other_apps);
	});
end

-- The code by which a phone goes on with a link. data: token; and qr, whether codes are drawn.
local function phone_code(data)
	local t = texts[data.lang];
	return data.qr and fill('<p>{scan}</p>\n<p class="code"><img src="qr.svg?{query}" alt="{code}" width="240" height="240"></p>\n', {
		scan = t.scan, code = t.code, query = query(data);
	}) or "";
end

-- How an invitation is opened: on this device, or on a phone. data: besides those of `phone_code`, uri.
local function ways_in(data)
	return fill('<p><a class="button" href="{uri}">{open}</a></p>\n', { uri = data.uri, open = texts[data.lang].open })
		.. phone_code(data);
end

-- data: besides those of `render`, values and errors by field, form_token, minimum, of an invitation uri, inviter and
-- fixed_name, and without one question, approval, and picture where letters are to be read; of a link for a new password
-- reset, the account's name.
local function form(data)
	local t = texts[data.lang];
	local parts, focused = {}, false;
	local function field(name, options)
		local wrong = data.errors[name];
		options.name, options.label, options.class = name, options.label or t[name], "hint";
		if wrong then
			options.class, options.hint = "wrong", (t[wrong] or t.refused):format(data.minimum);
			options.more = options.more .. ' aria-invalid="true"' .. (focused and "" or " autofocus");
			focused = true;
		end
		table.insert(parts, fill(input, options));
	end
	local function add(template, given) table.insert(parts, fill(template, given or {})); end

	local title = data.reset and t.reset:format(data.reset .. "@" .. data.domain)
		or data.inviter and t.invited_by:format(data.inviter) or data.token and t.invited:format(data.domain)
		or t.register;
	add("<p>{about}</p>\n", { about = data.reset and t.reset_about or t.about:format(data.domain) });
	if data.uri then
		add("<h2>{app}</h2>\n<p>{app_first}</p>\n", t);
		table.insert(parts, app_list(data));
		table.insert(parts, ways_in(data));
		add("<h2>{here}</h2>\n", t);
	end
	add('<form method="post" action="./">\n');
	if data.errors.form then
		add('<p class="wrong" role="alert">{text}</p>\n', { text = t[data.errors.form] or t.refused });
	elseif next(data.errors) then
		add('<p class="wrong" role="alert">{wrong}</p>\n', t);
	end
	field("name", {
		type = "text", value = data.fixed_name or data.values.name, hint = t.name_hint, autocomplete = "username";
		after = "@" .. data.domain;
		more = 'maxlength="64" autocapitalize="none" spellcheck="false"' .. (data.fixed_name and " readonly" or "");
	});
	field("password", {
		type = "password", hint = t.password_hint:format(data.minimum), autocomplete = "new-password";
		more = fill('minlength="{minimum}" maxlength="512"', data);
	});
	field("again", {
		type = "password", autocomplete = "new-password", more = 'maxlength="512"';
	});
	if data.question then
		field("answer", {
			type = "text", label = data.question, hint = t.answer, autocomplete = "off";
			more = 'maxlength="200"';
		});
	end
	if data.picture then
		add('<p class="picture"><img src="{picture}" alt="{alt}" width="240" height="80"></p>\n<p class="hint">{unseen}</p>\n', {
			picture = data.picture, alt = t.picture, unseen = t.letters_unseen;
		});
		field("letters", {
			type = "text", hint = t.letters_hint, autocomplete = "off";
			more = 'maxlength="20" autocapitalize="characters" spellcheck="false"';
		});
	end
	if data.approval then add('<p>{approve_hint}</p>\n', t); end
	-- Who fills in everything is no human.
	add('<div class="website" aria-hidden="true"><label for="website">{website}</label>'
		.. '<input id="website" name="website" tabindex="-1" autocomplete="off"></div>\n', t);
	add('<input type="hidden" name="t" value="{token}"><input type="hidden" name="lang" value="{lang}">'
		.. '<input type="hidden" name="form" value="{form_token}">\n', data);
	add('<button type="submit">{send}</button>\n</form>\n', { send = data.reset and t.reset_send or t.send });
	if data.reset then table.insert(parts, phone_code(data)); end
	return render(data, title, table.concat(parts));
end

-- data: besides those of `render`, jid, and whether it waits for approval; whether there is a web client.
local function done(data)
	local t = texts[data.lang];
	if data.waits then
		return render(data, t.waits, fill("<p>{waits_text} <strong>{jid}</strong></p>\n<p>{waits_more}</p>\n", {
			waits_text = t.waits_text, jid = data.jid, waits_more = t.waits_more;
		}));
	end
	return render(data, data.reset and t.reset_done or t.done, fill("<p>{done_text} <strong>{jid}</strong></p>\n<p>{app_later}</p>\n", {
		done_text = data.reset and t.reset_done_text or t.done_text, jid = data.jid, app_later = t.app_later;
	}) .. app_list(data) .. (data.web_client and fill('<p><a class="button" href="/chat/">{browser}</a></p>\n', t) or ""));
end

-- The page of an invitation to be somebody's contact. data: besides those of `render`, uri, inviter, and whether accounts are open.
local function contact(data)
	local t = texts[data.lang];
	return render(data, t.invited_by:format(data.inviter), fill("<p>{about}</p>\n<h2>{app}</h2>\n<p>{first}</p>\n", {
		about = t.contact_about:format(data.inviter), app = t.app, first = t.contact_first;
	}) .. app_list(data) .. ways_in(data) .. fill("<p>{none}</p>\n", { none = t.contact_none })
		.. (data.open and fill('<p><a class="button" href="./?lang={lang}">{register}</a></p>\n', {
			lang = data.lang, register = t.register;
		}) or ""));
end

-- what: a key of the texts; its own text has the same key and `_text`.
local function message(data, what)
	local t = texts[data.lang];
	return render(data, t[what], fill("<p>{text}</p>\n", { text = (t[what .. "_text"] or ""):format(data.domain) }));
end

return { texts = texts, form = form, done = done, contact = contact, message = message };
