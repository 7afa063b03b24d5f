-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Which pictures of letters are out, and whether they are answered. xmpp-captcha draws them.

local function plain(text) return (text:upper():gsub("%s+", "")); end

-- What a file of the pool holds: the letters, and the picture.
local function parse(content) return (content or ""):match("^(%w+)\n(\137PNG.+)$"); end

-- lifetime: seconds that there are to answer. most: how many may be out at a time.
local function keeper(lifetime, most)
	local out, count = {}, 0;
	local self = {};

	-- Nobody can answer it any more.
	function self.drop(id)
		if out[id] then out[id], count = nil, count - 1; end
	end

	function self.has_room(now)
		if count < most then return true; end
		for id, its in pairs(out) do
			if its.ends <= now then self.drop(id); end
		end
		return count < most;
	end

	function self.add(id, letters, now)
		self.drop(id);
		out[id], count = { letters = plain(letters), ends = now + lifetime }, count + 1;
	end

	function self.is_solved(id, now)
		local its = out[id];
		return its ~= nil and its.solved and its.ends > now or false;
	end

	-- Returns a key of the texts where the answer is not right, after which it is over. One that was answered stays so until
	-- it is dropped: whoever makes it an account does that.
	function self.problem(id, answer, now)
		local its = out[id];
		if its and its.ends > now then
			its.solved = its.solved or plain(answer or "") == its.letters;
			if its.solved then return nil; end
		end
		self.drop(id);
		return its and its.ends > now and "captcha_wrong" or "captcha_over";
	end

	return self;
end

return { keeper = keeper, parse = parse };
