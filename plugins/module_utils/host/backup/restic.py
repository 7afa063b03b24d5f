# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask restic for a repository, and say in words what is wrong with it."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import shlex
import tempfile
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..commands import Finished, call
from . import base, places
from .base import Failed

TAG = "xmpp"
# As restic lists it, with its time in seconds.
Snapshot = dict[str, Any]

# What restic says, and what that means. The first that fits counts; {} is the repository.
MEANINGS = (
    (r"wrong password or no key found", "{}: the passphrase is not that of this repository; correct backup_passphrase"),
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|host key is known for",
        "{}: the target's SSH key is not in backup_ssh_host_keys; compare and add it",
    ),
    (r"Permission denied \(", "{}: the target refuses backup_ssh_key; add its public key there"),
    (r"no space left on device|disk quota exceeded|not enough space", "{}: there is no space left"),
    (r"SSH_FX_FAILURE", "{}: the target refuses to write, which by SFTP is all that a full disk says; look there"),
    (
        r"[Cc]onnection refused|timed? ?out|[Nn]o route to host|unable to start the sftp session|[Cc]ould not resolve|"
        r"no such host|[Cc]onnection reset|[Nn]etwork is unreachable|[Bb]roken pipe|[Cc]onnection closed",
        "{}: the target cannot be reached",
    ),
    (
        r"ciphertext verification failed|repository contains errors|pack file .* not found|not found in (?:any )?index|"
        r"invalid data returned|hash does not match|integrity error|unexpected EOF|is damaged|incorrect size|wrong MAC|"
        r"errors? .*while (?:loading|reading).* pack|broken in the repository",
        "{}: the repository is damaged; see `xmpp-backup restic check`, and have another one meanwhile",
    ),
    (r"already locked|unable to create lock", "{}: another host or program works in the repository"),
    (
        r"[Pp]ermission denied|\b40[13]\b|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch",
        "{}: the target refuses access; see whether backup_environment is right",
    ),
)
NO_REPOSITORY = re.compile(r"no such file or directory|does not exist|\b404\b|NoSuchKey|NoSuchBucket|BlobNotFound")


def shown(repository: str) -> str:
    """A repository without a password that its address may have."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", repository)


def explain(repository: str, said: str, code: int = 1) -> str:
    """What is wrong, in words, and what restic said."""
    lines = [line for line in (line.strip() for line in said.splitlines()) if line and "@@@" not in line]
    errors = [line for line in lines if re.search(r"Fatal|rror|failed|ssh:|denied", line)] or lines
    last = shown(" / ".join(errors[-3:]))[:600]
    if is_absent(said, code):
        return f"{shown(repository)}: there is no repository ({last})"
    for pattern, meaning in MEANINGS:
        if re.search(pattern, said):
            return f"{meaning.format(shown(repository))} ({last})"
    return f"{shown(repository)}: {last or f'restic ended with {code}'}"


def is_absent(said: str, code: int) -> bool:
    """Whether the target answers, and has no repository. Before 0.17, restic has one exit code for everything."""
    return code == 10 or ("Is there a repository at the following" in said and bool(NO_REPOSITORY.search(said)))


def sftp_command(repository: str, log: str | None = None) -> str:
    """The command by which restic reaches an SFTP target: our key, and nobody but whom we know. ssh writes into `log`."""
    rest = repository.removeprefix("sftp:")
    if rest.startswith("//"):
        parts = urllib.parse.urlsplit(f"sftp:{rest}")
        user, host, port = parts.username, parts.hostname or "", parts.port
    else:
        user, _at, host = rest.partition(":")[0].rpartition("@")
        port = None
    words = [
        "ssh",
        *(["-E", log] if log else []),
        "-i",
        places.SSH_KEY,
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        f"UserKnownHostsFile={places.KNOWN_HOSTS}",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
        "-o",
        "ConnectTimeout=30",
        "-o",
        "ServerAliveInterval=30",
        "-o",
        "ServerAliveCountMax=4",
    ]
    words += ["-p", str(port)] if port else []
    return shlex.join([*words, *(["-l", user] if user else []), host, "-s", "sftp"])


def parse_environment(text: str) -> dict[str, str]:
    """NAME=value, one a line, and nothing is quoted."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def rest_address(repository: str, environment: Mapping[str, str]) -> str:
    """The address of a REST server with its user and password: Debian 12's restic does not take them apart from it."""
    user, password = environment.get("RESTIC_REST_USERNAME"), environment.get("RESTIC_REST_PASSWORD")
    if not (repository.startswith("rest:") and user and password):
        return repository
    scheme, _, rest = repository.removeprefix("rest:").partition("://")
    return f"rest:{scheme}://{urllib.parse.quote(user, safe='')}:{urllib.parse.quote(password, safe='')}@{rest}"


