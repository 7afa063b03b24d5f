# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An ACME authority (RFC 8555): our account, and orders by certbot for keys of the host's own."""

from __future__ import annotations

import glob
import json
import os
import re
import ssl
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence

from .. import files
from ..commands import CommandError, run
from . import caa
from .errors import Refused
from .pairs import Pair
from .records import Records
from .settings import Settings

ACCOUNTS = "/var/lib/xmpp-certificate/accounts.json"
CERTBOT_ACCOUNTS = "/etc/letsencrypt/accounts"
CERTBOT_SECONDS = 900
TSIG_KEY = re.compile(r'key "([^"]+)" \{\s*algorithm ([a-z0-9-]+);\s*secret "([^"]+)"')
# How authorities name those for which they do not issue.
BLAMED = re.compile(r"Domain: (\S+)|Cannot issue for \"([^\"]+)\"|CAA record for (\S+) prevents")
# What certbot says besides the reason.
CHATTER = re.compile(
    r"Saving debug log|Ask for help|See the logfile|Account registered|Requesting a certificate|Plugins selected|"
    r"Some challenges have failed|An unexpected error occurred|Unsafe permissions|Waiting \d+ seconds|"
    r"Hint: |Performing the following|Certbot failed to authenticate"
)


def reason(output: str) -> str:
    """Return what went wrong, out of certbot's output."""
    lines = [line.strip() for line in output.splitlines()]
    lines = [line for line in lines if re.search(r"\w", line) and not CHATTER.search(line)]
    text = " ".join(dict.fromkeys(lines))
    return re.sub(r"\s+", " ", text)[:1500] or "certbot gave no reason; see /var/log/letsencrypt/letsencrypt.log"


def blamed(names: Sequence[str], said: str) -> list[str]:
    """Return those of our names for which an authority says that it does not issue."""
    found = {name.lower().removeprefix("*.") for match in BLAMED.findall(said) for name in match if name}
    return [name for name in names if name in found]


class Authority:
    """An authority by its directory, with what certbot needs there."""

    def __init__(self, settings: Settings, directory: str) -> None:
        self.settings = settings
        self.directory = directory

    def identities(self) -> list[str]:
        """Return the names that the authority looks for in CAA records, where its directory says so (section 7.1.1)."""
        context = ssl.create_default_context(cafile=self.settings.ca_bundle or None)
        try:
            with urllib.request.urlopen(self.directory, timeout=30, context=context) as answer:
                return list(json.load(answer).get("meta", {}).get("caaIdentities", []))
        except (OSError, ValueError) as error:
            raise Refused(f"{self.directory} does not answer as an authority does: {error}") from error

    def certbot(self, *arguments: str) -> None:
        """Run certbot for this authority."""
        command = ["certbot", *arguments, "--server", self.directory, "--non-interactive", "--agree-tos"]
        email = self.settings.email
        command += ["--email", email] if email else ["--register-unsafely-without-email"]
        bundle = self.settings.ca_bundle
        try:
            run(command, seconds=CERTBOT_SECONDS, environment={"REQUESTS_CA_BUNDLE": bundle} if bundle else None)
        except CommandError as error:
            raise Refused(reason(error.reason)) from error

    def account(self) -> str:
        """Return the URI of our account, which is made where there is none."""
        place = urllib.parse.urlsplit(self.directory)
        folder = os.path.join(CERTBOT_ACCOUNTS, place.netloc + place.path)
        pattern = os.path.join(glob.escape(folder), "*", "regr.json")
        if not glob.glob(pattern):
            try:
                self.certbot("register")
            except Refused as error:
                raise Refused(f"{self.directory} registers no account: {error}") from error
        found = glob.glob(pattern)
        if len(found) != 1:
            raise Refused(f"{folder} does not hold one account, but {len(found)}; leave the one that is to be used")
        return str(files.read_json(found[0])["uri"])

    def issuer(self) -> caa.Issuer:
        """Return how CAA records may name this authority and our account."""
        return caa.Issuer(self.identities(), self.account(), self.settings.challenge)

    def challenge_options(self, folder: str) -> list[str]:
        """Return certbot's options for the way by which the authority is shown that the names are ours."""
        settings = self.settings
        if settings.challenge == "http-01":
            return ["--authenticator", "webroot", "--webroot-path", settings.webroot]
        found = TSIG_KEY.search(files.read_text(settings.tsig_key))
        if not found:
            raise Refused(
                f"{settings.tsig_key} holds no key, so that the challenge cannot be written into the DNS; see whether "
                "named.service runs"
            )
        credentials = os.path.join(folder, "rfc2136.ini")
        text = (
            f"dns_rfc2136_server = {settings.dns_server}\ndns_rfc2136_name = {found[1]}\n"
            f"dns_rfc2136_algorithm = {found[2].upper()}\ndns_rfc2136_secret = {found[3]}\n"
        )
        files.replace(credentials, text, mode=0o600, durable=False)
        # The server that is written to is the only one that is asked.
        options = ["--authenticator", "dns-rfc2136", "--dns-rfc2136-credentials", credentials]
        return [*options, "--dns-rfc2136-propagation-seconds", "1"]

    def order(self, pair: Pair, names: Sequence[str]) -> str:
        """Order a certificate for a key of the host, and return its chain."""
        with tempfile.TemporaryDirectory(prefix="xmpp-certificate-") as folder:
            request = os.path.join(folder, "request.pem")
            files.replace(request, pair.request(names, self.settings), mode=0o600, durable=False)
            command = ["certonly", "--csr", request]
            for kind in ("cert", "chain", "fullchain"):
                command += [f"--{kind}-path", os.path.join(folder, f"{kind}.pem")]
            command += self.challenge_options(folder)
            try:
                self.certbot(*command)
            except Refused as error:
                raise Refused(f"{self.directory} issued none: {error}") from error
            return files.read_text(os.path.join(folder, "fullchain.pem"))


