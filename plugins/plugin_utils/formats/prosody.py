# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Formats of Prosody and coturn: accounts, registration, modules, relays."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks, lua


@checks.form()
def registration_questions(value):
    """Questions that tell people from machines; their options are checked by their spec."""
    for question in value:
        answers = checks.list_of(
            lambda answer: checks.text(answer, "an answer", "green"), "answers", "['green']", empty=False
        )
        checks.text(question["en"], "a question", "What colour is our logo?")
        for answer in answers(question["answers"]):
            if not answer.strip():
                raise ValueError(f"{answer!r} is not an answer: it is empty; write for example 'green'")
    return list(value)


@checks.form("blocklists", "['rtbl.example.org/muc_bans_sha256']")
def pubsub_node(value):
    """A node of a publish-subscribe service, as service/node."""
    checks.text(value, "a blocklist", "rtbl.example.org/muc_bans_sha256")
    service, slash, node = str(value).partition("/")
    if not slash or not node or re.search(r"[\s'\"<>&]", node):
        raise ValueError(
            f"{str(value)!r} is not a blocklist; write its service and its node, for example "
            "'rtbl.example.org/muc_bans_sha256'"
        )
    try:
        checks.xmpp_domain(service)
    except ValueError as error:
        raise ValueError(f"{str(value)!r} is not a blocklist: {error}") from error
    return str(value)


@checks.form()
def community_modules(value):
    """Modules from elsewhere, each once, of revisions that are known by their checksum."""
    hint = "write for example {'source': 'files/modules.tar.gz', 'sha256': '…', 'modules': ['muc_limits']}"
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{value!r} is not a list of community modules; {hint}")
    seen = []
    for entry in value:
        source = checks.text(entry["source"], "where modules come from", "files/modules.tar.gz")
        if not re.fullmatch(r"[0-9A-Fa-f]{64}", str(entry["sha256"])):
            raise ValueError(
                f"{source}: {str(entry['sha256'])!r} is not a SHA-256 digest; write the 64 hexadecimal digits that `sha256sum` prints"
            )
        if not entry["modules"]:
            raise ValueError(f"{source}: it lists no modules; {hint}")
        for name in entry["modules"]:
            if not re.fullmatch(r"[a-z0-9_]+", str(name)) or str(name).startswith("mod_"):
                raise ValueError(
                    f"{source}: {str(name)!r} is not the name of a module; write it without 'mod_', for example 'muc_limits'"
                )
            if name in seen:
                raise ValueError(f"{source}: {str(name)!r} is listed twice; write it once")
            seen.append(name)
    return list(value)


@checks.form()
def users(value):
    """Accounts, each once; their options are checked by their spec."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{value!r} is not a list of accounts; write for example [{{'jid': 'juliet@example.org'}}]")
    checks.list_of(checks.bare_jid, "accounts", "[{'jid': 'juliet@example.org'}]")([user["jid"] for user in value])
    return list(value)


@checks.form()
def user_passwords(value):
    """Accounts and their passwords, which no message shows."""
    hint = "write for example {'juliet@example.org': '…'}, in a vault"
    if not isinstance(value, Mapping):
        raise ValueError(f"this is not a dictionary of passwords; {hint}")
    checks.list_of(checks.bare_jid, "accounts", "[{'jid': 'juliet@example.org'}]")(list(value))
    for jid, password in value.items():
        if not isinstance(password, str) or not password:
            raise ValueError(f"{jid!r} has no password: it is empty or not a string; {hint}")
    return dict(value)


@checks.form("modules", "['muc_limits']")
def module_name(value):
    """A module of Prosody, by the name that modules_enabled has."""
    checks.text(value, "the name of a module", "muc_limits")
    if not re.fullmatch(r"[a-z0-9_]+", value) or value.startswith("mod_"):
        raise ValueError(
            f"{str(value)!r} is not the name of a module; write lower-case letters, digits and underscores, without 'mod_', "
            "for example 'muc_limits'"
        )
    return str(value)


@checks.form()
def lua_options(value):
    """Options by their names in Prosody's manual. Their values may be secret, so that no message shows one."""
    hint = "write names of Prosody's options with their values, for example {'c2s_timeout': 60}"
    if not isinstance(value, Mapping):
        raise ValueError(f"this secret is not a dictionary; {hint}")
    for name, setting in value.items():
        if not lua.is_identifier(name):
            raise ValueError(
                f"this secret has the option {name!r}, which is not a name in Lua; write letters, digits and underscores, "
                "for example 'c2s_timeout'"
            )
        try:
            lua.to_lua(setting)
        except ValueError:
            raise ValueError(
                f"this secret has a value for {name!r} that Lua cannot hold; write text, a number up to 2^53, true, false, or "
                "lists and dictionaries of them"
            ) from None
    return dict(value)


@checks.form()
def by_domain(value):
    """Settings by domain or component, each once."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a dictionary; write for example {{'example.org': {{…}}}}")
    checks.list_of(checks.xmpp_domain, "domains", "['example.org']")(list(value))
    for domain, settings in value.items():
        try:
            lua_options(settings)
        except ValueError as error:
            raise ValueError(f"{str(error).replace('this secret', f'this secret of {domain!r}', 1)}") from None
    return dict(value)


@checks.form("networks", "['10.0.0.0/8', 'fc00::/7']")
def peer_network(value):
    """A network that coturn can tell from others."""
    found = checks.network(value)
    # Its first address is coturn's word for no lower bound, below which all of IPv4 is.
    if found.version == 6 and int(found[0]) == 0:
        raise ValueError(
            f"{str(value)!r} begins with '::', and coturn takes such a range for all IPv4 addresses, too; write a smaller "
            "network, for example '::ffff:0:0/96'"
        )
    return found


@checks.form("addresses", "[{'address': '10.0.0.5', 'public': '198.51.100.10'}]")
def turn_address(value):
    """A host's own address and the public one that leads to it; its options are checked by their spec."""
    own, public = checks.local_address(value["address"]), checks.ip_address(value["public"])
    if ipaddress.ip_address(own).version != ipaddress.ip_address(public).version:
        raise ValueError(f"{public!r} cannot lead to {own!r}; write two IPv4 or two IPv6 addresses")
    return {"address": own, "public": public}


@checks.form()
def turn_policy(value):
    """A TLS policy that coturn can meet."""
    if value == "modern":
        raise ValueError(
            "'modern' is TLS 1.3, which Debian's coturn does not speak; leave 'turns' out of xmpp_services, so that calls "
            "are relayed by UDP and TCP, or write 'strict'"
        )
    if value != "strict":
        raise ValueError(f"{value!r} is not a TLS policy; write 'strict'")
    return "strict"
