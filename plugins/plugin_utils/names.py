# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names derived from the site model. Domains have A-labels in it, whichever form the operator writes; JIDs have U-labels."""

from __future__ import annotations

from urllib.parse import quote

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import addresses
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks


def named(label, check, value):
    """Runs a check and puts the name of what was checked before its message."""
    try:
        return check(value)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error


def is_inside(name, domain):
    """Tells whether a name is a domain or below it."""
    return name == domain or name.endswith(f".{domain}")


def domains(domain, components, admins, extra_domains=(), web=None):
    """Returns all XMPP domains of a site, each with its components and administrators, the main one first."""
    main = {
        "domain": named("domain", checks.xmpp_domain, domain),
        "components": named("components", checks.components, components),
        "admins": named("admins", checks.ADMINS, admins),
    }
    web = main["domain"] if web is None else named("web", checks.xmpp_domain, web)
    if web != main["domain"]:
        main["web"] = web
    found = [main]
    for entry in named("extra_domains", checks.domains, extra_domains):
        if "components" not in entry:
            entry["components"] = named(
                f"extra_domains: {entry['domain']}",
                lambda name: _same_components(main, name),
                entry["domain"],
            )
        found.append({"admins": main["admins"], **entry})
    return named("extra_domains" if extra_domains else "components", checks.domains, found)


def dns_name(domain):
    """Returns the name by which DNS, certificates and the web know a domain: with A-labels (RFC 5890)."""
    return checks.xmpp_domain(domain)


def jid(address, uri=False):
    """Returns a domain or an account as Prosody has it, or its URI (RFC 5122)."""
    checks.text(address, "an XMPP address", "juliet@example.org")
    local, domain, rest = addresses.split(address)
    if local or "@" in address:
        checks.bare_jid(f"{local}@{domain}")
    else:
        checks.xmpp_domain(domain)
    found = addresses.xmpp_address(address)
    return "xmpp:" + quote(found, safe="@/-._~!$*+,;=()") if uri else found


def _same_components(main, domain):
    """Returns the components of the main domain under another one's name."""
    tail = f".{main['domain']}"
    for kind, name in main["components"].items():
        if not name.endswith(tail):
            raise ValueError(
                f"it has no components of its own, and {name!r} ({kind}) of the main domain is not below "
                f"{main['domain']!r}, so that there is no such name for it; write its components, or {{}} for none"
            )
    return {kind: name.removesuffix(tail) + f".{domain}" for kind, name in main["components"].items()}


def names_of(entries):
    """Returns every domain and component, each once."""
    return list(
        dict.fromkeys(name for entry in entries for name in (entry["domain"], *entry.get("components", {}).values()))
    )


def web_of(entry):
    """Returns the name under which a domain's web front is: its own, unless its website is another server's."""
    return entry.get("web", entry["domain"])


def certificate_names(entries, host=None):
    """Returns the names that the host's certificate must have: the main domain first, the machine's own name last.

    Of the latter an authority can be sure only where it is below one of the domains.
    """
    entries = named("domains", checks.domains, entries)
    names = [*names_of(entries), *map(web_of, entries)]
    if any(is_inside(str(host), entry["domain"]) for entry in entries):
        names.append(named("host", checks.host_name, host))
    return list(dict.fromkeys(names))