class Authorities:
    """The authorities at which each certificate is ordered, the staging one first: its failures count against no limit."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.records = Records(settings.dns_server)
        directories = [directory for directory in (settings.staging_directory, settings.directory) if directory]
        self.all = [Authority(settings, directory) for directory in directories]

    def register(self) -> str:
        """Have an account at each, and note for the name server what CAA records may say of it (RFC 8657)."""
        accounts = [
            {
                "directory": authority.directory,
                "identities": authority.identities(),
                "uri": authority.account(),
                "method": self.settings.challenge,
            }
            for authority in self.all
        ]
        files.write_json(ACCOUNTS, {"path": self.settings.path, "accounts": accounts}, mode=0o600)
        return "; ".join(f"registered with {item['directory']} as {item['uri']}" for item in accounts)

    def unanswered(self, names: Sequence[str]) -> dict[str, str]:
        """Return the names whose challenge our own name server does not serve, and why that matters."""
        server = self.settings.dns_server
        return {
            name: (
                f"{server} does not answer for _acme-challenge.{name}, so that the challenge cannot be written there; see "
                "whether named.service runs, and run the playbook"
            )
            for name in (names if self.settings.challenge == "dns-01" else ())
            if not self.records.has(f"_acme-challenge.{name}", "SOA")
        }

    def issue(
        self, pair: Pair, may_lack: Callable[[set[str]], bool] = lambda _names: False
    ) -> tuple[str, dict[str, str]]:
        """Order a certificate where nothing speaks against it.

        Returns its chain, and the names that are not in it, with the reasons, where `may_lack` says that it may do without
        these.
        """
        missing: dict[str, str] = {}

        def without(reasons: Mapping[str, str]) -> list[str]:
            """Go on with the other names, if there are any, and these may be missing."""
            missing.update(reasons)
            names = [name for name in self.settings.names if name not in missing]
            if not names or (missing and not may_lack(set(missing))):
                raise Refused("; ".join(dict.fromkeys(missing.values())))
            return names

        chain = ""
        for authority in self.all:
            names = without({})
            issuer = authority.issuer()
            if reasons := {**caa.forbidden(self.records, names, issuer), **self.unanswered(names)}:
                names = without(reasons)
            # Some authorities say of one name at a time what speaks against it.
            while True:
                try:
                    chain = authority.order(pair, names)
                    break
                except Refused as error:
                    wrong = blamed(names, str(error))
                    if not wrong:
                        raise
                    names = without(dict.fromkeys(wrong, str(error)))
        return chain, missing
