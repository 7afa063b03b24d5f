-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Guards http_file_share (XEP-0363), which puts the requested content type and size into the header fields of downloads
-- as they are, and counts a slot against the quotas for as long as a file, though it is never used.
--
-- Works on Prosody 0.12 and 13. Load it on the component. To be removed when Debian's Prosody does both itself.
--   upload_slots_lifetime  seconds after which a slot without a file is forgotten (default 900); tokens are valid for 600

local lfs = require "lfs";
local st = require "util.stanza";
local cache = require "util.cache";
local errors = require "util.error";
local jid = require "util.jid";
local array = require "util.array";
local modulemanager = require "core.modulemanager";
local request = module:require "request";
local files = module:require "uploads";

local share = module:depends("http_file_share");
local lifetime = module:get_option_number("upload_slots_lifetime", 900);
local uploads = module:open_store("uploads", "archive");

module:hook("iq-get/host/urn:xmpp:http:upload:0:request", function (event)
	local condition, text = request.problem(event.stanza.tags[1].attr);
	if not condition then return; end
	event.origin.send(st.error_reply(event.stanza, "modify", condition, text));
	return true;
end, 10);

-- Slots that were given before this module was there: their files are sent with a harmless type.
local function check_headers(response)
	local headers = response.headers;
	if not request.is_media_type(headers.content_type or "") then
		headers.content_type, headers.content_disposition = "application/octet-stream", "attachment";
	end
	if not tostring(headers.content_length):find("^%d+$") then headers.content_length = nil; end
end
files.hook("GET", function (event)
	local response = event.response;
	local send_file = response.send_file;
	function response:send_file(file)
		check_headers(self);
		return send_file(self, file);
	end
end, 10);

-- What an account has asked for: within a day, and in all, by blocks of the file system. http_file_share remembers its own sum
-- of a day, out of which nothing is ever taken.
local sums = cache.new(10000);
local function blocks(size) return math.ceil(size / 4096) * 4096 + 4096; end

local function sum_of(account)
	local now = os.time();
	local sum = sums:get(account);
	if sum and sum.oldest > now - 86400 and sum.counted > now - 86400 then return sum; end
	local slots, problem = uploads:find(nil, { with = account });
	if not slots then return nil, problem; end
	sum = { oldest = now, counted = now, day = 0, all = 0 };
	for _, slot, when in slots do
		local size = tonumber(slot.attr.size) or 0;
		sum.all = sum.all + blocks(size);
		if when > now - 86400 then
			sum.day = sum.day + size;
			sum.oldest = math.min(sum.oldest, when);
		end
	end
	sums:set(account, sum);
	return sum;
end

function share.get_daily_quota(account)
	local sum, problem = sum_of(account);
	return sum and sum.day, problem;
end

-- For storage_share.
function stored(account) --luacheck: ignore 131/stored
	local sum = sum_of(account);
	return sum and sum.all or 0;
end

local may_upload = share.may_upload;
function share.may_upload(account, name, size, ...)
	local may, problem = may_upload(account, name, size, ...);
	if not may then return may, problem; end
	local username, host = jid.split(account);
	local storage = prosody.hosts[host] and modulemanager.get_module(host, "storage_share");
	if storage and storage.exceeds then
		local exceeds, text = storage.exceeds(username, blocks(size));
		if exceeds then return false, errors.new({ type = "wait", condition = "resource-constraint", text = text }); end
	end
	local sum = sum_of(account);
	if sum then sum.day, sum.all = sum.day + size, sum.all + blocks(size); end
	return true;
end

-- The time until which slots have been looked at, and those whose files were just coming.
local seen, coming = os.time() - 86400, {};

local function is_unused(slot)
	local file = files.path(slot, module.host);
	if lfs.attributes(file, "mode") then return false; end
	return not lfs.attributes(file .. "~", "mode"), true;
end

-- Also for the shell.
function forget_unused() --luacheck: ignore 131/forget_unused
	local until_when = os.time() - lifetime;
	local unused, candidates = array(), coming;
	coming = {};
	for slot, _, when, account in assert(uploads:find(nil, { start = seen, ["end"] = until_when })) do
		if when <= until_when then candidates[slot] = account; end
	end
	seen = until_when;
	for slot, account in pairs(candidates) do
		local is, is_coming = is_unused(slot);
		if is then
			unused:push(slot);
			sums:set(account, nil);
		elseif is_coming then
			coming[slot] = account;
		end
	end
	if not unused[1] then return 0; end
	-- In one transaction for many, and few enough for any database.
	for first = 1, #unused, 500 do
		local ok, problem = uploads:delete(nil, { ids = unused:slice(first, first + 499) });
		if not ok then module:log("error", "Cannot forget unused slots: %s", problem); end
	end
	-- The sum of all accounts is http_file_share's own: it counts anew as it does each week.
	for _, task in ipairs(module:get_host_items("task")) do
		if task.name == "Calculate total storage usage" then task.run(task, os.time()); end
	end
	module:log("debug", "slots forgotten because nobody used them: %d", #unused);
	return #unused;
end
module:add_timer(60, function ()
	forget_unused();
	return 60;
end);
