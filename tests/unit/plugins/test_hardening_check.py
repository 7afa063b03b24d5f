# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program on the host that tells what has changed, loaded from where the role keeps it."""

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from programs import load_program

PROGRAM = Path(__file__).parents[3] / "roles/hardening/templates/usr/local/libexec/hardening-check"


@pytest.fixture
def program(tmp_path, monkeypatch):
    module = load_program(PROGRAM)
    for name in ("STATE", "DATABASE", "ALARM"):
        monkeypatch.setattr(module, name, str(tmp_path / name))
    return module


SUMS = {"/usr/bin/true": "good", "/usr/bin/false": "good", "/usr/share/doc/x/copyright": "good"}


@pytest.mark.parametrize(
    ("kind", "path", "flags", "checksum", "told"),
    [
        pytest.param("changed", "/usr/bin/true", "f > ...     H..    ", "good", False, id="an upgrade"),
        pytest.param("changed", "/usr/bin/true", "f > ...     H..    ", "other", True, id="not the package's"),
        pytest.param("changed", "/usr/bin/true", "f = p..     ...    ", "good", True, id="setuid"),
        pytest.param("changed", "/usr/bin/true", "f > .u.     H..    ", "good", True, id="another owner"),
        pytest.param("added", "/usr/bin/false", "f+++++", "good", False, id="a new package"),
        pytest.param("added", "/usr/bin/false", "f+++++", None, True, id="cannot be read"),
        pytest.param("added", "/usr/bin/evil", "f+++++", None, True, id="nobody's program"),
        pytest.param("added", "/usr/local/bin/evil", "f+++++", None, True, id="the operator's or an intruder's"),
        pytest.param("added", "/etc/cron.d/evil", "f+++++", None, True, id="configuration"),
        pytest.param("removed", "/usr/bin/gone", "f-----", None, False, id="no package has it any more"),
        pytest.param("removed", "/usr/bin/true", "f-----", None, True, id="its package still has it"),
        pytest.param("removed", "/etc/nftables.conf", "f-----", None, True, id="configuration that is gone"),
        pytest.param("removed", "/usr/local/sbin/mine", "f-----", None, True, id="the operator's that is gone"),
        pytest.param("added", "/usr/share/new", "d+++++", None, False, id="a folder of packages"),
        pytest.param("changed", "/usr/share", "d = p..     ...    ", None, True, id="a folder that all can write to"),
    ],
)
def test_what_packages_explain(program, kind, path, flags, checksum, told):
    lines = program.unexplained({kind: {path: flags}}, SUMS, lambda _path: checksum)
    assert [line.split()[:2] for line in lines] == ([[f"{kind}:", path]] if told else [])


@pytest.fixture
def kernel(program, tmp_path, monkeypatch):
    """A kernel of a package, its modules and initrd, and programs that make the lists and the initrd of these files alone."""
    (tmp_path / "STATE").mkdir()
    boot, modules = tmp_path / "boot", tmp_path / "modules/6.12"
    (modules / "kernel/net").mkdir(parents=True)
    boot.mkdir()
    (boot / "vmlinuz-6.12").write_text("kernel")
    (modules / "kernel/net/a.ko").write_text("module a")
    (modules / "modules.order").write_text("kernel/net/a.ko")
    for name in ("MODULES", "INITRD"):
        pattern = getattr(program, name).pattern
        pattern = pattern.replace("/usr/lib/modules", f"{tmp_path}/modules").replace("/boot", str(boot))
        monkeypatch.setattr(program, name, re.compile(pattern))
    calls = []

    def depmod(folder):
        names = [os.path.relpath(path, folder) for path in sorted(Path(f"{folder}/kernel").rglob("*.ko"))]
        Path(f"{folder}/modules.dep").write_text("\n".join(names))
        Path(f"{folder}/modules.dep.bin").write_bytes(repr(names).encode())

    def mkinitramfs(image):
        with tarfile.open(image, "w") as archive:
            archive.add(modules / "kernel/net/a.ko", "a.ko")
            link = tarfile.TarInfo("init")
            link.type, link.linkname = tarfile.SYMTYPE, "bin/sh"
            archive.addfile(link)

    def run(*command, **options):
        calls.append(command[0])
        if command[0] == "depmod":
            depmod(f"{command[2]}/lib/modules/{command[3]}")
        elif command[0] == "mkinitramfs":
            mkinitramfs(command[2])
        elif command[0] == "unmkinitramfs":
            with tarfile.open(command[1]) as archive:
                archive.extractall(command[2])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(program, "run", run)
    depmod(modules)
    mkinitramfs(boot / "initrd.img-6.12")
    sums = {str(path): program.checksum_of(path) for path in (boot / "vmlinuz-6.12", modules / "kernel/net/a.ko")}
    report = {"added": {str(boot / "initrd.img-6.12"): "f+++++"}}
    report["changed"] = {str(modules / name): "f > ...     H..    " for name in ("modules.dep", "modules.dep.bin")}

    def told():
        calls.clear()
        remade = program.Remade(sums, program.checksum_of)
        lines = program.unexplained(report, sums, program.checksum_of, remade.same)
        assert os.listdir(tmp_path / "STATE") == []
        return sorted(Path(line.split()[1]).name for line in lines)

    return tmp_path, calls, told


