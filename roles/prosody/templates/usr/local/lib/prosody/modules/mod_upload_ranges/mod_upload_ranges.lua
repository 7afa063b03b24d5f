-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Ranges of uploads (RFC 9110, section 14), as browsers need them to play video and audio: http_file_share refuses those that
-- do not begin in the middle and go to the end.
--
-- Works on Prosody 0.12 and 13. Load it on the component. To be removed when Debian's Prosody does so itself.

module:depends("http_file_share");
local uploads = module:require "uploads";
local range = module:require "range";

-- The part of a file, as what sends files reads it.
local function part(file, length)
	return {
		read = function (_, bytes)
			local chunk = length > 0 and file:read(math.min(bytes, length)) or nil;
			length = length - #(chunk or "");
			return chunk;
		end;
		close = function () return file:close(); end;
	};
end

uploads.hook("GET", function (event)
	local request, response = event.request, event.response;
	local wanted, unless_changed = request.headers.range, request.headers.if_range;
	request.headers.range = nil;
	if not wanted or request.method ~= "GET" then return; end
	local send_file = response.send_file;
	function response:send_file(file)
		local headers = self.headers;
		local size = tonumber(headers.content_length);
		local first, last;
		if size and (not unless_changed or unless_changed == headers.last_modified) then
			first, last = range.bounds(wanted, size);
		end
		if first == nil then return send_file(self, file); end
		if not first then
			file:close();
			headers.content_length, headers.content_disposition, headers.last_modified, headers.cache_control = nil, nil, nil, nil;
			headers.content_range = ("bytes */%d"):format(size);
			return 416;
		end
		file:seek("set", first);
		self.status_code = 206;
		headers.content_range = ("bytes %d-%d/%d"):format(first, last, size);
		headers.content_length = ("%d"):format(last - first + 1);
		return send_file(self, part(file, last - first + 1));
	end
end, 9);
