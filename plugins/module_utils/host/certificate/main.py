# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the site's certificate of an ACME authority (RFC 8555) valid and served, and roll its key.

The key is the host's own and stays: certbot gets a request signed by it, so that TLSA records stay right from before the
first issue. A new chain is checked, put in place, and every port must then serve it; else the old one goes back.

A host may have two pairs, of an ECDSA and of an RSA key. They are deployed, taken back and rolled together, and a kind of
key comes and goes by a roll.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from .. import files
from .authority import Authorities
from .errors import Incomplete, Refused
from .pairs import STATE, Store
from .renewal import OFFERED, Renewal, offered, requests
from .roll import Roll
from .settings import Settings

CONFIG = "/etc/xmpp/certificate.json"
LOCK = "/run/xmpp-certificate.lock"
DESCRIPTION = "Keeps the site's certificate of an ACME authority (RFC 8555) valid and served, and rolls its key."


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="xmpp-certificate", description=DESCRIPTION)
    parser.add_argument("--config", default=CONFIG, help="another configuration than %(default)s")
    parser.add_argument("--prepare", action="store_true", help="make the key and a first certificate of the host's own")
    parser.add_argument(
        "--requests", action="store_true", help="make the key, and print the requests for certificates as JSON"
    )
    parser.add_argument("--deploy", action="store_true", help=f"deploy what is in {OFFERED}")
    parser.add_argument("--register", action="store_true", help="have an account at the authority, and say which")
    parser.add_argument("--force", action="store_true", help="order a certificate even if none is due")
    parser.add_argument(
        "--patient", action="store_true", help="as the timer: what has failed a short time ago is not tried again yet"
    )
    parser.add_argument(
        "--roll",
        choices=["begin", "advance", "status"],
        help="begin to roll the key, take the next step, or only look; prints how it stands as JSON",
    )
    return parser.parse_args(arguments)


def act(settings: Settings, given: argparse.Namespace) -> str:
    """Do what the command line asks for, and return what to print."""
    if given.prepare:
        return "; ".join(f"made {thing}" for thing in Store(settings).prepare()) or "unchanged"
    if given.requests:
        return json.dumps(requests(settings))
    if given.roll:
        return json.dumps(Roll(settings).report(given.roll))
    if given.deploy:
        return offered(settings)
    if not settings.is_acme:
        raise Refused("it is not of an ACME authority; run the playbook, which knows where it comes from")
    if given.register:
        return Authorities(settings).register()
    os.makedirs(os.path.dirname(STATE), mode=0o755, exist_ok=True)
    return Renewal(settings, force=given.force, patient=given.patient).keep()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run xmpp-certificate, and return its exit status."""
    given = parse(arguments)
    try:
        settings = Settings.read(given.config)
        with files.locked(LOCK):
            print(act(settings, given))
    except Incomplete as error:
        print(f"The certificate is renewed, but {error}", file=sys.stderr)
        return 1
    except (Refused, OSError, ValueError, KeyError) as error:
        text = f"{'The roll of the key stands still' if given.roll else 'The certificate stays as it is'}: {error}"
        print(text, file=sys.stderr)
        return 1
    return 0
