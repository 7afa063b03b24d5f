# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Formats of the web: URLs, versions and digests; and of certificates and graphs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks, munin
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.formats.host import file_path

# A URL that is fetched by HTTPS (RFC 9110, section 4.2.2).
https_url = checks.form("pages", "['https://example.org/.well-known/host-meta']")(
    checks.matching(
        "an HTTPS URL",
        "https://acme.example.net/directory",
        r"https://[A-Za-z0-9.\[\]:-]+(/[!-~]*)?",
        "write for example 'https://acme.example.net/directory', with everything that is not ASCII in its encoded form",
    )
)


# A URL without a path, as another program of the host is reached (RFC 6454).
origin = checks.form()(
    checks.matching(
        "a URL without a path",
        "http://127.0.0.1:5280",
        r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?",
        "write for example 'http://127.0.0.1:5280'",
    )
)


@checks.form("URIs", "['mailto:security@example.org']")
def contact_uri(value):
    """A URI at which somebody is reached, one line of security.txt (RFC 9116, section 2.5.3)."""
    checks.text(value, "a URI", "mailto:security@example.org")
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*:\S+", str(value)) or not value.isprintable():
        raise ValueError(
            f"{str(value)!r} is not a URI; write for example 'mailto:security@example.org' or 'xmpp:juliet@example.org'"
        )
    return str(value)


# A version as npm has it (Semantic Versioning 2.0.0).
package_version = checks.form()(
    checks.matching(
        "a version", "14.0.0", r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?", "write for example '14.0.0'"
    )
)


# The digest of a file, as sha512sum prints it.
sha512 = checks.form()(
    checks.matching(
        "a SHA-512 digest", "2c55…", r"[0-9a-f]{128}", "write the 128 hexadecimal digits that sha512sum prints"
    )
)


@checks.form()
def crypt_hash(value):
    """A salted hash of a password, which no message shows (crypt(5))."""
    if not isinstance(value, str) or not re.fullmatch(r"\$(5|6|2[aby]|y|gy|7)\$[./0-9A-Za-z$=,-]{20,}", value):
        raise ValueError("this secret is not the hash of a password; write what `openssl passwd -6` prints, in a vault")
    return str(value)


# Pages of a domain's web front that are there already; two or three letters are a language.
PAGES = ("chat", "file_share", "munin", "pages", "register", "status")


@checks.form()
def page_id(value):
    """The name of a page in its address."""
    checks.text(value, "the name of a page", "imprint")
    if not re.fullmatch(r"[a-z][a-z0-9-]{3,63}", value):
        raise ValueError(
            f"{str(value)!r} is not the name of a page; write 4 to 64 of a-z, 0-9 and hyphens, for example 'imprint'"
        )
    if value in PAGES:
        raise ValueError(f"{str(value)!r} is a page that is there already; write another name, for example 'imprint'")
    return str(value)


@checks.form()
def texts_by_language(value):
    """Texts of which a visitor reads the one in the own language."""
    hint = "write for example {'en': 'Imprint', 'de': 'Impressum'}"
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"{value!r} is not a dictionary of languages and texts; {hint}")
    for language, text in value.items():
        if not isinstance(language, str) or not re.fullmatch(r"[a-z]{2,3}", language):
            raise ValueError(f"{language!r} is not a language; write 'en' or 'de', for example (RFC 5646)")
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{language}: {text!r} is not a text; {hint}")
    return {str(language): str(text) for language, text in value.items()}


@checks.form("plugins", "['cpu', 'load']")
def munin_plugin(value):
    """A plugin or a graph of munin's, by the name that munin-node takes."""
    return munin.plugin_name(value)


@checks.form("graphs", "['prosody_c2s', 'tls_life']")
def munin_graph(value):
    """A graph of this collection's own plugins."""
    if value not in munin.PROGRAMS:
        raise ValueError(f"{value!r} is not one of this host's graphs; {checks.nearest(value, munin.PROGRAMS)}")
    return str(value)


@checks.form()
def munin_programs(value):
    """Plugins of the operator's own, each the path of a program."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a dictionary; write for example {{'ping_a': '/opt/munin/ping_'}}")
    for name, path in value.items():
        munin.plugin_name(name)
        try:
            file_path(path)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return dict(value)


@checks.form()
def munin_levels(value):
    """The levels of graphs (munin.conf(5))."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a dictionary; write for example {{'df._dev_vda1.warning': '0:85'}}")
    for name, level in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+\.[A-Za-z0-9_]+\.(warning|critical)", name):
            raise ValueError(f"{name!r} is not a level; write graph.field.warning or graph.field.critical")
        if not re.fullmatch(r"-?[0-9.]*:?-?[0-9.]*", str(level)) or not re.search("[0-9]", str(level)):
            raise ValueError(f"{name}: {level!r} is not a range; write for example '0:85' or '7:'")
    return dict(value)


KEY_TYPES = {"ecdsa-p256": "ECDSA", "ecdsa-p384": "ECDSA", "rsa-3072": "RSA", "rsa-4096": "RSA"}


@checks.form()
def key_types(value):
    """The kind of a key, or one of ECDSA and one of RSA."""
    hint = "write for example ['ecdsa-p256'], or ['ecdsa-p256', 'rsa-3072'] for both"
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError(f"{value!r} is not a list of kinds of keys; {hint}")
    for kind in value:
        bits = re.fullmatch(r"rsa-(\d+)", str(kind))
        if bits and int(bits[1]) < 3072:
            raise ValueError(f"{str(kind)!r} is too short a key; write 'rsa-3072' or 'rsa-4096'")
        if kind not in KEY_TYPES:
            raise ValueError(f"{kind!r} is not a kind of key; {checks.nearest(kind, KEY_TYPES)}")
    families = [KEY_TYPES[kind] for kind in value]
    for family in families:
        if families.count(family) > 1:
            raise ValueError(
                f"{[str(kind) for kind in value]!r} has {families.count(family)} kinds of {family} keys, of which a daemon "
                f"serves one; {hint}"
            )
    return [str(kind) for kind in value]


@checks.form()
def domains_with_a_labels(value):
    """Domains for a role that puts them into its files as they are."""
    found = checks.domains(value)
    for given, entry in zip(value, found, strict=True):
        pairs = [(given["domain"], entry["domain"]), (given.get("web"), entry.get("web"))]
        pairs += [(name, entry["components"][kind]) for kind, name in (given.get("components") or {}).items()]
        for name, wanted in pairs:
            if name != wanted:
                raise ValueError(f"{name!r} is written with U-labels, and this role needs A-labels; write {wanted!r}")
    return found
