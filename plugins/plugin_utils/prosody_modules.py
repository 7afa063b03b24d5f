# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prosody's modules from elsewhere: what is taken out of an archive or a directory, once its checksum is right."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile

# A repository of all community modules has about 2 MB.
MOST_BYTES = 64 * 2**20


def checked(data, sha256, source):
    """The bytes, when they have this checksum."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256.lower():
        raise ValueError(
            f"{source}: its SHA-256 is {found}, and not {sha256.lower()}; take the archive of the revision that was "
            "reviewed, or write the checksum of the new one"
        )
    return data


def tree_checksum(files):
    """The checksum of a directory: `find -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum` in it."""
    lines = (
        f"{hashlib.sha256(files[path]).hexdigest()}  ./{path}\n".encode() for path in sorted(files, key=str.encode)
    )
    return hashlib.sha256(b"".join(lines)).hexdigest()


def unpacked(data, source):
    """The regular files of an archive: path to bytes. Nothing is written, so no path in it can lead astray."""
    stream, total = io.BytesIO(data), 0
    files = {}

    def count(size):
        nonlocal total
        total += size
        if total > MOST_BYTES:
            raise ValueError(f"{source}: it unpacks to more than {MOST_BYTES} bytes; is it an archive of modules?")

    try:
        if zipfile.is_zipfile(stream):
            with zipfile.ZipFile(stream) as archive:
                for member in archive.infolist():
                    if not member.is_dir():
                        count(member.file_size)
                        files[member.filename] = archive.read(member)
            return files
        stream.seek(0)
        with tarfile.open(fileobj=stream) as tape:
            for entry in tape:
                if content := tape.extractfile(entry) if entry.isfile() else None:
                    count(entry.size)
                    files[entry.name] = content.read()
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(
            f"{source}: it is not an archive that can be read ({error}); give a .tar.gz or a .zip"
        ) from error
    return files


def module_files(files, modules, source):
    """The files of these modules: path below the folder of modules to text.

    A module is the directory mod_NAME with its mod_NAME.lua, or that file alone, wherever in the archive.
    """
    found = {}
    for module in modules:
        main = f"mod_{module}.lua"
        places = sorted(path for path in files if path.split("/")[-1] == main and ".." not in path.split("/"))
        if not places:
            raise ValueError(f"{source}: it has no module {module!r}: there is no {main} in it")
        if len(places) > 1:
            raise ValueError(f"{source}: it has {main} more than once: {', '.join(places)}; give an archive with one")
        folder, _, _ = places[0].rpartition("/")
        inside = folder.split("/")[-1] == f"mod_{module}"
        for path, data in files.items():
            if path != places[0] and not (inside and path.startswith(folder + "/") and ".." not in path.split("/")):
                continue
            name = f"mod_{module}/{path[len(folder) + 1 :] if inside else main}"
            try:
                found[name] = data.decode()
            except UnicodeDecodeError as error:
                raise ValueError(f"{source}: {path} is not UTF-8 text; a module's files must be") from error
    return found
