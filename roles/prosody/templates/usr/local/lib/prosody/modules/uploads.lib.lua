-- Copyright (c) magicbroccoli contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Where http_file_share keeps uploads.

local datamanager = require "core.storagemanager".olddm;

-- The file of a slot of an upload component.
local function path(slot, component) return datamanager.getpath(slot, component, "http_file_share", "bin"); end

return { path = path };
