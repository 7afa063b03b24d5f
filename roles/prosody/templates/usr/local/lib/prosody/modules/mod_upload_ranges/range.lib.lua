-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Returns the first and the last byte that a Range header asks for of so many bytes, counted from 0 (RFC 9110, section 14);
-- false where the file has none of them; nil where it is to be ignored, as several ranges are.
local function bounds(header, size)
	local first, last = header:match("^[Bb][Yy][Tt][Ee][Ss]=[ \t]*(%d*)%-(%d*)[ \t]*$");
	if not first or first == "" and last == "" or #first > 15 or #last > 15 then return nil; end
	first, last = tonumber(first), tonumber(last);
	if first and last and first > last then return nil; end
	if not first then first, last = math.max(size - last, 0), last > 0 and size - 1 or -1; end
	last = math.min(last or size - 1, size - 1);
	if first > last then return false; end
	return first, last;
end

return { bounds = bounds };
