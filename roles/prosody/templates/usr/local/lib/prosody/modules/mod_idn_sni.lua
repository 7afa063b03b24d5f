-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Direct TLS for internationalised domains. Who connects names the domain by its A-labels (RFC 6066, section 3), and Prosody
-- looks for it among the U-labels of its hosts, finds none, and ends the handshake. Here it finds both: other Prosodys
-- name the U-labels.
--
-- Works on Prosody 0.12 and 13. Load it for the whole server. It can go when portmanager knows A-labels.

module:set_global();

local to_ascii = require "util.encodings".idna.to_ascii;
local portmanager = require "core.portmanager";

local function add()
	for _, _, _, _, active in portmanager.get_active_services():iter(nil, nil, nil, nil) do
		local server = active.server;
		local context = server and server.sslctx and server:sslctx();
		-- 0.12 has the contexts by name at the port, 13 at its context.
		for _, contexts in pairs { server and server.hosts, context and context._sni_contexts } do
			for host in pairs(prosody.hosts) do
				local name = to_ascii(host);
				if name and name ~= host then contexts[name] = contexts[host]; end
			end
		end
	end
end

-- After portmanager itself, which has -1 for the last one.
module:hook("host-activated", add, -2);
module:hook("item-added/net-provider", add, -2);
module:hook("config-reloaded", add, -2);
function module.load() add(); end
