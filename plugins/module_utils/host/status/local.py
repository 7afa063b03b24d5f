# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only the host itself can say: units, its own name server, certificates' files, disks, and checks of other roles."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from .. import dns, files, words, x509
from ..commands import CommandError, attempt, run
from . import states
from .checks import Check, Config, Doubtful, Wrong

# Checks that other roles leave here: a program each, named as what it looks at.
HOOKS = "/etc/xmpp/status.d"
MOUNTS = "/proc/1/mountinfo"
# A host without role updates has nothing to note.
UPDATES = "/etc/systemd/system/xmpp-updates.timer"


def ask(command: list[str], seconds: float = 60) -> str:
    """Return what a program prints; that it fails is a finding."""
    try:
        return run(command, seconds=seconds)
    except CommandError as error:
        said = " ".join(error.finished.said.split()) if error.finished else ""
        raise Wrong(said[-400:] or str(error)) from error


def check_unit(unit: str) -> str:
    """See that a unit is loaded and active."""
    shown = ask(["systemctl", "show", "--property", "LoadState,ActiveState,SubState,Result", unit])
    found = dict(line.partition("=")[::2] for line in shown.splitlines())
    if found.get("LoadState") != "loaded":
        raise Wrong(f"it is {found.get('LoadState')}")
    if found.get("ActiveState") != "active":
        raise Wrong(f"{found.get('ActiveState')} ({found.get('SubState')}, {found.get('Result')})")
    return f"active ({found.get('SubState')})"


def check_failed() -> str:
    """See that no unit has failed, others than those asked for by name included."""
    lines = ask(["systemctl", "list-units", "--failed", "--plain", "--no-legend", "--full"]).splitlines()
    if names := [line.split()[0] for line in lines if line.split()]:
        raise Wrong(f"failed: {', '.join(names)}")
    return "none has failed"


def check_zone(config: Config, domain: str) -> str:
    """Ask our own name server for the record that clients look for, and its signature."""
    name = f"_xmpp-client._tcp.{domain}"
    try:
        answer = dns.ask(config["dns_server"], name, "SRV", signatures=True, recurse=False, seconds=2)
    except dns.DnsError as error:
        raise Wrong(f"{name} SRV: {error}") from error
    if answer.status != "NOERROR" or not answer.records:
        raise Wrong(f"{name} SRV: {answer.status}, and no record")
    if answer.signed_until is None:
        raise Wrong("its records are not signed")
    left = answer.signed_until - time.time()
    if left <= 0:
        raise Wrong(f"its signatures have been expired since {words.utc(answer.signed_until)}")
    if left < 86400:
        raise Doubtful(f"its signatures expire in {words.age(left)}, and are not renewed")
    return f"answers, signed for {words.age(left)}"


def check_certificate(config: Config, path: str) -> str:
    """See that a certificate has enough of its own life left, whether that is a year or a day."""
    try:
        certificate = x509.look(files.read_text(path))
    except x509.X509Error as error:
        raise Wrong(f"{path}: {error}") from error
    begin, end, life = certificate.begin.timestamp(), certificate.end.timestamp(), certificate.life.total_seconds()
    left = end - time.time()
    if left <= 0:
        raise Wrong(f"it has been expired since {words.utc(end)}")
    if begin > time.time():
        raise Wrong(f"it is not valid before {words.utc(begin)}; see whether the clock is right")
    text = f"it expires in {words.age(left)}, of {words.age(life)}, and is not renewed"
    if left < life * config["certificate_fail_percent"] / 100:
        raise Wrong(text)
    if left < life * config["certificate_warn_percent"] / 100:
        raise Doubtful(text)
    return f"valid for {words.age(left)}"


def check_command(argv: list[str]) -> str:
    """Run a program of the configuration, which fails where something is wrong."""
    return " ".join(ask(argv, 120).split())[:200] or "all is well"


