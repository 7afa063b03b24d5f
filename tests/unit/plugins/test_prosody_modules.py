# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prosody's modules from elsewhere: what is taken, and what is refused."""

import hashlib
import io
import os
import subprocess
import tarfile
import zipfile

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.magicbroccoli.xmpp.plugins.lookup.prosody_modules import LookupModule
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import prosody_modules as pure

FILES = {
    "modules-1/README": b"hello",
    "modules-1/mod_one/mod_one.lua": b"-- one",
    "modules-1/mod_one/parts.lib.lua": b"-- parts",
    "modules-1/mod_one/doc/notes.md": b"# notes",
    "modules-1/mod_one_more/mod_one_more.lua": b"-- more",
    "modules-1/mod_flat.lua": b"-- flat",
}


def tar(files, links=()):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return stream.getvalue()


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize("pack", [tar, zipped])
def test_what_is_taken(pack):
    files = pure.unpacked(pack(FILES), "x")
    assert pure.module_files(files, ["one", "flat"], "x") == {
        "mod_one/mod_one.lua": "-- one",
        "mod_one/parts.lib.lua": "-- parts",
        "mod_one/doc/notes.md": "# notes",
        "mod_flat/mod_flat.lua": "-- flat",
    }


def test_links_and_paths_that_lead_out_are_not_taken():
    files = FILES | {"modules-1/mod_one/../../../etc/cron.d/x": b"x", "../mod_two/mod_two.lua": b"x"}
    unpacked = pure.unpacked(tar(files, [("modules-1/mod_one/passwd", "/etc/passwd")]), "x")
    assert set(pure.module_files(unpacked, ["one"], "x")) == {
        "mod_one/mod_one.lua",
        "mod_one/parts.lib.lua",
        "mod_one/doc/notes.md",
    }
    with pytest.raises(ValueError, match="no module 'two'"):
        pure.module_files(unpacked, ["two"], "x")


@pytest.mark.parametrize(
    ("files", "module", "message"),
    [
        (FILES, "two", "x: it has no module 'two': there is no mod_two.lua in it"),
        (
            FILES | {"old/mod_one.lua": b""},
            "one",
            "x: it has mod_one.lua more than once: modules-1/mod_one/mod_one.lua, ",
        ),
        (FILES | {"modules-1/mod_one/a.so": b"\xff\xfe"}, "one", "x: modules-1/mod_one/a.so is not UTF-8 text"),
    ],
)
def test_what_is_refused(files, module, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        pure.module_files(files, [module], "x")


@pytest.mark.parametrize("data", [b"", b"not an archive", tar(FILES)[:60]], ids=["empty", "text", "cut short"])
def test_what_is_no_archive(data):
    with pytest.raises(ValueError, match="x: it is not an archive"):
        pure.unpacked(data, "x")


def test_what_unpacks_to_too_much(monkeypatch):
    monkeypatch.setattr(pure, "MOST_BYTES", 20)
    for pack in (tar, zipped):
        with pytest.raises(ValueError, match="more than 20 bytes"):
            pure.unpacked(pack(FILES), "x")


def test_another_checksum():
    right = hashlib.sha256(b"x").hexdigest()
    assert pure.checked(b"x", right.upper(), "x") == b"x"
    with pytest.raises(ValueError, match=rf"s: its SHA-256 is {right}, and not 0+; take the archive"):
        pure.checked(b"x", "0" * 64, "s")


def look_up(*entries):
    return LookupModule(loader=DataLoader()).read(list(entries), {})


def test_a_directory_and_its_checksum(tmp_path):
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    os.symlink("/etc/passwd", tmp_path / "modules-1/mod_one/passwd")
    documented = "find -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    done = subprocess.run(documented, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    entry = {"source": str(tmp_path), "sha256": done.stdout.split()[0], "modules": ["flat"]}
    assert look_up(entry) == {"mod_flat/mod_flat.lua": "-- flat"}
    (tmp_path / "modules-1/mod_flat.lua").write_bytes(b"-- other")
    with pytest.raises(AnsibleError, match="the SHA-256 of its files is"):
        look_up(entry)


def test_an_archive_and_its_checksum(tmp_path):
    archive = tmp_path / "modules.tar.gz"
    archive.write_bytes(tar(FILES))
    entry = {"source": str(archive), "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(), "modules": ["flat"]}
    assert look_up([entry]) == {"mod_flat/mod_flat.lua": "-- flat"}
    assert look_up([]) == {}
    with pytest.raises(AnsibleError, match="its SHA-256 is"):
        look_up(entry | {"sha256": "0" * 64})
    with pytest.raises(AnsibleError, match="there is no such file or directory on the controller"):
        look_up(entry | {"source": "nowhere.tar.gz"})