class Repository:
    """One of restic's. Its address is in the environment and not among the arguments, which everybody can list."""

    def __init__(self, address: str, host: str) -> None:
        self.address, self.name = address, shown(address)
        self.host = host
        with open(places.ENVIRONMENT, encoding="utf-8") as stream:
            extra = parse_environment(stream.read())
        self.environment = {
            "HOME": "/root",
            **extra,
            "RESTIC_REPOSITORY": rest_address(address, extra),
            "RESTIC_PASSWORD_FILE": places.PASSPHRASE,
            "RESTIC_CACHE_DIR": places.CACHE,
        }

    def options(self, log: str | None = None) -> list[str]:
        """Return the arguments that say how the target is reached."""
        return ["-o", f"sftp.command={sftp_command(self.address, log)}"] if self.address.startswith("sftp:") else []

    def start(self, *words: str) -> Finished:
        """restic's answer, whatever it is, and ssh's, which restic would not always pass on before it ends."""
        with tempfile.NamedTemporaryFile("r", errors="replace") as log:
            # It holds the lock, too: where this program is killed, restic may work on.
            done = base.attempt(["restic", *self.options(log.name), *words], environment=self.environment, inherit=True)
            return Finished(done.status, done.stdout, done.stderr + log.read())

    def call(self, words: Sequence[str]) -> int:
        """Run restic for an operator, on the same terminal, and return its exit status."""
        return call(["restic", *self.options(), *words], environment=self.environment)

    def ask(self, *words: str) -> str:
        """Return what restic prints. Raises Failed."""
        done = self.start(*words)
        if done.status:
            raise Failed(explain(self.address, f"{done.stdout}\n{done.stderr}", done.status))
        return done.stdout

    def identity(self) -> str | None:
        """The repository's own ID, or None where there is none."""
        done = self.start("cat", "config")
        said = f"{done.stdout}\n{done.stderr}"
        if done.status == 0:
            return str(json.loads(done.stdout)["id"])
        if is_absent(said, done.status):
            return None
        raise Failed(explain(self.address, said, done.status))

    def snapshots(self) -> list[Snapshot]:
        """This host's, the oldest first."""
        found = json.loads(self.ask("snapshots", "--json", "--host", self.host, "--tag", TAG)) or []
        return sorted(({**one, "seconds": seconds_of(one["time"])} for one in found), key=lambda one: one["seconds"])

    def manifest(self, snapshot: str) -> Any:
        """Return the manifest of a snapshot."""
        return json.loads(self.ask("dump", snapshot, places.MANIFEST))

    def save(self, paths: Iterable[str], exclude: Iterable[str]) -> dict[str, Any]:
        """Makes a snapshot, and returns restic's summary."""
        listed = f"{places.STAGE}/paths"
        with open(listed, "w", encoding="utf-8") as stream:
            stream.writelines(f"{path}\n" for path in [places.STAGE, *paths])
        words = ["backup", "--json", "--host", self.host, "--tag", TAG, "--files-from-verbatim", listed]
        for pattern in [*exclude, listed]:
            words += ["--exclude", pattern]
        done = self.start(*words)
        messages = json_lines(f"{done.stdout}\n{done.stderr}")
        summary = next((one for one in messages if one.get("message_type") == "summary"), None)
        # 3: a snapshot was made, and some files could not be read. Those that went away meanwhile are no loss.
        lost = [one for one in messages if one.get("message_type") == "error" and os.path.lexists(one.get("item", ""))]
        if summary is None or done.status not in (0, 3) or (done.status == 3 and lost):
            said = "\n".join(error_text(one) for one in messages if one.get("message_type") in ("error", "exit_error"))
            plain = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("{"))
            raise Failed(explain(self.address, f"{said}\n{plain}", done.status))
        return summary


def json_lines(text: str) -> list[dict[str, Any]]:
    found = []
    for line in text.splitlines():
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
    return found


def error_text(message: dict[str, Any]) -> str:
    error = message.get("error")
    error = error.get("message") or json.dumps(error) if isinstance(error, dict) else error
    return f"{message.get('item', '')}: error: {error or message.get('message')}".removeprefix(": ")


def seconds_of(text: str) -> float:
    """restic's time, with nanoseconds that Python does not read."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    if not found:
        raise Failed(f"restic: {text!r} is no time")
    whole, zone = found.groups()
    return datetime.datetime.fromisoformat(whole + zone.replace("Z", "+00:00")).timestamp()