def check_hook(path: str) -> str:
    """Run a check of another role.

    Its exit status is the level, 0, 1 or 2; its first line is what it has found, its second what to type.
    """
    try:
        done = attempt([path])
    except CommandError as error:
        raise Wrong(error.reason) from error
    said = done.stdout.splitlines() or done.stderr.splitlines()[-1:] or [f"{path} ended with {done.status}"]
    if done.status:
        raise (Doubtful if done.status == 1 else Wrong)(said[0][:400], *said[1:2])
    return said[0][:400]


def is_read_only(path: str) -> bool:
    """Tell whether the file system of a path can only be read, on the whole machine and not in this program's sandbox."""
    place, options = "", []
    with open(MOUNTS, encoding="utf-8") as stream:
        for line in stream:
            fields = line.split()
            inside = f"{path.rstrip('/')}/".startswith(f"{fields[4].rstrip('/')}/")
            # The last one at a place hides those before it.
            if inside and len(fields[4]) >= len(place):
                place, options = fields[4], [*fields[5].split(","), *fields[-1].split(",")]
    return "ro" in options


def seconds_left(samples: list[Any], now: float, free: int, total: int) -> float | None:
    """Return when a disk is full if it goes on as within the last day; nothing where less than a twentieth was filled."""
    begun, before = samples[0] if samples else (now, free)
    used = before - free
    if now - begun < 3 * 3600 or used < total / 20:
        return None
    return free / used * (now - begun)


def check_disk(config: Config, path: str) -> str:
    """See that a disk has space and inodes, can be written, and does not fill within days."""
    found = os.statvfs(path)
    if is_read_only(path):
        raise Wrong("it can only be read; the kernel does so after an error of the disk")
    shares = {"space": found.f_bavail / max(found.f_blocks, 1)}
    # Some file systems count no inodes.
    if found.f_files:
        shares["inodes"] = found.f_favail / found.f_files
    what, least = min(shares.items(), key=lambda item: item[1])
    text = f"{least * 100:.0f} % of its {what} are free"
    if least * 100 < config["disk_fail_percent"]:
        raise Wrong(text)
    samples = states.noted().get("disks", {}).get(path, [])
    left = seconds_left(samples, time.time(), found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
    if left is not None and left < 3 * 86400:
        raise Wrong(f"{text}, and it is full in {words.age(left)} if it goes on like this")
    if least * 100 < config["disk_warn_percent"]:
        raise Doubtful(text)
    return text


def unit_checks(config: Config) -> Iterator[Check]:
    """Yield the checks of units, which come first: what depends on a unit fails with it."""
    for unit in config["units"]:
        do = f"systemctl status {unit}; journalctl -u {unit} -n 50"
        yield Check(f"unit {unit}", partial(check_unit, unit), do)
    yield Check("units", check_failed, "systemctl --failed")


def checks(config: Config) -> Iterator[Check]:
    """Yield all other checks that only the host can make."""
    for domain in config["zones"]:
        do = f"rndc zonestatus {domain}; rndc dnssec -status {domain}"
        yield Check(f"zone {domain}", partial(check_zone, config, domain), do)
    for path in config["certificates"]:
        do = "journalctl -u xmpp-certificate -n 20"
        yield Check(f"certificate {path}", partial(check_certificate, config, path), do)
    for command in config["commands"]:
        argv = command["argv"]
        yield Check(command["name"], partial(check_command, argv), " ".join(argv))
    for path in sorted(glob.glob(f"{HOOKS}/*")):
        if os.access(path, os.X_OK):
            yield Check(os.path.basename(path), partial(check_hook, path), path)
    for path in config["disks"]:
        do = f"du -xh --max-depth 3 {path} | sort -h | tail -n 20"
        yield Check(f"disk {path}", partial(check_disk, config, path), do)
    if (path := config["updates"]) and os.path.exists(UPDATES):
        yield Check(
            "updates", partial(states.check_updates, path), "xmpp-updates --explain; journalctl -u xmpp-updates -n 50"
        )
    for state in config["states"]:
        if os.path.exists(state["path"]):
            yield Check(state["name"], partial(states.check_state, state), state["do"])
