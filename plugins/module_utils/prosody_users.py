# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts of a running Prosody, by the socket of its mod_admin_shell.

What is sent there is in no process list and in no log, other than the arguments of prosodyctl.
"""

from __future__ import annotations

import json

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.prosody import ProsodyError, program, shell

ROLES = ("guest", "registered", "member", "admin", "operator")

# One program for both releases. `native` is whether Prosody itself knows disabled accounts and primary roles, as it does
# from 13 on. For 0.12, a disabled account's key is put aside, under a name that Prosody does not read; a random one that
# fits no password takes its place.
PROGRAM = r"""
local json = require "util.json";
local a = json.decode(ARGUMENTS);
local um, hosts = require "core.usermanager", prosody.hosts;
local names = {};
for name, its in pairs(hosts) do if its.type == "local" then table.insert(names, name); end end
table.sort(names);
if not hosts[a.host] or hosts[a.host].type ~= "local" then return json.encode { hosts = names }; end
local backend = hosts[a.host].users.name;
local native = um.disable_user ~= nil;
local jid = a.user .. "@" .. a.host;
local accounts = require "core.storagemanager".open(a.host, "accounts");

local function hex(text) return (text:gsub(".", function (c) return ("%02x"):format(c:byte()); end)); end
local function enabled(account)
	if native then return um.user_is_enabled(a.user, a.host) and not account.disabled_stored_key; end
	return not account.disabled;
end
local function role()
	if native then
		local its, problem = um.get_user_role(a.user, a.host);
		return its and its.name or error(problem or "no role");
	end
	return (um.get_roles(jid, a.host) or {})["prosody:admin"] and "prosody:admin" or "";
end
-- Administrators by the configuration stay so.
local function configured()
	for _, scope in ipairs { a.host, "*" } do
		local admins = require "core.configmanager".get(scope, "admins");
		for _, admin in ipairs(type(admins) == "table" and admins or {}) do
			if require "util.jid".prep(admin) == jid then return true; end
		end
	end
	return false;
end
local function fits(account)
	local stored = account.disabled_stored_key or account.stored_key;
	local password = require "util.encodings".stringprep.saslprep(a.password);
	if not stored or not account.salt or not password then return false; end
	local kind = require "core.configmanager".get(a.host, "password_hash") or "SHA-1";
	local ok, key = require "util.sasl.scram".hashers[kind](password, account.salt, account.iteration_count);
	return ok and hex(key) == stored or false;