def test_what_a_new_kernel_brings_is_explained(kernel):
    _top, calls, told = kernel
    assert told() == []
    # The lists of modules are made once for all.
    assert sorted(calls) == ["depmod", "mkinitramfs", "unmkinitramfs", "unmkinitramfs"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        pytest.param("echo evil >>unpacked/a.ko", ["initrd.img-6.12"], id="another module in the initrd"),
        pytest.param("echo evil >unpacked/new", ["initrd.img-6.12"], id="one file more"),
        pytest.param("ln -sfn evil unpacked/init", ["initrd.img-6.12"], id="another init"),
        pytest.param("chmod 4755 unpacked/a.ko", ["initrd.img-6.12"], id="a setuid file"),
        pytest.param("rm unpacked/a.ko", ["initrd.img-6.12"], id="one file less"),
        pytest.param("echo evil >boot/vmlinuz-6.12", ["initrd.img-6.12"], id="another kernel"),
        pytest.param("echo evil.ko >>modules/6.12/modules.dep", ["modules.dep"], id="another list"),
        pytest.param("chmod 666 modules/6.12/modules.dep", ["modules.dep"], id="a list that all can write"),
        pytest.param(
            "rm modules/6.12/modules.dep && ln -s kernel/net/a.ko modules/6.12/modules.dep",
            ["modules.dep"],
            id="a link",
        ),
    ],
)
def test_what_an_intruder_changes_there_is_told(kernel, change, names):
    top, _calls, told = kernel
    image = "boot/initrd.img-6.12"
    lines = f"mkdir unpacked; tar -C unpacked -xf {image}; {change}; tar -C unpacked -cf {image} ."
    subprocess.run(["sh", "-ec", lines], cwd=top, check=True)
    assert told() == names


def test_what_cannot_be_made_again_is_told(kernel, program, monkeypatch, capsys):
    _top, _calls, told = kernel
    monkeypatch.setattr(
        program, "run", lambda *command, **_: subprocess.CompletedProcess(command, 1, "", "no space left")
    )
    assert told() == ["initrd.img-6.12", "modules.dep", "modules.dep.bin"]
    assert "no space left" in capsys.readouterr().err


def test_paths_of_before_usr_was_merged(program, tmp_path):
    (tmp_path / "a.md5sums").write_text("d1  bin/ls\nd2  usr/share/a b\nd3  lib64/ld.so\n")
    (tmp_path / "a.list").write_text("/bin/ls\n")
    assert program.package_sums(tmp_path) == {"/usr/bin/ls": "d1", "/usr/share/a b": "d2", "/usr/lib64/ld.so": "d3"}


def test_what_is_no_trace(program):
    text = (
        "eth0: PACKET SNIFFER(/usr/sbin/x[4711])\neth0: PACKET SNIFFER(/usr/sbin/x[4712])\n"
        "\nWARNING: The following suspicious files and directories were found:\n"
        "/usr/lib/x/.ignore [From Debian package: x]\n"
        "\nWARNING: chkdirs: Possible LKM Trojan installed (or chkdirs failed):\n"
        "chkdirs: WARNING: Skipping unsupported filesystem (overlayfs): /usr/bin/\n"
    )
    assert program.traces(text) == ["eth0: PACKET SNIFFER(/usr/sbin/x[N])"]
    assert program.traces(text.replace(" [From Debian package: x]", ""))[1:] == [
        "WARNING: The following suspicious files and directories were found:",
        "/usr/lib/x/.ignore",
    ]


@pytest.mark.parametrize("what", ["files", "rootkits"])
@pytest.mark.parametrize(
    ("first", "lines", "status"), [(True, [], "first"), (False, [], "clean"), (False, ["added: /etc/x"], "found")]
)
def test_the_state_says_how_it_went(program, monkeypatch, tmp_path, what, first, lines, status, capsys):
    monkeypatch.setattr(program, f"check_{what}", lambda: (first, lines))
    assert program.main([what]) == 0
    state = json.loads((tmp_path / "STATE" / f"{what}.json").read_text())
    assert (state["status"], state["found"]) == (status, len(lines))
    assert "".join(lines) in capsys.readouterr().out


def test_a_check_that_fails_is_no_clean_one(program, monkeypatch, tmp_path, capsys):
    def fail():
        raise RuntimeError("aide ended with 18: no space left")

    monkeypatch.setattr(program, "check_files", fail)
    assert program.main(["files"]) == 1
    assert json.loads((tmp_path / "STATE/files.json").read_text())["status"] == "failed"
    assert "no space left" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["everything"], ["files", "rootkits"]])
def test_wrong_arguments(program, arguments, capsys):
    assert program.main(arguments) == 2
    assert "usage" in capsys.readouterr().err
