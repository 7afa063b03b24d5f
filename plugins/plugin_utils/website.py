# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the web server of a domain must have for XMPP, where it is not ours (XEP-0156)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.names import named, web_of

KNOWN = ".well-known"
TYPES = {
    f"{KNOWN}/host-meta": "application/xrd+xml",
    f"{KNOWN}/host-meta.json": "application/json",
    f"{KNOWN}/xmpp-provider-v2.json": "application/json",
}
CHALLENGES = f"{KNOWN}/acme-challenge"


def links(web):
    """Returns where clients of the web connect: kind of connection to URL."""
    return {
        "urn:xmpp:alt-connections:xbosh": f"https://{web}/http-bind",
        "urn:xmpp:alt-connections:websocket": f"wss://{web}/xmpp-websocket",
    }


def _contents(web):
    """Returns path to content of what tells clients of the web where they connect (XEP-0156, RFC 6415)."""
    found = links(web).items()
    rows = "".join(f'  <Link rel="{rel}" href="{href}"/>\n' for rel, href in found)
    items = ",\n".join("  " + json.dumps({"rel": rel, "href": href}) for rel, href in found)
    return {
        f"{KNOWN}/host-meta": f'<?xml version="1.0" encoding="utf-8"?>\n'
        f'<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0">\n{rows}</XRD>\n',
        f"{KNOWN}/host-meta.json": f'{{"links": [\n{items}\n]}}\n',
    }


def host_meta(web):
    """Returns the files that tell clients of the web where they connect: path, content and type."""
    if not isinstance(web, str) or not web:
        raise ValueError(f"{web!r} is not a name of a web front; write for example 'example.org'")
    return [{"path": path, "content": content, "type": TYPES[path]} for path, content in _contents(web).items()]


def _files(web, provider):
    """Returns path to content of what is served."""
    found = _contents(web)
    if provider:
        found[f"{KNOWN}/xmpp-provider-v2.json"] = json.dumps(provider, indent=2) + "\n"
    return found


def _nginx(domain, web, paths, challenges):
    lines = [f"# In the server block of {domain} for HTTPS; the files are below its root."]
    for path in paths:
        lines += [
            f"location = /{path} {{",
            "    types { }",
            f"    default_type {TYPES[path]};",
            "    add_header Access-Control-Allow-Origin * always;",
            "}",
        ]
    if challenges:
        lines += [
            "# In that for HTTP, port 80: the certificate of XMPP is asked for here. Challenges of your own come first.",
            f"location /{CHALLENGES}/ {{",
            "    try_files $uri @xmpp;",
            "}",
            "location @xmpp {",
            f"    return 302 http://{web}$request_uri;",
            "}",
        ]
    return "\n".join(lines) + "\n"


def _apache(domain, web, paths, challenges):
    lines = [f"# In the virtual host of {domain} for HTTPS; the files are below its root. It needs mod_headers."]
    for path in paths:
        lines += [
            f'<Location "/{path}">',
            f"    ForceType {TYPES[path]}",
            '    Header always set Access-Control-Allow-Origin "*"',
            "</Location>",
        ]
    if challenges:
        lines += [
            "# In that for HTTP, port 80: the certificate of XMPP is asked for here. Challenges of your own come first. It needs",
            "# mod_rewrite.",
            "RewriteEngine On",
            "RewriteCond %{DOCUMENT_ROOT}%{REQUEST_URI} !-f",
            f"RewriteRule ^/{CHALLENGES.replace('.', chr(92) + '.')}/ http://{web}%{{REQUEST_URI}} [R=302,L]",
        ]
    return "\n".join(lines) + "\n"


def _caddy(domain, web, paths, challenges):
    lines = [f"# In the site block of {domain}; the files are below its root."]
    for path in paths:
        lines += [
            f"header /{path} {{",
            f"    Content-Type {TYPES[path]}",
            "    Access-Control-Allow-Origin *",
            "    defer",
            "}",
        ]
    if challenges:
        lines += [
            f"# In a site block http://{domain}: the certificate of XMPP is asked for here. Caddy answers its own before.",
            f"redir /{CHALLENGES}/* http://{web}{{uri}} 302",
        ]
    return "\n".join(lines) + "\n"


def website_files(domains, provider=None, challenges=False):
    """Returns, for each domain whose website is another server's, the files and settings that it needs."""
    provider = {} if provider is None else provider
    if not isinstance(provider, Mapping):
        raise ValueError(f"provider: {provider!r} is not a dictionary; write what the filter provider_file returns")
    made = []
    for entry in named("domains", checks.domains, domains):
        domain, web = entry["domain"], web_of(entry)
        if domain == web:
            continue
        served = _files(web, provider)
        settings = {
            "nginx.conf": _nginx(domain, web, served, challenges),
            "apache.conf": _apache(domain, web, served, challenges),
            "Caddyfile": _caddy(domain, web, served, challenges),
        }
        made.append(
            {
                "domain": domain,
                "web": web,
                "challenges": bool(challenges),
                "files": [
                    {"path": path, "content": content, "type": TYPES.get(path, "")}
                    for path, content in {**served, **settings}.items()
                ],
            }
        )
    return made
