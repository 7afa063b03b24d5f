-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Reads an upload (XEP-0363) that is refused by its head to its end, and answers then, as RFC 9110, section 7.6, has it for a
-- connection that goes on. http_file_share answers at once where a body is longer than http_max_content_size, and net.http
-- ends the connection: nginx, which still sends, would tell the client of a bad gateway instead of what is wrong. What is read
-- is thrown away; how much that can be is what nginx lets through.
--
-- Works on Prosody 0.12 and 13. Load it on the component. To be removed when Debian's Prosody or nginx does so itself.

module:depends("http_file_share");
local uploads = module:require "uploads";

local nowhere = { write = function () return true; end };

uploads.hook("PUT", function (event)
	local request, response = event.request, event.response;
	if request.partial then
		-- Whatever is answered now, before the body is there, refuses it.
		function response:send(body)
			request.body_sink = nowhere;
			request.refusal = { status = self.status_code, headers = self.headers, body = body or "" };
		end
		return;
	end
	local refusal = request.refusal;
	if not refusal then return; end
	response.status_code = refusal.status;
	for name, value in pairs(refusal.headers) do
		-- Its date and number stay its own.
		if not response.headers[name] then response.headers[name] = value; end
	end
	return refusal.body;
end, 10);
