# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in another server's store, and files of XEP-0227 as prosody-migrator takes and writes them.

A store and a file may be made to break who reads them: the module has this file run by user prosody, who has nothing but its
source. So it imports the standard library only.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import glob
import hashlib
import hmac
import io
import json
import os
import re
import secrets
import shutil
import sqlite3
import stringprep
import subprocess
import sys
import unicodedata
import urllib.parse
import xml.etree.ElementTree as ET
from typing import Any
from xml.sax.saxutils import escape, quoteattr

PIE = "urn:xmpp:pie:0"
XML = "http://www.w3.org/XML/1998/namespace"
TOKEN = re.compile(r"[^\s\x00-,/;-@\[-^`{-\x7f][^\s\x00-,/;-@\[-^`{-\x7f]*")
# What mod_storage_xep0227 reads of a user, as name and namespace; all else of a file is told.
CARRIED = {
    ("vCard", "vcard-temp"): "vcard",
    ("query", "jabber:iq:roster"): "roster",
    ("query", "jabber:iq:private"): "private",
    ("pubsub", "http://jabber.org/protocol/pubsub"): "pep",
    ("pubsub", "http://jabber.org/protocol/pubsub#owner"): "pep",
    ("archive", f"{PIE}#mam"): "archive",
    ("scram-credentials", f"{PIE}#scram"): "",
    ("presence", "jabber:client"): "roster",
}
# By the digits of a key.
FAMILIES = {40: "SHA-1", 64: "SHA-256"}
# Prosody's own number of rounds.
ITERATIONS = 10000
SIZES = {"SHA-1": 20, "SHA-256": 32}
# Prosody's tables, and the kinds of columns that are no text (mod_storage_sql).
TABLES = {
    "prosody": ("host", "user", "store", "key", "type", "value"),
    "prosodyarchive": ("sort_id", "host", "user", "store", "key", "when", "with", "type", "value"),
}
KINDS = {"sort_id": "INTEGER PRIMARY KEY AUTOINCREMENT", "when": "INTEGER"}
SERVERS = ("postgresql", "mysql")
DATABASE = re.compile(r"[\w.@$-]+")
# What a client of MySQL writes for letters that end a field or a line.
BATCH = re.compile(r"\\([\\tn0])")
BATCHED = {"\\": "\\", "t": "\t", "n": "\n", "0": "\0"}
# Names of accounts and domains that are no part of a path, and of no markup.
LOCAL = re.compile(r"[^\s\"&'/:<>@\x00-\x1f]{1,1023}")


class MigrationError(Exception):
    """What keeps a store from being read or written."""


def parts(tag):
    """The name and the namespace of an element's tag."""
    space, _brace, name = tag.rpartition("}")
    return name, space.lstrip("{")


def markup(element, space=""):
    """An element as text, with namespaces as xmlns at each change: not every server knows prefixes."""
    name, own = parts(element.tag)
    if not TOKEN.fullmatch(name):
        raise MigrationError(f"{name!r} is no name of an element")
    text = [f"<{name}"] + ([f" xmlns={quoteattr(own)}"] if own != space else [])
    for number, (key, value) in enumerate(element.attrib.items()):
        attribute, place = parts(key)
        if not TOKEN.fullmatch(attribute):
            raise MigrationError(f"{attribute!r} is no name of an attribute")
        if place == XML:
            attribute = f"xml:{attribute}"
        elif place:
            text.append(f" xmlns:a{number}={quoteattr(place)}")
            attribute = f"a{number}:{attribute}"
        text.append(f" {attribute}={quoteattr(value)}")
    inner = escape(element.text or "") + "".join(markup(child, own) + escape(child.tail or "") for child in element)
    return "".join(text) + (f">{inner}</{name}>" if inner else "/>")


def encode(name):
    """A name as Prosody writes it into a path."""
    return "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02x}" for byte in name.encode("utf-8", "replace")
    )


def prepared(password):
    """A password as SASLprep has it (RFC 4013), so far as it is to be compared and not checked."""
    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter for letter in password if not stringprep.in_table_b1(letter)
    )
    return unicodedata.ucd_3_2_0.normalize("NFKC", mapped).encode()