end
local function hide(account)
	account.disabled = true;
	account.disabled_stored_key = account.stored_key;
	account.stored_key = account.stored_key and hex(require "util.random".bytes(#account.stored_key / 2));
	return accounts:set(a.user, account);
end
local function show(account)
	account.disabled = nil;
	account.stored_key = account.disabled_stored_key or account.stored_key;
	account.disabled_stored_key = nil;
	return accounts:set(a.user, account);
end
local function disconnect()
	local user = hosts[a.host].sessions[a.user];
	local sessions = {};
	for _, session in pairs(user and user.sessions or {}) do table.insert(sessions, session); end
	for _, session in ipairs(sessions) do session:close { condition = "not-authorized", text = "Account disabled" }; end
	return true;
end

local steps = {};
function steps.create()
	if native then return um.create_user_with_role(a.user, a.password, a.host, "prosody:member"); end
	return um.create_user(a.user, a.password, a.host);
end
function steps.password()
	local was = accounts:get(a.user);
	local ok, problem = um.set_password(a.user, a.password, a.host);
	if not ok or not was.disabled_stored_key then return ok, problem; end
	local account = accounts:get(a.user);
	account.disabled_stored_key = nil;
	return hide(account);
end
function steps.role()
	if native then return um.set_user_role(a.user, a.host, "prosody:" .. a.role); end
	return um.set_roles(jid, a.host, a.role == "admin" and { ["prosody:admin"] = true } or nil);
end
function steps.disable()
	if native then return um.disable_user(a.user, a.host); end
	return hide(accounts:get(a.user)) and disconnect();
end
function steps.enable()
	local account = accounts:get(a.user);
	-- Disabled by 0.12, before an upgrade.
	if not native or account.disabled_stored_key then
		local ok, problem = show(account);
		if not native or not ok then return ok, problem; end
	end
	return um.enable_user(a.user, a.host);
end
function steps.delete() return um.delete_user(a.user, a.host); end

for _, step in ipairs(a.steps) do
	local ok, problem = steps[step]();
	if not ok then return json.encode { step = step, problem = tostring(problem or "no reason given") }; end
end
local account = accounts:get(a.user);
return json.encode {
	backend = backend; native = native; exists = account ~= nil;
	enabled = account and enabled(account) and true or false;
	configured = configured();
	role = (account or configured()) and role() or "";
	fits = account and a.password and fits(account) or false;
};
"""

# Prosody's own, and the role's on Debian 12, which has the same accounts.
BACKENDS = ("internal_hashed", "hashed_by_rules")


class Account:
    """An account of a running Prosody."""

    def __init__(self, jid, password, path, timeout):
        self.jid, self.password, self.path, self.timeout = jid, password, path, timeout
        self.user, _at, self.host = jid.partition("@")

    def run(self, steps=(), role=None):
        """Takes these steps, and returns how the account stands then."""
        arguments = {"user": self.user, "host": self.host, "steps": list(steps)}
        if self.password is not None:
            arguments["password"] = self.password
        if role is not None:
            arguments["role"] = role
        # The socket is away for a second while Prosody restarts.
        answer = shell(program(PROGRAM, arguments), path=self.path, timeout=self.timeout, patience=self.timeout)
        try:
            state = json.loads(answer)
        except ValueError as error:
            raise ProsodyError(f"Prosody's shell does not answer as expected: {answer[:200]}") from error
        if "hosts" in state:
            raise ProsodyError(
                f"jid: {self.jid!r}: {self.host!r} is not a domain of this Prosody; write an account of "
                f"{' or '.join(state['hosts']) or 'a domain that it has'}"
            )
        if "problem" in state:
            raise ProsodyError(f"jid: {self.jid!r}: Prosody could not {state['step']}: {state['problem']}")
        if state["backend"] not in BACKENDS:
            raise ProsodyError(
                f"jid: {self.jid!r}: the accounts of {self.host!r} are kept by {state['backend']!r}, not by "
                "'internal_hashed'; change them there"
            )
        return state


def short(role):
    """The name of a role as users of the module write it."""
    return role.removeprefix("prosody:")


def wrong_role(state, wanted):
    """Whether the role has to be set."""
    if wanted is None:
        return False
    if state["native"]:
        return short(state["role"]) != wanted
    # 0.12 knows administrators, and everybody else.
    return (short(state["role"]) == "admin") != (wanted == "admin")


def plan(state, wanted, password, update_password, role):
    """The steps from how an account stands to how it is wanted: 'present', 'absent', 'enabled' or 'disabled'."""
    if wanted == "absent":
        return ["delete"] if state["exists"] else []
    if state["configured"] and wrong_role(state, role):
        raise ProsodyError(
            f"role: {role!r} is not possible, since Prosody's configuration names the account as an administrator; take it "
            "out there, or write no role"
        )
    if role in ("guest", "operator") and not state["native"]:
        raise ProsodyError(f"role: {role!r} is not known to Prosody 0.12; write one of registered, member, admin")
    steps = []
    if not state["exists"]:
        if password is None:
            raise ProsodyError(
                "password: is not set, and the account does not exist yet; write the one that it begins with"
            )
        steps.append("create")
        # New accounts are members, and enabled.
        state = state | {"enabled": True}
        if not state["configured"]:
            state["role"] = "prosody:member" if state["native"] else ""
    elif password is not None and update_password == "always" and not state["fits"]:
        steps.append("password")
    if wrong_role(state, role):
        steps.append("role")
    if wanted == "enabled" and not state["enabled"]:
        steps.append("enable")
    if wanted == "disabled" and state["enabled"]:
        steps.append("disable")
    return steps


def check_password(password):
    """Refuses what no client could send; Prosody itself refuses the rest of what SASLprep does."""
    if not password:
        raise ProsodyError("password: is empty; write one that is not, and keep it in a vault")
    if any(ord(character) < 32 or ord(character) == 127 for character in password):
        raise ProsodyError("password: has a control character, such as a line's end; write one without (RFC 4013)")
