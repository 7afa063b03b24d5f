-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- What becomes of an account that nobody has used for long.

local day = 86400;

-- record: { seen = …, warned = … }, times in seconds, or nil. Returns what to do, and since when it was not used:
--   begin   nothing is known of it: its time begins now
--   keep
--   warn    it will be deleted
--   delete  it was warned long enough ago, and not used since
local function decide(now, record, days, warning_days)
	local seen, warned = record and record.seen, record and record.warned;
	-- A clock that was wrong deletes nothing.
	if not seen or seen > now or warned and warned > now then return "begin", now; end
	if now - seen < days * day then return "keep", seen; end
	if not warned or warned < seen then return "warn", seen; end
	return now - warned >= warning_days * day and "delete" or "keep", seen;
end

return { decide = decide };
