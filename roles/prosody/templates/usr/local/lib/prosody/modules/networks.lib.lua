-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Which network an address is in, for limits by address.

-- A packed address (4 or 16 bytes) as network, which is what one customer has, and area, its neighbourhood; or nothing.
local function places(packed)
	if not packed then return "", ""; end
	-- An IPv4 address in the form of an IPv6 one.
	if #packed == 16 and packed:sub(1, 12) == ("\0"):rep(10) .. "\255\255" then packed = packed:sub(13); end
	if #packed == 4 then return packed, packed:sub(1, 3); end
	return packed:sub(1, 8), packed:sub(1, 6);
end

return { places = places };
