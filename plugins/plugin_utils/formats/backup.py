# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Formats of backups: repositories, secrets, paths."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.formats.host import file_path


@checks.form("repositories", "['/srv/backup']")
def repository(value):
    """Where restic keeps backups: a folder, or an address of one of its backends."""
    hint = "write for example '/srv/backup', 'sftp:backup@backup.example.org:/srv/backup' or 's3:https://host/bucket'"
    checks.text(value, "a repository", "sftp:backup@backup.example.org:/srv/backup")
    if re.search(r"://[^/@]*:[^/@]*@", value):
        raise ValueError(
            "this repository has a password in its address, where it would be listed and logged; write it into "
            "backup_environment, as RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD"
        )
    kind, _colon, rest = str(value).partition(":")
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError(f"{str(value)!r} is not a repository: it has a space or a non-ASCII character; {hint}")
    if value.startswith("/"):
        file_path(value)
    elif kind == "sftp":
        if not re.fullmatch(
            r"([a-z_][a-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9.-]*:|//([a-z_][a-z0-9._-]*@)?[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*/).+",
            rest,
        ):
            raise ValueError(f"{str(value)!r} is not a repository: it names no user, host and folder; {hint}")
    elif kind == "rest":
        if not re.match(r"https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/]", rest):
            raise ValueError(
                f"{str(value)!r} is not a repository: without TLS, an eavesdropper could delete backups; write for example "
                "'rest:https://backup.example.org/host/'"
            )
    elif kind not in ("s3", "b2", "azure", "gs", "swift"):
        raise ValueError(f"{str(value)!r} is not a repository: {kind!r} is not a kind of target; {hint}")
    return str(value)


@checks.form()
def passphrase(value):
    """What backups are encrypted by. No message shows it."""
    hint = "write a long random one, as `openssl rand -base64 32` prints it, into a vault"
    if not isinstance(value, str) or not re.fullmatch(r"[^\r\n\0]*", value):
        raise ValueError(f"this secret is not one line of text; {hint}")
    if len(value) < 16:
        raise ValueError(f"this secret has a length of {len(value)}, so that it could be guessed; {hint}")
    return str(value)


@checks.form()
def environment(value):
    """Environment variables of a program. No message shows a value."""
    hint = "write for example {'AWS_ACCESS_KEY_ID': '…'}, in a vault"
    if not isinstance(value, Mapping):
        raise ValueError(f"this secret is not a dictionary of environment variables; {hint}")
    for name, content in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            raise ValueError(f"this secret has {name!r}, which is not the name of an environment variable; {hint}")
        if not isinstance(content, str) or not content or not content.isprintable():
            raise ValueError(f"this secret has no line of text for {name}; {hint}")
    return dict(value)


@checks.form()
def private_key(value):
    """An SSH key without a passphrase. No message shows it."""
    if not isinstance(value, str) or not re.fullmatch(
        r"\s*-----BEGIN (OPENSSH |RSA |EC |)PRIVATE KEY-----\s.*\s-----END \1PRIVATE KEY-----\s*", value, re.DOTALL
    ):
        raise ValueError(
            "this secret is not a private key; write all lines of the file that `ssh-keygen -t ed25519 -N ''` makes, into a "
            "vault"
        )
    return str(value)


# A line of a file known_hosts (sshd(8)).
known_host = checks.form("lines of a file known_hosts", "['backup.example.org ssh-ed25519 AAAA…']")(
    checks.matching(
        "a line of a file known_hosts",
        "backup.example.org ssh-ed25519 AAAA…",
        r"[!-~]+ [a-z0-9@.-]+ [A-Za-z0-9+/]{20,}={0,3}( .*)?",
        "write the name of the host, the kind of the key and the key, for example 'backup.example.org ssh-ed25519 AAAA…'",
    )
)


@checks.form("paths", "['/var/lib/example']")
def saved_path(value):
    """What a backup saves: a path of its own, and not all there is."""
    file_path(value)
    if str(value).count("/") < 2:
        raise ValueError(f"{str(value)!r} would be replaced as a whole by a restore; write a path within it")
    return str(value)


@checks.form("patterns", "['/var/lib/example/*.tmp']")
def exclude_pattern(value):
    """A pattern of restic's, one line."""
    checks.text(value, "a pattern", "/var/lib/example/*.tmp")
    if not value.isprintable() or value.startswith("-"):
        raise ValueError(
            f"{str(value)!r} is not a pattern: it has a control character, or begins as an option; write for example '*.tmp', or "
            "'[-]x' for a name that begins so"
        )
    return str(value)


# The name of a PostgreSQL database, as we make them.
database_name = checks.form("databases", "['prosody']")(
    checks.matching(
        "the name of a database", "prosody", r"[a-z_][a-z0-9_]{0,62}", "write lower-case letters, for example 'prosody'"
    )
)


# A snapshot of restic's, or the newest one.
snapshot = checks.form()(
    checks.matching(
        "a snapshot",
        "latest",
        "latest|[0-9a-f]{4,64}",
        "write 'latest', or the ID that `xmpp-backup restic snapshots` shows",
    )
)