def hash_password(password, family, folder, domain, user):
    """Writes a hash of a plain password as Prosody's storage in files has it.

    Prosody itself would hash it at the first login, but only if it follows the rules for new passwords.
    """
    name = {"SHA-1": "sha1", "SHA-256": "sha256"}[family]
    salt = secrets.token_hex(16)
    salted = hashlib.pbkdf2_hmac(name, prepared(password), salt.encode(), ITERATIONS)
    stored = hashlib.new(name, hmac.digest(salted, b"Client Key", name)).hexdigest()
    server = hmac.digest(salted, b"Server Key", name).hex()
    place = os.path.join(folder, encode(domain), "accounts")
    os.makedirs(place, 0o700, exist_ok=True)
    with open(os.path.join(place, f"{encode(user)}.dat"), "w", encoding="utf-8") as stream:
        stream.write(
            f'return {{ ["iteration_count"] = {ITERATIONS}; ["salt"] = "{salt}"; ["stored_key"] = "{stored}"; '
            f'["server_key"] = "{server}"; }};\n'
        )


def of_lua(text):
    """The value of a text in Lua as Prosody writes it, with \\n, \\", \\065 and a backslash before the end of a line."""

    def value(match):
        code = match.group(1)
        return bytes([int(code)]) if code.isdigit() else {b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(code, code)

    return re.sub(rb"\\(\d{1,3}|.)", value, text.encode("utf-8", "surrogateescape"), flags=re.S).decode(
        "utf-8", "replace"
    )


class Found:
    """Domain → its stores with the number of their users, and how the passwords are kept."""

    def __init__(self, family, hashed):
        self.domains: dict[str, dict] = {}
        self.family, self.hashed = family, hashed

    def domain(self, name):
        return self.domains.setdefault(name, {"users": [], "stores": {}, "passwords": {}, "left": {}})

    def add(self, domain, store, user):
        users = self.domain(domain)["stores"].setdefault(store, set())
        users.add(user)

    def password(self, domain, user, stored, plain):
        """Notes how an account's password is kept. A plain one is hashed."""
        kind = stored or ("plain" if plain else "none")
        count(self.domain(domain)["passwords"], kind)
        if kind == "plain" and self.hashed:
            hash_password(plain, self.family, self.hashed, domain, user)

    def plain(self):
        """As JSON has it."""
        for one in self.domains.values():
            one["users"] = sorted(one["stores"].get("accounts", ()))
            one["stores"] = {store: len(users) for store, users in sorted(one["stores"].items())}
        return self.domains


def count(into, key):
    into[key] = into.get(key, 0) + 1


def family_of(key):
    """The family of a hash by its digits, and nothing where there is none."""
    return FAMILIES.get(len(key), "another hash") if key else ""


def scan_files(path, found):
    """Prosody's storage in files: DOMAIN/STORE/USER.dat or .list, each part as %2e has it."""
    for place in glob.glob(f"{glob.escape(path)}/*/*/*"):
        name, ending = os.path.splitext(os.path.basename(place))
        if ending not in (".dat", ".list"):
            continue
        folder, store = os.path.split(os.path.dirname(place))
        domain = urllib.parse.unquote(os.path.basename(folder))
        store, user = urllib.parse.unquote(store), urllib.parse.unquote(name)
        found.add(domain, store, user)
        if store == "accounts":
            with open(place, encoding="utf-8", errors="surrogateescape") as stream:
                values = dict(
                    re.findall(r'\["(stored_key|password)"\] = "((?:[^"\\]|\\.)*)"', stream.read(65536), re.S)
                )
            found.password(domain, user, family_of(values.get("stored_key")), of_lua(values.get("password", "")))


def scan_database(connection, found):
    """Prosody's tables in SQLite."""
    for table in TABLES:
        for domain, store, user in connection.execute(f'SELECT DISTINCT "host", "store", "user" FROM {table}'):
            found.add(domain, store, user)
    accounts: dict[tuple, dict] = {}
    rows = connection.execute('SELECT "host", "user", "key", "value" FROM prosody WHERE store = \'accounts\'')
    for domain, user, key, value in rows:
        accounts.setdefault((domain, user), {})[key] = value
    for (domain, user), values in accounts.items():
        found.password(domain, user, family_of(values.get("stored_key")), values.get("password", ""))


def scan_sqlite(path, found, copy=""):
    """Prosody's storage in SQLite. With `copy`, its whole content is copied to this new file."""
    mode = "ro" if os.path.exists(f"{path}-wal") else "ro&immutable=1"
    try:
        connection = sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode={mode}", uri=True)
        # Salts are bytes, and an error would show them.
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        scan_database(connection, found)
        if copy:
            with sqlite3.connect(copy) as target:
                connection.backup(target)
    except sqlite3.Error as error:
        raise MigrationError(f"{path}: {error}; name the file of a Prosody with storage in SQLite") from error


def unescaped(lines):
    """Yields the fields of each line that a client of MySQL prints."""
    for line in lines:
        yield [BATCH.sub(lambda one: BATCHED[one[1]], part) for part in line.rstrip("\n").split("\t")]


class Server:
    """A database of PostgreSQL or MySQL, as a URL names it, asked by Debian's client."""

    def __init__(self, kind, url, password):
        self.url, self.kind = url, kind
        try:
            place = urllib.parse.urlsplit(url)
            port = place.port
        except ValueError as error:
            raise self._wrong() from error
        database = urllib.parse.unquote(place.path.lstrip("/"))
        if place.scheme != kind or not DATABASE.fullmatch(database):
            raise self._wrong()
        user = urllib.parse.unquote(place.username or "")
        # What makes rows of the lines that the client prints.
        self.parse: Any
        if kind == "postgresql":
            # A field of CSV may have ends of lines of any kind.
            self.quote, self.newline, self.parse = '"', "", csv.reader
            self.environment = {"PGPASSWORD": password, "PGCLIENTENCODING": "UTF8", "PGCONNECT_TIMEOUT": "20"}
            self.command = ["psql", "--no-psqlrc", "--no-password", "--csv", "--tuples-only", f"--dbname={database}"]
            options = {"host": place.hostname, "port": port, "username": user}
            query = "--command"
        else:
            self.quote, self.newline, self.parse = "`", "\n", unescaped
            self.environment = {"MYSQL_PWD": password}
            self.command = [
                "mariadb" if shutil.which("mariadb") else "mysql",
                "--batch",
                "--quick",
                "--skip-column-names",
            ]
            self.command += ["--default-character-set=utf8mb4", "--connect-timeout=20", f"--database={database}"]
            options = {"host": place.hostname, "port": port, "user": user}
            query = "--execute"
        self.command += [*(f"--{name}={value}" for name, value in options.items() if value), query]

    def _wrong(self):
        return MigrationError(
            f"{self.url} is no database of {self.kind}; write {self.kind}://USER@HOST:PORT/DATABASE, or "
            f"{self.kind}:///DATABASE for the one on this host to which user prosody gets in"
        )

    def rows(self, table, columns):
        """Yields the rows of a table."""
        names = ", ".join(f"{self.quote}{name}{self.quote}" for name in columns)
        order = " ORDER BY sort_id" if "sort_id" in columns else ""
        try:
            asked: Any = subprocess.Popen(
                [*self.command, f"SELECT {names} FROM {table}{order}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C.UTF-8", **{key: one for key, one in self.environment.items() if one}},
            )
        except OSError as error:
            raise MigrationError(f"{self.command[0]}: {error.strerror}; install the client of {self.kind}") from error
        with asked, io.TextIOWrapper(asked.stdout, "utf-8", "replace", newline=self.newline) as lines:
            yield from self.parse(lines)
            # Few lines, which a pipe holds.
            said = asked.stderr.read().decode(errors="replace")
        if asked.returncode:
            raise MigrationError(f"{self.url}: {' '.join(said.split())[-400:]}")

    def copy(self, connection):
        """Copies both tables to SQLite, with the definitions that Prosody gives them there."""
        csv.field_size_limit(sys.maxsize)
        for table, columns in TABLES.items():
            kinds = [f'"{name}" {KINDS.get(name, "TEXT")} NOT NULL' for name in columns]
            connection.execute(f"CREATE TABLE {table} ({', '.join(kinds)})")
            places = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", self.rows(table, columns))
            connection.execute(f'CREATE UNIQUE INDEX {table}_index ON {table} ("host", "user", "store", "key")')
        connection.commit()


def scan_server(kind, url, found, password, copy=""):
    """Prosody's storage in PostgreSQL or MySQL. With `copy`, its whole content is copied to this new file of SQLite."""
    with contextlib.closing(sqlite3.connect(copy or ":memory:")) as connection:
        try:
            Server(kind, url, password).copy(connection)
            scan_database(connection, found)
        except (sqlite3.Error, csv.Error) as error:
            raise MigrationError(f"{url}: {error}; name the database of a Prosody") from error


def decoded(text):
    """The bytes of Base64, or none where it is not."""
    try:
        return base64.b64decode(text or "", validate=True)
    except ValueError:
        return b""


def mend_scram(element):
    """Takes one of two layers of Base64 off a hash: ejabberd, which keeps them in Base64, writes two."""
    mechanism = element.get("mechanism", "").removeprefix("SCRAM-")
    fields = {parts(child.tag)[0]: child for child in element}
    stored = fields.get("stored-key")
    once = decoded(stored.text) if stored is not None else b""
    if mechanism not in SIZES or len(once) == SIZES[mechanism] or len(decoded(once)) != SIZES[mechanism]:
        return
    for name in ("stored-key", "server-key", "salt"):
        if name in fields:
            fields[name].text = decoded(fields[name].text).decode("ascii", "replace")


def users_of(path):
    """Yields (domain, element of a user) of a file of XEP-0227, or of all files of a folder, as ejabberd writes them."""
    places = sorted(glob.glob(f"{glob.escape(path)}/**/*.xml", recursive=True)) if os.path.isdir(path) else [path]
    for place in places:
        domains = []
        try:
            for event, element in ET.iterparse(place, events=("start", "end")):
                name, _space = parts(element.tag)
                if name == "host" and event == "start":
                    domains.append(element.get("jid", ""))
                elif name == "host":
                    domains.pop()
                elif name == "user" and event == "end" and domains:
                    yield domains[-1], element
                    element.clear()
        except (ET.ParseError, OSError) as error:
            raise MigrationError(f"{place}: {error}; name a file of XEP-0227, or a folder with such files") from error


def scan_xep0227(path, found, into=""):
    """A file of XEP-0227. With `into`, each user becomes a file there, as mod_storage_xep0227 has them.

    Users with archives are in the folder `into`-archives, too.
    """
    for domain, element in users_of(path):
        user = element.get("name", "")
        one = found.domain(domain)
        if not LOCAL.fullmatch(user) or not LOCAL.fullmatch(domain):
            count(one["left"], "accounts whose names XMPP does not allow")
            continue
        found.add(domain, "accounts", user)
        hashes = set()
        for child in element:
            what = CARRIED.get(parts(child.tag))
            if what is None:
                count(one["left"], f"{parts(child.tag)[0]} ({parts(child.tag)[1] or 'no namespace'})")
            elif what:
                found.add(domain, what, user)
            else:
                mend_scram(child)
                hashes.add(child.get("mechanism", "").removeprefix("SCRAM-"))
        plain = element.get("password", "")
        found.password(
            domain, user, found.family if found.family in hashes else "" if plain else min(hashes, default=""), plain
        )
        if into:
            body = markup(element, PIE)
            # prosody-migrator stops at a user without an archive.
            for place in [into, *([f"{into}-archives"] if element.find(f"{{{PIE}#mam}}archive") is not None else [])]:
                with open(os.path.join(place, f"{user}@{domain}.xml"), "w", encoding="utf-8") as stream:
                    stream.write(
                        f'<server-data xmlns="{PIE}"><host jid={quoteattr(domain)}>{body}</host></server-data>'
                    )
    return found


def scan(kind, path, family, into="", password=""):
    """What is in a source.

    In folder `into` come the users' files of one of XEP-0227, or source.sqlite, and in `into`-hashed plain passwords as hashes.
    """
    if kind in SERVERS:
        found = Found(family, f"{into}-hashed" if into else "")
        scan_server(kind, path, found, password, os.path.join(into, "source.sqlite") if into else "")
        return found
    if not os.access(path, os.R_OK):
        raise MigrationError(f"{path}: is not there, or user prosody may not read it; correct the path, or its mode")
    found = Found(family, f"{into}-hashed" if into else "")
    if kind == "xep0227":
        scan_xep0227(path, found, into)
    elif kind == "sqlite":
        scan_sqlite(path, found, os.path.join(into, "source.sqlite") if into else "")
    else:
        scan_files(path, found)
    return found


def join(path, target, accounts):
    """Writes users' files of a folder to one file of XEP-0227, and returns their number by domain.

    `accounts` are the names of the users by domain; the folder may have more.
    """
    numbers = {}
    with open(target, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
        stream.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<server-data xmlns="{PIE}">\n')
        for domain, names in accounts.items():
            stream.write(f"<host jid={quoteattr(domain)}>\n")
            places = [f"{path}/{name}@{domain}.xml" for name in sorted(names)]
            places = [place for place in places if os.path.exists(place)]
            for place in places:
                for _domain, element in users_of(place):
                    stream.write(markup(element, PIE) + "\n")
            stream.write("</host>\n")
            numbers[domain] = len(places)
        stream.write("</server-data>\n")
    return numbers


def main():
    """Takes the name of an act, scan or join, and its arguments as JSON; prints its result or what keeps it from one."""
    # By the standard input, as there may be a password in it.
    job = json.load(sys.stdin)
    try:
        result = join(**job) if job.pop("act") == "join" else scan(**job).plain()
        answer = {"result": result}
    except (MigrationError, OSError) as error:
        answer = {"problem": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
