# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What testers ask a server for beside the features of extensions: its services, its relays, its modules, and a room.

Prosody's own handlers answer. The room is none that its service knows: it has what a new one begins with, and nobody sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from . import discovery, extensions
from .base import Broken, Subject

# Nobody can have a room of this name: nodeprep allows no colon.
ROOM = "xmpp:status"

SOURCE = (
    discovery.HELPERS
    + """
local ITEMS, EXTDISCO = "http://jabber.org/protocol/disco#items", "urn:xmpp:extdisco:2";
local function items(host)
	local query, found = ask(host, session(host), "host", "query", ITEMS), {};
	for item in query and query:childtags("item") or function () end do table.insert(found, item.attr.jid); end
	return found;
end
-- Credentials are told of, and not told.
local function services(host)
	local list, found = ask(host, session(host), "host", "services", EXTDISCO), {};
	for service in list and list:childtags("service") or function () end do
		local attr = service.attr;
		table.insert(found, { type = attr.type, transport = attr.transport, host = attr.host, port = tonumber(attr.port) or 0,
			credentials = (attr.username or "") ~= "" and (attr.password or "") ~= "" });
	end
	return found;
end
-- What a session is offered between its login and its binding of a resource.
local function binds(host)
	local own = session(host);
	own.type, own.resource, own.full_jid = "c2s_unbound", nil, nil;
	local features = st.stanza("stream:features", { xmlns = "http://etherx.jabber.org/streams" });
	prosody.hosts[host].events.fire_event("stream-features", { origin = own, features = features });
	return features:get_child("bind", "urn:ietf:params:xml:ns:xmpp-bind") ~= nil;
end
local function room(component)
	local muc = prosody.hosts[component] and prosody.hosts[component].modules.muc;
	if not muc then return; end
	local one = muc.new_room(asked.room .. "@" .. component, {});
	local iq = st.iq({ type = "get", id = "status", from = session(asked.host).full_jid, to = one.jid })
		:tag("query", { xmlns = INFO }):reset();
	local found = { features = {}, fields = {} };
	for feature in one:get_disco_info(iq):get_child("query", INFO):childtags("feature") do
		table.insert(found.features, feature.attr.var);
	end
	for _, field in ipairs(one:get_form_layout(iq.attr.from)) do
		if field.name then table.insert(found.fields, field.name); end
	end
	return found;
end
if not prosody.hosts[asked.host] then return json.encode { missing = true }; end
local found = { items = items(asked.host), services = services(asked.host), room = asked.muc and room(asked.muc),
	binds = binds(asked.host), modules = {} };
for name in pairs(require "core.modulemanager".get_modules(asked.host)) do table.insert(found.modules, name); end
-- It is read, and not run: a server without a component from outside does not load it.
found.component = require "util.pluginloader".load_code("component") and true or false;
found.component_ports = 0;
for _ in pairs(require "core.portmanager".get_active_services():get("component") or {}) do
	found.component_ports = found.component_ports + 1;
end
return json.encode(found);
"""
)


def of_domain(subject: Subject) -> dict[str, Any]:
    """Return what the running Prosody offers accounts of a domain."""
    host = subject.name.encode().decode("idna")
    muc = subject.domain.get("components", {}).get("muc", "").encode().decode("idna")
    asked = {"host": host, "room": ROOM, **({"muc": muc} if muc else {})}
    ask = partial(discovery.run_in_prosody, subject, SOURCE, asked)
    found: dict[str, Any] = subject.evidence.once(("offers", subject.name), ask)
    if found.get("missing"):
        raise Broken(f"the running Prosody has no host {host}")
    return found


def _listed(found: Any) -> list[Any]:
    """Return a list of Lua's, which has no other form for an empty one than that of an empty table."""
    return found if isinstance(found, list) else []


def service(subject: Subject, wanted: str) -> str:
    """Look for a service with a feature as a client does: among the items of the domain, and at the domain itself."""
    items = _listed(of_domain(subject)["items"])
    for name in subject.domain.get("components", {}).values():
        if name.encode().decode("idna") in items:
            features = discovery.of_host(subject, name).get("server", {}).get("features", [])
            if wanted in features:
                return f"{wanted} at {name}"
    if wanted in discovery.of_host(subject, subject.name).get("server", {}).get("features", []):
        return f"{wanted} at {subject.name}"
    raise Broken(f"no service of {subject.name} offers {wanted}")


def room(subject: Subject, wanted: str) -> str:
    """Look for one of some features of a new room, or fields of its settings."""
    found = of_domain(subject).get("room")
    if not found:
        raise Broken(f"{subject.name} has no rooms")
    there = [*_listed(found["features"]), *_listed(found["fields"])]
    for one in wanted.split():
        if one in there:
            return one
    raise Broken(f"a room of {subject.name} does not offer {wanted.split()[0]}")


def relay(subject: Subject, kind: str) -> str:
    """Look for a relay of a kind, `stun` or `turn`; who uses the latter needs credentials."""
    for one in _listed(of_domain(subject)["services"]):
        right = one.get("type") in (kind, f"{kind}s") and one.get("transport") in ("tcp", "udp")
        if right and one.get("host") and 0 <= one["port"] <= 65535 and (kind == "stun" or one["credentials"]):
            return f"{one['type']} by {one['transport']} at {one['host']}"
    raise Broken(f"{subject.name} tells its accounts of no {kind.upper()}")


def modules(subject: Subject, wanted: str) -> str:
    """See that the domain has some modules, each of which is a part of RFC 6121 or carries what clients say to each other."""
    there: Sequence[str] = _listed(of_domain(subject)["modules"])
    if missing := [name for name in wanted.split() if name not in there]:
        raise Broken(f"{subject.name} has no module {' and '.join(missing)}")
    return wanted


def binds(subject: Subject, _argument: str) -> str:
    """See that a stream binds a resource after the login (RFC 6120, section 7)."""
    if not of_domain(subject)["binds"]:
        raise Broken(f"a stream of {subject.name} binds no resource")
    return "a resource is bound after the login"


def components(subject: Subject, _argument: str) -> str:
    """See whether the server could be extended by components from outside (XEP-0114), and whether a port is open for one."""
    found = of_domain(subject)
    if not found["component"]:
        raise Broken("the running Prosody has no module component")
    return f"module component, {'with' if found['component_ports'] else 'without'} an open port"


def contact(subject: Subject, field: str) -> str:
    """Look for an address among those that the domain tells (XEP-0157)."""
    found = extensions.there(discovery.of_host(subject, subject.name), subject.name)
    for form in found["server"].get("forms", []):
        for name, values in form:
            if name == field and values:
                return f"{field}: {', '.join(values)}"
    raise Broken(f"{subject.name} tells no {field}")
