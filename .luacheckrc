-- Prosody 0.12 runs on Lua 5.2 to 5.4, Debian's on 5.4.
std = "lua54"
-- Pages of HTML stand in long lines.
max_line_length = false
files["roles/prosody/templates/usr/local/lib/prosody/modules"] = {
	-- Each module runs in an environment of its own, whose globals others see as its fields.
	globals = { "module" },
	read_globals = { "prosody", "hosts" },
	allow_defined_top = true,
}
