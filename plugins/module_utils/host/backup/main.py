# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps encrypted backups of this host in restic repositories, and puts one back.

Databases are copied while they are in use, each as it was at one moment; the files come after them, so that whatever a
database names is there. What was backed up says in a manifest whose numbers its owners were, because a blank host may
number its accounts otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from .. import files
from . import acts, base, databases, places, restore
from .base import Failed
from .restic import Repository, shown
from .staging import Config


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="xmpp-backup", description=(__doc__ or "").splitlines()[0])
    acts = parser.add_subparsers(dest="act", required=True)
    acts.add_parser("run", help="make a backup in every repository, and check those whose time has come")
    acts.add_parser("init", help="make the repositories that are not there")
    acts.add_parser("check", help="check every repository now")
    read = acts.add_parser("read", help="what this program runs as the owner of an SQLite database")
    read.add_argument("--copy-of")
    read.add_argument("copy")
    read.add_argument("name")
    of_one = [
        acts.add_parser("list", help="say what the newest backup has"),
        acts.add_parser("restore", help="put a backup back, on a blank host before its daemons run"),
        acts.add_parser("restic", help="call restic"),
    ]
    for one in of_one:
        one.add_argument("--repository", help="another one than the first")
    of_one[1].add_argument("--snapshot", default="latest")
    of_one[1].add_argument("--overwrite", action="store_true", help="even where the host has newer data, which is lost")
    of_one[2].add_argument("words", nargs=argparse.REMAINDER)
    return parser.parse_args(arguments)


def act_on(arguments: argparse.Namespace, config: Config) -> int:
    """Do what the command line says, and return the exit status. Raises Failed."""
    if arguments.act in ("list", "restore", "restic"):
        address = arguments.repository or config["repositories"][0]
        if address not in config["repositories"]:
            raise Failed(
                f"{shown(address)} is not a repository of this host; there are: "
                f"{', '.join(map(shown, config['repositories']))}"
            )
        repository = Repository(address, config["host"])
        if arguments.act == "restic":
            return repository.call(arguments.words)
        if arguments.act == "list":
            acts.show(repository)
            return 0
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(files.locked(places.LOCK, wait=False, inherited=True))
        except BlockingIOError:
            print("waiting for another run to end", file=sys.stderr)
            held.enter_context(files.locked(places.LOCK, inherited=True))
        if arguments.act == "restore":
            restore.restore(repository, config, arguments.snapshot, arguments.overwrite)
        else:
            backup = acts.Backup(config)
            {"run": backup.run, "init": backup.init, "check": backup.check_all}[arguments.act]()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run xmpp-backup, and return its exit status."""
    os.umask(0o077)
    given = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        if given.act == "read":
            databases.read_sqlite(given.copy_of, given.copy, given.name)
            return 0
        config = base.read_json(places.CONFIG)
        if not config:
            raise Failed(f"{places.CONFIG} is not there; set backup_repositories, and run playbook site")
        return act_on(given, config)
    except Failed as failure:
        print(failure, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or 'xmpp-backup'}: {error.strerror}", file=sys.stderr)
    return 1
