-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Where http_file_share keeps uploads, and by which requests they come and go.

local server = require "net.http.server";
local url = require "socket.url";
local datamanager = require "core.storagemanager".olddm;

-- The file of a slot of an upload component.
local function path(slot, component) return datamanager.getpath(slot, component, "http_file_share", "bin"); end

-- On the component: a handler of requests for uploads, which comes before http_file_share's own where its priority is above 0.
local function hook(method, handler, priority)
	local route = url.parse(module:http_url("file_share", "/file_share")).path:gsub("/?$", "/*");
	module:hook_object_event(server, method .. " " .. module:get_option_string("http_host", module.host) .. route, handler, priority);
end

return { path = path, hook = hook };
