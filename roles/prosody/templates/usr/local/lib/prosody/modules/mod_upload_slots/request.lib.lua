-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- What a request for an upload slot (XEP-0363) may say: the server puts it into the header fields of downloads.

local token = "[%w!#$%%&'*+%-.^_`|~]+";

-- A media type of RFC 9110, section 8.3.1, in printable ASCII.
local function is_media_type(text)
	if #text > 255 or text:find("[^ -~]") then return false; end
	local rest = text:match("^" .. token .. "/" .. token .. "(.*)$");
	while rest and rest:find("%S") do
		local parameter = rest:match("^ *; *(.*)$");
		local value = parameter and parameter:match("^" .. token .. "=(.*)$");
		if value and value:sub(1, 1) == '"' then
			-- A quoted string, whose quotation marks and backslashes are escaped.
			local position = 2;
			while value:find('^[^"\\]', position) or value:find("^\\.", position) do
				position = position + (value:sub(position, position) == "\\" and 2 or 1);
			end
			rest = value:sub(position, position) == '"' and value:sub(position + 1) or nil;
		elseif value then
			rest = value:match("^" .. token .. "(.*)$");
		else
			-- Parameters may be empty.
			rest = parameter and (parameter == "" or parameter:sub(1, 1) == ";") and parameter or nil;
		end
	end
	return rest ~= nil;
end

-- No control character, C1 of Unicode included, and no more than a file system takes.
local function is_filename(text)
	return #text > 0 and #text <= 255 and not text:find("[%c/]") and not text:find("\194[\128-\159]");
end

-- attributes: those of the request. Returns nil, or the condition of the error and its text.
local function problem(attributes)
	if not is_filename(attributes.filename or "") then
		return "bad-request", "Invalid filename: write 1 to 255 bytes without slashes and control characters";
	end
	-- tonumber() would also take hexadecimal numbers, fractions, and white space around them.
	if not (attributes.size or ""):find("^%d+$") then
		return "bad-request", "File size must be positive integer";
	end
	local media_type = attributes["content-type"];
	if media_type and not is_media_type(media_type) then
		return "bad-request", "Invalid content-type: write type/subtype, with parameters as in RFC 9110";
	end
end

return { problem = problem, is_media_type = is_media_type };
